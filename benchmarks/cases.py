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


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """``rows`` rows, visited in order ``repeats · passes`` times in one call.

    The two factors are for libraries that need a Python call a pass: it then takes ``repeats`` visits to all rows.
    """

    group: str
    dtype: str
    rows: int
    repeats: int = 1
    passes: int = 1

    @property
    @abstractmethod
    def name(self) -> str:
        """What the tables call it."""

    @property
    def id(self) -> str:
        """What pytest calls it, without the characters that ``-k`` does not take."""
        return f"{self.group}, {self.name}".replace(", ", "-").replace(" = ", "").replace(" ", "_")

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

    @abstractmethod
    def data(self) -> tuple[Any, Array]:
        """Return X (rows, d) and the targets."""


@dataclass(frozen=True, kw_only=True)
class LinearCase(Case):
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
class NetworkCase(Case):
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
class SparseCase(Case):
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
        columns = [np.sort(rng.choice(self.features, self.nonzeros, False, shuffle=False)) for _ in range(self.rows)]
        indices = np.concatenate(columns).astype(np.int32)
        indptr = np.arange(0, indices.size + 1, self.nonzeros, dtype=np.int32)
        values = normal(rng, (indices.size,), self.dtype)
        X = sparse.csr_array((values, indices, indptr), shape=(self.rows, self.features))
        score = X @ rng.normal(size=self.features) / self.nonzeros**0.5
        return X, (rng.random(self.rows) < 1 / (1 + np.exp(-2 * score))).astype(self.dtype)


def zero(model: fastgd.MLP) -> fastgd.MLP:
    model.params[:] = 0
    return model


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


def in_order(dtype: str, size: int, features: int) -> LinearCase:
    """Return a case with an X of ``size`` bytes: passes of at least 0.5 ms, calls of about 40 ms of compiled work."""
    rows = size // (features * np.dtype(dtype).itemsize)
    seconds = rows * (10 + 0.2 * features) * 1e-9
    repeats = max(1, round(5e-4 / seconds))
    passes = max(1, round(0.04 / (repeats * seconds)))
    return LinearCase(group=IN_ORDER, dtype=dtype, features=features, rows=rows, repeats=repeats, passes=passes)


DTYPES = ("float64", "float32")

CASES: list[Case] = [
    *(
        in_order(dtype, size, features)
        for dtype in DTYPES
        for size in (256 << 10, 4 << 20)
        for features in (4, 16, 64, 256, 1024)
    ),
    LinearCase(group=ONE_A_CALL, dtype="float64", features=8, rows=200),
    NetworkCase(group=NETWORKS, dtype="float32", sizes=(4, 8, 2), rows=10_000),
    NetworkCase(group=NETWORKS, dtype="float32", sizes=(784, 128, 10), rows=1_000),
    *(
        SparseCase(group=SPARSE, dtype=dtype, features=features, nonzeros=nonzeros, rows=20_000, passes=5)
        for dtype in DTYPES
        for features, nonzeros in ((10_000, 50), (2**20, 80))
    ),
    *(
        AdaptiveCase(
            group=ADAPTIVE, optimizer=optimizer, dtype=dtype, features=features, rows=2**18 // features, repeats=8
        )
        for optimizer in ("adam", "adagrad")
        for dtype in DTYPES
        for features in (64, 1024)
    ),
]
