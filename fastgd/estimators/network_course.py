"""The course of a fit: what is recorded after each epoch, and when it ends."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import shuffle

from fastgd import extras
from fastgd.estimators.network_training import Epochs, NonFiniteError, Solver
from fastgd.history import History
from fastgd.model import MLP

__all__ = ["Course"]

Array = npt.NDArray[Any]

Validation = tuple[Any, Array, Any]  # X, what is to be predicted, and weights or None


class Course:
    """The part of a network estimator that goes from epoch to epoch; the rest of it is :class:`Network`."""

    max_iter: int
    shuffle: bool
    tol: float
    verbose: bool | int
    early_stopping: bool
    n_iter_no_change: float
    callbacks: Sequence[Callable[[History], Any]]
    progress: bool
    n_iter_: int
    t_: int
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    _no_improvement_count: int

    def _network(self) -> MLP:
        raise NotImplementedError

    def _score(self, X: Any, y: Array, sample_weight: Any) -> float:
        # of checked rows
        raise NotImplementedError

    def _run(
        self, epochs: Epochs, order: Array, validation: Validation | None, rng: np.random.RandomState, incremental: bool
    ) -> None:
        net, history = self._network(), History(self._network(), self.loss_curve_)
        best = net.params.copy() if self.early_stopping else None
        if validation is not None and self.validation_scores_ is None:
            self.validation_scores_ = []
        self.n_iter_, stop = 0, False
        with ExitStack() as stack:
            on_rows = self._bar(stack, len(order) * (1 if incremental else self.max_iter))
            try:
                while not stop:
                    begun = time.perf_counter()
                    if self.shuffle and len(order) > 1:
                        order = shuffle(order, random_state=rng)
                    self._epoch(epochs, order, on_rows)
                    if self._note(validation) and best is not None:
                        best[:] = net.params
                    epochs.solver.end_epoch(self.t_)
                    history.seconds += time.perf_counter() - begun
                    stop = self._stops(epochs.solver) or incremental
                    answers = [callback(history) for callback in self.callbacks]  # all are called
                    stop = stop or any(answer is True for answer in answers)
                    if self.n_iter_ == self.max_iter and not stop:
                        text = "Stochastic Optimizer: Maximum iterations (%d) reached and the optimization hasn't "
                        warnings.warn(text % self.max_iter + "converged yet.", ConvergenceWarning, stacklevel=5)
                        stop = True
            except KeyboardInterrupt:
                warnings.warn("Training interrupted by user.", stacklevel=5)
        if best is not None:
            net.params[:] = best
        for callback in self.callbacks:
            if hasattr(callback, "finish"):
                callback.finish(history)

    def _epoch(self, epochs: Epochs, order: Array, on_rows: Callable[[int], None] | None) -> None:
        try:
            self.loss_ = epochs.run(order, self.n_iter_, on_rows)
        except NonFiniteError as error:
            if not self.early_stopping:
                raise
            self.loss_ = float("nan")
            warnings.warn(str(error), ConvergenceWarning, stacklevel=6)
        self.n_iter_ += 1
        self.t_ += len(order)
        self.loss_curve_.append(self.loss_)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")

    def _note(self, validation: Validation | None) -> bool:
        # keep the score, and count epochs without progress; return whether this is the best so far
        value, best = -self.loss_, self.best_loss_
        best = -np.inf if best is None else -best
        if validation is not None and self.validation_scores_ is not None:
            X_val, y_val, weight = validation
            score = float("nan")
            if np.isfinite(self.loss_):
                score = self._score(X_val, y_val, weight)
            self.validation_scores_.append(score)
            if self.verbose:
                print(f"Validation score: {score:f}")
            if self.early_stopping:
                value, best = score, self.best_validation_score_
                best = -np.inf if best is None else best
        self._no_improvement_count = self._no_improvement_count + 1 if value < best + self.tol else 0
        if value > best and self.early_stopping:
            self.best_validation_score_ = value
        elif value > best:
            self.best_loss_ = self.loss_
        return value > best

    def _stops(self, solver: Solver) -> bool:
        if np.isnan(self.loss_):
            return True
        if self._no_improvement_count <= self.n_iter_no_change:
            return False
        answer = solver.stop_or_slow()
        if self.verbose:
            what = "Validation score" if self.early_stopping else "Training loss"
            print(
                f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs. "
                f"{answer}"
            )
        self._no_improvement_count = 0 if answer.startswith("Setting") else self._no_improvement_count
        return not answer.startswith("Setting")

    def _bar(self, stack: ExitStack, rows: int) -> Callable[[int], None] | None:
        if not self.progress:
            return None
        tqdm = extras.need("tqdm", extra="cli", what="progress=True")
        bar = stack.enter_context(tqdm.tqdm(total=rows, unit=" rows", unit_scale=True))
        return lambda count: bar.update(count) and None
