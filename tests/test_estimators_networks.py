"""MLPRegressor and MLPClassifier beside scikit-learn's classes of the same name."""

from __future__ import annotations

import copy
import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.utils import estimator_checks

import fastgd
from fastgd.estimators import networks as ours

RNG = np.random.default_rng(0)
X = RNG.normal(size=(43, 4))
LINEAR = X @ RNG.normal(size=(4, 3))
TARGETS = {
    "number": LINEAR[:, 0] + 0.1 * RNG.normal(size=43),
    "numbers": LINEAR,
    "counts": RNG.poisson(np.exp(0.3 * LINEAR[:, :2])).astype(float),
    "two classes": np.where(LINEAR[:, 0] > 0, "yes", "no"),
    "classes": LINEAR.argmax(axis=1),
    "labels": (LINEAR > 0).astype(int),
}
SOLVERS = {
    "plain": {"solver": "sgd", "momentum": 0},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.01},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1},
    "adam": {"solver": "adam"},
    "adam with a large epsilon": {"solver": "adam", "epsilon": 1e-3, "beta_1": 0.5},
}
WEIGHTS = np.random.default_rng(1).integers(0, 4, 43).astype(float)


@pytest.fixture(autouse=True)
def few_epochs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def names(kind):
    return "MLPRegressor" if kind in ("number", "numbers", "counts") else "MLPClassifier"


def pair(kind, **given):
    """Return ours and theirs with the same parameters."""
    given = {"hidden_layer_sizes": (5, 3), "random_state": 3, "max_iter": 3, "alpha": 0.05, "batch_size": 1} | given
    if kind == "counts":
        given["loss"] = "poisson"
    return [getattr(module, names(kind))(**given) for module in (ours, theirs)]


def fitted(kind, X=X, weights=None, **given):
    return [estimator.fit(X, TARGETS[kind], sample_weight=weights) for estimator in pair(kind, **given)]


def assert_same(mine, other, rtol=1e-9, rows=X):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(mine, name), getattr(other, name), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())
    np.testing.assert_allclose(mine.loss_curve_, other.loss_curve_, rtol=rtol)
    for name in ("loss_", "best_loss_", "validation_scores_", "best_validation_score_"):
        assert (getattr(mine, name) is None) == (getattr(other, name) is None)
        if getattr(other, name) is not None:
            np.testing.assert_allclose(getattr(mine, name), getattr(other, name), rtol=rtol)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(mine, name) == getattr(other, name)
    for method in ("predict", "predict_proba"):
        if hasattr(other, method):
            a, b = getattr(mine, method)(rows), getattr(other, method)(rows)
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            same = np.allclose(a, b, rtol=rtol, atol=rtol) if a.dtype.kind == "f" else np.array_equal(a, b)
            assert same


# ----------------------------------------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_weights_and_losses_are_scikit_learns(activation, kind):
    batches = itertools.cycle([(1, False), (10, True), (1, True), (10, False), ("auto", True)])
    for given, (batch_size, shuffle) in zip(SOLVERS.values(), batches):
        mine, other = fitted(kind, activation=activation, batch_size=batch_size, shuffle=shuffle, **given)
        assert_same(mine, other)


@pytest.mark.parametrize("solver", ["nesterov", "adaptive", "adam"])
@pytest.mark.parametrize("kind", ["number", "two classes", "classes", "labels"])
def test_early_stopping_splits_scores_and_stops_as_scikit_learn_does(kind, solver):
    given = SOLVERS[solver] | {"tol": 1e-3, "n_iter_no_change": 3, "max_iter": 40, "validation_fraction": 0.25}
    mine, other = fitted(kind, early_stopping=True, learning_rate_init=0.005, batch_size=8, **given)
    assert_same(mine, other)


