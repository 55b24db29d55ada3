"""Every option of fastgd's estimators goes with every other, or is refused in words; what is wrong is refused too."""

from __future__ import annotations

import pickle
import warnings
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning

import fastgd
from fastgd.estimators import SGDClassifier, SGDOneClassSVM, SGDRegressor

rng = np.random.default_rng(2)
X = rng.uniform(0.2, 1.0, size=(60, 4)) * rng.choice([-1, 1], size=(60, 4))  # no zeros: CSR stores all of it
CODES = (X @ rng.normal(size=(4, 3)) + 0.3 * rng.normal(size=(60, 3))).argmax(axis=1)
SOME = np.where(np.arange(60) % 4, rng.uniform(0.5, 2, size=60), 0.0)

#: choices that every estimator has: those of the constructor, and those of fit in brackets
COMMON: dict[str, dict[str, Any]] = {
    "constant": {"learning_rate": "constant"}, "invscaling": {"learning_rate": "invscaling"},
    "adaptive": {"learning_rate": "adaptive", "tol": 1e-3, "max_iter": 8}, "optimal": {"learning_rate": "optimal"},
    "average": {"average": True}, "average later": {"average": 70}, "no intercept": {"fit_intercept": False},
    "no shuffle": {"shuffle": False}, "clip_norm": {"clip_norm": 0.5}, "decay": {"intercept_decay": 0.5},
    "skip": {"skip_zero_weight": True}, "callbacks": {"callbacks": [lambda history: history.epochs == 2]},
    "weights": {"(sample_weight)": SOME}, "coef_init": {"(coef_init)": 0.1},
}  # fmt: skip
SUPERVISED: dict[str, dict[str, Any]] = {
    **COMMON,
    "no penalty": {"penalty": None}, "l1": {"penalty": "l1"}, "elasticnet": {"penalty": "elasticnet"},
    "early_stopping": {"early_stopping": True, "max_iter": 20}, "X_val": {"(X_val)": X[:20]},
    "intercept_init": {"(intercept_init)": 0.2}, "clip_value": {"clip_value": 0.3},
    **{name: {"optimizer": name} for name in fastgd.optimizers.registry},
    "momentum": {"optimizer": fastgd.SGD(lr=0.02, momentum=0.9)},
}  # fmt: skip
OPTIONS: dict[Any, dict[str, dict[str, Any]]] = {
    SGDClassifier: {
        **SUPERVISED,
        "pa1": {"learning_rate": "pa1", "loss": "hinge"}, "log_loss": {"loss": "log_loss"},
        "multinomial": {"loss": "multinomial"}, "n_jobs": {"n_jobs": 2}, "balanced": {"class_weight": "balanced"},
    },
    SGDRegressor: {
        **SUPERVISED,
        "pa2": {"learning_rate": "pa2", "loss": "epsilon_insensitive"}, "huber": {"loss": "huber", "epsilon": 1.0},
        "poisson": {"loss": "poisson"}, "gamma": {"loss": "gamma"},
        "outputs": {"loss": fastgd.losses.Quantile(tau=0.3), "(y)": 2},
    },
    SGDOneClassSVM: COMMON,
}  # fmt: skip

OTHER_STEPS = ("clip_value", "adam", "adamw", "adagrad", "rmsprop", "ftrl", "momentum")
#: choices that a choice does not go with
REFUSED = {
    "optimal": set(OTHER_STEPS) - {"clip_value", "momentum"},
    "decay": set(OTHER_STEPS),
    "ftrl": {"l1", "elasticnet", "L2"},
    "adamw": {"l1", "elasticnet", "L2"},
    "pa1": {*OTHER_STEPS, "clip_norm"},
    "pa2": {*OTHER_STEPS, "clip_norm"},
    "l1": {"adam", "adagrad", "rmsprop", "momentum"},
    "elasticnet": {"adam", "adagrad", "rmsprop", "momentum"},
}


