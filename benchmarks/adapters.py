"""One adapter a library and group of cases, all with the same face; here those of linear models on dense rows.

Made from a case, it prepares what its library takes (which is not timed) and starts from the case's first weights; a
call visits ``case.samples`` samples, each with the same step in every library.
"""

# ruff: noqa: D102 - Adapter describes the face of them all

from __future__ import annotations

from typing import Any, Protocol

import numba
import numpy as np
import torch
from river import linear_model, optim
from sklearn.linear_model import SGDClassifier, SGDRegressor

import fastgd
from benchmarks.cases import LinearCase, TrainerCase
from benchmarks.drawn import Array, aligned
from fastgd import data, engine, losses
from fastgd.method import Method

torch.set_num_threads(1)


class Adapter(Protocol):
    """A library at work on one case."""

    def __init__(self, case: Any) -> None: ...

    def __call__(self) -> Any:
        """Visit the case's samples."""

    def weights(self) -> Array | None:
        """Return the parameters, laid out as fastgd's, or None where they are not to be compared."""


class FastgdPass:
    """The compiled pass of ``fastgd.train``, for every group, called as train calls it.

    Each call begins with the first weights: those of thousands of calls would separate the classes of few rows so far
    that slopes become subnormal numbers.
    """

    def __init__(self, case: TrainerCase) -> None:
        X, t = case.data()
        model, choices = case.model(), case.choices
        loss = losses.get(choices.pop("loss"))
        method = Method.make(loss, model.sizes, **choices)
        self.engine = engine.Engine(model, loss, method, batch_size=1)
        self.rows = data.check_rows(X, t, None, (model.in_features, model.out_features), model.dtype, loss)
        self.order, self.visits = case.order, case.visits
        self.first_weights = self.engine.params.copy()

    def __call__(self) -> None:
        self.engine.params[:] = self.first_weights
        left = self.visits
        while left:
            visits = self.engine.epochs_at_once(self.rows, left) if self.order is None else 1
            if visits == 1:
                self.engine.visit(self.rows, self.order)
            else:
                self.engine.visit_epochs(self.rows, self.order, visits, [])
            left -= visits

    def weights(self) -> Array:
        return self.engine.params.copy()


# ---------------------------------------------------------------------------------------------- one output, in order


@numba.njit(fastmath=True)
def squared_slope(y: Any, t: Any, one: Any) -> Any:
    return (one + one) * (y - t)


@numba.njit(fastmath=True)
def log_slope(y: Any, t: Any, one: Any) -> Any:
    return one / (one + np.exp(-y)) - t


@numba.njit(fastmath=True)
def numba_loop(slope: Any, w: Array, b: Array, X: Array, t: Array, order: Any, lr: Any, visits: int) -> None:
    # an integer beside a float32 would make a float64
    rows, features = X.shape
    one = lr / lr
    for _ in range(visits):
        for place in range(rows):
            i = place if order is None else order[place]
            y = b[0]
            for j in range(features):
                y += w[j] * X[i, j]
            move = lr * slope(y, t[i], one)
            for j in range(features):
                w[j] -= move * X[i, j]
            b[0] -= move


class NumbaLoop:
    """The two loops that an expert writes: fastmath, one dtype throughout, no loss, weights on a cache line.

    Each call begins with weights of 0, as fastgd's and scikit-learn's.
    """

    def __init__(self, case: LinearCase) -> None:
        self.w, self.b = aligned((case.features,), case.dtype), aligned((1,), case.dtype)
        slope = {"mse": squared_slope, "log_loss": log_slope}[case.loss]
        lr = np.dtype(case.dtype).type(case.lr)
        self.arguments = (slope, self.w, self.b, *case.data(), case.order, lr, case.visits)

    def __call__(self) -> None:
        self.w[:] = self.b[:] = 0
        numba_loop(*self.arguments)

    def weights(self) -> Array:
        return np.append(self.w, self.b)


