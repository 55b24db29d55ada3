"""The cases: which model on which data, and how many samples an adapter visits in one call."""

# ruff: noqa: D102 - Case describes the face of them all

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

import fastgd

Array = npt.NDArray[Any]

IN_ORDER = "one output, in order"
ONE_A_CALL = "one sample a call"
NETWORKS = "networks, per sample"
SPARSE = "sparse rows"
ADAPTIVE = "adaptive optimizers, dense"
FITS = "estimators, fit"
SINGLE_ROWS = "estimators, one row a call"


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """``rows`` rows, and how often and how exactly the libraries are to be compared on them."""

    group: str
    dtype: str
    rows: int
    unit: ClassVar[tuple[str, float]] = ("ns a sample", 1e-9)
    rounds: ClassVar[int] = 9

    @property
    @abstractmethod
    def name(self) -> str:
        """What the tables call it."""

    @property
    def id(self) -> str:
        """What pytest calls it, without the characters that ``-k`` does not take."""
        return f"{self.group}, {self.name}".translate(str.maketrans({" ": "_", ",": "-", "=": None})).replace("-_", "-")

    @property
    @abstractmethod
    def samples(self) -> int:
        """How many of what ``unit`` counts are in one call."""

    @property
    def tolerance(self) -> float:
        """The largest difference of the weights after one call, relative to the largest, that rounding explains."""
        return {"float64": 1e-12, "float32": 1e-4}[self.dtype]

    @abstractmethod
    def data(self) -> tuple[Any, Array]:
        """Return X (rows, d) and the targets."""


@dataclass(frozen=True, kw_only=True)
class TrainerCase(Case):
    """Rows that are visited in order ``repeats · passes`` times in one call, from the same first weights.

    The two factors are for libraries that need a Python call a pass: it then takes ``repeats`` visits to all rows.
    """

    repeats: int = 1
    passes: int = 1

    @property
    def visits(self) -> int:
        """How often all rows are visited in one call."""
        return self.repeats * self.passes

    @property
    def samples(self) -> int:
        """How many samples are visited in one call."""
        return self.rows * self.visits

    @property
    @abstractmethod
    def lr(self) -> float:
        """The learning rate."""

    @property
    @abstractmethod
    def choices(self) -> dict[str, Any]:
        """What ``fastgd.Trainer`` is told: loss, optimizer and penalty."""

    @abstractmethod
    def model(self) -> fastgd.MLP:
        """Return a new model with the first weights."""


@dataclass(frozen=True, kw_only=True)
class LinearCase(TrainerCase):
    """Squared loss (y − t)² of one output: a step is w ← w − lr · 2 (w · x + b − t) x."""

    features: int

    @property
    def name(self) -> str:
        kilobytes = self.rows * self.features * np.dtype(self.dtype).itemsize >> 10
        size = f", {kilobytes} kB" if self.group == IN_ORDER else ""
        return f"{self.dtype}{size}, d = {self.features}"

    @property
    def lr(self) -> float:
        return 0.1 / self.features

    @property
    def choices(self) -> dict[str, Any]:
        return {"loss": "mse", "optimizer": fastgd.SGD(lr=self.lr)}

    def model(self) -> fastgd.MLP:
        return zero(fastgd.Linear(self.features, 1, dtype=self.dtype))

    def data(self) -> tuple[Array, Array]:
        rng = np.random.default_rng(0)
        X = normal(rng, (self.rows, self.features), self.dtype)
        t = X @ rng.normal(size=self.features) + rng.normal(size=self.rows)
        return X, t.astype(self.dtype)


@dataclass(frozen=True, kw_only=True)
class AdaptiveCase(LinearCase):
    """Half the squared loss by Adam or Adagrad, with torch's defaults."""

    optimizer: str

    @property
    def name(self) -> str:
        return f"{self.optimizer}, {self.dtype}, d = {self.features}"

    @property
    def lr(self) -> float:
        return float(fastgd.optimizers.get(self.optimizer).lr)

    @property
    def choices(self) -> dict[str, Any]:
        return {"loss": "squared_error", "optimizer": self.optimizer}


@dataclass(frozen=True, kw_only=True)
class NetworkCase(TrainerCase):
    """Squared loss Σ (y_k − t_k)² of a network with relu, from the same first weights in every library."""

    sizes: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.dtype}, {'-'.join(map(str, self.sizes))}"

    @property
    def lr(self) -> float:
        return 0.05 / self.sizes[0]

    @property
    def choices(self) -> dict[str, Any]:
        return {"loss": "sse", "optimizer": fastgd.SGD(lr=self.lr)}

    def model(self) -> fastgd.MLP:
        return fastgd.MLP(self.sizes, activation="relu", dtype=self.dtype, seed=0)

    def data(self) -> tuple[Array, Array]:
        rng = np.random.default_rng(0)
        features, outputs = self.sizes[0], self.sizes[-1]
        X = normal(rng, (self.rows, features), self.dtype)
        T = normal(rng, (self.rows, outputs), self.dtype)
        T += np.tanh(X @ rng.normal(size=(features, outputs)) / features**0.5)
        return X, T