def goes(pair: tuple[str, str]) -> bool:
    """Tell whether two choices go together, and with the choices of all others, of which L2 is one."""
    first, second = pair
    alone = {name for name in pair if REFUSED.get(name, set()) & {"L2"}}
    if alone and "no penalty" not in pair:
        return False
    return second not in REFUSED.get(first, ()) and first not in REFUSED.get(second, ())


def fitted(kind: Any, options: dict[str, Any], rows: Any) -> Any:
    """Return the estimator, fitted and, where it may be, fitted further."""
    made = kind(**{"max_iter": 3, "tol": None, "random_state": 1, "eta0": 0.02, "learning_rate": "constant"})
    if kind is not SGDOneClassSVM:
        made.set_params(alpha=0.05)  # so that the first steps of "optimal" are short
    made.set_params(**{name: value for name, value in options.items() if not name.startswith("(")})
    if options.get("intercept_decay") is None:
        made.set_params(intercept_decay=1.0)  # on CSR it is 0.01 otherwise
    given = {name[1:-1]: value for name, value in options.items() if name.startswith("(")}
    outputs = 3 if kind is SGDClassifier else given.pop("y", 1)
    y = CODES if kind is SGDClassifier else 1.0 + CODES if outputs == 1 else np.column_stack([CODES, -CODES])
    if "coef_init" in given:
        given["coef_init"] = np.full((outputs, 4), given["coef_init"])
    if "intercept_init" in given:
        given["intercept_init"] = np.full(outputs, given["intercept_init"])
    if "X_val" in given:
        given["y_val"] = y[:20]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        made.fit(rows, y, **given)
    if not options.get("early_stopping") and options.get("class_weight") is None:
        weights = given.get("sample_weight")
        for chosen in (slice(0, 30), slice(30, 31), slice(31, 60)):
            made.partial_fit(rows[chosen], y[chosen], sample_weight=None if weights is None else SOME[chosen])
    return made


@pytest.mark.parametrize("kind", OPTIONS)
def test_pairs_of_options(kind):
    """What goes is learned alike from dense and from sparse rows, which are different loops."""
    seen = {True: 0, False: 0}
    for pair in combinations(OPTIONS[kind], 2):
        first, second = (OPTIONS[kind][name] for name in pair)
        if first.keys() & second.keys() - {"max_iter"}:
            continue  # two values of one parameter
        options = {**first, **second}
        seen[goes(pair)] += 1
        if not goes(pair):
            with pytest.raises(ValueError, match=r"does not go with|do not go with|only works with|need"):
                print(pair, fitted(kind, options, X))
            continue
        dense, sparse = fitted(kind, options, X), fitted(kind, options, scipy.sparse.csr_array(X))
        assert np.isfinite(dense.coef_).all(), pair
        assert np.any(dense.coef_ != 0), pair
        np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-8, atol=1e-10, err_msg=str(pair))
        bias = "offset_" if kind is SGDOneClassSVM else "intercept_"
        np.testing.assert_allclose(getattr(sparse, bias), getattr(dense, bias), rtol=1e-8, atol=1e-10)
        assert sparse.n_iter_ == dense.n_iter_, pair
        assert sparse.t_ == dense.t_, pair
    print(f"\n{kind.__name__}: {seen[True]} pairs go together, {seen[False]} are refused")
    assert seen[True] > 80


