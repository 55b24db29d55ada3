"""SGDClassifier: linear classification by stochastic gradient descent, with scikit-learn's numbers."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.extmath import softmax
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted

from fastgd.estimators import few_rows, labels, settings
from fastgd.estimators.base import BaseSGD
from fastgd.estimators.given import checked
from fastgd.estimators.one_vs_all import BaseSGDClassifier
from fastgd.registry import check_flag

Array = npt.NDArray[Any]

WITH_PROBABILITIES = ("log_loss", "modified_huber", "multinomial")


def _has_probabilities(estimator: Any) -> bool:
    if estimator.loss not in WITH_PROBABILITIES:
        raise AttributeError(f"probability estimates are not available for loss={estimator.loss!r}")
    return True


class SGDClassifier(BaseSGDClassifier):
    """Linear classification by stochastic gradient descent: scikit-learn's SGDClassifier on compiled loops.

    With f(x) = w · x + b it minimises (1/n) Σ_i s_i C(f(x_i), y_i) + P(w), P(w) = α ((1 − ρ)/2 ‖w‖² + ρ ‖w‖₁), by the
    update w ← w − λ (s_i ∂C/∂f x_i + ∂P/∂w) for each row i, where y_i is +1 for the second class and −1 for the first.
    Of more classes each has a w of its own, learned against all others, except with "multinomial".

    Parameters
    ----------
    loss : str, default "hinge"
        C: "hinge" (a support vector machine), "log_loss" (logistic regression), "modified_huber", "squared_hinge",
        "perceptron"; "squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"; or "multinomial",
        softmax regression: all classes in one model, with probabilities of its own.
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
    n_jobs : int, optional
        The threads that learn classes, −1 for one a core.
    random_state : int, RandomState or None
        From which the seed of the orders is drawn, as scikit-learn draws it.
    learning_rate : str, default "optimal"
        λ of update t: "constant" eta0; "optimal" 1 / (α (t₀ + t − 1)); "invscaling" eta0 / t^power_t; "adaptive" eta0,
        divided by 5 where the fit would end, until it is 1e-6; "pa1" and "pa2", passive-aggressive steps, with
        loss="hinge" only, whose aggressiveness is eta0.
    eta0 : float, default 0.01
        Above 0; see ``learning_rate``.
    power_t : float, default 0.5
        The exponent of "invscaling".
    early_stopping : bool, default False
        Whether a fit ends by the score of rows that are not trained on: ``X_val``, or a part of X.
    validation_fraction : float, default 0.1
        In (0, 1), the part of X that is held out for it.
    n_iter_no_change : int, default 5
        See ``tol``.
    class_weight : dict, "balanced" or None
        Factors of the losses of each class's rows; "balanced" is n / (classes · rows of the class).
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
        that returns True ends the fit. Classes that are learned one against all others are learned one after another
        then, each with a history. Callbacks of scikit-learn's protocol are given to ``set_callbacks``: a fit has a task
        for each epoch, or for each class and in it for each epoch.
    progress : bool, default False
        Whether a fit shows a progress bar (needs tqdm: ``pip install 'fastgd[cli]'``).

    Attributes
    ----------
    classes_ : array of shape (K,)
    coef_ : array of shape (1, d) for two classes, else (K, d)
    intercept_ : array of shape (1,) or (K,)
    n_iter_ : int
        The epochs of the last call, of the class that took most.
    t_ : float
        1 + the rows visited since the beginning of the last fit.
    loss_curve_, validation_curve_ : list of float
        The objective of each epoch of the last fit, each row's taken before its update, and the score (accuracy) after
        it; of classes that are learned one against all others, a list for each. partial_fit with ``X_val`` adds the
        score of the whole.
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
    this one the norm of all weights, so that fits with ``tol`` may end in other epochs; partial_fit
    under ``average`` goes on from the last iterate of ``intercept_``, scikit-learn's from an earlier one; and
    fits on rows in float32 are in float32 throughout, ``intercept_`` included.

    References
    ----------
    L. Bottou, Stochastic gradient descent tricks, in Neural networks: tricks of the trade, Springer 2012.
    K. Crammer et al., Online passive-aggressive algorithms, JMLR 7 (2006), 551-585.
    Y. Tsuruoka et al., Stochastic gradient descent training for L1-regularized log-linear models with cumulative
    penalty, ACL 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd.estimators import SGDClassifier
    >>> X = np.array([[-1.0, -1.0], [-2.0, -1.0], [1.0, 1.0], [2.0, 1.0]])
    >>> SGDClassifier(random_state=0).fit(X, ["no", "no", "yes", "yes"]).predict([[-0.8, -1.0]])
    array(['no'], dtype='<U3')
    >>> model = SGDClassifier("multinomial", random_state=0).fit(X, [0, 1, 2, 2])
    >>> bool(np.allclose(model.predict_proba(X).sum(axis=1), 1))
    True
    """

    loss_functions: ClassVar[dict[str, tuple[Any, ...]]] = settings.CLASSIFICATION

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseSGD._supervised_constraints,
        "loss": [StrOptions({*settings.CLASSIFICATION, "multinomial"})],
        "n_jobs": [Integral, None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        loss: Any = "hinge",
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
        n_jobs: Any = None,
        random_state: Any = None,
        learning_rate: Any = "optimal",
        eta0: Any = 0.01,
        power_t: Any = 0.5,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        n_iter_no_change: Any = 5,
        class_weight: Any = None,
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

    # ------------------------------------------------------------------------------------------------------ training

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
    ) -> SGDClassifier:
        """Learn from rows, from the beginning or, with ``warm_start``, from the weights of the last fit.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
            Float32 and float64 are taken as they are, without a copy if they are C-contiguous.
        y : array of shape (n,)
            Labels.
        coef_init, intercept_init : arrays, optional
            To begin from, shaped like ``coef_`` and ``intercept_``.
        sample_weight : array of shape (n,), optional
            s, factors of the losses, besides ``class_weight``.
        X_val, y_val, sample_weight_val : arrays, optional
            Rows to score after each epoch; ``early_stopping`` goes by them and holds none of X out.

        Returns
        -------
        self
        """
        self._more_validate_params()
        rows = checked(self, X, y, sample_weight, reset=True)
        classes, codes = labels.encoded(rows.y)
        classes = unique_labels(classes)  # which refuses what is no class
        if self.warm_start and getattr(self, "coef_", None) is not None:
            restarted = self._restarted()
            coef_init = restarted[0] if coef_init is None else coef_init
            intercept_init = restarted[1] if intercept_init is None else intercept_init
        weights = self._begin(labels.n_outputs(classes), rows.X, coef_init, intercept_init, flat=False)
        validation = self._given_validation(X_val, y_val, sample_weight_val, classes)
        self._run(rows, codes, classes, weights, validation, fitting=True)
        self._warn()
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        sample_weight: Any = None,
        *,
        grow_classes: bool = False,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> SGDClassifier:
        """Learn from rows in one epoch, from where the last call ended.

        A row of the dtype of ``coef_`` takes some microseconds; up to a thousand rows go a short way too.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
        y : array of shape (n,)
            Labels.
        classes : array of shape (K,), optional
            All classes that there will be; the first call needs them, unless they may grow.
        sample_weight : array of shape (n,), optional
            s, factors of the losses, besides ``class_weight``.
        grow_classes : bool, default False
            Whether labels that are new, in y or ``classes``, are added to ``classes_``, with weights that begin at
            zero; there are two at least from the first call on. Otherwise they are refused. The w of two classes
            becomes −w and w, or with "multinomial", which sees their difference, −w/2 and w/2.
        X_val, y_val, sample_weight_val : arrays, optional
            Rows to score afterwards: ``validation_curve_`` takes the score, and ``converged_`` becomes True when
            ``n_iter_no_change`` calls in a row have not brought it above the best before by ``tol``.

        Returns
        -------
        self
        """
        if grow_classes is not False:
            check_flag("grow_classes", grow_classes)
        live = self.__dict__.get("_live")
        alone = classes is sample_weight is X_val is y_val is sample_weight_val is None
        if alone and live is not None and live.takes(self, X):
            given = few_rows.labels(y, len(X))
            targets = None if given is None else labels.few_targets(given, live.codes, live.loss)
            if targets is not None and live.step(self, X, targets, self._seeds(len(X), len(targets))):
                return self
        first = getattr(self, "classes_", None) is None
        self._check_first(first)
        if first and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
                "compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large enough "
                "sample of the full training set target to properly estimate the class frequency distributions. Pass "
                "the resulting weights as the class_weight parameter."
            )
        rows = checked(self, X, y, sample_weight, reset=first)
        known, added = labels.known(getattr(self, "classes_", None), rows.y, classes, grow_classes)
        if first:
            weights = self._begin(labels.n_outputs(known), rows.X, flat=False)
        else:
            weights = self._weights()
            share = 0.5 if self.loss == "multinomial" else 1.0  # softmax sees the difference of the two
            if added is not None:
                optimizer = settings.optimizer_of(self.optimizer, self.eta0)
                weights = labels.grown(weights, added, len(known), share, optimizer)
        self._given_validation(X_val, y_val, sample_weight_val, known)  # which refuses what is wrong
        self._run(rows, labels.numbers_of(rows.y, known), known, weights, None, fitting=False)
        self._live.codes = {label: number for number, label in enumerate(known.tolist())}
        self._follow(X_val, y_val, sample_weight_val)
        return self

    # ---------------------------------------------------------------------------------------------------- predictions

    def decision_function(self, X: Any) -> Array:
        """Return f(x) for each row (n,), or for each row and class (n, K)."""
        known = self.__dict__
        coef: Any = known.get("coef_")
        if not few_rows.few(X, coef, known):
            return super().decision_function(X)
        scores = X.dot(coef.T) + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> Array:
        """Return the label of each row (n,): the second class where f(x) > 0, or that of the largest f(x)."""
        scores = self.decision_function(X)
        return self.classes_.take(scores > 0 if scores.ndim == 1 else scores.argmax(axis=1))

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class (n, K), after "log_loss", "modified_huber" or "multinomial".

        Softmax's are those of the model; of the other two for more than two classes, each class's own are divided by
        their sum.

        References
        ----------
        B. Zadrozny and C. Elkan, Transforming classifier scores into accurate multiclass probability estimates, KDD
        2002.
        """
        check_is_fitted(self)
        if self.loss == "log_loss" or (self.loss == "multinomial" and len(self.classes_) == 2):
            return self._predict_proba_lr(X)
        scores = self.decision_function(X)
        if self.loss == "multinomial":
            return softmax(scores, copy=False)
        return labels.shares(scores)

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the probabilities (n, K)."""
        return np.log(self.predict_proba(X))
