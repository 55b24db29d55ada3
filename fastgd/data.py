"""The door: every check on X, targets and sample weights, and the slices of them that a pass can read.

An X that is C-contiguous and of the model's dtype is read in place, read-only and memory-mapped arrays included, and
so are the three arrays of a CSR matrix. Any other (strided, Fortran-ordered, of another dtype or byte order, integers)
is converted slice by slice, never whole. Targets and weights are small and are converted once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd.arrays import check_kind, converted, is_sparse, numbers, ready
from fastgd.losses import Loss
from fastgd.sparse import CSR, from_scipy, places
from fastgd.targets import targets

__all__ = ["CSR", "Rows", "Slice", "check_rows", "is_sparse", "numbers", "rows_matrix", "samples", "targets"]

Array = npt.NDArray[Any]

LARGEST_ROWS = 1024  # among which the largest number is looked for at once


def rows_matrix(name: str, value: Any, columns: int) -> Array | CSR:
    """Return the value as an array of real numbers (n, columns) with n ≥ 1, or as CSR if it is one of scipy.sparse.

    A sparse array of one dimension is a row.
    """
    sparse = is_sparse(value)
    if sparse:
        check_kind(name, value.dtype)
        shape = (1, *value.shape) if len(value.shape) == 1 else value.shape
    else:
        value = numbers(name, value)
        shape = value.shape
    if len(shape) != 2 or shape[1] != columns:
        hint = f"; use {name}.reshape(-1, 1)" if len(shape) == 1 and columns == 1 else ""
        raise ValueError(f"{name} has shape {shape}; the model takes (n, {columns}){hint}")
    if shape[0] == 0:
        raise ValueError(f"{name} has no rows")
    return from_scipy(name, value, shape) if sparse else value


def sample_weights(value: npt.ArrayLike | None, rows: int, dtype: np.dtype[Any]) -> Array | None:
    """Return the weights as (rows,) in the dtype, or None, or refuse them."""
    if value is None:
        return None
    array = numbers("sample_weight", value)
    if array.shape != (rows,):
        raise ValueError(f"sample_weight has shape {array.shape}; allowed is ({rows},)")
    array = converted(array, dtype)
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if bad.size:
        given = np.asarray(value)[bad[0]]
        raise ValueError(f"sample_weight has {given} in row {bad[0]}; weights must be finite and not negative")
    if not array.any():
        raise ValueError("sample_weight has no weight above zero")
    return array


@dataclass
class Slice:
    """What one call of a pass reads: places ``start`` to ``stop`` of ``order`` in X, T and weights.

    X is dense (n, d), or the values of CSR rows with their ``indices`` and ``indptr``; ``squares`` are the rows' ‖x‖².
    """

    X: Array
    T: Array
    weights: Array | None
    order: Array | None
    start: int
    stop: int
    indices: Array | None = None
    indptr: Array | None = None
    squares: Array | None = None

    def visits(self) -> int:
        """Return how many of the rows have a weight above zero."""
        if self.weights is None:
            return self.stop - self.start
        chosen = slice(self.start, self.stop) if self.order is None else self.order[self.start : self.stop]
        return int(np.count_nonzero(self.weights[chosen]))

    def largest(self) -> float:
        """Return the largest |x| among the rows that are visited."""
        visited = (np.arange(len(self.T)) if self.order is None else self.order)[self.start : self.stop]
        largest = 0.0
        for first in range(0, len(visited), LARGEST_ROWS):
            rows = visited[first : first + LARGEST_ROWS]
            chunk = self.X[rows if self.indptr is None else places(self.indptr, rows)[0]]
            largest = max(largest, float(np.nanmax(np.abs(chunk), initial=0)))
        return largest


@dataclass
class Rows:
    """Checked rows: X (n, d) as it was given, T (n, K) or (n, 1) and weights (n,) ready for a pass.

    ``squares`` (n,) are the rows' ‖x‖², once a pass has asked for them. ``in_hand`` is the pass that reads the rows in
    place, and the engine and the method that it is of, once there is one.
    """

    X: Array | CSR
    T: Array
    weights: Array | None
    dtype: np.dtype[Any]
    vector_target: bool = False
    signed_labels: bool = False
    name: str = "X"
    squares: Array | None = field(default=None, init=False)
    in_hand: tuple[Any, Any, Callable[..., int] | None] = field(default=(None, None, None), init=False)

    @cached_property
    def in_place(self) -> bool:
        """Whether a pass reads X itself; otherwise each slice is converted."""
        return self.X.ready(self.dtype) if isinstance(self.X, CSR) else ready(self.X, self.dtype)

    def keep_squares(self, squares: Array) -> None:
        """Keep the rows' ‖x‖² (n,), each beside its target: a row in random order waits for one cache line less."""
        kind = np.dtype([("t", self.T.dtype, self.T.shape[1:]), ("square", np.float64)], align=True)
        beside = np.empty(len(self), kind)
        beside["t"], beside["square"] = self.T, squares
        self.T, self.squares = beside["t"], beside["square"]

    @property
    def mean_nonzeros(self) -> float | None:
        """The stored values of a row of CSR, on average; None for dense rows."""
        return float(self.X.indptr[-1]) / len(self) if isinstance(self.X, CSR) else None

    @cached_property
    def mean_values(self) -> float:
        """The numbers that a row has, on average: one in each column, or those that CSR stores."""
        return float(self.X.shape[1]) if self.mean_nonzeros is None else self.mean_nonzeros

    @property
    def row_bytes(self) -> int:
        """The bytes of a row that is converted."""
        if isinstance(self.X, CSR):
            return int(self.mean_values * (self.dtype.itemsize + 8)) + 8
        return int(self.X.shape[1]) * self.dtype.itemsize

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def slice(self, order: Array | None, start: int, stop: int) -> Slice:
        """Return what a pass over places ``start`` to ``stop`` of the order reads, converted if it must be."""
        if self.in_place:
            x, indices, indptr = self._whole
            return Slice(x, self.T, self.weights, order, start, stop, indices, indptr, self.squares)
        return self.part(start, stop) if order is None else self._of(order[start:stop], stop - start)

    def part(self, start: int, stop: int) -> Slice:
        """Return the rows from ``start`` to ``stop`` by themselves, in place or converted."""
        return self._of(slice(start, stop), stop - start)

    @cached_property
    def _whole(self) -> tuple[Array, Array | None, Array | None]:
        return self._ready(self.X)

    def _of(self, chosen: Any, rows: int) -> Slice:
        x, indices, indptr = self._ready(self.X[chosen])
        weights = None if self.weights is None else self.weights[chosen]
        squares = None if self.squares is None else self.squares[chosen]
        return Slice(x, self.T[chosen], weights, None, 0, rows, indices, indptr, squares)

    def _ready(self, X: Array | CSR) -> tuple[Array, Array | None, Array | None]:
        if not isinstance(X, CSR):
            return converted(X, self.dtype), None, None
        X = X.converted(self.dtype)
        # a pass tells sparse rows by their indices, which must stand somewhere even if there are none
        indices = X.indices if X.indices.size else np.zeros(1, X.indices.dtype)
        return X.values, indices, X.indptr

    def refuse_row(self, row: int) -> None:
        """Raise the error that names the first number in the row that is not finite, if there is one."""
        if isinstance(self.X, CSR):
            stored = slice(int(self.X.indptr[row]), int(self.X.indptr[row + 1]))
            values, columns = self.X.values[stored], self.X.indices[stored]
        else:
            values, columns = self.X[row], np.arange(self.X.shape[1])
        with np.errstate(over="ignore"):
            bad = np.flatnonzero(~np.isfinite(values.astype(self.dtype)))
        if bad.size:
            raise ValueError(
                f"{self.name} has {values[bad[0]]} in row {row}, column {columns[bad[0]]}; "
                f"its numbers must be finite in {self.dtype}"
            )


def check_rows(
    X: Any,
    t: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    loss: Loss,
    names: tuple[str, str] = ("X", "t"),
) -> Rows:
    """Check X, targets and weights for a model of ``shape`` (features, outputs); nothing is changed by a refusal.

    A number in X that is not finite is left to the pass that reads it: looking for it here would read X twice.
    """
    checked = rows_matrix(names[0], X, shape[0])
    rows, given = len(checked), numbers(names[1], t)
    T, signed = targets(names[1], given, rows, shape[1], loss, dtype)
    vector = given.ndim == 1 and shape[1] == 1
    return Rows(checked, T, sample_weights(sample_weight, rows, dtype), dtype, vector, signed, names[0])


def samples(name: str, X: Any, columns: int, dtype: np.dtype[Any]) -> tuple[Rows, bool]:
    """Return rows without targets, and whether X is a single sample (columns,)."""
    given = X if is_sparse(X) else numbers(name, X)
    single = given.ndim == 1
    if single and given.shape == (columns,) and not is_sparse(X):
        given = given.reshape(1, -1)
    checked = rows_matrix(name, given, columns)
    return Rows(checked, np.empty((len(checked), 0), dtype), None, dtype, name=name), single
