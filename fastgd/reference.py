"""The passes of ``fastgd._kernels`` in NumPy: same names, same arguments, same order of steps.

Two arguments differ in kind: ``loss`` and ``optimizer`` are the choices themselves here, and numbers there. It is
what the compiled passes are tested against, and the place to read what they do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd.losses import Loss
from fastgd.optimizers import Optimizer

Array = npt.NDArray[Any]

POSITION, UPDATES, OPEN = 1, 2, 3  # places in `counters`; 0 is the epoch, which is the trainer's
LOSS, WEIGHT, BATCH_LOSS, BATCH_WEIGHT = range(4)  # places in `totals`


def _forward(params: Array, x: Array, outputs: int) -> Array:
    # y_k = W_k · x + b_k
    weight, bias = params[: outputs * x.size].reshape(outputs, x.size), params[outputs * x.size :]
    with np.errstate(over="ignore", invalid="ignore"):
        return weight @ x + bias if bias.size else weight @ x


def _row_gradient(params: Array, x: Array, slope: Array) -> Array:
    # ∂C/∂W_k = slope_k x and ∂C/∂b_k = slope_k, as one flat vector
    weight = np.outer(slope, x).ravel()
    return np.concatenate([weight, slope]) if params.size > weight.size else weight


def _close_batch(params: Array, gradient: Array, counters: Array, totals: Array, optimizer: Optimizer) -> None:
    # one update by the mean gradient, (Σ_i weight_i ∇_i) / n over the n rows of the batch
    optimizer.update(params, gradient, 1 / counters[OPEN])
    gradient[:] = 0
    counters[UPDATES] += 1
    counters[OPEN] = 0
    totals[[BATCH_LOSS, BATCH_WEIGHT]] = 0


def train_pass(
    params: Array,
    gradient: Array,
    work: Array,
    counters: Array,
    totals: Array,
    X: Array,
    T: Array,
    weights: Array | None,
    order: Array | None,
    start: int,
    stop: int,
    loss: Loss,
    optimizer: Optimizer,
    batch_size: int,
    close: bool,
    trace_out: Array | None,
    path_out: Array | None,
) -> int:
    """Visit the rows ``order[start:stop]``; return −1, or the place of a row that is not finite, all undone."""
    state = (params, gradient, counters, totals)
    before = [array.copy() for array in state]

    def undone(place: int) -> int:
        for array, old in zip(state, before, strict=True):
            array[:] = old
        return place

    def record(value: float, factor: float, direction: Array) -> None:
        if trace_out is not None and path_out is not None:
            row = counters[UPDATES] - before[2][UPDATES]
            trace_out[row] = value, factor * np.linalg.norm(direction)
            path_out[row] = params

    def end_batch() -> None:
        record(totals[BATCH_LOSS] / totals[BATCH_WEIGHT], 1 / counters[OPEN], gradient)
        _close_batch(params, gradient, counters, totals, optimizer)

    for place in range(start, stop):
        row = place if order is None else int(order[place])
        weight = 1.0 if weights is None else float(weights[row])
        if weight == 0:
            continue
        y = _forward(params, X[row], T.shape[1])
        value = float(loss.value(y, T[row]))
        if not np.isfinite(value):
            return undone(place)
        totals[LOSS] += weight * value
        totals[WEIGHT] += weight
        direction = _row_gradient(params, X[row], loss.slope(y, T[row]))
        if batch_size == 1:
            record(value, weight, direction)
            optimizer.update(params, direction, weight)
            counters[UPDATES] += 1
        else:
            gradient += np.asarray(weight, gradient.dtype) * direction
            totals[BATCH_LOSS] += weight * value
            totals[BATCH_WEIGHT] += weight
            counters[OPEN] += 1
            if counters[OPEN] == batch_size:
                end_batch()
    if close and counters[OPEN] > 0:
        end_batch()
    if not (np.isfinite(params).all() and np.isfinite(gradient).all()):
        return undone(max(start, stop - 1))
    counters[POSITION] += stop - start
    return -1


def predict_pass(params: Array, X: Array, y_out: Array) -> None:
    """Write the raw predictions for the rows of X (n, d) into ``y_out`` (n, K)."""
    for row in range(X.shape[0]):
        y_out[row] = _forward(params, X[row], y_out.shape[1])


def loss_pass(
    params: Array, work: Array, X: Array, T: Array, weights: Array | None, loss: Loss
) -> tuple[float, float, int]:
    """Return Σ weight · loss, Σ weight and −1, or instead of −1 the row whose loss is not finite, where it stopped."""
    total = total_weight = 0.0
    for row in range(X.shape[0]):
        weight = 1.0 if weights is None else float(weights[row])
        if weight == 0:
            continue
        value = float(loss.value(_forward(params, X[row], T.shape[1]), T[row]))
        if not np.isfinite(value):
            return total, total_weight, row
        total += weight * value
        total_weight += weight
    return total, total_weight, -1
