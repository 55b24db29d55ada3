"""Every schedule against torch.optim.lr_scheduler or scikit-learn's runs."""

from __future__ import annotations

import json
import warnings
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import SGDClassifier, SGDRegressor

from fastgd import losses, schedules
from fastgd.registry import from_json, to_json
from fastgd.schedules import (
    PA1,
    PA2,
    Adaptive,
    Constant,
    Cosine,
    Exponential,
    InvScaling,
    Optimal,
    Own,
    StepLR,
    Warmup,
)

#: the schedules that torch has, with torch's own
IN_TORCH = {
    "step": [
        (StepLR(step_size=7), "StepLR", {"step_size": 7}),
        (StepLR(1, 0.7), "StepLR", {"step_size": 1, "gamma": 0.7}),
    ],
    "exponential": [(Exponential(gamma=0.9), "ExponentialLR", {"gamma": 0.9})],
    "cosine": [
        (Cosine(t_max=50), "CosineAnnealingLR", {"T_max": 50}),
        (Cosine(t_max=12, eta_min=0.01), "CosineAnnealingLR", {"T_max": 12, "eta_min": 0.01}),
    ],
    "warmup": [
        (Warmup(), "LinearLR", {}),
        (Warmup(steps=30, start_factor=0.01), "LinearLR", {"total_iters": 30, "start_factor": 0.01}),
    ],
}
#: judged by scikit-learn, in tests of their own
IN_SKLEARN = {"constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"}
LR = 0.3


def test_every_schedule_has_its_judge():
    assert set(IN_TORCH) | IN_SKLEARN == set(schedules.registry)


@pytest.mark.parametrize("by", ["epoch", "step"])
@pytest.mark.parametrize(("schedule", "torchs", "options"), [case for cases in IN_TORCH.values() for case in cases])
def test_the_rates_are_torchs(schedule, torchs, options, by):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    judge = getattr(torch.optim.lr_scheduler, torchs)(optimizer, **options)
    expected = []
    for _ in range(50):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        judge.step()
    schedule = replace(schedule, by=by)
    if by == "step":
        rates = schedule.rate(LR, np.arange(1, 51), epoch=3)
    else:
        rates = [float(schedule.rate(LR, 1000, epoch)) for epoch in range(50)]
    np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=1e-16)


def test_rates_are_finite_and_not_negative_for_ever():
    t = np.array([1, 2, 10**6, 10**12])
    for schedule in (StepLR(3, by="step"), Exponential(0.9, by="step"), Cosine(7, by="step"), Warmup(by="step")):
        rates = schedule.rate(LR, t)
        assert np.isfinite(rates).all()
        assert (rates >= 0).all()
        assert rates.dtype == np.float64


@pytest.mark.parametrize("shape", [(), (3,), (0,)])
def test_rates_are_shaped_like_the_numbers_of_the_updates(shape):
    made = {"step": StepLR(2), "exponential": Exponential(0.5), "cosine": Cosine(3), "own": Own(lambda t: 1 / t)}
    t = np.full(shape, 4)
    for name in (*schedules.registry, "own"):
        schedule = made.get(name) or schedules.get(name)
        rates = schedule.rate(LR, t, epoch=1, losses=[1.0], t0=2.0)
        assert isinstance(rates, np.ndarray)
        assert rates.shape == shape
        assert rates.dtype == np.float64


def data(rows=40, features=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, features))
    return X, X @ np.array([1.0, -2.0, 0.5, 0.0])[:features] + 0.3 * rng.normal(size=rows)


def assert_rates(schedule, epochs, **judge):
    """Hold plain SGD on half the squared error, at the schedule's rates, to scikit-learn's weights."""
    X, t = data()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop before it converges
        fitted = SGDRegressor(penalty=None, shuffle=False, eta0=LR / 10, max_iter=epochs, **judge).fit(X, t)
    w, bias, step, history = np.zeros(4), 0.0, 0, []
    t0 = schedule.start(losses.get("squared_error"))
    for epoch in range(epochs):
        total = 0.0
        for x, target in zip(X, t):
            step += 1
            slope = x @ w + bias - target
            total += slope**2 / 2
            rate = schedule.rate(LR / 10, step, epoch, history, t0)
            w -= rate * slope * x
            bias -= rate * slope
        history.append(total / len(X))
        if isinstance(schedule, Adaptive) and schedule.progress(LR / 10, history)[1]:
            break
    assert len(history) == fitted.n_iter_
    np.testing.assert_allclose(w, fitted.coef_, rtol=1e-10)
    np.testing.assert_allclose(bias, fitted.intercept_[0], rtol=1e-10)
    return history


def test_constant_is_scikit_learns():
    assert_rates(Constant(), 5, learning_rate="constant", tol=None)


@pytest.mark.parametrize("power_t", [0.25, 0.5, 0.0, 1.3])
def test_invscaling_is_scikit_learns(power_t):
    assert_rates(InvScaling(power_t), 5, learning_rate="invscaling", power_t=power_t, tol=None)


