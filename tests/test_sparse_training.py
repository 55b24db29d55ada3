"""Training on sparse rows, through everything that takes rows: the same numbers as dense ones, in any cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from passes import RUN_TOLERANCE, make_targets, relative
from test_interruption import interrupt_at

import fastgd
from fastgd import losses, penalties

N, D = 240, 11
SIZES = [(D, 2), (D, 5, 2)]


def make(loss="mse", dtype="float64", K=2, n=N, seed=0):
    """Return dense X, the same as CSR, and targets; every seventh row is empty, and one column."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, D)) * (rng.random((n, D)) < 0.3)).astype(dtype)
    X[::7], X[:, 4] = 0, 0
    chosen = losses.get(loss)
    K = max(K, 2) if chosen.coupled else K
    return X, sp.csr_array(X), make_targets(chosen, (X @ rng.normal(size=(D, K))).astype(dtype), rng)


def model(sizes, dtype="float64"):
    return fastgd.MLP(sizes, "tanh", dtype=dtype, seed=1)


def same(a, b, tolerance=1e-12):
    """Hold two runs' histories to each other."""
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=tolerance)
    if a.trace is not None:
        for name in ("loss", "grad_norm", "params"):
            assert relative(getattr(a.trace, name), getattr(b.trace, name)) < tolerance


WEIGHTS = np.random.default_rng(9).choice([0.0, 0.5, 1, 2], size=N)
SGD = fastgd.SGD(lr=0.05)
OPTIONS = {
    "plain": {},
    "shuffled": {"shuffle": True, "seed": 3},
    "weighted": {"sample_weight": WEIGHTS},
    "batches": {"batch_size": 7, "shuffle": True, "seed": 3, "sample_weight": WEIGHTS},
    "l1": {"penalty": penalties.L1(0.02)},
    "l2, shuffled, weighted": {"penalty": penalties.L2(0.1), "shuffle": True, "seed": 3, "sample_weight": WEIGHTS},
    "elasticnet, averaged": {"penalty": penalties.ElasticNet(0.05, 0.5), "average": True},
    "l1 on the bias, averaged": {"penalty": penalties.L1(0.02, include_bias=True), "average": 100},
    "l2, optimal": {"penalty": penalties.L2(0.1), "schedule": fastgd.schedules.Optimal(0.1), "average": 50},
    "elasticnet in batches": {"penalty": penalties.ElasticNet(0.05, 0.5), "batch_size": 5},
    "l1, cosine": {"penalty": penalties.L1(0.02), "schedule": fastgd.schedules.Cosine(N, by="step")},
    "elasticnet, invscaling": {"penalty": penalties.ElasticNet(0.05, 0.5), "schedule": "invscaling"},
    "clipped": {"clip_norm": 0.3, "clip_value": 0.2, "average": True},
    "clipped by norm": {"clip_norm": 0.3, "penalty": penalties.L2(0.1)},
    "momentum": {"optimizer": fastgd.SGD(lr=0.01, momentum=0.9, dampening=0.1, weight_decay=0.05), "average": 30},
    "nesterov": {"optimizer": fastgd.SGD(lr=0.01, momentum=0.9, nesterov=True), "penalty": "l2"},
    "weight decay": {"optimizer": fastgd.SGD(lr=0.05, weight_decay=0.2), "average": True},
    "adam": {"optimizer": fastgd.Adam(lr=0.01), "average": 100},
    "lazy adam": {"optimizer": fastgd.Adam(lr=0.01, lazy=True), "average": 7, "sample_weight": WEIGHTS},
    "lazy adam in batches": {"optimizer": fastgd.Adam(lr=0.01, lazy=True), "batch_size": 4},
    "adamw": {"optimizer": fastgd.AdamW(lr=0.01, amsgrad=True)},
    "adagrad": {"optimizer": fastgd.Adagrad(lr=0.1), "average": True, "shuffle": True, "seed": 3},
    "adagrad with decay": {"optimizer": fastgd.Adagrad(lr=0.1, lr_decay=0.01), "penalty": "l2", "clip_norm": 1.0},
    "rmsprop": {"optimizer": fastgd.RMSprop(lr=0.01, centered=True, momentum=0.5), "average": True},
    "ftrl": {"optimizer": fastgd.FTRL(lr=0.3, l1=0.05, l2=0.1), "average": True, "sample_weight": WEIGHTS},
    "ftrl in batches": {"optimizer": fastgd.FTRL(lr=0.3, l1=0.05), "batch_size": 3},
}  # fmt: skip


