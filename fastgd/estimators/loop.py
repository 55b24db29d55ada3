"""The epochs of one problem: order, objective, stopping, early stopping, what is printed, curves and callbacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd import data, engine, extras
from fastgd.engine import Engine
from fastgd.estimators.listeners import Listeners
from fastgd.estimators.order import Order
from fastgd.history import History
from fastgd.reference import DEBT, EPOCH, LOSS, PENALTY, POSITION, UNWEIGHTED, UPDATES, WEIGHT, shrunk_limit
from fastgd.schedules import Adaptive

Array = npt.NDArray[Any]
#: the score of weights (K, d) and intercepts (K,) on validation rows; higher is better
Score = Callable[[Array, Array], float]


class DivergenceError(engine.DivergenceError):
    """Training left the finite numbers; the estimator keeps the last finite weights.

    Attributes
    ----------
    epoch, row : int
        Where it was found; both count from zero, the epoch from the beginning of the call.
    largest : float
        The largest |x| among the rows of the slice that was undone.
    lr : float
        The initial learning rate, ``eta0``.
    """

    def __str__(self) -> str:
        return (
            f"Floating-point under-/overflow occurred at epoch #{self.epoch + 1}. Scaling input data with "
            "StandardScaler or MinMaxScaler might help. "
            f"It was found at row {self.row}, among rows whose largest |x| is {self.largest:g}, with "
            f"eta0={self.lr:g}; the estimator keeps its last finite weights."
        )


class Patience:
    """Counts the epochs in a row that do not bring a value below the least before them by ``tol``.

    Examples
    --------
    >>> from fastgd.estimators.loop import Patience
    >>> patience = Patience(tol=0.1, epochs=2)
    >>> [patience.ends(value) for value in (1.0, 0.5, 0.45, 0.44)]
    [False, False, False, True]
    """

    def __init__(self, tol: float | None, epochs: int) -> None:
        self.tol, self.epochs = tol, epochs
        self.least, self.stuck = float("inf"), 0

    def ends(self, value: float) -> bool:
        """Take the value of another epoch; return whether patience has come to its end. Without ``tol`` it has none."""
        if self.tol is None:
            return False
        self.stuck = self.stuck + 1 if value > self.least - self.tol else 0
        self.least = min(self.least, value)
        return self.stuck >= self.epochs


class Scale:
    """The factor that scikit-learn has taken out of its weights, Π max(0, 1 − λ_t l2), since it last multiplied it in.

    Its early stopping looks at the weights without it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._scale = engine, 1.0
        self._t0 = engine.method.schedule.start(engine.loss)

    def after(self, first: int) -> float:
        """Return the factor after the updates from number ``first`` on, all of this epoch."""
        engine, method = self._engine, self._engine.method
        if method.penalty is None or method.penalty.l2 == 0:
            return 1.0
        t = np.arange(first, int(engine.counters[UPDATES]) + 1)
        epoch = int(engine.counters[EPOCH])
        rates = method.schedule.rate(method.optimizer.lr, t, epoch, engine.epoch_losses, self._t0)
        factors = np.maximum(0, 1 - method.penalty.l2 * rates).astype(engine.dtype).astype(np.float64)
        limit, place = shrunk_limit(engine.dtype), 0
        while place < len(factors):
            with np.errstate(under="ignore"):
                scales = self._scale * np.cumprod(factors[place:])
            small = scales < limit
            ends = int(small.argmax()) if small.any() else -1
            self._scale = 1.0 if ends >= 0 else float(scales[-1])
            place = place + ends + 1 if ends >= 0 else len(factors)
        return self._scale


@dataclass
class Course:
    """How long problems are trained, and who is told of it."""

    max_iter: int
    tol: float | None
    patience: int
    verbose: int = 0
    callbacks: Sequence[Callable[[History], Any]] = ()
    progress: bool = False
    listeners: Listeners | None = None
    stopped: bool = False

    def go_on(self, rows: int = 0) -> None:
        """Raise InterruptedError if another problem has failed, or the call was interrupted."""
        if self.stopped:
            raise InterruptedError("another class has failed, or the call was interrupted")


