"""Outputs of a linear model with rates and decays of their own."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch
from passes import RUN_TOLERANCE, compare, make_pass, relative

import fastgd
from fastgd import estimators, losses, penalties, registry, schedules
from fastgd.choices import Settings
from fastgd.method import Method

R, H = (1.0, 0.0, 0.5, 0.125, 2.0), (3.0, 1.0, 0.0, 0.5, 10.0)
CHOICES = {
    "rates": ({"lr_factors": R}, {}),
    "rates, one decay": ({"lr_factors": R}, {"penalty": penalties.L2(0.5)}),
    "rates and decays": ({"lr_factors": R, "decay_factors": H}, {"penalty": penalties.L2(0.5, include_bias=True)}),
    "decays, averaged": ({"decay_factors": H, "weight_decay": 0.1}, {"average": 7}),
    "decays past zero": ({"lr_factors": R, "decay_factors": H}, {"penalty": penalties.L2(20.0)}),
    "a schedule": ({"lr_factors": R, "decay_factors": H, "weight_decay": 0.1}, {"schedule": "invscaling"}),
}
SHAPES = {"blocks": (23, None), "wide": (300, None), "across": (3, None), "one": (1, None), "sparse": (40, 0.2)}


def factors_of(given, K):
    return {name: value[:K] if isinstance(value, tuple) else value for name, value in given.items()}


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize("name", [name for name in losses.registry if name not in registry.OWN])
def test_steps_are_the_reference(name, choices, shape, dtype, batch_size):
    (given, more), (d, density), loss = CHOICES[choices], SHAPES[shape], losses.get(name)
    for K in (5, 2 if loss.coupled else 1):
        optimizer = fastgd.SGD(lr=0.02, **factors_of(given, K))
        method = Method.make(loss, (d, K), batch_size, optimizer=optimizer, **more)
        options = {"d": d, "K": K, "density": density, "batch_size": batch_size, "scale": 1 / np.sqrt(d)}
        compare(make_pass(loss, dtype, method=method, **options), RUN_TOLERANCE[dtype])


def problem(d=20, n=50, density=None):
    rng = np.random.default_rng(0)
    X, T = rng.normal(size=(n, d)) / np.sqrt(d), (rng.normal(size=(n, 5)) > 0) * 1.0
    if density is not None:
        X *= rng.uniform(size=X.shape) < density
    return X, T


def optimal(t):
    # the rates of this schedule, which don't hang on lr
    schedule = schedules.Optimal()
    return float(schedule.rate(0.0, t, t0=schedule.start(losses.get("log_loss"))))


@pytest.mark.parametrize("penalty", [None, penalties.L2(0.3), penalties.L2(0.3, include_bias=True)])
@pytest.mark.parametrize("schedule", ["constant", "optimal", "invscaling", schedules.StepLR(2), lambda t: 1 / t])
@pytest.mark.parametrize("storage", [np.asarray, scipy.sparse.csr_array])
def test_each_output_is_as_if_trained_alone(storage, schedule, penalty):
    X, T = problem(density=0.5)
    choices = {"loss": "log_loss", "epochs": 3, "schedule": schedule}
    together = fastgd.Linear(20, 5, seed=0)
    start = together.weight.copy(), together.bias.copy()
    optimizer = fastgd.SGD(lr=0.1, lr_factors=R, decay_factors=H)
    fastgd.train(together, storage(X), T, optimizer=optimizer, penalty=penalty, **choices)
    for k in range(5):
        alone = fastgd.Linear(20, 1)
        alone.weight[:], alone.bias[:] = start[0][k], start[1][k]
        own = None if penalty is None else penalties.L2(H[k] * penalty.alpha, penalty.include_bias)
        lr, rate = (R[k], optimal) if schedule == "optimal" else (0.1 * R[k], schedule)
        fastgd.train(alone, storage(X), T[:, k], optimizer=fastgd.SGD(lr), penalty=own, **choices | {"schedule": rate})
        assert relative(together.weight[k], alone.weight[0]) <= 1e-12
        assert relative(together.bias[k], alone.bias[0]) <= 1e-12


def test_they_are_the_groups_of_torch():
    X, T = problem()
    model = fastgd.Linear(20, 5, seed=0)
    twins = [torch.nn.Linear(20, 1, dtype=torch.float64) for _ in range(5)]
    for k, twin in enumerate(twins):
        with torch.no_grad():
            twin.weight[:], twin.bias[:] = torch.tensor(model.weight[k]), torch.tensor(model.bias[k])
    groups = [
        {"params": twin.parameters(), "lr": 0.1 * r, "weight_decay": 0.2 * h}
        for twin, r, h in zip(twins, R, H, strict=True)
    ]
    theirs = torch.optim.SGD(groups)
    ours = fastgd.SGD(lr=0.1, weight_decay=0.2, lr_factors=R, decay_factors=H)
    fastgd.train(model, X, T, loss="sse", optimizer=ours)
    for x, t in zip(torch.tensor(X), torch.tensor(T), strict=True):
        theirs.zero_grad()
        torch.nn.functional.mse_loss(torch.cat([twin(x) for twin in twins]), t, reduction="sum").backward()
        theirs.step()
    assert relative(model.weight, torch.cat([twin.weight for twin in twins]).detach()) <= 1e-12
    assert relative(model.bias, torch.cat([twin.bias for twin in twins]).detach()) <= 1e-12


@pytest.mark.parametrize("d", [3, 20])
def test_a_pass_makes_the_steps_of_single_samples(d, tmp_path):
    X, T = problem(d)
    optimizer = fastgd.SGD(lr=0.1, weight_decay=0.2, lr_factors=R, decay_factors=H)
    one, other = (fastgd.Linear(d, 5, seed=1) for _ in range(2))
    fastgd.train(one, X, T, loss="hinge", optimizer=optimizer)
    trainer = fastgd.Trainer(other, "hinge", optimizer)
    for place, (x, t) in enumerate(zip(X, T, strict=True)):
        if place == 20:
            trainer.save(tmp_path / "half")
            trainer = fastgd.Trainer.load(tmp_path / "half")
            assert trainer.method.optimizer == optimizer
        trainer.step(x, t)
    assert relative(trainer.model.params, one.params) <= 1e-12


def test_estimators_take_them():
    X, T = problem()
    choices = {"learning_rate": "constant", "max_iter": 3, "tol": None, "shuffle": False, "alpha": 0.3}
    choices["loss"] = losses.SquaredError()
    together = estimators.SGDRegressor(optimizer=fastgd.SGD(lr=0.1, lr_factors=R, decay_factors=H), **choices).fit(X, T)
    for k in range(5):
        alone = estimators.SGDRegressor(optimizer=fastgd.SGD(lr=0.1 * R[k]), **choices | {"alpha": 0.3 * H[k]})
        assert relative(together.coef_[k], alone.fit(X, T[:, k]).coef_) <= 1e-12


def test_the_command_line_takes_them():
    made = Settings(["optimizer.lr_factors=1,0.5", "optimizer.decay_factors=0,2"]).make("optimizer", "sgd")
    assert made == fastgd.SGD(lr_factors=(1, 0.5), decay_factors=[0, 2])


@pytest.mark.parametrize("name", ["lr_factors", "decay_factors"])
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (0.5, TypeError, "=0.5 must be a sequence of numbers, one for each output, or empty"),
        ("12", TypeError, "='12' must be a sequence"),
        ((1, -1), ValueError, r"\[1\]=-1 must be"),
        ((1, np.nan), ValueError, r"\[1\]=nan must be"),
        ((1, "a"), TypeError, r"\[1\]='a' must be"),
    ],
)
def test_factors_are_numbers_of_at_least_zero(name, given, error, message):
    with pytest.raises(error, match=name + message):
        fastgd.SGD(**{name: given})


@pytest.mark.parametrize("name", ["lr_factors", "decay_factors"])
def test_what_they_do_not_go_with_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name}=\(1.0, 2.0\) needs momentum=0, not 0.9"):
        fastgd.SGD(momentum=0.9, **{name: (1, 2)})
    optimizer = fastgd.SGD(**{name: (1, 2)})
    for message, sizes, choices in [
        ("2 for 3 outputs; allowed is one for each", (4, 3), {}),
        (r"a network of sizes \(4, 5, 2\); allowed are models without hidden layers", (4, 5, 2), {}),
        ("schedule=PA1.*, whose rate is each row's own", (4, 2), {"schedule": "pa1"}),
        (r"penalty=L1.*; allowed are None and L2", (4, 2), {"penalty": "l1"}),
        (r"penalty=ElasticNet.*; allowed are None and L2", (4, 2), {"penalty": "elasticnet"}),
        ("clip_value=1.0; allowed is None", (4, 2), {"clip_value": 1}),
        ("clip_norm=1.0; allowed is None", (4, 2), {"clip_norm": 1}),
        ("rules=.*; allowed are fastgd's own", (4, 2), {"rules": fastgd.rules.Rules(intercept_decay=0.5)}),
    ]:
        with pytest.raises(ValueError, match=rf"{name}=\(1.0, 2.0\) of SGD .*{message}"):
            Method.make(losses.get("hinge"), sizes, optimizer=optimizer, **choices)
