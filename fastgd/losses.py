"""Losses: what a prediction costs, and the slope by which it must move.

Each class is the NumPy twin of the C function of the same name. ``value`` and ``slope`` take raw predictions y and
targets t of shape (..., K); a loss is summed over the K outputs (``mse`` takes their mean), and "slope" is always
∂loss/∂y, never its negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastgd.registry import check_number, find

__all__ = ["MSE", "SSE", "Absolute", "Huber", "LogLoss", "Loss", "SquaredError", "get", "registry"]

Array = npt.NDArray[Any]


class Loss:
    """What every loss has: a name, a value, a slope, and what its raw predictions mean."""

    name: ClassVar[str]
    #: "real" targets are any finite numbers, "binary" ones are 0 and 1, −1 and +1, or probabilities
    targets: ClassVar[str] = "real"

    @property
    def parameter(self) -> float:
        """The number that the C formula takes, if it takes one."""
        return 0.0

    def scale(self, outputs: int) -> float:
        """Return the factor between this loss and the formula that it shares, for K outputs."""
        return 1.0

    def output_value(self, y: Array, t: Array) -> Array:
        """Return the loss of each output, before ``scale``."""
        raise NotImplementedError

    def output_slope(self, y: Array, t: Array) -> Array:
        """Return ∂(output_value)/∂y for each output."""
        raise NotImplementedError

    def value(self, y: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """Return the loss of each row, Σ_k C(y_k, t_k), for y and t of shape (..., K)."""
        y, t = np.asarray(y), np.asarray(t)
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.output_value(y, t) + 0 * y
            return np.asarray(self.scale(y.shape[-1]) * values.sum(axis=-1, dtype=np.float64))

    def slope(self, y: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """Return ∂loss/∂y_k for each output, for y and t of shape (..., K)."""
        y, t = np.asarray(y), np.asarray(t)
        with np.errstate(over="ignore", invalid="ignore"):
            return self.scale(y.shape[-1]) * self.output_slope(y, t)

    def mean(self, y: Array) -> Array:
        """Return what the raw prediction says of the target's mean (its inverse link)."""
        return y

    def label(self, y: Array) -> Array:
        """Return the decision, 0 or 1, of a loss whose targets are binary."""
        raise ValueError(f"loss {self.name!r} has no labels: its targets are numbers; use kind='raw' or 'mean'")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


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
    """Absolute error: C = Σ_k |y_k − t_k|, slope sign(y_k − t_k), 0 where they are equal.

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


@dataclass(frozen=True)
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
    targets: ClassVar[str] = "binary"

    def output_value(self, y: Array, t: Array) -> Array:  # noqa: D102
        return (np.maximum(y, 0) - t * y) + np.log1p(np.exp(-np.abs(y)))

    def output_slope(self, y: Array, t: Array) -> Array:  # noqa: D102
        e = np.exp(-np.abs(y))
        return np.where(y >= 0, (1 - t) - t * e, (1 - t) * e - t) / (1 + e)

    def mean(self, y: Array) -> Array:
        """Return σ(y) = 1 / (1 + e^−y), the probability of a 1."""
        e = np.exp(-np.abs(y))
        return np.where(y >= 0, 1, e) / (1 + e)

    def label(self, y: Array) -> Array:
        """Return 1 where the probability is above one half, else 0."""
        return (y > 0).astype(np.int64)


registry: dict[str, type[Loss]] = {choice.name: choice for choice in (MSE, SSE, SquaredError, Absolute, Huber, LogLoss)}


def get(loss: str | Loss) -> Loss:
    """Return the loss of that name with its defaults, or the loss itself.

    Examples
    --------
    >>> from fastgd import losses
    >>> losses.get("huber")
    Huber(delta=1.0)
    """
    return find("loss", registry, loss, Loss)
