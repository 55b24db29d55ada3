"""Networks with one hidden layer, relu and the squared loss: the peers' per-sample steps."""

# ruff: noqa: D102 - Adapter describes the face of them all

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numba
import numpy as np
import torch

from benchmarks.cases import NetworkCase
from benchmarks.drawn import Array, aligned


@numba.njit(fastmath=True)
def numba_rows(
    W1: Array, b1: Array, W2: Array, b2: Array, X: Array, T: Array, order: Any, step: Any, visits: int
) -> None:
    # W1 (hidden, d): the inner loops run over the features
    rows, features = X.shape
    outputs, hidden = W2.shape
    a, slopes, zero = np.empty_like(b1), np.empty_like(b1), step - step
    for _ in range(visits):
        for place in range(rows):
            i = place if order is None else order[place]
            for k in range(hidden):
                z = b1[k]
                for j in range(features):
                    z += W1[k, j] * X[i, j]
                a[k] = max(z, zero)
                slopes[k] = 0
            for k in range(outputs):
                y = b2[k]
                for j in range(hidden):
                    y += W2[k, j] * a[j]
                move = step * (y - T[i, k])
                for j in range(hidden):
                    slopes[j] += W2[k, j] * move
                    W2[k, j] -= move * a[j]
                b2[k] -= move
            for k in range(hidden):
                if a[k] > 0:
                    for j in range(features):
                        W1[k, j] -= slopes[k] * X[i, j]
                    b1[k] -= slopes[k]


@numba.njit(fastmath=True)
def numba_columns(
    V1: Array, b1: Array, W2: Array, b2: Array, X: Array, T: Array, order: Any, step: Any, visits: int
) -> None:
    # V1 (d, hidden): the inner loops run over the hidden units
    rows, features = X.shape
    outputs, hidden = W2.shape
    a, slopes, zero = np.empty_like(b1), np.empty_like(b1), step - step
    for _ in range(visits):
        for place in range(rows):
            i = place if order is None else order[place]
            for k in range(hidden):
                a[k] = b1[k]
                slopes[k] = 0
            for j in range(features):
                for k in range(hidden):
                    a[k] += X[i, j] * V1[j, k]
            for k in range(hidden):
                a[k] = max(a[k], zero)
            for k in range(outputs):
                y = b2[k]
                for j in range(hidden):
                    y += W2[k, j] * a[j]
                move = step * (y - T[i, k])
                for j in range(hidden):
                    slopes[j] += W2[k, j] * move
                    W2[k, j] -= move * a[j]
                b2[k] -= move
            for k in range(hidden):
                slopes[k] = slopes[k] if a[k] > 0 else zero
                b1[k] -= slopes[k]
            for j in range(features):
                for k in range(hidden):
                    V1[j, k] -= X[i, j] * slopes[k]


class NumbaLoop:
    """The loops that an expert writes: fastmath, one dtype throughout, no loss, arrays on cache lines.

    Of the forms that were tried (by rows, by columns, with or without a branch for dead units, with BLAS, with the
    sizes as constants) it takes the fastest for the shape: by columns where there are more hidden units than
    features.
    """

    def __init__(self, case: NetworkCase) -> None:
        self.by_columns = case.sizes[0] < case.sizes[1]
        (W1, b1), (W2, b2) = first_weights(case)
        given = (W1.T if self.by_columns else W1, b1, W2, b2)
        self.params = [aligned(array.shape, case.dtype) for array in given]
        for mine, array in zip(self.params, given, strict=True):
            mine[...] = array
        self.arguments = (*self.params, *case.data(), case.order, np.dtype(case.dtype).type(2 * case.lr), case.visits)

    def __call__(self) -> None:
        loop = numba_columns if self.by_columns else numba_rows
        loop(*self.arguments)

    def weights(self) -> Array:
        W1, *others = self.params
        return flat([W1.T if self.by_columns else W1, *others])


class JaxScan:
    """``lax.scan`` over the samples with ``jax.grad``, compiled before it is timed."""

    unroll = 1

    def __init__(self, case: NetworkCase) -> None:
        lr = np.dtype(case.dtype).type(case.lr)

        def loss(params: Any, x: Any, t: Any) -> Any:
            (W1, b1), (W2, b2) = params
            return jnp.sum((W2 @ jax.nn.relu(W1 @ x + b1) + b2 - t) ** 2)

        def step(params: Any, sample: Any) -> Any:
            gradient = jax.grad(loss)(params, *sample)
            return jax.tree.map(lambda w, g: w - lr * g, params, gradient), None

        def visit(params: Any, X: Any, T: Any) -> Any:
            return jax.lax.scan(step, params, (X, T), unroll=self.unroll)[0]

        self.visit, self.visits = jax.jit(visit, donate_argnums=0), case.visits
        self.params = jax.tree.map(jnp.array, first_weights(case))
        self.data = tuple(map(jnp.asarray, case.data()))

    def __call__(self) -> None:
        for _ in range(self.visits):
            self.params = self.visit(self.params, *self.data)
        jax.tree.leaves(self.params)[0].block_until_ready()

    def weights(self) -> Array:
        return flat([np.asarray(array) for array in jax.tree.leaves(self.params)])


class JaxUnrolled(JaxScan):
    """The same with four steps in the body of the loop, the fastest of 1, 4 and 16."""

    unroll = 4


class TorchLoop:
    """The usual torch loop over rows of shape (1, d), which are faster than vectors; one thread."""

    def __init__(self, case: NetworkCase) -> None:
        features, hidden, outputs = case.sizes
        self.model = torch.nn.Sequential(
            torch.nn.Linear(features, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs)
        )
        first = [torch.from_numpy(array.copy()) for layer in first_weights(case) for array in layer]
        for parameter, array in zip(self.model.parameters(), first, strict=True):
            parameter.data = array
        self.loss = torch.nn.MSELoss(reduction="sum")
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=case.lr)
        X, T = (torch.from_numpy(array)[:, None] for array in case.data())
        self.samples, self.visits = list(zip(X, T, strict=True)), case.visits

    def __call__(self) -> None:
        model, loss, optimizer = self.model, self.loss, self.optimizer
        for _ in range(self.visits):
            for x, t in self.samples:
                optimizer.zero_grad()
                loss(model(x), t).backward()
                optimizer.step()

    def weights(self) -> Array:
        return flat([parameter.detach().numpy() for parameter in self.model.parameters()])


def first_weights(case: NetworkCase) -> list[tuple[Array, Array]]:
    model = case.model()
    return list(zip(model.weights, model.biases, strict=True))


def flat(arrays: list[Array]) -> Array:
    return np.concatenate([array.ravel() for array in arrays])
