"""What fastgd's estimators refuse, say and answer is what scikit-learn's refuse, say and answer."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from estimator_twins import EPOCHS, KINDS, rows
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning

from fastgd import estimators
from fastgd.estimators.given import checked

BOTH = (estimators, linear_model)
X, Y = rows("iris")
NAN = np.where(np.arange(X.size).reshape(X.shape) == 17, np.nan, X)

#: arguments of every estimator's constructor
OPTIONS: list[dict[str, Any]] = [
    {"max_iter": 0}, {"max_iter": 2.5}, {"max_iter": "many"}, {"tol": -1.0}, {"tol": "small"}, {"shuffle": "yes"},
    {"verbose": -1}, {"random_state": "seed"}, {"random_state": -1}, {"warm_start": 3}, {"average": -1},
    {"average": 0.5}, {"eta0": 0.0}, {"eta0": -0.1}, {"eta0": None}, {"learning_rate": "cosine"},
    {"learning_rate": "pa1"}, {"fit_intercept": 2}, {"power_t": "half"},
]  # fmt: skip
#: and of those that learn targets
SUPERVISED: list[dict[str, Any]] = [
    {"loss": "zero_one"}, {"loss": None}, {"penalty": "l3"}, {"penalty": "none"}, {"alpha": -1.0}, {"alpha": "small"},
    {"alpha": 0, "learning_rate": "optimal"}, {"l1_ratio": 1.5}, {"l1_ratio": None, "penalty": "elasticnet"},
    {"epsilon": -1.0}, {"n_iter_no_change": 0}, {"validation_fraction": 0.0}, {"validation_fraction": 1.0},
    {"early_stopping": "yes"}, {"early_stopping": True, "validation_fraction": 0.99},
    {"learning_rate": "pa2", "loss": "huber"},
]  # fmt: skip
CLASSIFIERS: list[dict[str, Any]] = [
    {"class_weight": "equal"}, {"class_weight": {7: 1.0}}, {"class_weight": 2.0}, {"n_jobs": 1.5}, {"n_jobs": "all"},
]  # fmt: skip
ONE_CLASS: list[dict[str, Any]] = [{"nu": 0.0}, {"nu": 1.5}, {"nu": "half"}]
REFUSED = [
    (name, options)
    for name, own in (
        ("SGDClassifier", SUPERVISED + CLASSIFIERS),
        ("SGDRegressor", SUPERVISED),
        ("SGDOneClassSVM", ONE_CLASS),
    )
    for options in OPTIONS + own
]
#: arguments of fit
DATA: list[dict[str, Any]] = [
    {"X": NAN, "y": Y}, {"X": X, "y": Y[:-1]}, {"X": X[0], "y": Y[:1]}, {"X": X[:0], "y": Y[:0]},
    {"X": X[:, :, None], "y": Y}, {"X": X.astype(complex), "y": Y}, {"X": [["a"] * 8] * 60, "y": Y},
    {"X": X[:, :0], "y": Y}, {"X": X, "y": np.column_stack([Y, Y])},
    {"X": X, "y": np.where(np.arange(60) == 3, np.nan, Y)},
    {"X": X, "y": Y + 0.5}, {"X": X, "y": np.zeros(60)}, {"X": X, "y": None},
    {"X": X, "y": Y, "sample_weight": np.ones(59)}, {"X": X, "y": Y, "sample_weight": np.ones((60, 2))},
    {"X": X, "y": Y, "sample_weight": np.full(60, np.nan)}, {"X": X, "y": Y, "sample_weight": np.zeros(60)},
    {"X": X, "y": Y, "coef_init": np.zeros(5)}, {"X": X, "y": Y, "coef_init": np.zeros((3, 7))},
    {"X": X, "y": Y, "intercept_init": np.zeros(5)}, {"X": X, "y": Y, "offset_init": np.zeros(5)},
    {"X": scipy.sparse.csr_array(NAN), "y": Y}, {"X": scipy.sparse.coo_array(X), "y": Y}, {"X": X, "y": Y.astype(str)},
    {"X": np.where(np.isnan(NAN), np.inf, X), "y": Y}, {"X": np.where(np.isnan(NAN), None, X), "y": Y},
    {"X": np.where(np.isnan(NAN), -np.inf, X).astype("float32"), "y": Y}, {"X": NAN.astype("float32"), "y": Y},
    {"X": X.astype("float16"), "y": Y}, {"X": X.astype(int), "y": Y}, {"X": X > 0, "y": Y},
    {"X": X.tolist(), "y": list(Y)},
]  # fmt: skip
NAMES = tuple(dict.fromkeys(KINDS.values()))


def answer(call: Any, *given: Any, **named: Any) -> tuple[Any, ...]:
    """Return the warnings and the error that the call makes, each as its type and its words."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            call(*given, **named)
            error: tuple[Any, ...] = ()
        except Exception as caught:
            words = re.sub(r"0x\w+", "", str(caught))
            error = (type(caught).__mro__[:-1], words)
    return [(one.category, str(one.message)) for one in seen], *error


