"""The estimators and scikit-learn's own: a fit, and calls of one row."""

# ruff: noqa: D102 - Adapter describes the face of them all

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn import linear_model

import fastgd.estimators
from benchmarks.drawn import Array
from benchmarks.estimator_cases import FitCase, RowCase


class Fit:
    """``fit`` of a new estimator, as often as the case says."""

    library: ClassVar[Any]

    def __init__(self, case: FitCase) -> None:
        self.new, self.settings, self.data = getattr(self.library, case.estimator), case.settings, case.data()
        self.fits = case.fits

    def __call__(self) -> None:
        for _ in range(self.fits):
            self.model = self.new(**self.settings).fit(*self.data)

    def weights(self) -> Array:
        return np.append(self.model.coef_, self.model.intercept_)


class OurFit(Fit):
    """fastgd's."""

    library = fastgd.estimators


class TheirFit(Fit):
    """scikit-learn's, whose ``multinomial`` is one class against all."""

    library = linear_model

    def __init__(self, case: FitCase) -> None:
        super().__init__(case)
        if case.loss == "multinomial":
            self.settings["loss"] = "log_loss"


class Rows:
    """``partial_fit`` or ``predict``, row after row, of an estimator that knows all rows."""

    library: ClassVar[Any]

    def __init__(self, case: RowCase) -> None:
        X, y = case.data()
        self.model = getattr(self.library, case.estimator)(**case.settings).fit(X, y)
        call = getattr(self.model, case.method)
        rows = [(X[i : i + 1], y[i : i + 1]) for i in range(case.rows)]
        self.call, self.arguments = call, rows if case.method == "partial_fit" else [(row,) for row, _ in rows]

    def __call__(self) -> None:
        call = self.call
        for arguments in self.arguments:
            call(*arguments)

    weights = Fit.weights


class OurRows(Rows):
    """fastgd's."""

    library = fastgd.estimators


class TheirRows(Rows):
    """scikit-learn's."""

    library = linear_model
