"""Training beside torch, 500 updates in float64: optimizers with their options, clipping, schedules and averages."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch_twins
from torch_twins import LINEAR, NETWORK, OPTIMIZERS, SCHEDULES, VARIANTS, Run, make_optimizer

from fastgd import losses, schedules

tally = torch_twins.tally

CLIPS = [{"clip_value": 0.1}, {"clip_norm": 0.5}, {"clip_value": 0.3, "clip_norm": 0.5}]
#: two of each, by epoch and by step
CHOSEN = {
    "step": (schedules.StepLR(step_size=6, gamma=0.5), schedules.StepLR(step_size=130, by="step")),
    "exponential": (schedules.Exponential(gamma=0.9), schedules.Exponential(gamma=0.995, by="step")),
    "cosine": (schedules.Cosine(t_max=15, eta_min=0.001), schedules.Cosine(t_max=400, by="step")),
    "warmup": (schedules.Warmup(steps=7, start_factor=0.2), schedules.Warmup(by="step")),
}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_variant(tally, name):
    pairs = [("log_loss", LINEAR), ("huber", NETWORK)]
    chosen = [make_optimizer(name, **options) for options in VARIANTS[name] if options]
    tally.judge([Run(optimizer, losses.get(loss), sizes) for optimizer in chosen for loss, sizes in pairs])


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_clipping_comes_before_weight_decay(tally, name):
    optimizer = make_optimizer(name, weight_decay=0.1)
    runs = [Run(optimizer, method=clip) for clip in CLIPS]
    tally.judge([*runs, Run(optimizer, losses.get("absolute"), LINEAR, method=CLIPS[-1])])


def test_clipping_is_of_the_mean_gradient_of_a_batch(tally):
    optimizer = make_optimizer("sgd", momentum=0.8)
    tally.judge([Run(optimizer, batch_size=4, epochs=20, method=clip) for clip in CLIPS])


@pytest.mark.parametrize("density", [1.0, 0.3], ids=["dense", "CSR"])
def test_lazy_adam_is_sparse_adam(tally, density):
    optimizer = make_optimizer("adam", lazy=True)
    runs = [Run(optimizer, losses.get("log_loss"), sizes, density=density) for sizes in (LINEAR, NETWORK)]
    tally.judge([*runs, replace(runs[0], method=CLIPS[1]), replace(runs[1], batch_size=4, epochs=20)])


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_rows_in_csr(tally, name):
    runs = [
        Run(make_optimizer(name, **options), losses.get("cross_entropy"), sizes, density=0.3)
        for options, sizes in [({"weight_decay": 0.1}, LINEAR), (VARIANTS[name][1], NETWORK)]
    ]
    tally.judge(runs)


def test_every_schedule_of_torch_is_chosen():
    assert set(CHOSEN) == set(SCHEDULES)


@pytest.mark.parametrize("name", sorted(CHOSEN))
def test_schedules(tally, name):
    by_epoch, by_step = CHOSEN[name]
    tally.judge(
        [
            Run(make_optimizer("sgd", momentum=0.8), epochs=20, method={"schedule": by_epoch}),
            Run(make_optimizer("adam", weight_decay=0.1), epochs=20, method={"schedule": by_epoch}),
            Run(make_optimizer("sgd"), sizes=LINEAR, batch_size=4, epochs=20, method={"schedule": by_epoch}),
            Run(make_optimizer("rmsprop"), sizes=LINEAR, method={"schedule": by_step}),
        ]
    )


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_averages_are_means_of_the_iterates(tally, name):
    optimizer, average = make_optimizer(name), {"average": True}
    runs = [Run(optimizer, sizes=LINEAR, method=average), Run(optimizer, method={"average": 130})]
    if name == "sgd":
        runs += [
            Run(make_optimizer(name, momentum=0.8), batch_size=4, epochs=20, method=average),
            Run(make_optimizer(name, weight_decay=0.1), losses.get("log_loss"), LINEAR, method=average),
            Run(optimizer, sizes=LINEAR, density=0.3, method={"average": 130}),
        ]
    tally.judge(runs)
