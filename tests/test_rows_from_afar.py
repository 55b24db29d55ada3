"""Rows that are asked for before their turn: what is learnt is what the same rows in order teach, bit for bit.

What is asked for changes no result, so that these tests are of the order, and of targets and norms whose rows stand
apart, as where each row's stand together; what is read for it AddressSanitizer sees.
They run as on AMD's processors and as on others, which ask differently.
"""

from __future__ import annotations

import numpy as np
import pytest
from passes import STEP_TOLERANCE, make_pass, relative

import fastgd
from fastgd import _kernels, losses, penalties
from fastgd.method import Method
from fastgd.rules import Rules

DTYPES = ["float64", "float32"]
#: more bytes than stay near in random order, and than do in order
NEAR, SHARED = 1 << 20, 1 << 23
#: d, K, hidden layers and their activation, what the method is, the size of a batch: each goes another way
WAYS = {
    "one output": ("log_loss", 20, 1, (), "relu", {}, 1),
    "objective": ("squared_error", 20, 1, (), "relu", {"penalty": "l2", "rules": Rules(objective=True)}, 1),
    "objective of outputs": ("mse", 20, 4, (), "relu", {"penalty": "l2", "rules": Rules(objective=True)}, 1),
    "softmax": ("cross_entropy", 20, 3, (), "relu", {}, 1),
    "outputs with decay": ("mse", 20, 4, (), "relu", {"penalty": "l2"}, 1),
    "few units": ("cross_entropy", 20, 2, (8,), "relu", {}, 1),
    "many units": ("cross_entropy", 130, 2, (5,), "relu", {}, 1),
    "two hidden layers": ("mse", 20, 2, (8, 6), "tanh", {}, 1),
    "across units": ("mse", 2, 1, (8,), "tanh", {}, 1),
    "Adam": ("log_loss", 20, 1, (), "relu", {"optimizer": fastgd.Adam(lr=0.01)}, 1),
    "batches": ("mse", 20, 1, (), "relu", {}, 8),
    "L1": ("hinge", 20, 1, (), "relu", {"penalty": penalties.L1(1e-3)}, 1),
}
SPARSE_WAYS = {
    "plain": {},
    "ruled": {"penalty": "l2", "rules": Rules(objective=True)},
    "L1": {"penalty": penalties.L1(1e-3)},
    "Adagrad": {"optimizer": fastgd.Adagrad(lr=0.01)},
    "averaged": {"average": 5},
}


@pytest.fixture(params=[False, True], ids=["others", "AMD"], autouse=True)
def processor(request):
    before = _kernels.read_as_amd(request.param)
    yield
    _kernels.read_as_amd(before)


def far_pass(loss, dtype, d, K, hidden, activation, choices, batch_size, size, density=None, **options):
    loss = losses.get(loss)
    method = Method.make(loss, (d, *hidden, K), **{"optimizer": fastgd.SGD(lr=0.01), **choices})
    n = int(size / (d * (density or 1) * np.dtype(dtype).itemsize)) + 300
    rng = np.random.default_rng(d)
    weights = rng.choice([0, 0.5, 2], size=n).astype(dtype)
    return make_pass(
        loss, dtype, K, n=n, d=d, method=method, hidden=hidden, activation=activation, batch_size=batch_size,
        weights=weights, scale=1 / np.sqrt(d), density=density, **options,
    )  # fmt: skip


def assert_same_as_in_order(args, order):
    """Train on the rows in that order, and on rows that lie so."""
    shuffled, laid = args.copy(), args.copy()
    shuffled.order, shuffled.apart = order, True
    laid.X, laid.T, laid.weights = args.X[order], args.T[order], args.weights[order]
    assert shuffled.run(_kernels) == laid.run(_kernels) == -1
    for name, found in shuffled.changed.items():
        np.testing.assert_array_equal(found, laid.changed[name], err_msg=name)
    np.testing.assert_array_equal(shuffled.totals, laid.totals)
    np.testing.assert_array_equal(shuffled.counters, laid.counters)
    assert not np.array_equal(shuffled.params, args.params)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_rows_in_random_order(dtype, way):
    loss, d, K, hidden, activation, choices, batch_size = way
    args = far_pass(loss, dtype, d, K, hidden, activation, choices, batch_size, NEAR)
    assert args.X.nbytes > NEAR
    assert_same_as_in_order(args, np.random.default_rng(1).permutation(len(args.X)))


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_simple_steps_towards_targets_that_stand_apart(dtype, loss):
    beside = make_pass(losses.get(loss), dtype, d=8)
    apart = beside.copy()
    apart.apart = True
    assert beside.run(_kernels) == apart.run(_kernels) == -1
    assert relative(apart.params, beside.params) <= STEP_TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_targets_of_a_row_that_stand_apart_are_refused(dtype):
    args = make_pass(losses.get("mse"), dtype, K=3)
    args.T = np.asfortranarray(args.T)
    with pytest.raises(ValueError, match="must stand side by side"):
        args.run(_kernels)


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("choices", SPARSE_WAYS.values(), ids=SPARSE_WAYS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sparse_rows_in_random_order(dtype, choices, index):
    args = far_pass("hinge", dtype, 400, 1, (), "relu", choices, 1, NEAR, density=0.1, index=index)
    assert args.X.data.nbytes > NEAR
    assert args.X.indices.dtype == index
    assert_same_as_in_order(args, np.random.default_rng(1).permutation(args.rows))


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_rows_in_order_taken_several_at_once(dtype):
    args = far_pass("cross_entropy", dtype, 130, 3, (), "relu", {}, 1, SHARED)
    assert args.X.nbytes > SHARED
    args.weights = None  # so that whole blocks lie on either side of the middle
    whole, halves = args.copy(), args.copy()
    assert whole.run(_kernels) == -1
    middle = len(args.X) // 16 * 8
    for part in (slice(middle), slice(middle, None)):  # each of which is near
        halves.X, halves.T = args.X[part], args.T[part]
        assert halves.run(_kernels) == -1
    np.testing.assert_array_equal(whole.params, halves.params)
    np.testing.assert_allclose(whole.totals, halves.totals, rtol=1e-12)


@pytest.mark.parametrize("processor", [False], ids=["both"], indirect=True)  # which it switches by itself
@pytest.mark.parametrize("order", [None, "random"])
@pytest.mark.parametrize(
    ("row_bytes", "size"), [(64, 1 << 24), (140, 1 << 25), (1004, 1 << 24), (7996, NEAR), (12_004, NEAR)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_processors_give_the_same_bits(dtype, row_bytes, size, order):
    d = row_bytes // np.dtype(dtype).itemsize  # of which something is left over by all vectors, but once
    one = far_pass("log_loss", dtype, d, 1, (), "relu", {}, 1, size)
    one.order = None if order is None else np.random.default_rng(1).permutation(len(one.X))
    other = one.copy()
    _kernels.read_as_amd(False)
    assert one.run(_kernels) == -1
    _kernels.read_as_amd(True)
    assert other.run(_kernels) == -1
    np.testing.assert_array_equal(one.params, other.params)
    np.testing.assert_array_equal(one.totals, other.totals)
