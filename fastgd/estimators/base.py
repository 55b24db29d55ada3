"""What the three estimators of stochastic gradient descent share: parameters, validation, training, attributes."""

from __future__ import annotations

import copy
import warnings
from abc import ABCMeta
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse
from sklearn import get_config
from sklearn.base import BaseEstimator, is_classifier
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import SparseCoefMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import _check_sample_weight

from fastgd import data, engine, losses, optimizers
from fastgd.estimators import few_rows, settings
from fastgd.estimators.given import Given, checked
from fastgd.estimators.held_out import Validation
from fastgd.estimators.listeners import listeners
from fastgd.estimators.loop import Course, Patience, Problem, Score, run_all
from fastgd.estimators.order import Order
from fastgd.estimators.weights import Weights

Array = npt.NDArray[Any]

POSITIVE = Interval(Real, 0, None, closed="neither")


@dataclass
class Task:
    """What is learned together, by some of the outputs.

    Targets (n, k) and weights (n,) of the rows are made when they are asked for, since there may be many tasks.
    """

    outputs: slice
    targets: Callable[[], tuple[Array, Array | None]]
    some_zero: bool
    seed: int
    score: Score | None = None


def _rows(matrix: Any, targets: Callable[[], tuple[Array, Array | None]], dtype: Any, squares: Any) -> data.Rows:
    T, row_weights = targets()
    rows = data.Rows(matrix, T, row_weights, dtype)
    if squares is not None:
        rows.keep_squares(squares)
    return rows


