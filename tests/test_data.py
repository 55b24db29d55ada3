"""The door: an array zoo that must all train alike, and bad input that must be refused with nothing changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from passes import relative

import fastgd
from fastgd import data, losses

N, D = 50, 4


def make(dtype="float64", K=1):
    rng = np.random.default_rng(0)
    X = rng.integers(-50, 50, size=(N, D)).astype(dtype)  # whole numbers, so that every dtype holds them exactly
    return X, (X @ rng.normal(size=(D, K)) / 50 + 0.1 * rng.normal(size=(N, K))).astype(dtype)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def on_disk(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


def misaligned(X):
    memory = np.zeros(X.nbytes + 1, np.uint8)
    view = np.ndarray(X.shape, X.dtype, memory, offset=1)
    view[:] = X
    return view


ZOO = {
    "as it is": lambda X, _: X,
    "read-only": lambda X, _: read_only(X),
    "memory-mapped": on_disk,
    "Fortran order": lambda X, _: np.asfortranarray(X),
    "strided rows": lambda X, _: np.repeat(X, 2, axis=0)[::2],
    "strided columns": lambda X, _: np.repeat(X, 3, axis=1)[:, ::3],
    "backwards": lambda X, _: X[::-1].copy()[::-1],
    "big-endian": lambda X, _: X.astype(X.dtype.newbyteorder(">")),
    "misaligned": lambda X, _: misaligned(X),
    "float16": lambda X, _: X.astype("float16"),
    "float32": lambda X, _: X.astype("float32"),
    "float64": lambda X, _: X.astype("float64"),
    "int8": lambda X, _: X.astype("int8"),
    "int64": lambda X, _: X.astype("int64"),
    "DataFrame": lambda X, _: pd.DataFrame(X),
    "lists": lambda X, _: X.tolist(),
}


@pytest.mark.parametrize("kind", ZOO)
@pytest.mark.parametrize("shuffle", [False, True])
def test_the_array_zoo_trains_alike(kind, shuffle, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("fastgd.slices.SECONDS", 2e-7)  # slices of a few rows, so that conversion is cut
    X, T = make(dtype)
    options = {"optimizer": fastgd.SGD(lr=1e-5), "epochs": 2, "shuffle": shuffle, "seed": 3, "batch_size": 3}
    weights = np.random.default_rng(1).choice([0, 1, 2], size=N)
    expected, model = (fastgd.Linear(D, 1, dtype=dtype, seed=0) for _ in range(2))
    fastgd.train(expected, X, T, sample_weight=weights, **options)
    given = ZOO[kind](X, tmp_path)
    fastgd.train(model, given, T, sample_weight=weights, **options)
    assert model.params.tobytes() == expected.params.tobytes()
    assert fastgd.evaluate(model, given, T) == fastgd.evaluate(expected, X, T)
    assert model(given).tobytes() == expected(X).tobytes()


def test_targets_and_weights_of_any_kind(tmp_path):
    X, T = make()
    T = np.round(T)
    for weights in ({}, {"sample_weight": np.ones(N, "int16")}):
        expected = fastgd.Linear(D, 1, seed=0)
        fastgd.train(expected, X, T, optimizer=fastgd.SGD(lr=1e-5), **weights)
        for t in (T[:, 0], T.astype("int32"), T.astype(">f8"), np.asfortranarray(T), T.tolist(), pd.Series(T[:, 0]),
                  np.repeat(T, 2, axis=0)[::2], on_disk(T, tmp_path)):  # fmt: skip
            model = fastgd.Linear(D, 1, seed=0)
            fastgd.train(model, X, t, optimizer=fastgd.SGD(lr=1e-5), **weights)
            assert model.params.tobytes() == expected.params.tobytes()


def test_one_row_and_one_feature(dtype):
    model = fastgd.Linear(1, 1, dtype=dtype, seed=0)
    w, b = float(model.weight[0, 0]), float(model.bias[0])
    fastgd.train(model, [[2.0]], [3.0], loss="sse", optimizer=fastgd.SGD(lr=0.1))
    r = 2 * w + b - 3
    assert relative(model.params, [w - 0.1 * 2 * r * 2, b - 0.1 * 2 * r]) < 1e-6


X, T = make()
GOOD = {"X": X, "t": T, "sample_weight": np.ones(N)}


def changed(array, place, value):
    array = np.array(array, dtype=float)
    array[place] = value
    return array


BAD = {
    "no rows": ({"X": X[:0], "t": T[:0]}, ValueError, "X has no rows"),
    "a vector for X": ({"X": X[:, 0]}, ValueError, r"X has shape \(50,\); the model takes \(n, 4\)"),
    "too few columns": ({"X": X[:, :3]}, ValueError, r"X has shape \(50, 3\); the model takes \(n, 4\)"),
    "a cube": ({"X": X[None]}, ValueError, r"X has shape \(1, 50, 4\)"),
    "text": ({"X": X.astype(str)}, TypeError, "X must hold real numbers, not values of dtype <U"),
    "objects": ({"X": X.astype(object)}, TypeError, "X must hold real numbers, not values of dtype object"),
    "complex": ({"X": X + 0j}, TypeError, "X must hold real numbers, not values of dtype complex128"),
    "dates": ({"X": X.astype("datetime64[s]")}, TypeError, "X must hold real numbers"),
    "long double": ({"X": X.astype(np.longdouble)}, TypeError, "X has dtype"),
    "t too short": ({"t": T[:-1]}, ValueError, r"t has shape \(49, 1\); allowed is \(50, 1\) or \(50,\)"),
    "t too wide": ({"t": np.c_[T, T]}, ValueError, r"t has shape \(50, 2\); allowed is \(50, 1\)"),
    "nan in t": ({"t": changed(T, 7, np.nan)}, ValueError, "t has nan in row 7; targets must be finite"),
    "inf in t": ({"t": changed(T, 7, -np.inf)}, ValueError, "t has -inf in row 7"),
    "text in t": ({"t": T.astype(str)}, TypeError, "t must hold real numbers"),
    "nan in X": ({"X": changed(X, (13, 2), np.nan)}, ValueError, "X has nan in row 13, column 2; its numbers must be"),
    "inf in X": ({"X": changed(X, (13, 2), np.inf)}, ValueError, "X has inf in row 13, column 2"),
    "a negative weight": (
        {"sample_weight": changed(np.ones(N), 3, -1)}, ValueError, "sample_weight has -1.0 in row 3; weights must be"
    ),
    "nan weight": ({"sample_weight": changed(np.ones(N), 3, np.nan)}, ValueError, "sample_weight has nan in row 3"),
    "too few weights": ({"sample_weight": np.ones(N - 1)}, ValueError, r"sample_weight has shape \(49,\)"),
    "no weight": ({"sample_weight": np.zeros(N)}, ValueError, "sample_weight has no weight above zero"),
    "half of the validation rows": ({"X_val": X}, TypeError, "X_val and t_val go together"),
    "validation columns": ({"X_val": X[:, :2], "t_val": T}, ValueError, r"X_val has shape \(50, 2\)"),
    "validation targets": ({"X_val": X, "t_val": T[1:]}, ValueError, r"t_val has shape \(49, 1\)"),
    "epochs 0": ({"epochs": 0}, ValueError, "epochs=0 must be an integer of at least 1"),
    "epochs 1.5": ({"epochs": 1.5}, TypeError, "epochs=1.5 must be an integer"),
    "batch_size 0": ({"batch_size": 0}, ValueError, "batch_size=0 must be an integer of at least 1"),
    "batch_size True": ({"batch_size": True}, TypeError, "batch_size=True must be an integer"),
    "shuffle 'yes'": ({"shuffle": "yes"}, TypeError, "shuffle='yes' must be True or False"),
    "a loss that is not": ({"loss": "rmse"}, ValueError, "loss='rmse' is not known; allowed are 'mse'"),
    "an optimizer that is not": ({"optimizer": "adamax"}, ValueError, "optimizer='adamax' is not known"),
    "no optimizer": ({"optimizer": 0.1}, TypeError, "optimizer must be a name or an instance"),
    "a callback that is not": ({"callbacks": [3]}, TypeError, "callbacks has 3, which cannot be called"),
    "no targets": ({"t": None, "sample_weight": None}, TypeError, "T is missing"),
    "a trace of 2 GB": ({"trace": True, "epochs": 10**6}, ValueError, "trace=True would record 50000000 updates in"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_refused_and_changes_nothing(bad):
    wrong, error, message = BAD[bad]
    model = fastgd.Linear(D, 1, seed=0)
    before = model.params.copy()
    with pytest.raises(error, match=message):
        fastgd.train(model, **{**GOOD, "optimizer": fastgd.SGD(lr=1e-5), **wrong})
    assert model.params.tobytes() == before.tobytes()
    fastgd.train(model, **GOOD, optimizer=fastgd.SGD(lr=1e-5))  # and the model is free to train


@pytest.mark.parametrize(
    "name", sorted(n for n, loss in losses.registry.items() if loss.targets in ("binary", "labels"))
)
@pytest.mark.parametrize("K", [1, 2])
def test_signed_labels_train_like_zeros_and_ones(name, K):
    X, T = make(K=K)
    labels = (T > 0).astype(int)
    one, other = fastgd.Linear(D, K, seed=0), fastgd.Linear(D, K, seed=0)
    fastgd.train(one, X, labels, loss=name)
    fastgd.train(other, X, 2 * labels - 1, loss=name)
    assert one.params.tobytes() == other.params.tobytes()
    assert set(np.unique(one.predict(X, "label"))) == {0, 1}
    assert set(np.unique(other.predict(X, "label"))) == {-1, 1}


def test_a_class_may_be_given_by_its_index_or_by_a_row():
    X, T = make(K=3)
    index = T.argmax(axis=1)
    expected = fastgd.Linear(D, 3, seed=0)
    fastgd.train(expected, X, index, loss="cross_entropy", optimizer=fastgd.SGD(lr=1e-3))
    for t in (index[:, None], index.astype("float32"), index.tolist(), pd.Series(index), np.eye(3)[index]):
        model = fastgd.Linear(D, 3, seed=0)
        fastgd.train(model, X, t, loss="cross_entropy", optimizer=fastgd.SGD(lr=1e-3))
        assert relative(model.params, expected.params) < 1e-13


def test_a_number_too_large_for_float32_is_named():
    X = np.ones((5, 2))
    X[3, 1] = 1e300
    with pytest.raises(ValueError, match=r"X has 1e\+300 in row 3, column 1; its numbers must be finite in float32"):
        fastgd.train(fastgd.Linear(2, 1, dtype="float32"), X, np.ones(5))
    with pytest.raises(ValueError, match=r"t has 1e\+300 in row 3; targets must be finite in float32"):
        fastgd.train(fastgd.Linear(2, 1, dtype="float32"), np.ones((5, 2)), X[:, 1])


def test_evaluate_and_gradient_refuse_what_train_refuses():
    model = fastgd.Linear(D, 1, seed=0)
    with pytest.raises(ValueError, match="X has nan in row 13, column 2"):
        fastgd.evaluate(model, changed(X, (13, 2), np.nan), T)
    with pytest.raises(ValueError, match="x has nan in row 13, column 2"):
        fastgd.gradient(model, changed(X, (13, 2), np.nan), T)
    with pytest.raises(ValueError, match=r"x has shape \(3,\); the model takes \(4,\)"):
        fastgd.gradient(model, [1, 2, 3], 1.0)
    with pytest.raises(ValueError, match=r"t has shape \(2,\); allowed is \(1,\)"):
        fastgd.gradient(model, X[0], [1.0, 2.0])
    with pytest.raises(FloatingPointError, match="the loss of row 0 is not finite"):
        fastgd.gradient(model, np.full(D, 1e300), [0.0])
    assert fastgd.evaluate(model, np.full((1, D), 1e300), [0.0]) == np.inf


def test_data_in_place_is_not_copied(dtype):
    X, T = make(dtype)
    rows = data.check_rows(X, T, None, (D, 1), np.dtype(dtype), losses.MSE())
    assert np.shares_memory(rows.X, X)
    assert np.shares_memory(rows.T, T)
    assert rows.slice(None, 3, 7).X is X


def test_one_sample_by_itself_and_rows_without_targets(dtype):
    X, _ = make(dtype)
    for given, single, expected in (
        (X, False, X),
        (X[3], True, X[[3]]),
        (X[3].tolist(), True, X[[3]]),
        (X[[3]], False, X[[3]]),
        (X.astype("int8"), False, X),
    ):
        rows, alone = data.samples("X", given, D, np.dtype(dtype))
        assert alone == single
        np.testing.assert_array_equal(rows.part(0, len(rows)).X, expected)
    with pytest.raises(ValueError, match=r"X has shape \(3,\); the model takes \(n, 4\)"):
        data.samples("X", [1, 2, 3], D, np.dtype(dtype))
    with pytest.raises(ValueError, match=r"X has shape \(3,\); the model takes \(n, 1\); use X.reshape\(-1, 1\)"):
        data.samples("X", [1, 2, 3], 1, np.dtype(dtype))


def test_the_largest_number_is_that_of_the_rows_visited():
    X, T = make()
    order = np.random.default_rng(0).permutation(N)
    for given in (X, X.astype("float32"), np.asfortranarray(X)):
        rows = data.check_rows(given, T, None, (D, 1), np.dtype("float64"), losses.MSE())
        assert rows.slice(order, 5, 9).largest() == np.abs(X[order[5:9]]).max()
        assert rows.slice(None, 5, 9).largest() == np.abs(X[5:9]).max()
        assert rows.slice(None, 5, 5).largest() == 0
