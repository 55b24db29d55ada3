"""Pictures of gradient descent (extra ``plot``): loss curves, loss surfaces with the path on them, tangents.

Every function draws on ``ax``, or on a new figure, and returns the Axes. Nothing is shown or saved, and the backend
is left as it is: that is for ``matplotlib.pyplot.show()`` or ``ax.figure.savefig(...)``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastgd import data, losses
from fastgd.descent import Path, slope_at, value_at
from fastgd.evaluation import evaluate
from fastgd.extras import need
from fastgd.history import History
from fastgd.model import Linear
from fastgd.registry import check_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["loss_curve", "loss_surface", "surface", "tangent"]

Array = npt.NDArray[Any]

KINDS = ("contour", "surface")
GRID = 61  # points along each side of a surface
CURVE = 401  # points along a curve
LEVELS = 16
MARGIN = 0.35  # of the extent of a path, on either side of it
TANGENT_REACH = 0.15  # of the width of the picture, on either side of the point
PATH_COLOUR, TANGENT_COLOUR = "tab:red", "tab:orange"


def loss_curve(history: History, ax: Axes | None = None) -> Axes:
    """Draw the training loss of each epoch and, where there is one, the validation loss.

    Parameters
    ----------
    history : History
        What :func:`fastgd.train` returned.
    ax : Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    Axes
        Epochs, counted from one, to the right and the loss upwards; ``ax.set_yscale("log")`` suits long runs.

    Raises
    ------
    ValueError
        The history has no finished epoch.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import fastgd
    >>> model = fastgd.Linear(1, 1, seed=0)
    >>> history = fastgd.train(model, [[-1.0], [1.0]], [-1.0, 3.0], epochs=50, X_val=[[2.0]], t_val=[5.0])
    >>> ax = fastgd.plot.loss_curve(history)
    >>> [line.get_label() for line in ax.lines]
    ['training loss', 'validation loss']
    """
    if not history.epochs:
        raise ValueError("history has no finished epoch to draw")
    ax = _axes(ax)
    for label, values in ("training loss", history.loss), ("validation loss", history.val_loss):
        if values:
            ax.plot(range(1, len(values) + 1), values, label=label, marker="o" if len(values) == 1 else "")
    ax.set(xlabel="epoch", ylabel="loss")
    ax.xaxis.set_major_locator(need("matplotlib.ticker", extra="plot", what="fastgd.plot").MaxNLocator(integer=True))
    ax.legend()
    return ax


def surface(
    f: Callable[[Array], Any],
    path: Path | npt.ArrayLike | None = None,
    kind: str = "contour",
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a function of two variables from above or in perspective, and a descent on it.

    Parameters
    ----------
    f : callable
        Given an array of shape (2,) it returns one number; where that is not finite, nothing is drawn.
    path : Path, or array of shape (m, 2), optional
        The points that were visited, as :func:`fastgd.descend` returns them.
    kind : "contour" or "surface"
        Contour lines seen from above, or a surface in perspective.
    limits : ((low, high), (low, high)), optional
        The range of each variable; without it, a box around the path, or ±1.
    ax : Axes, optional
        Where to draw (for a surface, one made with ``projection="3d"``); a new figure without it.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        An argument of another kind or shape.
    FloatingPointError
        f is finite nowhere in the box.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import fastgd
    >>> def bowl(w):
    ...     return w[0] ** 2 + 4 * w[1] ** 2
    >>> path = fastgd.descend(bowl, [2.0, 1.0], lr=0.1, steps=20)
    >>> ax = fastgd.plot.surface(bowl, path)
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is not known; allowed are {', '.join(map(repr, KINDS))}")
    points = _points(path, 2)
    (left, right), (low, high) = edges = _ranges(limits, points)
    x, y = np.meshgrid(np.linspace(left, right, GRID), np.linspace(low, high, GRID))
    z = _heights(f, np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)
    if np.isnan(z).all():
        raise FloatingPointError(f"f is not finite anywhere between {left:g} and {right:g} by {low:g} and {high:g}")
    if kind == "contour":
        ax = _axes(ax)
        _draw_contour(ax, x, y, z)
        _draw_path(ax, *points.T)
        ax.set(xlim=(left, right), ylim=(low, high))
    else:
        ax = _axes(ax, projection="3d", computed_zorder=False)
        ax.plot_surface(x, y, np.ma.masked_invalid(z), cmap="viridis", alpha=0.75)  # type: ignore[attr-defined]
        inside = ((points >= edges[:, 0]) & (points <= edges[:, 1])).all(axis=1)
        _draw_path(ax, *points.T, np.where(inside, _heights(f, points), np.nan))
        ax.set(zlabel="f")
    ax.set(xlabel="$w_1$", ylabel="$w_2$")
    return ax


def loss_surface(
    model: Linear,
    X: npt.ArrayLike,
    t: npt.ArrayLike,
    loss: str | losses.Loss = "mse",
    path: Path | npt.ArrayLike | None = None,
    kind: str = "contour",
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean loss over the rows of X by the two parameters of a model, and the path of its training.

    Parameters
    ----------
    model : Linear
        One with two parameters, such as ``Linear(1, 1)`` or ``Linear(2, 1, bias=False)``. It is left as it is.
    X : array of shape (n, d)
    t : array of shape (n, K), or (n,) when K = 1
    loss : str or Loss, default "mse"
        The loss that the model was trained with.
    path : Path, or array of shape (m, 2), optional
        The parameters that were visited, such as ``history.trace.params``. Without it, and without ``limits``, the
        surface around the model's own parameters is drawn.
    kind, limits, ax
        As for :func:`surface`.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        A model of another number of parameters, or another argument of another kind or shape.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import fastgd
    >>> X, t = [[-1.0], [0.0], [1.0]], [-1.0, 1.0, 3.0]
    >>> model = fastgd.Linear(1, 1, seed=0)
    >>> history = fastgd.train(model, X, t, optimizer=fastgd.SGD(lr=0.1), epochs=20, trace=True)
    >>> ax = fastgd.plot.loss_surface(model, X, t, path=history.trace.params)
    """
    if model.params.size != 2:
        raise ValueError(
            f"model={model} has {model.params.size} parameters; a surface needs two, as those of Linear(1, 1) or of "
            "Linear(2, 1, bias=False)"
        )
    twin = copy.deepcopy(model)

    def mean_loss(params: Array) -> float:
        twin.params[:] = params
        return evaluate(twin, X, t, loss)

    around: Any = _ranges(None, model.params.reshape(1, 2)) if path is None and limits is None else limits
    ax = surface(mean_loss, path, kind, around, ax)
    if model.bias is not None:
        ax.set(xlabel="weight $w_1$", ylabel="bias $w_2$")
    if kind == "surface":
        ax.set(zlabel="mean loss")
    return ax


