"""Labels of classes: their numbers, what they are as targets and weigh, and classes that come later."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import compute_class_weight
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.multiclass import unique_labels

from fastgd.estimators.held_out import Validation
from fastgd.estimators.loop import Score
from fastgd.estimators.weights import Weights
from fastgd.losses import Loss
from fastgd.optimizers import Optimizer

Array = npt.NDArray[Any]

#: rows of an optimizer's state that turn with the gradient; the others are of its squares
SIGNED = ("exp_avg", "grad_avg", "momentum_buffer", "z")


def n_outputs(classes: Array) -> int:
    """Return the rows of ``coef_``: one for two classes."""
    return 1 if len(classes) == 2 else len(classes)


def encoded(y: Array) -> tuple[Array, Array]:
    """Return the classes of the labels, sorted, and the number of each label's class; two numbers take no sorting."""
    if y.dtype.kind in "biuf":
        two = np.array([y.min(), y.max()], y.dtype)
        upper = y == two[1]
        if two[0] < two[1] and (upper | (y == two[0])).all():
            return two, upper.astype(np.intp)
    classes = np.unique(y)
    return classes, np.searchsorted(classes, y)


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


def class_weights(class_weight: Any, classes: Array, y: Array, codes: Array) -> Array:
    """Return the factor of each class (K,).

    Raises
    ------
    ValueError
        A label is none of the classes, or ``class_weight`` names others.
    """
    if codes.min() < 0:
        raise ValueError("classes should include all valid labels that can be in y")
    if class_weight is None:
        return np.ones(len(classes))
    return compute_class_weight(class_weight, classes=classes, y=y)


def targets(
    codes: Array, positive: int, class_weight: Array, row_weights: Array | None, loss: Loss, dtype: Any
) -> tuple[Array, Array | None]:
    """Return what one class is learned by, against all others, or all of them at once by softmax.

    They are targets (n, 1), which are 0 and 1, or −1 and +1 for a loss of real targets, or for softmax the numbers of
    the classes; and weights (n,), which are those of the rows times those of their classes.
    """
    weights = _weighed(codes, positive, class_weight, row_weights, loss, dtype)
    if loss.coupled:
        return codes.astype(dtype).reshape(-1, 1), weights
    T = (codes == positive).astype(dtype).reshape(-1, 1)
    return 2 * T - 1 if loss.targets == "real" else T, weights


def _weighed(
    codes: Array, positive: int, class_weight: Array, row_weights: Array | None, loss: Loss, dtype: Any
) -> Array | None:
    # where one class stands against all others, only its own weight counts
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


def accuracy(rows: Validation, classes: Array, positive: int, loss: Loss, odd: bool) -> Score:
    """Return the share of rows that weights get right; a label that is none of the classes is never got right.

    Of one class against all others where it is learned so. If it is ``odd``, a row of the others is never right: to
    scikit-learn's early stopping with ``log_loss`` predictions are −1 and +1 and labels 0 and 1.
    """
    codes = numbers_of(rows.y, classes)
    right = codes if loss.coupled else codes == positive

    def score(coef: Array, intercept: Array) -> float:
        scores = safe_sparse_dot(rows.X, coef.T, dense_output=True) + intercept
        found = scores.argmax(axis=1) if loss.coupled else scores[:, 0] > 0
        return float(np.average(found & right if odd else found == right, weights=rows.sample_weight))

    return score


def grown(weights: Weights, places: Array, classes: int, share: float, optimizer: Optimizer) -> Weights:
    """Return the weights for more classes, where those known before have these places; the new begin at zero.

    Two classes have one row w between them, which becomes +share · w and −share · w. So has the optimizer's memory,
    but for sums of squares, which have no sign; an FTRL whose w is shared begins anew.
    """
    two = len(places) == 2

    def spread(array: Array, factors: tuple[float, float], fresh: float = 0.0) -> Array:
        more = np.full((classes, *array.shape[1:]), fresh, array.dtype)
        more[places] = np.stack([factor * array[0] for factor in factors]) if two else array
        return more

    signs = (-share, share)
    made = Weights(spread(weights.coef, signs), spread(weights.intercept, signs), t=weights.t)
    if weights.mean_coef is not None and weights.mean_intercept is not None:
        made.mean_coef, made.mean_intercept = spread(weights.mean_coef, signs), spread(weights.mean_intercept, signs)
    if two and share != 1 and "z" in weights.memory:
        return made
    state = np.zeros((optimizer.slots, 1))
    optimizer.start(np.zeros(1), state, np.array([True]))
    fresh = dict(zip(optimizer.rows, state[:, 0].tolist(), strict=True))
    for name, memory in weights.memory.items():
        made.memory[name] = spread(memory, (-1, 1) if name in SIGNED else (1, 1), fresh.get(name, 0.0))
    return made
