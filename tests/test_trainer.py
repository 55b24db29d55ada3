"""Training runs: chunks, interruption, resumption, divergence, and what is recorded."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
from passes import make_targets, relative

import fastgd

N, D = 10_000, 8


def make(loss="mse", dtype="float64", K=1, n=N, seed=0):
    K = max(K, 2) if loss == "cross_entropy" else K
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, D)).astype(dtype)
    raw = (X @ rng.normal(size=(D, K))).astype(dtype)
    return X, make_targets(fastgd.losses.get(loss), raw, rng)


def linear(K=1, dtype="float64"):
    return fastgd.Linear(D, K, dtype=dtype, seed=1)


def test_a_run_and_steps_and_cuts_with_saving_end_in_the_same_weights(loss, tmp_path):
    X, T = make(loss.name, K=2)
    options = {"loss": loss, "optimizer": fastgd.SGD(lr=0.02)}
    whole, stepped, cut = linear(2), linear(2), linear(2)
    fastgd.train(whole, X, T, **options)
    trainer = fastgd.Trainer(stepped, **options)
    for x, t in zip(X, T):
        trainer.step(x, t)
    rng = np.random.default_rng(2)
    trainer = fastgd.Trainer(cut, **options)
    cuts = [0, *np.sort(rng.choice(np.arange(1, N), 30, replace=False)), N]
    for number, (start, stop) in enumerate(itertools.pairwise(cuts)):
        trainer.run(X[start:stop], T[start:stop])
        if number % 5 == 0:
            trainer.save(tmp_path / "trainer.npz")
            trainer = fastgd.Trainer.load(tmp_path / "trainer.npz")
    assert relative(stepped.params, whole.params) < 1e-12
    assert relative(trainer.model.params, whole.params) < 1e-12
    assert trainer.updates == N


@pytest.mark.parametrize("batch_size", [1, 7])
def test_pieces_are_one_long_sequence_of_rows(batch_size):
    X, T = make(n=1000)
    weights = np.random.default_rng(3).choice([0.0, 1, 2], size=1000)
    options = {"batch_size": batch_size, "epochs": 3}
    whole, pieces = linear(), linear()
    expected = fastgd.train(whole, X, T, sample_weight=weights, **options)
    cuts = [(0, 1), (1, 400), (400, 402), (402, 1000)]
    history = fastgd.train(pieces, [(X[a:b], T[a:b], weights[a:b]) for a, b in cuts], **options)
    assert relative(pieces.params, whole.params) < 1e-12
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-12)
    generator = linear()
    fastgd.train(generator, ((X[a:b], T[a:b], weights[a:b]) for a, b in cuts), batch_size=batch_size)
    assert relative(generator.params, fit(X, T, sample_weight=weights, batch_size=batch_size).params) < 1e-12


def fit(X, T, **options):
    model = linear(T.shape[1], X.dtype)
    fastgd.train(model, X, T, **options)
    return model


def test_pieces_that_cannot_serve_are_refused():
    X, T = make(n=10)
    with pytest.raises(TypeError, match="X is an iterator, which gives its pieces once; epochs=2"):
        fastgd.train(linear(), iter([(X, T)]), epochs=2)
    with pytest.raises(TypeError, match=r"a piece must be \(X, t\) or \(X, t, sample_weight\), not ndarray"):
        fastgd.train(linear(), [X])
    with pytest.raises(ValueError, match="X has no pieces"):
        fastgd.train(linear(), [])
    with pytest.raises(TypeError, match="sample_weight goes into the pieces"):
        fastgd.train(linear(), [(X, T)], sample_weight=np.ones(10))


def test_the_same_seed_gives_the_same_bits_and_another_does_not(dtype):
    X, T = make(dtype=dtype, n=500)
    runs = [fit(X, T, shuffle=True, seed=seed, epochs=2).params.tobytes() for seed in (4, 4, 5)]
    assert runs[0] == runs[1] != runs[2]


def test_shuffling_visits_every_row_once_an_epoch():
    X, T = make(n=500)
    model = linear()
    history = fastgd.train(model, X, T, shuffle=True, seed=6, epochs=2, trace=True)
    order = np.concatenate([p for g in [np.random.default_rng(6)] for p in (g.permutation(500), g.permutation(500))])
    assert relative(model.params, fit(X[order], T[order]).params) < 1e-12
    assert len(history.trace) == 1000


def test_history_is_the_loss_before_each_update(loss):
    X, T = make(loss.name, n=300, K=2)
    weights = np.random.default_rng(7).choice([0.0, 0.5, 2], size=300)
    model = linear(2)
    history = fastgd.train(model, X, T, loss=loss, sample_weight=weights, trace=True, epochs=2)
    rows = np.flatnonzero(weights)
    before, values = linear(2), []
    for step, row in enumerate([*rows, *rows]):
        before.params[:] = history.trace.params[step]
        value, slope = fastgd.gradient(before, X[row], T[row], loss)
        values.append(value)
        norm = np.linalg.norm(np.concatenate([s.ravel() for s in slope.values()]))
        np.testing.assert_allclose(history.trace.grad_norm[step], weights[row] * norm, rtol=1e-12)
    np.testing.assert_allclose(history.trace.loss, values, rtol=1e-12)
    epochs = np.array(values).reshape(2, -1) @ weights[rows] / weights.sum()
    np.testing.assert_allclose(history.loss, epochs, rtol=1e-12)
    assert history.trace.params.shape == (2 * rows.size, model.params.size)
    assert history.epochs == 2
    assert history.seconds > 0


def test_a_trace_changes_no_step_and_single_steps_are_traced_too():
    X, T = make(n=200)
    plain, traced, stepped = linear(), linear(), linear()
    fastgd.train(plain, X, T)
    run = fastgd.train(traced, X, T, trace=True)
    assert relative(traced.params, plain.params) < 1e-12
    trainer = fastgd.Trainer(stepped, trace=True)
    for x, t in zip(X, T):
        trainer.step(x, t)
    np.testing.assert_allclose(trainer.history.trace.params, run.trace.params, rtol=1e-12)
    np.testing.assert_allclose(trainer.history.trace.loss, run.trace.loss, rtol=1e-9)


def test_a_large_trace_is_made_when_it_is_asked_for():
    X, T = make(n=100)
    with pytest.raises(ValueError, match=r"would record 100 updates in 8.8e-06 GB; trace_limit allows 1e-06"):
        fastgd.train(linear(), X, T, trace=True, trace_limit=1000)
    assert len(fastgd.train(linear(), X, T, trace=True, trace_limit=10**4).trace) == 100


def test_validation_loss_is_that_of_evaluate(loss):
    X, T = make(loss.name, n=300)
    seen = []
    model = linear(2 if loss.coupled else 1)
    history = fastgd.train(
        model, X[:200], T[:200], loss=loss, epochs=3, X_val=X[200:], t_val=T[200:],
        callbacks=[lambda h: seen.append(fastgd.evaluate(h.model, X[200:], T[200:], loss))],
    )  # fmt: skip
    assert history.val_loss == seen
    assert len(history.loss) == len(seen) == 3


def test_a_callback_that_returns_true_stops():
    X, T = make(n=50)
    called = []
    callbacks = [lambda h: h.epochs == 2, lambda h: called.append(h.epochs)]
    assert fastgd.train(linear(), X, T, epochs=10, callbacks=callbacks).epochs == 2
    assert called == [1, 2]
    assert fastgd.train(linear(), X, T, epochs=3, callbacks=[lambda h: h.loss[-1]]).epochs == 3  # a number is no True


@pytest.mark.parametrize("restore_best", [True, False])
def test_early_stopping_watches_validation_and_restores_the_best(restore_best):
    X, T = make(n=60)
    wanted = [5.0, 4.0, 3.0, 3.5, 3.5, 3.5, 1.0]
    stopper, kept = fastgd.EarlyStopping(patience=3, restore_best=restore_best), []

    def pretend(history):
        history.val_loss[:] = wanted[: history.epochs]
        kept.append(history.model.params.copy())

    model = linear()
    history = fastgd.train(model, X, T, epochs=7, X_val=X, t_val=T, callbacks=[pretend, stopper])
    assert history.epochs == 6
    assert (stopper.best, stopper.best_epoch) == (3.0, 2)
    assert model.params.tobytes() == kept[2 if restore_best else 5].tobytes()


def test_early_stopping_without_validation_watches_the_loss():
    X, T = make(n=60)
    history = fastgd.train(linear(), X, T, optimizer=fastgd.SGD(lr=0), epochs=50, callbacks=[fastgd.EarlyStopping(4)])
    assert history.epochs == 5
    with pytest.raises(ValueError, match="patience=0 must be an integer of at least 1"):
        fastgd.EarlyStopping(0)


# ------------------------------------------------------------------------------------------------------ step


def test_step_takes_a_sample_or_a_batch(loss, dtype):
    X, T = make(loss.name, dtype, K=2, n=40)
    for take in (lambda a: a, np.ndarray.tolist, lambda a: a.astype("float64"), np.asfortranarray):
        stepped, looped = linear(2, dtype), linear(2, dtype)
        trainer = fastgd.Trainer(stepped, loss=loss)
        first = trainer.step(take(X[0]), take(T[0]))
        second = trainer.step(take(X[1:]), take(T[1:]))
        value, _ = fastgd.gradient(looped, X[0], T[0], loss)
        assert first == pytest.approx(value, rel=1e-6)
        fastgd.train(looped, X[:1], T[:1], loss=loss)
        assert second == pytest.approx(fastgd.evaluate(looped, X[1:], T[1:], loss), rel=1e-5)
        fastgd.train(looped, X[1:], T[1:], loss=loss, batch_size=39)
        assert relative(stepped.params, looped.params) < (1e-14 if dtype == "float64" else 1e-6)
        assert trainer.updates == 2


def test_step_takes_a_number_as_target():
    x, t = np.ones(D), 2.0
    stepped = linear()
    trainer = fastgd.Trainer(stepped)
    for target in (t, np.float64(t), np.float32(t), int(t), [t], np.array([t]), np.array(t)):
        trainer.step(x, target)
    expected = linear()
    fastgd.train(expected, np.ones((7, D)), np.full(7, t))
    assert relative(stepped.params, expected.params) < 1e-14


@pytest.mark.parametrize(
    ("x", "t", "error", "message"),
    [
        (np.ones(D + 1), 1.0, ValueError, r"x has shape \(9,\); the model takes \(8,\)"),
        (np.ones((2, D + 1)), [1.0, 2], ValueError, r"x has shape \(2, 9\); the model takes \(n, 8\)"),
        (np.ones(D), [1.0, 2], ValueError, r"t has shape \(2,\); allowed is \(1,\)"),
        (np.ones(D), np.nan, ValueError, "t has nan in row 0"),
        (np.full(D, np.nan), 1.0, ValueError, "x has nan in row 0, column 0"),
        (["a"] * D, 1.0, TypeError, "x must hold real numbers"),
        (np.ones(D), "a", TypeError, "t must hold real numbers"),
        (np.full(D, 1e200), 1.0, fastgd.DivergenceError, "the loss or a weight is not finite"),
    ],
)
def test_step_refuses_what_is_wrong_and_changes_nothing(x, t, error, message):
    model = linear()
    trainer = fastgd.Trainer(model)
    trainer.step(np.ones(D), 1.0)
    before = model.params.copy()
    with pytest.raises(error, match=message):
        trainer.step(x, t)
    assert model.params.tobytes() == before.tobytes()
    assert trainer.updates == 1
    trainer.step(np.ones(D), 1.0)


def test_a_copied_trainer_goes_its_own_way():
    X, T = make(n=100)
    model = linear()
    fastgd.train(model, X, T)
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.params.tobytes() == model.params.tobytes()
        assert np.shares_memory(other.weight, other.params)
        assert not np.shares_memory(other.params, model.params)
        assert other.loss == model.loss
        before = model.params.copy()
        fastgd.train(other, X, T)
        assert model.params.tobytes() == before.tobytes() != other.params.tobytes()


def test_early_stopping_starts_afresh_with_each_run_and_model():
    X, T = make(n=60)
    stopper = fastgd.EarlyStopping(patience=3)
    options = {"optimizer": fastgd.SGD(lr=1e-4), "epochs": 10, "callbacks": [stopper]}
    first, second = linear(), linear()
    fastgd.train(first, X, T, **options)
    fastgd.train(second, X, 100 * T, **options)
    assert relative(second.params, fit(X, 100 * T, optimizer=fastgd.SGD(lr=1e-4), epochs=10).params) < 1e-12
    trainer = fastgd.Trainer(linear(), optimizer=fastgd.SGD(lr=1e-4), callbacks=[stopper])
    trainer.run(X, T, epochs=10)
    trainer.run(X, 100 * T, epochs=10)
    assert trainer.history.epochs == 20
    assert stopper.best_epoch == 19


def test_a_progress_bar_for_rows_and_for_pieces(capsys):
    X, T = make(n=50)
    fastgd.train(linear(), X, T, epochs=2, progress=True)
    assert "100/100" in capsys.readouterr().err
    fastgd.train(linear(), [(X, T), (X, T)], progress=True)
    assert "100 rows" in capsys.readouterr().err


def test_what_the_engine_holds_cannot_be_assigned():
    model = linear()
    trainer = fastgd.Trainer(model)
    for thing, names in ((trainer, ("model", "loss", "optimizer", "batch_size")),
                         (model, ("params", "in_features", "out_features", "dtype"))):  # fmt: skip
        for name in names:
            with pytest.raises(AttributeError):
                setattr(thing, name, getattr(thing, name))


def test_labels_stay_signed_across_pieces_steps_and_saving(tmp_path):
    X = np.array([[-1.0], [1.0]])
    trainer = fastgd.Trainer(fastgd.Linear(1, 1, seed=0), loss="log_loss", optimizer=fastgd.SGD(lr=1.0))
    trainer.run([(X, [-1, 1]), (X[1:], [1])])
    trainer.step(X[1], 1.0)
    trainer.step([1.0], 1)
    trainer.save(tmp_path / "trainer.npz")
    other = fastgd.Trainer.load(tmp_path / "trainer.npz")
    other.step(X[1], 1.0)
    for model in (trainer.model, other.model):
        assert set(model.predict(X, "label").ravel()) == {-1, 1}


def test_a_single_step_keeps_to_the_limit_of_the_trace():
    X, T = make(n=3)
    trainer = fastgd.Trainer(linear(), trace=True, trace_limit=200)
    trainer.step(X[0], T[0])
    trainer.step(X[1], T[1])
    with pytest.raises(ValueError, match="would record 3 updates"):
        trainer.step(X[2], T[2])
