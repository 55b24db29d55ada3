"""The cases: which model on which data, and how many samples an adapter visits in one call."""

# ruff: noqa: D102 - Case describes the face of them all

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

import fastgd
from benchmarks.drawn import Array, aligned, linear_rows, normal, sparse_rows

IN_ORDER = "one output, in order"
FROM_MEMORY = "one output, X of 256 MB"
SEVERAL = "several outputs"
ONE_A_CALL = "one sample a call"
NETWORKS = "networks, per sample"
SPARSE = "sparse rows"
ADAPTIVE = "adaptive optimizers, dense"
FITS = "estimators, fit"
SMALL_FITS = "estimators, small fits"
SINGLE_ROWS = "estimators, one row a call"
PEAK = "multiplications and additions at peak"


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

    @property
    def flops(self) -> int:
        """The multiplications and additions that a sample cannot do without, where they are known."""
        return 0

    @abstractmethod
    def data(self) -> tuple[Any, Array]:
        """Return X (rows, d) and the targets."""


@dataclass(frozen=True, kw_only=True)
class TrainerCase(Case):
    """Rows that are visited ``visits`` times in one call, from the same first weights.

    Attributes
    ----------
    shuffled : bool
        Whether the rows are visited in one random order.
    """

    visits: int = 1
    shuffled: bool = False

    @property
    def samples(self) -> int:
        """How many samples are visited in one call."""
        return self.rows * self.visits

    @property
    def order(self) -> Array | None:
        """The order of the rows, or None where they come as they are."""
        return np.random.default_rng(1).permutation(self.rows) if self.shuffled else None

    @property
    def remark(self) -> str:
        """What its name says of rows that do not come in order and from the caches, as they do elsewhere in a group."""
        return ", 256 MB shuffled" if self.shuffled else ""

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
    """Outputs y = w · x + b: a step is w ← w − lr · slope · x, with 2 (y − t) or, of the log loss, σ(y) − t.

    Attributes
    ----------
    loss : {"mse", "log_loss"}
    """

    features: int
    outputs: int = 1
    loss: str = "mse"

    @property
    def name(self) -> str:
        size = self.rows * self.features * np.dtype(self.dtype).itemsize
        text = {IN_ORDER: f", {size >> 10} kB", FROM_MEMORY: ", shuffled" if self.shuffled else ", in order"}
        loss = {"mse": "squared loss, ", "log_loss": "log loss, "}[self.loss] if self.group == IN_ORDER else ""
        return f"{loss}{self.dtype}{text.get(self.group, '')}, d = {self.features}"

    @property
    def flops(self) -> int:
        return 4 * self.features * self.outputs

    @property
    def lr(self) -> float:
        return 0.1 / self.features

    @property
    def choices(self) -> dict[str, Any]:
        return {"loss": self.loss, "optimizer": fastgd.SGD(lr=self.lr)}

    def model(self) -> fastgd.MLP:
        return zero(fastgd.Linear(self.features, self.outputs, dtype=self.dtype))

    def data(self) -> tuple[Array, Array]:
        X, t = linear_rows(self.rows, self.features, self.dtype)
        return X, (t > 0).astype(self.dtype) if self.loss == "log_loss" else t

    @property
    def tolerance(self) -> float:
        # few rows that are visited thousands of times round often
        return super().tolerance * (10 if self.visits > 1000 else 1)


@dataclass(frozen=True, kw_only=True)
class AdaptiveCase(LinearCase):
    """Half the squared loss by Adam or Adagrad, with torch's defaults."""

    optimizer: str

    @property
    def name(self) -> str:
        return f"{self.optimizer}, {self.dtype}, d = {self.features}{self.remark}"

    @property
    def lr(self) -> float:
        return float(fastgd.optimizers.get(self.optimizer).lr)

    @property
    def choices(self) -> dict[str, Any]:
        return {"loss": "squared_error", "optimizer": self.optimizer}

    @property
    def flops(self) -> int:
        return 0  # divisions and roots decide


@dataclass(frozen=True, kw_only=True)
class NetworkCase(TrainerCase):
    """Squared loss Σ (y_k − t_k)² of a network with relu, from the same first weights in every library."""

    sizes: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.dtype}, {'-'.join(map(str, self.sizes))}{self.remark}"

    @property
    def lr(self) -> float:
        # over millions of rows larger steps let the differences of rounding grow
        return (5e-5 if self.rows > 10**6 else 0.05) / self.sizes[0]

    @property
    def choices(self) -> dict[str, Any]:
        return {"loss": "sse", "optimizer": fastgd.SGD(lr=self.lr)}

    @property
    def flops(self) -> int:
        first, *others = (m * n for m, n in pairwise(self.sizes))
        return 4 * first + 6 * sum(others)

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
class OutputsCase(LinearCase):
    """K outputs y = W x + b: the squared loss Σ (y_k − t_k)², or softmax over them with ``cross_entropy``."""

    @property
    def name(self) -> str:
        loss = {"sse": "squared loss", "cross_entropy": "softmax"}[self.loss]
        return f"{loss}, {self.dtype}, d = {self.features}, K = {self.outputs}{self.remark}"

    def data(self) -> tuple[Array, Array]:
        """Return X and targets (rows, K), or the classes."""
        rng = np.random.default_rng(0)
        X = normal(rng, (self.rows, self.features), self.dtype)
        T = X @ rng.normal(size=(self.features, self.outputs)).astype(self.dtype)
        T += 3 * rng.standard_normal(T.shape, self.dtype)
        return X, T if self.loss == "sse" else T.argmax(axis=1)


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


@dataclass(frozen=True, kw_only=True)
class PeakCase(Case):
    """The product of two matrices (rows, rows) by the BLAS of NumPy."""

    unit: ClassVar[tuple[str, float]] = ("ps each", 1e-12)

    @property
    def name(self) -> str:
        return self.dtype

    @property
    def samples(self) -> int:
        return 2 * self.rows**3

    def data(self) -> tuple[Array, Array]:
        X = aligned((self.rows, self.rows), self.dtype) + 1
        return X, X


def zero(model: fastgd.MLP) -> fastgd.MLP:
    model.params[:] = 0
    return model