def called(made: Any, method: str, *given: Any) -> Any:
    """Call the method, which the estimator may not have."""
    return getattr(made, method)(*given)


def names_options(words: str) -> str:
    """Return a message without the list of what is allowed: ours allow more."""
    return re.sub(r"must be .*\. Got", "must be … . Got", words)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("name", "options"), REFUSED, ids=str)
def test_options(name, options, method):
    given = {"classes": np.unique(Y)} if (name, method) == ("SGDClassifier", "partial_fit") else {}
    answers = [
        answer(
            lambda module=module: getattr(getattr(module, name)(**{"max_iter": 3, **options}), method)(X, Y, **given)
        )
        for module in BOTH
    ]
    ours, theirs = ((seen, *error[:1], names_options(error[1]) if error else "") for seen, *error in answers)
    assert ours == theirs


@pytest.mark.parametrize(
    "data", DATA, ids=lambda data: ",".join(f"{key}={getattr(data[key], 'dtype', '')}" for key in data)
)
@pytest.mark.parametrize("name", NAMES)
def test_data(name, data):
    ours, theirs = (
        answer(lambda module=module: getattr(module, name)(random_state=0, max_iter=EPOCHS).fit(**data))
        for module in BOTH
    )
    assert repr(ours) == repr(theirs).replace("BaseSGD", "SGD")


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_before_or_does_not_fit(name):
    for method, arguments in (
        ("predict", (X,)), ("decision_function", (X,)), ("sparsify", ()), ("densify", ()), ("score_samples", (X,)),
        ("predict_proba", (X,)), ("predict_log_proba", (X,)), ("score", (X, Y)),
    ):  # fmt: skip
        answers = [answer(called, getattr(module, name)(), method, *arguments) for module in BOTH]
        assert answers[0] == answers[1], method
    fitted = [getattr(module, name)(max_iter=EPOCHS, tol=None).fit(X, Y) for module in BOTH]
    for method, wrong in [(method, wrong) for method in ("predict", "partial_fit") for wrong in (X[:, :3], NAN, X[0])]:
        arguments = (wrong, Y[: len(wrong)]) if method == "partial_fit" else (wrong,)
        answers = [answer(called, one, method, *arguments) for one in fitted]
        assert answers[0] == answers[1], (method, wrong.shape)
        assert len(answers[0]) == 3


def test_classes_of_partial_fit():
    for calls in (
        [(X, Y, None)], [(X, Y, [0, 1])], [(X, Y, [0])], [(X, Y, [0, 1, 2]), (X, Y, [0, 1])],
        [(X, Y, [0, 1, 2]), (X, Y + 1, None)], [(X, Y, [0, 1, 2, 5]), (X, Y, [5, 2, 1, 0])],
    ):  # fmt: skip

        def run(module, calls=calls):
            made = module.SGDClassifier(random_state=0)
            for X_part, y, classes in calls:
                made.partial_fit(X_part, y, classes=classes)

        ours, theirs = (answer(lambda module=module: run(module)) for module in BOTH)
        assert ours == theirs, calls[-1][2]


@pytest.mark.parametrize("name", NAMES)
def test_a_divergence_begins_with_scikit_learns_sentence(name):
    far = X.copy()
    far[0, 3] = 1e300
    loss = {} if name == "SGDOneClassSVM" else {"loss": "squared_error"}
    options = {"learning_rate": "constant", "eta0": 1e100, "random_state": 0, "shuffle": False, "max_iter": 5, **loss}
    made = [getattr(module, name)(**options) for module in BOTH]
    answers = []
    for one in made:
        with np.errstate(all="ignore"):
            answers.append(answer(lambda one=one: one.fit(far, Y)))
    sentence = answers[1][2]
    assert re.match("Floating-point under-/overflow occurred at epoch #", sentence)
    assert ValueError in answers[0][1]
    assert answers[0][2].startswith(sentence)
    assert len(answers[0][2]) > len(sentence)
    assert re.search(r"\brow [01]\b.* 1e\+300", answers[0][2])
    assert np.isfinite(made[0].coef_).all()
    made[0].predict(X)


