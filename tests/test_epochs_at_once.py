"""Several epochs in one call of a pass: the same bytes as one after the other, whatever was chosen."""

from __future__ import annotations

import copy
import itertools
import sys

import numpy as np
import pytest
from passes import make_targets
from scipy import sparse
from test_grid import ON_BIAS, PENALTIES, SCHEDULES, VARIANTS
from test_interruption import interrupting_tracer

import fastgd
from fastgd import checkpoint, losses, optimizers

N, D, EPOCHS = 60, 7, 7


def one_by_one(history):
    """A callback for which each epoch is a call of its own."""


def given(loss, K=1, dtype="float64", density=None):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D)).astype(dtype)
    raw = (X @ rng.normal(size=(D, K))).astype(dtype)
    if density is not None:
        X = sparse.random_array((N, D), density=density, format="csr", dtype=dtype, rng=rng)
    return X, make_targets(loss, raw, rng)


def model(loss, K=1, hidden=(), dtype="float64"):
    return fastgd.MLP((D, *hidden, max(K, 2) if loss.coupled else K), dtype=dtype, seed=1)


@pytest.fixture
def calls(monkeypatch):
    """How many epochs each call of a pass for several of them has made."""
    seen, visit = [], fastgd.engine.Engine.visit_epochs

    def spy(self, rows, order, epochs, history):
        made = visit(self, rows, order, epochs, history)
        seen.append(epochs if made else 0)
        return made

    monkeypatch.setattr(fastgd.engine.Engine, "visit_epochs", spy)
    return seen


def run(data, model, **options):
    trainer = fastgd.Trainer(model, **{"seed": 4} | options)
    trainer.run(*data[:2], EPOCHS, *data[2:])
    return trainer


def same(data, start, calls, **options):
    """Whether the options go together, and then lead to the same bytes at once and one by one."""
    calls.clear()
    try:
        apart = run(data, copy.deepcopy(start), callbacks=[one_by_one], **options)
    except ValueError:  # choices that don't go together: test_method judges which
        return False
    assert not calls
    together = run(data, copy.deepcopy(start), **options)
    assert calls == [EPOCHS]
    for name in checkpoint.STATE:
        assert getattr(together._engine, name).tobytes() == getattr(apart._engine, name).tobytes(), name
    assert together.model.params.tobytes() == apart.model.params.tobytes()
    assert together.history.loss == apart.history.loss
    assert together.history.epochs == EPOCHS
    state, expected = (trainer._orders.generator.bit_generator.state for trainer in (together, apart))
    assert state == expected
    return True


@pytest.mark.parametrize("shuffle", [False, True], ids=["in order", "shuffled"])
@pytest.mark.parametrize("density", [None, 0.3], ids=["dense", "CSR"])
@pytest.mark.parametrize("hidden", [(), (5,)], ids=["linear", "network"])
def test_every_loss(loss, dtype, hidden, density, shuffle, calls):
    for K, batch_size, weighted in itertools.product((1, 3), (1, 8, 1000), (False, True)):
        data = given(loss, K, dtype, density)
        weights = np.random.default_rng(3).choice([0.0, 1, 2], N) if weighted else None
        start = model(loss, K, hidden, dtype)
        options = {"loss": loss, "batch_size": batch_size, "shuffle": shuffle}
        assert same((*data, weights), start, calls, optimizer=fastgd.SGD(lr=0.01), **options)


@pytest.mark.parametrize("density", [None, 0.3], ids=["dense", "CSR"])
@pytest.mark.parametrize("average", [0, 20])
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_optimizer_and_penalty(dtype, name, average, density, calls):
    loss, compared = losses.get("huber"), 0
    data, start = given(loss, 2, dtype, density), model(loss, 2, (), dtype)
    for options, penalty in itertools.product(VARIANTS[name], (*PENALTIES, *ON_BIAS[1:])):
        optimizer = optimizers.registry[name](**{"lr": 0.01, **options})
        compared += same(data, start, calls, loss=loss, optimizer=optimizer, penalty=penalty, average=average)
    assert compared >= 1


@pytest.mark.parametrize("clipped", [{}, {"clip_norm": 0.5}, {"clip_value": 0.2}], ids=str)
def test_every_schedule(dtype, clipped, calls):
    loss, compared = losses.get("hinge"), 0
    data, start = given(loss, 1, dtype), model(loss, 1, (), dtype)
    for schedule in SCHEDULES:
        made = fastgd.schedules.get(schedule)
        if made.name in fastgd.codes.IN_C:
            compared += same(data, start, calls, loss=loss, schedule=made, **clipped)
    assert compared >= 4