class BaseSGD(CallbackSupportMixin, SparseCoefMixin, BaseEstimator, metaclass=ABCMeta):
    """Common ground of SGDClassifier, SGDRegressor and SGDOneClassSVM."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "average": [Interval(Integral, 0, None, closed="neither"), "boolean"],
        "eta0": [POSITIVE],
        "power_t": [Interval(Real, None, None, closed="neither")],
        "clip_norm": [POSITIVE, None],
        "intercept_decay": [str, Interval(Real, 0, None, closed="left")],
        "skip_zero_weight": ["boolean"],
        "callbacks": "no_validation",  # settings.check does it
        "progress": ["boolean"],
    }
    #: those of SGDClassifier and SGDRegressor besides
    _supervised_constraints: ClassVar[dict[str, Any]] = {
        **_parameter_constraints,
        "penalty": [settings.PENALTIES, None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [settings.SCHEDULES],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [str, optimizers.Optimizer, None],
        "clip_value": [POSITIVE, None],
    }
    # what SGDOneClassSVM has no parameters for
    penalty: Any = "l2"
    l1_ratio: Any = 0
    early_stopping: Any = False
    n_iter_no_change: Any = 5
    optimizer: Any = None
    clip_value: Any = None
    #: the attribute that has the intercepts
    _bias_name = "intercept_"

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        # scikit-learn reads the constructor's signature at each call, which takes a tenth of a small fit
        names: list[str] = super()._get_param_names()
        return names

    def _set_parameters(self, given: dict[str, Any]) -> None:
        # a constructor's arguments, as they are; that of a subclass may have others
        self.__dict__.update(given)
        del self.__dict__["self"]

    # ------------------------------------------------------------------------------------------------------- checks

    def _more_validate_params(self, for_partial_fit: bool = False) -> None:
        """Refuse parameters that don't go together."""
        if self.early_stopping and for_partial_fit:
            raise ValueError("early_stopping should be False with partial_fit")
        if self.learning_rate == "optimal" and getattr(self, "alpha", 1) == 0:
            raise ValueError(
                "alpha must be > 0 since learning_rate is 'optimal'. "
                "alpha is used to compute the optimal learning rate."
            )
        if self.learning_rate in ("pa1", "pa2"):
            loss = "hinge" if is_classifier(self) else "epsilon_insensitive"
            if self.loss != loss:
                raise ValueError(f"Learning rate '{self.learning_rate}' only works with loss '{loss}'.")
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")
        settings.check(self)

    def _check_first(self, first: bool) -> None:
        # of partial_fit, whose later calls do not look at the parameters again
        if first:
            if not get_config()["skip_parameter_validation"]:
                self._validate_params()
            self._more_validate_params(for_partial_fit=True)

    def _row_weights(self, sample_weight: Any, X: Any, dtype: Any, **options: Any) -> Array | None:
        # None where all are one, so that the loop need not look at them
        if sample_weight is None:
            return None
        weights = _check_sample_weight(sample_weight, X, dtype=dtype, **options)
        return None if (weights == 1).all() else weights

    # ---------------------------------------------------------------------------------------------- what was learned

    def _weights(self) -> Weights:
        """Return what the attributes hold, in arrays of their own where they can't be written to."""
        if scipy.sparse.issparse(self.coef_):
            raise ValueError("coef_ is sparse: call densify() before you train further")
        coef, intercept = self._writable(self.coef_), self._to_intercept(getattr(self, self._bias_name))
        weights = Weights(coef.reshape(-1, coef.shape[-1]), self._writable(intercept))
        weights.t, weights.flat, weights.given = getattr(self, "t_", 1.0), coef.ndim == 1, coef
        weights.memory = getattr(self, "_memory", {})
        if self.average:
            weights.given = None
            if "_standard_coef" in self.__dict__:
                weights.coef = self._writable(self._standard_coef).reshape(weights.coef.shape)
                weights.intercept = self._writable(self._standard_intercept)
                weights.mean_coef = self._writable(self._average_coef).reshape(weights.coef.shape)
                weights.mean_intercept = self._writable(self._average_intercept)
            else:
                weights.begin_mean(empty=False)
        return weights

    @staticmethod
    def _writable(array: Any) -> Array:
        array = np.asarray(array)
        dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.float64
        return np.require(array, dtype, ["C", "A", "W"])

    def _to_intercept(self, shown: Any) -> Any:
        # between what is shown and b of f(x) = w · x + b; its own inverse
        return shown

    def _show(self, weights: Weights) -> None:
        """Set the attributes from what was learned."""
        coef, intercept = weights.shown(int(self.average))
        for name in ("_standard_coef", "_standard_intercept", "_average_coef", "_average_intercept", "_memory"):
            self.__dict__.pop(name, None)
        if weights.mean_coef is not None:
            self._standard_coef, self._average_coef = map(weights.shaped, (weights.coef, weights.mean_coef))
            self._standard_intercept, self._average_intercept = weights.intercept, weights.mean_intercept
        if weights.memory:
            self._memory = weights.memory
        self.coef_, self.t_ = weights.shaped(coef), weights.t
        setattr(self, self._bias_name, self._to_intercept(intercept))

    def _begin(self, outputs: int, X: Any, coef_init: Any = None, intercept_init: Any = None, *, flat: bool) -> Weights:
        """Return the weights that a fit on X starts from: zeros, or copies of what is given."""
        features, dtype = int(X.shape[1]), X.dtype
        weights = Weights.zeros(outputs, features, dtype)
        weights.flat = flat
        if coef_init is not None:
            given = np.asarray(coef_init, dtype)
            fits = given.shape == (outputs, features) if outputs > 1 else given.size == features
            if not fits:
                message = "Provided ``coef_`` does not match dataset. "
                raise ValueError(message if outputs > 1 else "Provided coef_init does not match dataset.")
            weights.coef[:] = given.reshape(outputs, features)
        if intercept_init is not None:
            given = np.asarray(intercept_init, dtype)
            if given.shape != (outputs,) and not (outputs == 1 and given.shape == ()):
                raise ValueError("Provided intercept_init does not match dataset.")
            weights.intercept[:] = self._to_intercept(given)
            if weights.intercept.any() and not self._has_bias:
                raise ValueError(
                    f"intercept_init={intercept_init!r} does not go with fit_intercept=False where "
                    f"optimizer={self.optimizer!r} and clip_value={self.clip_value!r}; allowed are zeros"
                )
        else:
            weights.intercept[:] = self._to_intercept(np.zeros(outputs, dtype))
        if self.average:
            weights.begin_mean(empty=True)
        return weights

    def _restarted(self) -> tuple[Any, Any]:
        # what a warm start begins from
        return self.coef_, getattr(self, self._bias_name)

    @property
    def _has_bias(self) -> bool:
        # an intercept that is not fitted is a constant; fastgd's own steps know none
        return bool(self.fit_intercept) or settings.takes_rules(self)

    # --------------------------------------------------------------------------------------------------- validation

    def _part(self, row_weights: Array | None) -> Array | None:
        # the rows that take part at all
        if row_weights is None or not self.skip_zero_weight or row_weights.all():
            return None
        return np.flatnonzero(row_weights)

    def _given_validation(self, X_val: Any, y_val: Any, sample_weight_val: Any, known: Array) -> Validation | None:
        # known are the classes, or y of a regression
        if (X_val is None) != (y_val is None):
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"X_val and y_val go together; {missing} is missing")
        if X_val is None:
            if sample_weight_val is not None:
                raise ValueError("sample_weight_val is for X_val, which is missing")
            return None
        try:
            rows = checked(self, X_val, y_val, reset=False, **self._target_options())
            if is_classifier(self):
                unique_labels(known, rows.y)
            elif rows.y.shape[1:] != known.shape[1:]:
                raise ValueError(f"y_val has shape {rows.y.shape}; allowed is {(len(rows.y), *known.shape[1:])}")
            row_weights = self._row_weights(sample_weight_val, rows.X, rows.X.dtype, ensure_non_negative=True)
            return Validation(rows.X, rows.y, row_weights)
        except (TypeError, ValueError) as error:
            raise type(error)(f"X_val, y_val or sample_weight_val is refused: {error}") from None

    def _target_options(self) -> dict[str, Any]:
        return {}

    # ------------------------------------------------------------------------------------------------------ training

    def _learn(
        self,
        rows: Given,
        loss: losses.Loss,
        weights: Weights,
        tasks: Sequence[Task],
        found: dict[str, Any] | None = None,
        *,
        fitting: bool,
        part: Array | None = None,
        held_out: Array | None = None,
        jobs: int = 1,
    ) -> list[Problem]:
        """Train the tasks and set the attributes, whatever ends the training, with those that are ``found`` already."""
        X, found = rows.X, found or {}
        matrix, dtype = data.rows_matrix("X", X, weights.features), weights.coef.dtype
        epochs, average = self.max_iter if fitting else 1, int(self.average)
        if average >= weights.t - 1 + epochs * len(matrix):
            average = 0  # not within this call, or of its last iterate alone, which is its own mean
        problems: list[Problem] = []
        squares = None
        for task in tasks:
            method = settings.method_of(
                self, loss, (weights.features, task.outputs.stop - task.outputs.start), average=average,
                sparse=scipy.sparse.issparse(X), some_zero=task.some_zero, fitting=fitting,
            )  # fmt: skip
            made = weights.engine(task.outputs, loss, method, self._has_bias)
            if not problems and method.rules.objective and method.penalty is not None:
                squares = rows.squares if X.dtype == dtype else None
                if squares is None:
                    squares = engine.square_norms(data.Rows(matrix, np.empty((len(matrix), 0)), None, dtype))
            order = Order(len(matrix), task.seed if self.shuffle else None, part, held_out)
            early = bool(self.early_stopping) and task.score is not None
            scale = held_out is not None and settings.takes_rules(self)
            ready = partial(_rows, matrix, task.targets, dtype, squares)
            problems.append(Problem(made, ready, order, task.outputs, task.score, early, scale))
        course = Course(epochs, self.tol, int(self.n_iter_no_change), int(self.verbose))
        if fitting:
            course.callbacks, course.progress = tuple(self.callbacks), bool(self.progress)
            told = rows.X, rows.y, rows.sample_weight
            course.listeners = listeners(self, *told, lambda: found | self._reached(weights, problems))
        self.__dict__.pop("_live", None)
        self.__dict__.update(found)
        finished = False
        try:
            run_all(problems, course, jobs)
            finished = True
        finally:
            self.n_iter_ = max(problem.n_iter for problem in problems)
            t = weights.t + self.n_iter_ * problems[0].order.places
            weights.store(problems)
            if finished:
                weights.t = t
            if self.average and not average and weights.t - 1 == int(self.average):
                weights.begin_mean(empty=False)
            self._show(weights)
            if fitting:
                self.converged_ = all(problem.converged for problem in problems)
                self._curves(problems)
        if not fitting:
            self._live = few_rows.Live(self, weights, problems)
        return problems

    def _reached(self, weights: Weights, problems: Sequence[Problem]) -> dict[str, Any]:
        # the attributes, if the training ended now
        now = copy.deepcopy(weights)
        now.store(problems)
        coef, intercept = now.shown(int(self.average))
        return {"coef_": now.shaped(coef), self._bias_name: self._to_intercept(intercept), "t_": now.t}

    def _curves(self, problems: Sequence[Problem]) -> None:
        # a list for each class, where each is a problem of its own
        several = len(problems) > 1
        self.loss_curve_ = [one.objective for one in problems] if several else problems[0].objective
        self.__dict__.pop("validation_curve_", None)
        if problems[0].score is not None:
            self.validation_curve_ = [one.scores for one in problems] if several else problems[0].scores
        self._patience = Patience(self.tol, int(self.n_iter_no_change))

    def _follow(self, X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
        """Score the validation rows of partial_fit, and tell whether its calls still make progress."""
        if X_val is None:
            return
        score = float(self.score(X_val, y_val, sample_weight_val))
        if "_patience" not in self.__dict__:
            self._patience = Patience(self.tol, int(self.n_iter_no_change))
        curve = getattr(self, "validation_curve_", [])
        if curve and isinstance(curve[0], list):  # of a fit, a curve for each class
            curve = []
        curve.append(score)
        self.validation_curve_ = curve
        self.converged_ = self._patience.ends(-score)

    def _warn(self) -> None:
        if self.tol is not None and self.tol > -np.inf and self.n_iter_ == self.max_iter:
            warnings.warn(
                "Maximum number of iteration reached before convergence. Consider increasing max_iter to improve the "
                "fit.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if self.power_t < 0:
            warnings.warn(
                "Negative values for `power_t` are deprecated in version 1.8 and will raise an error in 1.10. Use "
                "values in the range [0.0, inf) instead.",
                FutureWarning,
                stacklevel=3,
            )

    # --------------------------------------------------------------------------------------------------------- others

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_live"}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
