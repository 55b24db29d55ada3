"""Fits of fastgd's estimators beside scikit-learn's of the same name: one seed, the same numbers."""

from __future__ import annotations

import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, cycle, permutations, product
from typing import Any

import numpy as np
import scipy.sparse
import sklearn
from sklearn import datasets, linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from sklearn_twins import ALPHA_OF_OPTIMAL

from fastgd import estimators

#: a combination counts where no permutation of the columns of X moves scikit-learn's coefficients by as much
STABLE = 1e-10
#: there ours may be this far from scikit-learn's; both in units of its largest coefficient
TOLERANCE = 1e-8
EPOCHS, ROWS = 20, 60
EARLY_EPOCHS = 8  # scikit-learn makes a new estimator of every class for the scores of each epoch

#: the estimator that learns each data set
KINDS = {
    "breast_cancer": "SGDClassifier", "iris": "SGDClassifier", "diabetes": "SGDRegressor", "normal": "SGDOneClassSVM",
}  # fmt: skip
PENALTIES = (None, "l2", "l1", "elasticnet")
SCHEDULES = ("constant", "optimal", "invscaling", "adaptive", "pa1", "pa2")
#: what else is asked for; rows are weighed, some with zero, and classes under "weighted"
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "average": {"average": True},
    "late average": {"average": 150},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.2, "max_iter": EARLY_EPOCHS},
    "weighted": {},
}
FITTED = ("coef_", "intercept_", "offset_")


@dataclass(frozen=True)
class Choice:
    """What is fitted: the rows and how they are stored, and the choices in scikit-learn's words."""

    data: str
    storage: str
    variant: str
    loss: str | None = None
    penalty: str | None = "l2"
    schedule: str = "optimal"

    @property
    def kind(self) -> str:
        return KINDS[self.data]

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments; on CSR nothing hangs on the objective, where scikit-learn's has a bug."""
        stops = self.storage == "dense" or self.variant == "early stopping"
        given: dict[str, Any] = {
            "learning_rate": self.schedule, "eta0": 0.05, "power_t": 0.4, "max_iter": EPOCHS,
            "tol": 1e-3 if stops else None, "random_state": zlib.crc32(repr(self).encode()) % 2**31,
            **VARIANTS[self.variant],
        }  # fmt: skip
        if self.kind == "SGDOneClassSVM":
            return {**given, "nu": 0.3}
        if self.kind == "SGDClassifier" and self.variant == "weighted":
            given["class_weight"] = {0: 0.5, 1: 2.0} if self.data == "breast_cancer" else "balanced"
        alpha = ALPHA_OF_OPTIMAL.get(str(self.loss), 1e-3) if self.schedule == "optimal" else 1e-3
        return {
            **given, "loss": self.loss, "penalty": self.penalty, "alpha": alpha, "l1_ratio": 0.4, "epsilon": 0.3,
            "n_iter_no_change": 2,
        }  # fmt: skip


def choices(data: str) -> Iterator[Choice]:
    """Yield every choice on this data set: losses × penalties × schedules × storage × variants.

    More than two classes, which take longest, have two variants each: they are learned one against the others.
    """
    one_class, others = data == "normal", cycle(chain(*permutations(list(VARIANTS)[1:])))
    passive = "hinge" if KINDS[data] == "SGDClassifier" else "epsilon_insensitive"
    losses = [None] if one_class else getattr(linear_model, KINDS[data]).loss_functions
    for storage, loss, schedule in product(("dense", "csr"), losses, SCHEDULES):
        if schedule in ("pa1", "pa2") and loss != passive:
            continue  # refused
        for penalty in ("l2",) if one_class else PENALTIES:
            for variant in ("plain", next(others)) if data == "iris" else VARIANTS:
                if not (one_class and variant == "early stopping"):
                    yield Choice(data, storage, variant, loss, penalty, schedule)


@cache
def rows(data: str) -> tuple[Any, Any]:
    """Return standardised rows with many zeros, one of nothing else, in units such that ‖x‖² ≈ 1, and targets."""
    rng = np.random.default_rng(3)
    if data == "normal":
        X, y = rng.normal(1.0, 1.0, size=(ROWS, 5)), np.ones(ROWS)
    else:
        X, y = getattr(datasets, f"load_{data}")(return_X_y=True)
        chosen = rng.permutation(len(X))[:ROWS]
        X, y = scale(X[chosen][:, :8]), scale(y[chosen]) if data == "diabetes" else y[chosen]
        # iris is in tenths, so that scores tie: with one ulp of X scikit-learn moves by 4 %, with no permutation of it
        X += 0.01 * rng.normal(size=X.shape)
    X = X / np.sqrt(X.shape[1])
    X[np.abs(X) < np.quantile(np.abs(X), 0.3)] = 0
    X[7] = 0
    return np.ascontiguousarray(X), y


