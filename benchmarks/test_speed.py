"""Every library's turn at every case, round by round, so that a slow minute of the machine hits them all alike."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
import pytest

from benchmarks.adapters import Adapter
from benchmarks.cases import CASES, Array, Case
from benchmarks.groups import adapters

ROUNDS = 9
ROUND_SECONDS = 0.06
#: largest difference of the weights after one call, relative to the largest weight, that rounding explains
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}


@cache
def prepared(case: Case, library: str) -> tuple[Adapter, Array, int]:
    """Return a warm adapter, the weights after its first call, and how many calls make a round."""
    adapter = adapters(case)[library](case)
    adapter()
    weights = adapter.weights()
    start = time.perf_counter()
    adapter()
    return adapter, weights, max(1, round(ROUND_SECONDS / (time.perf_counter() - start)))


@pytest.mark.parametrize(
    ("case", "library"),
    [pytest.param(case, library, id=f"{case.id}-{library}") for case in CASES for library in adapters(case)],
)
@pytest.mark.parametrize("turn", range(ROUNDS))  # the decorator nearest to the function is the outermost loop
def test_speed(benchmark: Any, timings: Any, case: Case, library: str, turn: int) -> None:
    adapter, weights, calls = prepared(case, library)
    expected = prepared(case, "fastgd")[1]
    assert np.abs(weights - expected).max() < TOLERANCE[case.dtype] * np.abs(expected).max(), "not the same work"
    benchmark.pedantic(adapter, rounds=1, iterations=calls)
    if benchmark.enabled:
        timings[case, library].append(benchmark.stats.stats.mean / case.samples)
