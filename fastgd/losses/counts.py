"""Losses of counts, amounts and other targets that are not negative, whose mean is e^y: y is on the log scale.

Each is half the deviance of its distribution without what does not depend on y, as in scikit-learn's generalized
linear models. The exponential saturates: in e^z, z is never taken above 700, or in float32 above 80, so that it is
finite; a score there is far from every minimum, and the slope still points back. The formulas are computed in double.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastgd.losses.base import Array, Loss, check_between
from fastgd.registry import choice


def _exp(z: Array, dtype: np.dtype[Any]) -> Array:
    # e^z in double, saturated so that it is finite in the dtype
    return np.exp(np.minimum(z, 80 if dtype == np.float32 else 700, dtype=np.float64))


class _LogScale(Loss):
    targets = "non-negative"

    def mean(self, y: Array) -> Array:
        """Return e^y, the mean of the target, saturated at e^700, or in float32 at e^80."""
        return _exp(y, y.dtype).astype(y.dtype)


class Poisson(_LogScale):
    """Poisson loss for counts, as torch's ``PoissonNLLLoss``: C = Σ_k e^y_k − t_k y_k, slope e^y_k − t_k.

    Targets are numbers ≥ 0. The exponential saturates at e^700, or in float32 at e^80.

    References
    ----------
    P. McCullagh and J. A. Nelder, Generalized Linear Models, 2nd edition, Chapman and Hall 1989.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.Poisson()
    >>> float(loss.value([0.0], [3.0])), loss.slope([0.0], [3.0])
    (1.0, array([-2.]))
    """

    name: ClassVar[str] = "poisson"

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return _exp(y, y.dtype) - np.multiply(t, y, dtype=np.float64)

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        return _exp(y, y.dtype) - t


class Gamma(_LogScale):
    """Gamma loss for positive amounts: C = Σ_k y_k + t_k e^−y_k, slope 1 − t_k e^−y_k.

    Targets are numbers > 0. The exponential saturates at e^700, or in float32 at e^80.

    References
    ----------
    P. McCullagh and J. A. Nelder, Generalized Linear Models, 2nd edition, Chapman and Hall 1989.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.Gamma()
    >>> float(loss.value([0.0], [3.0])), loss.slope([0.0], [3.0])
    (3.0, array([-2.]))
    """

    name: ClassVar[str] = "gamma"
    targets = "positive"

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return y + t * _exp(-y, y.dtype)

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        return 1 - t * _exp(-y, y.dtype)


@choice
class Tweedie(_LogScale):
    """Tweedie loss for amounts that are often zero: C = Σ_k e^((2−p) y_k) / (2 − p) − t_k e^((1−p) y_k) / (1 − p).

    Its slope is e^((2−p) y_k) − t_k e^((1−p) y_k). The variance of the target is its mean to the power p: a sum of
    Poisson-many gamma amounts. Targets are numbers ≥ 0. Each exponential saturates at e^700, or in float32 at e^80.

    Parameters
    ----------
    power : float, default 1.5
        p in (1, 2).

    References
    ----------
    B. Jørgensen, Exponential dispersion models, Journal of the Royal Statistical Society B 49 (1987), 127-162.

    Examples
    --------
    >>> from fastgd import losses
    >>> loss = losses.Tweedie(power=1.5)
    >>> float(loss.value([0.0], [3.0])), loss.slope([0.0], [3.0])
    (8.0, array([-2.]))
    """

    power: float = 1.5
    name: ClassVar[str] = "tweedie"

    def __post_init__(self) -> None:
        object.__setattr__(self, "power", check_between("power", self.power, 1, 2))

    @property
    def parameter(self) -> float:
        """The power p."""
        return self.power

    def _terms(self, y: Array, t: Array) -> tuple[Array, Array]:
        raw = np.asarray(y, np.float64)
        return _exp((2 - self.power) * raw, y.dtype), t * _exp((1 - self.power) * raw, y.dtype)

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        first, second = self._terms(y, t)
        return first / (2 - self.power) - second / (1 - self.power)

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        first, second = self._terms(y, t)
        return first - second