def trained(sizes, X, T, dtype="float64", **options):
    fitted = model(sizes, dtype)
    return fitted, fastgd.train(fitted, X, T, **{"optimizer": SGD, **options})


@pytest.mark.parametrize("sizes", SIZES, ids=["linear", "network"])
@pytest.mark.parametrize("chosen", OPTIONS)
def test_csr_trains_like_dense_rows(chosen, sizes):
    X, S, T = make()
    for trace in (False, True):
        more = {"epochs": 3, "trace": trace, **OPTIONS[chosen]}
        dense, expected = trained(sizes, X, T, X_val=X[:50], t_val=T[:50], **more)
        sparse, history = trained(sizes, S, T, X_val=S[:50], t_val=T[:50], **more)
        assert relative(sparse.params, dense.params) < 1e-11
        same(history, expected, 1e-10)


@pytest.mark.parametrize("chosen", ["l1", "l1, cosine", "elasticnet in batches", "elasticnet, invscaling", "ftrl"])
def test_the_same_weights_become_exactly_zero(chosen):
    X, S, T = make()
    options = {**OPTIONS[chosen], "average": False}
    if chosen == "ftrl":
        options["optimizer"] = fastgd.FTRL(lr=0.3, l1=20.0)
    dense, _ = trained(SIZES[0], X, T, **options)
    sparse, _ = trained(SIZES[0], S, T, **options)
    np.testing.assert_array_equal(sparse.params == 0, dense.params == 0)
    assert (sparse.params == 0).any()


@pytest.mark.parametrize("sizes", SIZES, ids=["linear", "network"])
def test_every_loss_on_csr(loss, dtype, sizes):
    X, S, T = make(loss.name, dtype)
    dense, expected = trained(sizes, X, T, dtype, loss=loss)
    sparse, history = trained(sizes, S, T, dtype, loss=loss)
    assert relative(sparse.params, dense.params) < RUN_TOLERANCE[dtype]
    np.testing.assert_allclose(history.loss, expected.loss, rtol=RUN_TOLERANCE[dtype])
    assert fastgd.evaluate(sparse, S, T, loss) == pytest.approx(
        fastgd.evaluate(sparse, X, T, loss), rel=RUN_TOLERANCE[dtype]
    )
    value, slopes = fastgd.gradient(sparse, S, T, loss)
    wanted, by_dense = fastgd.gradient(sparse, X, T, loss)
    assert value == pytest.approx(wanted, rel=RUN_TOLERANCE[dtype])
    for name, slope in slopes.items():
        assert relative(slope, by_dense[name]) < RUN_TOLERANCE[dtype]
    row = fastgd.gradient(sparse, S[[1]], T[1:2], loss)[1]
    for name, slope in fastgd.gradient(sparse, X[1], T[1] if T.shape[1] > 1 else T[1, 0], loss)[1].items():
        assert relative(row[name], slope) < RUN_TOLERANCE[dtype]


@pytest.mark.parametrize(("loss", "kinds"), [("mse", ["mean"]), ("log_loss", ["mean", "label"]), ("hinge", ["label"]),
                                             ("cross_entropy", ["mean", "label"])])  # fmt: skip
@pytest.mark.parametrize("sizes", SIZES, ids=["linear", "network"])
def test_predictions_of_every_kind(loss, kinds, sizes, dtype):
    X, S, T = make(loss, dtype)
    fitted, _ = trained(sizes, S, T, dtype, loss=loss)
    for kind in ("raw", *kinds):
        expected = fitted.predict(X, kind)
        for given in (S, sp.csc_matrix(S), sp.coo_array(S)):
            predicted = fitted.predict(given, kind)
            assert (predicted.shape, predicted.dtype) == (expected.shape, expected.dtype)
            assert relative(predicted, expected) < RUN_TOLERANCE[dtype]
    assert relative(fitted(S), fitted(X)) < RUN_TOLERANCE[dtype]


@pytest.mark.parametrize("sizes", SIZES, ids=["linear", "network"])
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_a_model_of_another_dtype_and_other_formats(index, sizes):
    X, S, T = make()
    S.indices, S.indptr = S.indices.astype(index), S.indptr.astype(index)
    for dtype in ("float32", "float64"):
        dense, _ = trained(sizes, X, T, dtype, shuffle=True, seed=2, batch_size=3, epochs=2)
        for given in (S, S.astype("float32") if dtype == "float32" else S, sp.csc_array(S), sp.coo_matrix(S)):
            sparse, _ = trained(sizes, given, T, dtype, shuffle=True, seed=2, batch_size=3, epochs=2)
            assert relative(sparse.params, dense.params) < RUN_TOLERANCE[dtype]
    assert S.indices.dtype == index


