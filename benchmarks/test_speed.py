"""Every library's turn at every case, round by round, so that a slow minute of the machine hits them all alike."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
import pytest

from benchmarks.adapters import Adapter
from benchmarks.cases import Case
from benchmarks.drawn import Array
from benchmarks.groups import adapters
from benchmarks.points import CASES

ROUND_SECONDS = 0.06


@cache
def prepared(case: Case, library: str) -> tuple[Adapter, Array | None, int]:
    """Return a warm adapter, the weights after its first call, and how many calls make a round."""
    adapter = adapters(case)[library](case)
    adapter()
    weights = adapter.weights()
    start = time.perf_counter()
    adapter()
    return adapter, weights, max(1, round(ROUND_SECONDS / (time.perf_counter() - start)))


@pytest.mark.parametrize(
    ("turn", "case", "library"),
    [
        pytest.param(turn, case, library, id=f"{turn}-{case.id}-{library}")
        for turn in range(max(case.rounds for case in CASES))
        for case in CASES
        for library in adapters(case)
        if turn < case.rounds
    ],
)
def test_speed(benchmark: Any, timings: Any, turn: int, case: Case, library: str) -> None:
    adapter, weights, calls = prepared(case, library)
    if weights is not None and (expected := prepared(case, "fastgd")[1]) is not None:
        assert np.abs(weights - expected).max() <= case.tolerance * np.abs(expected).max(), "not the same work"
    if library == next(iter(adapters(case))):
        adapter()  # nobody has read X for minutes, and the first one to do so would pay: up to 20 ms for 256 MB
    benchmark.pedantic(adapter, rounds=1, iterations=calls)
    if benchmark.enabled:
        timings[case, library].append(benchmark.stats.stats.mean / case.samples)
