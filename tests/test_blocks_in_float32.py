"""In float32 a pass in blocks errs little more than one row by row, up to rates that are hardly stable."""

from __future__ import annotations

import numpy as np
import pytest

import fastgd
from fastgd import losses

ROWS, SEEDS = 4000, 5


def iid(rng, shape):
    return rng.normal(size=shape)


def badly_scaled(rng, shape):
    return rng.normal(size=shape) * np.logspace(-3, 3, shape[1])


def ill_conditioned(rng, shape):
    return rng.normal(size=(shape[0], 1)) + 1e-3 * rng.normal(size=shape)


def offset(rng, shape):
    return rng.normal(size=shape) + 100


def duplicated(rng, shape):
    return np.repeat(rng.normal(size=(shape[0] // 4, shape[1])), 4, axis=0)


def curvature(loss: losses.Loss) -> float:
    """Return the largest second derivative over scores between −5 and 5, infinite where the slope jumps."""
    y, h = np.linspace(-5, 5, 20_001), 5e-4
    t = np.ones_like(y)
    slopes = loss.slope(y[:, None], t[:, None])[:, 0]
    steepest = np.abs(np.diff(slopes)).max() / h
    return float("inf") if steepest > 100 else steepest


SMOOTH = {
    name: steepest
    for name in sorted(losses.registry)
    if losses.get(name).targets in ("real", "binary", "labels")  # other slopes have no bound, or belong to many outputs
    and np.isfinite(steepest := curvature(losses.get(name)))
}


def test_the_smooth_losses_are_known():
    assert {"mse", "huber", "log_loss", "squared_hinge"} <= set(SMOOTH)
    assert SMOOTH["mse"] == pytest.approx(2, rel=1e-3)
    assert SMOOTH["log_loss"] == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("rows", [iid, badly_scaled, ill_conditioned, offset, duplicated])
@pytest.mark.parametrize("d", [2, 5, 8, 100])
@pytest.mark.parametrize("name", SMOOTH)
def test_the_error_is_at_most_three_times_that_of_rows(name, d, rows):
    in_blocks = row_by_row = 0.0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        X = rows(rng, (ROWS, d)).astype(np.float32)
        score = X @ rng.normal(size=d) / np.sqrt((X.astype(float) ** 2).sum(axis=1).mean())
        t = score + 0.1 * rng.normal(size=ROWS)
        if losses.get(name).targets != "real":
            t = (t > 0).astype(float)
        lr = 1.9 / SMOOTH[name] / ((X.astype(float) ** 2).sum(axis=1).max() + 1)
        exact, blocks, single = (fastgd.Linear(d, 1, dtype=dtype, seed=0) for dtype in ("f8", "f4", "f4"))
        exact.params[:] = single.params
        choices = {"loss": name, "optimizer": fastgd.SGD(lr=lr)}
        fastgd.train(exact, X.astype(float), t, **choices)
        fastgd.train(blocks, X, t, **choices)
        fastgd.train(single, X, t, trace=True, **choices)  # which goes a row at a time
        in_blocks += float(((blocks.params - exact.params) ** 2).sum())
        row_by_row += float(((single.params - exact.params) ** 2).sum())
    assert 0 < in_blocks <= 9 * row_by_row
