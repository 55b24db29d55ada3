"""Training beside scikit-learn's SGDClassifier and SGDRegressor, 20 epochs in the order of the rows, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn_twins import (
    ESTIMATORS,
    LOSSES,
    PENALTIES,
    SCHEDULES,
    TOLERANCE,
    Choice,
    choices,
    data,
    error,
    on_csr,
    on_dense,
    table,
    targets,
)

import fastgd
from fastgd import schedules

RUNS = [(name, loss) for name, estimator in ESTIMATORS.items() for loss in estimator.loss_functions]


@pytest.mark.parametrize("estimator", [SGDClassifier, SGDRegressor])
def test_every_choice_of_scikit_learn_is_compared(estimator):
    allowed = {
        name: {
            option for choice in estimator._parameter_constraints[name] for option in getattr(choice, "options", [None])
        }
        for name in ("loss", "penalty", "learning_rate")
    }
    assert allowed["loss"] == set(estimator.loss_functions) <= set(LOSSES)
    assert allowed["penalty"] == set(PENALTIES)
    assert allowed["learning_rate"] == set(SCHEDULES)
    seen = [choice for loss in estimator.loss_functions for choice in choices(estimator, loss)]
    assert {choice.loss for choice in seen} == allowed["loss"]
    for loss in allowed["loss"]:
        for schedule in allowed["learning_rate"]:
            chosen = {choice.penalty for choice in seen if (choice.loss, choice.schedule) == (loss, schedule)}
            if chosen:
                assert chosen == set(PENALTIES)
                continue
            with pytest.raises(ValueError, match="only works with loss"):
                Choice(loss, schedule=schedule).in_sklearn(estimator, np.eye(2), [0, 1])


@pytest.mark.parametrize(("name", "loss"), RUNS)
def test_dense_rows(name, loss):
    assert not [str(seen) for seen in on_dense(name, loss) if not seen.agrees]


@pytest.mark.parametrize(("name", "loss"), RUNS)
def test_rows_in_csr(name, loss):
    assert not [str(seen) for seen in on_csr(name, loss) if not seen.agrees]


@pytest.mark.parametrize("compared", [on_dense, on_csr])
def test_every_choice_counts(compared):
    seen = [comparison for run in RUNS for comparison in compared(*run)]
    print(f"\n{compared.__name__}: {table(seen)}")
    counted = [comparison.choice for comparison in seen if comparison.counts]
    assert {choice.loss for choice in counted} == set(LOSSES)
    assert {choice.schedule for choice in counted} == set(SCHEDULES)
    assert {choice.penalty for choice in counted} == {comparison.choice.penalty for comparison in seen}
    assert {comparison.data for comparison in seen if comparison.counts} == set(ESTIMATORS)


@pytest.mark.parametrize("eta0", [0.1, 5**6 * 1e-6], ids=str)  # six cuts of the second end an ulp above the lowest
@pytest.mark.parametrize("name", ["breast_cancer", "diabetes"])
def test_adaptive_rates_fall_and_stop_in_the_same_epochs(name, eta0):
    X, y = data(name)
    for loss in ESTIMATORS[name].loss_functions:
        choice, adaptive = Choice(loss, schedule="adaptive"), schedules.Adaptive(tol=1e-4, patience=3)
        fitted = choice.in_sklearn(ESTIMATORS[name], X, y, eta0=eta0, tol=1e-4, n_iter_no_change=3, max_iter=1000)
        model, history = choice.in_fastgd(
            X, targets(name, loss), optimizer=fastgd.SGD(lr=eta0), epochs=1000, schedule=adaptive
        )
        assert len(history.loss) == fitted.n_iter_ > 20, loss
        assert error(model, fitted) < TOLERANCE, loss


@pytest.mark.parametrize("penalty", ["l1", "elasticnet"])
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
@pytest.mark.parametrize("average", [1, 20])
def test_averages_under_an_l1_penalty_are_means_of_scikit_learns_iterates(schedule, penalty, average):
    X, y = data("diabetes")
    choice = Choice("epsilon_insensitive", penalty, schedule)
    fits = [choice.in_sklearn(SGDRegressor, X[:n], y[:n], max_iter=1) for n in range(1, 61)][average - 1 :]
    mean = fits[-1]
    mean.coef_ = np.mean([fit.coef_ for fit in fits], axis=0)
    mean.intercept_ = np.mean([fit.intercept_ for fit in fits], axis=0)
    model, _ = choice.in_fastgd(X[:60], y[:60, None], epochs=1, average=average)
    assert error(model, mean) < TOLERANCE


@pytest.mark.parametrize(("name", "loss"), [("breast_cancer", "hinge"), ("diabetes", "epsilon_insensitive")])
def test_sample_weights(name, loss):
    X, y = data(name)
    weights = np.random.default_rng(1).uniform(0.5, 2, size=len(X))
    for choice in choices(ESTIMATORS[name], loss):
        fitted = choice.in_sklearn(ESTIMATORS[name], X, y, weights, max_iter=1)
        model, _ = choice.in_fastgd(X, targets(name, loss), sample_weight=weights, epochs=1)
        assert error(model, fitted) < TOLERANCE, choice


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("format", [scipy.sparse.csr_matrix, scipy.sparse.csr_array])
def test_indices_of_both_sizes(format, index):
    X, y = data("digits")
    choice = Choice("log_loss", "l2", "optimal", average=True, bias=False)
    fitted = choice.in_sklearn(SGDClassifier, format(X), y)
    rows = format(X)
    rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
    model, _ = choice.in_fastgd(rows, targets("digits", "log_loss"))
    assert error(model, fitted) < TOLERANCE
