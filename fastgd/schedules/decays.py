"""Schedules by epoch or by step, with the names and formulas of torch's ``lr_scheduler``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastgd.registry import check_count, check_number, choice
from fastgd.schedules.base import Array, Schedule


def _check_by(by: Any) -> None:
    if not isinstance(by, str) or by not in ("step", "epoch"):
        raise ValueError(f"by={by!r} is not known; allowed are 'step', 'epoch'")


def _check_part(name: str, value: Any) -> float:
    number = check_number(name, value, open_below=True)
    if number > 1:
        raise ValueError(f"{name}={value!r} must be a number above 0 and at most 1")
    return number


@choice
class StepLR(Schedule):
    """Steps, as torch's ``StepLR``: λ = lr γ^⌊n / s⌋ after n epochs or updates.

    Parameters
    ----------
    step_size : int
        s ≥ 1.
    gamma : float, default 0.1
        γ in (0, 1].
    by : {"epoch", "step"}, default "epoch"
        What n counts.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.StepLR(step_size=2, by="step").rate(1.0, t=[1, 2, 3, 4, 5]).round(3)
    array([1.  , 1.  , 0.1 , 0.1 , 0.01])
    """

    step_size: int
    gamma: float = 0.1
    by: str = "epoch"
    name: ClassVar[str] = "step"

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", check_count("step_size", self.step_size))
        object.__setattr__(self, "gamma", _check_part("gamma", self.gamma))
        _check_by(self.by)

    def _after(self, lr: float, n: Array) -> Array:
        steps: Array = n // self.step_size
        return lr * np.power(self.gamma, steps)


@choice
class Exponential(Schedule):
    """Exponential decay, as torch's ``ExponentialLR``: λ = lr γⁿ after n epochs or updates.

    Parameters
    ----------
    gamma : float
        γ in (0, 1].
    by : {"epoch", "step"}, default "epoch"
        What n counts.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.Exponential(gamma=0.5).rate(1.0, t=[30, 31], epoch=2)
    array([0.25, 0.25])
    """

    gamma: float
    by: str = "epoch"
    name: ClassVar[str] = "exponential"

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", _check_part("gamma", self.gamma))
        _check_by(self.by)

    def _after(self, lr: float, n: Array) -> Array:
        return lr * np.power(self.gamma, n)


@choice
class Cosine(Schedule):
    """Cosine annealing, as torch's ``CosineAnnealingLR``: λ = η + (lr − η) (1 + cos(π n / T)) / 2.

    From lr at n = 0 to η at n = T; it goes up again after that, as torch's does.

    Parameters
    ----------
    t_max : int
        T ≥ 1, in epochs or updates.
    eta_min : float, default 0.0
        η ≥ 0, a learning rate.
    by : {"epoch", "step"}, default "epoch"
        What n counts.

    References
    ----------
    I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.Cosine(t_max=2, by="step").rate(1.0, t=[1, 2, 3]).round(3)
    array([1. , 0.5, 0. ])
    """

    t_max: int
    eta_min: float = 0.0
    by: str = "epoch"
    name: ClassVar[str] = "cosine"

    def __post_init__(self) -> None:
        object.__setattr__(self, "t_max", check_count("t_max", self.t_max))
        object.__setattr__(self, "eta_min", check_number("eta_min", self.eta_min))
        _check_by(self.by)

    def _after(self, lr: float, n: Array) -> Array:
        return self.eta_min + (lr - self.eta_min) * (1 + np.cos(np.pi * n / self.t_max)) / 2


@choice
class Warmup(Schedule):
    """Linear warm-up, as torch's ``LinearLR``: λ = lr (f + (1 − f) n / N) up to n = N, then lr.

    Parameters
    ----------
    steps : int, default 5
        N ≥ 1, in epochs or updates.
    start_factor : float, default 1/3
        f in (0, 1].
    by : {"epoch", "step"}, default "epoch"
        What n counts.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.Warmup(steps=2, start_factor=0.5, by="step").rate(1.0, t=[1, 2, 3, 4])
    array([0.5 , 0.75, 1.  , 1.  ])
    """

    steps: int = 5
    start_factor: float = 1 / 3
    by: str = "epoch"
    name: ClassVar[str] = "warmup"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", check_count("steps", self.steps))
        object.__setattr__(self, "start_factor", _check_part("start_factor", self.start_factor))
        _check_by(self.by)

    def _after(self, lr: float, n: Array) -> Array:
        f = self.start_factor
        return lr * (f + (1 - f) * np.minimum(n, self.steps) / self.steps)
