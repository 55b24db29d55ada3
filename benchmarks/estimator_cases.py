"""The cases of the estimators."""

# ruff: noqa: D102 - Case describes the face of them all

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.cases import Case
from benchmarks.drawn import Array, standard_rows


@dataclass(frozen=True, kw_only=True)
class EstimatorCase(Case):
    """A class of ``fastgd.estimators`` and scikit-learn's of that name, with the same settings and seed."""

    estimator: str
    features: int
    nonzeros: int = 0
    classes: int = 2
    loss: str = ""

    @property
    def name(self) -> str:
        loss = f" {self.loss}, {self.classes} classes" if self.loss else ""
        stored = f", {self.nonzeros} a row" if self.nonzeros else ""
        return f"{self.estimator}{loss}, {self.dtype}, d = {self.features}{stored}"

    @property
    def settings(self) -> dict[str, Any]:
        """What both classes are told."""
        return {"random_state": 0} | ({"loss": self.loss} if self.loss else {})

    def data(self) -> tuple[Any, Array]:
        X, scores = standard_rows(self.rows, self.features, self.nonzeros, self.dtype)
        if self.estimator == "SGDRegressor":
            return X, scores[:, 0]
        return X, scores[:, 0] > 0 if self.classes == 2 else scores[:, : self.classes].argmax(axis=1)


@dataclass(frozen=True, kw_only=True)
class FitCase(EstimatorCase):
    """``fit`` on all rows: default settings, so shuffled, with L2 and until the tolerance stops it.

    On CSR rows the two stop in different epochs, because the norm in scikit-learn's objective is not the norm of the
    weights there; so they are compared over ten epochs. ``multinomial``, which scikit-learn lacks, is compared with
    ``log_loss``, one class against all: the time, not the weights. In float32 scikit-learn's weights have errors of a
    few percent from its scale factor; ``tests/test_estimators_parity.py`` compares them in float64.
    """

    unit: ClassVar[tuple[str, float]] = ("ms a fit", 1e-3)
    rounds: ClassVar[int] = 5
    fits: ClassVar[int] = 1

    @property
    def samples(self) -> int:
        return self.fits

    @property
    def tolerance(self) -> float:
        if self.loss == "multinomial":
            return np.inf
        return {"float64": 1e-9, "float32": 0.2}[self.dtype]

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | ({"tol": None, "max_iter": 10} if self.nonzeros else {})


@dataclass(frozen=True, kw_only=True)
class SmallFitCase(FitCase):
    """The same of few rows, as in a search over settings: what must not cost is all but the steps."""

    unit: ClassVar[tuple[str, float]] = ("µs a fit", 1e-6)
    rounds: ClassVar[int] = 9
    fits: ClassVar[int] = 50

    @property
    def name(self) -> str:
        return f"{super().name}, {self.rows} rows"


@dataclass(frozen=True, kw_only=True)
class RowCase(EstimatorCase):
    """``partial_fit`` or ``predict`` of one row, row after row."""

    method: str
    unit: ClassVar[tuple[str, float]] = ("µs a call", 1e-6)

    @property
    def name(self) -> str:
        return f"{self.estimator}.{self.method}, {self.dtype}, d = {self.features}"

    @property
    def samples(self) -> int:
        return self.rows