@dataclass(frozen=True, kw_only=True)
class SparseCase(TrainerCase):
    """Log loss with L2 of one output without a bias: w ← (1 − lr · alpha) w − lr (σ(w · x) − t) x.

    The rates are powers of two because scikit-learn keeps the product of the factors 1 − lr · alpha in the data's
    dtype: at lr · alpha = 2e-7 its float32 rounds each of them by up to a third of that.
    """

    features: int
    nonzeros: int
    lr: ClassVar[float] = 2**-6
    alpha: ClassVar[float] = 2**-17

    @property
    def name(self) -> str:
        return f"{self.dtype}, d = {self.features}, {self.nonzeros} a row"

    @property
    def choices(self) -> dict[str, Any]:
        return {"loss": "log_loss", "optimizer": fastgd.SGD(lr=self.lr), "penalty": fastgd.penalties.L2(self.alpha)}

    def model(self) -> fastgd.MLP:
        return zero(fastgd.Linear(self.features, 1, bias=False, dtype=self.dtype))

    @cache  # noqa: B019 - drawing columns takes as long as a round
    def data(self) -> tuple[sparse.csr_array, Array]:
        """Return X in CSR, with distinct columns in order, and labels 0 and 1 of a random model."""
        rng = np.random.default_rng(0)
        X = sparse_rows(rng, (self.rows, self.features), self.nonzeros, self.dtype)
        score = X @ rng.normal(size=self.features) / self.nonzeros**0.5
        return X, (rng.random(self.rows) < 1 / (1 + np.exp(-2 * score))).astype(self.dtype)


@cache
def standard_rows(rows: int, features: int, nonzeros: int, dtype: str) -> tuple[Any, Array]:
    """Return rows of squared norm 10, as that of ten standardized features, and the scores of a random linear model.

    With ``nonzeros`` they are in CSR. All cases of one shape share them.
    """
    rng = np.random.default_rng(0)
    if nonzeros:
        X = sparse_rows(rng, (rows, features), nonzeros, dtype)
        X.data *= (10 / nonzeros) ** 0.5
    else:
        X = rng.standard_normal((rows, features), dtype)
        X *= (10 / features) ** 0.5
    scores = X @ rng.normal(size=(features, 10)).astype(dtype) / 10**0.5
    return X, scores + 0.3 * rng.standard_normal(scores.shape, dtype)


@dataclass(frozen=True, kw_only=True)
class EstimatorCase(Case):
    """A class of ``fastgd.estimators`` and scikit-learn's of that name, with the same settings and seed."""

    estimator: str
    features: int
    nonzeros: int = 0
    classes: int = 2
    loss: str = ""

    @property
    def name(self) -> str:
        loss = f" {self.loss}, {self.classes} classes" if self.loss else ""
        stored = f", {self.nonzeros} a row" if self.nonzeros else ""
        return f"{self.estimator}{loss}, {self.dtype}, d = {self.features}{stored}"

    @property
    def settings(self) -> dict[str, Any]:
        """What both classes are told."""
        return {"random_state": 0} | ({"loss": self.loss} if self.loss else {})

    def data(self) -> tuple[Any, Array]:
        X, scores = standard_rows(self.rows, self.features, self.nonzeros, self.dtype)
        if self.estimator == "SGDRegressor":
            return X, scores[:, 0]
        return X, scores[:, 0] > 0 if self.classes == 2 else scores[:, : self.classes].argmax(axis=1)


@dataclass(frozen=True, kw_only=True)
class FitCase(EstimatorCase):
    """``fit`` on all rows: default settings, so shuffled, with L2 and until the tolerance stops it.

    On CSR rows the two stop in different epochs, because the norm in scikit-learn's objective is not the norm of the
    weights there; so they are compared over five epochs. ``multinomial``, which scikit-learn lacks, is compared with
    ``log_loss``, one class against all: the time, not the weights. In float32 scikit-learn's weights have errors of a
    few percent from its scale factor; ``tests/test_estimators_parity.py`` compares them in float64.
    """

    unit: ClassVar[tuple[str, float]] = ("ms a fit", 1e-3)
    rounds: ClassVar[int] = 5

    @property
    def samples(self) -> int:
        return 1

    @property
    def tolerance(self) -> float:
        if self.loss == "multinomial":
            return np.inf
        return {"float64": 1e-9, "float32": 0.2}[self.dtype]

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | ({"tol": None, "max_iter": 5} if self.nonzeros else {})


@dataclass(frozen=True, kw_only=True)
class RowCase(EstimatorCase):
    """``partial_fit`` or ``predict`` of one row, row after row."""

    method: str
    unit: ClassVar[tuple[str, float]] = ("µs a call", 1e-6)

    @property
    def name(self) -> str:
        return f"{self.estimator}.{self.method}, {self.dtype}, d = {self.features}"

    @property
    def samples(self) -> int:
        return self.rows


def zero(model: fastgd.MLP) -> fastgd.MLP:
    model.params[:] = 0
    return model


def sparse_rows(rng: np.random.Generator, shape: tuple[int, int], nonzeros: int, dtype: str) -> sparse.csr_array:
    """Return standard normal numbers in CSR, in distinct columns in order."""
    rows, features = shape
    columns = [np.sort(rng.choice(features, nonzeros, False, shuffle=False)) for _ in range(rows)]
    indices = np.concatenate(columns).astype(np.int32)
    indptr = np.arange(0, indices.size + 1, nonzeros, dtype=np.int32)
    return sparse.csr_array((normal(rng, (indices.size,), dtype), indices, indptr), shape=shape)


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Return standard normal numbers that start on a cache line."""
    array = aligned(shape, dtype)
    array[...] = rng.normal(size=shape)
    return array


def aligned(shape: tuple[int, ...], dtype: str) -> Array:
    """Return zeros that start on a cache line; otherwise the allocator's luck decides about 20 % of the speed."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)
