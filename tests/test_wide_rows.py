"""Rows are taken together or one by one, by their width and where they lie: the same steps as the reference makes."""

from __future__ import annotations

import numpy as np
import pytest
from passes import RUN_TOLERANCE, assert_undone, compare, make_pass, relative

import fastgd
from fastgd import _kernels, losses, penalties, schedules
from fastgd.method import Method

#: widths on both sides of every border between the ways, in either dtype, with all remainders that lanes leave; first
#: those of one, two and four vectors
WIDTHS = [
    4, 8, 16, 32, 63, 64, 65, 71, 134, 200, 257, 319, 320, 321, 639, 641, 1000, 1365, 1366, 2048, 2050, 2731, 4096,
    4100, 6000,
]  # fmt: skip
CHOICES = {
    "plain": {},
    "L2": {"penalty": penalties.L2(0.01)},
    "averaged": {"average": 5},
    "averaged, L2": {"average": True, "penalty": penalties.L2(0.01, include_bias=True)},
    "clipped": {"clip_norm": 0.5},
    "invscaling": {"schedule": "invscaling", "penalty": "l2"},
    "table": {"schedule": schedules.StepLR(5, by="step"), "penalty": "l2"},
}
DTYPES = ["float64", "float32"]
#: widths and numbers of rows, near and from afar: more than 1 MB in random order, from 32 MB on asked for again, or
#: more than 8 or 16 MB in order
FROM_AFAR = [
    (12, 24000), (60, 36000), (70, 121000), (120, 36000), (130, 40), (130, 17000), (701, 700), (701, 3100), (1024, 400),
    (1030, 2100), (3000, 40), (3000, 750), (4096, 1100), (5000, 900), (70000, 70),
]  # fmt: skip


def wide_pass(name, dtype, d, choices, **options):
    loss = losses.get(name)
    method = Method.make(loss, (d, 1), optimizer=fastgd.SGD(lr=0.05), **choices)
    return make_pass(loss, dtype, d=d, n=23, method=method, scale=3 / np.sqrt(d), **options)


@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_wide_rows_agree_with_the_reference(dtype, d, choices):
    rng = np.random.default_rng(d)
    weights = rng.choice([0, 0.5, 2], size=23).astype(dtype)
    for name, bias, given in (
        ("mse", True, {}), ("log_loss", True, {"order": rng.permutation(23)}), ("hinge", False, {"weights": weights}),
        ("hinge", True, {"weights": weights, "order": rng.integers(23, size=40)}),
    ):  # fmt: skip
        args = wide_pass(name, dtype, d, choices, bias=bias, **given)
        compiled, _ = compare(args, RUN_TOLERANCE[dtype])
        assert relative(compiled.params, args.params) > 1e-5


@pytest.mark.parametrize("schedule", ["pa1", "pa2"])
@pytest.mark.parametrize("d", [129, 257, 1037])
@pytest.mark.parametrize("dtype", DTYPES)
def test_wide_rows_take_passive_aggressive_steps(dtype, d, schedule):
    compare(wide_pass("hinge", dtype, d, {"schedule": schedule}), RUN_TOLERANCE[dtype])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("choices", [{}, {"penalty": "l2"}], ids=["plain", "L2"])
@pytest.mark.parametrize("d", [257, 1037, 1500])
def test_a_wide_row_that_is_not_finite_undoes_the_pass(d, choices, bad):
    for row in (0, 7, 22):
        args = wide_pass("log_loss", "float64", d, choices)
        args.X[row, d - 1] = bad
        assert_undone(args, row)


@pytest.mark.parametrize("choices", [{}, {"penalty": penalties.L2(0.01), "average": True}], ids=["plain", "L2, mean"])
@pytest.mark.parametrize("order", [False, True], ids=["in order", "shuffled"])
@pytest.mark.parametrize(("d", "rows"), FROM_AFAR)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_from_afar_are_the_same_rows(dtype, d, rows, order, choices):
    visits = np.random.default_rng(0).permutation(rows) if order else None
    loss = losses.get("mse")
    method = Method.make(loss, (d, 1), optimizer=fastgd.SGD(lr=0.1 / d), **choices)
    compare(make_pass(loss, dtype, d=d, n=rows, method=method, order=visits), RUN_TOLERANCE[dtype])


@pytest.mark.parametrize("choices", [{}, {"penalty": "l2"}, {"average": True}], ids=["plain", "L2", "mean"])
@pytest.mark.parametrize("order", [False, True], ids=["in order", "shuffled"])
@pytest.mark.parametrize(
    ("d", "rows"), [(8, 300), (60, 36000), (62, 36000), (64, 132000), (120, 36000), (128, 4000), (1024, 2100)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_where_rows_begin_in_memory_changes_no_bit(dtype, d, rows, order, choices):
    visits = np.random.default_rng(0).permutation(rows) if order else None
    method = Method.make(losses.get("mse"), (d, 1), optimizer=fastgd.SGD(lr=0.1 / d), **choices)
    args = make_pass(losses.get("mse"), dtype, d=d, n=rows, method=method, order=visits)
    memory, found = np.empty(args.X.nbytes + 128, np.uint8), set()
    for offset in (0, 16, 32, 48):
        start, one = -memory.ctypes.data % 64 + offset, args.copy()
        one.X = memory[start : start + args.X.nbytes].view(dtype).reshape(args.X.shape)
        one.X[:] = args.X
        assert one.run(_kernels) == -1
        found.add(one.params.tobytes() + one.totals.tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("order", [False, True], ids=["in order", "shuffled"])
@pytest.mark.parametrize("choices", [{}, {"penalty": "l2"}, {"average": True}], ids=["plain", "L2", "mean"])
@pytest.mark.parametrize(("dtype", "huge"), [("float64", 1e200), ("float32", 1e25)])
def test_products_of_rows_may_overflow_where_their_steps_do_not(dtype, huge, choices, order):
    # the huge numbers meet weights of zero, and their rows are predicted well enough not to move them
    loss, rng = losses.EpsilonInsensitive(epsilon=0.5), np.random.default_rng(0)
    method = Method.make(loss, (7, 1), optimizer=fastgd.SGD(lr=0.05), **choices)
    visits = rng.permutation(30) if order else None
    args = make_pass(loss, dtype, bias=False, n=30, d=7, method=method, order=visits)
    args.params[6] = args.X[:, 6] = 0
    rows = [9, 10, 11, 12, 20, 21]
    args.X[rows], args.T[rows] = 0, 0.25
    args.X[rows, 6] = huge
    compiled, _ = compare(args, RUN_TOLERANCE[dtype])
    assert relative(compiled.params, args.params) > 1e-3
    assert compiled.params[6] == 0
