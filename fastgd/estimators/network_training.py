"""Epochs of a network by scikit-learn's rules: by what a batch is divided, how rates move, what is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from fastgd import data, engine
from fastgd.losses import Loss
from fastgd.method import Method
from fastgd.model import MLP
from fastgd.optimizers import SGD, Adam
from fastgd.penalties import L2
from fastgd.reference import DEBT, EPOCH, LOSS, UPDATES, WEIGHT
from fastgd.registry import choice
from fastgd.schedules import Constant, Schedule

__all__ = ["Epochs", "NonFiniteError", "Solver"]

Array = npt.NDArray[Any]

#: the core's number of the update before the first by adam. βᵗ is zero from there on, so that the core corrects
#: nothing, and ``Corrected`` can do it as scikit-learn does
ENDLESS = 2**62
SMALLEST_RATE = 1e-6  # which "adaptive" doesn't cut any more


class NonFiniteError(engine.DivergenceError):
    """Training left the finite numbers, in scikit-learn's words first."""

    def __str__(self) -> str:
        return (
            "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
            f"preprocessed. In detail: {super().__str__()}"
        )


@choice
class Corrected(Schedule):
    """Adam's corrections of its means as a rate, λ √(1 − β₂ᵗ) / (1 − β₁ᵗ), so that ε stands beside √v and not √v̂."""

    betas: tuple[float, float]
    by = "step"
    name: ClassVar[str] = "corrected"

    def _after(self, lr: float, n: Array) -> Array:
        t = (n + 1 - ENDLESS).astype(np.float64)
        return np.asarray(lr * np.sqrt(1 - self.betas[1] ** t) / (1 - self.betas[0] ** t))


class Solver:
    """What a network's optimizer keeps from one call to the next: its rate, its state, the number of its updates.

    Parameters
    ----------
    optimizer : SGD or Adam
        Its ``lr`` is the first rate.
    rule : {"constant", "invscaling", "adaptive"}
        How SGD's rate moves.
    power_t : float
        The exponent of ``"invscaling"``.
    """

    def __init__(self, optimizer: SGD | Adam, rule: str, power_t: float) -> None:
        self.optimizer = optimizer
        self.first_rate = optimizer.lr
        adam = isinstance(optimizer, Adam)
        self.rule, self.power_t = "constant" if adam else rule, power_t
        self.schedule: Schedule = Corrected(optimizer.betas) if isinstance(optimizer, Adam) else Constant()
        self.updates = ENDLESS if adam else 0
        self.state: Array | None = None

    @property
    def learning_rate(self) -> float:
        """The rate of the next update, for Adam before its corrections."""
        return self.optimizer.lr

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        # scikit-learn's velocity has the rates of its time in it; ours is multiplied by the rate of the update
        if self.state is not None and rate != self.learning_rate:
            self.state *= self.learning_rate / rate
        self.optimizer = replace(self.optimizer, lr=rate)

    def method(self, price: float) -> Method:
        """Return how the parameters move, with price/2 ‖W‖² added to the loss."""
        return Method(self.optimizer, L2(price) if price else None, self.schedule)

    def end_epoch(self, rows_seen: int) -> None:
        """Move the rate of ``"invscaling"``: λ = λ₀ / (t + 1)^p after t rows."""
        if self.rule == "invscaling":
            self.learning_rate = self.first_rate / (rows_seen + 1) ** self.power_t

    def stop_or_slow(self) -> str:
        """Answer epochs without progress: return what was done, which is "Stopping." unless the rate was cut."""
        if self.rule != "adaptive":
            return "Stopping."
        if self.learning_rate <= SMALLEST_RATE:
            return "Learning rate too small. Stopping."
        self.learning_rate /= 5.0
        return f"Setting learning rate to {self.learning_rate:f}"


