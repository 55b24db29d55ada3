"""How the cost of a sample grows with the number of rows, of features and of non-zeros.

``python -m benchmarks.growth`` prints the figures and draws them into ``docs/growth.png``.
"""

# ruff: noqa: D102 - Case describes the face of them all

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.adapters import FastgdPass
from benchmarks.cases import LinearCase, SparseCase, TrainerCase
from benchmarks.drawn import Array, linear_rows
from benchmarks.points import DTYPES, seconds

ROUNDS = 15
FEATURES = 16
MOST_ROWS = 10**7
PICTURE = Path(__file__).parents[1] / "docs" / "growth.png"
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True, kw_only=True)
class FirstRows(LinearCase):
    """The first of ``MOST_ROWS`` rows."""

    def data(self) -> tuple[Array, Array]:
        X, t = linear_rows(MOST_ROWS, self.features, self.dtype)
        return X[: self.rows], t[: self.rows]


def nanoseconds(cases: Sequence[TrainerCase]) -> list[float]:
    """Return the medians of rounds in turns, per sample, each after a call that is not timed.

    That which comes after millions of rows would pay for them: of 2 ms half a millisecond.
    """
    passes = [FastgdPass(case) for case in cases]
    rounds: list[list[float]] = [[] for _ in cases]
    for _ in range(ROUNDS):
        for case, run, taken in zip(cases, passes, rounds, strict=True):
            run()
            start = time.perf_counter()
            run()
            taken.append((time.perf_counter() - start) / case.samples)
    return [1e9 * statistics.median(taken) for taken in rounds]


def long_enough(rows: int, numbers: int) -> dict[str, int]:
    """Return how often rows of so many numbers are visited: for at least 2 ms."""
    return {"rows": rows, "visits": ceil(2e-3 / seconds(rows, 4 * numbers))}


def caches() -> dict[str, int]:
    """Return the bytes of each level of data cache, as Linux tells them."""
    found = {}
    for index in sorted(CACHES.glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = int(size[:-1]) << {"K": 10, "M": 20}[size[-1]]
    return found


def by_rows(axes: Any) -> None:
    counts = [int(m * 10**k) for k in range(3, 7) for m in (1, 2, 5)] + [MOST_ROWS]
    levels = caches()
    for dtype in DTYPES:
        cases = [FirstRows(group="", dtype=dtype, features=FEATURES, **long_enough(rows, FEATURES)) for rows in counts]
        found = nanoseconds(cases)
        axes.plot(counts, found, "o-", label=dtype)
        row = FEATURES * np.dtype(dtype).itemsize
        for name, size in levels.items():
            axes.axvline(size / row, color="0.8", zorder=0)
            axes.text(size / row, 0, f" {name}\n {dtype[-2:]}", color="0.5", fontsize=7)
        edges = [0, *(size / row for size in levels.values()), np.inf]
        for name, low, high in zip([*levels, "memory"], edges, edges[1:], strict=False):
            inside = [cost for rows, cost in zip(counts, found, strict=True) if low < rows <= high]
            if inside:
                print(f"d = {FEATURES}, {dtype}, {name}: {min(inside):.1f} to {max(inside):.1f} ns a sample")
    axes.set(xscale="log", xlabel=f"rows of {FEATURES} features", ylabel="ns a sample", title="rows", ylim=(0, None))
    axes.legend()


def by_size(axes: Any, title: str, sizes: Sequence[int], cases: dict[str, list[TrainerCase]]) -> None:
    for dtype, chosen in cases.items():
        found = nanoseconds(chosen)
        axes.plot(sizes, found, "o-", label=dtype)
        slope = np.polyfit(sizes, found, 1)[0]
        print(f"{title}, {dtype}: {', '.join(f'{n}: {cost:.1f}' for n, cost in zip(sizes, found, strict=True))} ns")
        print(f"    {slope:.3f} ns for each more, at the wide end {found[-1] / sizes[-1]:.3f} ns each")
    axes.set(xscale="log", yscale="log", xlabel=title, ylabel="ns a sample", title=title)
    axes.legend()


def main() -> None:
    figure, (rows, features, nonzeros) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    by_rows(rows)
    widths = [2**k for k in range(2, 13)]
    by_size(features, "features", widths, {
        dtype: [
            LinearCase(group="", dtype=dtype, features=d, **long_enough((4 << 20) // (d * np.dtype(dtype).itemsize), d))
            for d in widths
        ] for dtype in DTYPES
    })  # fmt: skip
    counts = [8, 16, 32, 64, 128, 256, 512, 1024]
    by_size(nonzeros, "non-zeros of 100,000 columns", counts, {
        dtype: [
            SparseCase(group="", dtype=dtype, features=100_000, nonzeros=n, **long_enough((1 << 19) // n, 5 * n))
            for n in counts
        ] for dtype in DTYPES
    })  # fmt: skip
    figure.savefig(PICTURE, dpi=90)


if __name__ == "__main__":
    main()