def tangent(
    f: Callable[[float], Any],
    at: float,
    path: Path | npt.ArrayLike | None = None,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a function of one variable, its tangent at a point and the points that a descent visited.

    Parameters
    ----------
    f : callable
        Given a float it returns one number; where that is not finite, nothing is drawn.
    at : float
        Where the tangent touches the curve. Its slope is taken as :func:`fastgd.descend` takes it.
    path : Path, or array of shape (m,), optional
        The points that were visited.
    limits : (low, high), optional
        The range of the variable; without it, a range around ``at`` and the path.
    ax : Axes, optional
        Where to draw; a new figure without it.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        An argument of another kind or shape.
    FloatingPointError
        f or its slope is not finite at the point.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> import fastgd
    >>> def f(w):
    ...     return 3 * w**4 - 4 * w**3 - 12 * w**2
    >>> path = fastgd.descend(f, 0.5, lr=0.01, steps=30)
    >>> ax = fastgd.plot.tangent(f, at=0.5, path=path)
    >>> [line.get_label() for line in ax.lines]
    ['f(w)', 'tangent at 0.5, slope -13.5', 'visited points']
    """
    at = check_number("at", at, low=-np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        value, slope = value_at(f, np.array(at)), float(slope_at(f, np.array(at)))
    if not np.isfinite([value, slope]).all():
        raise FloatingPointError(f"there is no tangent at={at!r}: f is {value} and its slope {slope}")
    points = _points(path, 1)
    ((low, high),) = _ranges(limits, np.append(points, [[at]], axis=0))
    w = np.linspace(low, high, CURVE)
    curve = _heights(f, w)
    ax = _axes(ax)
    ax.plot(w, curve, color="tab:blue", label="f(w)")
    # a tangent of one length in the picture, however steep it is
    steepness = slope * (high - low) / (np.nanmax(curve) - np.nanmin(curve) or 1)
    reach = TANGENT_REACH * (high - low) / np.hypot(1, steepness)
    ends = np.array([at - reach, at + reach])
    label = f"tangent at {at:.3g}, slope {slope:.3g}"
    ax.plot(ends, value + slope * (ends - at), color=TANGENT_COLOUR, linewidth=2, label=label)
    if len(points):
        visited = points[:, 0]
        ax.plot(
            visited,
            _heights(f, visited),
            color=PATH_COLOUR,
            marker="o",
            markersize=5,
            linestyle="",
            label="visited points",
        )
    ax.set(xlabel="w", ylabel="f(w)")
    ax.legend()
    return ax


def _axes(ax: Axes | None, **kind: Any) -> Axes:
    if ax is not None:
        if kind and not hasattr(ax, "set_zlabel"):
            raise ValueError('ax must be made with projection="3d" for kind="surface"')
        return ax
    pyplot = need("matplotlib.pyplot", extra="plot", what="fastgd.plot")
    made: Axes = pyplot.figure(layout="constrained").add_subplot(**kind)
    return made


def _points(path: Path | npt.ArrayLike | None, variables: int) -> Array:
    # the visited points as (m, variables), with m = 0 where there is no path
    if path is None:
        return np.empty((0, variables))
    points = np.asarray(data.numbers("path", path.points if isinstance(path, Path) else path), np.float64)
    columns = points.reshape(-1, 1) if points.ndim == variables == 1 else points
    if columns.ndim != 2 or columns.shape[1] != variables or not len(columns):
        raise ValueError(f"path has shape {points.shape}; allowed is {'(m,)' if variables == 1 else '(m, 2)'}, m ≥ 1")
    if not np.isfinite(columns).all():
        raise ValueError("path has points that are not finite")
    return columns


def _ranges(limits: Any, points: Array) -> Array:
    # (low, high) of each variable: as given, or of a box around the points (m, variables), or ±1 without any
    variables = points.shape[1]
    if limits is None:
        around = points if len(points) else np.zeros((1, variables))
        low, high = around.min(axis=0), around.max(axis=0)
        margin = np.where(high > low, MARGIN * (high - low), 1.0)
        return np.stack([low - margin, high + margin], axis=1)
    ranges = np.asarray(data.numbers("limits", limits), np.float64)
    ranges = ranges.reshape(1, 2) if ranges.shape == (2,) else ranges
    if ranges.shape != (variables, 2) or not np.isfinite(ranges).all() or (ranges[:, 0] >= ranges[:, 1]).any():
        allowed = "(low, high)" if variables == 1 else "((low, high), (low, high))"
        raise ValueError(f"limits={limits!r} must be {allowed}, finite, with low below high")
    return ranges


def _heights(f: Callable[[Any], Any], points: Array) -> Array:
    # f at each of the points (m,) or (m, 2), NaN where it is not finite
    with np.errstate(over="ignore", invalid="ignore"):
        heights = np.array([value_at(f, np.asarray(point)) for point in points], np.float64)
    return np.where(np.isfinite(heights), heights, np.nan)


def _draw_contour(ax: Axes, x: Array, y: Array, z: Array) -> None:
    low, high = np.nanmin(z), np.nanmax(z)
    span = max(high - low, 1e-9 * max(1.0, abs(low), abs(high)))  # a flat function needs rising levels, too
    # closer together near the bottom: evenly spaced lines on a parabola
    levels = low + span * np.linspace(0, 1, LEVELS) ** 2
    filled = np.ma.masked_invalid(z)
    ax.contourf(x, y, filled, levels, cmap="Blues", alpha=0.6)
    lines = ax.contour(x, y, filled, levels, colors="tab:blue", linewidths=0.8)
    ax.clabel(lines, levels[2::3], fmt="%.2g", fontsize=8, colors="black")


def _draw_path(ax: Axes, *coordinates: Array) -> None:
    if not len(coordinates[0]):
        return
    ax.plot(*coordinates, color=PATH_COLOUR, marker=".", markersize=4, linewidth=1, label="path")
    for label, marker, place in ("start", "o", slice(1)), ("end", "*", slice(-1, None)):
        ends = [values[place] for values in coordinates]
        ax.plot(*ends, color="black", marker=marker, markersize=8, linestyle="", label=label)
    ax.legend()
