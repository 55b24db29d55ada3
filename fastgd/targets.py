"""What targets may be: one section for each kind that a loss takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd.arrays import converted, numbers
from fastgd.losses import Loss

Array = npt.NDArray[Any]

#: by how much the probabilities of a row may miss 1
SUM_TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


def targets(
    name: str, value: npt.ArrayLike, rows: int, outputs: int, loss: Loss, dtype: np.dtype[Any]
) -> tuple[Array, bool]:
    """Return the targets as a pass reads them, and whether they were −1 and +1; or refuse them.

    They are (rows, outputs) in the dtype, where labels −1 have become 0, or (rows, 1) if they are indices of classes.
    """
    given = numbers(name, value)
    if loss.targets == "classes":
        return _classes(name, given, rows, outputs, loss, dtype), False
    if given.shape != (rows, outputs) and not (outputs == 1 and given.shape == (rows,)):
        allowed = f"({rows}, {outputs})" + (f" or ({rows},)" if outputs == 1 else "")
        raise ValueError(f"{name} has shape {given.shape}; allowed is {allowed}")
    given = given.reshape(rows, outputs)
    T = converted(given, dtype)
    low, high = _range(name, given, T)
    if loss.targets in ("binary", "labels"):
        return _labels(name, given, T, low, high, loss)
    if loss.targets == "non-negative" and low < 0:
        _refuse(name, given, T < 0, f"loss {loss.name!r} takes numbers of at least 0")
    if loss.targets == "positive" and low <= 0:
        _refuse(name, given, T <= 0, f"loss {loss.name!r} takes numbers above 0 in {dtype}")
    return T, False


def _refuse(name: str, given: Array, wrong: Array, allowed: str, beside: str = "") -> None:
    row, column = np.argwhere(wrong)[0]
    raise ValueError(f"{name} has {given[row, column]} in row {row}{beside}; {allowed}")


def _range(name: str, given: Array, T: Array) -> tuple[Any, Any]:
    # the smallest and the largest target, all of which must be finite
    low, high = T.min(), T.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        _refuse(name, given, ~np.isfinite(T), f"targets must be finite in {T.dtype}")
    return low, high


def _labels(name: str, given: Array, T: Array, low: Any, high: Any, loss: Loss) -> tuple[Array, bool]:
    # 0 and 1, or −1 and +1, or for "binary" anything from 0 to 1
    signed = bool(low < 0 or high > 1)
    beside = f", beside values from {low:g} to {high:g}"
    allowed = f"loss {loss.name!r} takes 0 and 1, or -1 and +1"
    if loss.targets == "binary":
        allowed += ", or probabilities in [0, 1]"
    if signed:
        neither = np.abs(T) != 1
        outside = neither & ((T < 0) | (T > 1))
        if neither.any():
            _refuse(name, given, outside if outside.any() else neither, allowed, beside)
    elif loss.targets == "labels" and ((T != 0) & (T != 1)).any():
        _refuse(name, given, (T != 0) & (T != 1), allowed, beside)
    return (T + 1) / 2 if signed else T, signed


def _classes(name: str, given: Array, rows: int, outputs: int, loss: Loss, dtype: np.dtype[Any]) -> Array:
    # the index of a class for each row (rows, 1), or a probability for each class (rows, outputs)
    if outputs < 2:
        raise ValueError(f"loss {loss.name!r} takes a model with an output for each of 2 or more classes, not with 1")
    if given.shape == (rows, outputs):
        return _probabilities(name, given, loss, dtype)
    if given.shape not in ((rows,), (rows, 1)):
        indices, shares = f"({rows},) or ({rows}, 1)", f"({rows}, {outputs})"
        raise ValueError(
            f"{name} has shape {given.shape}; allowed is {indices} for classes, {shares} for probabilities"
        )
    exact = 2 ** (np.finfo(dtype).nmant + 1)
    if outputs > exact:
        raise ValueError(f"the model has {outputs} classes; allowed in {dtype} are {exact}, whose indices it holds")
    given = given.reshape(rows, 1)
    wrong = ~((given >= 0) & (given < outputs))
    if given.dtype.kind == "f":
        wrong |= given != np.floor(given)
    if wrong.any():
        _refuse(
            name, given, wrong, f"loss {loss.name!r} takes the index of a class, a whole number from 0 to {outputs - 1}"
        )
    return converted(given, dtype)


def _probabilities(name: str, given: Array, loss: Loss, dtype: np.dtype[Any]) -> Array:
    T = converted(given, dtype)
    low, _ = _range(name, given, T)
    allowed = f"loss {loss.name!r} takes for each class a probability, which sum to 1"
    if low < 0:
        _refuse(name, given, T < 0, allowed)
    sums = T.sum(axis=1, dtype=np.float64)
    wrong = np.abs(sums - 1) > SUM_TOLERANCE[dtype.name]
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{name} sums to {sums[row]:g} in row {row}; {allowed}")
    return T
