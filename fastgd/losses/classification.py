"""Losses of classes: two for each output, or one of K."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fastgd.losses.base import Array, Loss, floats


class LogLoss(Loss):
    """Logistic loss, as torch's ``BCEWithLogitsLoss``: C = Σ_k log(1 + e^y_k) − t_k y_k, slope σ(y_k) − t_k.

    Targets are 0 and 1, or −1 and +1, or any probability in [0, 1]. It is computed as max(y, 0) − t y +
    log(1 + e^−|y|), which overflows nowhere.

    Examples
    --------
    >>> from fastgd import losses
    >>> float(losses.LogLoss().slope([0.0], [1.0])[0])
    -0.5
    >>> float(losses.LogLoss().value([1000.0], [0.0]))
    1000.0
    """

    name: ClassVar[str] = "log_loss"
    targets = "binary"

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return (np.maximum(y, 0) - t * y) + np.log1p(np.exp(-np.abs(y)))

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        e = np.exp(-np.abs(y))
        return np.where(y >= 0, (1 - t) - t * e, (1 - t) * e - t) / (1 + e)

    def mean(self, y: Array) -> Array:
        """Return σ(y) = 1 / (1 + e^−y), the probability of a 1."""
        e = np.exp(-np.abs(y))
        return np.where(y >= 0, 1, e) / (1 + e)


class Hinge(Loss):
    """Hinge loss of the support vector machine: C = Σ_k max(0, 1 − s_k y_k), slope −s_k where s_k y_k ≤ 1, else 0.

    Targets are 0 and 1, or −1 and +1; s is −1 or +1.

    References
    ----------
    C. Cortes and V. Vapnik, Support-vector networks, Machine Learning 20 (1995), 273-297.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.Hinge()
    >>> float(loss.value([0.5, 2.0], [0, 1])), loss.slope([0.5, 2.0], [0, 1])
    (1.5, array([1., 0.]))
    """

    name: ClassVar[str] = "hinge"
    targets = "labels"
    threshold: ClassVar[int] = 1

    @property
    def parameter(self) -> float:
        """The margin below which a score costs something."""
        return float(self.threshold)

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return np.maximum(self.threshold - (2 * t - 1) * y, 0)

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        s = 2 * t - 1
        return np.where(s * y <= self.threshold, -s, 0)


class SquaredHinge(Loss):
    """Square of the hinge loss: C = Σ_k q_k² with q = max(0, 1 − s y), slope −2 s_k q_k.

    Targets are 0 and 1, or −1 and +1; s is −1 or +1.

    References
    ----------
    C.-J. Hsieh et al., A dual coordinate descent method for large-scale linear SVM, ICML 2008.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.SquaredHinge()
    >>> float(loss.value([0.5, 0.5], [0, 1])), loss.slope([0.5, 0.5], [0, 1])
    (2.5, array([ 3., -1.]))
    """

    name: ClassVar[str] = "squared_hinge"
    targets = "labels"

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return np.maximum(1 - (2 * t - 1) * y, 0) ** 2

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        s = 2 * t - 1
        return -2 * s * np.maximum(1 - s * y, 0)


class ModifiedHuber(Loss):
    """Modified Huber loss: the squared hinge, but a straight line where s y ≤ −1, so that outliers weigh less.

    C = Σ_k q_k² with q = max(0, 1 − s y) and slope −2 s_k q_k where q_k ≤ 2; elsewhere C = −4 s_k y_k and slope −4 s_k.
    Targets are 0 and 1, or −1 and +1; s is −1 or +1.

    References
    ----------
    T. Zhang, Solving large scale linear prediction problems using stochastic gradient descent algorithms, ICML 2004.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.ModifiedHuber()
    >>> float(loss.value([0.5, -3.0], [0, 1])), loss.slope([0.5, -3.0], [0, 1])
    (14.25, array([ 3., -4.]))
    """

    name: ClassVar[str] = "modified_huber"
    targets = "labels"

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        q = 1 - (2 * t - 1) * y
        r = np.clip(q, 0, 2)
        return r * (2 * q - r)

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        s = 2 * t - 1
        return -2 * s * np.clip(1 - s * y, 0, 2)

    def mean(self, y: Array) -> Array:
        """Return (y + 1) / 2 clipped to [0, 1], the probability of a 1, as scikit-learn's ``predict_proba``."""
        return (np.clip(y, -1, 1) + 1) / 2


