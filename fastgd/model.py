"""Models: the layout of one flat parameter vector, its initial values, and predictions."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastgd import activations, data, engine, extras, layout, losses
from fastgd.activations import Activation
from fastgd.registry import check_count, check_flag, from_json, generator, to_json

Array = npt.NDArray[Any]

KINDS = ("raw", "mean", "label")


class MLP:
    """A network of fully connected layers (a multilayer perceptron).

    Layer l maps the outputs a of the layer below to z = W_l a + b_l, and all but the last apply an activation to z;
    the first layer's a is the sample x, and the last layer's z is the prediction f(x). All parameters stand in one
    flat vector, ``params``, layer by layer W row by row and then b. Each W and b starts as in torch's ``nn.Linear``:
    uniform between ±1/√n for a layer of n inputs.

    Parameters
    ----------
    sizes : sequence of int
        (d, h_1, ..., K): the numbers in a sample, the units of each hidden layer, the numbers in a prediction. Two
        sizes make a linear model, as :class:`Linear` does.
    activation : str or Activation, or a sequence of them, default "relu"
        That of all hidden layers, or one for each: names in ``fastgd.activations.registry`` or instances.
    bias : bool, default True
        Whether every layer has a b.
    dtype : "float64" or "float32"
        Of the parameters, and of all the arithmetic of training.
    seed : int, optional
        Seed of the initial values; the same seed gives the same model.

    Raises
    ------
    ValueError, TypeError
        Fewer than two sizes, a size below 1, or an activation, bias or dtype that is none.

    Examples
    --------
    Weights are assigned layer by layer, through the views in ``weights`` and ``biases``.

    >>> import fastgd
    >>> model = fastgd.MLP([2, 3, 1], activation="tanh", seed=0)
    >>> model.weights[0][:] = [[1, 0], [0, 1], [1, 1]]
    >>> model.biases[0][:] = 0
    >>> [weight.shape for weight in model.weights]
    [(3, 2), (1, 3)]
    >>> model.params[:9]
    array([1., 0., 0., 1., 1., 1., 0., 0., 0.])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str | Activation | Sequence[str | Activation] = "relu",
        bias: bool = True,
        dtype: npt.DTypeLike = "float64",
        seed: int | None = None,
    ) -> None:
        self._describe(sizes, activation, bias, dtype)
        layout.draw(self, self._params, generator(seed))

    def _describe(self, sizes: Any, activation: Any, bias: Any, dtype: Any) -> None:
        self._sizes = layout.check_sizes(sizes)
        self._activations = activations.of_layers(activation, len(self.sizes) - 2)
        self._dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype("float32"), np.dtype("float64")):
            raise ValueError(f"dtype={dtype!r} is not supported; allowed are 'float64' and 'float32'")
        self._has_bias = check_flag("bias", bias)
        self._params = layout.empty(self, self.dtype)
        #: what the predictions mean: set by training
        self.loss: losses.Loss | None = None
        self._vector_target = False
        self._signed_labels = False
        self._hold = engine.Hold()

    @property
    def sizes(self) -> tuple[int, ...]:
        """(d, h_1, ..., K): the numbers in a sample, in the outputs of each hidden layer, and in a prediction."""
        return self._sizes

    @property
    def activations(self) -> tuple[Activation, ...]:
        """The activation of each hidden layer."""
        return self._activations

    @property
    def has_bias(self) -> bool:
        """Whether every layer has a b."""
        return self._has_bias

    @property
    def in_features(self) -> int:
        """d, the numbers in a sample."""
        return self._sizes[0]

    @property
    def out_features(self) -> int:
        """K, the numbers in a prediction."""
        return self._sizes[-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters and of the arithmetic."""
        return self._dtype

    @property
    def params(self) -> Array:
        """All parameters as one flat vector (P,): layer by layer W row by row, then b."""
        return self._params

    @property
    def weights(self) -> tuple[Array, ...]:
        """W of each layer, of shape (outputs, inputs), as views of ``params``."""
        return tuple(weight for weight, _ in layout.layers(self, self._params))

    @property
    def biases(self) -> tuple[Array, ...]:
        """The b of each layer, of shape (outputs,), as views of ``params``; empty for a model without."""
        return tuple(bias for _, bias in layout.layers(self, self._params) if self.has_bias)

    def named_parameters(self, flat: Array | None = None) -> dict[str, Array]:
        """Return the parameters by name as views, those of the model or of another flat vector laid out like it.

        The names are ``"0.weight"``, ``"0.bias"``, ``"1.weight"``, ... with the number of the layer, whose
        activation is not counted; those of a :class:`Linear` are ``"weight"`` and ``"bias"``.
        """
        named = {}
        for number, (weight, bias) in enumerate(layout.layers(self, self._params if flat is None else flat)):
            named[f"{number}.weight"] = weight
            if self.has_bias:
                named[f"{number}.bias"] = bias
        return named

    def predict(self, X: npt.ArrayLike, kind: str = "raw") -> Array:
        """Return predictions for the rows of X.

        Parameters
        ----------
        X : array of shape (n, in_features), or (in_features,) for one sample
            Numbers of any real dtype, converted slice by slice if it is not the model's.
        kind : "raw", "mean" or "label"
            f(x); what f(x) says of the target's mean (the probability of a 1 after ``log_loss``, of each class after
            ``cross_entropy``); or the decision: one of the two labels that were trained on, or after
            ``cross_entropy`` the index of a class. The last two need a trained model, which knows its loss.

        Returns
        -------
        array of shape (n, out_features), or (out_features,) for one sample
            Without its last axis if there is one output and the model was last trained on targets of shape (n,), and
            for indices of classes.

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
        y, single = self._raw(X)
        drop_axis = self._vector_target and self.out_features == 1
        if kind == "mean" and loss is not None:
            y = loss.mean(y)
        elif kind == "label" and loss is not None:
            y = loss.label(y)
            y = 2 * y - 1 if self._signed_labels else y
            drop_axis = drop_axis or loss.targets == "classes"
        y = y[:, 0] if drop_axis else y
        return y[0] if single else y

    def _raw(self, X: npt.ArrayLike) -> tuple[Array, bool]:
        # f(x) for every row, (n, K), and whether X was one sample
        rows, single = data.samples("X", X, self.in_features, self.dtype)
        return engine.predict(self, rows), single

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return the raw predictions: (K,) for a vector, (n, K) for a matrix."""
        return self.predict(x)

    def to_torch(self) -> Any:
        """Return the same network in torch: an ``nn.Sequential`` of ``nn.Linear`` and activations.

        Its parameters share their memory with ``params``, so that training either moves both, until the module is
        moved or converted (``.to``, ``.double``), which gives it memory of its own.

        Raises
        ------
        ImportError
            torch is not installed; ``pip install 'fastgd[torch]'`` brings it.

        Examples
        --------
        >>> import fastgd
        >>> fastgd.MLP([3, 4, 2], activation="tanh").to_torch()
        Sequential(
          (0): Linear(in_features=3, out_features=4, bias=True)
          (1): Tanh()
          (2): Linear(in_features=4, out_features=2, bias=True)
        )
        """
        torch = extras.need("torch", extra="torch", what="to_torch")
        modules: list[Any] = []
        for number, (weight, bias) in enumerate(layout.layers(self, torch.from_numpy(self._params))):
            if number:
                activation = self.activations[number - 1]
                options = {key: value for key, value in to_json(activation).items() if key != "name"}
                modules.append(getattr(torch.nn, activation.torch_module)(**options))
            # "meta" takes neither memory nor random numbers; `data` gives each parameter a version of its own, or
            # autograd would take a change of one for a change of all
            layer = torch.nn.Linear(*reversed(weight.shape), bias=self.has_bias, device="meta", dtype=weight.dtype)
            layer.weight = torch.nn.Parameter(weight.data)
            layer.bias = torch.nn.Parameter(bias.data) if self.has_bias else None
            modules.append(layer)
        return torch.nn.Sequential(*modules)

    def config(self) -> dict[str, Any]:
        """Return what is needed to make this model again, its parameters apart, as JSON can hold it.

        A loss that cannot be described by its name, such as one of the user's own, is left out.
        """
        described = None
        if self.loss is not None:
            with suppress(TypeError):
                described = to_json(self.loss)
        return {
            **self._shape_config(),
            "bias": self.has_bias,
            "dtype": self.dtype.name,
            "loss": described,
            "vector_target": self._vector_target,
            "signed_labels": self._signed_labels,
        }

    def _shape_config(self) -> dict[str, Any]:
        described = [to_json(activation) for activation in self.activations]
        return {"class": "MLP", "sizes": list(self.sizes), "activations": described}

    def remember(self, loss: losses.Loss | None, vector_target: bool, signed_labels: bool) -> None:
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
        self._params = layout.empty(self, self.dtype)
        self._params[:] = state["_params"]
        self._hold = engine.Hold()

    def __repr__(self) -> str:
        choices = list(self.activations)
        activation = choices[0] if len(set(choices)) == 1 else choices
        return f"MLP({list(self.sizes)}, activation={activation}, bias={self.has_bias}, dtype={self.dtype.name!r})"


class Linear(MLP):
    """A linear map with K outputs, f(x) = W x + b: a network with no hidden layer.

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
        sizes = (check_count("in_features", in_features), check_count("out_features", out_features))
        super().__init__(sizes, bias=bias, dtype=dtype, seed=seed)

    @classmethod
    def zeros(cls, in_features: int, out_features: int, bias: bool = True, dtype: npt.DTypeLike = "float64") -> Self:
        """Return a model whose parameters are zero; nothing is drawn for them."""
        made = cls.__new__(cls)
        made._describe((in_features, out_features), (), bias, dtype)
        return made

    @property
    def weight(self) -> Array:
        """W, of shape (out_features, in_features), a view of ``params``."""
        return self.weights[0]

    @weight.setter
    def weight(self, value: npt.ArrayLike) -> None:
        self._assign("weight", self.weight, value)

    @property
    def bias(self) -> Array | None:
        """b, of shape (out_features,), a view of ``params``; None for a model without."""
        return self.biases[0] if self.has_bias else None

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
        return {name.removeprefix("0."): array for name, array in super().named_parameters(flat).items()}

    def to_torch(self) -> Any:
        """Return the same map in torch, an ``nn.Linear`` that shares its memory with ``params``."""
        return super().to_torch()[0]

    def _shape_config(self) -> dict[str, Any]:
        return {"class": "Linear", "in_features": self.in_features, "out_features": self.out_features}

    def __repr__(self) -> str:
        size = f"{self.in_features}, {self.out_features}"
        return f"Linear({size}, bias={self.has_bias}, dtype={self.dtype.name!r})"


def from_config(config: Mapping[str, Any]) -> MLP:
    """Make a model, its parameters still to be filled in, from what :meth:`MLP.config` returned.

    Raises
    ------
    ValueError, KeyError, TypeError
        The description is not one of a model.
    """
    model: MLP
    if config["class"] == "Linear":
        model = Linear(config["in_features"], config["out_features"], config["bias"], config["dtype"])
    elif config["class"] == "MLP":
        chosen = [from_json("activation", activations.registry, described) for described in config["activations"]]
        model = MLP(config["sizes"], chosen, config["bias"], config["dtype"])
    else:
        raise ValueError(f"model class {config['class']!r} is not known; allowed are 'Linear' and 'MLP'")
    loss = None if config["loss"] is None else from_json("loss", losses.registry, config["loss"])
    model.remember(loss, config["vector_target"], config["signed_labels"])
    return model
