"""The short way of partial_fit and of predictions for few rows: what must be checked is, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy import ndarray, vdot

from fastgd import data
from fastgd.engine import DivergenceError, Engine
from fastgd.estimators.loop import Problem
from fastgd.estimators.order import shuffled
from fastgd.estimators.weights import Weights

Array = npt.NDArray[Any]

FEW = 1024  # rows
FEW_NUMBERS = 2**17  # in all of X


def few(X: Any, coef: Any, known: dict[str, Any]) -> bool:
    """Tell whether X is few rows (n, d), finite and of the dtype of ``coef``, for an estimator with these attributes.

    What is not plainly so goes the long way, which converts it or says what is wrong.
    """
    return (
        type(X) is ndarray
        and type(coef) is ndarray
        and X.dtype == coef.dtype
        and len(shape := X.shape) == 2
        and shape[1] == coef.shape[-1]
        and 0 < X.size <= FEW_NUMBERS
        and "feature_names_in_" not in known
        and X.flags.c_contiguous
        and isfinite(vdot(X, X))
    )


def labels(y: Any, rows: int) -> list[Any] | None:
    """Return the targets of so many rows as Python's own objects, or None where they are not plainly that."""
    listed = y.tolist() if type(y) is np.ndarray and y.ndim == 1 else y
    return listed if type(listed) is list and len(listed) == rows else None


class Live:
    """The engines of the last partial_fit, ready for the next, for as long as nothing else has changed."""

    def __init__(self, estimator: Any, weights: Weights, problems: Sequence[Problem]) -> None:
        self._weights, self._engines = weights, [(problem.engine, problem.outputs) for problem in problems]
        self.loss = problems[0].engine.loss
        #: of a classifier, the number of each label
        self.codes: dict[Any, int] = {}
        self._names = itemgetter(*estimator._get_param_names())
        self._parameters = self._names(vars(estimator))
        self._bias_name = estimator._bias_name
        self._take(estimator)
        self._usable = (
            not estimator.early_stopping
            and estimator.verbose == 0
            and getattr(estimator, "class_weight", None) is None
            and all(bool(engine.method.average) == bool(estimator.average) for engine, _ in self._engines)
        )

    def _take(self, estimator: Any) -> None:
        self._coef, self._bias = estimator.coef_, getattr(estimator, self._bias_name)

    def takes(self, estimator: Any, X: Any) -> bool:
        """Tell whether nothing has changed, and these rows can go the short way."""
        known = vars(estimator)
        return (
            self._usable
            and known.get("coef_") is self._coef
            and known.get(self._bias_name) is self._bias
            and known.get("t_") == self._weights.t
            and few(X, self._coef, known)
            and len(X) <= FEW
            and self._names(known) == self._parameters
        )

    def step(self, estimator: Any, X: Array, targets: Sequence[Sequence[Any]], seeds: Sequence[int] | None) -> bool:
        """Visit the rows, by targets for each problem and row; False, with nothing changed, if a row is refused."""
        weights = self._weights
        for number, (engine, outputs) in enumerate(self._engines):
            weights.load(engine, outputs)
            order = None if seeds is None or len(X) == 1 else shuffled(len(X), seeds[number])
            if not visit(engine, X, targets[number], order):
                return False
        weights.t += len(X)
        for engine, outputs in self._engines:
            weights.take(engine, outputs)
        estimator.n_iter_ = 1
        if weights.mean_coef is None:  # the arrays are the estimator's own, but an offset is 1 − b
            estimator.t_ = weights.t
            if self._bias is not weights.intercept:
                self._bias[:] = estimator._to_intercept(weights.intercept)
        else:
            estimator._show(weights)
            self._take(estimator)
        return True


def visit(engine: Engine, X: Array, targets: Sequence[Any], order: Array | None) -> bool:
    """Visit the rows as a fit does, to the last bit; return whether all were taken."""
    if len(X) == 1 and hasattr(engine.one_sample, "__self__"):  # it has a compiled step for single samples
        return engine.one_sample(X[0], targets[0]) is not None
    try:
        given = np.array(targets, engine.dtype).reshape(len(X), -1)
        T, _ = data.targets("y", given, len(X), engine.net.out_features, engine.loss, engine.dtype)
        engine.visit(data.Rows(X, T, None, engine.dtype), order)
    except (DivergenceError, ValueError):
        return False
    return True
