"""Adagrad, RMSprop and FTRL: a rate for each coordinate, from the squares of its gradients."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastgd.optimizers.base import Array, Optimizer, check_below_one, check_numbers
from fastgd.registry import check_flag, check_number, choice


@choice
class Adagrad(Optimizer):
    """Adagrad, as torch's ``Adagrad``: s ← s + g² and w ← w − λ / (1 + (t − 1) η) · g / (√s + ε).

    Parameters
    ----------
    lr : float, default 1e-2
        The learning rate λ ≥ 0: the first step of each weight, in units of the weight.
    lr_decay : float, default 0
        η ≥ 0, per update.
    weight_decay : float, default 0
        γ ≥ 0, on every parameter.
    initial_accumulator_value : float, default 0
        The first s ≥ 0, in units of the gradient's square.
    eps : float, default 1e-10
        ε ≥ 0, in units of the gradient.

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer, Adaptive subgradient methods for online learning and stochastic optimization,
    Journal of Machine Learning Research 12 (2011), 2121-2159.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.Adagrad(lr=0.1).rows
    ('sum',)
    """

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    name: ClassVar[str] = "adagrad"

    def __post_init__(self) -> None:
        check_numbers(self, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    @property
    def rows(self) -> tuple[str, ...]:
        """``sum``, the sum of the squares of the gradients."""
        return ("sum",)

    def start(self, params: Array, state: Array, on_weight: Array) -> None:
        """Write ``initial_accumulator_value``."""
        state[:] = self.initial_accumulator_value

    def _move(self, params: Array, state: Array, g: Array, lr: float, step: int, on_weight: Array) -> None:
        state[0] += g * g
        params -= lr / (1 + (step - 1) * self.lr_decay) * g / (np.sqrt(state[0]) + self.eps)


@choice
class RMSprop(Optimizer):
    """RMSprop, as torch's ``RMSprop``: v ← α v + (1 − α) g² and w ← w − λ g / (√v + ε).

    Centred, m ← α m + (1 − α) g and √(v − m²) takes the place of √v. With momentum μ, b ← μ b + g / (√v + ε) and
    w ← w − λ b.

    Parameters
    ----------
    lr : float, default 1e-2
        The learning rate λ ≥ 0: about the step of each weight, in units of the weight.
    alpha : float, default 0.99
        α in [0, 1): how much of the running means an update keeps.
    eps : float, default 1e-8
        ε ≥ 0, in units of the gradient.
    weight_decay : float, default 0
        γ ≥ 0, on every parameter.
    momentum : float, default 0
        μ ≥ 0.
    centered : bool, default False
        Whether the step is in units of the gradient's estimated standard deviation.

    References
    ----------
    T. Tieleman and G. Hinton, Lecture 6.5, COURSERA: Neural networks for machine learning, 2012.
    A. Graves, Generating sequences with recurrent neural networks, arXiv:1308.0850 (the centred form).

    Examples
    --------
    >>> import fastgd
    >>> fastgd.RMSprop(momentum=0.9, centered=True).rows
    ('square_avg', 'grad_avg', 'momentum_buffer')
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    name: ClassVar[str] = "rmsprop"

    def __post_init__(self) -> None:
        check_numbers(self, "lr", "eps", "weight_decay", "momentum")
        object.__setattr__(self, "alpha", check_below_one("alpha", self.alpha))
        object.__setattr__(self, "centered", check_flag("centered", self.centered))

    @property
    def rows(self) -> tuple[str, ...]:
        """``square_avg``, centred ``grad_avg``, and with momentum ``momentum_buffer``."""
        return ("square_avg", *(["grad_avg"] * self.centered), *(["momentum_buffer"] * (self.momentum > 0)))

    def _move(self, params: Array, state: Array, g: Array, lr: float, step: int, on_weight: Array) -> None:
        alpha, v = self.alpha, state[0]
        v[:] = alpha * v + (1 - alpha) * g * g
        variance = v
        if self.centered:
            state[1] = alpha * state[1] + (1 - alpha) * g
            variance = np.maximum(v - state[1] * state[1], 0)  # rounding can take it below, where torch gives NaN
        scaled = g / (np.sqrt(variance) + self.eps)
        if self.momentum:
            state[-1] = scaled = self.momentum * state[-1] + scaled
        params -= lr * scaled


@choice
class FTRL(Optimizer):
    """Follow the regularised leader, per coordinate, with L1 and L2 on the weights (not on biases).

    n ← n + g²; z ← z + g − σ w with σ = (√n − √(n before)) / λ; w = 0 where |z| ≤ l1, elsewhere
    w = −(z − sign(z) l1) / ((β + √n) / λ + l2). The first z is such that the first weights are the model's.

    Parameters
    ----------
    lr : float, default 0.1
        λ > 0 (the paper's α): the first step of each weight is about λ / (β + |g|) · g.
    beta : float, default 1.0
        β > 0, in units of the gradient.
    l1 : float, default 0.0
        l1 ≥ 0, in units of the gradient: weights become exactly zero.
    l2 : float, default 0.0
        l2 ≥ 0.

    References
    ----------
    H. B. McMahan et al., Ad click prediction: a view from the trenches, KDD 2013, algorithm 1.

    Examples
    --------
    >>> import fastgd
    >>> fastgd.FTRL(l1=0.5).rows
    ('z', 'n')
    """

    lr: float = 0.1
    beta: float = 1.0
    l1: float = 0.0
    l2: float = 0.0
    name: ClassVar[str] = "ftrl"

    def __post_init__(self) -> None:
        check_numbers(self, "l1", "l2")
        for name in ("lr", "beta"):  # with β = 0 the first weights could not be the model's
            object.__setattr__(self, name, check_number(name, getattr(self, name), open_below=True))

    @property
    def rows(self) -> tuple[str, ...]:
        """``z`` and ``n``, the paper's letters."""
        return ("z", "n")

    def start(self, params: Array, state: Array, on_weight: Array) -> None:
        """Write the z whose weights are ``params``, and n = 0."""
        state[0] = -params * (self.beta / self.lr + self.l2 * on_weight) - np.sign(params) * (self.l1 * on_weight)
        state[1] = 0

    def _move(self, params: Array, state: Array, g: Array, lr: float, step: int, on_weight: Array) -> None:
        z, n = state
        l1, l2 = self.l1 * on_weight.astype(params.dtype), self.l2 * on_weight.astype(params.dtype)
        before = np.sqrt(n)
        n += g * g
        z += g - (np.sqrt(n) - before) / lr * params
        moved = -(z - np.sign(z) * l1) / ((self.beta + np.sqrt(n)) / lr + l2)
        params[:] = np.where(np.abs(z) <= l1, 0, moved)
