"""Several outputs of one row: the peers' per-sample steps."""

# ruff: noqa: D102 - Adapter describes the face of them all

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from sklearn.linear_model import SGDClassifier

from benchmarks.cases import OutputsCase
from benchmarks.drawn import Array, aligned


@numba.njit(fastmath=True)
def squared_loop(W: Array, b: Array, X: Array, T: Array, order: Any, lr: Any, visits: int) -> None:
    rows, features = X.shape
    step = lr + lr
    for _ in range(visits):
        for place in range(rows):
            i = place if order is None else order[place]
            for k in range(len(b)):
                y = b[k]
                for j in range(features):
                    y += W[k, j] * X[i, j]
                move = step * (y - T[i, k])
                for j in range(features):
                    W[k, j] -= move * X[i, j]
                b[k] -= move


@numba.njit(fastmath=True)
def softmax_loop(W: Array, b: Array, X: Array, classes: Array, order: Any, lr: Any, visits: int) -> None:
    rows, features = X.shape
    y = np.empty_like(b)
    for _ in range(visits):
        for place in range(rows):
            i = place if order is None else order[place]
            for k in range(len(b)):
                y[k] = b[k]
                for j in range(features):
                    y[k] += W[k, j] * X[i, j]
            largest = y.max()
            total = largest - largest
            for k in range(len(b)):
                y[k] = np.exp(y[k] - largest)
                total += y[k]
            for k in range(len(b)):
                move = lr * y[k] / total
                if k == classes[i]:
                    move -= lr
                for j in range(features):
                    W[k, j] -= move * X[i, j]
                b[k] -= move


class NumbaLoop:
    """The loops that an expert writes: fastmath, one dtype throughout, no loss, weights on a cache line."""

    def __init__(self, case: OutputsCase) -> None:
        self.W, self.b = aligned((case.outputs, case.features), case.dtype), aligned((case.outputs,), case.dtype)
        self.loop = {"sse": squared_loop, "cross_entropy": softmax_loop}[case.loss]
        self.arguments = (self.W, self.b, *case.data(), case.order, np.dtype(case.dtype).type(case.lr), case.visits)

    def __call__(self) -> None:
        self.loop(*self.arguments)

    def weights(self) -> Array:
        return np.append(self.W, self.b)


class PlainLoop(NumbaLoop):
    """The same without fastmath: sums in the order that is written, as C compilers keep it unless told otherwise."""

    def __init__(self, case: OutputsCase) -> None:
        super().__init__(case)
        self.loop = numba.njit(self.loop.py_func)


class SklearnOneVsAll:
    """``SGDClassifier.fit`` with the log loss, each class against all others, in place of softmax: another model."""

    def __init__(self, case: OutputsCase) -> None:
        self.model = SGDClassifier(
            loss="log_loss", penalty=None, learning_rate="constant", eta0=case.lr, shuffle=False, tol=None,
            max_iter=case.visits,
        )  # fmt: skip
        self.data = case.data()

    def __call__(self) -> None:
        self.model.fit(*self.data)

    def weights(self) -> None:
        return None
