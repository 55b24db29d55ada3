"""The only caller of the passes: choices become codes and numbers, rows become slices, failures become errors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastgd import _kernels, data
from fastgd.losses import Loss
from fastgd.optimizers import SGD, Optimizer

Array = npt.NDArray[Any]

EPOCH, POSITION, UPDATES, OPEN = range(4)  # places in `counters`
LOSS, WEIGHT = range(2)  # places in `totals`; the two of the open batch are the passes' own

Hold = _kernels.Hold

SLICE_SECONDS = 0.02
SLICE_BYTES = 2**23  # of what a slice must copy: converted rows, or a trace


class DivergenceError(FloatingPointError, ValueError):
    """Training left the finite numbers; the model keeps the last finite weights.

    Attributes
    ----------
    epoch, row : int
        Where it was found; both count from zero.
    largest : float
        The largest |x| among the rows of the slice that was undone.
    lr : float
        The learning rate.
    """

    def __init__(self, epoch: int, row: int, largest: float, lr: float) -> None:
        super().__init__(epoch, row, largest, lr)
        self.epoch, self.row, self.largest, self.lr = epoch, row, largest, lr

    def __str__(self) -> str:
        return (
            f"training diverged in epoch {self.epoch} at row {self.row}: the loss or a weight is not finite "
            f"(largest |x| {self.largest:g}, learning rate {self.lr:g}); the model keeps its last finite weights. "
            "Lower the learning rate or standardise X"
        )


class Net(Protocol):
    """What the engine needs to know of a model."""

    _hold: Hold

    @property
    def in_features(self) -> int:
        """The numbers in a sample."""

    @property
    def out_features(self) -> int:
        """The numbers in a prediction."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the parameters."""

    @property
    def params(self) -> Array:
        """The flat parameter vector (P,)."""


def loss_numbers(loss: Loss, outputs: int) -> tuple[int, float, float]:
    """Return the code, parameter and scale by which the compiled passes know a loss."""
    return int(_kernels.LossCode[loss.name.upper()]), loss.parameter, loss.scale(outputs)


def optimizer_numbers(optimizer: Optimizer) -> tuple[float]:
    """Return the numbers by which the compiled passes know an optimizer."""
    return (optimizer.lr,)


