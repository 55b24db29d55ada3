"""SGDRegressor: linear regression by stochastic gradient descent, with scikit-learn's numbers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score
from sklearn.utils import assert_all_finite
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from fastgd import data, losses
from fastgd.estimators import few_rows, held_out, order, settings
from fastgd.estimators.base import BaseSGD, Task
from fastgd.estimators.given import Given, checked
from fastgd.estimators.held_out import Validation
from fastgd.estimators.loop import Score
from fastgd.estimators.weights import Weights

Array = npt.NDArray[Any]


class SGDRegressor(RegressorMixin, BaseSGD):
    """Linear regression by stochastic gradient descent: scikit-learn's SGDRegressor on compiled loops.

    With f(x) = w · x + b it minimises (1/n) Σ_i s_i C(f(x_i), y_i) + P(w), P(w) = α ((1 − ρ)/2 ‖w‖² + ρ ‖w‖₁), by the
    update w ← w − λ (s_i ∂C/∂f x_i + ∂P/∂w) for each row i.

    Parameters
    ----------
    loss : str or Loss, default "squared_error"
        C: "squared_error", "huber", "epsilon_insensitive" or "squared_epsilon_insensitive"; "quantile" (the median),
        "poisson", "gamma" or "tweedie", or an instance of any loss of ``fastgd.losses`` for real, non-negative or
        positive targets, such as ``Quantile(tau=0.9)``. For all but the first four y may be (n, K), for K outputs in
        one model; squared error for many outputs is ``fastgd.losses.SquaredError()``.
    penalty : {"l2", "l1", "elasticnet"} or None, default "l2"
        P(w) below; with an L1 part weights become exactly zero.
    alpha : float, default 1e-4
        α ≥ 0, the strength of the penalty; ``optimal`` goes by it too, and then it is above 0.
    l1_ratio : float or None, default 0.15
        ρ in [0, 1], the part of L1 in "elasticnet", which alone uses it.
    fit_intercept : bool, default True
        Whether b is learned; otherwise it stays at ``intercept_init``, or 0.
    max_iter : int, default 1000
        The most epochs of a fit.
    tol : float or None, default 1e-3
        A fit ends when ``n_iter_no_change`` epochs in a row have not brought the objective, or under
        ``early_stopping`` the score, past the best before by ``tol``; None is never.
    shuffle : bool, default True
        Whether each epoch visits the rows in a new order.
    verbose : int, default 0
        Above 0, each epoch prints its norm, loss and objective.
    epsilon : float, default 0.1
        ≥ 0, in units of y: the error that the "epsilon_insensitive" losses take for none, and δ of "huber".
    random_state : int, RandomState or None
        From which the seed of the orders is drawn, as scikit-learn draws it.
    learning_rate : str, default "invscaling"
        λ of update t: "constant" eta0; "optimal" 1 / (α (t₀ + t − 1)); "invscaling" eta0 / t^power_t; "adaptive" eta0,
        divided by 5 where the fit would end, until it is 1e-6; "pa1" and "pa2", passive-aggressive steps, with
        loss="epsilon_insensitive" only, whose aggressiveness is eta0.
    eta0 : float, default 0.01
        Above 0; see ``learning_rate``.
    power_t : float, default 0.25
        The exponent of "invscaling".
    early_stopping : bool, default False
        Whether a fit ends by the score of rows that are not trained on: ``X_val``, or a part of X.
    validation_fraction : float, default 0.1
        In (0, 1), the part of X that is held out for it.
    n_iter_no_change : int, default 5
        See ``tol``.
    warm_start : bool, default False
        Whether a fit starts from the weights of the last.
    average : bool or int, default False
        Whether ``coef_`` is the mean of the iterates, or the update from which on they count.
    optimizer : str or Optimizer, optional
        Any of ``fastgd.optimizers``, in place of plain SGD; one given by its name has the rate eta0. Its steps are
        fastgd's own: rows of weight zero are passed over, and intercepts move as weights do. An L1 part of the penalty
        goes with plain SGD alone; FTRL, AdamW and a ``weight_decay`` need penalty=None. What it remembers lasts over
        the calls of partial_fit; a fit begins anew.
    clip_value, clip_norm : float, optional
        The largest size of each number of an update's gradient, and of its norm. Clipped values make steps fastgd's
        own.
    intercept_decay : "auto" or float, default "auto"
        By which every move of b is multiplied: 0.01 on sparse rows and 1 on dense ones, as in scikit-learn, or this.
    skip_zero_weight : bool, default False
        Whether rows of weight zero are as if they were not there. In scikit-learn they decay weights and count as
        updates.
    callbacks : sequence of callables, default ()
        Each is called after every epoch of a fit with a :class:`fastgd.History`, whose ``val_loss`` is 1 − score; one
        that returns True ends the fit. Callbacks of scikit-learn's protocol are given to ``set_callbacks``: a fit has
        a task for each epoch.
    progress : bool, default False
        Whether a fit shows a progress bar (needs tqdm: ``pip install 'fastgd[cli]'``).

    Attributes
    ----------
    coef_ : array of shape (d,), or (K, d) for y of shape (n, K)
    intercept_ : array of shape (1,), or (K,)
    n_iter_ : int
        The epochs of the last call.
    t_ : float
        1 + the rows visited since the beginning of the last fit.
    loss_curve_ : list of float
        The objective of each epoch of the last fit, each row's taken before its update.
    validation_curve_ : list of float
        The score (R²) after each epoch of a fit, and after each partial_fit with ``X_val``.
    converged_ : bool
        Whether patience has come to its end: ``n_iter_no_change`` epochs, or calls of partial_fit with ``X_val``.
    n_features_in_, feature_names_in_
        The number of columns of X, and their names if they have any.

    Raises
    ------
    ValueError, TypeError
        Of ``fit`` and ``partial_fit``: parameters or data that are not allowed, by scikit-learn's messages where it has
        any; choices that don't go together.
    fastgd.DivergenceError
        Of the same: the loss or a weight is no longer finite. The estimator keeps the last finite weights, as it keeps
        what it has learned when it is interrupted with Ctrl-C.

    Notes
    -----
    The same ``random_state`` visits rows in the same order as scikit-learn, so that coefficients agree to rounding.
    What differs: on sparse rows scikit-learn's objective has the norm of the coordinates that the last row touched, and
    this one the norm of all weights, so that fits with ``tol`` may end in other epochs; and fits on rows in float32 are
    in float32 throughout, ``intercept_`` included.

    References
    ----------
    L. Bottou, Stochastic gradient descent tricks, in Neural networks: tricks of the trade, Springer 2012.
    K. Crammer et al., Online passive-aggressive algorithms, JMLR 7 (2006), 551-585.
    Y. Tsuruoka et al., Stochastic gradient descent training for L1-regularized log-linear models with cumulative
    penalty, ACL 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd.estimators import SGDRegressor
    >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> model = SGDRegressor(alpha=0, tol=1e-6, random_state=0).fit(X, 3 * X[:, 0] + 1)
    >>> model.coef_.round(2), model.intercept_.round(2), model.loss_curve_[-1] < model.loss_curve_[0]
    (array([2.99]), array([1.]), True)
    >>> many = SGDRegressor("poisson", random_state=0).fit(X, np.exp(np.column_stack((X, -X))))
    >>> many.coef_.shape, many.predict(X).shape
    ((2, 1), (200, 2))
    """

    loss_functions: ClassVar[dict[str, tuple[Any, ...]]] = settings.REGRESSION

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseSGD._supervised_constraints,
        "loss": [StrOptions({*settings.REGRESSION, *settings.MORE_REGRESSION}), losses.Loss],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        *,
        penalty: Any = "l2",
        alpha: Any = 0.0001,
        l1_ratio: Any = 0.15,
        fit_intercept: Any = True,
        max_iter: Any = 1000,
        tol: Any = 1e-3,
        shuffle: Any = True,
        verbose: Any = 0,
        epsilon: Any = 0.1,
        random_state: Any = None,
        learning_rate: Any = "invscaling",
        eta0: Any = 0.01,
        power_t: Any = 0.25,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        n_iter_no_change: Any = 5,
        warm_start: Any = False,
        average: Any = False,
        optimizer: Any = None,
        clip_value: Any = None,
        clip_norm: Any = None,
        intercept_decay: Any = "auto",
        skip_zero_weight: Any = False,
        callbacks: Any = (),
        progress: Any = False,
    ) -> None:
        self._set_parameters(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        coef_init: Any = None,
        intercept_init: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> SGDRegressor:
        """Learn from rows, from the beginning or, with ``warm_start``, from the weights of the last fit.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
            Float32 and float64 are taken as they are, without a copy if they are C-contiguous.
        y : array of shape (n,), or (n, K): see ``loss``
        coef_init, intercept_init : arrays, optional
            To begin from, shaped like ``coef_`` and ``intercept_``.
        sample_weight : array of shape (n,), optional
            s, factors of the losses.
        X_val, y_val, sample_weight_val : arrays, optional
            Rows to score after each epoch; ``early_stopping`` goes by them and holds none of X out.

        Returns
        -------
        self
        """
        self._more_validate_params()
        warm = bool(self.warm_start) and getattr(self, "coef_", None) is not None
        rows = checked(self, X, y, sample_weight, reset=not warm, **self._target_options())
        if warm:
            restarted = self._restarted()
            coef_init = restarted[0] if coef_init is None else coef_init
            intercept_init = restarted[1] if intercept_init is None else intercept_init
        outputs, flat = self._shape(rows.y)
        weights = self._begin(outputs, rows.X, coef_init, intercept_init, flat=flat)
        validation = self._given_validation(X_val, y_val, sample_weight_val, rows.y)
        self._run(rows, weights, validation, fitting=True)
        self._warn()
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> SGDRegressor:
        """Learn from rows in one epoch, from where the last call ended.

        A row of the dtype of ``coef_`` takes some microseconds; up to a thousand rows go a short way too.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
        y : array of shape (n,), or (n, K)
        sample_weight : array of shape (n,), optional
            s, factors of the losses.
        X_val, y_val, sample_weight_val : arrays, optional
            Rows to score afterwards: ``validation_curve_`` takes the score, and ``converged_`` becomes True when
            ``n_iter_no_change`` calls in a row have not brought it above the best before by ``tol``.

        Returns
        -------
        self
        """
        live = self.__dict__.get("_live")
        alone = sample_weight is X_val is y_val is sample_weight_val is None
        if alone and live is not None and live.takes(self, X):
            targets = few_rows.labels(y, len(X))
            if targets is not None and live.step(self, X, [targets], self._seeds(len(X))):
                return self
        first = getattr(self, "coef_", None) is None
        self._check_first(first)
        rows = checked(self, X, y, sample_weight, reset=first, **self._target_options())
        outputs, flat = self._shape(rows.y)
        weights = self._begin(outputs, rows.X, flat=flat) if first else self._weights()
        if flat != weights.flat or outputs != weights.outputs:
            allowed = f"({len(rows.y)},)" if weights.flat else f"({len(rows.y)}, {weights.outputs})"
            raise ValueError(f"y has shape {rows.y.shape}; allowed is {allowed}, with as many outputs as before")
        self._given_validation(X_val, y_val, sample_weight_val, rows.y)  # which refuses what is wrong
        self._run(rows, weights, None, fitting=False)
        self._follow(X_val, y_val, sample_weight_val)
        return self

    @staticmethod
    def _shape(y: Array) -> tuple[int, bool]:
        # the outputs, and whether they are one that is shown without its dimension
        return (1 if y.ndim == 1 else y.shape[1]), y.ndim == 1

    def _run(self, rows: Given, weights: Weights, validation: Validation | None, *, fitting: bool) -> None:
        X, y, loss, dtype = rows.X, rows.y, self._loss(), weights.coef.dtype
        if self._may_have_outputs:
            T, _ = data.targets("y", y, len(y), weights.outputs, loss, dtype)
        else:
            T = y.astype(dtype, copy=False).reshape(len(y), 1)
            if y.dtype.kind == "O":
                assert_all_finite(T, input_name="y")
        row_weights = self._row_weights(rows.sample_weight, X, dtype)
        part = self._part(row_weights)
        mask, seed = order.regression(self.random_state, held_out.splitter(self, y, row_weights, part, validation))
        validation = validation or held_out.taken_out(X, T if y.ndim > 1 else T[:, 0], row_weights, mask)
        some_zero, score = row_weights is not None and not row_weights.all(), self._score(validation, loss, y.ndim)
        task = Task(slice(0, weights.outputs), lambda: (T, row_weights), some_zero, seed, score)
        self._learn(rows, loss, weights, [task], fitting=fitting, part=part, held_out=mask)

    def _score(self, validation: Validation | None, loss: losses.Loss, dimensions: int) -> Score | None:
        if validation is None:
            return None
        given = validation

        def score(coef: Array, intercept: Array) -> float:
            mean = self._mean(safe_sparse_dot(given.X, coef.T, dense_output=True) + intercept, loss)
            return float(r2_score(given.y, mean if dimensions > 1 else mean[:, 0], sample_weight=given.sample_weight))

        return held_out.scorer(self, given, score, RegressorMixin.score, flat=dimensions == 1)

    def _more_validate_params(self, for_partial_fit: bool = False) -> None:
        super()._more_validate_params(for_partial_fit)
        if self._loss().targets not in ("real", "non-negative", "positive"):
            raise ValueError(f"loss={self.loss!r} is for classes; allowed are losses for numbers")

    def _loss(self) -> losses.Loss:
        return settings.loss_of(self.loss, self.epsilon)

    def _seeds(self, rows: int) -> list[int] | None:
        # of partial_fit on a few rows; a generator that is given is drawn from even where there is nothing to shuffle
        if rows == 1 and not isinstance(self.random_state, np.random.RandomState):
            return None
        seed = order.regression(self.random_state, lambda: None)[1]
        return [seed] if self.shuffle else None

    def _target_options(self) -> dict[str, Any]:
        return {"multi_output": self._may_have_outputs}

    @property
    def _may_have_outputs(self) -> bool:
        # scikit-learn's losses have one output, as there
        return not isinstance(self.loss, str) or self.loss in settings.MORE_REGRESSION

    def _restarted(self) -> tuple[Any, Any]:
        # from the last iterate, where the mean is shown
        if "_standard_coef" in self.__dict__:
            return self._standard_coef, self._standard_intercept
        return super()._restarted()

    @staticmethod
    def _mean(raw: Array, loss: losses.Loss) -> Array:
        return raw if loss.targets == "real" else loss.mean(raw)

    def predict(self, X: Any) -> Array:
        """Return predictions of y: f(x), or its mean e^f(x) after "poisson", "gamma" and "tweedie".

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)

        Returns
        -------
        array of shape (n,), or (n, K)
        """
        known = self.__dict__
        coef: Any = known.get("coef_")
        if few_rows.few(X, coef, known):
            scores = X.dot(coef.T) + self.intercept_
        else:
            check_is_fitted(self)
            X = validate_data(self, X, accept_sparse="csr", reset=False)
            scores = safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_
        if self.loss in self.loss_functions:
            return scores.ravel() if scores.ndim > 1 else scores
        return self._mean(scores, self._loss())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self._may_have_outputs
        return tags
