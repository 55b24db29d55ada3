"""Values and slopes of the losses, in NumPy and compiled, against torch, scikit-learn and exact arithmetic."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import torch
from kinks import KINKS, distance_to_kink
from passes import Pass
from sklearn._loss import HalfBinomialLoss, HalfGammaLoss, HalfPoissonLoss, HalfTweedieLoss, PinballLoss
from sklearn.linear_model._sgd_fast import EpsilonInsensitive, Hinge, ModifiedHuber, SquaredHinge
from sklearn.linear_model._sgd_fast import SquaredEpsilonInsensitive as SquaredInsensitive

import fastgd
from fastgd import _kernels, losses, schedules
from fastgd.method import Method

F = torch.nn.functional
#: torch's losses with their mean over outputs turned into fastgd's sum (mse keeps the mean)
TORCH = {
    "mse": lambda y, t: F.mse_loss(y, t),
    "sse": lambda y, t: F.mse_loss(y, t, reduction="sum"),
    "squared_error": lambda y, t: F.mse_loss(y, t, reduction="sum") / 2,
    "absolute": lambda y, t: F.l1_loss(y, t, reduction="sum"),
    "huber": lambda y, t: F.huber_loss(y, t, reduction="sum"),
    "poisson": lambda y, t: F.poisson_nll_loss(y, t, reduction="sum"),
    "log_loss": lambda y, t: F.binary_cross_entropy_with_logits(y, t, reduction="sum"),
    "cross_entropy": lambda y, t: F.cross_entropy(y, t[0].long() if t.numel() == 1 else t),
}


def of_sgd(loss, signed):
    """Value and slope of one of the losses of scikit-learn's SGD, whose labels are −1 and +1."""
    functions = [np.vectorize(f, otypes=[float]) for f in (loss.py_loss, loss.py_dloss)]
    return [lambda t, y, f=f: f(p=y, y=2 * t - 1 if signed else t) for f in functions]


def of_linear(loss):
    """Value and slope of one of the losses of scikit-learn's generalized linear models."""
    return [lambda t, y, f=f: f(t.ravel(), y.ravel()).reshape(y.shape) for f in (loss.loss, loss.gradient)]


SKLEARN = {
    "absolute": of_sgd(EpsilonInsensitive(0.0), signed=False),
    "epsilon_insensitive": of_sgd(EpsilonInsensitive(0.1), signed=False),
    "squared_epsilon_insensitive": of_sgd(SquaredInsensitive(0.1), signed=False),
    "quantile": of_linear(PinballLoss(quantile=0.5)),
    "poisson": of_linear(HalfPoissonLoss()),
    "gamma": of_linear(HalfGammaLoss()),
    "tweedie": of_linear(HalfTweedieLoss(power=1.5)),
    "log_loss": of_linear(HalfBinomialLoss()),
    "hinge": of_sgd(Hinge(1.0), signed=True),
    "squared_hinge": of_sgd(SquaredHinge(1.0), signed=True),
    "modified_huber": of_sgd(ModifiedHuber(), signed=True),
    "perceptron": of_sgd(Hinge(0.0), signed=True),
}


def saturated(z):
    return mp.exp(min(z, mp.mpf(700)))


def beyond(r, limit):
    return mp.sign(r) * max(abs(r) - mp.mpf(limit), 0)