@pytest.mark.parametrize("chosen", ["plain", "shuffled", "batches", "l1", "elasticnet, averaged", "momentum", "ftrl"])
def test_pieces_may_be_dense_or_sparse(chosen):
    X, S, T = make()
    options = {"optimizer": SGD, "epochs": 3, **OPTIONS[chosen]}
    weights = options.pop("sample_weight", np.ones(N))
    cuts = [(0, 1), (1, 80), (80, 82), (82, 150), (150, N)]
    dense, mixed = model(SIZES[0]), model(SIZES[0])
    expected = fastgd.train(dense, [(X[a:b], T[a:b], weights[a:b]) for a, b in cuts], **options)
    given = [((S, X)[i % 2][a:b], T[a:b], weights[a:b]) for i, (a, b) in enumerate(cuts)]
    history = fastgd.train(mixed, given, **options)
    assert relative(mixed.params, dense.params) < 1e-12
    same(history, expected)


@pytest.mark.parametrize("chosen", OPTIONS)
def test_any_cut_of_sparse_rows_is_one_run(chosen, tmp_path):
    # what is put off in a pass (decays, debts, means) is settled between any two
    _, S, T = make()
    options = {"optimizer": SGD, **OPTIONS[chosen], "shuffle": False, "seed": None}
    weights, batch_size = options.pop("sample_weight", np.ones(N)), options.get("batch_size", 1)
    behind = np.cumsum(weights > 0)  # a batch is so many rows of non-zero weight
    between = 1 + np.flatnonzero((weights > 0) & (behind % batch_size == 0))[:-1]
    starts = [0, *between[[0, 1, 9, 10, 20, -1]], N]
    whole = model(SIZES[0])
    fastgd.train(whole, S, T, sample_weight=weights, **options)
    trainer = fastgd.Trainer(model(SIZES[0]), **options)
    for number, (start, stop) in enumerate(itertools.pairwise(starts)):
        rows = slice(start, stop)
        if stop - start == batch_size and (weights[rows] == 1).all():
            trainer.step(S[rows], T[rows])
        else:
            trainer.run(S[rows], T[rows], sample_weight=weights[rows])
        if number % 2:
            trainer.save(tmp_path / "trainer.npz")
            trainer = fastgd.Trainer.load(tmp_path / "trainer.npz")
    assert relative(trainer.model.params, whole.params) < 1e-12


@pytest.mark.parametrize("chosen", [name for name in OPTIONS if "sample_weight" not in OPTIONS[name]])
def test_steps_with_sparse_rows_are_a_run(chosen):
    X, S, T = make(n=60)
    options = {"optimizer": SGD, **OPTIONS[chosen], "shuffle": False, "seed": None}
    size = options.pop("batch_size", 1)
    trainer, whole = fastgd.Trainer(model(SIZES[0]), **options), model(SIZES[0])
    fastgd.train(whole, S, T, batch_size=size, **options)
    for number, start in enumerate(range(0, 60, size)):
        given = S if number % 3 else X  # dense steps between sparse ones
        trainer.step(given[start : start + size], T[start : start + size])
    assert relative(trainer.model.params, whole.params) < 1e-12


def test_a_step_takes_a_sparse_vector():
    X, _, T = make(n=20)
    stepped, dense = (fastgd.Trainer(model(SIZES[1]), optimizer=SGD) for _ in range(2))
    for row in range(20):
        values = [stepped.step(sp.coo_array(X[row]), T[row]), dense.step(X[row], T[row])]
        assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert relative(stepped.model.params, dense.model.params) < 1e-12


@pytest.mark.parametrize("chosen", OPTIONS)
def test_a_matrix_without_non_zeros(chosen):
    # the bias is all that can learn, and what decays decays
    options = {**OPTIONS[chosen], "epochs": 2}
    T = make()[2]
    dense, _ = trained(SIZES[0], np.zeros((N, D)), T, **options)
    sparse, history = trained(SIZES[0], sp.csr_array((N, D)), T, **options)
    assert relative(sparse.params, dense.params) < 1e-12
    assert np.isfinite(history.loss).all()
    assert fastgd.evaluate(sparse, sp.csr_array((N, D)), T) == pytest.approx(
        fastgd.evaluate(sparse, np.zeros((N, D)), T), rel=1e-12
    )


