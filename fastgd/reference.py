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
from fastgd.penalties import Penalty, truncate
from fastgd.rules import NO_RULES
from fastgd.schedules import PassiveAggressive

Array = npt.NDArray[Any]

EPOCH, POSITION, UPDATES, OPEN, AVERAGED = range(5)  # places in `counters`; the first is the trainer's
LOSS, WEIGHT, BATCH_LOSS, BATCH_WEIGHT, DEBT = range(5)  # places in `totals`
UNWEIGHTED, PENALTY, SUMMED, SHRUNK, UNCUT_SQUARES, UNCUT_SIZES = range(5, 11)  # and those of Rules
TOTALS = 11


def shrunk_limit(dtype: np.dtype[Any]) -> float:
    """Return below which product of its decays scikit-learn multiplies it into the weights."""
    return 1e-9 if dtype == np.float64 else 1e-6


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


def _row(X: Array, indices: Array | None, indptr: Array | None, row: int, features: int) -> tuple[Array, Array | slice]:
    # the row as a dense one, and the columns that it stores
    if indices is None or indptr is None:
        return X[row * features : (row + 1) * features], slice(None)
    x = np.zeros(features, X.dtype)
    stored = slice(int(indptr[row]), int(indptr[row + 1]))
    x[indices[stored]] = X[stored]
    return x, indices[stored]


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