def slice_rows(features: int, outputs: int, itemsize: int, copied: int = 0) -> int:
    """Return how many rows one call of a pass takes: about 20 ms of work, and 8 MB if ``copied`` bytes a row are.

    It follows from shapes alone and never from a clock, so that the same run always cuts in the same places.
    """
    seconds_a_row = 2e-8 + features * outputs * itemsize * 5e-11
    rows = int(SLICE_SECONDS / seconds_a_row)
    return max(1, min(rows, SLICE_BYTES // copied) if copied else rows)


def _in_slices(net: Net, X: Array) -> list[tuple[int, int]]:
    copied = 0 if data.ready(X, net.dtype) else X.shape[1] * net.dtype.itemsize
    step = slice_rows(net.in_features, net.out_features, net.dtype.itemsize, copied)
    return [(start, min(start + step, len(X))) for start in range(0, len(X), step)]


def predict(net: Net, X: Array) -> Array:
    """Return the raw predictions (n, K) for a checked X (n, d)."""
    y = np.empty((X.shape[0], net.out_features), net.dtype)
    for start, stop in _in_slices(net, X):
        _kernels.predict_pass(net.params, data.converted(X[start:stop], net.dtype), y[start:stop])
    return y


def mean_loss(net: Net, rows: data.Rows, loss: Loss) -> float:
    """Return Σ weight · loss ÷ Σ weight over the rows; inf where a loss overflows."""
    numbers = loss_numbers(loss, net.out_features)
    work = np.empty(2 * net.out_features, net.dtype)
    total = total_weight = 0.0
    for start, stop in _in_slices(net, rows.X):
        weights = None if rows.weights is None else rows.weights[start:stop]
        X = data.converted(rows.X[start:stop], net.dtype)
        loss_sum, weight_sum, bad = _kernels.loss_pass(net.params, work, X, rows.T[start:stop], weights, numbers)
        if bad >= 0:
            rows.refuse_row(start + bad)
            return float("inf")
        total += loss_sum
        total_weight += weight_sum
    return total / total_weight


def mean_gradient(net: Net, rows: data.Rows, loss: Loss) -> tuple[float, Array]:
    """Return the mean loss over the rows and its gradient by every parameter (P,).

    It is the training pass on a batch that is never closed, so that no update is made.
    """
    engine = Engine(net, loss, SGD(lr=0.0), len(rows) + 1, params=net.params.copy())
    try:
        engine.visit(rows)
    except DivergenceError as error:
        raise FloatingPointError(f"the loss of row {error.row} is not finite, so it has no gradient") from None
    gradient = engine.gradient / len(rows)
    return float(engine.totals[LOSS]) / len(rows), gradient


class Engine:
    """Everything that the next update needs, and the calls that make updates.

    ``params`` (P,), ``gradient`` (P,), ``counters`` (4,) and ``totals`` (4,) are changed in place by the passes
    alone, each call wholly or not at all; so an interruption between two calls finds them consistent.
    """

    def __init__(
        self, net: Net, loss: Loss, optimizer: Optimizer, batch_size: int, params: Array | None = None
    ) -> None:
        self.features, self.outputs, self.dtype = net.in_features, net.out_features, net.dtype
        self.loss, self.optimizer, self.batch_size = loss, optimizer, batch_size
        self.params = net.params if params is None else params
        self.gradient = np.zeros_like(self.params)
        self.counters = np.zeros(4, np.int64)
        self.totals = np.zeros(4)
        self._work = np.empty(2 * self.params.size + 2 * self.outputs, self.dtype)
        self._choices = (loss_numbers(loss, self.outputs), optimizer_numbers(optimizer))
        binary = loss.targets == "binary"
        limits = (0.0, 1.0) if binary else (float(np.finfo(self.dtype).min), float(np.finfo(self.dtype).max))
        self.one_sample = _kernels.OneSample(
            self.params, self.gradient, self._work, self.counters, self.totals,
            self.features, self.outputs, *self._choices, *limits, net._hold,
        )  # fmt: skip

    def visit(
        self,
        rows: data.Rows,
        order: Array | None = None,
        start: int = 0,
        on_slice: Callable[[int], None] | None = None,
        on_trace: Callable[[Array, Array], None] | None = None,
    ) -> None:
        """Visit the rows from place ``start`` of the order to its end, slice by slice.

        ``on_slice`` is called with the number of rows after each slice, ``on_trace`` with the losses and norms
        (updates, 2) and the parameters (updates, P) of its updates.
        """
        copied = 0 if rows.in_place else self.features * self.dtype.itemsize
        traced = 0 if on_trace is None else self.params.nbytes
        step = slice_rows(self.features, self.outputs, self.dtype.itemsize, copied + traced)
        while start < len(rows):
            stop = min(start + step, len(rows))
            self._visit_slice(rows, order, start, stop, on_trace)
            if on_slice is not None:
                on_slice(stop - start)
            start = stop

    def _visit_slice(
        self,
        rows: data.Rows,
        order: Array | None,
        start: int,
        stop: int,
        on_trace: Callable[[Array, Array], None] | None,
        close: bool = False,
    ) -> None:
        part = rows.slice(order, start, stop)
        trace = path = None
        if on_trace is not None:
            updates = (stop - start) // self.batch_size + 2  # a batch that was open, and one that is closed
            trace, path = np.empty((updates, 2)), np.empty((updates, self.params.size), self.dtype)
        before = int(self.counters[UPDATES])
        try:
            bad = _kernels.train_pass(
                self.params, self.gradient, self._work, self.counters, self.totals, part.X, part.T, part.weights,
                part.order, part.start, part.stop, *self._choices, self.batch_size, close, trace, path,
            )  # fmt: skip
        finally:  # what an interrupted pass has done is recorded too
            if on_trace is not None and trace is not None and path is not None:
                made = int(self.counters[UPDATES]) - before
                on_trace(trace[:made].copy(), path[:made].copy())
        if bad >= 0:
            place = min(start + bad - part.start, len(rows) - 1)
            self._refuse(rows, place if order is None else int(order[place]), part)

    def _refuse(self, rows: data.Rows, row: int, part: data.Slice) -> None:
        rows.refuse_row(row)
        if not np.isfinite(self.params).all():
            raise ValueError("the model's parameters are not finite before training; assign finite ones")
        visited = (np.arange(len(part.X)) if part.order is None else part.order)[part.start : part.stop]
        chunks = (part.X[visited[first : first + 1024]] for first in range(0, len(visited), 1024))
        largest = max((float(np.nanmax(np.abs(chunk), initial=0)) for chunk in chunks), default=0.0)
        largest = largest or float(np.nanmax(np.abs(rows.X[row]), initial=0))  # a closing batch visits no row
        raise DivergenceError(int(self.counters[EPOCH]), row, largest, self.optimizer.lr)

    def close_batch(self, rows: data.Rows, on_trace: Callable[[Array, Array], None] | None = None) -> None:
        """Make the update of a batch that is open after these rows, if one is."""
        if self.counters[OPEN]:
            self._visit_slice(rows, None, len(rows), len(rows), on_trace, close=True)

    def step(self, rows: data.Rows, on_trace: Callable[[Array, Array], None] | None = None) -> float:
        """Make one update by the mean gradient of the rows, beside any open batch; return their mean loss before."""
        aside = copy.copy(self)
        aside.batch_size = len(rows)
        aside.gradient, aside.totals, aside.counters = np.zeros_like(self.params), np.zeros(4), self.counters.copy()
        aside.counters[OPEN] = 0
        try:
            aside._visit_slice(rows, None, 0, len(rows), on_trace, close=True)
        finally:
            self.counters[UPDATES] = aside.counters[UPDATES]
        return float(aside.totals[LOSS] / aside.totals[WEIGHT])
