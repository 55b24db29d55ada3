"""The compiled passes against the NumPy reference."""

from __future__ import annotations

import inspect
import os

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from kinks import distance_to_kink
from passes import RUN_TOLERANCE, STEP_TOLERANCE, compare, make_pass, relative

from fastgd import _kernels, activations, codes, losses, optimizers, reference, schedules
from fastgd.method import Method

N = 60


def plain(lr):
    return Method(optimizers.SGD(lr=lr))


def test_the_two_have_the_same_names_and_arguments():
    names = {name for name in dir(_kernels) if name.endswith("_pass")}
    assert names == {name for name in dir(reference) if name.endswith("_pass")}
    for name in names:
        compiled = inspect.signature(getattr(_kernels, name)).parameters
        assert list(compiled) == list(inspect.signature(getattr(reference, name)).parameters)


def test_every_choice_has_a_code_and_every_code_a_choice():
    names = {
        "LossCode": {*losses.registry, "c_function"},
        "ActivationCode": set(activations.registry),
        "OptimizerCode": set(optimizers.registry),
        "ScheduleCode": {*codes.IN_C, "table"},
    }
    for enum, expected in names.items():
        assert {code.name.lower() for code in getattr(_kernels, enum)} == expected
    assert set(codes.IN_C) <= set(schedules.registry)