class _Run:
    """One training pass: what it changes, and by what."""

    def __init__(
        self,
        params: Array,
        state: Array,
        paid: Array | None,
        gradient: Array,
        counters: Array,
        totals: Array,
        net: Net,
        loss: Loss,
        given: tuple[Method, Sequence[float]],
        outputs: tuple[Array | None, Array | None],
    ) -> None:
        self.params, self.gradient, self.counters, self.totals = params, gradient, counters, totals
        self.net, self.loss = net, loss
        self.method, self.epoch_losses = given
        self.trace_out, self.path_out = outputs
        self.t0 = self.method.schedule.start(loss)
        self.on_weight = on_weights(net)
        rows, slots = state.reshape(-1, params.size), self.method.optimizer.slots
        self.state, self.mean = rows[:slots], rows[slots:].ravel()
        self.paid = None if paid is None else paid[: params.size]
        self.changed = [params, state, gradient, counters, totals, *([] if paid is None else [paid])]
        self.before = [array.copy() for array in self.changed]
        self.first = int(counters[UPDATES])
        self.touched: Array | slice = slice(None)
        self.still = False

    def undo(self) -> None:
        for array, old in zip(self.changed, self.before, strict=True):
            array[:] = old

    def visit(self, x: Array, touched: Array | slice, t: Array, weight: float, batch_size: int) -> bool:
        """Visit a row, which stores the columns ``touched``; return whether its loss is finite."""
        params, totals, rules = self.params, self.totals, self.method.rules
        outputs = _forward(self.net, params, x)
        value = float(self.loss.value(outputs[-1], t))
        if not np.isfinite(value):
            return False
        totals[LOSS] += weight * value
        totals[WEIGHT] += weight
        self.touched = touched
        self.sum_objective(value)
        if rules.pass_over_zeros and self.method.schedule.name == "pa1" and not x.any():
            return True
        slope = np.clip(self.loss.slope(outputs[-1], t), -rules.slope_limit, rules.slope_limit)
        if self.method.optimizer.lr_factors:
            slope = slope * np.asarray(self.method.optimizer.lr_factors, slope.dtype)
        direction = params.dtype.type(weight) * _backward(self.net, params, outputs, slope)
        if batch_size == 1:
            self.still = not (weight * slope).any()
            self.record(value, direction)
            schedule, lr = self.method.schedule, self.method.optimizer.lr
            if isinstance(schedule, PassiveAggressive):
                slope = -schedule.move(self.loss, lr, outputs[-1], t, float(x @ x)) / lr
                self.still = not (weight * slope).any()
                direction = weight * _backward(self.net, params, outputs, slope)
            self.update(direction)
            return True
        self.gradient += direction
        totals[BATCH_LOSS] += weight * value
        totals[BATCH_WEIGHT] += weight
        self.counters[OPEN] += 1
        if self.counters[OPEN] == batch_size:
            self.close_batch()
        return True

    def close_batch(self) -> None:
        """Make the update by the mean gradient, (Σ_i weight_i ∇_i) / n over the n rows of the batch."""
        direction = self.gradient * self.params.dtype.type(1 / self.counters[OPEN])
        self.record(self.totals[BATCH_LOSS] / self.totals[BATCH_WEIGHT], direction)
        self.update(direction)
        self.gradient[:] = 0
        self.counters[OPEN] = 0
        self.totals[[BATCH_LOSS, BATCH_WEIGHT]] = 0

    def record(self, value: float, direction: Array) -> None:
        if self.trace_out is not None and self.path_out is not None:
            made = self.counters[UPDATES] - self.first
            self.trace_out[made] = value, np.linalg.norm(direction)
            self.path_out[made] = self.params

    def rate(self) -> float:
        """Return the learning rate of the next update."""
        t, epoch = int(self.counters[UPDATES]) + 1, int(self.counters[EPOCH])
        return float(self.method.schedule.rate(self.method.optimizer.lr, t, epoch, self.epoch_losses, self.t0))

    def update(self, gradient: Array) -> None:
        """Make one update by the gradient (P,)."""
        method, params, rate, step = self.method, self.params, self.rate(), int(self.counters[UPDATES]) + 1
        decay = method.decay(self.on_weight)
        if method.penalty is not None and method.optimizer.is_plain and rate > 0:
            decay = np.minimum(decay, 1 / rate)  # an L2 penalty shrinks a weight to zero, not past it
        gradient = method.clip(gradient).astype(params.dtype)
        before = params.copy()
        method.optimizer.update(params, self.state, gradient, rate, decay, step, self.on_weight)
        if method.rules != NO_RULES:
            self.move_bias(before, rate)
        self.counters[UPDATES] += 1
        averaged = method.average and step >= method.average
        if averaged and method.rules.average_before_l1:
            self.add_to_mean()
        if method.penalty is not None and self.paid is not None:
            if method.rules.price_before_l1 and not isinstance(method.schedule, PassiveAggressive):
                self.keep_norms(max(0.0, 1 - rate * method.penalty.l2))
            self.totals[DEBT] += rate * method.penalty.l1
            self.settle(rate, method.penalty, self.paid)
        if averaged and not method.rules.average_before_l1:
            self.add_to_mean()

    def add_to_mean(self) -> None:
        """Take the iterate into the mean."""
        self.counters[AVERAGED] += 1
        self.mean += self.params.dtype.type(1 / self.counters[AVERAGED]) * (self.params - self.mean)

    # ------------------------------------------------------------------------------------------------------ by Rules

    def move_bias(self, before: Array, rate: float) -> None:
        """Bring each bias to b + κ (its move − λ ν)."""
        rules, biases = self.method.rules, ~self.on_weight
        moved = self.params[biases] - before[biases] - rate * rules.bias_pull
        self.params[biases] = before[biases] + rules.intercept_decay * moved

    def sum_objective(self, value: float) -> None:
        """Add the loss, and the penalty of the weights and ν b, but for passive-aggressive schedules the loss alone."""
        method = self.method
        if not method.rules.objective:
            return
        self.totals[UNWEIGHTED] += value
        if isinstance(method.schedule, PassiveAggressive):
            return
        price = 0.0
        if method.penalty is not None and method.rules.price_before_l1 and self.totals[UNCUT_SIZES]:
            price = method.penalty.l2 / 2 * self.totals[UNCUT_SQUARES] + method.penalty.l1 * self.totals[UNCUT_SIZES]
        elif method.penalty is not None:
            price = method.penalty.value(self.params[self.on_weight])
        biases = np.sum(self.params[~self.on_weight], dtype=np.float64)
        self.totals[PENALTY] += price + method.rules.bias_pull * biases

    def keep_norms(self, keep: float) -> None:
        """Keep ‖W‖² and Σ |W| before L1 cuts the weights, or decay those of before if nothing else moved."""
        weights = self.params[self.on_weight].astype(np.float64)
        if self.still and self.totals[UNCUT_SIZES]:
            self.totals[[UNCUT_SQUARES, UNCUT_SIZES]] *= keep * keep, keep
        else:
            self.totals[[UNCUT_SQUARES, UNCUT_SIZES]] = weights @ weights, np.abs(weights).sum()

    def settle(self, rate: float, penalty: Penalty, paid: Array) -> None:
        """Take off what is owed to L1: everywhere, or by ``l1_on_touched`` in the row's columns alone.

        With ``average_before_l1`` the mean takes it as taken off since averaging began. Let W = shrunk · V, where the
        decays have brought ``shrunk`` to what it is and V is what scikit-learn stores: all iterates' V lose alike.
        """
        method, totals = self.method, self.totals
        mask = method.penalised(self.on_weight).copy()
        if method.rules.l1_on_touched:
            weights, _ = next(iter(layers(self.net, mask)))
            kept = weights[:, self.touched].copy()
            weights[:] = False
            weights[:, self.touched] = kept
        before = self.params.copy()
        truncate(self.params, paid, totals[DEBT], mask)
        if method.rules.average_before_l1 and method.average:
            keep = max(0.0, 1 - rate * penalty.l2)
            shrunk = (totals[SHRUNK] or 1.0) * keep
            if shrunk < shrunk_limit(self.params.dtype):
                shrunk, totals[SUMMED] = 1.0, 0.0
            elif keep:
                totals[SUMMED] /= keep
            totals[SHRUNK] = shrunk
            if self.counters[UPDATES] >= method.average:
                totals[SUMMED] += 1
                self.mean += (totals[SUMMED] / self.counters[AVERAGED]) * (self.params - before)