@dataclass
class Problem:
    """What is learned together, and the course that it took.

    Attributes
    ----------
    engine : Engine
    rows : callable
        Returns the rows, of which none are kept when they have been learned from.
    order : Order
    outputs : slice
        Those of the estimator's outputs that it learns.
    score : callable, optional
        Of validation rows, after each epoch.
    early : bool
        Whether training stops by the score, not by the objective.
    held_out : bool
        Whether the validation rows are some of X, so that scikit-learn's weights are scored, without their scale.
    objective, scores : list of float
        One for each epoch.
    n_iter : int
        The epochs that were finished.
    converged : bool
        Whether they were ended by patience.
    """

    engine: Engine
    rows: Callable[[], data.Rows]
    order: Order
    outputs: slice
    score: Score | None = None
    early: bool = False
    held_out: bool = False
    objective: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    n_iter: int = 0
    converged: bool = False

    def run(self, course: Course) -> None:
        """Train epoch by epoch.

        Raises
        ------
        DivergenceError
            The loss or a weight is not finite.
        """
        try:
            with ExitStack() as stack:
                self._epochs(course, self._bar(course, stack))
        except engine.DivergenceError as error:
            raise DivergenceError(error.epoch, error.row, error.largest, error.lr) from None

    def _epochs(self, course: Course, bar: Any) -> None:
        started, visits = time.perf_counter(), -int(self.engine.counters[UPDATES])
        history = History(self.engine.net, self.objective)
        patience, falls = Patience(course.tol, course.patience), list[float]()
        self.engine.epoch_losses = falls
        scale = Scale(self.engine)
        adaptive, told = isinstance(self.engine.method.schedule, Adaptive), course.callbacks or course.listeners
        rows = self.rows()
        for epoch, order in zip(range(course.max_iter), self.order.epochs(), strict=False):
            if course.listeners is not None:
                course.listeners.begin("epoch")
            if course.verbose > 0:
                print(f"-- Epoch {epoch + 1}")
            first = int(self.engine.counters[UPDATES]) + 1
            self._visit(epoch, rows, order, course)
            self.objective.append(self._losses()[1])
            if self.score is not None:
                self.scores.append(self.score(*self._to_score(scale, first)))
                history.val_loss.append(1 - self.scores[-1])
            self.n_iter = epoch + 1
            seconds = history.seconds = time.perf_counter() - started
            if course.verbose > 0:
                self._print(visits + int(self.engine.counters[UPDATES]), seconds)
            falls.append(-self.scores[-1] if self.early else self.objective[-1])
            self.converged = patience.ends(falls[-1]) if not adaptive else self.engine.stopped()
            if bar is not None:
                bar.update()
                bar.set_postfix(objective=f"{self.objective[-1]:.4g}")
            if self.converged and course.verbose > 0:
                print(f"Convergence after {epoch + 1} epochs took {time.perf_counter() - started:.2f} seconds")
            if (told and self._told(course, history)) or self.converged:
                break
        for callback in course.callbacks:
            if hasattr(callback, "finish"):
                callback.finish(history)
        self.engine.watch()  # of weights that it was given back

    def _told(self, course: Course, history: History) -> bool:
        # tell of the epoch; return whether one of those who were told wants no more
        answers = [callback(history) for callback in course.callbacks]
        if course.listeners is not None:
            answers.append(course.listeners.end())
        return any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)

    def _visit(self, epoch: int, rows: data.Rows, order: Array | None, course: Course) -> None:
        counters, totals = self.engine.counters, self.engine.totals
        counters[EPOCH], counters[POSITION] = epoch, 0
        totals[:DEBT] = 0
        totals[UNWEIGHTED] = totals[PENALTY] = 0
        course.go_on()
        self.engine.visit(rows, order, 0, course.go_on)

    def _losses(self) -> tuple[float, float]:
        # the mean loss of the epoch, and with it the penalty
        totals, method = self.engine.totals, self.engine.method
        if method.rules.objective:
            rows = self.order.visited
            return float(totals[UNWEIGHTED] / rows), float((totals[UNWEIGHTED] + totals[PENALTY]) / rows)
        # of steps that are fastgd's own: the loss with the rows' weights, and the penalty at the end of the epoch
        price = 0.0 if method.penalty is None else method.penalty.value(self._weights(self.engine.params)[0])
        loss = float(totals[LOSS] / totals[WEIGHT]) if totals[WEIGHT] else float("nan")
        return loss, loss + price

    def _weights(self, flat: Array) -> tuple[Array, Array]:
        # (K, d) and (K,) of a flat vector; intercepts of 0 where there are none
        inputs, outputs = self.engine.net.sizes
        intercept = flat[inputs * outputs :]
        return flat[: inputs * outputs].reshape(outputs, inputs), intercept if intercept.size else np.zeros(outputs)

    def _to_score(self, scale: Scale, first: int) -> tuple[Array, Array]:
        if not self.held_out:
            return self._weights(self.engine.net.params)
        coef, intercept = self._weights(self.engine.params)
        return coef / self.engine.dtype.type(scale.after(first)), intercept

    def _print(self, visits: int, seconds: float) -> None:
        coef, intercept = self._weights(self.engine.params)
        line = f"Norm: {np.linalg.norm(coef):.2f}, NNZs: {np.count_nonzero(coef)}, Bias: {intercept[0]:.6f}, "
        line += f"T: {visits}, Avg. loss: {self._losses()[0]:f}, Objective: {self.objective[-1]:f}"
        if self.early:
            line += f", Validation score: {self.scores[-1]:f}"
        print(f"{line}\nTotal training time: {seconds:.2f} seconds.")

    def _bar(self, course: Course, stack: ExitStack) -> Any:
        if not course.progress:
            return None
        tqdm = extras.need("tqdm", extra="cli", what="progress=True")
        return stack.enter_context(
            tqdm.tqdm(total=course.max_iter, unit=" epochs", desc=f"output {self.outputs.start}")
        )


def run_all(problems: Sequence[Problem], course: Course, jobs: int = 1) -> None:
    """Train problems, so many at a time in threads; where one fails or Ctrl-C is pressed all end, each whole.

    Where callbacks are told, it is one at a time.

    Raises
    ------
    DivergenceError
        A loss or a weight of one is not finite.
    """
    if jobs == 1 or len(problems) == 1 or course.callbacks or course.listeners:
        _run_in_turn(problems, course)
        return
    with ThreadPoolExecutor(min(jobs, len(problems))) as pool:
        futures = [pool.submit(problem.run, course) for problem in problems]
        try:
            for future in futures:
                future.result()
        except BaseException:
            course.stopped = True
            for future in futures:
                future.cancel()
            raise


def _run_in_turn(problems: Sequence[Problem], course: Course) -> None:
    told, several = course.listeners, len(problems) > 1
    if told is not None:
        told.begin("fit", len(problems) if several else course.max_iter)
    for problem in problems:
        if told is not None and several:
            told.begin("class", course.max_iter)
        problem.run(course)
        if told is not None and several and told.end():
            break
    if told is not None:
        told.end()
