"""What a fit is given, checked as scikit-learn checks it but for one thing: X is read once, not twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data

from fastgd import data, engine

Array = npt.NDArray[Any]


@dataclass
class Given:
    """X (n, d) and y as they were checked, the weights of rows as they came, and ‖x‖² (n,) of dense rows."""

    X: Any
    y: Any = None
    sample_weight: Any = None
    squares: Array | None = None


def checked(
    estimator: Any, X: Any, y: Any = "no_validation", sample_weight: Any = None, *, reset: bool, **options: Any
) -> Given:
    """Return the rows in float64 or float32, C-contiguous or CSR, or refuse them in scikit-learn's words.

    That the norms of rows are finite tells that X is; only where they are not are its numbers looked at.
    """
    found = validate_data(
        estimator, X, y, accept_sparse="csr", dtype=[np.float64, np.float32], order="C", reset=reset,
        ensure_all_finite=False, **options,
    )  # fmt: skip
    X, y = (found, None) if isinstance(y, str) else found
    squares = None if issparse(X) else engine.square_norms(data.Rows(X, X[:, :0], None, X.dtype))
    if squares is None or not np.isfinite(squares.sum()):
        assert_all_finite(X, estimator_name=type(estimator).__name__, input_name="X")
    return Given(X, y, sample_weight, squares)