class Pass:
    """Passes over the same rows by the same method."""

    def __init__(
        self,
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
        net: Net,
        loss: Loss,
        method: tuple[Method, Sequence[float]],
        batch_size: int,
        squares: Array | None = None,
    ) -> None:
        self._changed = params, state, paid, gradient, counters, totals
        self._rows = X, indices, indptr
        self._T, self._weights = T, weights
        self._choices, self._batch_size = (net, loss, method), batch_size

    def visit(
        self,
        order: Array | None,
        start: int,
        stop: int,
        close: bool = False,
        trace_out: Array | None = None,
        path_out: Array | None = None,
    ) -> int:
        """Visit the rows ``order[start:stop]``; return −1, or the place of a row that is not finite, all undone.

        It is undone too where a loss of the user's own raises an error.
        """
        run = _Run(*self._changed, *self._choices, (trace_out, path_out))
        try:
            with np.errstate(all="ignore"):
                for place in range(start, stop):
                    row = place if order is None else int(order[place])
                    weight = 1.0 if self._weights is None else float(self._weights[row])
                    x, touched = _row(*self._rows, row, run.net.sizes[0])
                    visited = weight or run.method.rules.visit_zero_weight
                    if visited and not run.visit(x, touched, self._T[row], weight, self._batch_size):
                        run.undo()
                        return place
                if close and run.counters[OPEN] > 0:
                    run.close_batch()
        except BaseException:
            run.undo()
            raise
        params, state, _, gradient, counters, _ = self._changed
        if not (np.isfinite(params).all() and np.isfinite(state).all() and np.isfinite(gradient).all()):
            run.undo()
            return max(start, stop - 1)
        counters[POSITION] += stop - start
        return -1


def predict_pass(
    params: Array, work: Array, X: Array, indices: Array | None, indptr: Array | None, net: Net, y_out: Array
) -> None:
    """Write the raw predictions for the rows of X into ``y_out`` (n, K)."""
    for row in range(y_out.shape[0]):
        y_out[row] = _forward(net, params, _row(X, indices, indptr, row, net.sizes[0])[0])[-1]


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
        y = _forward(net, params, _row(X, indices, indptr, row, net.sizes[0])[0])[-1]
        value = float(loss.value(y, T[row]))
        if not np.isfinite(value):
            return total, total_weight, row
        total += weight * value
        total_weight += weight
    return total, total_weight, -1
