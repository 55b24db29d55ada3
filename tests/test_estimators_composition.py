"""fastgd's estimators inside scikit-learn's tools, on data frames, in other processes and threads, and their memory."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from estimator_twins import EPOCHS, TOLERANCE, distance
from sklearn import linear_model
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from fastgd import estimators

NAMES = ("SGDClassifier", "SGDRegressor", "SGDOneClassSVM")
MODULES = (estimators, linear_model)
OPTIONS: dict[str, Any] = {"max_iter": EPOCHS, "tol": None, "random_state": 3}


def data(name: str) -> tuple[Any, Any]:
    """Return standardised rows and targets for the estimator of that name."""
    load = {"SGDClassifier": load_iris, "SGDRegressor": load_diabetes, "SGDOneClassSVM": load_breast_cancer}[name]
    X, y = load(return_X_y=True)
    X, y = scale(X[::2]), y[::2]
    return X / np.sqrt(X.shape[1]), scale(y) if name == "SGDRegressor" else y


def frames(X: Any) -> list[Any]:
    """Return X as pandas' and as polars' frame."""
    columns = {f"feature {number}": column for number, column in enumerate(X.T)}
    return [pd.DataFrame(columns), pl.DataFrame(columns)]


@pytest.mark.parametrize("name", NAMES)
def test_pipeline(name):
    X, y = data(name)
    ours, theirs = (make_pipeline(StandardScaler(), getattr(one, name)(**OPTIONS)).fit(X, y) for one in MODULES)
    assert distance(ours[-1], theirs[-1]) < TOLERANCE
    assert ours.predict(X) == pytest.approx(theirs.predict(X))
    if name != "SGDRegressor":
        assert ours.decision_function(X) == pytest.approx(theirs.decision_function(X))


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("name", ["SGDClassifier", "SGDRegressor"])
def test_grid_search(name, n_jobs):
    X, y = data(name)
    grid = {"alpha": [1e-4, 1e-2], "penalty": ["l2", "l1"], "average": [False, True]}
    ours, theirs = (GridSearchCV(getattr(one, name)(**OPTIONS), grid, cv=3, n_jobs=n_jobs).fit(X, y) for one in MODULES)
    assert ours.best_params_ == theirs.best_params_
    assert ours.cv_results_["mean_test_score"] == pytest.approx(theirs.cv_results_["mean_test_score"], abs=1e-9)
    assert distance(ours.best_estimator_, theirs.best_estimator_) < TOLERANCE


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_classifier(method):
    X, y = data("SGDClassifier")
    ours, theirs = (
        CalibratedClassifierCV(one.SGDClassifier(**OPTIONS), method=method, cv=3).fit(X, y) for one in MODULES
    )
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-6)


def test_stacking():
    X, y = data("SGDClassifier")
    ours, theirs = (
        StackingClassifier(
            [("hinge", one.SGDClassifier(**OPTIONS)), ("log", one.SGDClassifier(loss="log_loss", **OPTIONS))],
            final_estimator=one.SGDClassifier(loss="log_loss", **OPTIONS),
            cv=3,
        ).fit(X, y)
        for one in MODULES
    )
    assert distance(ours.final_estimator_, theirs.final_estimator_) < 1e-6
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-6)
    X, y = data("SGDRegressor")
    ours, theirs = (
        StackingRegressor([("sgd", one.SGDRegressor(**OPTIONS))], one.SGDRegressor(**OPTIONS), cv=3).fit(X, y)
        for one in MODULES
    )
    assert ours.predict(X) == pytest.approx(theirs.predict(X), abs=1e-6)


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("name", ["SGDClassifier", "SGDRegressor"])
def test_cross_validation_in_two_workers(name, backend):
    X, y = data(name)
    with joblib.parallel_backend(backend, n_jobs=2):
        scores = cross_val_score(getattr(estimators, name)(**OPTIONS), X, y, cv=4, n_jobs=2)
    expected = cross_val_score(getattr(linear_model, name)(**OPTIONS), X, y, cv=4)
    assert scores == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("wrapper", [OneVsRestClassifier, OneVsOneClassifier])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_one_against_the_others(wrapper, n_jobs):
    X, y = data("SGDClassifier")
    ours, theirs = (wrapper(one.SGDClassifier(**OPTIONS), n_jobs=n_jobs).fit(X, y) for one in MODULES)
    for fitted, expected in zip(ours.estimators_, theirs.estimators_):
        assert distance(fitted, expected) < TOLERANCE
    assert np.array_equal(ours.predict(X), theirs.predict(X))


def test_many_outputs_and_feature_selection():
    X, y = data("SGDRegressor")
    Y = np.column_stack([y, -2 * y])
    ours, theirs = (MultiOutputRegressor(one.SGDRegressor(**OPTIONS)).fit(X, Y) for one in MODULES)
    assert ours.predict(X) == pytest.approx(theirs.predict(X), abs=1e-9)
    chosen = [SelectFromModel(one.SGDRegressor(**OPTIONS)).fit(X, y).get_support() for one in MODULES]
    assert np.array_equal(*chosen)
    assert 0 < chosen[0].sum() < X.shape[1]


@pytest.mark.parametrize("name", NAMES)
def test_data_frames(name):
    X, y = data(name)
    expected = getattr(estimators, name)(**OPTIONS).fit(X, y)
    for frame in frames(X):
        made = getattr(estimators, name)(**OPTIONS).fit(frame, y)
        assert list(made.feature_names_in_) == list(frame.columns)
        assert made.n_features_in_ == X.shape[1]
        assert made.coef_.tobytes() == expected.coef_.tobytes()
        assert made.predict(frame) == pytest.approx(expected.predict(X), abs=1e-12)
        with pytest.raises(ValueError, match="feature names should match"):
            made.predict(frame[list(frame.columns)[::-1]])
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            made.predict(X)
        made.partial_fit(frame, y)
        with pytest.raises(ValueError, match="feature names should match"):
            made.partial_fit(frame[list(frame.columns)[::-1]], y)
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        expected.predict(frame)


def test_targets_in_series():
    for name in ("SGDClassifier", "SGDRegressor"):
        X, y = data(name)
        expected = getattr(estimators, name)(**OPTIONS).fit(X, y)
        for series in (pd.Series(y), pl.Series(y)):
            assert getattr(estimators, name)(**OPTIONS).fit(X, series).coef_.tobytes() == expected.coef_.tobytes()
    words = np.array(["setosa", "versicolor", "virginica"])
    X, y = data("SGDClassifier")
    for target in (words[y], pd.Series(words[y]), pd.Series(words[y], dtype="category"), pl.Series(words[y])):
        ours, theirs = (one.SGDClassifier(**OPTIONS).fit(X, target) for one in MODULES)
        assert ours.classes_.tolist() == theirs.classes_.tolist() == words.tolist()
        assert np.array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_set_output(output):
    """The estimators transform nothing; the steps before them hand frames over, whose names they note."""
    X, y = data("SGDRegressor")
    for frame in frames(X):
        line = make_pipeline(StandardScaler(), estimators.SGDRegressor(**OPTIONS)).set_output(transform=output)
        line.fit(frame, y)
        assert list(line[-1].feature_names_in_) == list(frame.columns)
        assert line.predict(frame).shape == y.shape
    assert not hasattr(estimators.SGDRegressor(), "transform")
    assert hasattr(estimators.SGDRegressor(), "set_output") == hasattr(linear_model.SGDRegressor(), "set_output")


@pytest.mark.parametrize("name", NAMES)
def test_metadata_routing(name):
    theirs, ours = getattr(linear_model, name), getattr(estimators, name)
    for method in ("fit", "partial_fit", "score"):
        requests = [
            set(getattr(one().get_metadata_routing(), method).requests)
            for one in (ours, theirs)
            if hasattr(one, method)
        ]
        assert not requests or requests[1] <= requests[0]
    assert "sample_weight" in ours().get_metadata_routing().fit.requests
    if name == "SGDOneClassSVM":
        return
    X, y = data(name)
    weights = np.random.default_rng(0).uniform(0.1, 3, size=len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        scores = [
            cross_val_score(
                make_pipeline(scaler, made(**OPTIONS).set_fit_request(sample_weight=True).set_score_request(
                    sample_weight=True
                )),
                X, y, params={"sample_weight": weights}, cv=3,
            )
            for made in (ours, theirs)
        ]  # fmt: skip
    assert scores[0] == pytest.approx(scores[1], abs=1e-9)
    unweighted = cross_val_score(make_pipeline(StandardScaler(), ours(**OPTIONS)), X, y, cv=3)
    assert not np.allclose(scores[0], unweighted, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_clone(name):
    theirs, ours = getattr(linear_model, name)(), getattr(estimators, name)()
    given = ours.get_params()
    assert {key: given[key] for key in theirs.get_params()} == theirs.get_params()
    X, y = data(name)
    changed = {"max_iter": 3, "tol": None, "random_state": 1, "average": True, "learning_rate": "constant"}
    ours.set_params(**changed).fit(X, y)
    copied = clone(ours)
    assert copied.get_params() == {**given, **changed}
    with pytest.raises(NotFittedError):
        copied.predict(X)
    assert copied.fit(X, y).coef_.tobytes() == ours.coef_.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_subclass_has_a_constructor_of_its_own(name):
    class Averaging(getattr(estimators, name)):
        def __init__(self, max_iter=EPOCHS):
            super().__init__(max_iter=max_iter, tol=None, random_state=3, average=True)

    X, y = data(name)
    assert Averaging().get_params() == {"max_iter": EPOCHS}
    expected = getattr(estimators, name)(average=True, **OPTIONS).fit(X, y)
    assert clone(Averaging()).fit(X, y).coef_.tobytes() == expected.coef_.tobytes()


@pytest.mark.parametrize("average", [False, True, 500], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_pickled_estimator_goes_on_as_the_original(name, average):
    X, y = data(name)
    made = getattr(estimators, name)(average=average, **OPTIONS).fit(X, y)
    made.partial_fit(X[:30], y[:30])
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        copied = pickle.loads(pickle.dumps(made, protocol=protocol))
        original = pickle.loads(pickle.dumps(made))
        assert np.array_equal(copied.predict(X), made.predict(X))
        for one in (copied, original):
            for start in (0, 30, 60):
                one.partial_fit(X[start : start + 30], y[start : start + 30])
        assert copied.coef_.tobytes() == original.coef_.tobytes()
        assert copied.t_ == original.t_
    made.partial_fit(X[:30], y[:30])
    made.partial_fit(X[30:60], y[30:60])
    made.partial_fit(X[60:90], y[60:90])
    assert copied.coef_.tobytes() == made.coef_.tobytes()
    assert copied.predict(X).tobytes() == made.predict(X).tobytes()


MEMORY = """
import re, sys, threading, numpy as np
from fastgd import estimators
name, path, dtype = sys.argv[1:]
X = np.load(path, mmap_mode="r") if dtype == "mapped" else np.load(path)
y = (np.arange(len(X)) % 3).astype(X.dtype)
made = getattr(estimators, name)(max_iter=2, tol=None, random_state=0)
made.fit(X[:1000], y[:1000]).predict(X[:1000])
def private():
    with open("/proc/self/status") as status:
        return int(re.search(r"RssAnon:\\s+(\\d+) kB", status.read())[1]) * 1024
peak, done = 0, threading.Event()
def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, private())
before = private()
watcher = threading.Thread(target=watch)
watcher.start()
made.fit(X, y)
made.partial_fit(X, y)
made.score_samples(X[:1000]) if name == "SGDOneClassSVM" else made.score(X[:1000], y[:1000])
done.set()
watcher.join()
assert peak
print(peak - before)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of 250,000 × 256 numbers in float32: 256 MB."""
    path = tmp_path_factory.mktemp("large") / "X.npy"
    X = np.lib.format.open_memmap(path, "w+", "float32", (250_000, 256))
    X[::100] = 0.5
    X.flush()
    return str(path)


@pytest.mark.parametrize("how", ["read", "mapped"])
@pytest.mark.parametrize("name", NAMES)
def test_fit_makes_no_copy_of_x(name, how, large):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, name, large, how], capture_output=True, text=True, cwd="/", timeout=300
    )
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout)
    print(f"\n{name}, X {how}: 256 MB of rows, {peak / 1e6:.0f} MB more at the peak")
    assert peak < 40e6