#: wrong values of the constructor's arguments, and the words of their refusal
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"optimizer": "adamm"}, "optimizer='adamm' is not known; allowed are 'sgd', 'adam',"),
    ({"optimizer": 3}, "'optimizer' parameter of SGDClassifier must be .*Optimizer' or None. Got 3"),
    ({"optimizer": fastgd.SGD}, "'optimizer' parameter of SGDClassifier must be an instance of .* Got <class"),
    *(({name: value}, rf"'{name}' .* must be a float in the range \(0.0, inf\) or None. Got {value!r}")
      for name in ("clip_value", "clip_norm") for value in (0, -1.0, "x", np.nan, np.inf)),
    ({"clip_value": True}, "clip_value=True must be a finite number above 0"),
    ({"intercept_decay": "often"}, "intercept_decay='often' must be 'auto' or a finite number of at least 0"),
    *(({"intercept_decay": value}, rf"'intercept_decay' .* or a float in the range \[0.0, inf\). Got {value}")
      for value in (-1, np.nan, np.inf, None)),
    ({"intercept_decay": True}, "intercept_decay=True must be a finite number of at least 0"),
    *(({name: value}, f"'{name}' parameter of SGDClassifier must be an instance of 'bool' .* Got {value!r}")
      for name in ("skip_zero_weight", "progress") for value in ("yes", 2)),
    *(({"callbacks": value}, r"callbacks=.* must be a sequence of callables") for value in (3, "abc", None, print)),
    ({"callbacks": [3]}, "callbacks has 3, which cannot be called"),
]  # fmt: skip
HOLE = np.where(np.arange(X.size).reshape(X.shape) == 9, np.nan, X)
#: and of the arguments of fit and partial_fit
WRONG_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"X_val": X}, "X_val and y_val go together; y_val is missing"),
    ({"y_val": CODES}, "X_val and y_val go together; X_val is missing"),
    ({"sample_weight_val": SOME}, "sample_weight_val is for X_val, which is missing"),
    *(({"y_val": CODES, **given}, f"X_val, y_val or sample_weight_val is refused: {words}") for given, words in (
        ({"X_val": X[:, :3]}, "X has 3 features, but SGD.* is expecting 4"),
        ({"X_val": HOLE}, "Input X contains NaN"),
        ({"X_val": X[0]}, "Expected 2D array, got 1D"),
        ({"X_val": "abc"}, "could not convert string to float: 'abc'"),
        ({"X_val": X[:9]}, r"Found input variables with inconsistent numbers of samples: \[9, 60\]"),
        ({"X_val": X, "sample_weight_val": SOME[:5]}, r"sample_weight.shape == \(5,\), expected \(60,\)"),
        ({"X_val": X, "sample_weight_val": -SOME}, "Negative values in data passed to `sample_weight`"),
        ({"X_val": X, "sample_weight_val": 0 * SOME}, "Sample weights must contain at least one non-zero"),
        ({"X_val": X[:0], "y_val": CODES[:0]}, r"Found array with 0 sample\(s\)"),
    )),
]  # fmt: skip
WRONG_LABELS: list[tuple[dict[str, Any], str]] = [
    ({"X_val": X, "y_val": np.array(["a", "b", "c"])[CODES]}, "refused: Mix of label input types"),
    ({"X_val": X, "y_val": CODES + 0.5}, "refused: Mix type of y not allowed"),
]


def unchanged(made: Any, call: Any, words: str) -> None:
    """Assert that the call is refused in these words and changes nothing."""
    before = {name: pickle.dumps(value) for name, value in made.__getstate__().items()}
    with pytest.raises((ValueError, TypeError), match=words):
        call()
    assert {name: pickle.dumps(value) for name, value in made.__getstate__().items()} == before


@pytest.mark.parametrize(("options", "words"), WRONG, ids=str)
def test_wrong_options_are_refused(options, words):
    made = fitted(SGDClassifier, {}, X).set_params(**options)
    unchanged(made, lambda: made.fit(X, CODES), words)
    made = SGDClassifier(**options)
    unchanged(made, lambda: made.partial_fit(X, CODES, classes=[0, 1, 2]), words)
    assert not hasattr(made, "coef_")


