"""Sparse rows: CSR as a pass reads it, made from anything in scipy.sparse, and every check on its indices.

The object that was given is never changed. Its arrays are read in place if they can be; index arrays that would make
a pass read or write other memory are refused.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd.arrays import converted, ready

Array = npt.NDArray[Any]

WIDTHS = (np.dtype(np.int32), np.dtype(np.int64))
CHUNK = 2**16  # indices that are checked together, while they are in the cache


@dataclass(frozen=True, eq=False)
class CSR:
    """A matrix of which each row's non-zeros are stored, in rising columns.

    Row i has ``values[indptr[i]:indptr[i + 1]]`` in the columns ``indices[indptr[i]:indptr[i + 1]]``; ``indptr`` is
    int32 or int64.
    """

    values: Array
    indices: Array
    indptr: Array
    shape: tuple[int, int]

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the values."""
        return self.values.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Array) -> CSR:
        """Return the rows of a slice, which share values and indices with these, or copies of the rows of an array."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return CSR(self.values, self.indices, self.indptr[start : stop + 1], (stop - start, self.shape[1]))
        chosen, indptr = places(self.indptr, rows)
        return CSR(self.values[chosen], self.indices[chosen], indptr, (len(rows), self.shape[1]))

    def ready(self, dtype: np.dtype[Any]) -> bool:
        """Tell whether a pass can read the arrays in place."""
        width = self.indices.dtype
        return all(map(ready, (self.values, self.indices, self.indptr), (dtype, width, width)))

    def converted(self, dtype: np.dtype[Any]) -> CSR:
        """Return the rows as a pass can read them, of which nothing is copied that is ready."""
        if self.ready(dtype):
            return self
        width = self.indices.dtype if self.indices.dtype == self.indptr.dtype in WIDTHS else np.dtype(np.int64)
        first, last = int(self.indptr[0]), int(self.indptr[-1])
        values, indices = converted(self.values[first:last], dtype), converted(self.indices[first:last], width)
        return CSR(values, indices, converted(self.indptr - first, width), self.shape)


def places(indptr: Array, rows: Array) -> tuple[Array, Array]:
    """Return where the values of the rows stand, one row behind the other, and where each row begins in that."""
    starts = indptr[rows].astype(np.int64)
    ends = np.cumsum(indptr[rows + 1] - starts)
    begins = np.concatenate(([0], ends))
    return np.arange(begins[-1]) + np.repeat(starts - begins[:-1], np.diff(begins)), begins


def from_scipy(name: str, value: Any, shape: tuple[int, int]) -> CSR:
    """Return a sparse array or matrix as CSR of that shape, or refuse it; one pass over its indices if it is CSR.

    Indices that are not sorted or that repeat are sorted and summed as scipy does it, on a copy.
    """
    given = _as_csr(name, value)
    matrix = _checked_pointers(name, given, shape)
    if not _rising(name, matrix):
        arrays = (matrix.values, matrix.indices, matrix.indptr)
        copied = type(given)(tuple(np.array(array, array.dtype.newbyteorder("=")) for array in arrays), shape=shape)
        copied.sum_duplicates()
        matrix = _checked_pointers(name, copied, shape)
    width = matrix.indices.dtype
    if width in WIDTHS and matrix.indptr[-1] <= np.iinfo(width).max:
        return CSR(matrix.values, matrix.indices, converted(matrix.indptr, width), shape)
    return matrix


def _as_csr(name: str, value: Any) -> Any:
    # compiled code of scipy's converts other formats, and trusts their indices
    if getattr(value, "format", "") == "csr":
        return value
    if hasattr(value, "check_format"):
        try:
            copy.copy(value).check_format()  # a copy without its arrays, since the check may assign others
        except ValueError as error:
            raise ValueError(f"{name} is no valid {type(value).__name__}: {error}") from None
    return (value.reshape((1, -1)) if len(value.shape) == 1 else value).tocsr()


def _checked_pointers(name: str, given: Any, shape: tuple[int, int]) -> CSR:
    # the arrays of a scipy CSR, of which indptr is known to lead to rows within the other two
    values, indices, indptr = map(np.asarray, (given.data, given.indices, given.indptr))
    for part, array in (("data", values), ("indices", indices), ("indptr", indptr)):
        if array.ndim != 1:
            raise ValueError(f"{name}.{part} has shape {array.shape}; allowed is one dimension")
        if part != "data" and array.dtype.kind not in "iu":
            raise TypeError(f"{name}.{part} must hold integers, not values of dtype {array.dtype}")
    if len(indptr) != shape[0] + 1:
        raise ValueError(f"{name}.indptr has {len(indptr)} numbers; {shape[0]} rows take {shape[0] + 1}")
    if len(values) != len(indices):
        raise ValueError(
            f"{name}.data has {len(values)} numbers and {name}.indices {len(indices)}; allowed are as many"
        )
    if indptr[0] != 0:
        raise ValueError(f"{name}.indptr begins with {indptr[0]}; it must begin with 0")
    falls = indptr[1:] < indptr[:-1]
    if falls.any():
        row = int(falls.argmax())
        raise ValueError(f"{name}.indptr goes from {indptr[row]} to {indptr[row + 1]} in row {row}; it must not fall")
    stored = int(indptr[-1])
    if stored > len(values):
        raise ValueError(f"{name}.indptr ends with {stored}; {name}.data and {name}.indices have {len(values)} numbers")
    indptr = converted(indptr, indptr.dtype if indptr.dtype in WIDTHS else np.dtype(np.int64))
    return CSR(values[:stored], indices[:stored], indptr, shape)


def _rising(name: str, matrix: CSR) -> bool:
    # whether the columns of every row rise; refuses those outside the matrix
    indices, indptr, columns, rising = matrix.indices, matrix.indptr, matrix.shape[1], True
    for start in range(0, len(indices), CHUNK):
        first = max(start - 1, 0)  # with the last of the chunk before, to compare across the cut
        chunk = indices[first : start + CHUNK]
        if chunk.min() < 0 or chunk.max() >= columns:
            place = first + int(((chunk < 0) | (chunk >= columns)).argmax())
            row = int(np.searchsorted(indptr, place, "right")) - 1
            raise ValueError(
                f"{name}.indices has {indices[place]} in row {row}; allowed are the columns 0 to {columns - 1}"
            )
        if rising:
            rises = chunk[1:] > chunk[:-1]
            begin, end = np.searchsorted(indptr, np.array([first + 1, first + len(chunk)], indptr.dtype))
            rises[indptr[begin:end] - (first + 1)] = True  # a row begins anew
            rising = bool(rises.all())
    return rising
