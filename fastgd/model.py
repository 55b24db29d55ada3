"""Models: the layout of one flat parameter vector, its initial values, and predictions."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd import data, engine, losses
from fastgd.registry import check_count, check_flag, from_json, to_json

Array = npt.NDArray[Any]

KINDS = ("raw", "mean", "label")


def _aligned_zeros(size: int, dtype: np.dtype[Any]) -> Array:
    # on a cache line, so that no load of a whole register of parameters straddles two
    memory = np.zeros(size * dtype.itemsize + 64, np.uint8)
    offset = -memory.ctypes.data % 64
    return memory[offset : offset + size * dtype.itemsize].view(dtype)


class Linear:
    """A linear map with K outputs, f(x) = W x + b.

    ``weight`` (out_features, in_features) and ``bias`` (out_features,) are views of one flat vector, ``params``;
    assigning to them copies in. Both start as torch's ``nn.Linear`` does: uniform between ±1/√in_features.

    Parameters
    ----------
    in_features : int
        d ≥ 1, numbers in a sample.
    out_features : int
        K ≥ 1, numbers in a prediction.
    bias : bool, default True
        Whether there is a b; otherwise f(x) = W x and ``bias`` is None.
    dtype : "float64" or "float32"
        Of the parameters, and of all the arithmetic of training.
    seed : int, optional
        Seed of the initial values; the same seed gives the same model.

    Raises
    ------
    ValueError, TypeError
        A size below 1, another dtype, or an assignment of another shape.

    Examples
    --------
    >>> import numpy as np, fastgd
    >>> model = fastgd.Linear(3, 2, seed=0)
    >>> model.weight = [[1, 0, 0], [0, 1, 0]]
    >>> model.bias = [0.5, 0]
    >>> model([1.0, 2.0, 3.0])
    array([1.5, 2. ])
    >>> model.params
    array([1. , 0. , 0. , 0. , 1. , 0. , 0.5, 0. ])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: npt.DTypeLike = "float64",
        seed: int | None = None,
    ) -> None:
        self._in_features = check_count("in_features", in_features)
        self._out_features = check_count("out_features", out_features)
        self._dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype("float32"), np.dtype("float64")):
            raise ValueError(f"dtype={dtype!r} is not supported; allowed are 'float64' and 'float32'")
        self._has_bias = check_flag("bias", bias)
        size = self.out_features * (self.in_features + self._has_bias)
        self._params = _aligned_zeros(size, self.dtype)
        bound = 1 / math.sqrt(self.in_features)
        self._params[:] = np.random.default_rng(seed).uniform(-bound, bound, size)
        #: what the predictions mean: set by training
        self.loss: losses.Loss | None = None
        self._vector_target = False
        self._signed_labels = False
        self._hold = engine.Hold()

    @property
    def in_features(self) -> int:
        """d, the numbers in a sample."""
        return self._in_features

    @property
    def out_features(self) -> int:
        """K, the numbers in a prediction."""
        return self._out_features

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters and of the arithmetic."""
        return self._dtype

    @property
    def params(self) -> Array:
        """All parameters as one flat vector (P,): W row by row, then b."""
        return self._params

    @property
    def weight(self) -> Array:
        """W, of shape (out_features, in_features), a view of ``params``."""
        return self._params[: self.out_features * self.in_features].reshape(self.out_features, self.in_features)

    @weight.setter
    def weight(self, value: npt.ArrayLike) -> None:
        self._assign("weight", self.weight, value)

    @property
    def bias(self) -> Array | None:
        """b, of shape (out_features,), a view of ``params``; None for a model without."""
        return self._params[self.out_features * self.in_features :] if self._has_bias else None

    @bias.setter
    def bias(self, value: npt.ArrayLike) -> None:
        if self.bias is None:
            raise ValueError("this model has no bias; make it with bias=True")
        self._assign("bias", self.bias, value)

    @staticmethod
    def _assign(name: str, target: Array, value: npt.ArrayLike) -> None:
        array = data.numbers(name, value)
        if array.shape != target.shape:
            raise ValueError(f"{name} has shape {array.shape}; allowed is {target.shape}")
        target[...] = array

    def named_parameters(self, flat: Array | None = None) -> dict[str, Array]:
        """Return the parameters by name as views, those of the model or of another flat vector laid out like it."""
        flat = self._params if flat is None else flat
        cut = self.out_features * self.in_features
        named = {"weight": flat[:cut].reshape(self.out_features, self.in_features)}
        return named | {"bias": flat[cut:]} if self._has_bias else named

    def predict(self, X: npt.ArrayLike, kind: str = "raw") -> Array:
        """Return predictions for the rows of X.

        Parameters
        ----------
        X : array of shape (n, in_features), or (in_features,) for one sample
            Numbers of any real dtype, converted slice by slice if it is not the model's.
        kind : "raw", "mean" or "label"
            f(x); what f(x) says of the target's mean (the probability of a 1 after ``log_loss``); or the decision,
            in the labels that were trained on. The last two need a trained model, which knows its loss.

        Returns
        -------
        array of shape (n, out_features), or (out_features,) for one sample
            Without its last axis if the model was last trained on targets of shape (n,).

        Examples
        --------
        >>> import fastgd
        >>> model = fastgd.Linear(1, 1, seed=0)
        >>> _ = fastgd.train(model, [[-1.0], [1.0]], [0, 1], loss="log_loss", epochs=10)
        >>> model.predict([[-2.0], [2.0]], kind="label")
        array([0, 1])
        """
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is not known; allowed are {', '.join(map(repr, KINDS))}")
        loss = self.loss
        if kind != "raw" and loss is None:
            raise ValueError(f"kind={kind!r} needs the loss of a trained model; this one is not trained")
        single = np.ndim(X) == 1
        checked = data.numbers("X", X)
        if single and checked.size == self.in_features:
            checked = checked.reshape(1, -1)
        y = engine.predict(self, data.matrix("X", checked, self.in_features))
        if kind == "mean" and loss is not None:
            y = loss.mean(y)
        elif kind == "label" and loss is not None:
            y = loss.label(y)
            y = 2 * y - 1 if self._signed_labels else y
        y = y[:, 0] if self._vector_target else y
        return y[0] if single else y

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return the raw predictions: (K,) for a vector, (n, K) for a matrix."""
        return self.predict(x)

    def config(self) -> dict[str, Any]:
        """Return what is needed to make this model again, its parameters apart, as JSON can hold it."""
        return {
            "class": "Linear",
            "in_features": self.in_features,
            "out_features": self.out_features,
            "bias": self._has_bias,
            "dtype": self.dtype.name,
            "loss": None if self.loss is None else to_json(self.loss),
            "vector_target": self._vector_target,
            "signed_labels": self._signed_labels,
        }

    def remember(self, loss: losses.Loss, vector_target: bool, signed_labels: bool) -> None:
        """Keep what predictions mean from now on: the loss, and how the targets that it was trained on looked."""
        self.loss, self._vector_target, self._signed_labels = loss, vector_target, signed_labels

    def exclusively(self, again: bool = False) -> AbstractContextManager[None]:
        """Return a context that holds the model for one call's training; another that wants it gets an error.

        With ``again`` a call that the holder itself makes, from a callback, is let through.
        """
        return nullcontext() if again and self._hold.holder == threading.get_ident() else self._hold

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_hold"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._params = _aligned_zeros(state["_params"].size, self.dtype)
        self._params[:] = state["_params"]
        self._hold = engine.Hold()

    def __repr__(self) -> str:
        size = f"{self.in_features}, {self.out_features}"
        return f"Linear({size}, bias={self._has_bias}, dtype={self.dtype.name!r})"


