"""A zoo of sparse matrices that all hold the same numbers, each in a way that the door has to deal with."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

N, D = 50, 7


def make(index="int32", dtype="float64", seed=0):
    """A CSR matrix of small whole numbers, with empty rows among the others."""
    rng = np.random.default_rng(seed)
    stored = (rng.random((N, D)) < 0.4) & (rng.random((N, 1)) < 0.9)
    X = sp.csr_array(rng.integers(-9, 9, (N, D)) * stored).astype(dtype)
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    return X


def swapped_columns(X):
    """The same matrix with the columns of each row backwards."""
    X = X.copy()
    for start, stop in zip(X.indptr, X.indptr[1:]):
        X.indices[start:stop] = X.indices[start:stop][::-1].copy()
        X.data[start:stop] = X.data[start:stop][::-1].copy()
    return sp.csr_array((X.data, X.indices, X.indptr), shape=X.shape)


def doubled(X):
    """Each number stored as two that sum to it."""
    indptr = (2 * X.indptr).astype(X.indptr.dtype)
    values = np.stack([X.data - 1, np.ones_like(X.data)], axis=1).ravel()
    return sp.csr_array((values, np.repeat(X.indices, 2), indptr), shape=X.shape)


def with_arrays(X, change):
    """The same matrix with its arrays as they are after a change that scipy's constructors would undo."""
    changed = X.copy()
    changed.data, changed.indices, changed.indptr = map(change, (X.data, X.indices, X.indptr))
    return changed


def with_zeros(X):
    """The same matrix with every number stored."""
    return sp.csr_array((X.toarray().ravel(), np.tile(np.arange(D), N), np.arange(0, N * D + 1, D)), shape=X.shape)


def read_only(array):
    array.flags.writeable = False
    return array


def unsigned(array):
    return array if array.dtype.kind == "f" else array.astype("uint64")


def on_disk(X, tmp_path):
    arrays = []
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / f"{name}.npy", getattr(X, name))
        arrays.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    return sp.csr_array(tuple(arrays), shape=X.shape)


def longer(X):
    """The same matrix with room behind its numbers, and numbers in it that are none of the matrix's."""
    return with_arrays(X, lambda a: a if a is X.indptr else np.append(a, [10**6, -1]).astype(a.dtype))


ZOO = {
    **{kind: lambda X, _, kind=kind: X.asformat(kind) for kind in ("csr", "csc", "coo", "dia", "dok", "lil")},
    "bsr": lambda X, _: sp.bsr_array(X, blocksize=(5, 7)),
    "csr_matrix": lambda X, _: sp.csr_matrix(X),
    "csc_matrix": lambda X, _: sp.csc_matrix(X),
    "explicit zeros": lambda X, _: with_zeros(X),
    "read-only": lambda X, _: with_arrays(X, read_only),
    "memory-mapped": on_disk,
    "strided arrays": lambda X, _: with_arrays(X, lambda a: np.repeat(a, 2)[::2]),
    "big-endian": lambda X, _: with_arrays(X, lambda a: a.astype(a.dtype.newbyteorder(">"))),
    "unsigned indices": lambda X, _: with_arrays(X, unsigned),
    "short indices": lambda X, _: with_arrays(X, lambda a: a if a is X.data else a.astype("int16")),
    "room behind the numbers": lambda X, _: longer(X),
    "room behind the numbers of CSC": lambda X, _: longer(X.tocsc()),
    "two widths": lambda X, _: with_arrays(X, lambda a: a.astype("int64") if a is X.indptr else a),
    "two other widths": lambda X, _: with_arrays(X, lambda a: a.astype("int64") if a is X.indices else a),
    "unsorted": lambda X, _: swapped_columns(X),
    "duplicates": lambda X, _: doubled(X),
    "unsorted duplicates": lambda X, _: swapped_columns(doubled(X)),
    "unsorted big-endian": lambda X, _: with_arrays(swapped_columns(X), lambda a: a.astype(a.dtype.newbyteorder(">"))),
    "unsorted unsigned": lambda X, _: with_arrays(swapped_columns(X), unsigned),
    "float32": lambda X, _: X.astype("float32"),
    "float64": lambda X, _: X.astype("float64"),
    "int8": lambda X, _: X.astype("int8"),
    "int64": lambda X, _: X.astype("int64"),
}  # fmt: skip


def state(X):
    """All that a sparse object holds, as bytes."""
    return {
        key: value.tobytes() if isinstance(value, np.ndarray) else repr(value) for key, value in sorted(vars(X).items())
    }