@pytest.mark.parametrize("loss", ["log_loss", "modified_huber", "hinge"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sparse", [False, True])
def test_answers_of_classifiers(loss, classes, dtype, sparse):
    rows = scipy.sparse.csr_array(X) if sparse else X
    rows, y = rows.astype(dtype), np.array(["a", "b", "c"])[Y % classes]
    options = {"alpha": 0.05, "random_state": 0, "max_iter": EPOCHS, "tol": None}
    made = [module.SGDClassifier(loss=loss, **options).fit(rows, y) for module in BOTH]
    methods = ["predict", "decision_function"] + ["predict_proba"] * (loss != "hinge")
    methods += ["predict_log_proba"] * (loss == "log_loss")
    for method in methods:
        ours, theirs = (getattr(one, method)(rows) for one in made)
        assert ours.dtype == theirs.dtype or ours.dtype == dtype  # scikit-learn's intercept of two classes is float64
        assert ours.shape == theirs.shape
        if method == "predict":
            assert np.mean(ours != theirs) < 0.05
        else:
            assert ours == pytest.approx(theirs, abs=1e-3 if dtype == "float32" else 1e-8)
    assert hasattr(made[0], "predict_proba") == hasattr(made[1], "predict_proba")


@pytest.mark.parametrize("name", NAMES)
def test_sparse_coefficients(name):
    made = [getattr(module, name)(random_state=0, max_iter=EPOCHS, tol=None).fit(X, Y) for module in BOTH]
    before = made[0].predict(X)
    for one in made:
        if name != "SGDOneClassSVM":  # scikit-learn's there multiplies by what it cannot
            assert one.sparsify() is one
            assert scipy.sparse.issparse(one.coef_)
            assert one.predict(X) == pytest.approx(before)
        assert one.densify() is one
        assert isinstance(one.coef_, np.ndarray)
    assert made[0].coef_.shape == made[1].coef_.shape


@pytest.mark.parametrize("name", NAMES)
def test_indices_of_64_bits_are_taken(name):
    """scikit-learn refuses them."""
    rows = scipy.sparse.csr_array(X)
    expected = getattr(estimators, name)(random_state=0, max_iter=EPOCHS, tol=None).fit(rows, Y)
    rows.indices, rows.indptr = rows.indices.astype("int64"), rows.indptr.astype("int64")
    made = getattr(estimators, name)(random_state=0, max_iter=EPOCHS, tol=None).fit(rows, Y)
    assert made.coef_.tobytes() == expected.coef_.tobytes()
    assert made.predict(rows) == pytest.approx(expected.predict(X))
    with pytest.raises(ValueError, match="32-bit integer indices"):
        getattr(linear_model, name)().fit(rows, Y)


@pytest.mark.parametrize("name", NAMES)
def test_too_few_epochs_are_told(name):
    for module in BOTH:
        with pytest.warns(ConvergenceWarning, match="Maximum number of iteration reached before convergence"):
            getattr(module, name)(max_iter=1).fit(X, Y)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_verbose_lines(name, early_stopping, capsys):
    printed = []
    options = {"verbose": 1, "random_state": 0, "learning_rate": "constant", "eta0": 0.05, "max_iter": 1000}
    options |= {} if name == "SGDOneClassSVM" else {"early_stopping": early_stopping}
    for module in BOTH:
        made = getattr(module, name)(**options).fit(X, Y % 2)
        lines = re.sub(r"[\d.]+ (?=seconds)", "", capsys.readouterr().out).splitlines()
        printed.append([re.sub(r"-(0\.0+)\b", r"\1", line) for line in lines])
    assert made.n_iter_ > 5
    assert printed[0] == printed[1]


def test_numbers_are_finite_where_their_squares_are_not():
    huge = np.where(np.isnan(NAN), 1e200, X)
    given = checked(estimators.SGDClassifier(), huge, Y, reset=True)
    assert given.X is huge
    assert np.isinf(given.squares).sum() == 1
    np.testing.assert_allclose(checked(estimators.SGDRegressor(), X, Y, reset=True).squares, (X * X).sum(axis=1))
    assert checked(estimators.SGDOneClassSVM(), scipy.sparse.csr_array(X), reset=True).squares is None