@pytest.mark.parametrize("seconds", [3e-6, 6e-6, 1e-3])
def test_a_call_takes_a_slice_of_epochs(seconds, calls, monkeypatch):
    loss = losses.get("mse")
    data, expected = given(loss), run(given(loss), model(loss), callbacks=[one_by_one], shuffle=True, seed=2)
    monkeypatch.setattr("fastgd.slices.SECONDS", seconds)
    got = run(data, model(loss), shuffle=True, seed=2)
    assert {3e-6: [2, 2, 2], 6e-6: [4, 3], 1e-3: [7]}[seconds] == calls
    assert got.model.params.tobytes() == expected.model.params.tobytes()
    assert got.history.loss == expected.history.loss


@pytest.mark.parametrize(
    "options",
    [
        {"callbacks": [one_by_one]}, {"trace": True}, {"schedule": fastgd.schedules.Cosine(t_max=5, by="epoch")},
        {"schedule": "adaptive"}, {"schedule": lambda t: 1 / t}, {"loss": losses.Own(losses.get("mse"))},
    ],
    ids=["callback", "trace", "cosine", "adaptive", "own schedule", "own loss"],
)  # fmt: skip
def test_what_needs_python_between_epochs_gets_one_at_a_time(options, calls):
    assert run(given(losses.get("mse")), model(losses.get("mse")), **options).history.epochs == EPOCHS
    assert not calls


def test_validation_pieces_and_rows_that_must_be_converted_take_one_epoch_at_a_time(calls):
    X, T = given(losses.get("mse"))
    for rows, more in [
        ((X, T), {"X_val": X, "t_val": T}), (([(X, T)], None), {}), ((X.astype("float32"), T), {})
    ]:  # fmt: skip
        trainer = fastgd.Trainer(model(losses.get("mse")))
        assert trainer.run(*rows, epochs=EPOCHS, **more).epochs == EPOCHS
    assert not calls


@pytest.mark.parametrize("shuffle", [False, True], ids=["in order", "shuffled"])
@pytest.mark.parametrize("lr", [0.35, 0.5, 2.0, 1e6])
def test_divergence_is_found_in_the_same_epoch_at_the_same_row(lr, shuffle, dtype, calls):
    data, ends = given(losses.get("mse"), dtype=dtype), []
    for callbacks in ([], [one_by_one]):
        trainer = fastgd.Trainer(
            model(losses.get("mse"), dtype=dtype), optimizer=fastgd.SGD(lr=lr), shuffle=shuffle, seed=0,
            callbacks=callbacks,
        )  # fmt: skip
        with pytest.raises(fastgd.DivergenceError) as info:
            trainer.run(*data, epochs=1000)
        arrays = [getattr(trainer._engine, name).tobytes() for name in checkpoint.STATE]
        ends.append((str(info.value), arrays, trainer.history.loss))
    assert ends[0] == ends[1]
    assert 0 in calls


def test_an_interruption_at_any_line_loses_nothing(calls):
    data, options = given(losses.get("mse")), {"batch_size": 8, "shuffle": True, "seed": 8}
    expected = run(data, model(losses.get("mse")), callbacks=[one_by_one], **options)
    for line in itertools.count():
        trainer = fastgd.Trainer(model(losses.get("mse")), **options)
        previous = sys.gettrace()
        sys.settrace(interrupting_tracer(line))
        try:
            trainer.run(*data, epochs=EPOCHS)
            break  # it came to its end before that line
        except KeyboardInterrupt:
            left = EPOCHS - int(trainer._engine.counters[0])
        finally:
            sys.settrace(previous)
        if left:
            trainer.run(*data, epochs=left)
        assert trainer.model.params.tobytes() == expected.model.params.tobytes(), line
        assert trainer.history.loss == expected.history.loss, line
        state, wanted = (t._orders.generator.bit_generator.state for t in (trainer, expected))
        assert state == wanted, line
    assert line > 30
    assert calls[-1] == EPOCHS


def test_an_interrupted_call_goes_on_through_a_file(tmp_path, monkeypatch):
    data, options = given(losses.get("mse")), {"shuffle": True, "seed": 8}
    expected = run(data, model(losses.get("mse")), callbacks=[one_by_one], **options)
    trainer = fastgd.Trainer(model(losses.get("mse")), **options)

    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "_visited", interrupted)  # when all epochs were visited, and the last is not finished
    with pytest.raises(KeyboardInterrupt):
        trainer.run(*data, epochs=EPOCHS)
    assert trainer.history.epochs == EPOCHS - 1
    trainer.save(tmp_path / "trainer.npz")
    trainer = fastgd.Trainer.load(tmp_path / "trainer.npz")
    trainer.run(*data, epochs=1)
    assert trainer.model.params.tobytes() == expected.model.params.tobytes()
    assert trainer.history.loss == expected.history.loss
    more, wanted = (t.run(*data, epochs=2).loss for t in (trainer, expected))
    assert more == wanted