@pytest.mark.parametrize("solver", ["invscaling", "adaptive", "adam"])
def test_training_stops_where_scikit_learns_does(solver):
    given = SOLVERS[solver] | {"tol": 1e-2, "n_iter_no_change": 2, "max_iter": 200}
    mine, other = fitted("classes", **given)
    assert other.n_iter_ < 200
    assert_same(mine, other)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", ["number", "counts", "classes"])
def test_calls_of_partial_fit_go_on_with_the_optimizer(kind, solver):
    given = SOLVERS[solver] | {"learning_rate_init": 0.01, "tol": 10.0, "n_iter_no_change": 1}
    mine, other = pair(kind, **given)
    for start in (0, 10, 20, 30, 0, 1, 2):
        part, y = X[start : start + (10 if start % 10 == 0 else 1)], TARGETS[kind][start : start + 10]
        given = {"classes": [0, 1, 2]} if kind == "classes" else {}
        for estimator in (mine, other):
            estimator.partial_fit(part, y[: len(part)], **given)
    assert_same(mine, other)


def test_warm_starts_go_on_from_the_weights():
    mine, other = pair("classes", warm_start=True)
    for estimator in (mine, other):
        estimator.fit(X, TARGETS["classes"]).set_params(learning_rate_init=0.01).fit(X[::2], TARGETS["classes"][::2])
    assert_same(mine, other)
    assert len(mine.loss_curve_) == 6


@pytest.mark.parametrize("solver", ["plain", "adam"])
@pytest.mark.parametrize("kind", ["numbers", "counts", "classes"])
@pytest.mark.parametrize("batch_size", [10, "auto"])
def test_weights_of_samples_are_scikit_learns_in_batches(kind, solver, batch_size):
    assert_same(*fitted(kind, weights=WEIGHTS, batch_size=batch_size, **SOLVERS[solver]))


@pytest.mark.parametrize("kind", ["number", "classes"])
def test_float32_and_sparse_rows(kind):
    mine, other = fitted(kind, X=X.astype(np.float32), batch_size=10)
    assert mine.coefs_[0].dtype == np.float32
    assert_same(mine, other, rtol=1e-4, rows=X.astype(np.float32))
    rows = np.where(np.abs(X) > 0.5, X, 0)
    for stored in (scipy.sparse.csr_array(rows), scipy.sparse.csc_matrix(rows)):
        mine, other = fitted(kind, X=stored)
        assert_same(mine, other, rows=stored)


def test_a_random_state_that_is_shared_is_drawn_from_alike():
    shared = [np.random.RandomState(5), np.random.RandomState(5)]
    mine, other = pair("classes", early_stopping=True)
    for estimator, state in zip((mine, other), shared):
        estimator.set_params(random_state=state).fit(X, TARGETS["classes"]).fit(X, TARGETS["classes"])
    assert_same(mine, other)
    assert shared[0].uniform() == shared[1].uniform()


# ---------------------------------------------------------------------------------------------- where it is otherwise


def test_weights_of_single_samples_divide_by_their_mean():
    # one unit and no activation: f = (x · u + b) v + c
    w, mean, alpha, lr, y = WEIGHTS, WEIGHTS.mean(), 0.3, 0.01, TARGETS["number"]
    given = SOLVERS["plain"] | {"alpha": alpha, "learning_rate_init": lr, "max_iter": 1, "random_state": 0}
    mine = ours.MLPRegressor(hidden_layer_sizes=1, activation="identity", shuffle=False, **given)
    rng = np.random.RandomState(0)
    u, b = rng.uniform(-np.sqrt(6 / 5), np.sqrt(6 / 5), 4), rng.uniform(-np.sqrt(6 / 5), np.sqrt(6 / 5))
    v, c = rng.uniform(-np.sqrt(3), np.sqrt(3)), rng.uniform(-np.sqrt(3), np.sqrt(3))
    total = price = 0.0
    for x, t, weight in zip(X, y, w):
        if weight == 0:
            continue
        h = x @ u + b
        r = h * v + c - t
        total += weight * r * r / 2
        price += alpha / 2 / mean * (u @ u + v * v)
        slope = weight / mean * r
        u, b, v, c = (
            u - lr * (slope * v * x + alpha / mean * u), b - lr * slope * v,
            v - lr * (slope * h + alpha / mean * v), c - lr * slope,
        )  # fmt: skip
    mine.fit(X, y, sample_weight=w)
    np.testing.assert_allclose(mine.coefs_[0][:, 0], u, rtol=1e-12)
    np.testing.assert_allclose([mine.coefs_[1][0, 0], mine.intercepts_[0][0], mine.intercepts_[1][0]], [v, b, c])
    np.testing.assert_allclose(mine.loss_, total / w.sum() + price / np.count_nonzero(w))
    same = clone(mine).set_params(alpha=0).fit(X, y, sample_weight=np.full(43, 7.0))
    np.testing.assert_allclose(same.coefs_[0], clone(same).fit(X, y).coefs_[0], rtol=1e-12)


