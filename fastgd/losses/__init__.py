"""Losses: what a prediction costs, and the slope by which it must move.

Each class is the NumPy twin of the C function of the same name. ``value`` and ``slope`` take raw predictions y and
targets t of shape (..., K), or for ``cross_entropy`` class indices t of shape (..., 1); a loss is summed over the K
outputs (``mse`` takes their mean), and "slope" is always ∂loss/∂y, never its negative. A loss of your own is
:class:`Own` (an object of Python's) or :class:`CFunction` (compiled).
"""

from __future__ import annotations

from typing import Any

from fastgd.losses.base import Loss
from fastgd.losses.classification import CrossEntropy, Hinge, LogLoss, ModifiedHuber, Perceptron, SquaredHinge
from fastgd.losses.counts import Gamma, Poisson, Tweedie
from fastgd.losses.own import CFunction, Own
from fastgd.losses.regression import (
    MSE,
    SSE,
    Absolute,
    EpsilonInsensitive,
    Huber,
    Quantile,
    SquaredEpsilonInsensitive,
    SquaredError,
)
from fastgd.registry import find

__all__ = [
    "MSE", "SSE", "Absolute", "CFunction", "CrossEntropy", "EpsilonInsensitive", "Gamma", "Hinge", "Huber", "LogLoss",
    "Loss", "ModifiedHuber", "Own", "Perceptron", "Poisson", "Quantile", "SquaredEpsilonInsensitive", "SquaredError",
    "SquaredHinge", "Tweedie", "get", "registry",
]  # fmt: skip

registry: dict[str, type[Loss]] = {
    choice.name: choice
    for choice in (
        MSE, SSE, SquaredError, Absolute, Huber, EpsilonInsensitive, SquaredEpsilonInsensitive, Quantile,
        Poisson, Gamma, Tweedie,
        LogLoss, Hinge, SquaredHinge, ModifiedHuber, Perceptron, CrossEntropy,
    )
}  # fmt: skip


def get(loss: str | Loss | Any) -> Loss:
    """Return the loss of that name with its defaults, the loss itself, or :class:`Own` around an object of your own.

    Examples
    --------
    >>> from fastgd import losses
    >>> losses.get("huber")
    Huber(delta=1.0)
    """
    if isinstance(loss, (Own, CFunction)):
        return loss
    registered = isinstance(loss, Loss) and registry.get(getattr(loss, "name", "")) is type(loss)
    if not registered and Own.fits(loss):
        return Own(loss, getattr(loss, "targets", "real"))
    return find("loss", registry, loss, Loss)
