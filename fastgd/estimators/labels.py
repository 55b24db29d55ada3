"""Labels of classes: their numbers, what they are as targets and weigh, and classes that come later."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.multiclass import unique_labels

from fastgd.estimators.held_out import Validation
from fastgd.estimators.loop import Score
from fastgd.estimators.weights import Weights
from fastgd.losses import Loss

Array = npt.NDArray[Any]


def n_outputs(classes: Array) -> int:
    """Return the rows of ``coef_``: one for two classes."""
    return 1 if len(classes) == 2 else len(classes)


def numbers_of(labels: Array, classes: Array) -> Array:
    """Return the number of each label's class, −1 where it has none."""
    codes = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    return np.where(classes[codes] == labels, codes, -1)


def known(before: Array | None, y: Array, classes: Any, grow: bool) -> tuple[Array, Array | None]:
    """Return the classes of partial_fit, and the places of those before among them if there are more now.

    Raises
    ------
    ValueError
        There are none yet and none are given, or others are given than before and may not be added.
    """
    if grow:
        given = unique_labels(y) if classes is None else unique_labels(y, classes)
        if before is None:
            return given, None
        now = unique_labels(before, given)
        return now, np.searchsorted(now, before) if len(now) > len(before) else None
    if before is None:
        if classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return unique_labels(classes), None
    if classes is not None and not np.array_equal(before, unique_labels(classes)):
        raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {before!r}")
    return before, None


def targets(codes: Array, positive: int, loss: Loss, dtype: Any) -> Array:
    """Return 0 and 1 (n, 1), or −1 and +1 for a loss of real targets, or for softmax the numbers of the classes.

    Raises
    ------
    ValueError
        Softmax is given a label that is none of the classes.
    """
    if loss.coupled:
        if codes.min() < 0:
            raise ValueError("y has labels that are not among classes_; grow_classes=True adds them")
        return codes.astype(dtype).reshape(-1, 1)
    T = (codes == positive).astype(dtype).reshape(-1, 1)
    return 2 * T - 1 if loss.targets == "real" else T


def weighed(
    codes: Array, positive: int, class_weight: Array, row_weights: Array | None, loss: Loss, dtype: Any
) -> Array | None:
    """Return the rows' weights (n,) times those of their classes; where one stands against all, only its own counts."""
    if (class_weight == 1).all():
        return row_weights
    if loss.coupled:
        factors = class_weight[codes]
    else:
        factors = np.where(
            codes == positive, class_weight[positive], class_weight[0] if len(class_weight) == 2 else 1.0
        )
    return factors.astype(dtype) if row_weights is None else factors.astype(dtype) * row_weights


def few_targets(given: list[Any], codes: dict[Any, int], loss: Loss) -> list[list[float]] | None:
    """Return for each problem what :func:`targets` does, for a few labels; None if one is none of the classes."""
    try:
        found = [codes[label] for label in given]
    except (KeyError, TypeError):
        return None
    if loss.coupled:
        return [[float(code) for code in found]]
    low = -1.0 if loss.targets == "real" else 0.0
    problems = (1,) if len(codes) == 2 else range(len(codes))
    return [[1.0 if code == positive else low for code in found] for positive in problems]


def shares(scores: Array) -> Array:
    """Return the probabilities of classes after ``modified_huber``, (clip(score, −1, 1) + 1) / 2 for each score.

    Those of several classes are brought to a sum of 1; where all are 0 they are equal.
    """
    found = (np.clip(scores, -1, 1) + 1) / 2
    if found.ndim == 1:
        return np.column_stack((1 - found, found))
    sums = found.sum(axis=1, keepdims=True)
    return np.where(sums == 0, 1 / found.shape[1], found / np.where(sums == 0, 1, sums))


def accuracy(rows: Validation, positive: int, loss: Loss, odd: bool) -> Score:
    """Return the share of rows, whose y are the numbers of classes, that weights get right.

    Of one class against all others where it is learned so. If it is ``odd``, a row of the others is never right: to
    scikit-learn's early stopping with ``log_loss`` predictions are −1 and +1 and labels 0 and 1.
    """

    def score(coef: Array, intercept: Array) -> float:
        scores = safe_sparse_dot(rows.X, coef.T, dense_output=True) + intercept
        found, right = (scores.argmax(axis=1), rows.y) if loss.coupled else (scores[:, 0] > 0, rows.y == positive)
        return float(np.average(found & right if odd else found == right, weights=rows.sample_weight))

    return score


def grown(weights: Weights, places: Array, classes: int, share: float) -> Weights:
    """Return the weights for more classes, where those known before have these places; the new begin at zero.

    Two classes have one row w between them, which becomes +share · w and −share · w.
    """
    factors = np.array([-share, share] if len(places) == 2 else np.ones(len(places)))

    def spread(array: Array) -> Array:
        more = np.zeros((classes, *array.shape[1:]), array.dtype)
        more[places] = array * factors.reshape(-1, *[1] * (array.ndim - 1))
        return more

    made = Weights(spread(weights.coef), spread(weights.intercept), t=weights.t)
    if weights.mean_coef is not None and weights.mean_intercept is not None:
        made.mean_coef, made.mean_intercept = spread(weights.mean_coef), spread(weights.mean_intercept)
    return made