def sklearn_model(case: LinearCase) -> SGDRegressor | SGDClassifier:
    # its squared error is half the square, so its rate is twice as large
    kind, loss, factor = (
        (SGDClassifier, "log_loss", 1) if case.loss == "log_loss" else (SGDRegressor, "squared_error", 2)
    )
    return kind(
        loss=loss, penalty=None, learning_rate="constant", eta0=factor * case.lr, shuffle=False, tol=None,
        max_iter=case.visits,
    )  # fmt: skip


class SklearnFit:
    """``SGDRegressor.fit`` or ``SGDClassifier.fit`` with as many epochs as there are visits."""

    def __init__(self, case: LinearCase) -> None:
        self.model, self.data = sklearn_model(case), case.data()

    def __call__(self) -> None:
        self.model.fit(*self.data)

    def weights(self) -> Array:
        return np.append(self.model.coef_, self.model.intercept_)


# ------------------------------------------------------------------------------------------------- one sample a call


class FastgdStep:
    """``Trainer.step``."""

    def __init__(self, case: LinearCase) -> None:
        X, t = case.data()
        self.model = case.model()
        self.trainer = fastgd.Trainer(self.model, **case.choices)
        self.samples = list(zip(X, t.tolist(), strict=True))

    def __call__(self) -> None:
        step = self.trainer.step
        for x, t in self.samples:
            step(x, t)

    def weights(self) -> Array:
        return self.model.params.copy()


class NumpyStep:
    """NumPy by hand (``w.dot(x)`` is faster than ``w @ x``)."""

    def __init__(self, case: LinearCase) -> None:
        X, t = case.data()
        self.w, self.b, self.step = np.zeros(case.features, case.dtype), 0.0, 2 * case.lr
        self.samples = list(zip(X, t.tolist(), strict=True))

    def __call__(self) -> None:
        w, b, step = self.w, self.b, self.step
        for x, t in self.samples:
            move = step * (w.dot(x) + b - t)
            w -= move * x
            b -= move
        self.b = b

    def weights(self) -> Array:
        return np.append(self.w, self.b)


class RiverStep:
    """river's ``LinearRegression.learn_one`` on dictionaries."""

    def __init__(self, case: LinearCase) -> None:
        X, t = case.data()
        self.model = linear_model.LinearRegression(optim.SGD(case.lr), intercept_lr=case.lr)
        self.samples = list(zip([dict(enumerate(x)) for x in X.tolist()], t.tolist(), strict=True))

    def __call__(self) -> None:
        learn_one = self.model.learn_one
        for x, t in self.samples:
            learn_one(x, t)

    def weights(self) -> Array:
        return np.array([*self.model.weights.values(), self.model.intercept])


class TorchStep:
    """The usual torch loop, one thread."""

    def __init__(self, case: LinearCase) -> None:
        X, t = (torch.from_numpy(array) for array in case.data())
        self.model = torch.nn.Linear(case.features, 1, dtype=X.dtype)
        for parameter in self.model.parameters():
            torch.nn.init.zeros_(parameter)
        self.loss = torch.nn.MSELoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=case.lr)
        self.samples = list(zip(X, t[:, None], strict=True))

    def __call__(self) -> None:
        model, loss, optimizer = self.model, self.loss, self.optimizer
        for x, t in self.samples:
            optimizer.zero_grad()
            loss(model(x), t).backward()
            optimizer.step()

    def weights(self) -> Array:
        return torch.cat([parameter.flatten() for parameter in self.model.parameters()]).detach().numpy()


class SklearnStep:
    """``SGDRegressor.partial_fit`` of one row."""

    def __init__(self, case: LinearCase) -> None:
        X, t = case.data()
        self.model = sklearn_model(case)
        self.samples = [(X[i : i + 1], t[i : i + 1]) for i in range(case.rows)]

    def __call__(self) -> None:
        partial_fit = self.model.partial_fit
        for x, t in self.samples:
            partial_fit(x, t)

    def weights(self) -> Array:
        return np.append(self.model.coef_, self.model.intercept_)
