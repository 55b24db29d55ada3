"""Several calls of fit and partial_fit: fastgd's estimators stay beside scikit-learn's after each of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from estimator_twins import KINDS, PENALTIES, SCHEDULES, TOLERANCE, distance, rows, stored, weights
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning

from fastgd import estimators

#: calls of partial_fit: their rows
CALLS = [slice(0, 20), slice(20, 21), slice(21, 45), slice(45, 60), slice(0, 60)]
LOSS = {"breast_cancer": "log_loss", "iris": "hinge", "diabetes": "epsilon_insensitive"}


def pair(data: str, **options: Any) -> tuple[Any, Any]:
    """Return fastgd's and scikit-learn's estimator."""
    given: dict[str, Any] = {"random_state": 5, "eta0": 0.05, "power_t": 0.4, "max_iter": 6, "tol": None, **options}
    if data == "normal":
        given = {"nu": 0.3, **given}
    else:
        given = {"loss": LOSS[data], "alpha": 1e-3, "epsilon": 0.05, "l1_ratio": 0.4, **given}
    return getattr(estimators, KINDS[data])(**given), getattr(linear_model, KINDS[data])(**given)


def both(estimators: tuple[Any, Any], call: Callable[[Any], Any]) -> None:
    """Make the call on both and compare what they have learned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for made in estimators:
            call(made)
    ours, theirs = estimators
    assert (ours.t_, ours.n_iter_) == (theirs.t_, theirs.n_iter_)
    assert distance(ours, theirs) < TOLERANCE, theirs


def penalised(data: str, penalty: str | None) -> dict[str, Any]:
    """Return the penalty as an argument, where the estimator has it."""
    return {} if data == "normal" else {"penalty": penalty}


def call_partial_fit(made: Any, **given: Any) -> None:
    made.partial_fit(**given)


def combinations(data: str) -> list[tuple[str, str | None]]:
    """Return the schedules and penalties of this estimator."""
    passive = data in ("iris", "diabetes")  # their losses here are those that it goes with
    schedules = SCHEDULES if passive else SCHEDULES[:4]
    return [(schedule, penalty) for schedule in schedules for penalty in (("l2",) if data == "normal" else PENALTIES)]


@pytest.mark.parametrize("average", [False, True, 30], ids=str)
@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("data", KINDS)
def test_partial_fit(data, storage, average):
    if average and KINDS[data] == "SGDClassifier":
        return  # see test_averages_go_on_over_calls
    X, y = rows(data)
    first = {"classes": np.unique(y)} if KINDS[data] == "SGDClassifier" else {}
    for schedule, penalty in combinations(data):
        made = pair(data, learning_rate=schedule, average=average, **penalised(data, penalty))
        for number, chosen in enumerate(CALLS):
            given = {"sample_weight": weights()[chosen]} if number == 2 else {}
            given |= first if number == 0 else {}
            part = stored(X[chosen], storage)
            both(made, partial(call_partial_fit, X=part, y=y[chosen], **given))


@pytest.mark.parametrize("average", [True, 30], ids=str)
@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("data", KINDS)
def test_averages_go_on_over_calls(data, storage, average):
    """They are those of one epoch over the same rows.

    scikit-learn's classifiers forget the intercept of the last iterate between the calls of partial_fit, once the mean
    has begun: of two classes it restarts at zero, of more it takes the place of the mean.
    """
    X, y = rows(data)
    classes = {"classes": np.unique(y)} if KINDS[data] == "SGDClassifier" else {}
    for schedule, penalty in combinations(data):
        if schedule in ("adaptive", "pa1") or penalty in ("l1", "elasticnet"):
            continue  # these begin again in each call, or count there the rows that were passed over
        options = {"learning_rate": schedule, "average": average, "shuffle": False, **penalised(data, penalty)}
        ours, theirs = pair(data, **options)
        _, whole = pair(data, max_iter=1, **options)
        for chosen in CALLS[:4]:
            for one in (ours, theirs):
                one.partial_fit(stored(X[chosen], storage), y[chosen], **classes)
            if chosen.stop > 20:  # before, there are rows of some classes only
                whole.fit(stored(X[: chosen.stop], storage), y[: chosen.stop])
                assert (ours.t_, ours.n_iter_) == (whole.t_, whole.n_iter_)
                assert distance(ours, whole) < TOLERANCE, schedule
        assert (distance(theirs, whole) > 1e-4) == (KINDS[data] == "SGDClassifier"), "scikit-learn has mended it"


