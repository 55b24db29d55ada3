"""The door for sparse rows: every format of scipy.sparse, in place or converted, and indices that must be refused."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from passes import relative
from sparse_zoo import ZOO, D, N, make, read_only, state, swapped_columns, with_arrays

import fastgd
from fastgd import data, losses, sparse

T = np.random.default_rng(1).normal(size=(N, 1))


def checked(X, dtype="float64", t=None, loss=None):
    rows, columns = (1, X.shape[0]) if len(X.shape) == 1 else X.shape
    t = np.ones(rows) if t is None else t
    return data.check_rows(X, t, None, (columns, 1), np.dtype(dtype), losses.MSE() if loss is None else loss)


def dense(part):
    """The rows that a pass would visit, as it would read them."""
    rows = range(part.start, part.stop) if part.order is None else part.order[part.start : part.stop]
    x = np.zeros((len(rows), D), part.X.dtype)
    assert part.indices.dtype == part.indptr.dtype
    assert part.indices.dtype in ("int32", "int64")
    assert part.indices.size > 0
    for place, row in enumerate(rows):
        stored = slice(part.indptr[row], part.indptr[row + 1])
        x[place, part.indices[stored]] = part.X[stored]
    return x


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("kind", ZOO)
def test_every_sparse_matrix_is_read_as_what_it_is_and_is_not_changed(kind, index, dtype, tmp_path):
    X = make(index, dtype)
    matrix = ZOO[kind](X, tmp_path)
    before = state(matrix)
    rows = checked(matrix, dtype)
    order = np.random.default_rng(2).permutation(N)
    for start, stop in ((0, N), (3, 20), (7, 7), (49, 50)):
        np.testing.assert_array_equal(dense(rows.slice(order, start, stop)), X.toarray()[order[start:stop]])
        np.testing.assert_array_equal(dense(rows.slice(None, start, stop)), X.toarray()[start:stop])
        np.testing.assert_array_equal(dense(rows.part(start, stop)), X.toarray()[start:stop])
        assert rows.slice(order, start, stop).X.dtype == dtype
    assert state(matrix) == before


@pytest.mark.parametrize("kind", ZOO)
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_sparse_matrix_trains_like_dense_rows(kind, shuffle, dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("fastgd.slices.SECONDS", 2e-7)  # slices of a few rows, so that conversion is cut
    X = make(dtype=dtype)
    matrix = ZOO[kind](X, tmp_path)
    options = {"optimizer": fastgd.SGD(lr=1e-3), "epochs": 2, "shuffle": shuffle, "seed": 3}
    weights = np.random.default_rng(1).choice([0, 1, 2], size=N)
    expected, model = (fastgd.Linear(D, 1, dtype=dtype, seed=0) for _ in range(2))
    fastgd.train(expected, X.toarray(), T, sample_weight=weights, **options)
    fastgd.train(model, matrix, T, sample_weight=weights, **options)
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    assert relative(model.params, expected.params) < tolerance
    assert relative(model.predict(matrix), expected.predict(X.toarray())) < tolerance
    assert relative(fastgd.evaluate(model, matrix, T), fastgd.evaluate(expected, X.toarray(), T)) < tolerance


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("change", [lambda a: a, read_only], ids=["writeable", "read-only"])
def test_csr_of_the_models_dtype_is_read_in_place(index, dtype, change):
    X = with_arrays(make(index, dtype).copy(), change)
    rows = checked(X, dtype)
    assert rows.in_place
    order = np.arange(N)[::-1].copy()
    for part in (rows.slice(order, 3, 9), rows.slice(None, 3, 9), rows.part(3, 9)):
        for ours, theirs in ((part.X, X.data), (part.indices, X.indices), (part.indptr, X.indptr)):
            assert np.shares_memory(ours, theirs)
    assert rows.slice(order, 3, 9).order is order
    assert not checked(X, "float32" if dtype == "float64" else "float64").in_place


def test_an_indptr_of_another_width_alone_is_converted(dtype):
    for widths in (("int32", "int64"), ("int64", "int32"), ("int32", "uint32")):
        X = make(dtype=dtype)
        X.indices, X.indptr = X.indices.astype(widths[0]), X.indptr.astype(widths[1])
        rows = checked(X, dtype)
        assert rows.in_place
        assert np.shares_memory(rows.X.indices, X.indices)
        assert rows.X.indptr.dtype == widths[0]


@pytest.fixture(scope="module")
def large():
    """100 MB of CSR."""
    n, stored = 100_000, 84
    indices = np.tile(np.arange(0, 4 * stored, 4, dtype=np.int32), n)
    return sp.csr_array((np.ones(n * stored), indices, np.arange(0, n * stored + 1, stored, dtype=np.int32)), (n, 400))


def memory(call):
    """What the call returns, and the most memory that it took meanwhile."""
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_large_csr_costs_no_copy_and_is_converted_slice_by_slice(large):
    t, order = np.ones(large.shape[0]), np.random.default_rng(0).permutation(large.shape[0])
    bytes_given = large.data.nbytes + large.indices.nbytes + large.indptr.nbytes
    assert bytes_given > 1e8
    rows, taken = memory(lambda: checked(large, t=t))
    assert taken < 2e6
    assert memory(lambda: rows.slice(order, 0, 1000))[1] < 1e4
    converting, taken = memory(lambda: checked(large, "float32", t=t))
    assert taken < 2e6
    for places in (None, order):
        part, taken = memory(lambda places=places: converting.slice(places, 500, 1500))
        assert part.X.nbytes == 1000 * 84 * 4
        assert taken < 1000 * 84 * 40
        np.testing.assert_array_equal(part.indptr, np.arange(0, 84_001, 84))


@settings(max_examples=200, deadline=None)
@given(
    density=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    n=st.integers(1, 30),
    seed=st.integers(0, 2**32 - 1),
    width=st.sampled_from(["int32", "int64"]),
    kinds=st.tuples(*[st.sampled_from(["float32", "float64", "int16"])] * 2).filter(lambda kinds: kinds[1] != "int16"),
    cut=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    shuffled=st.booleans(),
)
def test_slices_are_those_of_scipy(density, n, seed, width, kinds, cut, shuffled):
    rng = np.random.default_rng(seed)
    X = sp.csr_array(rng.integers(-99, 99, (n, D)) * (rng.random((n, D)) < density)).astype(kinds[0])
    X.indices, X.indptr = X.indices.astype(width), X.indptr.astype(width)
    start, stop = sorted(min(place, n) for place in cut)
    order = rng.permutation(n) if shuffled else None
    t, weights = rng.normal(size=n), rng.random(n) + 0.1
    rows = data.check_rows(X, t, weights, (D, 1), np.dtype(kinds[1]), losses.MSE())
    chosen = np.arange(n)[start:stop] if order is None else order[start:stop]
    part = rows.slice(order, start, stop)
    visited = slice(part.start, part.stop) if part.order is None else part.order[part.start : part.stop]
    np.testing.assert_array_equal(dense(part), X[chosen].toarray())
    np.testing.assert_array_equal(part.T[visited, 0], t[chosen].astype(kinds[1]))
    np.testing.assert_array_equal(part.weights[visited], weights[chosen].astype(kinds[1]))
    assert part.largest() == (abs(X[chosen]).max() if len(chosen) and X[chosen].nnz else 0)
    np.testing.assert_array_equal(dense(rows.part(start, stop)), X[start:stop].toarray())
    assert rows.mean_nonzeros == X.nnz / n
    assert rows.row_bytes >= 8


@settings(max_examples=300, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    seed=st.integers(0, 2**32 - 1),
    ordered=st.booleans(),
    chunk=st.integers(1, 6),
)
def test_whether_columns_rise_is_judged_as_scipy_judges_it(lengths, seed, ordered, chunk):
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, D, length) for length in lengths]
    indices = np.concatenate([np.sort(row) if ordered else row for row in columns])
    X = sp.csr_array((rng.normal(size=len(indices)), indices, np.cumsum([0, *lengths])), shape=(len(lengths), D))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "CHUNK", chunk)  # so that rows and chunks cut each other everywhere
        rows = checked(X)
    assert rows.in_place
    assert np.shares_memory(rows.X.indices, X.indices) == (X.has_canonical_format and X.nnz > 0)
    np.testing.assert_allclose(dense(rows.slice(None, 0, len(lengths))), X.toarray(), atol=1e-15)


def test_a_flag_that_is_no_longer_true_is_not_believed():
    X = make()
    assert X.has_canonical_format
    X.indices[:], X.data[:] = swapped_columns(X).indices, swapped_columns(X).data
    rows = checked(X)
    np.testing.assert_array_equal(dense(rows.slice(None, 0, N)), make().toarray())
    assert (np.diff(rows.X.indices[START : LAST + 1]) > 0).all()
    assert X.has_canonical_format  # nor is it changed


# -------------------------------------------------------------------------------------------------------- refusals


def broken(**arrays):
    X = make()
    for name, change in arrays.items():
        array = getattr(X, name).copy()
        setattr(X, name, change(array))
    return X


def put(place, value):
    def change(array):
        array[place] = value
        return array

    return change


START, LAST, NNZ = make().indptr[4], make().indptr[5] - 1, make().nnz  # the first and last of row 4, and all
BAD = {
    "a negative column": (broken(indices=put(START, -1)), ValueError, r"X.indices has -1 in row 4; .* columns 0 to 6"),
    "a column too far": (broken(indices=put(START, D)), ValueError, "X.indices has 7 in row 4; allowed are"),
    "the first column too far, behind an empty row": (
        broken(indices=put(0, 2**31 - 1)), ValueError, r"X.indices has 2147483647 in row 1; .* columns 0 to 6"
    ),
    "the last column too far": (broken(indices=put(NNZ - 1, 99)), ValueError, "X.indices has 99 in row"),
    "a column too far for int64": (
        broken(indices=lambda a: put(START, 2**63)(a.astype("uint64"))), ValueError, "X.indices has 922337203685",
    ),
    "unsorted and too far": (
        swapped_columns(broken(indices=put(START, D))), ValueError, "X.indices has 7 in row 4; allowed are"
    ),
    "indptr from 1": (broken(indptr=put(0, 1)), ValueError, "X.indptr begins with 1; it must begin with 0"),
    "indptr from -1": (broken(indptr=put(0, -1)), ValueError, "X.indptr begins with -1; it must begin with 0"),
    "indptr falls": (broken(indptr=put(9, 0)), ValueError, r"X.indptr goes from \d+ to 0 in row 8; it must not fall"),
    "indptr leaps": (broken(indptr=put(9, 10**6)), ValueError, r"X.indptr goes from 1000000 to \d+ in row 9"),
    "indptr too far": (broken(indptr=put(N, 10**6)), ValueError, f"X.indptr ends with 1000000; .* have {NNZ} numbers"),
    "indptr too far, unsigned": (
        broken(indptr=lambda a: put(N, 2**64 - 1)(a.astype("uint64"))), ValueError, "X.indptr ends with 1844674407370",
    ),
    "indptr too short": (broken(indptr=lambda a: a[:-1]), ValueError, "X.indptr has 50 numbers; 50 rows take 51"),
    "indptr too long": (broken(indptr=lambda a: a[[*range(N + 1), N]]), ValueError, "X.indptr has 52 numbers"),
    "indptr of a matrix": (broken(indptr=lambda a: a[None]), ValueError, r"X.indptr has shape \(1, 51\); allowed is"),
    "fewer indices": (broken(indices=lambda a: a[:-1]), ValueError, f"X.data has {NNZ} .* X.indices {NNZ - 1}"),
    "fewer values": (broken(data=lambda a: a[:-1]), ValueError, f"X.data has {NNZ - 1} numbers and X.indices {NNZ}"),
    "fractions as indices": (
        broken(indices=lambda a: a + 0.5), TypeError, "X.indices must hold integers, not values of dtype float64"
    ),
    "CSC that leads elsewhere": (
        sp.csc_array((np.ones(1), [10**9], [0, 1, *[1] * (D - 1)]), shape=(N, D)), ValueError,
        "X is no valid csc_array: indices must be < 50",
    ),
    "BSR that leads elsewhere": (
        sp.bsr_array((np.ones((1, 1, 1)), [10**9], [0, 1, *[1] * (N - 1)]), shape=(N, D)), ValueError,
        "X is no valid bsr_array: ",
    ),
    "too few columns": (make()[:, :3], ValueError, r"X has shape \(50, 3\); the model takes \(n, 7\)"),
    "no rows": (make()[:0], ValueError, "X has no rows"),
    "a vector": (sp.coo_array(np.ones(3)), ValueError, r"X has shape \(1, 3\); the model takes \(n, 7\)"),
    "a cube": (sp.coo_array(np.ones((2, N, D))), ValueError, r"X has shape \(2, 50, 7\); the model takes \(n, 7\)"),
    "complex": (make().astype(complex), TypeError, "X must hold real numbers, not values of dtype complex128"),
    "long double": (make().astype(np.longdouble), TypeError, "X has dtype .*; allowed are integers, booleans"),
    "nan": (broken(data=put(LAST, np.nan)), ValueError, f"X has nan in row 4, column {make().indices[LAST]}; its"),
    "inf": (broken(data=put(LAST, -np.inf)), ValueError, f"X has -inf in row 4, column {make().indices[LAST]}; its"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_bad_sparse_input_is_refused_and_changes_nothing(bad):
    X, error, message = BAD[bad]
    model = fastgd.Linear(D, 1, seed=0)
    before, matrix_before = model.params.copy(), state(X)
    with pytest.raises(error, match=message):
        fastgd.train(model, X, T)
    assert model.params.tobytes() == before.tobytes()
    assert state(X) == matrix_before
    with pytest.raises(error, match=message):
        fastgd.evaluate(model, X, T)
    if not bad.startswith(("nan", "inf")):  # of which predictions are made
        with pytest.raises(error, match=message):
            model.predict(X)
    fastgd.train(model, make(), T)  # and the model is free to train


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
def test_dense_and_sparse_rows_are_refused_in_the_same_words(kind):
    wrong = [make()[:, :3], make()[:0], make().astype(complex), make().astype(np.longdouble)]
    for X in wrong:
        messages = []
        for form in (X.toarray(), X.asformat(kind)):
            with pytest.raises((TypeError, ValueError)) as raised:
                data.rows_matrix("X_val", form, D)
            messages.append((raised.type, str(raised.value)))
        assert messages[0] == messages[1]
        assert "X_val" in messages[0][1]


def test_a_number_that_is_not_finite_is_named_with_its_place():
    X = make()
    X.data[LAST] = 1e300
    column = X.indices[LAST]
    assert column > LAST - START  # so that it is not its place in the row
    for matrix in (X, X.tocsc(), X.toarray()):
        rows = checked(matrix, "float32")
        with pytest.raises(ValueError, match=rf"X has 1e\+300 in row 4, column {column}; .* must be finite in float32"):
            rows.refuse_row(4)
        rows.refuse_row(3)
        checked(matrix).refuse_row(4)  # as a float64 it is finite
        assert rows.slice(None, 0, N).largest() == np.inf
        assert checked(matrix).slice(None, 0, N).largest() == 1e300
    with pytest.raises(ValueError, match=rf"X has 1e\+300 in row 4, column {column}"):
        fastgd.train(fastgd.Linear(D, 1, dtype="float32"), X, T)


def test_targets_and_weights_are_dense():
    with pytest.raises(TypeError, match="t must be a dense array, not a sparse csr_array"):
        data.check_rows(make(), sp.csr_array(T), None, (D, 1), np.dtype("float64"), losses.MSE())
    with pytest.raises(TypeError, match="sample_weight must be a dense array, not a sparse coo_array"):
        data.check_rows(make(), T, sp.coo_array(np.ones(N)), (D, 1), np.dtype("float64"), losses.MSE())


# ------------------------------------------------------------------------------------------------- rows by themselves


def test_a_sparse_vector_and_a_matrix_of_one_row_are_a_row():
    X = make().toarray()
    for row in (0, 1, int(np.flatnonzero(~X.any(axis=1))[0])):
        coo = sp.coo_array(X[row])
        unsorted = sp.csr_array((X[row, ::-1], np.arange(D)[::-1], [0, D]), shape=(1, D))
        for matrix in (coo, coo.tocsr(), sp.dok_array(coo), make()[[row]], make()[[row]].tocoo(), unsorted):
            rows = checked(matrix)
            assert len(rows) == 1
            np.testing.assert_array_equal(dense(rows.slice(None, 0, 1)), X[[row]])
            checked_alone, single = data.samples("X", matrix, D, np.dtype("float64"))
            np.testing.assert_array_equal(dense(checked_alone.part(0, 1)), X[[row]])
            assert single == (len(matrix.shape) == 1)


def test_a_sparse_vector_that_leads_elsewhere_is_refused():
    vector = sp.csr_array(np.arange(D, dtype=float))
    vector.indices[-1] = 10**9
    model = fastgd.Linear(D, 1)
    for call in (lambda: model.predict(vector), lambda: fastgd.train(model, vector, [1.0])):
        with pytest.raises(ValueError, match=r"X.indices has 1000000000 in row 0; allowed are the columns 0 to 6"):
            call()


def test_a_matrix_without_numbers(dtype):
    for X in (sp.csr_array((N, D)), sp.coo_array((N, D)), sp.csr_matrix((N, D), dtype="int8")):
        rows = checked(X, dtype)
        assert not dense(rows.slice(np.arange(N), 0, N)).any()
        assert rows.mean_nonzeros == rows.slice(None, 0, N).largest() == 0
        model, expected = fastgd.Linear(D, 1, dtype=dtype, seed=0), fastgd.Linear(D, 1, dtype=dtype, seed=0)
        fastgd.train(model, X, T)
        fastgd.train(expected, np.zeros((N, D)), T)
        assert relative(model.params, expected.params) < (1e-13 if dtype == "float64" else 1e-5)


def test_dense_rows_have_no_indices():
    rows = checked(make().toarray())
    assert rows.mean_nonzeros is None
    assert rows.row_bytes == 8 * D
    for part in (rows.slice(None, 3, 9), rows.part(3, 9)):
        assert part.indices is part.indptr is None


def test_dense_rows_import_no_scipy():
    code = (
        "import sys, numpy as np, fastgd; model = fastgd.Linear(2, 1); X = np.ones((3, 2)); "
        "fastgd.train(model, X, np.ones(3)); model.predict(X); fastgd.evaluate(model, X, np.ones(3)); "
        "print('scipy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True, cwd="/"
    )
    assert done.stdout.strip() == "False"
