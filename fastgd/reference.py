"""The passes in NumPy: the same names, arguments and steps as ``_kernels``, written to be read.

Here the loss, the method and the network are the choice objects, whose methods are the formulas, and nothing is
clever: every update writes its whole gradient, and a sparse row is made dense. ``state`` is as in the compiled passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastgd.activations import Activation
from fastgd.layout import Shape, layers
from fastgd.losses import Loss
from fastgd.method import Method
from fastgd.penalties import truncate
from fastgd.schedules import PassiveAggressive

Array = npt.NDArray[Any]

EPOCH, POSITION, UPDATES, OPEN, AVERAGED = range(5)  # places in `counters`; the first is the trainer's
LOSS, WEIGHT, BATCH_LOSS, BATCH_WEIGHT, DEBT = range(5)  # places in `totals`


class Net(Shape, Protocol):
    """A network: its layers, of which all but the last have an activation."""

    @property
    def activations(self) -> tuple[Activation, ...]:
        """One for each hidden layer."""


def on_weights(net: Net) -> Array:
    """Return for each parameter whether it is a weight (P,)."""
    mask = np.ones(sum(m * (n + net.has_bias) for n, m in pairwise(net.sizes)), bool)
    for _, bias in layers(net, mask):
        bias[:] = False
    return mask


def _row(X: Array, indices: Array | None, indptr: Array | None, row: int, features: int) -> Array:
    if indices is None or indptr is None:
        return X[row * features : (row + 1) * features]
    x = np.zeros(features, X.dtype)
    stored = slice(int(indptr[row]), int(indptr[row + 1]))
    x[indices[stored]] = X[stored]
    return x


def _forward(net: Net, params: Array, x: Array) -> list[Array]:
    # the outputs of every layer, x first and the raw predictions last
    outputs = [x]
    with np.errstate(over="ignore", invalid="ignore"):
        for (weight, bias), activation in zip(layers(net, params), (*net.activations, None), strict=True):
            z = weight @ outputs[-1] + bias if bias.size else weight @ outputs[-1]
            # an activation must not hide a sum that is not finite
            outputs.append(z if activation is None else activation.output(z) + 0 * z)
    return outputs


def _backward(net: Net, params: Array, outputs: list[Array], slope: Array) -> Array:
    # the gradient (P,): ∂C/∂W_k = δ_k a and ∂C/∂b = δ, with δ_below = (Wᵀ δ) · ∂a/∂z
    gradient = np.empty_like(params)
    delta = slope
    layered = list(zip(layers(net, params), layers(net, gradient), strict=True))
    for number in range(len(layered) - 1, -1, -1):
        (weight, _), (by_weight, by_bias) = layered[number]
        by_weight[:] = np.outer(delta, outputs[number])
        if by_bias.size:
            by_bias[:] = delta
        if number:
            delta = (weight.T @ delta) * net.activations[number - 1].slope(outputs[number])
    return gradient


class _Updates:
    """The updates of one pass: what they change, and by what method."""

    def __init__(
        self,
        params: Array,
        state: Array,
        paid: Array | None,
        counters: Array,
        totals: Array,
        net: Net,
        loss: Loss,
        given: tuple[Method, Sequence[float]],
    ) -> None:
        self.params, self.counters, self.totals = params, counters, totals
        self.method, self.epoch_losses = given
        self.t0 = self.method.schedule.start(loss)
        self.on_weight = on_weights(net)
        rows, slots = state.reshape(-1, params.size), self.method.optimizer.slots
        self.state, self.mean = rows[:slots], rows[slots:].ravel()
        self.paid = None if paid is None else paid[: params.size]

    def rate(self) -> float:
        """Return the learning rate of the next update."""
        t, epoch = int(self.counters[UPDATES]) + 1, int(self.counters[EPOCH])
        return float(self.method.schedule.rate(self.method.optimizer.lr, t, epoch, self.epoch_losses, self.t0))

    def make(self, gradient: Array) -> None:
        """Make one update by the gradient (P,)."""
        method, params, rate, step = self.method, self.params, self.rate(), int(self.counters[UPDATES]) + 1
        decay = method.decay(self.on_weight)
        if method.penalty is not None and method.optimizer.is_plain and rate > 0:
            decay = np.minimum(decay, 1 / rate)  # an L2 penalty shrinks a weight to zero, not past it
        gradient = method.clip(gradient).astype(params.dtype)
        method.optimizer.update(params, self.state, gradient, rate, decay, step, self.on_weight)
        self.counters[UPDATES] += 1
        if method.penalty is not None and self.paid is not None:
            self.totals[DEBT] += rate * method.penalty.l1
            truncate(params, self.paid, self.totals[DEBT], method.penalised(self.on_weight))
        if method.average and step >= method.average:
            self.counters[AVERAGED] += 1
            self.mean += params.dtype.type(1 / self.counters[AVERAGED]) * (params - self.mean)


def train_pass(
    params: Array,
    state: Array,
    paid: Array | None,
    gradient: Array,
    work: Array,
    counters: Array,
    totals: Array,
    X: Array,
    indices: Array | None,
    indptr: Array | None,
    T: Array,
    weights: Array | None,
    order: Array | None,
    start: int,
    stop: int,
    net: Net,
    loss: Loss,
    method: tuple[Method, Sequence[float]],
    batch_size: int,
    close: bool,
    trace_out: Array | None,
    path_out: Array | None,
) -> int:
    """Visit the rows ``order[start:stop]``; return −1, or the place of a row that is not finite, all undone."""
    changed = [params, state, gradient, counters, totals, *([] if paid is None else [paid])]
    before = [array.copy() for array in changed]
    updates = _Updates(params, state, paid, counters, totals, net, loss, method)
    first, schedule = int(counters[UPDATES]), method[0].schedule

    def undone(place: int) -> int:
        for array, old in zip(changed, before, strict=True):
            array[:] = old
        return place

    def record(value: float, direction: Array) -> None:
        if trace_out is not None and path_out is not None:
            made = counters[UPDATES] - first
            trace_out[made] = value, np.linalg.norm(direction)
            path_out[made] = params

    def end_batch() -> None:
        direction = gradient * params.dtype.type(1 / counters[OPEN])
        record(totals[BATCH_LOSS] / totals[BATCH_WEIGHT], direction)
        updates.make(direction)
        gradient[:] = 0
        counters[OPEN] = 0
        totals[[BATCH_LOSS, BATCH_WEIGHT]] = 0

    for place in range(start, stop):
        row = place if order is None else int(order[place])
        weight = 1.0 if weights is None else float(weights[row])
        if weight == 0:
            continue
        x = _row(X, indices, indptr, row, net.sizes[0])
        outputs = _forward(net, params, x)
        value = float(loss.value(outputs[-1], T[row]))
        if not np.isfinite(value):
            return undone(place)
        totals[LOSS] += weight * value
        totals[WEIGHT] += weight
        direction = params.dtype.type(weight) * _backward(net, params, outputs, loss.slope(outputs[-1], T[row]))
        if batch_size == 1:
            record(value, direction)
            if isinstance(schedule, PassiveAggressive):
                lr = method[0].optimizer.lr
                slope = -schedule.move(loss, lr, outputs[-1], T[row], float(x @ x)) / lr
                direction = weight * _backward(net, params, outputs, slope)
            updates.make(direction)
            continue
        gradient += direction
        totals[BATCH_LOSS] += weight * value
        totals[BATCH_WEIGHT] += weight
        counters[OPEN] += 1
        if counters[OPEN] == batch_size:
            end_batch()
    if close and counters[OPEN] > 0:
        end_batch()
    if not (np.isfinite(params).all() and np.isfinite(state).all() and np.isfinite(gradient).all()):
        return undone(max(start, stop - 1))
    counters[POSITION] += stop - start
    return -1


def predict_pass(
    params: Array, work: Array, X: Array, indices: Array | None, indptr: Array | None, net: Net, y_out: Array
) -> None:
    """Write the raw predictions for the rows of X into ``y_out`` (n, K)."""
    for row in range(y_out.shape[0]):
        y_out[row] = _forward(net, params, _row(X, indices, indptr, row, net.sizes[0]))[-1]


def loss_pass(
    params: Array,
    work: Array,
    X: Array,
    indices: Array | None,
    indptr: Array | None,
    T: Array,
    weights: Array | None,
    net: Net,
    loss: Loss,
) -> tuple[float, float, int]:
    """Return Σ weight · loss, Σ weight and −1, or instead of −1 the row whose loss is not finite, where it stopped."""
    total = total_weight = 0.0
    for row in range(T.shape[0]):
        weight = 1.0 if weights is None else float(weights[row])
        if weight == 0:
            continue
        y = _forward(net, params, _row(X, indices, indptr, row, net.sizes[0]))[-1]
        value = float(loss.value(y, T[row]))
        if not np.isfinite(value):
            return total, total_weight, row
        total += weight * value
        total_weight += weight
    return total, total_weight, -1
