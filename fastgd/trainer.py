"""Trainer: epochs, visiting order, stopping, callbacks, and all that must be kept to go on later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd import checkpoint, data, engine, extras, losses, optimizers, penalties, schedules
from fastgd.evaluation import sample_or_rows
from fastgd.history import History, Trace
from fastgd.method import Method
from fastgd.model import MLP
from fastgd.orders import Orders
from fastgd.pieces import Piece, Pieces
from fastgd.reference import DEBT, EPOCH, LOSS, OPEN, POSITION, UPDATES, WEIGHT
from fastgd.registry import check_count, check_flag, check_number

Array = npt.NDArray[Any]
Callback = Callable[[History], Any]

TRACE_LIMIT = 10**9


class Trainer:
    """Training that can be stepped, run, interrupted, saved and gone on with.

    It holds everything that the next update needs: the model, the loss, the optimizer, the open batch, the state of
    the random generator and the place in the epoch. One update is w ← w − λ ∂C/∂w.

    Parameters
    ----------
    model : Linear or MLP
        Trained in place.
    loss : str, Loss or object, default "mse"
        A name in ``fastgd.losses.registry``, an instance, or an object of your own with ``value`` and ``slope``, which
        runs in NumPy, far slower (see :class:`fastgd.losses.Own` and, for speed, :class:`fastgd.losses.CFunction`).
    optimizer : str or Optimizer, default ``fastgd.SGD(lr=0.01)``
        A name in ``fastgd.optimizers.registry`` or an instance.
    batch_size : int, default 1
        Rows in an update; above 1 it uses their mean gradient. A batch is the next ``batch_size`` rows of non-zero
        weight, and the last of a run may be smaller.
    shuffle : bool, default False
        Whether each epoch visits the rows in a new random order.
    seed : int or numpy.random.Generator, optional
        Seed of that order; a generator is copied.
    trace : bool, default False
        Whether to record every update in ``history.trace``.
    trace_limit : int, default 10⁹
        The bytes of a trace above which a run is refused before it starts.
    progress : bool, default False
        Whether to show a progress bar (needs tqdm: ``pip install 'fastgd[cli]'``).
    callbacks : sequence of callables
        Each is called with the history after every epoch; one that returns True stops the run.
    penalty : str or Penalty, optional
        A name in ``fastgd.penalties.registry`` or an instance.
    schedule : str, Schedule or callable, default "constant"
        A name in ``fastgd.schedules.registry``, an instance, or a function of the number of the update, 1, 2, …, by
        which the optimizer's rate is multiplied.
    average : bool or int, default False
        Whether the model shows the mean of the iterates instead of the last, or the update from which they count.
        The updates themselves go on from the last iterate; parameters that are assigned between runs begin a new mean.
    clip_value, clip_norm : float, optional
        Largest size of each number of an update's gradient, and of its norm; the value is clipped first, and both
        before weight decay.

    Attributes
    ----------
    history : History
        The course of all runs of this trainer.

    Examples
    --------
    >>> import fastgd
    >>> model = fastgd.Linear(1, 1, seed=0)
    >>> trainer = fastgd.Trainer(model, loss="sse", optimizer=fastgd.SGD(lr=0.1))
    >>> for _ in range(100):
    ...     for x in (-1.0, 0.0, 1.0):
    ...         before = trainer.step([x], 2 * x + 1)
    >>> model.params.round(6)
    array([2., 1.])
    """

    def __init__(
        self,
        model: MLP,
        loss: str | losses.Loss = "mse",
        optimizer: str | optimizers.Optimizer = optimizers.SGD(lr=0.01),  # noqa: B008 - it is frozen
        batch_size: int = 1,
        shuffle: bool = False,
        seed: int | None = None,
        trace: bool = False,
        trace_limit: int = TRACE_LIMIT,
        progress: bool = False,
        callbacks: Sequence[Callback] = (),
        penalty: str | penalties.Penalty | None = None,
        schedule: str | schedules.Schedule | Callable[[int], float] = "constant",
        average: bool | int = False,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        if not isinstance(model, MLP):
            raise TypeError(f"model must be a fastgd model, not {model!r}")
        self._model = model
        chosen, batch_size = losses.get(loss), check_count("batch_size", batch_size)
        method = Method.make(
            chosen, model.sizes, batch_size, optimizer=optimizer, penalty=penalty, schedule=schedule, average=average,
            clip_value=clip_value, clip_norm=clip_norm,
        )  # fmt: skip
        self._engine = engine.Engine(model, chosen, method, batch_size)
        self.shuffle = check_flag("shuffle", shuffle)
        self.trace_limit = int(check_number("trace_limit", trace_limit))
        self.progress = check_flag("progress", progress)
        if not isinstance(callbacks, Iterable):
            raise TypeError(
                f"callbacks={callbacks!r} must be a sequence of callables, such as [fastgd.EarlyStopping(3)]"
            )
        self.callbacks = tuple(callbacks)
        for callback in self.callbacks:
            if not callable(callback):
                raise TypeError(f"callbacks has {callback!r}, which cannot be called")
        traced = Trace(model.params.size, model.dtype) if check_flag("trace", trace) else None
        self.history = History(model, trace=traced)
        self._engine.epoch_losses = self.history.loss
        self._on_trace = None if traced is None else traced.append
        self._orders = Orders(seed)
        self._epoch_rows: int | None = None  # the rows of the open epoch, where they are known
        self._signed_labels = False  # whether any targets so far were −1 and +1

    @property
    def model(self) -> MLP:
        """The model that is trained."""
        return self._model

    @property
    def loss(self) -> losses.Loss:
        """The loss."""
        return self._engine.loss

    @property
    def method(self) -> Method:
        """How the parameters move: optimizer, penalty, schedule, averaging and clipping."""
        return self._engine.method

    @property
    def optimizer(self) -> optimizers.Optimizer:
        """The optimizer."""
        return self._engine.method.optimizer

    @property
    def compiled(self) -> bool:
        """Whether the compiled loop trains; a loss of your own in Python runs on its NumPy reference instead."""
        return self.loss.compiled

    @property
    def batch_size(self) -> int:
        """Rows in an update of a run."""
        return self._engine.batch_size

    @property
    def updates(self) -> int:
        """The number of updates made so far."""
        return int(self._engine.counters[UPDATES])

    @property
    def position(self) -> int:
        """The rows of an interrupted epoch that are behind it; 0 when none is open."""
        return int(self._engine.counters[POSITION])

    def step(self, x: npt.ArrayLike, t: npt.ArrayLike) -> float:
        """Make one update, for one sample or one batch, and return the (mean) loss before it.

        Parameters
        ----------
        x : array of shape (d,), or (n, d) for a batch of n rows, whatever ``batch_size`` is
            Read without a copy, in about a microsecond, if it is one sample of the model's dtype.
        t : array of shape (K,) or (n, K); a number or (n,) when K = 1

        Raises
        ------
        ValueError, TypeError
            x or t of another shape or kind, or with numbers that are not finite; nothing is changed.
        fastgd.DivergenceError
            The loss or a weight is not finite; the model is as before.
        """
        value = self._engine.one_sample(x, t) if self.history.trace is None else None
        if value is None:
            with self.model.exclusively():
                rows = sample_or_rows(self.model, x, t, self.loss)
                self._check_trace(1, 1)
                self._engine.watch()
                value = self._engine.step(rows, self._on_trace)
                self._remember(rows.vector_target, rows.signed_labels)
        elif self._model.loss is not self._engine.loss:
            self._remember(isinstance(t, (float, int)), False)
        return value

    def run(
        self,
        X: npt.ArrayLike | Iterable[Piece],
        T: npt.ArrayLike | None = None,
        epochs: int = 1,
        sample_weight: npt.ArrayLike | None = None,
        X_val: npt.ArrayLike | None = None,
        t_val: npt.ArrayLike | None = None,
    ) -> History:
        """Train for a number of epochs, each one visit to every row, and return the history.

        After an interruption (Ctrl-C) the model holds the last finished slice, and the next run with the same rows
        first finishes the epoch that is open. :meth:`end_epoch` gives up the rest of it instead.

        Parameters
        ----------
        X : array of shape (n, d), a sparse array or matrix of scipy, or an iterable of pieces
            An iterable of (X, t) or (X, t, sample_weight) with T left out is one long sequence of rows, of which one
            piece is in memory at a time; for several epochs it must be one that can be iterated again. With
            ``shuffle`` the rows are shuffled within each piece.
        T : array of shape (n, K), or (n,) when K = 1
        epochs : int, default 1
        sample_weight : array of shape (n,), optional
            Factors of the losses, ≥ 0. A row of weight zero is skipped before it is read.
        X_val, t_val : arrays, optional
            Validation rows; their mean loss after each epoch goes into ``history.val_loss``.

        Raises
        ------
        ValueError, TypeError
            Data of another shape or kind, or with numbers that are not finite.
        fastgd.DivergenceError
            The loss or a weight is not finite; the model holds the last finished slice.
        RuntimeError
            Another thread is training this model.
        """
        epochs = check_count("epochs", epochs)
        with self.model.exclusively():
            pieces = Pieces(self._rows, X, T, sample_weight, epochs)
            validation = self._validation(X_val, t_val)
            self._check_open_epoch(pieces.rows)
            self._check_trace(pieces.rows or 0, epochs)
            self._engine.watch()
            last = int(self._engine.counters[EPOCH]) + epochs
            at_once = epochs if not self.callbacks and validation is None else 1
            with ExitStack() as stack:
                bar = self._bar(stack, None if pieces.rows is None else pieces.rows * epochs)
                self._clock = time.perf_counter()
                stack.callback(self._tick)
                while (left := last - int(self._engine.counters[EPOCH])) > 0:
                    at_once = self._epochs(pieces, min(at_once, left), bar)
                    self._finish_epoch(validation)
                    self._tick()
                    if bar is not None:
                        bar.set_postfix(loss=f"{self.history.loss[-1]:.4g}")
                    answers = [callback(self.history) for callback in self.callbacks]  # all are called
                    if self._engine.stopped() or any(isinstance(a, (bool, np.bool_)) and a for a in answers):
                        break
                for callback in self.callbacks:
                    if hasattr(callback, "finish"):
                        callback.finish(self.history)
        return self.history

    def end_epoch(self) -> None:
        """Give up the rest of an epoch that was interrupted: its open batch is dropped and the next starts afresh."""
        with self.model.exclusively():
            self._engine.gradient[:] = 0
            self._engine.counters[[POSITION, OPEN]] = 0
            self._orders.begun = {}

    def save(self, path: Any) -> None:
        """Write everything to one ``.npz`` file, atomically: model, state, generator, place in the epoch, history.

        Callbacks are saved by name (with their state, if they have ``state`` and ``set_state``) and given again to
        :meth:`load`. A callback may save.
        """
        with self.model.exclusively(again=True):
            checkpoint.save(self, path)

    @staticmethod
    def load(
        path: Any, callbacks: Sequence[Callback] = (), loss: losses.Loss | None = None, schedule: Any = None
    ) -> Trainer:
        """Return the trainer that was saved, with a model of its own, as if it had never stopped.

        A loss or a schedule that is a function of your own is given again; no file can hold it.

        Raises
        ------
        OSError
            The file cannot be read.
        ValueError
            It is damaged or something else, or what is given does not fit what it names.
        """
        return checkpoint.load(path, callbacks, loss, schedule, Trainer)

    def _epochs(self, pieces: Pieces, most: int, bar: Any) -> int:
        # as many as one call of a pass takes, at most so many; all but the last are finished. Where one diverges none
        # is made, and half as many are tried: an epoch by itself tells the row. Returns how many to try from now on
        rows = pieces.whole
        if most > 1 and rows is not None and not self.position and self._on_trace is None:
            several = self._engine.epochs_at_once(rows, most)
            while several > 1:
                if self._several(rows, several, bar):
                    return most
                most = several = several // 2
        self._epoch(pieces, bar)
        return most

    def _several(self, rows: data.Rows, epochs: int, bar: Any) -> bool:
        # so many epochs at once, of which all but the last are finished; False if one diverges: then none is made
        first = int(self._engine.counters[EPOCH])
        self._engine.totals[:DEBT], self._epoch_rows = 0, len(rows)
        order = self._orders.draw_epochs(first, epochs, len(rows)) if self.shuffle else None
        made = self._engine.visit_epochs(rows, order, epochs, self.history.loss)
        if made:
            self._visited(rows, bar, epochs * len(rows))
        return made

    def _epoch(self, pieces: Pieces, bar: Any) -> None:
        counters, rows, offset = self._engine.counters, None, 0
        if not self.position:
            self._engine.totals[:DEBT], self._epoch_rows = 0, pieces.rows
        if self.shuffle:
            self._orders.begin(int(counters[EPOCH]))
        for rows in pieces:
            if pieces.whole is None:
                self._check_trace(len(rows), 1)
            order = self._orders.draw(len(rows)) if self.shuffle else None
            behind = min(max(int(counters[POSITION]) - offset, 0), len(rows))
            self._engine.visit(rows, order, behind, partial(self._visited, rows, bar), self._on_trace)
            offset += len(rows)
        if rows is None:
            raise ValueError("X has no pieces")
        if offset < counters[POSITION]:
            raise ValueError(
                f"the interrupted epoch is at row {self.position}, but the pieces have {offset} rows: give the same to "
                "finish it, or call end_epoch()"
            )
        self._engine.close_batch(rows, self._on_trace)

    def _visited(self, rows: data.Rows, bar: Any, count: int) -> None:
        # so many more of the rows were accepted, so that from now on predictions mean what their targets say
        self._remember(rows.vector_target, rows.signed_labels)
        if bar is not None:
            bar.update(count)

    def _remember(self, vector_target: bool, signed_labels: bool) -> None:
        self._signed_labels = self._signed_labels or signed_labels
        self.model.remember(self.loss, vector_target, self._signed_labels)

    def _finish_epoch(self, validation: data.Rows | None) -> None:
        # the counters last and at once: an interruption before them repeats only what is done here
        engine_, history = self._engine, self.history
        epoch = int(engine_.counters[EPOCH])
        total, weight = engine_.totals[LOSS], engine_.totals[WEIGHT]
        history.loss[epoch:] = [float(total / weight) if weight else float("nan")]
        if validation is not None:
            value = engine.mean_loss(self.model, validation, self.loss)
            history.val_loss[epoch:] = [*[float("nan")] * (epoch - len(history.val_loss)), value]
        engine_.counters[: OPEN + 1] = [epoch + 1, 0, self.updates, 0]

    def _tick(self) -> None:
        now = time.perf_counter()
        self.history.seconds += now - self._clock
        self._clock = now

    def _rows(self, X: npt.ArrayLike, t: Any, sample_weight: Any, names: tuple[str, str] = ("X", "t")) -> data.Rows:
        shape = (self.model.in_features, self.model.out_features)
        return data.check_rows(X, t, sample_weight, shape, self.model.dtype, self.loss, names)

    def _validation(self, X_val: Any, t_val: Any) -> data.Rows | None:
        if (X_val is None) != (t_val is None):
            raise TypeError("X_val and t_val go together; one of them is missing")
        return None if X_val is None else self._rows(X_val, t_val, None, ("X_val", "t_val"))

    def _check_open_epoch(self, rows: int | None) -> None:
        if self.position and None not in (rows, self._epoch_rows) and rows != self._epoch_rows:
            raise ValueError(
                f"the interrupted epoch is at row {self.position} of {self._epoch_rows}, but X has {rows} rows: give "
                "the same rows to finish it, or call end_epoch()"
            )

    def _check_trace(self, rows: int, epochs: int) -> None:
        if self.history.trace is not None:
            self.history.trace.demand_room(epochs * -(-rows // self.batch_size), self.trace_limit)

    def _bar(self, stack: ExitStack, rows: int | None) -> Any:
        if not self.progress:
            return None
        tqdm = extras.need("tqdm", extra="cli", what="progress=True")
        return stack.enter_context(tqdm.tqdm(total=rows, unit=" rows", unit_scale=True, initial=self.position))
