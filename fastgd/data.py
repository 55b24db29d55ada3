"""The door: every check on X, targets and sample weights, and the slices of them that a pass can read.

An X that is C-contiguous and of the model's dtype is read in place, read-only and memory-mapped arrays included. Any
other (strided, Fortran-ordered, of another dtype or byte order, integers) is converted slice by slice, never whole.
Targets and weights are small and are converted once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd.losses import Loss

Array = npt.NDArray[Any]


def numbers(name: str, value: npt.ArrayLike) -> Array:
    """Return the value as an array of real numbers, without a copy where it is one."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, not values of dtype {array.dtype}")
    if array.dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {array.dtype}; allowed are integers, booleans and floats of up to 64 bits")
    return array


def matrix(name: str, value: npt.ArrayLike, columns: int) -> Array:
    """Return the value as an array of shape (n, columns) with n ≥ 1."""
    array = numbers(name, value)
    if array.ndim != 2 or array.shape[1] != columns:
        hint = f"; use {name}.reshape(-1, 1)" if array.ndim == 1 and columns == 1 else ""
        raise ValueError(f"{name} has shape {array.shape}; the model takes (n, {columns}){hint}")
    if array.shape[0] == 0:
        raise ValueError(f"{name} has no rows")
    return array


def ready(array: Array, dtype: np.dtype[Any]) -> bool:
    """Tell whether a pass can read the array in place."""
    return array.dtype == dtype and array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned


def converted(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return the array as a pass can read it; a number too large for the dtype becomes inf, which the pass finds."""
    if ready(array, dtype):
        return array
    with np.errstate(over="ignore"):
        return np.require(array, dtype, ["C", "A"])


def targets(
    name: str, value: npt.ArrayLike, rows: int, outputs: int, loss: Loss, dtype: np.dtype[Any]
) -> tuple[Array, bool]:
    """Return the targets as (rows, outputs) in the dtype, and whether they were −1 and +1; or refuse them.

    Binary targets become probabilities: −1 becomes 0.
    """
    array = numbers(name, value)
    allowed = f"({rows}, {outputs})" + (f" or ({rows},)" if outputs == 1 else "")
    if array.shape != (rows, outputs) and not (outputs == 1 and array.shape == (rows,)):
        raise ValueError(f"{name} has shape {array.shape}; allowed is {allowed}")
    array = converted(array, dtype).reshape(rows, outputs)
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        row, column = np.argwhere(~np.isfinite(array))[0]
        given = np.asarray(value).reshape(rows, outputs)[row, column]
        raise ValueError(f"{name} has {given} in row {row}; targets must be finite in {dtype}")
    signed = loss.targets == "binary" and (low < 0 or high > 1)
    if signed:
        neither = np.abs(array) != 1
        wrong = np.argwhere(neither & ((array < 0) | (array > 1)))
        wrong = wrong if wrong.size else np.argwhere(neither)
        if wrong.size:
            raise ValueError(
                f"{name} has {array[tuple(wrong[0])]:g} in row {wrong[0][0]}, beside values from {low:g} to {high:g}; "
                f"loss {loss.name!r} takes 0 and 1, or -1 and +1, or probabilities in [0, 1]"
            )
        array = (array + 1) / 2
    return array, bool(signed)


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
    """What one call of a pass reads: places ``start`` to ``stop`` of ``order`` in X, T and weights."""

    X: Array
    T: Array
    weights: Array | None
    order: Array | None
    start: int
    stop: int


@dataclass
class Rows:
    """Checked rows: X (n, d) as it was given, T (n, K) and weights (n,) ready for a pass."""

    X: Array
    T: Array
    weights: Array | None
    dtype: np.dtype[Any]
    vector_target: bool = False
    signed_labels: bool = False
    name: str = "X"

    @property
    def in_place(self) -> bool:
        """Whether a pass reads X itself; otherwise each slice is converted."""
        return ready(self.X, self.dtype)

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def slice(self, order: Array | None, start: int, stop: int) -> Slice:
        """Return what a pass over places ``start`` to ``stop`` of the order reads, converted if it must be."""
        if self.in_place:
            return Slice(self.X, self.T, self.weights, order, start, stop)
        chosen = slice(start, stop) if order is None else order[start:stop]
        weights = None if self.weights is None else np.ascontiguousarray(self.weights[chosen])
        return Slice(
            converted(self.X[chosen], self.dtype), np.ascontiguousarray(self.T[chosen]), weights, None, 0, stop - start
        )

    def refuse_row(self, row: int) -> None:
        """Raise the error that names the first number in the row that is not finite, if there is one."""
        with np.errstate(over="ignore"):
            bad = np.flatnonzero(~np.isfinite(self.X[row].astype(self.dtype)))
        if bad.size:
            raise ValueError(
                f"{self.name} has {self.X[row, bad[0]]} in row {row}, column {bad[0]}; "
                f"its numbers must be finite in {self.dtype}"
            )


def check_rows(
    X: npt.ArrayLike,
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
    checked = matrix(names[0], X, shape[0])
    rows = checked.shape[0]
    T, signed = targets(names[1], t, rows, shape[1], loss, dtype)
    return Rows(checked, T, sample_weights(sample_weight, rows, dtype), dtype, np.ndim(t) == 1, signed, names[0])
