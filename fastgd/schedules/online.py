"""The schedules of online learning: constant, Bottou's, inverse scaling, scikit-learn's adaptive, a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fastgd.losses import Loss
from fastgd.registry import check_count, check_number, choice
from fastgd.schedules.base import Array, Schedule


@choice
class Constant(Schedule):
    """The same rate for every update: λ = lr.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.Constant().rate(0.1, t=[1, 2])
    array([0.1, 0.1])
    """

    name: ClassVar[str] = "constant"


@choice
class Optimal(Schedule):
    """Bottou's schedule, as scikit-learn's ``optimal``: λ = 1 / (α (t₀ + t − 1)); the optimizer's lr is not used.

    The first rate is w / max(1, C'), with w = α^−¼, the size of a typical weight, and C' the slope of the loss at
    y = −w for a target of 1; that is t₀ = max(1, C') / (α w).

    Parameters
    ----------
    alpha : float, default 1e-4
        α > 0. In scikit-learn it is the penalty's ``alpha``; give both the same for the same rates.

    References
    ----------
    L. Bottou, Stochastic gradient descent tricks, in Neural networks: tricks of the trade, Springer 2012.

    Examples
    --------
    >>> from fastgd import losses, schedules
    >>> optimal = schedules.Optimal(alpha=0.0001)
    >>> optimal.rate(0.0, t=[1, 1001], t0=optimal.start(losses.get("log_loss"))).round(3)
    array([10.,  5.])
    """

    alpha: float = 1e-4
    by = "step"
    name: ClassVar[str] = "optimal"

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", check_number("alpha", self.alpha, open_below=True))

    def start(self, loss: Loss) -> float:
        """Return t₀ for this loss."""
        typical = float(np.sqrt(1 / np.sqrt(self.alpha)))
        # where outputs are coupled there is no loss of one output; the slopes of cross entropy are at most 1
        slope = 1.0 if loss.coupled else float(loss.slope(np.array([-typical]), np.array([1.0]))[0])
        return 1 / (typical / max(1.0, slope) * self.alpha)

    def rate(self, lr: float, t: npt.ArrayLike, epoch: int = 0, losses: Sequence[float] = (), t0: float = 1.0) -> Array:
        """Return 1 / (α (t₀ + t − 1))."""
        return np.asarray(1 / (self.alpha * (t0 + np.asarray(t, np.int64) - 1)))


@choice
class InvScaling(Schedule):
    """Inverse scaling, as scikit-learn's ``invscaling``: λ = lr / t^p.

    Parameters
    ----------
    power_t : float, default 0.25
        p ≥ 0.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.InvScaling(power_t=0.5).rate(0.1, t=[1, 4, 100])
    array([0.1 , 0.05, 0.01])
    """

    power_t: float = 0.25
    by = "step"
    name: ClassVar[str] = "invscaling"

    def __post_init__(self) -> None:
        object.__setattr__(self, "power_t", check_number("power_t", self.power_t))

    def _after(self, lr: float, n: Array) -> Array:
        return lr / (n + 1.0) ** self.power_t


@choice
class Adaptive(Schedule):
    """A rate that is cut when the loss no longer falls, as scikit-learn's ``adaptive``.

    An epoch makes no progress if its mean loss is above the lowest before it less ``tol``. After ``patience`` such
    epochs in a row the rate is multiplied by ``factor``; a rate that is not above ``min_lr`` is not cut again:
    training stops.

    Parameters
    ----------
    factor : float, default 0.2
        In (0, 1).
    tol : float, default 1e-3
        ≥ 0, in units of the loss.
    patience : int, default 5
        Epochs, ≥ 1.
    min_lr : float, default 1e-6
        ≥ 0, in units of the learning rate.

    Examples
    --------
    >>> from fastgd import schedules
    >>> adaptive = schedules.Adaptive(patience=2)
    >>> adaptive.progress(0.1, losses=[1.0, 0.9, 0.9, 0.9])
    (0.02, False)
    """

    factor: float = 0.2
    tol: float = 1e-3
    patience: int = 5
    min_lr: float = 1e-6
    by = "epoch"
    name: ClassVar[str] = "adaptive"

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", check_number("factor", self.factor, open_below=True))
        if self.factor >= 1:
            raise ValueError(f"factor={self.factor!r} must be a number above 0 and below 1")
        object.__setattr__(self, "tol", check_number("tol", self.tol))
        object.__setattr__(self, "patience", check_count("patience", self.patience))
        object.__setattr__(self, "min_lr", check_number("min_lr", self.min_lr))

    def progress(self, lr: float, losses: Sequence[float]) -> tuple[float, bool]:
        """Return the rate of the next epoch, and whether training should stop, after epochs with these mean losses."""
        best, stuck = float("inf"), 0
        for loss in losses:
            stuck = stuck + 1 if loss > best - self.tol else 0
            best = min(best, loss)
            if stuck >= self.patience:
                if lr <= self.min_lr:
                    return lr, True
                lr, stuck = lr / (1 / self.factor), 0  # scikit-learn divides by 5, which 0.2 rounded does not
        return lr, False

    def rate(self, lr: float, t: npt.ArrayLike, epoch: int = 0, losses: Sequence[float] = (), t0: float = 1.0) -> Array:
        """Return lr as often cut as the losses ask for."""
        return np.full(np.shape(t), self.progress(lr, losses)[0])


@choice
class Own(Schedule):
    """A schedule of your own: λ = lr · function(t), with t = 1, 2, 3, … the number of the update.

    It runs in Python between slices, and cannot be saved.

    Parameters
    ----------
    function : callable
        Takes an int, and returns a finite number of at least 0.

    Examples
    --------
    >>> import fastgd
    >>> schedule = fastgd.schedules.get(lambda t: 1 / t)
    >>> schedule.rate(0.1, t=[1, 2, 4])
    array([0.1  , 0.05 , 0.025])
    """

    function: Callable[[int], float]
    by = "step"
    name: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"function={self.function!r} must be callable")

    def rate(self, lr: float, t: npt.ArrayLike, epoch: int = 0, losses: Sequence[float] = (), t0: float = 1.0) -> Array:
        """Return lr · function(t); refuse what is not a finite number of at least 0."""
        t = np.asarray(t, np.int64)
        factors = [check_number(f"schedule({number})", self.function(number)) for number in t.ravel().tolist()]
        return np.asarray(lr * np.reshape(np.array(factors), t.shape))
