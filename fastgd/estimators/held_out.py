"""Rows for validation: those that scikit-learn holds out of X for early stopping, and the scores on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone, is_classifier
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from fastgd.estimators.loop import Score

Array = npt.NDArray[Any]


@dataclass
class Validation:
    """Rows on which weights are scored."""

    X: Any
    y: Any
    sample_weight: Array | None


def split(estimator: Any, y: Array, sample_weight: Array | None, part: Array | None) -> Array:
    """Return True for the rows that are held out (n,), as scikit-learn chooses them, of those that take part.

    Raises
    ------
    ValueError
        All of them have weight zero, or there are none, or none are left.
    """
    mask = np.zeros(len(y), bool)
    y = y if part is None else y[part]
    splitter = StratifiedShuffleSplit if is_classifier(estimator) else ShuffleSplit
    chosen = splitter(test_size=estimator.validation_fraction, random_state=estimator.random_state)
    train, held_out = next(chosen.split(np.zeros((len(y), 1)), y))
    if part is None and sample_weight is not None and not np.any(sample_weight[held_out] > 0):
        raise ValueError("The sample weights for validation set are all zero, consider using a different random state.")
    if train.shape[0] == 0 or held_out.shape[0] == 0:
        raise ValueError(
            f"Splitting {len(y)} samples into a train set and a validation set with "
            f"validation_fraction={estimator.validation_fraction!r} led to an empty set ({len(train)} and "
            f"{len(held_out)} samples). Please either change validation_fraction, increase number of samples, or "
            "disable early_stopping."
        )
    mask[held_out if part is None else part[held_out]] = True
    return mask


def splitter(
    estimator: Any, y: Array, sample_weight: Array | None, part: Array | None, given: Validation | None
) -> Callable[[], Array | None]:
    """Return what holds rows out when it is called, since the split draws in its turn, and not before."""
    if not estimator.early_stopping or given is not None:
        return lambda: None
    return lambda: split(estimator, y, sample_weight, part)


def taken_out(X: Any, y: Any, sample_weight: Array | None, held_out: Array | None) -> Validation | None:
    """Return copies of the rows that are held out, if any are."""
    if held_out is None:
        return None
    return Validation(X[held_out], y[held_out], None if sample_weight is None else sample_weight[held_out])


def scorer(
    estimator: Any, rows: Validation, ours: Score, score: Any, *, flat: bool, classes: Array | None = None
) -> Score:
    """Return ``ours``, unless the estimator's class has another ``score``: then that of a clone that shows the weights.

    ``flat`` tells that its ``coef_`` has one dimension, ``classes`` are those that it knows.
    """
    if type(estimator).score is score:
        return ours

    def theirs(coef: Array, intercept: Array) -> float:
        shown = clone(estimator)
        shown.t_ = 1.0
        if classes is not None:
            shown.classes_ = classes
        shown.coef_, shown.intercept_ = coef[0] if flat else coef, intercept
        return float(shown.score(rows.X, rows.y, rows.sample_weight))

    return theirs
