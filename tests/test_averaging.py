"""Averaged iterates: the model shows their mean, and training goes on from the last."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from passes import relative
from test_interruption import interrupt_at

import fastgd
from fastgd import optimizers, penalties

N, D = 60, 6
rng = np.random.default_rng(0)
X = rng.normal(size=(N, D)) * (rng.random((N, D)) < 0.5)
S = sp.csr_array(X)
T = X @ rng.normal(size=(D, 2)) + rng.normal(size=(N, 2))
SIZES = [(D, 2), (D, 3, 2)]

METHODS = {
    **{name: {"optimizer": choice(lr=0.03)} for name, choice in optimizers.registry.items()},
    "momentum": {"optimizer": fastgd.SGD(lr=0.01, momentum=0.9, weight_decay=0.1)},
    "lazy adam": {"optimizer": fastgd.Adam(lr=0.03, lazy=True)},
    "l1": {"penalty": penalties.L1(0.05)},
    "l2": {"penalty": penalties.L2(0.5)},
    "elasticnet": {"penalty": penalties.ElasticNet(0.1, 0.5)},
    "batches": {"batch_size": 7},
    "invscaling": {"schedule": "invscaling"},
    "pa1": {"loss": "epsilon_insensitive", "schedule": "pa1"},
    "by epoch": {"schedule": fastgd.schedules.Exponential(0.5)},
    "clipped": {"clip_norm": 0.1},
}  # fmt: skip


def model(sizes=SIZES[0], dtype="float64"):
    return fastgd.MLP(sizes, "tanh", dtype=dtype, seed=1)


def trainer(sizes=SIZES[0], dtype="float64", **options):
    return fastgd.Trainer(model(sizes, dtype), **options)


def iterates(sizes=SIZES[0], given=X, epochs=1, dtype="float64", **options):
    """Return the parameters after each update of a run that is not averaged, and its history."""
    plain = model(sizes, dtype)
    history = fastgd.train(plain, given, T, epochs=epochs, trace=True, **options)
    return np.vstack([history.trace.params[1:], plain.params]).astype(np.float64), history


def sizes_of(name):
    return SIZES[:1] if name == "pa1" else SIZES


@pytest.mark.parametrize("given", [X, S], ids=["dense", "CSR"])
@pytest.mark.parametrize("name", METHODS)
def test_the_model_is_the_mean_of_the_iterates(name, given):
    for sizes in sizes_of(name):
        path, plain = iterates(sizes, given, epochs=2, **METHODS[name])
        for start in (True, 1, 2, 9, len(path) - 1, len(path)):
            averaged = trainer(sizes, average=start, **METHODS[name])
            history = averaged.run(given, T, epochs=2)
            assert relative(averaged.model.params, path[int(start) - 1 :].mean(axis=0)) < 1e-12
            np.testing.assert_allclose(history.loss, plain.loss, rtol=1e-12)


def test_means_in_float32():
    for given in (X, S):
        path, _ = iterates(given=given, epochs=5, dtype="float32")
        averaged = trainer(dtype="float32", average=True)
        averaged.run(given, T, epochs=5)
        assert relative(averaged.model.params, path.mean(axis=0)) < 1e-5


@pytest.mark.parametrize("name", METHODS)
def test_before_the_start_step_the_model_is_the_last_iterate(name):
    for sizes in sizes_of(name):
        path, _ = iterates(sizes, **METHODS[name])
        for given in (X, S):
            averaged = trainer(sizes, average=len(path) + 3, **METHODS[name])
            averaged.run(given, T)
            assert relative(averaged.model.params, path[-1]) < 1e-12
        if name not in ("by epoch", "batches"):
            averaged.run(given, T)
            longer, _ = iterates(sizes, epochs=2, **METHODS[name])
            assert relative(averaged.model.params, longer[len(path) + 2 :].mean(axis=0)) < 1e-12


@pytest.mark.parametrize("given", [X, S], ids=["dense", "CSR"])
@pytest.mark.parametrize("name", METHODS)
def test_runs_steps_and_files_go_on_from_the_last_iterate(name, given, tmp_path):
    if "batch_size" in METHODS[name]:
        steps = [slice(start, start + 7) for start in range(0, N, 7)]
    else:
        steps = [slice(row, row + 1) for row in range(N)]
    for sizes in sizes_of(name):
        path, plain = iterates(sizes, given, epochs=2, **METHODS[name])
        averaged = trainer(sizes, average=5, **METHODS[name])
        averaged.run(given, T)
        averaged.save(tmp_path / "trainer.npz")
        averaged = fastgd.Trainer.load(tmp_path / "trainer.npz")
        values = [averaged.step(given[rows], T[rows]) for rows in steps]
        assert relative(averaged.model.params, path[4:].mean(axis=0)) < 1e-12
        np.testing.assert_allclose(values, plain.trace.loss[len(steps) :], rtol=1e-9)


def test_a_trace_of_an_averaged_run_is_the_path_of_the_iterates():
    for given in (X, S):
        path, plain = iterates(given=given)
        averaged = trainer(average=20, trace=True)
        trace = averaged.run(given, T).trace
        assert relative(trace.params[1:], path[:-1]) < 1e-12
        np.testing.assert_allclose(trace.loss, plain.trace.loss, rtol=1e-12)
        assert relative(averaged.model.params, path[19:].mean(axis=0)) < 1e-12


def test_validation_and_callbacks_see_the_mean():
    seen = []

    def look(history):
        seen.append((history.model.params.copy(), fastgd.evaluate(history.model, X, T)))

    history = trainer(average=True, callbacks=[look]).run(X, T, epochs=4, X_val=X, t_val=T)
    path, _ = iterates(epochs=4)
    for epoch, (params, value) in enumerate(seen):
        assert relative(params, path[: (epoch + 1) * N].mean(axis=0)) < 1e-12
        assert history.val_loss[epoch] == value


@pytest.mark.parametrize("restore_best", [True, False])
def test_early_stopping_restores_the_best_mean(restore_best):
    # the best of made-up losses is the second epoch; the third and fourth are worse
    def pretend(history):
        history.val_loss[:] = [3.0, 1.0, 2.0, 2.0, 2.0][: history.epochs]

    averaged = trainer(average=True, callbacks=[pretend, fastgd.EarlyStopping(2, restore_best=restore_best)])
    averaged.run(X, T, epochs=5, X_val=X, t_val=T)
    path, _ = iterates(epochs=4)
    best = path[: (2 if restore_best else 4) * N].mean(axis=0)
    assert averaged.history.epochs == 4
    assert relative(averaged.model.params, best) < 1e-12
    # what was restored is where the next run begins, as after an assignment
    averaged.callbacks = ()
    averaged.run(X, T)
    if restore_best:
        again = model()
        again.params[:] = best
        trace = fastgd.train(again, X, T, trace=True).trace.params
        assert relative(averaged.model.params, np.vstack([trace[1:], again.params]).mean(axis=0)) < 1e-11
    else:
        assert relative(averaged.model.params, iterates(epochs=5)[0].mean(axis=0)) < 1e-12


@pytest.mark.parametrize("saved", [False, True], ids=["", "through a file"])
@pytest.mark.parametrize("how", ["params", "weight", "bias", "one number"])
def test_parameters_that_are_assigned_begin_a_new_average(how, saved, tmp_path):
    averaged = fastgd.Trainer(fastgd.Linear(D, 2, seed=1), average=True)
    averaged.run(X, T)
    mean = averaged.model.params.copy()
    expected = fastgd.Linear(D, 2)
    for changed in (averaged.model, expected):
        changed.params[:] = mean
        if how == "params":
            changed.params[:] = 0.5
        elif how == "weight":
            changed.weight = np.ones((2, D))
        elif how == "bias":
            changed.bias = [1.0, 2.0]
        else:
            changed.weight[1, 2] = -3
    if saved:
        averaged.save(tmp_path / "trainer.npz")
        averaged = fastgd.Trainer.load(tmp_path / "trainer.npz")
    for _ in range(2):
        averaged.step(X[0], T[0])
    averaged.run(X, T)
    trace = []
    for _ in range(2):
        fastgd.train(expected, X[:1], T[:1])
        trace.append(expected.params.copy())
    history = fastgd.train(expected, X, T, trace=True)
    path = np.vstack([*trace, history.trace.params[1:], expected.params])
    assert relative(averaged.model.params, path.mean(axis=0)) < 1e-12


@pytest.mark.parametrize("saved", [False, True], ids=["", "through a file"])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("name", ["sgd", "ftrl"])
def test_assigned_parameters_are_where_training_goes_on(name, average, saved, tmp_path):
    # FTRL's weights follow from its state, which must not overrule an assignment, saved or not
    given = {"optimizer": optimizers.registry[name](lr=0.03), "average": average}
    first = trainer(**given)
    first.run(X, T)
    first.model.params[:] = 0.5
    if saved:
        first.save(tmp_path / "trainer.npz")
        first = fastgd.Trainer.load(tmp_path / "trainer.npz")
    first.run(X, T)
    again = trainer(**given)
    again.model.params[:] = 0.5
    again.run(X, T)
    assert relative(first.model.params, again.model.params) < 1e-12


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("slices", [0, 2, 5])
@pytest.mark.parametrize("name", optimizers.registry)
def test_an_interrupted_run_shows_a_mean_and_goes_on(name, slices, batch_size, tmp_path, monkeypatch):
    monkeypatch.setattr("fastgd.slices.rows", lambda *sizes: 8)
    given = {**METHODS[name], "average": 10, "batch_size": batch_size, "shuffle": True, "seed": 4}
    expected = trainer(**given)
    expected.run(X, T, epochs=2)
    path, _ = iterates(epochs=2, **{key: value for key, value in given.items() if key != "average"})
    averaged = trainer(**given)
    interrupt_at(averaged, slices)
    with pytest.raises(KeyboardInterrupt):
        averaged.run(X, T, epochs=2)
    made = averaged.updates
    assert 0 <= made < len(path)
    if made:
        shown = path[9:made].mean(axis=0) if made >= 10 else path[made - 1]
        assert relative(averaged.model.params, shown) < 1e-12
    averaged.save(tmp_path / "trainer.npz")
    averaged = fastgd.Trainer.load(tmp_path / "trainer.npz")
    averaged.run(X, T, epochs=2 - averaged.history.epochs)
    assert averaged.model.params.tobytes() == expected.model.params.tobytes()


def test_a_refused_call_changes_neither_mean_nor_iterate():
    averaged, whole = trainer(average=True), trainer(average=True)
    averaged.run(X, T)
    shown = averaged.model.params.copy()
    broken = X.copy()
    broken[-1, 2] = np.nan
    with pytest.raises(ValueError, match=f"X has nan in row {N - 1}, column 2"):
        averaged.run(broken, T)
    with pytest.raises(ValueError, match="x has nan"):
        averaged.step(broken[-1], T[-1])
    with pytest.raises(fastgd.DivergenceError):
        averaged.step(np.full(D, 1e200), T[0])
    assert averaged.model.params.tobytes() == shown.tobytes()
    averaged.end_epoch()
    averaged.run(X, T)
    whole.run(X, T, epochs=2)
    assert averaged.model.params.tobytes() == whole.model.params.tobytes()