@pytest.mark.parametrize("name", ["MLPRegressor", "MLPClassifier"])
def test_the_differences_in_parameters_are_these(name):
    mine, other = (getattr(module, name)().get_params() for module in (ours, theirs))
    assert set(mine) - set(other) == {"callbacks", "progress"}
    assert set(other) - set(mine) == {"max_fun"}
    assert {key for key in set(mine) & set(other) if mine[key] != other[key]} == {"batch_size"}
    with pytest.raises(ValueError, match=f"solver='lbfgs' is not offered.*sklearn.neural_network.{name}"):
        getattr(ours, name)(solver="lbfgs").fit(X, TARGETS["two classes"])


@pytest.mark.parametrize("kind", ["number", "classes"])
def test_rows_to_score_take_the_place_of_a_split(kind):
    y = TARGETS[kind]
    mine, other = pair(kind, early_stopping=True, shuffle=False, max_iter=15, n_iter_no_change=5, batch_size=4)
    other.fit(X, y)
    rng = np.random.RandomState(3)
    rng.uniform(size=sum(array.size for array in [*other.coefs_, *other.intercepts_]))
    X_train, X_val, y_train, y_val = train_test_split(X, y, random_state=rng, test_size=0.1)
    mine.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    assert_same(mine, other)
    watched = clone(mine).set_params(early_stopping=False).fit(X_train, y_train, X_val=X_val, y_val=y_val)
    assert len(watched.validation_scores_) == 15
    np.testing.assert_allclose(watched.validation_scores_[-1], watched.score(X_val, y_val))
    weighted = clone(mine).fit(X_train, y_train, X_val=X_val, y_val=y_val, sample_weight_val=np.arange(5.0))
    score = weighted.score(X_val, y_val, sample_weight=np.arange(5.0))
    np.testing.assert_allclose(weighted.best_validation_score_, score)


def test_divergence_names_the_row_and_keeps_the_last_finite_network():
    mine = ours.MLPRegressor(solver="sgd", learning_rate_init=10.0, max_iter=5, random_state=0)
    words = "^Solver produced non-finite parameter weights. The input data may contain large values.*epoch 0 at row"
    with pytest.raises(fastgd.DivergenceError, match=words) as caught:
        mine.fit(X, TARGETS["number"])
    assert caught.value.epoch == 0
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert all(np.isfinite(array).all() for array in mine.coefs_)
    with pytest.warns(ConvergenceWarning, match="non-finite"):
        mine.set_params(early_stopping=True).fit(X, TARGETS["number"])
    assert np.isnan(mine.validation_scores_[-1])
    assert np.isfinite(mine.predict(X)).all()


# --------------------------------------------------------------------------------------------------------------- extras


