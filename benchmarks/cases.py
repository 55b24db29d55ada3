"""The cases: which data, and how many samples an adapter visits in one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

IN_ORDER = "one output, in order"
ONE_A_CALL = "one sample a call"


@dataclass(frozen=True)
class Case:
    """Squared loss (y − t)² on ``rows`` rows, visited in order ``repeats · passes`` times in one call.

    The two factors are for libraries that need a Python call a pass: it then takes ``repeats`` visits to all rows.
    """

    group: str
    dtype: str
    features: int
    rows: int
    repeats: int = 1
    passes: int = 1

    @property
    def name(self) -> str:
        """What the tables call it."""
        kilobytes = self.rows * self.features * np.dtype(self.dtype).itemsize >> 10
        size = f", {kilobytes} kB" if self.group == IN_ORDER else ""
        return f"{self.dtype}{size}, d = {self.features}"

    @property
    def id(self) -> str:
        """What pytest calls it, without the characters that ``-k`` does not take."""
        return self.name.replace(", ", "-").replace(" = ", "").replace(" ", "")

    @property
    def lr(self) -> float:
        """The learning rate: one step is w ← w − lr · 2 (w · x + b − t) x."""
        return 0.1 / self.features

    @property
    def visits(self) -> int:
        """How often all rows are visited in one call."""
        return self.repeats * self.passes

    @property
    def samples(self) -> int:
        """How many samples are visited in one call."""
        return self.rows * self.visits

    def data(self) -> tuple[Array, Array]:
        """Return X (rows, features) and noisy targets (rows,)."""
        rng = np.random.default_rng(0)
        X = aligned((self.rows, self.features), self.dtype)
        X[:] = rng.normal(size=X.shape)
        t = X @ rng.normal(size=self.features) + rng.normal(size=self.rows)
        return X, t.astype(self.dtype)


def aligned(shape: tuple[int, ...], dtype: str) -> Array:
    """Return zeros that start on a cache line; otherwise the allocator's luck decides about 20 % of the speed."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def in_order(dtype: str, size: int, features: int) -> Case:
    """Return a case with an X of ``size`` bytes: passes of at least 0.5 ms, calls of about 40 ms of compiled work."""
    rows = size // (features * np.dtype(dtype).itemsize)
    seconds = rows * (10 + 0.2 * features) * 1e-9
    repeats = max(1, round(5e-4 / seconds))
    return Case(IN_ORDER, dtype, features, rows, repeats, passes=max(1, round(0.04 / (repeats * seconds))))


CASES = [
    in_order(dtype, size, features)
    for dtype in ("float64", "float32")
    for size in (256 << 10, 4 << 20)
    for features in (4, 16, 64, 256, 1024)
] + [Case(ONE_A_CALL, "float64", features=8, rows=200)]