@pytest.mark.parametrize("average", [False, True, 70], ids=str)
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("data", KINDS)
def test_fit_again_and_partial_fit_after_it(data, storage, warm_start, average):
    if average and warm_start and data == "diabetes":
        return  # see test_a_warm_start_of_regressors
    X, y = rows(data)
    X, forgetful = stored(X, storage), average and KINDS[data] == "SGDClassifier"
    for schedule, penalty in combinations(data):
        made = pair(data, learning_rate=schedule, average=average, warm_start=warm_start, **penalised(data, penalty))
        both(made, lambda one: one.fit(X, y))
        if not forgetful:
            both(made, lambda one: one.partial_fit(X[:25], y[:25]))
        for one in made:
            one.set_params(eta0=0.02, max_iter=3, **({"nu": 0.2} if data == "normal" else {"alpha": 0.01}))
        both(made, lambda one: one.fit(X[10:], y[10:]))
        if not forgetful:
            both(made, lambda one: one.partial_fit(X, y, sample_weight=weights()))
            both(made, lambda one: one.partial_fit(X, y))


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("average", [False, True, 70], ids=str)
def test_a_warm_start_of_regressors(average, storage):
    """It begins at the last iterate, with averaging too, where it shows the mean.

    scikit-learn's ignores first coefficients that are given to its second fit, and with averaging the mean of the first
    fit is taken for one of the second's iterates.
    """
    X, y = rows("diabetes")
    X, rng = stored(X, storage), np.random.default_rng(0)
    for schedule, penalty in combinations("diabetes"):
        options = {"learning_rate": schedule, "penalty": penalty}
        last = pair("diabetes", **options)[1].fit(X, y)
        for first in (None, rng.normal(size=X.shape[1])):
            ours, theirs = pair("diabetes", warm_start=True, average=average, **options)
            fresh = pair("diabetes", average=average, **options)[1]
            coef = last.coef_ if first is None else first
            fresh.fit(X, y, coef_init=coef.copy(), intercept_init=last.intercept_.copy())
            both((ours, theirs), lambda one: one.fit(X, y))
            for one in (ours, theirs):
                one.fit(X, y, coef_init=None if first is None else first.copy())
            assert distance(ours, fresh) < TOLERANCE
            if average or first is not None:
                assert distance(theirs, fresh) > 1e-6, "scikit-learn has mended it"


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("average", [False, True, 70], ids=str)
@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("data", KINDS)
def test_first_coefficients_are_given(data, storage, average, fit_intercept):
    (X, y), rng = rows(data), np.random.default_rng(2)
    X = stored(X, storage)
    outputs = 3 if data == "iris" else 1
    coef, intercept = rng.normal(size=(outputs, X.shape[1])), rng.normal(size=outputs)
    name = "offset_init" if data == "normal" else "intercept_init"
    for schedule, penalty in combinations(data):
        options = {"learning_rate": schedule, "average": average, "fit_intercept": fit_intercept}
        options |= penalised(data, penalty)
        for warm_start in (False, True) if penalty == "l2" and data != "diabetes" else (False,):
            made = pair(data, warm_start=warm_start, **options)
            both(made, lambda one: one.fit(X, y, coef_init=coef.copy(), **{name: intercept.copy()}))
            both(made, lambda one: one.fit(X, y, coef_init=2 * coef))
            both(made, lambda one: one.fit(X, y, **{name: 3 * intercept}))
            if not (average and KINDS[data] == "SGDClassifier"):
                both(made, lambda one: one.partial_fit(X, y))


@pytest.mark.parametrize("data", KINDS)
def test_the_first_coefficients_are_left_as_they_were_given(data):
    X, y = rows(data)
    outputs = 3 if data == "iris" else 1
    coef, intercept = np.ones((outputs, X.shape[1])), np.ones(outputs)
    for average in (False, True):
        ours, _ = pair(data, average=average)
        name = "offset_init" if data == "normal" else "intercept_init"
        ours.fit(X, y, coef_init=coef, **{name: intercept})
        ours.partial_fit(X, y)
        assert np.all(coef == 1)
        assert np.all(intercept == 1)
        assert np.any(ours.coef_ != 1)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("data", KINDS)
def test_a_generator_is_asked_for_the_same_numbers(data, shuffle, early_stopping):
    if data == "normal" and early_stopping:
        return  # it has no such parameter
    X, y = rows(data)
    options = {} if data == "normal" else {"early_stopping": early_stopping}
    generators = [np.random.RandomState(7), np.random.RandomState(7)]
    made = pair(data, shuffle=shuffle, **options)
    for one, generator in zip(made, generators):
        one.set_params(random_state=generator)
    both(made, lambda one: one.fit(X, y))
    both(made, lambda one: one.fit(X, y))
    if not early_stopping:
        both(made, lambda one: one.partial_fit(X, y))
    assert generators[0].randint(2**31 - 1) == generators[1].randint(2**31 - 1)


@pytest.mark.parametrize("data", KINDS)
def test_without_a_random_state_the_global_generator_is_asked(data):
    X, y = rows(data)
    made = pair(data, random_state=None)

    def seeded(one: Any) -> None:
        np.random.seed(11)  # noqa: NPY002
        one.fit(X, y)
        one.partial_fit(X, y)

    before = np.random.get_state()  # noqa: NPY002
    try:
        both(made, seeded)
    finally:
        np.random.set_state(before)  # noqa: NPY002


@pytest.mark.parametrize("stored_as", ["zeros", "unsorted", "twice"])
@pytest.mark.parametrize("data", KINDS)
def test_csr_rows_that_are_not_canonical(data, stored_as):
    X, y = rows(data)
    X = stored(X, "csr")
    for start, end in zip(X.indptr[:-1], X.indptr[1:]):
        if stored_as == "zeros" and end > start:
            X.data[start] = 0
        elif stored_as == "unsorted":
            X.indices[start:end], X.data[start:end] = X.indices[start:end][::-1].copy(), X.data[start:end][::-1].copy()
        elif end > start + 1:
            X.indices[start] = X.indices[start + 1]
    X.has_sorted_indices = X.has_canonical_format = False
    for schedule, penalty in combinations(data):
        if stored_as == "twice" and schedule in ("pa1", "pa2"):
            continue  # scikit-learn's ‖x‖² is the sum of the squares of a column's parts
        for average in (False, True):
            made = pair(data, learning_rate=schedule, average=average, **penalised(data, penalty))
            both(made, lambda one: one.fit(X.copy(), y))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_threads(n_jobs):
    X, y = rows("iris")
    for average in (False, True):
        made = pair("iris", n_jobs=n_jobs, average=average, early_stopping=True, tol=1e-3)
        both(made, lambda one: one.fit(X, y))