#: what the losses are, in exact arithmetic: value and slope of one output; labels are s = −1 and +1
EXACT = {
    "mse": (lambda y, t: (y - t) ** 2, lambda y, t: 2 * (y - t)),
    "sse": (lambda y, t: (y - t) ** 2, lambda y, t: 2 * (y - t)),
    "squared_error": (lambda y, t: (y - t) ** 2 / 2, lambda y, t: y - t),
    "absolute": (lambda y, t: abs(y - t), lambda y, t: mp.sign(y - t)),
    "huber": (
        lambda y, t: (y - t) ** 2 / 2 if abs(y - t) <= 1 else abs(y - t) - mp.mpf("0.5"),
        lambda y, t: y - t if abs(y - t) <= 1 else mp.sign(y - t),
    ),
    "epsilon_insensitive": (lambda y, t: abs(beyond(y - t, 0.1)), lambda y, t: mp.sign(beyond(y - t, 0.1))),
    "squared_epsilon_insensitive": (lambda y, t: beyond(y - t, 0.1) ** 2, lambda y, t: 2 * beyond(y - t, 0.1)),
    "quantile": (lambda y, t: abs(y - t) / 2, lambda y, t: mp.sign(y - t) / 2),
    "poisson": (lambda y, t: saturated(y) - t * y, lambda y, t: saturated(y) - t),
    "gamma": (lambda y, t: y + t * saturated(-y), lambda y, t: 1 - t * saturated(-y)),
    "tweedie": (
        lambda y, t: 2 * saturated(y / 2) + 2 * t * saturated(-y / 2),
        lambda y, t: saturated(y / 2) - t * saturated(-y / 2),
    ),
    "log_loss": (lambda y, s: mp.log1p(mp.exp(-s * y)), lambda y, s: -s / (1 + mp.exp(s * y))),
    "hinge": (lambda y, s: max(0, 1 - s * y), lambda y, s: -s if s * y <= 1 else 0),
    "squared_hinge": (lambda y, s: max(0, 1 - s * y) ** 2, lambda y, s: -2 * s * max(0, 1 - s * y)),
    "modified_huber": (
        lambda y, s: max(0, 1 - s * y) ** 2 if s * y >= -1 else -4 * s * y,
        lambda y, s: -2 * s * max(0, 1 - s * y) if s * y >= -1 else -4 * s,
    ),
    "perceptron": (lambda y, s: max(0, -s * y), lambda y, s: -s if s * y <= 0 else 0),
}


def exact(loss, y, t):
    """Values (n,) and slopes (n, K) in exact arithmetic, for hard targets, and K = 1 where outputs are not coupled."""
    rows = [[mp.mpf(float(score)) for score in row] for row in y]
    if loss.name == "cross_entropy":
        values, slopes = [], []
        for row, c in zip(rows, t[:, 0].astype(int), strict=True):
            p = [1 / mp.fsum(mp.exp(other - score) for other in row) for score in row]
            values.append(mp.log1p(mp.fsum(mp.exp(score - row[c]) for k, score in enumerate(row) if k != c)))
            slopes.append([p[k] if k != c else -mp.fsum(p[:c] + p[c + 1 :]) for k in range(len(row))])
        return values, slopes
    signed = loss.targets in ("binary", "labels")
    pairs = [(row[0], mp.mpf(float(2 * c - 1 if signed else c))) for row, c in zip(rows, t[:, 0], strict=True)]
    value, slope = EXACT[loss.name]
    return [value(*pair) for pair in pairs], [[slope(*pair)] for pair in pairs]


def draw(loss, rows=200, K=3, hard=True):
    """Raw predictions and targets that the loss takes."""
    rng = np.random.default_rng(0)
    y = rng.normal(scale=3, size=(rows, K))
    t = {
        "real": rng.normal(scale=3, size=y.shape),
        "binary": rng.integers(0, 2, y.shape) if hard else rng.uniform(size=y.shape),
        "labels": rng.integers(0, 2, y.shape),
        "non-negative": rng.poisson(2.0, y.shape),
        "positive": rng.gamma(2.0, size=y.shape),
        "classes": rng.integers(0, K, (rows, 1)) if hard else rng.dirichlet(np.ones(K), rows),
    }[loss.targets]
    return y, t.astype(np.float64)


def compiled(loss, y, t, method=None, done=0):
    """Values (n,) and slopes (n, K) as the compiled pass sees them.

    The model of each row has the bias y and a weight of 0, which a step by the rate 1 takes to −slope where x = 1.
    """
    values, slopes = [], []
    for row, target in zip(y, t.astype(y.dtype), strict=True):
        net = fastgd.MLP([1, row.size], dtype=y.dtype)
        net.params[:] = np.concatenate([np.zeros_like(row), row])
        one = Pass(net, np.ones((1, 1), y.dtype), target[None], loss, method or Method(fastgd.SGD(lr=1.0)))
        one.counters[2] = done
        assert one.run(_kernels) == -1
        values.append(one.totals[0])
        slopes.append(-one.params[: row.size])
    return np.array(values), np.array(slopes)


