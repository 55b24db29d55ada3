"""MLPRegressor and MLPClassifier: scikit-learn's estimators on compiled networks, trained a sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from fastgd import losses
from fastgd.estimators.network_base import Network
from fastgd.history import History

__all__ = ["MLPClassifier", "MLPRegressor"]

Array = npt.NDArray[Any]


class MLPClassifier(ClassifierMixin, Network):
    """A network that learns classes, with scikit-learn's parameters, trained a sample at a time unless told otherwise.

    Hidden layers map a to φ(W a + b), and the last to p = softmax(W a + b), or with two classes and for several labels
    at once p = σ(W a + b). An update on n rows follows the gradient of Σᵢ Cᵢ / n + α/(2n) Σ W², with
    C = −Σ_k t_k log p_k, and besides −(1 − t_k) log(1 − p_k) for σ. Initial weights, the order of rows and steps are
    those of scikit-learn 1.9 for the same ``random_state``, so that the weights are equal to rounding.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
        Units of each hidden layer.
    activation : {"identity", "logistic", "tanh", "relu"}, default "relu"
        φ.
    solver : {"sgd", "adam"}, default "adam"
        There is no ``"lbfgs"``, nor its ``max_fun``.
    alpha : float, default 0.0001
        α ≥ 0. With plain SGD no rate × α/n above 1 turns a weight's sign, as it would there.
    batch_size : int or "auto", default 1
        n, the rows of an update. ``"auto"``, the default there, is 200. At most all rows.
    learning_rate : {"constant", "invscaling", "adaptive"}, default "constant"
        SGD's rate after each epoch: the same; λ₀ / (t + 1)^p after t rows; or a fifth of it whenever there would be a
        stop, down to 1e-6.
    learning_rate_init : float, default 0.001
        λ₀ > 0.
    power_t : float, default 0.5
        p ≥ 0.
    max_iter : int, default 200
        The most epochs.
    shuffle : bool, default True
        Whether each epoch has an order of its own.
    random_state : int, RandomState or None, default None
        Of the initial weights, a split and the orders.
    tol : float, default 1e-4
        The progress in the loss, or in the score with ``early_stopping``, that counts.
    verbose : bool, default False
        Whether to print each epoch's loss.
    warm_start : bool, default False
        Whether :meth:`fit` goes on from the weights that there are.
    momentum : float, default 0.9
        In [0, 1], of SGD.
    nesterovs_momentum : bool, default True
        Whether it is Nesterov's.
    early_stopping : bool, default False
        Whether the score on rows held out, the share of right labels, decides when to stop and which weights to keep.
    validation_fraction : float, default 0.1
        In [0, 1), the share of the rows that is held out if none are given to :meth:`fit`.
    beta_1, beta_2 : float, default 0.9 and 0.999
        In [0, 1), of Adam.
    epsilon : float, default 1e-8
        Of Adam, beside √v before its correction; in ``fastgd.Adam`` it stands beside √v̂.
    n_iter_no_change : int or inf, default 10
        Epochs in a row without progress that are allowed.
    callbacks : list or tuple of callables, default ()
        Each is called after each epoch with a :class:`fastgd.History`, whose ``loss`` is ``loss_curve_``; one that
        returns True stops the training.
    progress : bool, default False
        Whether to show a bar.

    Attributes
    ----------
    coefs_ : list of arrays (inputs, outputs)
        W of each layer, transposed; may be assigned.
    intercepts_ : list of arrays (outputs,)
        b of each layer; may be assigned.
    classes_ : array
        The labels, sorted.
    loss_, best_loss_ : float
        The objective in the last epoch, the mean over its batches of what each was before its update, and the lowest
        one; with ``early_stopping`` the latter is None.
    loss_curve_ : list of float
        The objective in each epoch.
    validation_scores_ : list of float or None
        The score after each epoch.
    best_validation_score_ : float or None
        The highest of them, with ``early_stopping``.
    n_iter_, t_ : int
        Epochs of the last call, and rows visited since the first weights.
    n_layers_, n_outputs_ : int
        Layers, that of the inputs counted, and K.
    out_activation_ : str
        ``"softmax"`` or ``"logistic"``.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : array of str
        Their names, if X has them.

    Notes
    -----
    With ``sample_weight`` an update follows (Σ wᵢ Cᵢ + α/2 Σ W²) / Σ wᵢ of its batch. In a batch of one the weight
    would cancel, as it does there; so with ``batch_size=1`` the mean weight of all rows takes the place of Σ wᵢ. A
    batch without weight is left out. Losses are exact where scikit-learn clips probabilities at the last bit.
    Where training leaves the finite numbers, the last finite network is kept and the error names the row.

    References
    ----------
    X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd.estimators import MLPClassifier
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> y = np.where(np.abs(X[:, 0]) < 0.5, "inner", "outer")
    >>> network = MLPClassifier(hidden_layer_sizes=10, learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> network.predict([[-0.9], [0.1], [0.9]]).tolist()
    ['outer', 'inner', 'outer']
    """

    loss = "log_loss"
    classes_: Array

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one epoch on the rows of X, with the optimizer as earlier calls left it.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.
        classes : array of shape (n_classes,), optional
            All labels that will come, needed in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`; or ``early_stopping=True``, no ``classes`` in the first call, or labels outside them.
        """
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        return self._fit(X, y, sample_weight, None, incremental=True)

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
            Its rows sum to 1, but where each class is a label of its own (multilabel).
        """
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of :meth:`predict_proba`.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
        """
        proba = self.predict_proba(X)
        return np.log(proba, out=proba)

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        if incremental and not (reset or self.warm_start) and self._few(X) and self._few_labels(X, y):
            return X, np.asarray(y[:, None] == (self.classes_[1:] if self.n_outputs_ == 1 else self.classes_))
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, dtype=(np.float64, np.float32), reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_labels(unique_labels(y))
        return X, self._label_binarizer.transform(y).astype(bool)

    def _few_labels(self, X: Array, y: Any) -> bool:
        classes = self.classes_
        plain = type(y) is np.ndarray and y.dtype == classes.dtype and y.shape == (len(X),) and len(classes) > 1
        return plain and bool((classes[np.searchsorted(classes, y).clip(max=len(classes) - 1)] == y).all())

    def _check_labels(self, labels: Array) -> None:
        if self.warm_start and set(labels) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {labels}"
            )
        if np.setdiff1d(labels, self.classes_, assume_unique=True).size:
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {labels}."
            )

    def _decide(self, outputs: Array) -> Array:
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return self._label_binarizer.inverse_transform(outputs)
        places = outputs[:, 0] > 0.5 if self.n_outputs_ == 1 else outputs.argmax(axis=1)
        return self.classes_.take(places, mode="clip")

    def _metric(self, y: Array, predicted: Array, sample_weight: Any) -> float:
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def _validation_targets(self, y: Array) -> Array:
        return self._label_binarizer.inverse_transform(y)

    def _loss(self) -> losses.Loss:
        return losses.get("cross_entropy" if self._label_binarizer.y_type_ == "multiclass" else "log_loss")

    def _targets(self, y: Array) -> Array:
        return y.argmax(axis=1) if self._label_binarizer.y_type_ == "multiclass" else y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, Network):
    """A network that learns numbers, with scikit-learn's parameters, trained a sample at a time unless told otherwise.

    It is a :class:`MLPClassifier` with another last layer and loss. For ``"squared_error"`` the prediction is
    f = W a + b and C = Σ_k (f_k − t_k)²/2, of which the reported loss is the mean over the K outputs. For ``"poisson"``
    it is m = e^(W a + b), and C = Σ_k m_k − t_k + t_k log(t_k / m_k), half the deviance of counts.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, default "squared_error"
        C; the targets of ``"poisson"`` are at least 0.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, \
shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, \
beta_1, beta_2, epsilon, n_iter_no_change, callbacks, progress
        As in :class:`MLPClassifier`; the score of ``early_stopping`` is R².

    Attributes
    ----------
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, n_iter_, t_, \
n_layers_, n_outputs_, n_features_in_, feature_names_in_
        As in :class:`MLPClassifier`.
    out_activation_ : str
        ``"identity"`` or ``"exp"``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd.estimators import MLPRegressor
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> network = MLPRegressor(hidden_layer_sizes=10, learning_rate_init=0.01, random_state=0).fit(X, np.abs(X[:, 0]))
    >>> float(network.predict([[-0.5]]).round(1)[0])
    0.5
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **Network._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss: str = "squared_error",
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
        super().__init__(
            hidden_layer_sizes, activation, solver=solver, alpha=alpha, batch_size=batch_size,
            learning_rate=learning_rate, learning_rate_init=learning_rate_init, power_t=power_t, max_iter=max_iter,
            shuffle=shuffle, random_state=random_state, tol=tol, verbose=verbose, warm_start=warm_start,
            momentum=momentum, nesterovs_momentum=nesterovs_momentum, early_stopping=early_stopping,
            validation_fraction=validation_fraction, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon,
            n_iter_no_change=n_iter_no_change, callbacks=callbacks, progress=progress,
        )  # fmt: skip
        self.loss = loss

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch on the rows of X, with the optimizer as earlier calls left it.

        Parameters
        ----------
        X, y, sample_weight
            As in :meth:`fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`; or ``early_stopping=True``.
        """
        return self._fit(X, y, sample_weight, None, incremental=True)

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        if incremental and not reset and self._few(X) and self._few_targets(X, y):
            return X, y.reshape(len(y), -1)
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, y_numeric=True, dtype=(np.float64, np.float32),
            reset=reset,
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y.reshape(len(y), -1)

    def _few_targets(self, X: Array, y: Any) -> bool:
        plain = type(y) is np.ndarray and y.dtype.kind == "f" and y.shape in ((len(X),), (len(X), self.n_outputs_))
        return plain and bool(np.isfinite(y).all())

    def _decide(self, outputs: Array) -> Array:
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _metric(self, y: Array, predicted: Array, sample_weight: Any) -> float:
        return float(r2_score(y, predicted, sample_weight=sample_weight)) if np.isfinite(predicted).all() else np.nan

    def _loss(self) -> losses.Loss:
        return losses.get(self.loss)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
