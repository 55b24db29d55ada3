"""SGDOneClassSVM: the linear one-class SVM by stochastic gradient descent, with scikit-learn's numbers."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import OutlierMixin, _fit_context
from sklearn.utils._param_validation import Hidden, Interval, StrOptions
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted, validate_data

from fastgd import losses
from fastgd.estimators import few_rows, order, settings
from fastgd.estimators.base import BaseSGD, Task
from fastgd.estimators.given import Given, checked
from fastgd.estimators.weights import Weights

Array = npt.NDArray[Any]

SIGNS = np.array([-1, 1], np.int32)  # of outliers and inliers


class SGDOneClassSVM(OutlierMixin, BaseSGD):
    """The linear one-class SVM by stochastic gradient descent: scikit-learn's SGDOneClassSVM on compiled loops.

    It minimises ν/2 ‖w‖² + ν b + (1/n) Σ_i s_i max(0, 1 − (w · x_i + b)) row by row, with b = 1 − ρ and ρ the offset; a
    row is an inlier where w · x ≥ ρ.

    Parameters
    ----------
    nu : float, default 0.5
        ν in (0, 1], a bound of the fraction of outliers from above and of support vectors from below.
    fit_intercept : bool, default True
        Whether ρ is learned; otherwise it stays at ``offset_init``, or 0.
    max_iter : int, default 1000
        The most epochs of a fit.
    tol : float or None, default 1e-3
        A fit ends when 5 epochs in a row have not brought the objective below the least before by ``tol``; None is
        never.
    shuffle : bool, default True
        Whether each epoch visits the rows in a new order.
    verbose : int, default 0
        Above 0, each epoch prints its norm, loss and objective.
    random_state : int, RandomState or None
        From which the seed of the orders is drawn, as scikit-learn draws it.
    learning_rate : {"constant", "optimal", "invscaling", "adaptive"}, default "optimal"
        λ of update t, as for :class:`SGDClassifier`, with ν for α.
    eta0 : float, default 0.01
        Above 0, the rate that "optimal" alone does not use.
    power_t : float, default 0.5
        The exponent of "invscaling".
    warm_start : bool, default False
        Whether a fit starts from the weights of the last.
    average : bool or int, default False
        Whether ``coef_`` is the mean of the iterates, or the update from which on they count.
    clip_norm : float, optional
        The largest norm of an update's gradient.
    intercept_decay : "auto" or float, default "auto"
        By which every move of b is multiplied: 0.01 on sparse rows and 1 on dense ones, as in scikit-learn, or this.
    skip_zero_weight : bool, default False
        Whether rows of weight zero are as if they were not there.
    callbacks : sequence of callables, default ()
        Each is called after every epoch of a fit with a :class:`fastgd.History`; one that returns True ends the fit.
        Callbacks of scikit-learn's protocol are given to ``set_callbacks``: a fit has a task for each epoch.
    progress : bool, default False
        Whether a fit shows a progress bar (needs tqdm: ``pip install 'fastgd[cli]'``).

    Attributes
    ----------
    coef_ : array of shape (d,)
    offset_ : array of shape (1,)
        ρ, which decision_function takes off.
    n_iter_ : int
        The epochs of the last call.
    t_ : float
        1 + the rows visited since the beginning of the last fit.
    loss_curve_ : list of float
        The objective of each epoch of the last fit, each row's taken before its update.
    converged_ : bool
        Whether the last fit was ended by ``tol``.
    n_features_in_, feature_names_in_
        The number of columns of X, and their names if they have any.

    Raises
    ------
    ValueError, TypeError
        Of ``fit`` and ``partial_fit``: parameters or data that are not allowed, by scikit-learn's messages where it has
        any.
    fastgd.DivergenceError
        Of the same: the loss or a weight is no longer finite. The estimator keeps the last finite weights, as it keeps
        what it has learned when it is interrupted with Ctrl-C.

    Notes
    -----
    The same ``random_state`` visits rows in the same order as scikit-learn, so that coefficients agree to rounding. On
    sparse rows scikit-learn's objective has the norm of the coordinates that the last row touched, and this one the
    norm of all weights, so that fits with ``tol`` may end in other epochs.

    References
    ----------
    B. Schölkopf et al., Estimating the support of a high-dimensional distribution, Neural Computation 13 (2001),
    1443-1471.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd.estimators import SGDOneClassSVM
    >>> X = np.array([[-1.0, -1.0], [-2.0, -1.0], [1.0, 1.0], [2.0, 1.0]])
    >>> SGDOneClassSVM(random_state=42, tol=None).fit(X).predict([[4.0, 4.0]])
    array([1], dtype=int32)
    """

    loss: Any = "hinge"
    loss_functions: ClassVar[dict[str, tuple[Any, ...]]] = {"hinge": settings.CLASSIFICATION["hinge"]}
    _bias_name = "offset_"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseSGD._parameter_constraints,
        "nu": [Interval(Real, 0.0, 1.0, closed="right")],
        "learning_rate": [
            StrOptions({"constant", "optimal", "invscaling", "adaptive"}),
            Hidden(StrOptions({"pa1", "pa2"})),
        ],
    }

    def __init__(
        self,
        nu: Any = 0.5,
        fit_intercept: Any = True,
        max_iter: Any = 1000,
        tol: Any = 1e-3,
        shuffle: Any = True,
        verbose: Any = 0,
        random_state: Any = None,
        learning_rate: Any = "optimal",
        eta0: Any = 0.01,
        power_t: Any = 0.5,
        warm_start: Any = False,
        average: Any = False,
        *,
        clip_norm: Any = None,
        intercept_decay: Any = "auto",
        skip_zero_weight: Any = False,
        callbacks: Any = (),
        progress: Any = False,
    ) -> None:
        self._set_parameters(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any = None, coef_init: Any = None, offset_init: Any = None, sample_weight: Any = None
    ) -> SGDOneClassSVM:
        """Learn from rows, from the beginning or, with ``warm_start``, from the weights of the last fit.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
            Float32 and float64 are taken as they are, without a copy if they are C-contiguous.
        y : ignored
        coef_init, offset_init : arrays, optional
            To begin from, shaped like ``coef_`` and ``offset_``.
        sample_weight : array of shape (n,), optional
            s, factors of the losses.

        Returns
        -------
        self
        """
        self._more_validate_params()
        warm = bool(self.warm_start) and getattr(self, "coef_", None) is not None
        rows = checked(self, X, sample_weight=sample_weight, reset=not warm)
        if warm:
            coef_init = self.coef_ if coef_init is None else coef_init
            offset_init = self.offset_ if offset_init is None else offset_init
        weights = self._begin(1, rows.X, coef_init, offset_init, flat=True)
        self._run(rows, weights, fitting=True)
        self._warn()
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SGDOneClassSVM:
        """Learn from rows in one epoch, from where the last call ended.

        A row of the dtype of ``coef_`` takes some microseconds; up to a thousand rows go a short way too.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
        y : ignored
        sample_weight : array of shape (n,), optional
            s, factors of the losses.

        Returns
        -------
        self
        """
        live = self.__dict__.get("_live")
        if (
            sample_weight is None
            and live is not None
            and live.takes(self, X)
            and live.step(self, X, [[1.0] * len(X)], self._seeds(len(X)))
        ):
            return self
        first = getattr(self, "coef_", None) is None
        self._check_first(first)
        rows = checked(self, X, sample_weight=sample_weight, reset=first)
        weights = self._begin(1, rows.X, flat=True) if first else self._weights()
        self._run(rows, weights, fitting=False)
        return self

    def _run(self, rows: Given, weights: Weights, *, fitting: bool) -> None:
        dtype = weights.coef.dtype
        row_weights = self._row_weights(rows.sample_weight, rows.X, dtype)
        seed = order.one_class(self.random_state)
        T, some_zero = np.ones((rows.X.shape[0], 1), dtype), row_weights is not None and not row_weights.all()
        task = Task(slice(0, 1), lambda: (T, row_weights), some_zero, seed)
        self._learn(rows, losses.Hinge(), weights, [task], fitting=fitting, part=self._part(row_weights))

    def _to_intercept(self, shown: Any) -> Any:
        return 1 - shown

    def _seeds(self, rows: int) -> list[int] | None:
        if rows == 1 and not isinstance(self.random_state, np.random.RandomState):
            return None
        seed = order.one_class(self.random_state)
        return [seed] if self.shuffle else None

    def decision_function(self, X: Any) -> Array:
        """Return w · x − ρ for each row (n,), not below 0 for inliers."""
        known = self.__dict__
        coef: Any = known.get("coef_")
        if few_rows.few(X, coef, known):
            return X.dot(coef) - self.offset_
        check_is_fitted(self, "coef_")
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        return np.ravel(safe_sparse_dot(X, self.coef_.T, dense_output=True) - self.offset_)

    def score_samples(self, X: Any) -> Array:
        """Return w · x for each row (n,)."""
        return self.decision_function(X) + self.offset_

    def predict(self, X: Any) -> Array:
        """Return 1 for each row that is an inlier and −1 for each that is not, (n,) in int32."""
        return SIGNS.take(self.decision_function(X) >= 0)
