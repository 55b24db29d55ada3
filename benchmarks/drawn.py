"""Rows that are drawn at random, always the same."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from fastgd import arrays

Array = npt.NDArray[Any]


@cache
def linear_rows(rows: int, features: int, dtype: str) -> tuple[Array, Array]:
    """Return standard normal rows and the noisy scores of a random linear model; all libraries share them.

    The second half repeats the first with other noise: where rows are fewer than features no weights fit them all, so
    that all samples cost an update.
    """
    rng = np.random.default_rng(0)
    X = aligned((rows, features), dtype)
    rng.standard_normal(out=X, dtype=X.dtype)
    X[rows // 2 : rows // 2 * 2] = X[: rows // 2]
    return X, X @ rng.standard_normal(features, X.dtype) + rng.standard_normal(rows, X.dtype)


@cache
def standard_rows(rows: int, features: int, nonzeros: int, dtype: str) -> tuple[Any, Array]:
    """Return rows of squared norm 10, as that of ten standardized features, and the scores of a random linear model.

    With ``nonzeros`` they are in CSR. All cases of one shape share them.
    """
    rng = np.random.default_rng(0)
    if nonzeros:
        X = sparse_rows(rng, (rows, features), nonzeros, dtype)
        X.data *= (10 / nonzeros) ** 0.5
    else:
        X = rng.standard_normal((rows, features), dtype)
        X *= (10 / features) ** 0.5
    scores = X @ rng.normal(size=(features, 10)).astype(dtype) / 10**0.5
    return X, scores + rng.standard_normal(scores.shape, dtype)


def sparse_rows(rng: np.random.Generator, shape: tuple[int, int], nonzeros: int, dtype: str) -> sparse.csr_array:
    """Return standard normal numbers in CSR, in distinct columns in order."""
    rows, features = shape
    columns = [np.sort(rng.choice(features, nonzeros, False, shuffle=False)) for _ in range(rows)]
    indices = np.concatenate(columns).astype(np.int32)
    indptr = np.arange(0, indices.size + 1, nonzeros, dtype=np.int32)
    return sparse.csr_array((normal(rng, (indices.size,), dtype), indices, indptr), shape=shape)


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Return standard normal numbers that start on a cache line."""
    array = aligned(shape, dtype)
    array[...] = rng.normal(size=shape)
    return array


def aligned(shape: tuple[int, ...], dtype: str) -> Array:
    """Return zeros that start on a cache line; otherwise the allocator's luck decides about 20 % of the speed."""
    return arrays.aligned(int(np.prod(shape)), np.dtype(dtype)).reshape(shape)