class Perceptron(Hinge):
    """Perceptron loss: C = Σ_k max(0, −s_k y_k), slope −s_k where s_k y_k ≤ 0, else 0.

    Targets are 0 and 1, or −1 and +1; s is −1 or +1.

    References
    ----------
    F. Rosenblatt, The perceptron: a probabilistic model for information storage and organization in the brain,
    Psychological Review 65 (1958), 386-408.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.Perceptron()
    >>> float(loss.value([0.5, 2.0], [0, 1])), loss.slope([0.5, 2.0], [0, 1])
    (0.5, array([1., 0.]))
    """

    name: ClassVar[str] = "perceptron"
    threshold: ClassVar[int] = 0


class CrossEntropy(Loss):
    """Softmax regression's loss, as torch's ``CrossEntropyLoss``: C = −Σ_k t_k log p_k with p = softmax(y).

    Its slope is p_k − t_k. A target is the index of one of the K classes, in an array of shape (..., 1), or a
    probability for each, (..., K), which sum to 1; one-hot rows are such. With the largest score taken out of the
    exponentials nothing overflows, and with its own e^0 = 1 kept apart from the sum of the others nothing is lost where
    one class is almost sure. It is computed in double.

    References
    ----------
    J. S. Bridle, Probabilistic interpretation of feedforward classification network outputs, with relationships to
    statistical pattern recognition, in Neurocomputing, Springer 1990, 227-236.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.CrossEntropy()
    >>> loss.slope([0.0, 0.0], [1])
    array([ 0.5, -0.5])
    >>> float(loss.value([0.0, 1000.0], [0])), float(loss.value([0.0, 1000.0], [0.0, 1.0]))
    (1000.0, 0.0)
    """

    name: ClassVar[str] = "cross_entropy"
    targets = "classes"
    coupled: ClassVar[bool] = True

    def value(self, y: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """Return the loss of each row, for y of shape (..., K) and t of shape (..., 1) or (..., K)."""
        y = floats(y)
        shares = self._shares(y, t)
        with np.errstate(over="ignore", invalid="ignore"):
            behind, _, others = _exponentials(y)
            return np.asarray(np.log1p(others[..., 0]) + (shares * behind + 0 * y).sum(axis=-1))

    def slope(self, y: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """Return p − t (..., K), for y of shape (..., K) and t of shape (..., 1) or (..., K)."""
        y = floats(y)
        shares = self._shares(y, t)
        with np.errstate(over="ignore", invalid="ignore"):
            _, e, others = _exponentials(y)
            return np.asarray(((e - shares) - shares * others) / (1 + others), y.dtype)

    def mean(self, y: Array) -> Array:
        """Return softmax(y) (..., K), the probability of each class."""
        _, e, others = _exponentials(y)
        return (e / (1 + others)).astype(y.dtype)

    def label(self, y: Array) -> Array:
        """Return the index of the class with the largest score, (..., 1)."""
        return y.argmax(axis=-1, keepdims=True)

    @staticmethod
    def _shares(y: Array, t: npt.ArrayLike) -> Array:
        # what each class has of the target (..., K)
        t = np.asarray(t)
        return np.asarray(t == np.arange(y.shape[-1]) if t.shape[-1] == 1 else t, np.float64)


def _exponentials(y: Array) -> tuple[Array, Array, Array]:
    # how far each score is below the largest, y_top − y_k, its exponential, and Σ of the others (..., 1), in double
    raw = np.asarray(y, np.float64)
    top = raw.argmax(axis=-1, keepdims=True)
    behind = np.take_along_axis(raw, top, axis=-1) - raw
    e = np.exp(-behind)
    others = np.where(np.arange(y.shape[-1]) == top, 0, e).sum(axis=-1, keepdims=True)
    return behind, e, others
