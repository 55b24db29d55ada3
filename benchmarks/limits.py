"""What times are held against: reading X once from where it lies, and multiplying and adding at the peak."""

# ruff: noqa: D102 - Adapter describes the face of them all

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from benchmarks.cases import PeakCase, TrainerCase
from benchmarks.drawn import Array
from benchmarks.estimator_cases import FitCase
from benchmarks.estimators import OurFit

ROWS_AHEAD = 36  # that are asked for, of those in random order: more on their way bring nothing


@intrinsic
def ask_for(_: Any, array: Any, index: Any) -> Any:
    """Ask for ``array[index]`` into the second level of cache."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = context.make_array(signature.args[0])(context, builder, arguments[0])
        at = builder.bitcast(builder.gep(numbers.data, [arguments[1]]), cgutils.voidptr_t)
        integer = cgutils.int32_t
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, integer, integer, integer])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(prefetch, [at, integer(0), integer(2), integer(1)])  # to read; level; data
        return context.get_dummy_value()

    return numba.types.void(array, numba.types.intp), generate


@numba.njit(fastmath=True)
def add_up(numbers: Array, visits: int) -> Any:
    total = numbers[0]
    for _ in range(visits):
        for i in range(len(numbers)):
            total += numbers[i]
    return total


@numba.njit(fastmath=True)
def add_rows(X: Array, numbers: Array, order: Array, ahead: int, visits: int) -> Any:
    # `numbers` are those of X; rows to come are asked for
    total = numbers[0]
    width, line = X.shape[1], 64 // X.itemsize
    for _ in range(visits):
        for place in range(len(order)):
            later = order[min(place + ahead, len(order) - 1)] * width
            for i in range(later, later + width, line):
                ask_for(numbers, i)
            row = X[order[place]]
            for i in range(width):
                total += row[i]
    return total


def rows_in_order(X: Array, order: Array) -> tuple[Any, tuple[Any, ...]]:
    """Return the loop that reads the rows in that order, and what it is called with before the number of visits."""
    return add_rows, (X, X.reshape(-1), order, ROWS_AHEAD)


class Reading:
    """The sum of the numbers of all rows, in the order and as often as they are visited."""

    def __init__(self, case: TrainerCase) -> None:
        X, _ = case.data()
        self.visits = case.visits
        if case.order is None:
            arrays = [X] if isinstance(X, np.ndarray) else [X.data, X.indices]
            self.parts = [(add_up, (array.reshape(-1),)) for array in arrays]
        else:
            self.parts = [rows_in_order(X, case.order)]

    def __call__(self) -> Any:
        return [add(*arguments, self.visits) for add, arguments in self.parts]

    def weights(self) -> None:
        return None


class FitReading(Reading):
    """The same in random order, in as many epochs as a fit takes."""

    def __init__(self, case: FitCase) -> None:
        fit = OurFit(case)
        fit()
        self.visits = int(fit.model.n_iter_) * case.fits
        self.parts = [rows_in_order(case.data()[0], np.random.default_rng(0).permutation(case.rows))]


class Product:
    """A matrix product."""

    def __init__(self, case: PeakCase) -> None:
        self.factors = case.data()
        self.product = np.empty_like(self.factors[0])

    def __call__(self) -> None:
        np.matmul(*self.factors, out=self.product)

    def weights(self) -> None:
        return None
