"""What a model's parameters are worth on given data: the mean loss, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd import data, engine, losses
from fastgd.model import MLP

Array = npt.NDArray[Any]


def evaluate(
    model: MLP,
    X: npt.ArrayLike,
    t: npt.ArrayLike,
    loss: str | losses.Loss = "mse",
    sample_weight: npt.ArrayLike | None = None,
) -> float:
    """Return the mean loss of the model's predictions, Σ_i w_i C(f(x_i), t_i) / Σ_i w_i.

    Parameters
    ----------
    model : MLP or Linear
    X : array of shape (n, d), or a sparse array or matrix of scipy
    t : array of shape (n, K), or (n,) when K = 1 and for indices of classes
    loss : str or Loss
        A name in ``fastgd.losses.registry`` or an instance.
    sample_weight : array of shape (n,), optional

    Returns
    -------
    float
        ``inf`` if a loss overflows.

    Raises
    ------
    ValueError, TypeError
        X, t or sample_weight of another shape or kind, or with numbers that are not finite.

    Examples
    --------
    >>> import fastgd
    >>> model = fastgd.Linear(1, 1)
    >>> model.weight, model.bias = [[2.0]], [0.0]
    >>> fastgd.evaluate(model, [[1.0], [2.0]], [1.0, 5.0])
    1.0
    """
    chosen = losses.get(loss)
    rows = data.check_rows(X, t, sample_weight, (model.in_features, model.out_features), model.dtype, chosen)
    return engine.mean_loss(model, rows, chosen)


def gradient(
    model: MLP, x: npt.ArrayLike, t: npt.ArrayLike, loss: str | losses.Loss = "mse"
) -> tuple[float, dict[str, Array]]:
    """Return the loss at the model's parameters and its gradient by each of them.

    For a layer with inputs a and sums z, ∂C/∂W_kj = δ_k a_j and ∂C/∂b_k = δ_k, where δ = ∂C/∂z. At the last layer δ
    is the slope of the loss; at each layer below, δ = (Wᵀ δ of the layer above) · ∂a/∂z, the chain rule. For a linear
    model a is x: with ``"sse"`` and f = w₁x + w₂ that gives 2 (w₁x + w₂ − t) x and 2 (w₁x + w₂ − t).

    Parameters
    ----------
    model : MLP or Linear
    x : array of shape (d,), or (n, d) for the mean over n rows
    t : array of shape (K,), or (n, K); a number or (n,) when K = 1 and for indices of classes
    loss : str or Loss
        A name in ``fastgd.losses.registry`` or an instance.

    Returns
    -------
    float
        The (mean) loss.
    dict of str to array
        By the names of :meth:`MLP.named_parameters`, each of that parameter's shape.

    Raises
    ------
    ValueError, TypeError
        x or t of another shape or kind, or with numbers that are not finite.
    FloatingPointError
        The loss overflows.

    Examples
    --------
    >>> import fastgd
    >>> model = fastgd.Linear(1, 1)
    >>> model.weight, model.bias = [[2.0]], [1.0]
    >>> loss, slope = fastgd.gradient(model, [3.0], [5.0], loss="sse")
    >>> loss, slope["weight"], slope["bias"]
    (4.0, array([[12.]]), array([4.]))
    """
    chosen = losses.get(loss)
    rows = sample_or_rows(model, x, t, chosen)
    value, flat = engine.mean_gradient(model, rows, chosen)
    return value, model.named_parameters(flat)


def sample_or_rows(model: MLP, x: npt.ArrayLike, t: npt.ArrayLike, loss: losses.Loss) -> data.Rows:
    """Check one sample (d,) with its target (K,), or n of them, and return them as rows."""
    if np.ndim(x) == 1:
        checked: Any = x if data.is_sparse(x) else data.numbers("x", x)
        target = data.numbers("t", t)
        if checked.shape != (model.in_features,):
            raise ValueError(f"x has shape {checked.shape}; the model takes ({model.in_features},)")
        number = model.out_features == 1 or loss.targets == "classes"
        if target.shape != (model.out_features,) and not (number and target.shape in ((), (1,))):
            allowed = f"({model.out_features},)" + (", or a number" if number else "")
            raise ValueError(f"t has shape {target.shape}; allowed is {allowed}")
        x = checked if data.is_sparse(checked) else checked.reshape(1, -1)
        t = target.reshape(1, -1) if target.ndim else target.reshape(1)
    return data.check_rows(x, t, None, (model.in_features, model.out_features), model.dtype, loss, ("x", "t"))