class Epochs:
    """Epochs over the same rows.

    The objective of a batch of n rows is its mean loss + α/(2n) ‖W‖², and its update follows the gradient of that,
    where for the squared error of K outputs the mean is over rows alone and the reported loss over outputs too. Rows
    with weights make (Σ wᵢ Cᵢ + α/2 ‖W‖²) / Σ wᵢ, but with ``batch_size=1``, where a weight would cancel, each update
    divides by the mean weight of all rows.

    Parameters
    ----------
    net : MLP
    loss : Loss
    solver : Solver
        Changed by every update.
    rows : Rows
        Without weights.
    weights : array of shape (n,), optional
        At least 0.
    batch_size : int
    alpha : float
        α.
    """

    def __init__(
        self,
        net: MLP,
        loss: Loss,
        solver: Solver,
        rows: data.Rows,
        weights: Array | None,
        batch_size: int,
        alpha: float,
    ) -> None:
        self.rows, self.weights, self.batch_size, self.alpha = rows, weights, batch_size, alpha
        self.solver = solver
        self.engine = engine.Engine(net, loss, solver.method(0.0), batch_size)
        if solver.state is not None:
            self.engine.state[:] = solver.state
        solver.state = self.engine.state
        self.engine.counters[UPDATES] = solver.updates
        if weights is not None:
            rows.weights = np.zeros(len(rows), net.dtype)
        self._outputs = net.out_features if loss.name == "squared_error" else 1
        # what half the deviance of counts has besides the core's loss
        self._constant = np.sum(xlogy(rows.T, rows.T) - rows.T, axis=1) if loss.name == "poisson" else None
        self._squares = 0.0  # Σ ‖W‖² before each update so far
        self._blocks, place = [], 0
        for weight in net.weights:
            self._blocks.append(slice(place, place + weight.size))
            place += weight.size + len(weight)

    def run(self, order: Array, number: int, on_rows: Callable[[int], None] | None = None) -> float:
        """Visit the rows in the order given, and return the mean of what each batch's objective was before its update.

        Parameters
        ----------
        order : int64 array
            Numbers of rows.
        number : int
            That of the epoch, for messages.
        on_rows : callable, optional
            Called with the number of rows as they are done.

        Raises
        ------
        NonFiniteError
            The loss or a weight is not finite; the network holds the last finite slice.
        """
        made, total = self.engine, 0.0
        made.counters[EPOCH] = number
        for start, stop, size, divisor in self._batches(order):
            chosen = order[start:stop]
            if self.weights is not None and self.rows.weights is not None:
                self.rows.weights[chosen] = self.weights[chosen] * (size / divisor)
            made.batch_size, made.method = size, self.solver.method(self.alpha / divisor)
            made.totals[:DEBT] = 0
            first, self._squares = int(made.counters[UPDATES]), 0.0
            try:
                made.visit(self.rows, chosen, 0, on_rows, self._sum_squares if self.alpha else None)
            except engine.DivergenceError as error:
                raise NonFiniteError(*error.args) from None
            finally:
                self.solver.updates = int(made.counters[UPDATES])
            price = self.alpha / 2 / divisor * self._squares / (self.solver.updates - first)
            value = made.totals[LOSS] / made.totals[WEIGHT] / self._outputs + self._mean_constant(chosen) + price
            total += float(value) * (stop - start)
        return total / len(order)

    def _batches(self, order: Array) -> Iterator[tuple[int, int, int, float]]:
        # places of the order whose batches are alike: from, to, rows in an update, and what its sum is divided by
        n, size, weights = len(order), self.batch_size, self.weights
        if weights is None:
            whole = n - n % size
            yield 0, whole, size, size
            if whole < n:
                yield whole, n, n - whole, n - whole
        elif size == 1:
            yield 0, n, 1, float(weights[order].mean())
        else:
            for start in range(0, n, size):
                batch = weights[order[start : start + size]]
                if batch.any():
                    yield start, start + len(batch), int(np.count_nonzero(batch)), float(batch.sum())

    def _sum_squares(self, steps: Array, path: Array) -> None:
        for block in self._blocks:
            part = path[:, block]
            self._squares += float(np.vecdot(part, part).sum(dtype=np.float64))

    def _mean_constant(self, chosen: Array) -> float:
        if self._constant is None:
            return 0.0
        weights = None if self.rows.weights is None else self.rows.weights[chosen]
        return float(np.average(self._constant[chosen], weights=weights))
