"""Adam and AdamW: running means of the gradient and of its square."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastgd.optimizers.base import Array, Optimizer, check_below_one, check_numbers
from fastgd.registry import check_flag, choice


class _Moments(Optimizer):
    # what Adam and AdamW share: m and v, the running means of g and of g²
    betas: tuple[float, float]
    eps: float
    amsgrad: bool
    lazy = False

    def __post_init__(self) -> None:
        check_numbers(self, "lr", "eps", "weight_decay")
        given: Any = self.betas
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise TypeError(f"betas={given!r} must be two numbers, each of at least 0 and below 1")
        betas = tuple(check_below_one(f"betas[{place}]", beta) for place, beta in enumerate(given))
        object.__setattr__(self, "betas", betas)
        object.__setattr__(self, "amsgrad", check_flag("amsgrad", self.amsgrad))

    @property
    def rows(self) -> tuple[str, ...]:
        """``exp_avg``, ``exp_avg_sq`` and, with amsgrad, ``max_exp_avg_sq``."""
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")[: 3 if self.amsgrad else 2]

    def _move(self, params: Array, state: Array, g: Array, lr: float, step: int, on_weight: Array) -> None:
        (beta1, beta2), m, v = self.betas, state[0], state[1]
        touched = g != 0 if self.lazy else np.True_
        np.copyto(m, beta1 * m + (1 - beta1) * g, where=touched)
        np.copyto(v, beta2 * v + (1 - beta2) * g * g, where=touched)
        top = np.maximum(state[2], v, out=state[2]) if self.amsgrad else v
        # m / (1 − β₁ᵗ) over √(v / (1 − β₂ᵗ)) + ε, with the root's correction c taken into the rate and ε
        c = math.sqrt(1 - beta2**step)
        rate, eps = lr * c / (1 - beta1**step), self.eps if self.lazy else self.eps * c
        np.copyto(params, params - rate * (m / (np.sqrt(top) + eps)), where=touched)


@choice
class Adam(_Moments):
    """Adam, as torch's ``Adam``: a step for each weight in units of its own gradient's size.

    m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; w ← w − λ m̂ / (√v̂ + ε), with m̂ = m / (1 − β₁ᵗ) and
    v̂ = v / (1 − β₂ᵗ).

    Parameters
    ----------
    lr : float, default 1e-3
        The learning rate λ ≥ 0: about the step of each weight, in units of the weight.
    betas : two floats, default (0.9, 0.999)
        β₁ and β₂ in [0, 1): how much of the running means an update keeps.
    eps : float, default 1e-8
        ε ≥ 0, in units of the gradient.
    weight_decay : float, default 0
        γ ≥ 0, on every parameter, added to the gradient.
    amsgrad : bool, default False
        Whether the largest v so far takes the place of v in the step.
    lazy : bool, default False
        Whether a parameter whose gradient is exactly zero is left out of an update altogether, its m and v too. It is
        torch's ``SparseAdam``, whose ε stands beside √v instead of √v̂; for sparse data it costs what the
        non-zeros cost. It goes without ``weight_decay`` and ``amsgrad``.

    References
    ----------
    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015.
    S. J. Reddi, S. Kale and S. Kumar, On the convergence of Adam and beyond, ICLR 2018.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.Adam(lr=0.01, amsgrad=True).rows
    ('exp_avg', 'exp_avg_sq', 'max_exp_avg_sq')
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    lazy: bool = False
    name: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "lazy", check_flag("lazy", self.lazy))
        if self.lazy and (self.weight_decay or self.amsgrad):
            given = f"weight_decay={self.weight_decay!r} and amsgrad={self.amsgrad!r}"
            raise ValueError(f"lazy=True needs weight_decay=0 and amsgrad=False, not {given}")


@choice
class AdamW(_Moments):
    """Adam with decoupled weight decay, as torch's ``AdamW``: w ← (1 − λ γ) w, then Adam's step for g = ∂C/∂w.

    Parameters
    ----------
    lr, betas, eps, amsgrad
        As in :class:`Adam`.
    weight_decay : float, default 1e-2
        γ ≥ 0, on every parameter.

    References
    ----------
    I. Loshchilov and F. Hutter, Decoupled weight decay regularization, ICLR 2019.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.AdamW().weight_decay
    0.01
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    amsgrad: bool = False
    name: ClassVar[str] = "adamw"
    decoupled: ClassVar[bool] = True