def test_callbacks_see_each_epoch_and_can_stop():
    seen = []

    def third(history):
        seen.append((history.epochs, history.loss[-1], history.model.params.copy()))
        return len(seen) == 3

    mine = ours.MLPClassifier(5, callbacks=[third], random_state=0).fit(X, TARGETS["classes"])
    assert [epochs for epochs, _, _ in seen] == [1, 2, 3]
    assert [loss for _, loss, _ in seen] == mine.loss_curve_
    np.testing.assert_array_equal(seen[-1][2][:20].reshape(5, 4).T, mine.coefs_[0])
    stopped = ours.MLPRegressor(
        hidden_layer_sizes=5, callbacks=[fastgd.EarlyStopping(2)], learning_rate_init=0.1, random_state=0
    )
    stopped.fit(X, TARGETS["number"])
    assert stopped.n_iter_ < 200


def test_an_interruption_keeps_what_was_learnt():
    def interrupt(history):
        if history.epochs == 2:
            raise KeyboardInterrupt

    mine, other = pair("classes", max_iter=2)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        mine.set_params(callbacks=(interrupt,), max_iter=50).fit(X, TARGETS["classes"])
    assert_same(mine, other.fit(X, TARGETS["classes"]))


def test_progress_counts_rows(capsys):
    ours.MLPClassifier(5, max_iter=2, progress=True, random_state=0).fit(X, TARGETS["classes"])
    assert "86.0/86.0" in capsys.readouterr().err


def test_verbose_prints_scikit_learns_lines(capsys):
    printed = []
    for estimator in pair(
        "classes", verbose=True, tol=1.0, n_iter_no_change=1, early_stopping=True, **SOLVERS["plain"]
    ):
        estimator.fit(X, TARGETS["classes"])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Stopping." in printed[0]


# ---------------------------------------------------------------------------------------- what an estimator must do


@pytest.mark.parametrize("solver", ["nesterov", "adam"])
def test_copies_go_on_as_the_original_does(solver):
    y = TARGETS["classes"]
    mine = pair("classes", **SOLVERS[solver])[0].fit(X, y)
    copies = [pickle.loads(pickle.dumps(mine)), copy.deepcopy(mine)]
    mine.partial_fit(X, y)
    for other in copies:
        assert not np.array_equal(other.coefs_[0], mine.coefs_[0])
        assert_same(other.partial_fit(X, y), mine, rtol=0)
    assert not hasattr(clone(mine), "coefs_")


def test_weights_that_are_assigned_are_used():
    mine, other = fitted("number")
    for estimator in (mine, other):
        estimator.coefs_ = [2 * coef for coef in estimator.coefs_]
        estimator.intercepts_[0] = np.ones(5)
        estimator.coefs_[1][0, 0] = 3.0
    mine.coefs_[0][0] = other.coefs_[0][0] = 0.5
    np.testing.assert_allclose(mine.predict(X), other.predict(X))
    mine.set_params(activation="tanh")
    np.testing.assert_allclose(mine.predict(X), other.set_params(activation="tanh").predict(X))


def test_names_of_columns_are_kept():
    frame = pd.DataFrame(X, columns=list("abcd"))
    mine = ours.MLPClassifier(5, max_iter=2, random_state=0).fit(frame, pd.Series(TARGETS["two classes"]))
    assert mine.feature_names_in_.tolist() == list("abcd")
    assert mine.predict(frame).shape == (43,)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        mine.predict(X)
    with pytest.raises(ValueError, match="feature names"):
        mine.predict(frame.rename(columns={"a": "z"}))


def test_a_search_over_a_grid_finds_what_scikit_learns_does():
    found = []
    for estimator in pair("classes", max_iter=4):
        search = GridSearchCV(estimator, {"learning_rate_init": [1e-3, 1e-2], "batch_size": [1, 8]}, cv=3)
        found.append(search.fit(X, TARGETS["classes"]).cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*found)


