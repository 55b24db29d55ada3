"""scikit-learn's SGDClassifier and SGDRegressor in fastgd: runs of both over the same rows in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse
from sklearn import datasets
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.preprocessing import scale

import fastgd
from fastgd import losses, penalties, schedules

EPOCHS = 20
#: a run counts where no permutation of the columns of X moves scikit-learn's coefficients by as much as this
STABLE = 1e-11
#: there fastgd's may be this far from scikit-learn's, and elsewhere after the first STEPS
TOLERANCE = 1e-9
STEPS = 20

ETA0, POWER_T, EPSILON, ALPHA, L1_RATIO = 0.1, 0.4, 0.3, 1e-3, 0.4
#: Bottou's rates come from alpha: for losses that are square somewhere it must be larger, or the first ones overshoot
ALPHA_OF_OPTIMAL = {
    "squared_error": 0.03, "squared_epsilon_insensitive": 0.1, "squared_hinge": 0.1, "modified_huber": 0.03,
    "huber": 0.005,
}  # fmt: skip

#: scikit-learn's estimator for each data set
ESTIMATORS: dict[str, Any] = {"digits": SGDClassifier, "breast_cancer": SGDClassifier, "diabetes": SGDRegressor}
#: fastgd's choices under scikit-learn's names
LOSSES: dict[str, losses.Loss] = {
    "squared_error": losses.SquaredError(),
    "huber": losses.Huber(delta=EPSILON),
    "epsilon_insensitive": losses.EpsilonInsensitive(epsilon=EPSILON),
    "squared_epsilon_insensitive": losses.SquaredEpsilonInsensitive(epsilon=EPSILON),
    "log_loss": losses.LogLoss(),
    "hinge": losses.Hinge(),
    "squared_hinge": losses.SquaredHinge(),
    "modified_huber": losses.ModifiedHuber(),
    "perceptron": losses.Perceptron(),
}
PENALTIES: dict[str | None, Callable[[float], penalties.Penalty | None]] = {
    None: lambda alpha: None,
    "l2": penalties.L2,
    "l1": penalties.L1,
    "elasticnet": lambda alpha: penalties.ElasticNet(alpha, l1_ratio=L1_RATIO),
}
SCHEDULES: dict[str, Callable[[float], schedules.Schedule]] = {
    "constant": lambda alpha: schedules.Constant(),
    "optimal": schedules.Optimal,
    "invscaling": lambda alpha: schedules.InvScaling(POWER_T),
    "adaptive": lambda alpha: schedules.Adaptive(patience=EPOCHS),  # scikit-learn's rate never falls without a tol
    "pa1": lambda alpha: schedules.PA1(),
    "pa2": lambda alpha: schedules.PA2(),
}


@dataclass(frozen=True)
class Choice:
    """A loss, a penalty, a schedule and averaging, in scikit-learn's words."""

    loss: str
    penalty: str | None = None
    schedule: str = "constant"
    average: bool | int = False
    bias: bool = True

    @property
    def alpha(self) -> float:
        return ALPHA_OF_OPTIMAL.get(self.loss, ALPHA) if self.schedule == "optimal" else ALPHA

    def in_sklearn(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None, **options: Any) -> Any:
        """Return scikit-learn's estimator, fitted."""
        given: dict[str, Any] = {"max_iter": EPOCHS, "tol": None, "eta0": ETA0, **options}
        made = estimator(
            loss=self.loss, penalty=self.penalty, alpha=self.alpha, l1_ratio=L1_RATIO, epsilon=EPSILON,
            learning_rate=self.schedule, power_t=POWER_T, average=self.average, fit_intercept=self.bias, shuffle=False,
            **given,
        )  # fmt: skip
        return made.fit(X, y, sample_weight=sample_weight)

    def in_fastgd(self, X: Any, T: Any, **options: Any) -> tuple[fastgd.Linear, fastgd.History]:
        """Return fastgd's model, trained from weights of zero as scikit-learn's, and the history."""
        model = fastgd.Linear(X.shape[1], T.shape[1], bias=self.bias)
        model.params[:] = 0
        given: dict[str, Any] = {
            "optimizer": fastgd.SGD(lr=ETA0),
            "epochs": EPOCHS,
            "penalty": PENALTIES[self.penalty](self.alpha),
            "schedule": SCHEDULES[self.schedule](self.alpha),
            "average": self.average,
        }
        return model, fastgd.train(model, X, T, LOSSES[self.loss], **{**given, **options})


def choices(estimator: Any, loss: str, names: Iterable[str | None] = PENALTIES, bias: bool = True) -> Iterator[Choice]:
    """Yield the loss with these penalties, and with every schedule and average that goes with them.

    Averages are left out under an L1 penalty: fastgd's are means of the iterates, scikit-learn's are of weights that
    have not paid the penalty, for its l1penalty comes after add_average and leaves the average as it is.
    """
    passive = "hinge" if estimator is SGDClassifier else "epsilon_insensitive"
    for schedule in SCHEDULES:
        if schedule in ("pa1", "pa2") and loss != passive:
            continue  # scikit-learn refuses it
        for penalty in names:
            for average in (False,) if penalty in ("l1", "elasticnet") else (False, True, 500):
                yield Choice(loss, penalty, schedule, average, bias)


