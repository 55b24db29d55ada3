"""Types of the compiled passes."""

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]
_Int64 = npt.NDArray[np.int64]
_Float64 = npt.NDArray[np.float64]

class LossCode(IntEnum):
    MSE = ...
    SSE = ...
    SQUARED_ERROR = ...
    ABSOLUTE = ...
    HUBER = ...
    LOG_LOSS = ...

def build_info() -> dict[str, str]: ...
def train_pass(
    params: _Array,
    gradient: _Array,
    work: _Array,
    counters: _Int64,
    totals: _Float64,
    X: _Array,
    T: _Array,
    weights: _Array | None,
    order: _Int64 | None,
    start: int,
    stop: int,
    loss: tuple[int, float, float],
    optimizer: tuple[float],
    batch_size: int,
    close: bool,
    trace_out: _Float64 | None,
    path_out: _Array | None,
) -> int: ...
def predict_pass(params: _Array, X: _Array, y_out: _Array) -> None: ...
def loss_pass(
    params: _Array, work: _Array, X: _Array, T: _Array, weights: _Array | None, loss: tuple[int, float, float]
) -> tuple[float, float, int]: ...

class Hold:
    holder: int | None
    def __enter__(self) -> None: ...
    def __exit__(self, *exception: object) -> None: ...

class OneSample:
    def __init__(
        self,
        params: _Array,
        gradient: _Array,
        work: _Array,
        counters: _Int64,
        totals: _Float64,
        d: int,
        K: int,
        loss: tuple[int, float, float],
        optimizer: tuple[float],
        lowest: float,
        highest: float,
        hold: Hold,
    ) -> None: ...
    def step(self, x: Any, t: Any) -> float | None: ...