@pytest.mark.parametrize(("tol", "patience"), [(1e-3, 5), (1e-2, 1), (1e-6, 2)])
def test_adaptive_is_scikit_learns(tol, patience):
    schedule = Adaptive(tol=tol, patience=patience)
    history = assert_rates(schedule, 400, learning_rate="adaptive", tol=tol, n_iter_no_change=patience)
    assert len(history) < 400
    rate, stop = schedule.progress(LR / 10, history)
    assert stop
    assert rate <= 1e-6 < rate * 5


@pytest.mark.parametrize("lr", [0.015625, 0.1, 1e-6])
def test_adaptive_cuts_as_often_as_dividing_by_five(lr):
    rate, stop, stuck = lr, False, [1.0]
    while not stop:
        stuck.append(1.0)
        expected, cut = lr, 0
        while expected > 1e-6 and cut < (len(stuck) - 1) // 5:
            expected, cut = expected / 5, cut + 1
        rate, stop = Adaptive().progress(lr, stuck)
        assert rate == expected
    assert len(stuck) - 1 == 5 * (cut + 1)


def test_adaptive_looks_at_the_losses_alone():
    schedule = Adaptive(patience=2, factor=0.5, tol=0.1)
    losses_so_far = [1.0, 0.95, 0.5, 0.45, 0.41, 0.3, 0.29, 0.29]
    rates = [float(schedule.rate(1.0, 1, epoch, losses_so_far[:epoch])) for epoch in range(9)]
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    assert float(schedule.rate(1.0, 1, 2, losses_so_far[:2])) == 1


def fit_one(loss, x, t, alpha):
    """The step that scikit-learn makes from zero weights for one row."""
    if losses.get(loss).targets == "real":
        judge = SGDRegressor(loss=loss, penalty=None, alpha=alpha, learning_rate="optimal", fit_intercept=False)
        return judge.partial_fit([[x]], [t]).coef_[0]
    judge = SGDClassifier(loss=loss, penalty=None, alpha=alpha, learning_rate="optimal", fit_intercept=False)
    return judge.partial_fit([[x]], [t], classes=[0, 1]).coef_[0, 0]


SKLEARNS_LOSSES = [
    name
    for name in (
        "squared_error", "epsilon_insensitive", "squared_epsilon_insensitive",
        "log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron",
    )
    if name in losses.registry
]  # fmt: skip


@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 1.0, 30.0])
@pytest.mark.parametrize("name", SKLEARNS_LOSSES)
def test_optimal_begins_as_scikit_learns(name, alpha):
    schedule, loss = Optimal(alpha), losses.get(name)
    slope = loss.slope(np.zeros(1), np.ones(1))[0]
    rate = schedule.rate(123.0, 1, t0=schedule.start(loss))
    assert float(-rate * slope * 0.5) == pytest.approx(fit_one(name, 0.5, 1, alpha), rel=1e-13)


def test_optimal_is_scikit_learns():
    assert_rates(Optimal(0.3), 5, learning_rate="optimal", alpha=0.3, tol=None)


@pytest.mark.parametrize("name", sorted(losses.registry))
def test_optimal_begins_somewhere_for_every_loss(name):
    for alpha in (1e-8, 1e-4, 1.0, 1e4):
        schedule = Optimal(alpha)
        rates = schedule.rate(0.0, np.arange(1, 5), t0=schedule.start(losses.get(name)))
        assert np.isfinite(rates).all()
        assert (rates > 0).all()
        assert (np.diff(rates) < 0).all()


@pytest.mark.parametrize("aggressiveness", [0.01, 1.0])
@pytest.mark.parametrize("schedule", [PA1(), PA2()], ids=repr)
@pytest.mark.parametrize("name", ["hinge", "epsilon_insensitive"])  # scikit-learn has it for no others
def test_passive_aggressive_moves_are_scikit_learns(name, schedule, aggressiveness):
    X, t = data(seed=1)
    X[7] = 0
    loss = losses.get(name)
    labels = loss.targets != "real"
    t = (t > 0).astype(float) if labels else t
    judge = (SGDClassifier if labels else SGDRegressor)(
        loss=name, penalty=None, learning_rate=schedule.name, eta0=aggressiveness, shuffle=False, max_iter=3, tol=None
    ).fit(X, t)
    w, bias = np.zeros((1, 4)), np.zeros(1)
    for x, target in zip(np.tile(X, (3, 1)), np.tile(t, 3)):
        move = schedule.move(loss, aggressiveness, w @ x + bias, np.array([target]), float(x @ x))
        w += np.outer(move, x)
        bias += move
    np.testing.assert_allclose(w.ravel(), judge.coef_.ravel(), rtol=1e-10)
    np.testing.assert_allclose(bias, judge.intercept_, rtol=1e-10)


