"""Losses against numerical derivatives, torch and exact arithmetic."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from passes import relative

from fastgd import _kernels, engine, losses

#: torch's losses with their mean over outputs turned into fastgd's sum (mse keeps the mean)
TORCH = {
    "mse": lambda y, t: torch.nn.functional.mse_loss(y, t),
    "sse": lambda y, t: torch.nn.functional.mse_loss(y, t, reduction="sum"),
    "squared_error": lambda y, t: torch.nn.functional.mse_loss(y, t, reduction="sum") / 2,
    "absolute": lambda y, t: torch.nn.functional.l1_loss(y, t, reduction="sum"),
    "huber": lambda y, t: torch.nn.functional.huber_loss(y, t, reduction="sum"),
    "log_loss": lambda y, t: torch.nn.functional.binary_cross_entropy_with_logits(y, t, reduction="sum"),
}


def scores_and_targets(loss, rng=None, rows=200, K=3):
    rng = rng or np.random.default_rng(0)
    y = rng.normal(scale=3, size=(rows, K))
    t = rng.uniform(size=y.shape) if loss.targets == "binary" else rng.normal(scale=3, size=y.shape)
    return y, t


def compiled_value(loss, y, t, dtype="float64"):
    """The loss of each row as the compiled pass sees it: a model of one feature, zero, and the bias y."""
    values = []
    for row, target in zip(y.astype(dtype), t.astype(dtype), strict=True):
        K = row.size
        params = np.concatenate([np.zeros(K, dtype), row])
        sums = _kernels.loss_pass(
            params, np.empty(2 * K, dtype), np.zeros((1, 1), dtype), target[None], None, engine.loss_numbers(loss, K)
        )
        values.append(sums[0])
    return np.array(values)


def test_the_slope_is_the_numerical_derivative_of_the_value(loss):
    y, t = scores_and_targets(loss)
    h = 1e-5
    numerical = np.empty_like(y)
    for k in range(y.shape[1]):
        up, down = y.copy(), y.copy()
        up[:, k] += h
        down[:, k] -= h
        numerical[:, k] = (loss.value(up, t) - loss.value(down, t)) / (2 * h)
    away_from_kinks = np.abs(np.abs(y - t) - getattr(loss, "delta", 0)) > 2 * h
    assert away_from_kinks.mean() > 0.99
    np.testing.assert_allclose(loss.slope(y, t)[away_from_kinks], numerical[away_from_kinks], rtol=1e-6, atol=1e-8)


def test_value_and_slope_are_those_of_torch(loss):
    y, t = scores_and_targets(loss)
    for row, target in zip(y, t, strict=True):
        raw = torch.tensor(row, requires_grad=True)
        value = TORCH[loss.name](raw, torch.tensor(target))
        value.backward()
        np.testing.assert_allclose(loss.value(row, target), value.item(), rtol=1e-13)
        np.testing.assert_allclose(loss.slope(row, target), raw.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_every_loss_is_compared_with_torch():
    assert set(TORCH) == set(losses.registry)


def test_the_compiled_value_is_the_twins(loss, dtype):
    y, t = scores_and_targets(loss)
    expected = loss.value(y.astype(dtype), t.astype(dtype))
    assert relative(compiled_value(loss, y, t, dtype), expected) < (1e-15 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("extreme", [30.0, 700.0, 708.5, 745.5, 1e3, 1e6, 1e150])
def test_extreme_scores_neither_overflow_nor_lose_digits(loss, extreme):
    if loss.name in ("mse", "sse", "squared_error") and extreme > 1e153:
        return
    y = np.array([[extreme], [-extreme], [extreme], [-extreme]])
    t = np.array([[0.0], [0.0], [1.0], [1.0]])
    assert np.isfinite(loss.value(y, t)).all()
    assert np.isfinite(loss.slope(y, t)).all()
    np.testing.assert_allclose(
        compiled_value(loss, y, t), loss.value(y, t), rtol=1e-15, atol=3e-308
    )  # e^x is 0 below x = -708


def test_log_loss_in_exact_arithmetic():
    rng = np.random.default_rng(3)
    y = np.concatenate([rng.normal(scale=s, size=400) for s in (1e-8, 1e-2, 1, 10, 300)] + [np.arange(-745.0, 746, 5)])
    t = rng.choice([0.0, 1.0, 0.25], size=y.size)
    mpmath.mp.dps = 700  # log(1 + e^745) − 745 is left with few of them
    exact_value = [mpmath.log1p(mpmath.exp(mpmath.mpf(a))) - mpmath.mpf(b) * mpmath.mpf(a) for a, b in zip(y, t)]
    exact_slope = [1 / (1 + mpmath.exp(-mpmath.mpf(a))) - mpmath.mpf(b) for a, b in zip(y, t)]
    loss = losses.LogLoss()
    value = compiled_value(loss, y[:, None], t[:, None])
    in_units_of_the_last_place = [
        abs(float((mpmath.mpf(a) - b) / max(abs(b), mpmath.mpf("1e-290")))) / 2**-52 for a, b in zip(value, exact_value)
    ]
    print(f"largest error of the compiled log loss: {max(in_units_of_the_last_place):.2f} units in the last place")
    assert max(in_units_of_the_last_place) < 4
    hard = t != 0.25  # where a probability is met, the slope passes through zero
    slope, exact = loss.slope(y, t), np.array(exact_slope, float)
    np.testing.assert_allclose(slope[hard], exact[hard], rtol=4e-15, atol=1e-300)
    np.testing.assert_allclose(slope, exact, rtol=4e-15, atol=1e-16)


def test_means_and_labels():
    y = np.array([[-800.0], [-1.0], [0.0], [1.0], [800.0]])
    loss = losses.LogLoss()
    np.testing.assert_allclose(loss.mean(y), torch.sigmoid(torch.tensor(y)).numpy(), rtol=1e-14)
    np.testing.assert_array_equal(loss.label(y)[:, 0], [0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match="'mse' has no labels"):
        losses.MSE().label(y)


@pytest.mark.parametrize("delta", [0, -1.0, np.nan, np.inf])
def test_delta_must_be_positive(delta):
    with pytest.raises(ValueError, match=r"delta=.* must be a finite number above 0"):
        losses.Huber(delta=delta)


def test_names_are_looked_up_with_a_clear_message():
    assert losses.get("huber") == losses.Huber()
    with pytest.raises(ValueError, match="loss='hubert' is not known; allowed are 'mse', 'sse'"):
        losses.get("hubert")

    class Own(losses.MSE):
        pass

    with pytest.raises(TypeError, match="loss must be a name or an instance"):
        losses.get(Own())
    with pytest.raises(TypeError, match="loss must be a name or an instance"):
        losses.get(3)  # type: ignore[arg-type]
