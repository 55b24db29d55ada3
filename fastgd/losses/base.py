"""What all losses share."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastgd.registry import Choice

Array = npt.NDArray[Any]


class Loss(Choice):
    """What every loss has: a name, a value, a slope, and what its raw predictions mean."""

    name: ClassVar[str]
    #: what targets may be: "real" (any finite numbers), "binary" (0 and 1, −1 and +1, or probabilities), "labels"
    #: (0 and 1, or −1 and +1), "non-negative", "positive", or "classes" (the index of one of K classes, or a
    #: probability for each); the formulas see 0 and 1 where −1 and +1 were given
    targets: str = "real"
    #: whether the slope of one output depends on the others
    coupled: ClassVar[bool] = False
    #: whether the compiled loop can run it
    compiled: ClassVar[bool] = True

    @property
    def parameter(self) -> float:
        """The number that the C formula takes, if it takes one."""
        return 0.0

    @property
    def address(self) -> int:
        """The address of a C function of the user's own; 0 of all other losses."""
        return 0

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
        y, t = floats(y), np.asarray(t)
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(self.output_value(y, t), y.dtype) + 0 * y
            return np.asarray(self.scale(y.shape[-1]) * values.sum(axis=-1, dtype=np.float64))

    def slope(self, y: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """Return ∂loss/∂y_k for each output, for y and t of shape (..., K)."""
        y, t = floats(y), np.asarray(t)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(self.scale(y.shape[-1]) * self.output_slope(y, t), y.dtype)

    def mean(self, y: Array) -> Array:
        """Return what the raw prediction says of the target's mean (its inverse link)."""
        if self.targets == "labels":
            raise ValueError(f"loss {self.name!r} has no probabilities: its raw predictions are margins; {USE_LABEL}")
        return y

    def label(self, y: Array) -> Array:
        """Return the decision: 0 or 1 for each output, or of ``cross_entropy`` the index of the class, (..., 1)."""
        if self.targets in ("binary", "labels"):
            return (y > 0).astype(np.int64)
        raise ValueError(f"loss {self.name!r} has no labels: its targets are numbers; use kind='raw' or 'mean'")


USE_LABEL = "use kind='raw' or 'label'"


def floats(y: npt.ArrayLike) -> Array:
    """Return the raw predictions as an array of floats."""
    array = np.asarray(y)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def check_between(name: str, value: Any, low: float, high: float) -> float:
    """Return the value as a float, or refuse it unless it is a number above ``low`` and below ``high``."""
    allowed = f"a number above {low:g} and below {high:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}={value!r} must be {allowed}")
    if not low < value < high:
        raise ValueError(f"{name}={value!r} must be {allowed}")
    return float(value)
