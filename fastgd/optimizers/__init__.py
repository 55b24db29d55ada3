"""Optimizers: how the parameters move along the gradient. Names, arguments and formulas are torch's.

Each class is the NumPy twin of the C formula of the same name. In the equations g is the gradient of the update with
weight decay γ added, g = ∂C/∂w + γ w, λ the rate of the update and t its number, from 1.
"""

from __future__ import annotations

from fastgd.optimizers.adam import Adam, AdamW
from fastgd.optimizers.adaptive import FTRL, Adagrad, RMSprop
from fastgd.optimizers.base import Optimizer
from fastgd.optimizers.sgd import SGD
from fastgd.registry import find

__all__ = ["FTRL", "SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "get", "registry"]

registry: dict[str, type[Optimizer]] = {choice.name: choice for choice in (SGD, Adam, AdamW, Adagrad, RMSprop, FTRL)}


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer of that name with its defaults, or the optimizer itself.

    Examples
    --------
    >>> from fastgd import optimizers
    >>> optimizers.get("adagrad").lr
    0.01
    """
    return find("optimizer", registry, optimizer, Optimizer)
