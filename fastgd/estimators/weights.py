"""What an estimator has learned, as its attributes hold it and as an engine needs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd.engine import Engine
from fastgd.estimators.loop import Problem
from fastgd.losses import Loss
from fastgd.method import Method
from fastgd.model import Linear
from fastgd.reference import AVERAGED, UPDATES

Array = npt.NDArray[Any]


@dataclass
class Weights:
    """Weights (K, d) and intercepts (K,) of K outputs, and all else that the next update needs.

    Attributes
    ----------
    coef, intercept : array
        The last iterate.
    mean_coef, mean_intercept : array, optional
        The mean of the iterates, where they are averaged.
    t : float
        One more than the updates that were made, as ``t_``.
    flat : bool
        Whether ``coef_`` shows them as (d,), since there is one output.
    given : array, optional
        ``coef_`` itself, where ``coef`` is a view of it.
    memory : dict of str to array
        What an optimizer such as Adam remembers of the weights and intercepts (K, d + 1), by the names of its rows.
    """

    coef: Array
    intercept: Array
    mean_coef: Array | None = None
    mean_intercept: Array | None = None
    t: float = 1.0
    flat: bool = False
    given: Array | None = None
    memory: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def zeros(cls, outputs: int, features: int, dtype: npt.DTypeLike) -> Weights:
        """Return weights from which nothing is learned yet."""
        return cls(np.zeros((outputs, features), dtype), np.zeros(outputs, dtype))

    @property
    def outputs(self) -> int:
        """K."""
        return len(self.coef)

    @property
    def features(self) -> int:
        """The columns of X, d."""
        return int(self.coef.shape[1])

    def shaped(self, coef: Array) -> Array:
        """Return weights (K, d) as ``coef_`` shows them."""
        if coef is self.coef and self.given is not None:
            return self.given
        return coef[0] if self.flat else coef

    def begin_mean(self, empty: bool) -> None:
        """Begin the mean of the iterates: from nothing, or from the weights that are there."""
        self.mean_coef, self.mean_intercept = (
            (np.zeros_like(array) if empty else array.copy()) for array in (self.coef, self.intercept)
        )

    def engine(self, outputs: slice, loss: Loss, method: Method, bias: bool) -> Engine:
        """Return an engine that goes on from here, with a model of its own, for some of the outputs."""
        net = Linear.zeros(self.features, outputs.stop - outputs.start, bias, self.coef.dtype)
        net.params[:] = self._flat(self.coef, self.intercept, outputs, bias)
        engine = Engine(net, loss, method, 1)
        if self.memory.keys() == set(method.optimizer.rows):
            for name, row in self._rows(engine):
                memory = self.memory[name]
                row[:] = self._flat(memory[:, :-1], memory[:, -1], outputs, bias)
        self.load(engine, outputs)
        return engine

    @staticmethod
    def _rows(engine: Engine) -> Iterator[tuple[str, Array]]:
        # what the optimizer remembers, in the engine's state
        size, names = engine.params.size, engine.method.optimizer.rows
        return zip(names, engine.state[: len(names) * size].reshape(-1, size), strict=True)

    def load(self, engine: Engine, outputs: slice) -> None:
        """Let the engine go on from here; what L1 is owed is forgotten."""
        params, weights = engine.params, self.coef[outputs].ravel()
        params[: weights.size] = weights
        if params.size > weights.size:
            params[weights.size :] = self.intercept[outputs]
        engine.counters[UPDATES] = int(self.t) - 1
        if engine.paid is not None:
            engine.restart()
        average = engine.method.average
        if average and self.mean_coef is not None and self.mean_intercept is not None:
            bias = params.size > weights.size
            engine.state[-params.size :] = self._flat(self.mean_coef, self.mean_intercept, outputs, bias)
            engine.counters[AVERAGED] = max(0, int(self.t) - average)

    def store(self, problems: Sequence[Problem]) -> None:
        """Take what all have learned, and the number of updates of the one that made most."""
        for problem in problems:
            self.take(problem.engine, problem.outputs)
        self.t = 1.0 + max(int(problem.engine.counters[UPDATES]) for problem in problems)

    def take(self, engine: Engine, outputs: slice) -> None:
        """Take what the engine has learned."""
        self._take(engine.params, self.coef, self.intercept, outputs)
        if engine.method.average and self.mean_coef is not None and self.mean_intercept is not None:
            self._take(engine.net.params, self.mean_coef, self.mean_intercept, outputs)
        if not (self.memory or engine.state.size):
            return  # a row must not wait for what follows
        if self.memory.keys() != set(engine.method.optimizer.rows):
            shape = (self.outputs, self.features + 1)
            self.memory = {name: np.zeros(shape, self.coef.dtype) for name in engine.method.optimizer.rows}
        for name, row in self._rows(engine):
            self._take(row, self.memory[name][:, :-1], self.memory[name][:, -1], outputs)

    def shown(self, average: int) -> tuple[Array, Array]:
        """Return the weights and intercepts to predict by: the mean, once it has begun."""
        if self.mean_coef is None or self.mean_intercept is None or average > self.t - 1:
            return self.coef, self.intercept
        return self.mean_coef, self.mean_intercept

    @staticmethod
    def _flat(coef: Array, intercept: Array, outputs: slice, bias: bool) -> Array:
        return np.concatenate((coef[outputs].ravel(), intercept[outputs] if bias else intercept[:0]))

    @staticmethod
    def _take(flat: Array, coef: Array, intercept: Array, outputs: slice) -> None:
        into = coef[outputs]
        place = into.size
        into[...] = flat[:place].reshape(into.shape)
        if flat.size > place:
            intercept[outputs] = flat[place:]
