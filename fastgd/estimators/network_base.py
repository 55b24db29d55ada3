"""What the two network estimators share: parameters, initial weights, the course of a fit, predictions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, _fit_context, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastgd import data, engine, losses
from fastgd.estimators.network_course import Course, Validation
from fastgd.estimators.network_training import Epochs, Solver
from fastgd.history import History
from fastgd.model import MLP
from fastgd.optimizers import SGD, Adam

__all__ = ["Network"]

Array = npt.NDArray[Any]

FEW = 4096  # numbers in an X that is checked here instead of by scikit-learn, which takes a hundred times as long
OUT_ACTIVATIONS = {"squared_error": "identity", "poisson": "exp", "log_loss": "logistic", "cross_entropy": "softmax"}


class Network(Course, BaseEstimator):
    """The part of :class:`MLPRegressor` and :class:`MLPClassifier` that is the same for both."""

    loss: str

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"identity", "logistic", "tanh", "relu"})],
        "solver": [StrOptions({"sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "callbacks": [list, tuple],
        "progress": ["boolean"],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = 1,
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        callbacks: Sequence[Callable[[History], Any]] = (),
        progress: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.callbacks = callbacks
        self.progress = progress

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:  # fmt: skip
        """Train on the rows of X.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
            Read in place if it is C-contiguous or CSR, and float64 or float32, which is the dtype of the network then.
        y : array of shape (n_samples,) or (n_samples, n_outputs)
            Numbers to predict; labels, or for several at once indicators of shape (n_samples, n_classes).
        sample_weight : array of shape (n_samples,), optional
            Weights of the losses, at least 0.
        X_val, y_val, sample_weight_val : arrays, optional
            Rows to score after each epoch, into ``validation_scores_``. With ``early_stopping`` they take the place of
            those that are otherwise split off.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            A parameter or data of a kind that is not allowed.
        fastgd.DivergenceError
            The loss or a weight is not finite; the last finite network is kept. With ``early_stopping`` there is a
            warning instead, and the best network so far is kept.

        Notes
        -----
        After an interruption (Ctrl-C) there is a warning, and what was learnt is kept.
        """
        if (X_val is None) != (y_val is None) or (X_val is None and sample_weight_val is not None):
            raise ValueError("X_val and y_val go together, and sample_weight_val with them; one of them is missing")
        return self._fit(X, y, sample_weight, None if X_val is None else (X_val, y_val, sample_weight_val))

    def predict(self, X: Any) -> Array:
        """Return predictions for the rows of X.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_outputs)
            Labels of a classifier; of a regressor numbers, in the dtype that it was trained in.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError
            There was no training, or X has other columns or numbers that are not finite.
        """
        return self._decide(self._outputs(X))

    def _validate_params(self) -> None:
        if isinstance(self.solver, str) and self.solver == "lbfgs":
            raise ValueError(
                "solver='lbfgs' is not offered: fastgd trains by stochastic gradients; allowed are 'sgd' and 'adam'. "
                f"For 'lbfgs' take sklearn.neural_network.{type(self).__name__}"
            )
        super()._validate_params()

    # -------------------------------------------------------------------------------- what the two kinds do themselves

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        # X, and y as the outputs are to be (n, K)
        raise NotImplementedError

    def _decide(self, outputs: Array) -> Array:
        # predictions from outputs (n, K)
        raise NotImplementedError

    def _metric(self, y: Array, predicted: Array, sample_weight: Any) -> float:
        raise NotImplementedError

    def _score(self, X: Any, y: Array, sample_weight: Any) -> float:
        return self._metric(y, self._decide(self._outputs(X, checked=True)), sample_weight)

    def _validation_targets(self, y: Array) -> Array:
        # as `_metric` takes them, from what `_validate_input` returned
        return y

    def _loss(self) -> losses.Loss:
        raise NotImplementedError

    def _targets(self, y: Array) -> Array:
        # as the core's loss takes them
        return y

    # ----------------------------------------------------------------------------------------------------- the network

    def _network(self) -> MLP:
        # the compiled network of which coefs_ and intercepts_ are views, made again after they were assigned
        net, views, activation = self.__dict__.get("_compiled") or (None, [], None)
        given = [*self.coefs_, *self.intercepts_]
        same = len(given) == len(views) and all(a is b for a, b in zip(given, views, strict=True))
        if net is None or not same or activation != self.activation:
            sizes = [len(self.coefs_[0]), *map(len, self.intercepts_)]
            net = MLP(sizes, self.activation, dtype=self.coefs_[0].dtype)
            self._show(net)
            for view, array in zip([*self.coefs_, *self.intercepts_], given, strict=True):
                view[...] = array
        return net

    def _show(self, net: MLP) -> None:
        self.coefs_, self.intercepts_ = [weight.T for weight in net.weights], list(net.biases)
        self._compiled = (net, [*self.coefs_, *self.intercepts_], self.activation)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {key: value for key, value in state.items() if key != "_compiled"}

    def _few(self, X: Any) -> bool:
        # whether X is few rows that are as they must be; that they are not is for scikit-learn to say
        net = self._network()
        return bool(
            type(X) is np.ndarray and X.dtype == net.dtype and X.shape[1:] == (net.in_features,)
            and 0 < X.size <= FEW and not hasattr(self, "feature_names_in_") and np.isfinite(X).all()
        )  # fmt: skip

    def _outputs(self, X: Any, checked: bool = False) -> Array:
        # after the last activation (n, K)
        if "coefs_" not in self.__dict__:
            check_is_fitted(self)
        net = self._network()
        if not (checked or self._few(X)):
            X = validate_data(self, X, accept_sparse="csr", reset=False)
        rows, _ = data.samples("X", X, net.in_features, net.dtype)
        return self._loss().mean(engine.predict(net, rows))

    # -------------------------------------------------------------------------------------------------------- training

    def _initialise(self, sizes: list[int], dtype: Any, rng: np.random.RandomState) -> None:
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(sizes)
        self.out_activation_ = OUT_ACTIVATIONS[self._loss().name]
        net = MLP(sizes, self.activation, dtype=dtype)
        self._show(net)
        factor = 2.0 if self.activation == "logistic" else 6.0
        for (fan_in, fan_out), coef, intercept in zip(pairwise(sizes), self.coefs_, self.intercepts_, strict=True):
            bound = np.sqrt(factor / (fan_in + fan_out))
            coef[...] = rng.uniform(-bound, bound, coef.shape)
            intercept[...] = rng.uniform(-bound, bound, intercept.shape)
        self.loss_curve_: list[float] = []
        self._no_improvement_count = 0
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None
        self.best_loss_: float | None = None if self.early_stopping else np.inf

    def _make_solver(self) -> Solver:
        rate, momentum = float(self.learning_rate_init), float(self.momentum)
        if self.solver == "adam":
            return Solver(Adam(rate, (float(self.beta_1), float(self.beta_2)), float(self.epsilon)), "constant", 0.0)
        nesterov = bool(self.nesterovs_momentum) and momentum > 0
        return Solver(SGD(rate, momentum, nesterov=nesterov), self.learning_rate, float(self.power_t))

    def _fit(self, X: Any, y: Any, sample_weight: Any, given: Any, incremental: bool = False) -> Any:
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        hidden: Any = self.hidden_layer_sizes
        hidden = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
        if np.any(np.array(hidden) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._validate_input(X, y, incremental, reset=first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        sizes = [X.shape[1], *map(int, hidden), y.shape[1]]
        if not first and self._network().sizes != tuple(sizes):
            raise ValueError(
                f"the network has layers of {list(self._network().sizes)} units and goes on as it is; these "
                f"hidden_layer_sizes, X and y make {sizes}. Call fit with warm_start=False to begin anew"
            )
        loss, dtype = self._loss(), X.dtype if first else self._network().dtype
        rows = data.check_rows(X, self._targets(y), None, (sizes[0], sizes[-1]), dtype, loss, ("X", "y"))
        rng = check_random_state(self.random_state)
        if first:
            self.n_outputs_ = y.shape[1]
            self._initialise(sizes, dtype, rng)
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = self._make_solver()
        train, validation = self._split(X, y, sample_weight, given, rng)
        if sample_weight is not None and not sample_weight[train].any():
            raise ValueError("sample_weight has no weight above zero among the rows that are trained on")
        batch_size: Any = 200 if self.batch_size == "auto" else self.batch_size
        if self.batch_size != "auto" and batch_size > len(train):
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=4
            )
        net, size = self._network(), min(int(batch_size), len(train))
        with net.exclusively():
            epochs = Epochs(net, loss, self._optimizer, rows, sample_weight, size, float(self.alpha))
            self._run(epochs, train, validation, rng, incremental)
        return self

    def _split(
        self, X: Any, y: Array, sample_weight: Any, given: Any, rng: np.random.RandomState
    ) -> tuple[Array, Validation | None]:
        # the numbers of the rows to train on, and rows to score
        rows = np.arange(len(y))
        if given is not None:
            X_val, y_val, weight = given
            numeric = not is_classifier(self)
            X_val, y_val = validate_data(
                self, X_val, y_val, accept_sparse="csr", multi_output=True, y_numeric=numeric, reset=False
            )
            y_val = y_val[:, 0] if y_val.shape[1:] == (1,) else y_val
            return rows, (X_val, y_val, None if weight is None else _check_sample_weight(weight, X_val))
        if not self.early_stopping:
            return rows, None
        stratify = y if is_classifier(self) and self.n_outputs_ == 1 else None
        train, held_out = train_test_split(
            rows, random_state=rng, test_size=self.validation_fraction, stratify=stratify
        )
        if len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        weight = None if sample_weight is None else sample_weight[held_out]
        return train, (X[held_out], self._validation_targets(y[held_out]), weight)
