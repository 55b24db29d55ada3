"""The only caller of the passes: choices become codes and numbers, rows become slices, failures become errors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fastgd import _kernels, codes, data, reference, slices
from fastgd.arrays import aligned
from fastgd.losses import Loss
from fastgd.method import Method
from fastgd.optimizers import SGD
from fastgd.reference import AVERAGED, DEBT, EPOCH, LOSS, OPEN, SHRUNK, SUMMED, UNCUT_SIZES, UNCUT_SQUARES, UPDATES
from fastgd.schedules import Adaptive

Array = npt.NDArray[Any]

Hold = _kernels.Hold


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


class Net(reference.Net, Protocol):
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


def units(net: Net) -> int:
    """Return the outputs of all layers."""
    return sum(net.sizes[1:])


def work_size(net: Net, rows_of_state: int) -> int:
    """Return the numbers of scratch that a training pass takes.

    They are a 64-bit count for each column, what the pass may have to undo, outputs and slopes of one row, sums and
    slopes of a first layer for a block of rows, and what few units lack to whole lanes, in rows of eight or fewer. The
    last is more than what a pass over long rows takes with one output, a copy of the weights and a page.
    """
    columns = net.in_features * (8 // net.dtype.itemsize)
    filling = 8 * (net.in_features + net.out_features + 4)
    undone = (2 + rows_of_state) * net.params.size
    return columns + undone + 2 * units(net) + 2 * _kernels.BLOCK_ROWS * net.sizes[1] + filling


def predict(net: Net, rows: data.Rows) -> Array:
    """Return the raw predictions (n, K) for checked rows."""
    y = np.empty((len(rows), net.out_features), net.dtype)
    work, numbers = np.empty(units(net), net.dtype), codes.net_numbers(net)
    for start, stop in slices.of(rows, slices.multiplications(net, rows)):
        part = rows.part(start, stop)
        _kernels.predict_pass(net.params, work, part.X.reshape(-1), part.indices, part.indptr, numbers, y[start:stop])
    return y


def mean_loss(net: Net, rows: data.Rows, loss: Loss) -> float:
    """Return Σ weight · loss ÷ Σ weight over the rows; inf where a loss overflows."""
    passes: Any = _kernels if loss.compiled else reference
    choices: tuple[Any, Any] = (net, loss)
    if loss.compiled:
        choices = codes.net_numbers(net), codes.loss_numbers(loss, net.out_features)
    work = np.empty(2 * units(net), net.dtype)
    total = total_weight = 0.0
    for start, stop in slices.of(rows, slices.multiplications(net, rows)):
        part = rows.part(start, stop)
        loss_sum, weight_sum, bad = passes.loss_pass(
            net.params, work, part.X.reshape(-1), part.indices, part.indptr, part.T, part.weights, *choices
        )
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
    engine = Engine(net, loss, Method(SGD(lr=0.0)), len(rows) + 1, params=net.params.copy())
    try:
        engine.visit(rows)
    except DivergenceError as error:
        raise FloatingPointError(f"the loss of row {error.row} is not finite, so it has no gradient") from None
    gradient = engine.gradient / len(rows)
    return float(engine.totals[LOSS]) / len(rows), gradient


def square_norms(rows: data.Rows) -> Array:
    """Return ‖x‖² of each row (n,)."""
    squares, columns = np.empty(len(rows)), int(rows.X.shape[1])
    for start, stop in slices.of(rows, rows.mean_values):
        part = rows.part(start, stop)
        _kernels.square_norms(part.X.reshape(-1), part.indices, part.indptr, columns, squares[start:stop])
    return squares


class Engine:
    """Everything that the next update needs, and the calls that make updates.

    ``params`` (P,), ``state`` (slots · P,), ``paid`` (2P,) or None, ``gradient`` (P,), ``counters`` (5,) and
    ``totals`` (11,) are changed in place by the passes alone, each call wholly or not at all; so an interruption
    between two calls finds them consistent. ``params`` are the model's own, unless iterates are averaged: then the
    model shows their mean, the last row of the state.
    """

    def __init__(self, net: Net, loss: Loss, method: Method, batch_size: int, params: Array | None = None) -> None:
        self.net, self.loss, self.method, self.batch_size = net, loss, method, batch_size
        self.dtype = net.dtype
        self.epoch_losses: Sequence[float] = ()
        given = net.params if params is None else params
        self.params = aligned(given.size, self.dtype) if method.average else given
        self._rows_of_state = method.optimizer.slots + (method.average > 0)
        self.state = aligned(self._rows_of_state * given.size, self.dtype)
        self.paid = np.zeros(2 * given.size) if method.penalty is not None and method.penalty.l1 > 0 else None
        self.gradient = np.zeros_like(given)
        self.counters = np.zeros(5, np.int64)
        self.totals = np.zeros(reference.TOTALS)
        self._work = np.empty(work_size(net, self._rows_of_state), self.dtype)
        self._passes: Any = _kernels if loss.compiled else reference
        self._net = codes.net_numbers(net)
        self._loss = codes.loss_numbers(loss, net.out_features) if loss.compiled else None
        self._numbered: Method | None = None
        self._numbers: tuple[Any, ...] = ()
        #: whether the state would overrule parameters that are assigned from outside
        self.watched = method.average > 0 or method.optimizer.name == "ftrl"
        self.shown = given.copy() if self.watched else given
        self._begin()

    # ------------------------------------------------------------------------------------- what is shown and watched

    def _begin(self) -> None:
        if self.params is not self.shown:
            self.params[:] = self.shown
        self.counters[AVERAGED] = 0
        self.state[:] = 0
        rows = self.state.reshape(self._rows_of_state, self.params.size)[: self.method.optimizer.slots]
        self.method.optimizer.start(self.params, rows, reference.on_weights(self.net))

    def watch(self) -> None:
        """Begin anew from the model's parameters if they were assigned since the last update."""
        if self.watched and not np.array_equal(self.shown, self.net.params):
            self.shown[:] = self.net.params
            self._begin()

    def show(self) -> None:
        """Let the model show the mean of the iterates, if they are averaged."""
        if not self.watched:
            return
        if self.method.average > 0:
            mean = self.state[-self.params.size :] if self.counters[AVERAGED] else self.params
            self.net.params[:] = mean
        self.shown[:] = self.net.params

    def restart(self) -> None:
        """Forget what scikit-learn forgets between two calls: what L1 is owed, and what its means rest on."""
        self.totals[[DEBT, SUMMED, SHRUNK, UNCUT_SQUARES, UNCUT_SIZES]] = 0
        if self.paid is not None:
            self.paid[:] = 0

    # ------------------------------------------------------------------------------------------------------- updates

    @cached_property
    def one_sample(self) -> Callable[[Any, Any], float | None]:
        """Make one update by a sample and its target and return the loss before it, or None where this way can't."""
        schedule = self.method.schedule
        if not self.loss.compiled or self.watched or schedule.name not in codes.IN_C or self.method.rules.objective:
            return lambda x, t: None
        return _kernels.OneSample(
            self.params, self.state, self.paid, self.gradient, self._work, self.counters, self.totals,
            1 if self.loss.targets == "classes" else self.net.out_features, self._net, self._loss,
            self._method_numbers(),
            *codes.target_limits(self.loss, self.net.out_features, self.dtype), self.net._hold,
        ).step  # fmt: skip

    def _choices(self, part: data.Slice, close: bool) -> tuple[Any, Any, Any]:
        # net, loss and method as the passes take them, for the updates that the slice will make
        method, epoch = self.method, int(self.counters[EPOCH])
        if not self.loss.compiled:
            return self.net, self.loss, (method, self.epoch_losses)
        schedule, lr = method.schedule, method.optimizer.lr
        if schedule.name in codes.IN_C:
            return self._net, self._loss, self._method_numbers()
        first = int(self.counters[UPDATES]) + 1
        t = np.arange(first, first + (1 if schedule.by == "epoch" else self._updates(part, close)))
        rates = schedule.rate(lr, t, epoch, self.epoch_losses)
        if schedule.by == "epoch":
            return self._net, self._loss, codes.method_numbers(method, self.loss, lr=float(rates[0]))
        return self._net, self._loss, codes.method_numbers(method, self.loss, rates=rates)

    def _method_numbers(self) -> tuple[Any, ...]:
        if self._numbered is not self.method:
            self._numbered, self._numbers = self.method, codes.method_numbers(self.method, self.loss)
        return self._numbers

    def _updates(self, part: data.Slice, close: bool) -> int:
        # how many the slice will make
        visits = part.stop - part.start if self.method.rules.visit_zero_weight else part.visits()
        rows = int(self.counters[OPEN]) + visits
        return (rows + close * (self.batch_size - 1)) // self.batch_size

    def visit(
        self,
        rows: data.Rows,
        order: Array | None = None,
        start: int = 0,
        on_slice: Callable[[int], None] | None = None,
        on_trace: Callable[[Array, Array], None] | None = None,
    ) -> None:
        """Visit the rows from place ``start`` of the order to its end, slice by slice; an order may leave rows out.

        ``on_slice`` is called with the number of rows after each slice, ``on_trace`` with the losses and norms
        (updates, 2) and the parameters (updates, P) of its updates.
        """
        step, end = self._slice_rows(rows, on_trace is not None), len(rows) if order is None else len(order)
        if self.method.rules.objective and self.method.penalty is not None and rows.squares is None:
            rows.keep_squares(square_norms(rows))
        while start < end:
            stop = min(start + step, end)
            self._visit_slice(rows, order, start, stop, on_trace)
            if on_slice is not None:
                on_slice(stop - start)
            start = stop

    def epochs_at_once(self, rows: data.Rows, most: int) -> int:
        """Return how many epochs over these rows, at most so many, make a slice that visit_epochs can take."""
        if not self.loss.compiled or self.method.schedule.name not in codes.IN_C or not rows.in_place:
            return 1
        return min(most, max(1, self._slice_rows(rows, False) // len(rows)))

    def visit_epochs(self, rows: data.Rows, order: Array | None, epochs: int, history: list[float]) -> bool:
        """Visit all rows so often in one call of a pass; return False, and nothing is changed, if that diverges.

        Each epoch takes the next places of the order and closes its last batch. All but the last are finished, and
        their mean losses are added to the history.
        """
        whole = rows.slice(None, 0, len(rows))
        visit = self._in_hand(rows) or self._pass(rows, whole, *self._choices(whole, True))
        try:
            return visit(order, 0, len(rows), True, None, None, epochs, history) < 0
        finally:
            self.show()

    def _slice_rows(self, rows: data.Rows, traced: bool) -> int:
        if not self.loss.compiled:
            return slices.REFERENCE_ROWS
        copied = (0 if rows.in_place else rows.row_bytes) + (self.params.nbytes if traced else 0)
        work = slices.multiplications(self.net, rows)
        if rows.mean_nonzeros is not None and not self._sparse_updates():
            work += self.params.size / self.batch_size
        work *= 1 + self._rows_of_state
        return slices.rows(work, self.dtype.itemsize, copied, self.params.nbytes + self.state.nbytes)

    def stopped(self) -> bool:
        """Tell whether the schedule has come to its end."""
        schedule = self.method.schedule
        return isinstance(schedule, Adaptive) and schedule.progress(self.method.optimizer.lr, self.epoch_losses)[1]

    def _sparse_updates(self) -> bool:
        # whether an update on sparse rows costs what their non-zeros cost (see _lazy.pxi), to which slices are sized
        method, optimizer = self.method, self.method.optimizer
        spared = optimizer.is_plain or optimizer.name in ("adagrad", "ftrl") or getattr(optimizer, "lazy", False)
        return spared and self.batch_size == 1 and method.clip_value is None

    def _visit_slice(
        self,
        rows: data.Rows,
        order: Array | None,
        start: int,
        stop: int,
        on_trace: Callable[[Array, Array], None] | None,
        close: bool = False,
    ) -> None:
        # a pass in hand needs nothing else: after an X that fills the caches all that Python reads comes from afar
        visit, at, part = self._in_hand(rows), (order, start, stop), None
        trace = path = None
        before = 0
        if visit is None:
            part = rows.slice(order, start, stop)
            visit, at = self._pass(rows, part, *self._choices(part, close)), (part.order, part.start, part.stop)
        if on_trace is not None:
            updates = self._updates(part or rows.slice(order, start, stop), close)
            before = int(self.counters[UPDATES])
            trace, path = np.empty((updates, 2)), np.empty((updates, self.params.size), self.dtype)
        try:
            bad = visit(*at, close, trace, path)
        finally:  # what an interrupted pass has done is recorded too
            self.show()
            if on_trace is not None and trace is not None and path is not None:
                made = int(self.counters[UPDATES]) - before
                on_trace(trace[:made], path[:made])
        if bad >= 0:
            place = min(start + bad - at[1], len(rows) - 1)
            self._refuse(rows, place if order is None else int(order[place]), part or rows.slice(order, start, stop))

    def _in_hand(self, rows: data.Rows) -> Callable[..., int] | None:
        # the pass that has read these rows in place by the same choices: it serves every other slice of them
        of, numbers, visit = rows.in_hand
        return visit if of is self and numbers is self._numbers and self._numbered is self.method else None

    def _pass(self, rows: data.Rows, part: data.Slice, net: Any, loss: Any, method: Any) -> Callable[..., int]:
        # what visits the slice
        made = self._passes.Pass(
            self.params, self.state, self.paid, self.gradient, self._work, self.counters, self.totals,
            part.X.reshape(-1), part.indices, part.indptr, part.T, part.weights, net, loss, method, self.batch_size,
            part.squares,
        ).visit  # fmt: skip
        if rows.in_place:
            rows.in_hand = self, method, made
        return made

    def _refuse(self, rows: data.Rows, row: int, part: data.Slice) -> None:
        rows.refuse_row(row)
        if not np.isfinite(self.params).all():
            raise ValueError("the model's parameters are not finite before training; assign finite ones")
        largest = part.largest() or rows.part(row, row + 1).largest()  # a closing batch visits no row
        raise DivergenceError(int(self.counters[EPOCH]), row, largest, self.method.optimizer.lr)

    def close_batch(self, rows: data.Rows, on_trace: Callable[[Array, Array], None] | None = None) -> None:
        """Make the update of a batch that is open after these rows, if one is."""
        if self.counters[OPEN]:
            self._visit_slice(rows, None, len(rows), len(rows), on_trace, close=True)

    def step(self, rows: data.Rows, on_trace: Callable[[Array, Array], None] | None = None) -> float:
        """Make one update by the mean gradient of the rows, beside any open batch; return their mean loss before."""
        aside = copy.copy(self)
        aside.batch_size = len(rows)
        aside.gradient = np.zeros_like(self.params)
        aside.totals, aside.counters = self.totals.copy(), self.counters.copy()
        aside.counters[OPEN], aside.totals[:DEBT] = 0, 0
        try:
            aside._visit_slice(rows, None, 0, len(rows), on_trace, close=True)
        finally:
            self.counters[[UPDATES, AVERAGED]] = aside.counters[[UPDATES, AVERAGED]]
            self.totals[DEBT:] = aside.totals[DEBT:]
        return float(aside.totals[LOSS] / aside.totals[reference.WEIGHT])
