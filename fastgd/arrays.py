"""Arrays of real numbers, and whether a pass can read them in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

CACHE_LINE = 64


def aligned(size: int, dtype: np.dtype[Any]) -> Array:
    """Return zeros (size,) that start on a cache line, so that a wide load straddles two lines as seldom as can be."""
    memory = np.zeros(size * dtype.itemsize + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size * dtype.itemsize].view(dtype)


def check_kind(name: str, dtype: np.dtype[Any]) -> None:
    """Refuse a dtype that is not one of real numbers of up to 64 bits."""
    if dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, not values of dtype {dtype}")
    if dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {dtype}; allowed are integers, booleans and floats of up to 64 bits")


def is_sparse(value: Any) -> bool:
    """Tell whether the value is one of scipy.sparse, which is not imported for it."""
    return hasattr(value, "tocsr")


def numbers(name: str, value: npt.ArrayLike) -> Array:
    """Return the value as an array of real numbers, without a copy where it is one."""
    if is_sparse(value):
        raise TypeError(f"{name} must be a dense array, not a sparse {type(value).__name__}")
    array = np.asarray(value)
    check_kind(name, array.dtype)
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
