"""The points that are measured, a list of cases."""

from __future__ import annotations

import numpy as np

from benchmarks import cases
from benchmarks.cases import AdaptiveCase, Case, LinearCase, NetworkCase, OutputsCase, PeakCase, SparseCase
from benchmarks.estimator_cases import FitCase, RowCase, SmallFitCase

DTYPES = ("float64", "float32")


def seconds(rows: int, row_size: int) -> float:
    """Return the least that a pass over rows of so many bytes was seen to take."""
    return rows * (3.5 + 0.016 * row_size) * 1e-9


def in_order(loss: str, dtype: str, size: int, features: int) -> LinearCase:
    """Return a case with an X of ``size`` bytes, visited for about 40 ms a call."""
    row_size = features * np.dtype(dtype).itemsize
    rows = size // row_size
    visits = max(1, round(0.04 / seconds(rows, row_size)))
    return LinearCase(group=cases.IN_ORDER, loss=loss, dtype=dtype, features=features, rows=rows, visits=visits)


def rows_of_256_mb(dtype: str, features: int) -> int:
    return (256 << 20) // (features * np.dtype(dtype).itemsize)


def from_memory(dtype: str, features: int, *, shuffled: bool) -> LinearCase:
    rows = rows_of_256_mb(dtype, features)
    return LinearCase(group=cases.FROM_MEMORY, dtype=dtype, features=features, rows=rows, shuffled=shuffled)


CASES: list[Case] = [
    *(
        in_order(loss, dtype, size, features)
        for loss in ("mse", "log_loss")
        for dtype in DTYPES
        for size in (256 << 10, 4 << 20)
        for features in (4, 8, 16, 32, 64, 128, 256, 1024, 4096)
    ),
    *(
        from_memory(dtype, features, shuffled=shuffled)
        for shuffled in (False, True)
        for dtype in DTYPES
        for features in (16, 64, 256, 1024)
    ),
    LinearCase(group=cases.ONE_A_CALL, dtype="float64", features=8, rows=200),
    NetworkCase(group=cases.NETWORKS, dtype="float32", sizes=(4, 8, 2), rows=10_000),
    NetworkCase(group=cases.NETWORKS, dtype="float32", sizes=(16, 32, 1), rows=5_000),
    NetworkCase(group=cases.NETWORKS, dtype="float32", sizes=(784, 128, 10), rows=1_000),
    NetworkCase(
        group=cases.NETWORKS,
        dtype="float32",
        sizes=(16, 32, 1),
        rows=rows_of_256_mb("float32", 16),
        shuffled=True,
    ),
    *(
        OutputsCase(group=cases.SEVERAL, loss=loss, dtype="float32", features=784, outputs=outputs, rows=2_000)
        for loss in ("sse", "cross_entropy")
        for outputs in (10, 64)
    ),
    OutputsCase(
        group=cases.SEVERAL,
        loss="cross_entropy",
        dtype="float32",
        features=100,
        outputs=5,
        rows=rows_of_256_mb("float32", 100),
        shuffled=True,
    ),
    *(
        SparseCase(group=cases.SPARSE, dtype=dtype, features=features, nonzeros=nonzeros, rows=20_000, visits=5)
        for dtype in DTYPES
        for features, nonzeros in ((10_000, 50), (2**20, 80))
    ),
    *(
        AdaptiveCase(
            group=cases.ADAPTIVE, optimizer=optimizer, dtype=dtype, features=features, rows=2**18 // features, visits=8
        )
        for optimizer in ("adam", "adagrad")
        for dtype in DTYPES
        for features in (64, 1024)
    ),
    AdaptiveCase(
        group=cases.ADAPTIVE,
        optimizer="adam",
        dtype="float64",
        features=64,
        rows=rows_of_256_mb("float64", 64),
        shuffled=True,
    ),
    *(
        FitCase(group=cases.FITS, estimator=estimator, dtype=dtype, rows=100_000, features=features)
        for estimator in ("SGDClassifier", "SGDRegressor")
        for dtype in DTYPES
        for features in (10, 100, 1000)
    ),
    *(
        FitCase(
            group=cases.FITS,
            estimator="SGDClassifier",
            loss=loss,
            classes=10,
            dtype="float32",
            rows=20_000,
            features=784,
        )
        for loss in ("hinge", "log_loss", "multinomial")
    ),
    *(
        FitCase(group=cases.FITS, estimator=estimator, dtype=dtype, rows=100_000, features=10_000, nonzeros=50)
        for estimator in ("SGDClassifier", "SGDRegressor")
        for dtype in DTYPES
    ),
    *(
        SmallFitCase(group=cases.SMALL_FITS, estimator=estimator, dtype="float64", rows=rows, features=features)
        for estimator in ("SGDClassifier", "SGDRegressor")
        for rows, features in ((100, 4), (200, 8), (500, 32))
    ),
    *(
        RowCase(
            group=cases.SINGLE_ROWS, estimator=estimator, method=method, dtype="float64", rows=200, features=features
        )
        for estimator in ("SGDClassifier", "SGDRegressor")
        for method in ("partial_fit", "predict")
        for features in (20, 100)
    ),
    *(PeakCase(group=cases.PEAK, dtype=dtype, rows=1024) for dtype in DTYPES),
]
