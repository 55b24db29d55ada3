"""Adam and Adagrad on dense rows: the loops that an expert writes in Numba."""

# ruff: noqa: D102 - Adapter describes the face of them all

from __future__ import annotations

from math import sqrt
from typing import Any

import numba
import numpy as np

import fastgd
from benchmarks.cases import AdaptiveCase
from benchmarks.drawn import Array, aligned


def adam_loop(
    w: Array, m: Array, v: Array, X: Array, t: Array, order: Any, numbers: Any, powers: Array, visits: int
) -> None:  # the bias is the last weight, and powers are β₁ and β₂ to the number of updates so far
    lr, beta1, beta2, eps, one = numbers
    share1, share2 = one - beta1, one - beta2
    rows, features = X.shape
    for _ in range(visits):
        for place in range(rows):
            i = place if order is None else order[place]
            y = w[features]
            for j in range(features):
                y += w[j] * X[i, j]
            slope = y - t[i]
            powers[0] *= beta1
            powers[1] *= beta2
            correction = sqrt(1 - powers[1])
            rate = w.dtype.type(lr * correction / (1 - powers[0]))
            floor = w.dtype.type(eps * correction)
            for j in range(features):
                g = slope * X[i, j]
                m[j] = beta1 * m[j] + share1 * g
                v[j] = beta2 * v[j] + share2 * g * g
                w[j] -= rate * m[j] / (np.sqrt(v[j]) + floor)
            m[features] = beta1 * m[features] + share1 * slope
            v[features] = beta2 * v[features] + share2 * slope * slope
            w[features] -= rate * m[features] / (np.sqrt(v[features]) + floor)


def adagrad_loop(w: Array, s: Array, X: Array, t: Array, order: Any, lr: Any, eps: Any, visits: int) -> None:
    rows, features = X.shape
    for _ in range(visits):
        for place in range(rows):
            i = place if order is None else order[place]
            y = w[features]
            for j in range(features):
                y += w[j] * X[i, j]
            slope = y - t[i]
            for j in range(features):
                g = slope * X[i, j]
                s[j] += g * g
                w[j] -= lr * g / (np.sqrt(s[j]) + eps)
            s[features] += slope * slope
            w[features] -= lr * slope / (np.sqrt(s[features]) + eps)


class NumbaLoop:
    """Two loops, of which the second updates the moments and moves the weights; fastmath, one dtype throughout."""

    error_model = "python"  # Numba's default, whose test for a division by zero keeps the loops from being vectorised

    def __init__(self, case: AdaptiveCase) -> None:
        number = np.dtype(case.dtype).type
        optimizer: Any = fastgd.optimizers.get(case.optimizer)
        self.loop: Any
        numbers: tuple[Any, ...]
        self.w, *state = (aligned((case.features + 1,), case.dtype) for _ in range(1 + optimizer.slots))
        compiled = numba.njit(fastmath=True, error_model=self.error_model)
        if isinstance(optimizer, fastgd.Adam):
            chosen = (optimizer.lr, *optimizer.betas, optimizer.eps, 1)
            self.loop, numbers = compiled(adam_loop), (tuple(map(number, chosen)), np.ones(2))
        else:
            self.loop, numbers = compiled(adagrad_loop), (number(optimizer.lr), number(optimizer.eps))
        self.arguments: tuple[Any, ...] = (self.w, *state, *case.data(), case.order, *numbers, case.visits)

    def __call__(self) -> None:
        self.loop(*self.arguments)

    def weights(self) -> Array:
        return self.w.copy()


class NumbaVectors(NumbaLoop):
    """The same without that test: vectors, and with fastmath approximate reciprocals in the place of divisions."""

    error_model = "numpy"