def in_ulps(found, expected):
    return max(abs(float((mp.mpf(float(a)) - b) / b)) for a, b in zip(found, expected, strict=True)) / 2**-52


def test_every_loss_is_judged_by_something_else():
    assert {*TORCH, *SKLEARN} == set(losses.registry) == set(KINKS) == {*EXACT, "cross_entropy"}


@pytest.mark.parametrize("hard", [True, False])
def test_the_slope_is_the_numerical_derivative_of_the_value(loss, hard):
    y, t = draw(loss, hard=hard)
    h = 1e-5
    numerical = np.empty_like(y)
    for k in range(y.shape[1]):
        up, down = y.copy(), y.copy()
        up[:, k] += h
        down[:, k] -= h
        numerical[:, k] = (loss.value(up, t) - loss.value(down, t)) / (2 * h)
    away = distance_to_kink(loss, y, t) > 2 * h
    assert away.mean() > 0.99
    atol = 1e-9 * np.abs(loss.value(y, t)).max()
    np.testing.assert_allclose(loss.slope(y, t)[away], numerical[away], rtol=1e-6, atol=atol)


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("hard", [True, False])
def test_value_and_slope_are_those_of_torch(name, hard):
    loss = losses.get(name)
    y, t = draw(loss, rows=60, hard=hard)
    for row, target in zip(y, t, strict=True):
        raw = torch.tensor(row, requires_grad=True)
        value = TORCH[name](raw, torch.tensor(target))
        value.backward()
        np.testing.assert_allclose(loss.value(row, target), value.item(), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(loss.slope(row, target), raw.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", SKLEARN)
def test_value_and_slope_are_those_of_scikit_learn(name):
    loss, (value, slope) = losses.get(name), SKLEARN[name]
    y, t = draw(loss)
    on_kinks, targets = np.meshgrid([-2, -1.1, -1, -0.9, -0.1, 0, 0.1, 0.9, 1, 1.1, 2], [0.0, 1.0])
    if name not in ("gamma", "quantile"):  # a target of 0 is no gamma's; at y = t scikit-learn's quantile has no zero
        y, t = np.concatenate([y.ravel(), on_kinks.ravel()]), np.concatenate([t.ravel(), targets.ravel()])
    y, t = y.reshape(-1, 1), t.reshape(-1, 1)
    np.testing.assert_allclose(loss.value(y, t), value(t, y)[:, 0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(loss.slope(y, t), slope(t, y), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("extreme", [None, 30.0, 700.0, 708.5, 745.5, 1e3, 1e6, 1e150])
def test_scores_ordinary_and_extreme_in_exact_arithmetic(loss, extreme):
    y, t = draw(loss, K=3 if loss.coupled else 1)
    if extreme is not None:
        rest = [0.0, 1.0] if loss.coupled else []
        y = np.array([[sign * extreme, *rest] for sign in (1, -1, 1, -1)])
        t = np.array([[0.0], [0.0], [1.0], [1.0]]) if loss.targets != "positive" else np.array([[0.5], [0.5], [2], [2]])
    y, t = y[:60], t[:60]
    with mp.workdps(40):
        values, slopes = (np.array(each, float) for each in exact(loss, y, t))
    # where classes are told apart no digit is lost; elsewhere terms of the size of y and t cancel
    size = 0 if loss.targets in ("binary", "labels", "classes") else 1 + np.abs(y) + np.abs(t)
    for found_values, found_slopes in ((loss.value(y, t), loss.slope(y, t)), compiled(loss, y, t)):
        off = np.abs(found_values - values)
        assert (off <= 4e-15 * (np.abs(values) + np.sum(size * np.ones_like(y), axis=1)) + 3e-308).all()
        assert (np.abs(found_slopes - slopes) <= 4e-15 * (np.abs(slopes) + size) + 3e-308).all()


@pytest.mark.parametrize("extreme", [90.0, 1e3, 1e6, 1e18])
def test_extreme_scores_are_finite_in_float32(loss, extreme):
    y = np.array([[extreme], [-extreme]], np.float32) * np.ones((1, 2), np.float32)
    t = np.ones((2, 1 if loss.coupled else 2), np.float32)
    values, slopes = compiled(loss, y, t)
    smallest = np.finfo(np.float32).smallest_normal  # an exponential below it may be 0
    np.testing.assert_allclose(values, loss.value(y, t), rtol=1e-6, atol=smallest)
    np.testing.assert_allclose(slopes, loss.slope(y, t), rtol=1e-6, atol=smallest)
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("hard", [True, False])
def test_the_compiled_value_and_slope_are_the_twins(loss, dtype, hard):
    y, t = draw(loss, rows=60, hard=hard)
    y, t = y.astype(dtype), t.astype(dtype)
    values, slopes = compiled(loss, y, t)
    tolerance = 4 * np.finfo(dtype).eps
    size = np.abs(y) + np.abs(t) + 1
    assert (np.abs(values - loss.value(y, t)) <= tolerance * (np.abs(values) + size.sum(axis=1))).all()
    assert loss.slope(y, t).dtype == dtype
    assert (np.abs(slopes - loss.slope(y, t)) <= tolerance * (np.abs(slopes) + size)).all()


def test_a_class_index_and_its_one_hot_row_give_the_same_bits(dtype):
    loss = losses.CrossEntropy()
    y, t = draw(loss, rows=50, K=10)
    y, one_hot = y.astype(dtype), np.eye(10)[t[:, 0].astype(int)]
    for function in (lambda t: (loss.value(y, t), loss.slope(y, t)), lambda t: compiled(loss, y, t)):
        for by_index, by_row in zip(function(t), function(one_hot), strict=True):
            np.testing.assert_array_equal(by_index, by_row)


def test_a_score_that_is_not_finite_is_never_hidden(loss):
    for bad in (np.nan, np.inf, -np.inf):
        for position in (0, 1):
            y = np.zeros((1, 2))
            y[0, position] = bad
            for target in (0.0, 1.0):
                assert not np.isfinite(loss.value(y, np.full((1, 1 if loss.coupled else 2), target)))[0]


def test_log_loss_of_probabilities_in_exact_arithmetic():
    rng = np.random.default_rng(3)
    y = np.concatenate([rng.normal(scale=s, size=200) for s in (1e-8, 1e-2, 1, 10, 300)] + [np.arange(-745.0, 746, 5)])
    t = rng.choice([0.0, 1.0, 0.25], size=y.size)
    with mp.workdps(700):  # log(1 + e^745) − 745 is left with few of them
        exact_value = [mp.log1p(mp.exp(mp.mpf(a))) - mp.mpf(b) * mp.mpf(a) for a, b in zip(y, t)]
        exact_slope = np.array([1 / (1 + mp.exp(-mp.mpf(a))) - mp.mpf(b) for a, b in zip(y, t)], float)
        values, slopes = compiled(losses.LogLoss(), y[:, None], t[:, None])
        large = [k for k in range(y.size) if exact_value[k] > 1e-290]
        off = in_ulps(values[large], [exact_value[k] for k in large])
    print(f"largest error of the compiled log loss: {off:.2f} units in the last place")
    assert off < 4
    hard = t != 0.25  # where a probability is met, the slope passes through zero
    np.testing.assert_allclose(slopes[hard, 0], exact_slope[hard], rtol=4e-15, atol=1e-300)
    np.testing.assert_allclose(slopes[:, 0], exact_slope, rtol=4e-15, atol=1e-16)


def test_log_loss_in_single_precision_against_exact_arithmetic():
    y = np.concatenate([np.linspace(-87.3, 87.3, 301), np.linspace(-1, 1, 100)]).astype(np.float32)
    t = np.resize([0.0, 1.0, 1.0], y.size)
    with mp.workdps(60):
        values, slopes = (np.array(each, float) for each in exact(losses.LogLoss(), y[:, None], t[:, None]))
    found_values, found_slopes = compiled(losses.LogLoss(), y[:, None], t[:, None])
    np.testing.assert_allclose(found_values, values, rtol=4e-7)
    np.testing.assert_allclose(found_slopes, slopes, rtol=4e-7)


def test_log_loss_of_rows_in_blocks_in_exact_arithmetic(dtype):
    # a row's first column is its raw prediction, and it has one of its own, whose weight becomes −slope
    y = np.concatenate([np.linspace(-130, 130, 301), np.linspace(62.9, 63.1, 9), -np.linspace(62.9, 63.1, 9)])
    y = np.random.default_rng(5).permutation(y).astype(dtype)
    net = fastgd.MLP([1 + y.size, 1], bias=False, dtype=dtype)
    net.params[:] = [1] + [0] * y.size
    X, t = np.hstack([y[:, None], np.eye(y.size, dtype=dtype)]), (y > 0).astype(dtype)[:, None]
    lr = 2.0**-60 if dtype == "float64" else 2.0**-30  # too small to move the first weight
    one = Pass(net, X, t, losses.LogLoss(), Method(fastgd.SGD(lr=lr)))
    assert one.run(_kernels) == -1
    assert one.params[0] == 1
    values, slopes = exact(losses.LogLoss(), y[:, None], t)
    rtol, smallest = (4e-15, 0) if dtype == "float64" else (4e-7, np.finfo(np.float32).smallest_normal / lr)
    np.testing.assert_allclose(one.totals[0], float(mp.fsum(values)), rtol=rtol)
    np.testing.assert_allclose(-one.params[1:].astype(float) / lr, np.ravel(slopes).astype(float), rtol, smallest)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_log_loss_of_a_row_that_the_step_before_has_moved(dtype, place):
    # the first row's slope is −1/2, so that the first weight becomes 1/2; the second's own weight becomes −slope. At 2
    # they lie in two blocks of three. As far from a point of the table as it may be used, and at random
    rng = np.random.default_rng(6)
    edges = np.arange(-128, 128) / 16 + 1 / 32 - 2**-10
    y = np.concatenate([edges, -edges, rng.integers(-(2**13), 2**13, 200) / 2**10])
    moved = np.concatenate([np.repeat([1 / 32, -1 / 32], edges.size), rng.integers(-(2**7), 2**7, 200) / 2**10])
    X, t = np.zeros((6, 8), dtype), np.ones((6, 1), dtype)
    X[place, 0] = X[place + 1, 1] = X[place + 1, 2] = 1
    net = fastgd.MLP([8, 1], bias=False, dtype=dtype)
    slopes = []
    for start, move in zip(y, moved, strict=True):
        net.params[:] = np.eye(8)[1] * start
        X[place + 1, 0] = 2 * move
        one = Pass(net, X, t, losses.LogLoss(), Method(fastgd.SGD(lr=1.0)))
        assert one.run(_kernels) == -1
        slopes.append(-one.params[2])
    _, expected = exact(losses.LogLoss(), (y + moved)[:, None], np.ones((y.size, 1)))
    rtol = 2e-15 if dtype == "float64" else 3e-7
    np.testing.assert_allclose(slopes, np.ravel(expected).astype(float), rtol)


def test_exponential_logarithm_and_power_in_exact_arithmetic():
    rng = np.random.default_rng(4)
    y = np.concatenate([rng.uniform(-700, 700, 300), rng.normal(size=100), [0.0, -700.0, 700.0]])
    exponentials = compiled(losses.Poisson(), y[:, None], np.zeros((y.size, 1)))[0]  # e^y
    off = {"exponential": in_ulps(exponentials, [mp.exp(mp.mpf(a)) for a in y])}
    classes = [*range(2, 60), 1000, 4097]
    equal = [compiled(losses.CrossEntropy(), np.zeros((1, K)), np.zeros((1, 1)))[0][0] for K in classes]  # log K
    off["logarithm"] = in_ulps(equal, [mp.log(K) for K in classes])
    for power in (0.25, 0.5, 1 / 3, 1.0, 2.5):
        method = Method(fastgd.SGD(lr=1.0), schedule=schedules.InvScaling(power_t=power))
        steps = [*range(1, 40), 10**6 + 1, 10**9 + 7, 2**40 + 1]
        moved = [compiled(losses.SSE(), np.ones((1, 1)), np.full((1, 1), 0.5), method, t - 1)[1][0, 0] for t in steps]
        off[f"power {power:.2f}"] = in_ulps(moved, [mp.mpf(t) ** -mp.mpf(power) for t in steps])
    print({name: round(error, 2) for name, error in off.items()})
    assert max(off.values()) < 2