@pytest.mark.parametrize("batch_size", [1, 2, 7, N, N + 5])
@pytest.mark.parametrize("order", [False, True], ids=["in order", "shuffled"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("trace", [False, True], ids=["", "traced"])
def test_a_training_pass_agrees_with_the_reference(loss, dtype, trace, K, bias, weighted, order, batch_size):
    rng = np.random.default_rng(1)
    weights = rng.choice([0, 0.5, 1, 2], size=N).astype(dtype) if weighted else None
    visits = rng.permutation(N) if order else None
    args = make_pass(loss, dtype, K, bias, weights=weights, order=visits, batch_size=batch_size, trace=trace)
    compiled, _ = compare(args, RUN_TOLERANCE[dtype])
    assert relative(compiled.params, args.params) > 1e-3  # it did move


@pytest.mark.parametrize("d", [*range(1, 20), 24, 31, 32, 33, 47, 64, 100, 257, 512, 513, 1024, 1025])
@pytest.mark.parametrize(("K", "hidden"), [(1, ()), (2, ()), (9, ()), (1, (9,)), (2, (3, 2))])
def test_every_width_agrees_with_the_reference(dtype, K, hidden, d):
    for n in (*range(1, 10), N):  # blocks of three and four rows, and what is left of them
        args = make_pass(losses.MSE(), dtype, K, n % 2 == 0, n=n, d=d, hidden=hidden, method=plain(0.1 / d))
        compare(args, RUN_TOLERANCE[dtype])


@pytest.mark.parametrize("hidden", [(), (5, 4)], ids=["linear", "network"])
@pytest.mark.parametrize("density", [None, 0.3], ids=["dense", "CSR"])
def test_prediction_and_loss_passes_agree_with_the_reference(loss, dtype, density, hidden):
    args = make_pass(loss, dtype, K=3, density=density, hidden=hidden)
    weights = np.random.default_rng(2).choice([0, 1, 3], size=N).astype(dtype)
    outputs = []
    for passes in (_kernels, reference):
        net, choice, _ = args.choices(passes, 1)
        y, work = np.empty((N, 3), dtype), np.empty(2 * (sum(hidden) + 3), dtype)
        passes.predict_pass(args.params, work, *args.data(), net, y)
        sums = passes.loss_pass(args.params, work, *args.data(), args.T, weights, net, choice)
        outputs.append((y, sums))
    assert relative(outputs[0][0], outputs[1][0]) <= STEP_TOLERANCE[dtype]
    np.testing.assert_allclose(outputs[0][1], outputs[1][1], rtol=10 * STEP_TOLERANCE[dtype])


@pytest.mark.parametrize(("K", "batch_size"), [(1, 1), (2, 1), (1, 4), (2, 4)])
def test_any_cut_gives_the_same_weights(loss, dtype, K, batch_size):
    whole = make_pass(loss, dtype, K, batch_size=batch_size)
    parts = whole.copy()
    whole.run(_kernels)
    parts.close = False
    for start, stop in ((0, 1), (1, 30), (30, 31), (31, N)):
        parts.close = stop == N
        assert parts.run(_kernels, start, stop) == -1
    assert relative(parts.params, whole.params) <= RUN_TOLERANCE[dtype]
    if batch_size > 1:  # a block of rows rounds differently where it is cut; nothing else does
        assert parts.params.tobytes() == whole.params.tobytes()
    np.testing.assert_array_equal(parts.counters, whole.counters)
    np.testing.assert_allclose(parts.totals, whole.totals, rtol=10 * RUN_TOLERANCE[dtype])


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(("K", "hidden", "d"), [(1, (), 7), (2, (), 7), (2, (), 3), (2, (5,), 7), (2, (5,), 3)])
@pytest.mark.parametrize("passes", [_kernels, reference], ids=["compiled", "reference"])
def test_a_row_that_is_not_finite_undoes_the_pass(loss, passes, K, hidden, d, batch_size):
    args = make_pass(loss, "float64", K, d=d, hidden=hidden, activation="tanh", batch_size=batch_size)
    for bad in (np.nan, np.inf, -np.inf):
        args.X[33, 2] = bad
        after = args.copy()
        assert after.run(passes) == 33
        assert after.params.tobytes() == args.params.tobytes()
        assert not after.gradient.any()
        assert not after.counters.any()
        assert not after.totals.any()


def test_a_row_of_weight_zero_is_not_read(dtype):
    weights = np.ones(N, dtype)
    weights[[0, 5, N - 1]] = 0
    args = make_pass(losses.MSE(), dtype, weights=weights, batch_size=3)
    args.X[weights == 0] = np.nan
    args.T[weights == 0] = np.nan
    kept = args.copy()
    kept.X, kept.T, kept.weights = args.X[weights > 0], args.T[weights > 0], None
    assert args.run(_kernels) == kept.run(_kernels) == -1
    assert args.params.tobytes() == kept.params.tobytes()
    assert args.counters[2] == -(-(N - 3) // 3)


def test_a_block_whose_gram_entries_overflow_takes_single_steps():
    args = make_pass(losses.Absolute(), "float64", scale=1e160, method=plain(1e-300))
    args.params[:] = 0
    args.T[:] = 1e10
    compiled, _ = compare(args, 1e-12)
    assert np.abs(compiled.params).max() > 1e-150


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_blocks_agree_to_rounding(data):
    dtype = data.draw(st.sampled_from(["float64", "float32"]))
    d, n = data.draw(st.integers(1, 70)), data.draw(st.integers(4, 21))
    loss = losses.get(data.draw(st.sampled_from(["mse", "log_loss"])))
    weights = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=n, max_size=n))
    order = data.draw(st.none() | st.permutations(range(n)))
    compare(
        make_pass(
            loss, dtype, 1, data.draw(st.booleans()), n=n, d=d, seed=data.draw(st.integers(0, 2**32)),
            method=plain(0.1 / (1 + d)),
            weights=data.draw(st.none() | st.just(np.array(weights, dtype))),
            order=None if order is None else np.array(order),
        ),
        100 * STEP_TOLERANCE[dtype],
    )  # fmt: skip


@settings(max_examples=int(os.environ.get("FASTGD_EXAMPLES", "500")), deadline=None, derandomize=True)
@given(data=st.data())
def test_random_single_steps_agree_to_rounding(data):
    loss = losses.get(data.draw(st.sampled_from(sorted(losses.registry))))
    dtype = data.draw(st.sampled_from(["float64", "float32"]))
    K, d = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 70))
    scale = 10.0 ** data.draw(st.integers(-3, 2))
    K = max(K, 2) if loss.coupled else K
    args = make_pass(
        loss, dtype, K, data.draw(st.booleans()), n=1, d=d, seed=data.draw(st.integers(0, 2**32)), scale=scale,
        method=plain(0.1 / (1 + d * scale**2)),
    )  # fmt: skip
    y = np.empty((1, K), dtype)
    reference.predict_pass(args.params, y, *args.data(), args.net, y)
    size = np.abs(args.X).sum() * np.abs(args.params).max() + 1
    on_a_kink = distance_to_kink(loss, y, args.T).min() < 10 * np.finfo(dtype).eps * size
    event("discarded: on a kink of the loss" if on_a_kink else "compared")  # --hypothesis-show-statistics counts them
    if not on_a_kink:
        compare(args, STEP_TOLERANCE[dtype])