def from_config(config: Mapping[str, Any]) -> Linear:
    """Make a model, its parameters still to be filled in, from what :meth:`Linear.config` returned.

    Raises
    ------
    ValueError, KeyError, TypeError
        The description is not one of a model.
    """
    if config["class"] != "Linear":
        raise ValueError(f"model class {config['class']!r} is not known; allowed is 'Linear'")
    model = Linear(config["in_features"], config["out_features"], config["bias"], config["dtype"])
    if config["loss"] is not None:
        loss = from_json("loss", losses.registry, config["loss"])
        model.remember(loss, config["vector_target"], config["signed_labels"])
    return model


def evaluate(
    model: Linear,
    X: npt.ArrayLike,
    t: npt.ArrayLike,
    loss: str | losses.Loss = "mse",
    sample_weight: npt.ArrayLike | None = None,
) -> float:
    """Return the mean loss of the model's predictions, Σ_i w_i C(f(x_i), t_i) / Σ_i w_i.

    Parameters
    ----------
    model : Linear
    X : array of shape (n, d)
    t : array of shape (n, K), or (n,) when K = 1
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
    model: Linear, x: npt.ArrayLike, t: npt.ArrayLike, loss: str | losses.Loss = "mse"
) -> tuple[float, dict[str, Array]]:
    """Return the loss at the model's parameters and its gradient by each of them.

    For a linear model ∂C/∂W_kj = slope_k x_j and ∂C/∂b_k = slope_k; for ``"sse"`` and f = w₁x + w₂ that is
    2 (w₁x + w₂ − t) x and 2 (w₁x + w₂ − t).

    Parameters
    ----------
    model : Linear
    x : array of shape (d,), or (n, d) for the mean over n rows
    t : array of shape (K,), or (n, K); a number or (n,) when K = 1
    loss : str or Loss
        A name in ``fastgd.losses.registry`` or an instance.

    Returns
    -------
    float
        The (mean) loss.
    dict of str to array
        ``"weight"`` and, for a model with one, ``"bias"``, each of that parameter's shape.

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


def sample_or_rows(model: Linear, x: npt.ArrayLike, t: npt.ArrayLike, loss: losses.Loss) -> data.Rows:
    """Check one sample (d,) with its target (K,), or n of them, and return them as rows."""
    checked, target = data.numbers("x", x), data.numbers("t", t)
    if checked.ndim == 1:
        if checked.shape != (model.in_features,):
            raise ValueError(f"x has shape {checked.shape}; the model takes ({model.in_features},)")
        if target.shape != (model.out_features,) and not (model.out_features == 1 and target.ndim == 0):
            raise ValueError(f"t has shape {target.shape}; allowed is ({model.out_features},)")
        checked, target = checked.reshape(1, -1), target.reshape(1, -1) if target.ndim else target.reshape(1)
    return data.check_rows(
        checked, target, None, (model.in_features, model.out_features), model.dtype, loss, ("x", "t")
    )
