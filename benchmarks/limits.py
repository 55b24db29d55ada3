"""What no library can beat: reading X once from where it lies, and multiplying and adding at the machine's peak."""

# ruff: noqa: D102 - Adapter describes the face of them all

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from benchmarks.cases import PeakCase, TrainerCase
from benchmarks.drawn import Array


@numba.njit(fastmath=True)
def add_up(numbers: Array, visits: int) -> Any:
    total = numbers[0]
    for _ in range(visits):
        for i in range(len(numbers)):
            total += numbers[i]
    return total


class Reading:
    """The sum of what X holds, in order, as often as its rows are visited."""

    def __init__(self, case: TrainerCase) -> None:
        X, _ = case.data()
        arrays = [X] if isinstance(X, np.ndarray) else [X.data, X.indices]
        self.arrays, self.visits = [array.reshape(-1) for array in arrays], case.visits

    def __call__(self) -> Any:
        return [add_up(array, self.visits) for array in self.arrays]

    def weights(self) -> None:
        return None


class Product:
    """A matrix product."""

    def __init__(self, case: PeakCase) -> None:
        self.factors = case.data()
        self.product = np.empty_like(self.factors[0])

    def __call__(self) -> None:
        np.matmul(*self.factors, out=self.product)

    def weights(self) -> None:
        return None