def test_a_schedule_of_ones_own():
    seen = []

    def halves(t):
        seen.append(t)
        return 0.5**t

    schedule = schedules.get(halves)
    assert schedules.get(schedule) is schedule
    np.testing.assert_array_equal(schedule.rate(8.0, np.array([[1, 2], [3, 4]])), [[4, 2], [1, 0.5]])
    assert seen == [1, 2, 3, 4]
    assert {type(t) for t in seen} == {int}
    assert schedules.get(lambda t: np.float32(0.5)).rate(2.0, 1) == 1
    assert schedules.get(lambda t: 0).rate(2.0, 1) == 0


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-0.1, ValueError, r"schedule\(3\)=-0.1 must be a finite number of at least 0"),
        (float("nan"), ValueError, r"schedule\(3\)=nan must be a finite"),
        (float("inf"), ValueError, r"schedule\(3\)=inf must be a finite"),
        (None, TypeError, r"schedule\(3\)=None must be a finite"),
        ("0.1", TypeError, r"schedule\(3\)='0.1' must be a finite"),
    ],
)
def test_a_schedule_of_ones_own_that_returns_something_else(value, error, message):
    schedule = schedules.get(lambda t: value if t == 3 else 1.0)
    with pytest.raises(error, match=message):
        schedule.rate(0.1, np.arange(1, 6))


OPTIONS = {"step": {"step_size": 3}, "exponential": {"gamma": 0.5}, "cosine": {"t_max": 4}}


@pytest.mark.parametrize("name", sorted(schedules.registry))
def test_a_description_gives_the_schedule_back(name):
    choice = schedules.registry[name]
    schedule = choice(**OPTIONS.get(name, {}))
    variants = [schedule]
    if "by" in {field.name for field in fields(choice)}:
        variants.append(choice(**OPTIONS.get(name, {}), by="step"))
    for schedule in variants:
        again = from_json("schedule", schedules.registry, json.loads(json.dumps(to_json(schedule))))
        assert again == schedule
        assert hash(again) == hash(schedule)
        assert schedules.get(schedule) is schedule
        assert again.by == schedule.by


REFUSED = [
    (Optimal, {"alpha": 0}, ValueError, "alpha=0 must be a finite number above 0"),
    (InvScaling, {"power_t": -0.5}, ValueError, "power_t=-0.5 must be"),
    (Adaptive, {"factor": 0}, ValueError, "factor=0 must be"),
    (Adaptive, {"factor": 1}, ValueError, "factor=1.0 must be a number above 0 and below 1"),
    (Adaptive, {"tol": -1}, ValueError, "tol=-1 must be"),
    (Adaptive, {"patience": 0}, ValueError, "patience=0 must be an integer of at least 1"),
    (Adaptive, {"patience": 2.0}, TypeError, "patience=2.0 must be an integer"),
    (Adaptive, {"min_lr": -1}, ValueError, "min_lr=-1 must be"),
    (StepLR, {"step_size": 0}, ValueError, "step_size=0 must be an integer of at least 1"),
    (StepLR, {"step_size": 2, "gamma": 1.1}, ValueError, "gamma=1.1 must be a number above 0 and at most 1"),
    (StepLR, {"step_size": 2, "by": "row"}, ValueError, "by='row' is not known; allowed are 'step', 'epoch'"),
    (Exponential, {"gamma": 0}, ValueError, "gamma=0 must be"),
    (Exponential, {"gamma": "a"}, TypeError, "gamma='a' must be"),
    (Exponential, {"gamma": 0.5, "by": None}, ValueError, "by=None is not known"),
    (Cosine, {"t_max": 0}, ValueError, "t_max=0 must be"),
    (Cosine, {"t_max": 2, "eta_min": -1}, ValueError, "eta_min=-1 must be"),
    (Cosine, {"t_max": 2, "by": ["step"]}, ValueError, r"by=\['step'\] is not known"),
    (Warmup, {"steps": 0}, ValueError, "steps=0 must be"),
    (Warmup, {"start_factor": 0}, ValueError, "start_factor=0 must be"),
    (Warmup, {"start_factor": 1.5}, ValueError, "start_factor=1.5 must be"),
    (Warmup, {"by": 1}, ValueError, "by=1 is not known"),
    (Own, {"function": 3}, TypeError, "function=3 must be callable"),
]


@pytest.mark.parametrize(("choice", "options", "error", "message"), REFUSED)
def test_what_is_refused(choice, options, error, message):
    with pytest.raises(error, match=message):
        choice(**options)


def test_names_that_are_not_enough():
    with pytest.raises(
        ValueError, match=r"schedule='step' has no default step_size; give schedules.StepLR\(step_size=…\)"
    ):
        schedules.get("step")
    with pytest.raises(ValueError, match="schedule='linear' is not known; allowed are 'constant', 'optimal', "):
        schedules.get("linear")
    for wrong in (Constant, 3, None):
        with pytest.raises(TypeError, match="schedule must be a name or an instance"):
            schedules.get(wrong)