@pytest.mark.parametrize("kind", [SGDClassifier, SGDRegressor])
def test_wrong_validation_rows_are_refused(kind):
    made = fitted(kind, {}, X)
    wrong_targets = WRONG_LABELS if kind is SGDClassifier else []
    for given, words in WRONG_ROWS + wrong_targets:
        for method in (made.fit, made.partial_fit):
            unchanged(made, lambda method=method, given=given: method(X, CODES, **given), words)
    two = np.column_stack([CODES, CODES])
    if kind is SGDRegressor:
        made = SGDRegressor("quantile").fit(X, CODES)
        unchanged(
            made, lambda: made.fit(X, CODES, X_val=X, y_val=two), r"y_val has shape \(60, 2\); allowed is \(60,\)"
        )
        unchanged(made, lambda: made.partial_fit(X, two), r"y has shape \(60, 2\); allowed is \(60,\)")


def test_wrong_classes_are_refused():
    made = fitted(SGDClassifier, {}, X)
    for grow in ("yes", 1, None):
        unchanged(made, lambda grow=grow: made.partial_fit(X, CODES, grow_classes=grow), f"grow_classes={grow!r} must")
    unchanged(made, lambda: made.partial_fit(X, CODES + 1), "classes should include all valid labels that can be in y")
    unchanged(made, lambda: made.partial_fit(X[:1], [7]), "classes should include all valid labels that can be in y")
    words = np.array(["a", "b", "c"])[CODES]
    unchanged(made, lambda: made.partial_fit(X, words, grow_classes=True), "Mix of label input types")
    unchanged(made, lambda: made.partial_fit(X, CODES + 0.5, grow_classes=True), "Unknown label type")
    first = SGDClassifier()
    with pytest.raises(ValueError, match="The number of classes has to be greater than one; got 1 class"):
        first.partial_fit(X, np.zeros(60), grow_classes=True)
    assert not hasattr(first, "coef_")


@pytest.mark.parametrize(
    ("loss", "y", "words"),
    [
        ("poisson", CODES - 1.0, "y has -1.0 in row .*; loss 'poisson' takes numbers of at least 0"),
        ("gamma", 1.0 * CODES, "y has 0.0 in row .*; loss 'gamma' takes numbers above 0"),
        ("tweedie", CODES - 1.0, "y has -1.0 in row .*; loss 'tweedie' takes numbers of at least 0"),
        ("squared_error", np.column_stack([CODES, CODES]), "y should be a 1d array"),
        (fastgd.losses.Hinge(), CODES, r"loss=Hinge\(\) is for classes; allowed are losses for numbers"),
        (fastgd.losses.CrossEntropy(), CODES, r"loss=CrossEntropy\(\) is for classes"),
        ("hinge", CODES, "'loss' parameter of SGDRegressor must be a str among"),
        (fastgd.losses.Huber, CODES, "'loss' parameter of SGDRegressor must be a str among"),
    ],
)
def test_wrong_targets_and_losses_are_refused(loss, y, words):
    made = SGDRegressor(loss)
    with pytest.raises(ValueError, match=words):
        made.fit(X, y)
    assert not hasattr(made, "coef_")


@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.parametrize("wrong", [HOLE[2:3], X[:1, :3], X[0], [["a"] * 4], X[:0]], ids=["nan", "3", "1d", "a", "none"])
def test_a_wrong_row_is_refused_on_the_short_way_too(kind, wrong):
    made = fitted(kind, {}, X)
    made.partial_fit(X[:1], [1])
    unchanged(made, lambda: made.partial_fit(wrong, [1][: len(wrong)]), r"\w")
    unchanged(made, lambda: made.predict(wrong), r"\w")
    if kind is not SGDOneClassSVM:
        for y in ([1, 1], [np.nan], 1, [[1, 2]], ["a"], [None]):
            unchanged(made, lambda y=y: made.partial_fit(X[:1], y), r"\w")
    fresh = fitted(kind, {}, X).partial_fit(X[:1], [1])
    assert made.partial_fit(X[3:4], [1]).coef_.tobytes() == fresh.partial_fit(X[3:4], [1]).coef_.tobytes()