def snapshot(trainer):
    engine_, history = trainer._engine, trainer.history
    # the sums of an epoch that has ended are cleared when the next begins; the debt stays
    arrays = [trainer.model.params, engine_.state, engine_.gradient, engine_.counters, engine_.totals[-1:]]
    return [a.tobytes() for a in arrays], list(history.loss), list(history.val_loss)


@pytest.mark.parametrize("chosen", ["plain", "batches", "l1", "l2, optimal", "elasticnet, averaged", "momentum", "adam",
                                    "lazy adam", "ftrl"])  # fmt: skip
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named_and_nothing_is_changed(chosen, value):
    _, S, T = make()
    options = {"optimizer": SGD, **OPTIONS[chosen]}
    weights = options.pop("sample_weight", None)
    bad = S.copy()
    place = int(bad.indptr[101])
    bad.data[place] = value
    where = f"{value} in row 101, column {bad.indices[place]}; its numbers must be finite in float64"
    trainer = fastgd.Trainer(model(SIZES[0]), **options)
    trainer.run(S, T, sample_weight=weights)
    before = snapshot(trainer)
    with pytest.raises(ValueError, match=f"X has {where}"):
        trainer.run(bad, T)
    with pytest.raises(ValueError, match=f"x has {value} in row 0, column {bad.indices[place]}"):
        trainer.step(bad[[101]], T[101:102])
    assert snapshot(trainer) == before
    for call in (lambda: fastgd.evaluate(trainer.model, bad, T), lambda: fastgd.gradient(trainer.model, bad, T)):
        with pytest.raises(ValueError, match=f"[Xx] has {where}"):
            call()
    assert snapshot(trainer) == before


def test_a_number_too_large_for_the_model_is_named():
    _, S, T = make()
    S.data[int(S.indptr[5])] = 1e300
    fitted = model(SIZES[0], "float32")
    before = fitted.params.copy()
    with pytest.raises(ValueError, match=r"X has 1e\+300 in row 5, column \d+; its numbers must be finite in float32"):
        fastgd.train(fitted, S, T)
    assert fitted.params.tobytes() == before.tobytes()


@pytest.mark.parametrize("sizes", SIZES, ids=["linear", "network"])
@pytest.mark.parametrize(
    "chosen", ["plain", "batches", "l1", "l2, optimal", "elasticnet, averaged", "momentum", "adam"]
)
def test_divergence_on_sparse_rows(chosen, sizes):
    _, S, T = make(n=N)
    S.data[int(S.indptr[200]) :] *= 1e200
    options = {"optimizer": SGD, **OPTIONS[chosen], "shuffle": False}
    weights = options.pop("sample_weight", None)
    trainer = fastgd.Trainer(fastgd.MLP(sizes, "relu", seed=1), **options)
    before = snapshot(trainer)
    with pytest.raises(fastgd.DivergenceError, match="training diverged in epoch 0 at row") as info:
        trainer.run(S, T, sample_weight=weights)
    assert info.value.largest == pytest.approx(np.abs(S.data).max())
    assert info.value.row >= 200
    assert snapshot(trainer) == before  # all rows are one slice


@pytest.mark.parametrize("saved", [False, True], ids=["in memory", "through a file"])
@pytest.mark.parametrize("slices", [0, 3, 5])
@pytest.mark.parametrize("chosen", OPTIONS)
def test_an_interrupted_run_on_sparse_rows_goes_on(chosen, slices, saved, tmp_path, monkeypatch):
    monkeypatch.setattr("fastgd.slices.SECONDS", 1e-6)
    _, S, T = make()
    options = {"optimizer": SGD, "shuffle": True, "seed": 8, **OPTIONS[chosen]}
    weights = options.pop("sample_weight", None)
    expected = model(SIZES[0])
    wanted = fastgd.train(expected, S, T, sample_weight=weights, epochs=2, **options)
    trainer = fastgd.Trainer(model(SIZES[0]), **options)
    interrupt_at(trainer, slices)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(S, T, sample_weight=weights, epochs=2)
    if saved:
        trainer.save(tmp_path / "trainer.npz")
        trainer = fastgd.Trainer.load(tmp_path / "trainer.npz")
    history = trainer.run(S, T, sample_weight=weights, epochs=2 - trainer.history.epochs)
    assert trainer.model.params.tobytes() == expected.params.tobytes()
    assert history.loss == wanted.loss
