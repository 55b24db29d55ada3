"""Squared errors on short rows, which are taken four at once: the same steps as the reference makes."""

from __future__ import annotations

import numpy as np
import pytest
from passes import RUN_TOLERANCE, assert_undone, compare, make_pass, relative

import fastgd
from fastgd import _kernels, losses, penalties, reference
from fastgd.method import Method

#: in float64 up to four numbers, in float32 up to eight
WIDTHS = range(1, 10)
DTYPES = ["float64", "float32"]
SQUARES = ["mse", "sse", "squared_error"]
SMALLEST = {"float64": 1e-300, "float32": 1e-38}


def short_pass(d, dtype="float64", n=23, lr=0.05, loss="squared_error", **options):
    loss = losses.get(loss)
    method = Method.make(loss, (d, 1), optimizer=fastgd.SGD(lr=lr))
    return make_pass(loss, dtype, d=d, n=n, method=method, scale=1 / np.sqrt(d), **options)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("order", [False, True], ids=["in order", "shuffled"])
@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_short_rows_agree_with_the_reference(dtype, d, order, bias):
    rng = np.random.default_rng(d)
    for n in range(1, 14):
        for loss in SQUARES:
            places = rng.integers(n, size=n + 2) if order else None  # some rows twice, some not at all
            args = short_pass(d, dtype, n, loss=loss, bias=bias, order=places, apart=n % 2 == 0)
            compiled, _ = compare(args, RUN_TOLERANCE[dtype])
            assert relative(compiled.params, args.params) > 1e-5


@pytest.mark.parametrize("d", [1, 3, 4])
def test_an_epoch_of_ten_thousand_rows_agrees_to_rounding(d):
    compare(short_pass(d, n=10_000, lr=0.01), 1e-12)


@pytest.mark.parametrize("d", [2, 4, 7])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_pass_may_begin_and_end_anywhere(dtype, d):
    whole, in_parts, in_numpy = (short_pass(d, dtype, 40) for _ in range(3))
    whole.run(_kernels)
    in_numpy.run(reference)
    for start, stop in ((0, 3), (3, 4), (4, 11), (11, 40)):
        in_parts.run(_kernels, start, stop)
    for made in (whole, in_parts):
        assert relative(made.params, in_numpy.params) <= RUN_TOLERANCE[dtype]
        np.testing.assert_allclose(made.totals, in_numpy.totals, rtol=10 * RUN_TOLERANCE[dtype])
    np.testing.assert_array_equal(in_parts.counters, whole.counters)


@pytest.mark.parametrize("d", [1, 2, 4, 8])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rate_of_any_size_keeps_the_loss(dtype, d):
    for lr in (0.0, SMALLEST[dtype], 1e-31, 1e-29, 1e-10, 1e-3):
        compare(short_pass(d, dtype, lr=lr), RUN_TOLERANCE[dtype])


@pytest.mark.parametrize("choices", [{"weights": 1}, {"penalty": 1}, {"schedule": 1}, {"clip": 1}, {"average": 1}])
@pytest.mark.parametrize("d", [2, 5])
def test_steps_that_are_not_so_simple_are_the_references_too(d, choices):
    rng, loss = np.random.default_rng(0), losses.get("mse")
    method = Method.make(
        loss, (d, 1), optimizer=fastgd.SGD(lr=0.05), penalty=penalties.L2(0.01) if "penalty" in choices else None,
        schedule="invscaling" if "schedule" in choices else "constant", average="average" in choices,
        clip_norm=0.5 if "clip" in choices else None,
    )  # fmt: skip
    weights = rng.choice([0.0, 0.5, 2.0], size=23) if "weights" in choices else None
    compare(make_pass(loss, "float64", d=d, n=23, method=method, weights=weights), RUN_TOLERANCE["float64"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("d", [1, 4, 8])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_that_is_not_finite_undoes_the_pass(dtype, d, bad):
    for row in (0, 6, 7, 8, 22):
        args = short_pass(d, dtype)
        args.X[row, d - 1] = bad
        assert_undone(args, row)