@cache
def weights(seed: int = 5) -> Any:
    """Return weights of the rows, a fifth of them zero."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.3, 2.0, size=ROWS) * (rng.uniform(size=ROWS) > 0.2)


def stored(X: Any, storage: str) -> Any:
    """Return X as the storage has it."""
    return scipy.sparse.csr_array(X) if storage == "csr" else np.ascontiguousarray(X)


def fitted(module: Any, choice: Choice, X: Any, y: Any, **options: Any) -> Any:
    """Return the module's estimator, fitted; what scikit-learn says of too few epochs is not shown."""
    made = getattr(module, choice.kind)(**{**choice.options, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return made.fit(X, y, sample_weight=weights() if choice.variant == "weighted" else None)


def distance(ours: Any, theirs: Any, order: Any = slice(None)) -> float:
    """Return the largest difference of what was learned ÷ the largest of theirs; ours learned the columns in order."""
    found, largest = 0.0, float(np.abs(theirs.coef_).max())
    for name in FITTED:
        if hasattr(theirs, name):
            a, b = getattr(ours, name), getattr(theirs, name)
            assert a.shape == b.shape, (name, a.shape, b.shape)
            assert a.dtype == ours.coef_.dtype == theirs.coef_.dtype, name  # its intercept may be float64
            difference = a - b[..., order] if name == "coef_" else a - b
            found = max(found, float(np.abs(difference).max()))
    return found / largest if largest else np.inf


@dataclass(frozen=True)
class Comparison:
    """A choice and what was seen."""

    choice: Choice
    moved: float  # scikit-learn from itself, over permutations of the columns of X
    error: float  # fastgd from scikit-learn
    epochs: tuple[Any, Any]  # ours and theirs
    updates: tuple[Any, Any]

    @property
    def counts(self) -> bool:
        return self.moved < STABLE

    @property
    def agrees(self) -> bool:
        same = self.epochs[0] == self.epochs[1] and self.updates[0] == self.updates[1]
        return not self.counts or (self.error < TOLERANCE and same)


@cache
def comparisons(data: str, loss: str | None) -> list[Comparison]:
    """Return the comparisons of every choice with this loss on this data set."""
    return [compare(choice) for choice in choices(data) if choice.loss == loss]


def compare(choice: Choice) -> Comparison:
    """Fit both on the rows, and scikit-learn's on permutations of the columns as well."""
    X, y = rows(choice.data)
    rng, moved = np.random.default_rng(0), 0.0
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):  # to save time
        theirs = fitted(linear_model, choice, stored(X, choice.storage), y)
        for _ in range(3):
            order = rng.permutation(X.shape[1])
            permuted = fitted(linear_model, choice, stored(X[:, order], choice.storage), y)
            moved = max(moved, distance(permuted, theirs, order))
    if moved >= STABLE:
        return Comparison(choice, moved, np.nan, (0, 0), (0, 0))
    ours = fitted(estimators, choice, stored(X, choice.storage), y)
    return Comparison(choice, moved, distance(ours, theirs), (ours.n_iter_, theirs.n_iter_), (ours.t_, theirs.t_))


def table(seen: Iterable[Comparison]) -> str:
    """Return how many count, by loss and schedule, and by penalty, storage and variant."""
    seen = list(seen)
    made = Counter((one.choice.loss, one.choice.schedule) for one in seen)
    counted = Counter((one.choice.loss, one.choice.schedule) for one in seen if one.counts)
    lines = [f"{'':28}" + "".join(f"{schedule:>12}" for schedule in SCHEDULES)]
    for loss in dict.fromkeys(one.choice.loss for one in seen):
        cells = [f"{counted[loss, name]} of {made[loss, name]}" if made[loss, name] else "" for name in SCHEDULES]
        lines.append(f"{loss or 'one-class':28}" + "".join(f"{cell:>12}" for cell in cells))
    for field in ("penalty", "storage", "variant"):
        of = Counter(getattr(one.choice, field) for one in seen)
        count = Counter(getattr(one.choice, field) for one in seen if one.counts)
        lines.append(f"{field}: " + ", ".join(f"{name} {count[name]} of {of[name]}" for name in of))
    lines.append(
        f"{sum(one.counts for one in seen)} of {len(seen)} count, and fastgd's agree in "
        f"{sum(one.counts and one.agrees for one in seen)}"
    )
    return "\n".join(lines)