@cache
def data(name: str) -> tuple[Any, Any]:
    """Return standardised rows, in units such that ‖x‖² is 1 on average, and scikit-learn's targets."""
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    rows = 150 if name == "digits" else len(X)  # ten classes take ten times as long
    X = scale(X[:rows]) / np.sqrt(X.shape[1])
    return X, y[:rows] if ESTIMATORS[name] is SGDClassifier else scale(y)


def thinned(X: Any) -> Any:
    """Return the rows with zeros for the smaller half of their numbers."""
    return np.where(np.abs(X) >= np.median(np.abs(X), axis=1, keepdims=True), X, 0)


def targets(name: str, loss: str) -> Any:
    """Return fastgd's targets (n, K): an output for each class against the others, or one where there are two."""
    y = data(name)[1]
    if ESTIMATORS[name] is SGDRegressor:
        return y[:, None]
    classes = np.unique(y)
    T = (y[:, None] == (classes if len(classes) > 2 else classes[1:])).astype(np.float64)
    return 2 * T - 1 if LOSSES[loss].targets == "real" else T


def distance(coef: Any, intercept: Any, fitted: Any) -> float:
    """Return the largest difference from scikit-learn's coefficients and intercepts ÷ its largest coefficient."""
    largest = np.abs(fitted.coef_).max()
    assert largest > 0, f"{fitted} has learned nothing"
    return float(max(np.abs(coef - fitted.coef_).max(), np.abs(intercept - fitted.intercept_).max()) / largest)


def error(model: fastgd.Linear, fitted: Any) -> float:
    """Return the distance of fastgd's model."""
    return distance(model.weight.reshape(fitted.coef_.shape), model.bias if model.has_bias else 0, fitted)


@dataclass(frozen=True)
class Comparison:
    """A choice on a data set, and what was seen."""

    data: str
    choice: Choice
    moved: float  # scikit-learn from itself, over permutations of the columns of X
    whole: float  # fastgd from scikit-learn, after all epochs
    begun: float  # and after the first steps

    @property
    def counts(self) -> bool:
        return self.moved < STABLE

    @property
    def agrees(self) -> bool:
        return self.begun < TOLERANCE and (self.whole < TOLERANCE or not self.counts)


def compare(name: str, choice: Choice, made: Callable[[Any], Any]) -> Comparison:
    """Train both on the rows as ``made`` stores them, and scikit-learn on permutations of the columns as well."""
    estimator, (X, y), T = ESTIMATORS[name], data(name), targets(name, choice.loss)
    X, rng, moved = X if choice.bias else thinned(X), np.random.default_rng(0), 0.0
    fitted = choice.in_sklearn(estimator, made(X), y)
    for _ in range(3):
        order = rng.permutation(X.shape[1])
        permuted = choice.in_sklearn(estimator, made(X[:, order]), y)
        moved = max(moved, distance(permuted.coef_[..., np.argsort(order)], permuted.intercept_, fitted))
    model, _ = choice.in_fastgd(made(X), T)
    begun = choice.in_sklearn(estimator, made(X[:STEPS]), y[:STEPS], max_iter=1)
    model_begun, _ = choice.in_fastgd(made(X[:STEPS]), T[:STEPS], epochs=1)
    return Comparison(name, choice, moved, error(model, fitted), error(model_begun, begun))


@cache
def on_dense(name: str, loss: str) -> list[Comparison]:
    """Return the comparisons of every choice with this loss."""
    return [compare(name, choice, np.ascontiguousarray) for choice in choices(ESTIMATORS[name], loss)]


@cache
def on_csr(name: str, loss: str) -> list[Comparison]:
    """Return those on sparse rows, of the choices in which scikit-learn does there what it does on dense ones.

    Its L1 penalty is paid by the weights of a row's stored numbers only, its intercept learns a hundred times slower.
    """
    chosen = choices(ESTIMATORS[name], loss, (None, "l2"), bias=False)
    return [compare(name, choice, scipy.sparse.csr_array) for choice in chosen]


def table(comparisons: Iterable[Comparison]) -> str:
    """Return how many count, by loss and schedule."""
    cells: dict[tuple[str, str], list[bool]] = {}
    for seen in comparisons:
        cells.setdefault((seen.choice.loss, seen.choice.schedule), []).append(seen.counts)
    lines = [f"{'':28}" + "".join(f"{schedule:>12}" for schedule in SCHEDULES)]
    for loss in LOSSES:
        row = [cells.get((loss, schedule), []) for schedule in SCHEDULES]
        lines.append(f"{loss:28}" + "".join(f"{f'{sum(cell)} of {len(cell)}' if cell else '':>12}" for cell in row))
    counted, made = sum(map(sum, cells.values())), sum(map(len, cells.values()))
    return "\n".join([*lines, f"{counted} of {made} count, the others are compared over the first {STEPS} steps"])
