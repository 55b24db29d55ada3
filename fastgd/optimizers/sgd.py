"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from fastgd.optimizers.base import Array, Optimizer, check_numbers
from fastgd.registry import check_flag, check_number, choice


def _factors(name: str, given: Any) -> tuple[float, ...]:
    if isinstance(given, (str, bytes)) or not isinstance(given, (Sequence, np.ndarray)):
        raise TypeError(f"{name}={given!r} must be a sequence of numbers, one for each output, or empty")
    return tuple(check_number(f"{name}[{place}]", factor) for place, factor in enumerate(given))


@choice
class SGD(Optimizer):
    """Stochastic gradient descent, as torch's ``SGD``: w ← w − λ g.

    With momentum μ and dampening τ a buffer b takes the place of g: b ← μ b + (1 − τ) g, where the first b is g, and
    w ← w − λ b; Nesterov's form is w ← w − λ (g + μ b).

    Parameters
    ----------
    lr : float, default 1e-3
        The learning rate λ ≥ 0: the step, in units of the weight, for a slope of one.
    momentum : float, default 0
        μ ≥ 0, the part of the buffer that an update keeps.
    dampening : float, default 0
        τ in [0, 1], the part of the gradient that the buffer leaves out.
    weight_decay : float, default 0
        γ ≥ 0, on every parameter.
    nesterov : bool, default False
        Nesterov's form, with momentum and without dampening.
    lr_factors : sequence of K floats, optional
        r ≥ 0 of each output of a linear model (Caffe's ``lr_mult``): the weights and the bias of output k move by the
        rate r_k λ, whatever the schedule makes of λ.
    decay_factors : sequence of K floats, optional
        h ≥ 0 of each output (Caffe's ``decay_mult``): the weight decay, or the l2 of the penalty, of output k is
        h_k γ. So one pass trains K models that share their rows, each as by SGD(lr=r_k λ, weight_decay=h_k γ) alone.
        Both go without momentum, clipping, an L1 penalty and passive-aggressive schedules. Of sparse rows, an update
        with decays of their own costs what dense rows do. A trace shows the norm of the gradient with its slopes
        times r.

    References
    ----------
    H. Robbins and S. Monro, A stochastic approximation method, Annals of Mathematical Statistics 22 (1951), 400-407.
    I. Sutskever, J. Martens, G. Dahl and G. Hinton, On the importance of initialization and momentum in deep
    learning, ICML 2013.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.SGD(lr=0.1, momentum=0.9).momentum
    0.9

    Two models of the same rows, the second with a tenth of the rate:

    >>> model = fastgd.Linear(1, 2, bias=False)
    >>> model.weight[:] = 0
    >>> history = fastgd.train(model, [[1.0]], [[1.0, 1.0]], loss="sse", optimizer=fastgd.SGD(0.1, lr_factors=[1, 0.1]))
    >>> model.weight.ravel()
    array([0.2 , 0.02])
    """

    lr: float = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    lr_factors: tuple[float, ...] = ()
    decay_factors: tuple[float, ...] = ()
    name: ClassVar[str] = "sgd"

    def __post_init__(self) -> None:
        check_numbers(self, "lr", "momentum", "dampening", "weight_decay")
        if self.dampening > 1:
            raise ValueError(f"dampening={self.dampening!r} must be a number in [0, 1]")
        object.__setattr__(self, "nesterov", check_flag("nesterov", self.nesterov))
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            given = f"momentum={self.momentum!r} and dampening={self.dampening!r}"
            raise ValueError(f"nesterov=True needs momentum above 0 and dampening=0, not {given}")
        for name in ("lr_factors", "decay_factors"):
            object.__setattr__(self, name, _factors(name, getattr(self, name)))
            if getattr(self, name) and self.momentum:
                raise ValueError(f"{name}={getattr(self, name)!r} needs momentum=0, not {self.momentum!r}")

    @property
    def rows(self) -> tuple[str, ...]:
        """``momentum_buffer``, with momentum."""
        return ("momentum_buffer",) if self.momentum else ()

    @property
    def is_plain(self) -> bool:
        """Whether there is no momentum."""
        return self.momentum == 0

    def _move(self, params: Array, state: Array, g: Array, lr: float, step: int, on_weight: Array) -> None:
        if self.momentum:
            buffer = state[0]
            buffer[:] = g if step == 1 else self.momentum * buffer + (1 - self.dampening) * g
            g = g + self.momentum * buffer if self.nesterov else buffer
        params -= lr * g
