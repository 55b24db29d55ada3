"""The grid of choices, walked from the registries: every loss × optimizer × penalty × dtype × storage × outputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from passes import RUN_TOLERANCE, compare, make_pass

from fastgd import _kernels, activations, losses, optimizers, penalties, schedules
from fastgd.method import Method

STEPS = 200

#: each optimizer with its options, by name
VARIANTS = {
    "sgd": [
        {}, {"momentum": 0.9, "dampening": 0.3}, {"momentum": 0.8, "nesterov": True}, {"weight_decay": 0.1},
        {"momentum": 0.9, "weight_decay": 0.1},
    ],
    "adam": [{}, {"amsgrad": True}, {"lazy": True}, {"weight_decay": 0.1}],
    "adamw": [{}, {"amsgrad": True, "weight_decay": 0.0}],
    "adagrad": [{}, {"lr_decay": 0.01, "initial_accumulator_value": 0.1}],
    "rmsprop": [{}, {"centered": True}, {"momentum": 0.5}, {"centered": True, "momentum": 0.5}],
    "ftrl": [{}, {"l1": 0.05, "l2": 0.1, "lr": 0.01}],
}  # fmt: skip
PENALTIES = [None, *(choice(alpha=0.05) for choice in penalties.registry.values())]
ON_BIAS = [None, *(choice(alpha=0.05, include_bias=True) for choice in penalties.registry.values())]
SCHEDULES = [
    "constant", schedules.Optimal(alpha=1.0), "invscaling", schedules.InvScaling(power_t=0.5),
    schedules.InvScaling(power_t=0.1), "pa1", "pa2", schedules.Cosine(t_max=50, by="step"),
    schedules.get(lambda t: 1 / t),
]  # fmt: skip


def made(loss, K=1, hidden=(), batch_size=1, **choices):
    """Return the method, or None for choices that are refused together (test_method judges which)."""
    try:
        return Method.make(loss, (7, *hidden, max(K, 2) if loss.coupled else K), batch_size, **choices)
    except ValueError:
        return None


@pytest.mark.parametrize("density", [None, 0.3], ids=["dense", "CSR"])
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("name", sorted(optimizers.registry))
def test_every_loss_with_every_optimizer_and_penalty(loss, dtype, name, K, density):
    optimizer = optimizers.registry[name](lr=0.01, **({"weight_decay": 0.0} if name == "adamw" else {}))
    methods = [made(loss, K, optimizer=optimizer, penalty=penalty) for penalty in PENALTIES]
    assert methods[0] is not None
    for method in filter(None, methods):
        compare(make_pass(loss, dtype, K, n=STEPS, density=density, method=method), 10 * RUN_TOLERANCE[dtype])


def test_every_optimizer_has_its_variants():
    assert set(VARIANTS) == set(optimizers.registry)


@pytest.mark.parametrize("hidden", [(), (5,)], ids=["linear", "network"])
@pytest.mark.parametrize("density", [None, 0.3], ids=["dense", "CSR"])
@pytest.mark.parametrize("average", [0, 20])
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_every_variant_of_an_optimizer(dtype, name, average, density, hidden):
    loss, compared = losses.get("huber"), 0
    for options in VARIANTS[name]:
        optimizer = optimizers.registry[name](**{"lr": 0.01, **options})
        for penalty in (*PENALTIES, *ON_BIAS[1:]):
            method = made(loss, 2, hidden, optimizer=optimizer, penalty=penalty, average=average)
            if method is not None:
                args = make_pass(loss, dtype, 2, n=STEPS, density=density, index="int64", hidden=hidden, method=method)
                compare(args, 10 * RUN_TOLERANCE[dtype])
                compared += 1
    assert compared >= len(VARIANTS[name])


@pytest.mark.parametrize("name", sorted(activations.registry))
@pytest.mark.parametrize("hidden", [(5,), (1,), (4, 3), (40, 9)], ids=str)
def test_every_activation(dtype, name, hidden):
    for batch_size, bias in ((1, True), (1, False), (3, True)):
        args = make_pass(
            losses.get("squared_error"), dtype, 2, bias, n=STEPS, hidden=hidden, activation=name, batch_size=batch_size
        )
        compare(args, 10 * RUN_TOLERANCE[dtype])


@pytest.mark.parametrize("density", [None, 0.3], ids=["dense", "CSR"])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: getattr(schedule, "name", str(schedule)))
def test_every_schedule_that_goes_by_the_step(dtype, schedule, density):
    for name, penalty in [("hinge", None), ("epsilon_insensitive", "l2"), ("log_loss", "l1"), ("mse", "elasticnet")]:
        loss = losses.get(name)
        method = made(loss, 2, optimizer=optimizers.SGD(lr=0.05), penalty=penalty, schedule=schedule)
        assert method is not None
        for n in (3, STEPS):
            compare(make_pass(loss, dtype, 2, n=n, density=density, method=method), 10 * RUN_TOLERANCE[dtype])
            compare(make_pass(loss, dtype, 1, n=n, density=density, method=method), 10 * RUN_TOLERANCE[dtype])


@settings(max_examples=400, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_combinations_of_everything(data):
    draw = data.draw
    loss = losses.get(draw(st.sampled_from(sorted(losses.registry))))
    name = draw(st.sampled_from(sorted(VARIANTS)))
    optimizer = optimizers.registry[name](**{"lr": 0.01, **draw(st.sampled_from(VARIANTS[name]))})
    K, hidden = draw(st.sampled_from([1, 3])), draw(st.sampled_from([(), (5,), (4, 3)]))
    batch_size = draw(st.sampled_from([1, 1, 3]))
    method = made(
        loss, K, hidden, batch_size, optimizer=optimizer, penalty=draw(st.sampled_from([*PENALTIES, *ON_BIAS])),
        schedule=draw(st.sampled_from(SCHEDULES)), average=draw(st.sampled_from([0, 1, 15])),
        clip_value=draw(st.sampled_from([None, 0.05])), clip_norm=draw(st.sampled_from([None, 0.1])),
    )  # fmt: skip
    event("refused" if method is None else "compared")
    if method is None:
        return
    dtype, rng = draw(st.sampled_from(["float64", "float32"])), np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = rng.choice([0, 0.5, 1, 2], size=60).astype(dtype) if draw(st.booleans()) else None
    args = make_pass(
        loss, dtype, K, draw(st.booleans()), hidden=hidden,
        activation=draw(st.sampled_from(sorted(activations.registry))),
        density=draw(st.sampled_from([None, 0.3])), index=draw(st.sampled_from(["int32", "int64"])), method=method,
        batch_size=batch_size, weights=weights, order=draw(st.sampled_from([None, rng.permutation(60)])),
        trace=draw(st.booleans()), seed=draw(st.integers(0, 2**32)),
    )  # fmt: skip
    compare(args, 100 * RUN_TOLERANCE[dtype])


@pytest.mark.parametrize("density", [None, 0.3], ids=["dense", "CSR"])
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_any_cut_gives_the_same_weights(name, density):
    # whatever a pass puts off it settles at its end: L1 debts, decays, means
    loss = losses.get("huber")
    for options in VARIANTS[name]:
        optimizer = optimizers.registry[name](**{"lr": 0.01, **options})
        for penalty in PENALTIES:
            method = made(loss, 2, optimizer=optimizer, penalty=penalty, average=10, schedule="constant")
            if method is None:
                continue
            whole = make_pass(loss, "float64", 2, density=density, method=method)
            parts = whole.copy()
            whole.run(_kernels)
            for start, stop in ((0, 1), (1, 30), (30, 31), (31, 60)):
                assert parts.run(_kernels, start, stop) == -1
            for key, value in whole.changed.items():
                np.testing.assert_allclose(parts.changed[key], value, rtol=1e-11, atol=1e-13)
