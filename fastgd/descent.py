"""Gradient descent on any function of a few variables: the rule by itself, without a model or data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd import data
from fastgd.registry import check_count, check_number

Array = npt.NDArray[Any]

RELATIVE_STEP = float(np.cbrt(np.finfo(np.float64).eps))


@dataclass(frozen=True, eq=False)
class Path:
    """The course of a descent: row k is the point after k steps, so row 0 is the start and row −1 the end.

    Attributes
    ----------
    points : array of shape (steps + 1,), or (steps + 1, n) for n variables
        Where it was.
    values : array of shape (steps + 1,)
        f there.
    slopes : array of the shape of ``points``
        ∇f there.
    """

    points: Array
    values: Array
    slopes: Array


def descend(
    f: Callable[[Any], Any],
    w0: npt.ArrayLike,
    lr: float,
    steps: int,
    grad: Callable[[Any], Any] | None = None,
) -> Path:
    """Walk downhill on f from w0 by gradient descent, w ← w − λ ∇f(w).

    It ends in a minimum near the start, which need not be the lowest one.

    Parameters
    ----------
    f : callable
        The function: it is given a float, or for n variables an array of shape (n,), and returns one real number.
    w0 : float, or array of shape (n,)
        The start.
    lr : float
        The learning rate λ ≥ 0: the step, in units of w, for a slope of one.
    steps : int
        How many steps to take, ≥ 0.
    grad : callable, optional
        ∇f: it is given what f is given and returns a number, or an array of shape (n,). Without it the slope is
        taken by central differences, ∂f/∂w_i ≈ (f(w_i + h) − f(w_i − h)) / 2h with h = ε^⅓ max(1, |w_i|) and ε the
        spacing of float64 at 1: two calls of f for each variable and an error of about 1e-10.

    Returns
    -------
    Path
        ``points``, ``values`` and ``slopes`` from the start to the end, all in float64.

    Raises
    ------
    TypeError, ValueError
        An argument of another kind or shape, or an f or grad that returns one.
    FloatingPointError
        The point, f or its slope is no longer finite: λ is too large, or f has no bottom.

    References
    ----------
    A.-L. Cauchy, Méthode générale pour la résolution des systèmes d'équations simultanées, Comptes rendus 25 (1847),
    536-538. J. Nocedal and S. J. Wright, Numerical Optimization, 2nd edition (2006), section 8.1, for the choice of h.

    Examples
    --------
    f(w) = 3w⁴ − 4w³ − 12w² has its lowest point at w = 2 and another, local minimum at w = −1. Which of them is
    found depends on the start:

    >>> import fastgd
    >>> def f(w):
    ...     return 3 * w**4 - 4 * w**3 - 12 * w**2
    >>> for start in 0.5, -0.5:
    ...     path = fastgd.descend(f, start, lr=0.01, steps=100)
    ...     print(f"from {start:+} to {path.points[-1]:+.4f}, where f is {path.values[-1]:+.4f}")
    from +0.5 to +2.0000, where f is -32.0000
    from -0.5 to -1.0000, where f is -5.0000
    """
    if not callable(f):
        raise TypeError(f"f={f!r} must be a function")
    if grad is not None and not callable(grad):
        raise TypeError(f"grad={grad!r} must be a function, or None for central differences")
    w = _start(w0)
    lr = check_number("lr", lr)
    steps = check_count("steps", steps, low=0)
    points, values, slopes = np.empty((steps + 1, *w.shape)), np.empty(steps + 1), np.empty((steps + 1, *w.shape))
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite becomes the error below, not a warning
        for step in range(steps + 1):
            _demand_finite(w, "the point", step, w, lr)
            value = value_at(f, w)
            _demand_finite(value, "f", step, w, lr)
            slope = slope_at(f, w) if grad is None else _given_slope(grad, w)
            _demand_finite(slope, "the slope", step, w, lr)
            points[step], values[step], slopes[step] = w, value, slope
            w -= lr * slope
    return Path(points, values, slopes)


def value_at(f: Callable[[Any], Any], w: Array) -> float:
    """Return f at a point of shape () or (n,); inf where Python's own arithmetic overflows."""
    return float(_called("f", f, w, ()))


def slope_at(f: Callable[[Any], Any], w: Array) -> Array:
    """Return ∇f at a point of shape () or (n,), by central differences."""
    slope = np.empty_like(w)
    for i in np.ndindex(w.shape):
        h = RELATIVE_STEP * max(1.0, abs(float(w[i])))
        above, below = w.copy(), w.copy()
        above[i] += h
        below[i] -= h
        # divided by the distance between the two points as rounded, not by 2h
        slope[i] = (value_at(f, above) - value_at(f, below)) / float(above[i] - below[i])
    return slope


def _start(w0: npt.ArrayLike) -> Array:
    w = np.array(data.numbers("w0", w0), np.float64)
    if w.ndim > 1 or w.size == 0:
        raise ValueError(f"w0 has shape {w.shape}; allowed are a number and a vector (n,) with n ≥ 1")
    if not np.isfinite(w).all():
        raise ValueError(f"w0={w0!r} must be finite")
    return w


def _given_slope(grad: Callable[[Any], Any], w: Array) -> Array:
    return _called("grad", grad, w, w.shape)


def _called(name: str, function: Callable[[Any], Any], w: Array, shape: tuple[int, ...]) -> Array:
    # a vector is passed as a copy, so that a function that writes into it cannot move the path
    try:
        result = function(w.copy() if w.ndim else float(w))
    except OverflowError:  # Python's floats raise where NumPy's become inf
        return np.full(shape, np.inf)
    array = np.asarray(result)
    if array.dtype.kind not in "iuf" or array.shape != shape:
        wanted = f"real numbers of shape {shape}" if shape else "one real number"
        raise TypeError(f"{name} must return {wanted}; at w = {w} it returned {result!r}")
    return array.astype(np.float64)


def _demand_finite(found: float | Array, what: str, step: int, w: Array, lr: float) -> None:
    if not np.isfinite(found).all():
        raise FloatingPointError(
            f"the descent left the finite numbers at step {step}: {what} is {found} at w = {w}, learning rate {lr:g}. "
            "Lower the learning rate, or start elsewhere"
        )