REFUSED = [
    ({}, {"X_val": X}, "X_val and y_val go together"),
    ({}, {"sample_weight_val": WEIGHTS}, "X_val and y_val go together"),
    ({}, {"sample_weight": -WEIGHTS}, "Negative values in data passed to `sample_weight`"),
    ({}, {"sample_weight": 0 * WEIGHTS}, "non-zero"),
    ({}, {"X_val": X[:, :2], "y_val": WEIGHTS}, "2 features, but .* is expecting 4"),
    ({"hidden_layer_sizes": (3, 0)}, {}, "hidden_layer_sizes must be > 0"),
    ({"hidden_layer_sizes": (9,)}, {}, "goes on as it is"),
    ({"batch_size": 0}, {}, "'batch_size' parameter"),
    ({"solver": "rprop"}, {}, "'solver' parameter"),
    ({"callbacks": 3}, {}, "'callbacks' parameter"),
    ({"early_stopping": True, "validation_fraction": 0.01}, {}, "validation set is too small"),
]


@pytest.mark.parametrize(("params", "given", "words"), REFUSED)
def test_what_makes_no_sense_is_refused_and_changes_no_weight(params, given, words):
    mine = pair("number", warm_start=True)[0].fit(X, TARGETS["number"])
    before = [coef.copy() for coef in mine.coefs_]
    with pytest.raises(ValueError, match=words):
        mine.set_params(**params).fit(X, TARGETS["number"], **given)
    np.testing.assert_array_equal(np.concatenate(before, axis=None), np.concatenate(mine.coefs_, axis=None))


def test_counts_below_zero_are_refused_before_anything_is_made():
    mine = ours.MLPRegressor("poisson")
    with pytest.raises(ValueError, match=r"y has -1.0 in row 0; loss 'poisson' takes numbers of at least 0"):
        mine.fit([[1.0], [2.0]], [-1.0, 2.0])
    assert not hasattr(mine, "coefs_")


def test_predictions_of_few_rows_are_checked():
    mine = ours.MLPRegressor(hidden_layer_sizes=5, max_iter=1)
    with pytest.raises(NotFittedError):
        mine.predict(X)
    mine.fit(X, TARGETS["number"])
    with pytest.raises(ValueError, match="NaN"):
        mine.predict(np.full((1, 4), np.nan))
    with pytest.raises(ValueError, match="3 features"):
        mine.predict(X[:1, :3])
    with pytest.raises(ValueError, match="NaN"):
        mine.partial_fit(X[:1], np.array([np.nan]))
    with pytest.raises(ValueError, match="inconsistent"):
        mine.partial_fit(X[:2], np.array([1.0]))
    with pytest.raises(ValueError, match="goes on as it is"):
        mine.partial_fit(X, LINEAR)
    classifier = ours.MLPClassifier(5, max_iter=1).fit(X, TARGETS["classes"])
    with pytest.raises(ValueError, match="classes not in"):
        classifier.partial_fit(X[:1], np.array([7]))
    with pytest.raises(ValueError, match="does not support early_stopping"):
        classifier.set_params(early_stopping=True).partial_fit(X, TARGETS["classes"])


@pytest.mark.parametrize("batch_size", ["auto", 1])
@pytest.mark.parametrize("name", ["MLPRegressor", "MLPClassifier"])
def test_scikit_learns_checks_pass(name, batch_size):
    given = {"hidden_layer_sizes": 20, "max_iter": 100, "learning_rate_init": 0.01, "batch_size": batch_size}
    # a sample at a time, no order of visits makes a weight what repetitions are; nor in scikit-learn's class
    by_sample = {f"check_sample_weight_equivalence_on_{kind}_data" for kind in ("dense", "sparse") if batch_size == 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few epochs do not converge
        checks = estimator_checks.check_estimator(getattr(ours, name)(**given), on_fail=None)
        failed = {check["check_name"]: check["exception"] for check in checks if check["status"] == "failed"}
        assert set(failed) == by_sample, failed
        for check in by_sample:
            with pytest.raises((AssertionError, ZeroDivisionError)):
                getattr(estimator_checks, check)(name, getattr(theirs, name)(**given))
