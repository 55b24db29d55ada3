"""Optimizers: how the parameters move along the gradient. Names, arguments and formulas are torch's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastgd.registry import check_number, find

__all__ = ["SGD", "Optimizer", "get", "registry"]


class Optimizer:
    """What every optimizer has: a name, a learning rate and an update."""

    name: ClassVar[str]
    lr: float

    def update(self, params: npt.NDArray[Any], direction: npt.NDArray[Any], factor: Any) -> None:
        """Move ``params`` in place by one update, for the gradient factor · direction."""
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: w ← w − λ ∂C/∂w.

    Parameters
    ----------
    lr : float, default 1e-3
        The learning rate λ ≥ 0: the step, in units of the weight, for a slope of one.

    References
    ----------
    H. Robbins and S. Monro, A stochastic approximation method, Annals of Mathematical Statistics 22 (1951), 400-407.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.SGD(lr=0.1)
    SGD(lr=0.1)
    """

    lr: float = 1e-3
    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", check_number("lr", self.lr))

    def update(self, params: npt.NDArray[Any], direction: npt.NDArray[Any], factor: Any) -> None:
        """Move ``params`` by −λ · factor · direction."""
        params += np.asarray(-self.lr * factor, params.dtype) * direction


registry: dict[str, type[Optimizer]] = {choice.name: choice for choice in (SGD,)}


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer of that name with its defaults, or the optimizer itself.

    Examples
    --------
    >>> from fastgd import optimizers
    >>> optimizers.get("sgd")
    SGD(lr=0.001)
    """
    return find("optimizer", registry, optimizer, Optimizer)
