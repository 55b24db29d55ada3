"""Penalties against their formulas, and the truncation against scikit-learn and against exact arithmetic."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from sklearn.linear_model import SGDRegressor

from fastgd import penalties
from fastgd.penalties import L1, L2, ElasticNet, truncate
from fastgd.registry import from_json, to_json

ALL = np.True_


@pytest.mark.parametrize(
    ("penalty", "l1", "l2"),
    [(L2(0.5), 0, 0.5), (L1(0.5), 0.5, 0), (ElasticNet(0.5, 0.25), 0.125, 0.375), (ElasticNet(2, 1), 2, 0)],
)
def test_values(penalty, l1, l2):
    w = np.random.default_rng(0).normal(size=(3, 4))
    assert (penalty.l1, penalty.l2) == (l1, l2)
    assert penalty.value(w) == pytest.approx(l2 / 2 * np.linalg.norm(w) ** 2 + l1 * np.abs(w).sum(), rel=1e-14)
    assert penalty.value(w.astype(np.float32)) == pytest.approx(penalty.value(w), rel=1e-6)


@pytest.mark.parametrize("penalty", [L1(0.02), L1(2e-4), ElasticNet(0.05, 0.3), L2(0.1)], ids=repr)
def test_the_steps_are_scikit_learns(penalty):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 8))
    t = X[:, :3] @ [1.0, -2.0, 0.05] + 0.1 * rng.normal(size=60)
    judge = SGDRegressor(
        penalty="elasticnet", alpha=penalty.alpha, l1_ratio=penalty.l1_ratio, learning_rate="constant", eta0=0.02,
        shuffle=False, max_iter=5, tol=None,
    ).fit(X, t)  # fmt: skip
    w, paid, bias, debt = np.zeros(8), np.zeros(8), 0.0, 0.0
    for row in np.tile(np.arange(60), 5):
        slope = X[row] @ w + bias - t[row]
        w *= 1 - 0.02 * penalty.l2
        w -= 0.02 * slope * X[row]
        bias -= 0.02 * slope
        debt += 0.02 * penalty.l1
        truncate(w, paid, debt, ALL)
    np.testing.assert_allclose(w, judge.coef_, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(w == 0, judge.coef_ == 0)
    assert (w == 0).any() == (penalty.l1 > 1e-3)


def test_payments_can_wait_until_a_weight_is_read():
    rng = np.random.default_rng(2)
    w, steps = rng.normal(size=50), rng.uniform(size=10)
    at_once, one_by_one = w.copy(), w.copy()
    paid, paid_by_one = np.zeros(50), np.zeros(50)
    for debt in np.cumsum(steps) / 10:
        truncate(one_by_one, paid_by_one, debt, ALL)
    truncate(at_once, paid, steps.sum() / 10, ALL)
    np.testing.assert_allclose(at_once, one_by_one, rtol=0, atol=1e-15)
    np.testing.assert_allclose(paid, paid_by_one, rtol=0, atol=1e-15)
    np.testing.assert_allclose(at_once, np.sign(w) * np.maximum(np.abs(w) - steps.sum() / 10, 0), atol=1e-15)
    assert (at_once == 0).any()


def test_a_weight_at_zero_goes_on_owing():
    w, paid = np.array([0.5]), np.zeros(1)
    truncate(w, paid, 1.0, ALL)
    assert (w[0], paid[0]) == (0, -0.5)
    w[0] = 0.25  # less than it owes
    truncate(w, paid, 1.0, ALL)
    assert (w[0], paid[0]) == (0, -0.75)
    w[0] = 0.5
    truncate(w, paid, 1.0, ALL)
    assert (w[0], paid[0]) == (0.25, -1)
    truncate(w, paid, 1.0, ALL)
    assert w[0] == 0.25


@pytest.mark.parametrize("on", [np.array([True, False, True]), np.array([0, 2]), slice(0, 3, 2)])
def test_only_those_pay_that_are_asked(on):
    w, paid = np.array([1.0, 1.0, -1.0]), np.zeros(3)
    truncate(w, paid, 0.25, on)
    np.testing.assert_array_equal(w, [0.75, 1.0, -0.75])
    np.testing.assert_array_equal(paid, [-0.25, 0, 0.25])


def test_many_small_payments_in_single_precision_add_up():
    w, paid, debt, exact = np.ones(1, np.float32), np.zeros(1), 0.0, Fraction(0)
    for _ in range(20_000):
        debt += 1e-6
        exact += Fraction(1e-6)
        truncate(w, paid, debt, ALL)
    assert w.dtype == np.float32
    assert abs(w[0] - float(1 - exact)) <= np.spacing(np.float32(1))


@pytest.mark.parametrize("name", sorted(penalties.registry))
def test_a_description_gives_the_penalty_back(name):
    choice = penalties.registry[name]
    for penalty in (choice(), choice(alpha=0.5, include_bias=True), penalties.get(name)):
        again = from_json("penalty", penalties.registry, json.loads(json.dumps(to_json(penalty))))
        assert again == penalty
        assert hash(again) == hash(penalty)
        assert penalties.get(penalty) is penalty
        assert penalty.l1 + penalty.l2 == pytest.approx(penalty.alpha)


def test_no_penalty_is_none():
    assert penalties.get(None) is None


@pytest.mark.parametrize("name", sorted(penalties.registry))
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"alpha": -1}, ValueError, "alpha=-1 must be a finite number of at least 0"),
        ({"alpha": float("inf")}, ValueError, "alpha=inf must be"),
        ({"alpha": "a"}, TypeError, "alpha='a' must be"),
        ({"include_bias": 1}, TypeError, "include_bias=1 must be True or False"),
    ],
)
def test_what_is_refused(name, options, error, message):
    with pytest.raises(error, match=message):
        penalties.registry[name](**options)


def test_what_else_is_refused():
    for ratio in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"l1_ratio=.* must be"):
            ElasticNet(l1_ratio=ratio)
    with pytest.raises(ValueError, match="penalty='l3' is not known; allowed are 'l2', 'l1', 'elasticnet'"):
        penalties.get("l3")
    with pytest.raises(TypeError, match="penalty must be a name or an instance"):
        penalties.get(L2)
