"""Losses of targets that are any numbers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastgd.losses.base import Array, Loss, check_between
from fastgd.registry import check_number, choice


class _HalfSquare(Loss):
    # C = r²/2, slope r, with r = y − t
    def output_value(self, y: Array, t: Array) -> Array:
        r = y - t
        return r * r / 2

    def output_slope(self, y: Array, t: Array) -> Array:
        return y - t


class MSE(_HalfSquare):
    """Mean squared error, as torch's ``MSELoss``: C = Σ_k (y_k − t_k)² / K.

    Its slope is 2 (y_k − t_k) / K.

    Examples
    --------
    >>> from fastgd import losses
    >>> float(losses.MSE().value([1.0, 3.0], [0.0, 1.0]))
    2.5
    >>> losses.MSE().slope([1.0, 3.0], [0.0, 1.0])
    array([1., 2.])
    """

    name: ClassVar[str] = "mse"

    def scale(self, outputs: int) -> float:
        """Return 2 / K."""
        return 2.0 / outputs


class SSE(_HalfSquare):
    """Sum of squared errors: C = Σ_k (y_k − t_k)², slope 2 (y_k − t_k).

    Examples
    --------
    >>> from fastgd import losses
    >>> float(losses.SSE().value([1.0, 3.0], [0.0, 1.0]))
    5.0
    """

    name: ClassVar[str] = "sse"

    def scale(self, outputs: int) -> float:
        """Return 2."""
        return 2.0


class SquaredError(_HalfSquare):
    """Half the squared error, as scikit-learn's SGD: C = Σ_k (y_k − t_k)² / 2, slope y_k − t_k.

    Examples
    --------
    >>> from fastgd import losses
    >>> float(losses.SquaredError().value([1.0, 3.0], [0.0, 1.0]))
    2.5
    """

    name: ClassVar[str] = "squared_error"


class Absolute(Loss):
    """Absolute error, as torch's ``L1Loss``: C = Σ_k |y_k − t_k|, slope sign(y_k − t_k), 0 where they are equal.

    Examples
    --------
    >>> from fastgd import losses
    >>> losses.Absolute().slope([1.0, 3.0, 5.0], [2.0, 3.0, 4.0])
    array([-1.,  0.,  1.])
    """

    name: ClassVar[str] = "absolute"

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return np.abs(y - t)

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        return np.sign(y - t)


@choice
class Huber(Loss):
    """Huber's loss, as torch's ``HuberLoss``: a square near the target, a straight line far from it.

    C = Σ_k s_k (r_k − s_k / 2), slope s_k, with r = y − t and s = r clipped to ±δ; that is r²/2 where |r| ≤ δ and
    δ (|r| − δ/2) elsewhere.

    Parameters
    ----------
    delta : float, default 1.0
        δ > 0, where the square ends, in units of the target.

    References
    ----------
    P. J. Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 35 (1964), 73-101.

    Examples
    --------
    >>> from fastgd import losses
    >>> float(losses.Huber(delta=1.0).value([0.5], [0.0])), float(losses.Huber(delta=1.0).value([3.0], [0.0]))
    (0.125, 2.5)
    """

    delta: float = 1.0
    name: ClassVar[str] = "huber"

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", check_number("delta", self.delta, open_below=True))

    @property
    def parameter(self) -> float:
        """δ."""
        return self.delta

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        r, s = y - t, self.output_slope(y, t)
        return s * (r - s / 2)

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        return np.clip(y - t, -self.delta, self.delta)


@choice
class _Insensitive(Loss):
    epsilon: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "epsilon", check_number("epsilon", self.epsilon))

    @property
    def parameter(self) -> float:
        """ε."""
        return self.epsilon

    def _beyond(self, y: Array, t: Array) -> Array:
        # what of r = y − t is beyond ±ε, with its sign
        r = y - t
        return np.where(r > self.epsilon, r - self.epsilon, np.where(r < -self.epsilon, r + self.epsilon, 0))


@choice
class EpsilonInsensitive(_Insensitive):
    """The loss of support vector regression: C = Σ_k max(0, |r_k| − ε) with r = y − t.

    Its slope is sign(r_k) where |r_k| > ε, else 0.

    Parameters
    ----------
    epsilon : float, default 0.1
        ε ≥ 0, the error that costs nothing, in units of the target.

    References
    ----------
    V. N. Vapnik, The Nature of Statistical Learning Theory, Springer 1995.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.EpsilonInsensitive(epsilon=0.5)
    >>> float(loss.value([1.0, 2.0], [0.75, 0.0])), loss.slope([1.0, 2.0], [0.75, 0.0])
    (1.5, array([0., 1.]))
    """

    name: ClassVar[str] = "epsilon_insensitive"

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return np.abs(self._beyond(y, t))

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        return np.sign(self._beyond(y, t))


@choice
class SquaredEpsilonInsensitive(_Insensitive):
    """The square of the epsilon-insensitive loss: C = Σ_k q_k² with q = max(0, |y − t| − ε).

    Its slope is 2 q_k sign(y_k − t_k).

    Parameters
    ----------
    epsilon : float, default 0.1
        ε ≥ 0, the error that costs nothing, in units of the target.

    References
    ----------
    V. N. Vapnik, The Nature of Statistical Learning Theory, Springer 1995.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.SquaredEpsilonInsensitive(epsilon=0.5)
    >>> float(loss.value([1.0, 2.0], [0.75, 0.0])), loss.slope([1.0, 2.0], [0.75, 0.0])
    (2.25, array([0., 3.]))
    """

    name: ClassVar[str] = "squared_epsilon_insensitive"

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return self._beyond(y, t) ** 2

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        return 2 * self._beyond(y, t)


@choice
class Quantile(Loss):
    """Pinball loss, whose least mean is at the τ-quantile: C = Σ_k max(τ (t_k − y_k), (τ − 1) (t_k − y_k)).

    Its slope is −τ where y_k < t_k, 1 − τ where y_k > t_k, and 0 where they are equal. The raw prediction is the
    quantile itself, and ``mean`` returns it.

    Parameters
    ----------
    tau : float, default 0.5
        τ in (0, 1).

    References
    ----------
    R. Koenker and G. Bassett, Regression quantiles, Econometrica 46 (1978), 33-50.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.Quantile(tau=0.75)
    >>> float(loss.value([1.0, 3.0], [2.0, 2.0])), loss.slope([1.0, 3.0], [2.0, 2.0])
    (1.0, array([-0.75,  0.25]))
    """

    tau: float = 0.5
    name: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", check_between("tau", self.tau, 0, 1))

    @property
    def parameter(self) -> float:
        """τ."""
        return self.tau

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return (y - t) * self.output_slope(y, t)

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        r = y - t
        return np.where(r > 0, 1 - self.tau, np.where(r < 0, -self.tau, 0))
