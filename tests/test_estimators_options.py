"""What fastgd's estimators learn with options that scikit-learn's have not, beside loops in NumPy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from estimator_loops import descend, orders, softmax
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning

import fastgd
from fastgd import losses, optimizers, penalties
from fastgd.estimators import SGDClassifier, SGDOneClassSVM, SGDRegressor

EPOCHS, ROWS, COLUMNS = 4, 80, 5
FIXED: dict[str, Any] = {"max_iter": EPOCHS, "tol": None, "random_state": 3, "eta0": 0.05}
CONSTANT = {**FIXED, "learning_rate": "constant"}
CLOSE = {"rtol": 1e-9, "atol": 1e-12}

rng = np.random.default_rng(0)
X = rng.normal(size=(ROWS, COLUMNS)) * (rng.uniform(size=(ROWS, COLUMNS)) < 0.7)
COUNTS = rng.poisson(np.exp(0.3 * X @ rng.normal(size=(COLUMNS, 3)))).astype(float)
CODES = (X @ rng.normal(size=(COLUMNS, 3)) + 0.5 * rng.normal(size=(ROWS, 3))).argmax(axis=1)
WEIGHTS = rng.uniform(0.2, 2.0, size=ROWS)


def pinball(tau: float) -> tuple[Any, Any]:
    """Return the value and the slope of the loss of a quantile."""
    return (
        lambda f, t: np.maximum(tau * (t - f), (tau - 1) * (t - f)),
        lambda f, t: np.where(f > t, 1 - tau, -tau * (f < t)),
    )


def tweedie(p: float) -> tuple[Any, Any]:
    """Return those of half the deviance, without what does not depend on f."""
    return (
        lambda f, t: np.exp((2 - p) * f) / (2 - p) - t * np.exp((1 - p) * f) / (1 - p),
        lambda f, t: np.exp((2 - p) * f) - t * np.exp((1 - p) * f),
    )


REGRESSION: dict[str, tuple[Any, tuple[Any, Any]]] = {
    "quantile": ("quantile", pinball(0.5)),
    "quantile 0.9": (losses.Quantile(tau=0.9), pinball(0.9)),
    "poisson": ("poisson", (lambda f, t: np.exp(f) - t * f, lambda f, t: np.exp(f) - t)),
    "gamma": ("gamma", (lambda f, t: f + t * np.exp(-f), lambda f, t: 1 - t * np.exp(-f))),
    "tweedie": ("tweedie", tweedie(1.5)),
    "tweedie 1.2": (losses.Tweedie(power=1.2), tweedie(1.2)),
    "squared_error": (losses.SquaredError(), (lambda f, t: (f - t) ** 2 / 2, lambda f, t: f - t)),
}


def targets(name: str, outputs: int) -> Any:
    """Return what the loss takes, (n,) or (n, K)."""
    made = COUNTS + 0.5 if name == "gamma" else COUNTS
    return made[:, 0] if outputs == 1 else made[:, :outputs]


def stored(rows: Any, storage: str) -> Any:
    return scipy.sparse.csr_array(rows) if storage == "csr" else rows


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("name", REGRESSION)
def test_losses_of_regression(name, outputs, storage):
    loss, (value, slope) = REGRESSION[name]
    y = targets(name, outputs)
    given = {**FIXED, "alpha": 0.01, "power_t": 0.25, "intercept_decay": 1.0}
    for average in (False, True, 100):
        made = SGDRegressor(loss, average=average, **given).fit(stored(X, storage), y, sample_weight=WEIGHTS)
        expected = descend(
            X, y, value, slope, orders(ROWS, EPOCHS, "regressor", 3), lambda t: 0.05 / t**0.25, outputs=outputs,
            alpha=0.01, weights=WEIGHTS, average=int(average) or 1,
        )  # fmt: skip
        shape = (COLUMNS,) if outputs == 1 else (outputs, COLUMNS)
        assert made.coef_.shape == shape
        coef, intercept = expected.coef, expected.intercept
        if average:
            coef, intercept = expected.mean_coef, expected.mean_intercept
        np.testing.assert_allclose(made.coef_, coef.reshape(shape), **CLOSE)
        np.testing.assert_allclose(made.intercept_, intercept, **CLOSE)
        np.testing.assert_allclose(made.loss_curve_, expected.objective, **CLOSE)
        assert made.t_ == 1 + EPOCHS * ROWS
    raw = X @ made.coef_.T + made.intercept_
    link = np.exp(raw) if name.split()[0] in ("poisson", "gamma", "tweedie") else raw
    predicted = made.predict(stored(X, storage))
    assert predicted.shape == y.shape
    np.testing.assert_allclose(predicted, link, **CLOSE)
    np.testing.assert_allclose(made.predict(X[:1]), link[:1], **CLOSE)


@pytest.mark.parametrize(
    ("loss", "model"),
    [
        ("poisson", linear_model.PoissonRegressor(alpha=0.1)),
        ("gamma", linear_model.GammaRegressor(alpha=0.1)),
        ("tweedie", linear_model.TweedieRegressor(power=1.5, alpha=0.1, link="log")),
        ("quantile", linear_model.QuantileRegressor(quantile=0.5, alpha=0)),
    ],
)
def test_they_go_to_the_minimum_of_scikit_learns_models(loss, model):
    y = targets(loss, 1)
    expected = model.fit(X, y)
    alpha = 0 if loss == "quantile" else 0.1
    given = {"alpha": alpha, "eta0": 0.2, "power_t": 0.6, "max_iter": 3000, "tol": None, "random_state": 0}
    made = SGDRegressor(loss, average=20 * ROWS, **given).fit(X, y)
    predicted = made.predict(X)
    if loss == "quantile":  # whose minimum may be more than a point
        assert np.abs(y - predicted).mean() == pytest.approx(np.abs(y - expected.predict(X)).mean(), rel=2e-3)
    else:
        np.testing.assert_allclose(predicted, expected.predict(X), rtol=5e-3)


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_multinomial(classes, average, storage):
    y, names = CODES % classes, np.array(["a", "b", "c"])
    given = {**CONSTANT, "alpha": 0.01, "intercept_decay": 0.5, "average": average}
    made = SGDClassifier("multinomial", **given).fit(stored(X, storage), names[y], sample_weight=WEIGHTS)
    one_hot = np.eye(classes)
    if classes == 2:
        value, slope = lambda f, t: np.logaddexp(0, f) - t * f, lambda f, t: 1 / (1 + np.exp(-f)) - t
    else:
        value, slope = lambda f, t: -np.log(softmax(f)[t]), lambda f, t: softmax(f) - one_hot[t]
    expected = descend(
        X, y, value, slope, orders(ROWS, EPOCHS, "classifier", 3), lambda t: 0.05, outputs=1 if classes == 2 else 3,
        alpha=0.01, weights=WEIGHTS, decay=0.5,
    )  # fmt: skip
    coef = expected.mean_coef if average else expected.coef
    intercept = expected.mean_intercept if average else expected.intercept
    np.testing.assert_allclose(made.coef_, coef, **CLOSE)
    np.testing.assert_allclose(made.intercept_, intercept, **CLOSE)
    np.testing.assert_allclose(made.loss_curve_, expected.objective, **CLOSE)
    scores = X @ coef.T + intercept
    scores = np.column_stack([np.zeros(ROWS), scores]) if classes == 2 else scores
    probabilities = np.array([softmax(row) for row in scores])
    np.testing.assert_allclose(made.predict_proba(stored(X, storage)), probabilities, rtol=1e-8)
    np.testing.assert_allclose(made.predict_log_proba(X), np.log(probabilities), rtol=1e-8)
    assert made.predict(X).tolist() == names[scores.argmax(axis=1)].tolist()


@pytest.mark.parametrize("classes", [2, 3])
def test_multinomial_goes_to_the_minimum_of_logistic_regression(classes):
    y = CODES % classes
    expected = linear_model.LogisticRegression(C=1 / (0.05 * ROWS), tol=1e-10).fit(X, y)
    given = {"alpha": 0.05, "eta0": 0.5, "power_t": 0.6, "max_iter": 3000, "tol": None, "random_state": 0}
    made = SGDClassifier("multinomial", learning_rate="invscaling", average=20 * ROWS, **given).fit(X, y)
    np.testing.assert_allclose(made.predict_proba(X), expected.predict_proba(X), atol=2e-3)


def trained(optimizer: Any, loss: Any, y: Any, visited: Any, rows: Any = X, outputs: int = 1, **choices: Any) -> Any:
    """Return a linear model after fastgd's trainer has visited the rows in these orders."""
    model = fastgd.Linear(COLUMNS, outputs)
    model.params[:] = 0
    trainer = fastgd.Trainer(model, loss, optimizer, **choices)
    for order in visited:
        trainer.run(rows[order], y[order], sample_weight=WEIGHTS[order], epochs=1)
    return model


def same(made: Any, models: list[Any], rows: slice = slice(None)) -> None:
    """Assert that the estimator has learned what the models have, one after another."""
    coef, intercept = (np.concatenate([getattr(model, name) for model in models]) for name in ("weight", "bias"))
    np.testing.assert_allclose(made.coef_, coef.reshape(made.coef_.shape), **CLOSE)
    np.testing.assert_allclose(made.intercept_, intercept, **CLOSE)


OPTIMIZERS = {
    **{name: optimizers.registry[name](lr=0.05) for name in optimizers.registry},
    "momentum": fastgd.SGD(lr=0.02, momentum=0.9, nesterov=True),
    "decay": fastgd.SGD(lr=0.02, weight_decay=0.1),
    "amsgrad": fastgd.Adam(lr=0.01, betas=(0.8, 0.9), amsgrad=True),
    "centered": fastgd.RMSprop(lr=0.01, momentum=0.5, centered=True),
}


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, storage):
    """Of both they are the trainer's own steps, but for plain SGD those of scikit-learn."""
    optimizer, rows = OPTIMIZERS[name], stored(X, storage)
    given = {**CONSTANT, "penalty": None, "intercept_decay": 1.0, "optimizer": optimizer}
    visited = {kind: orders(ROWS, EPOCHS, kind, 3) for kind in ("regressor", "classifier")}
    for average in (False, 50):
        made = SGDRegressor("poisson", average=average, **given).fit(rows, COUNTS[:, :2], sample_weight=WEIGHTS)
        model = trained(optimizer, "poisson", COUNTS[:, :2], visited["regressor"], rows, 2, average=average)
        same(made, [model])
        classifier = SGDClassifier("log_loss", average=average, **given).fit(rows, CODES % 2, sample_weight=WEIGHTS)
        same(classifier, [trained(optimizer, "log_loss", CODES % 2, visited["classifier"], rows, average=average)])
    made = SGDClassifier("multinomial", **given).fit(rows, CODES, sample_weight=WEIGHTS)
    same(made, [trained(optimizer, "cross_entropy", CODES, visited["classifier"], rows, 3)])
    seeds = np.random.RandomState(3).randint(2**31 - 1, size=3)
    made = SGDClassifier("hinge", **given).fit(rows, CODES, sample_weight=WEIGHTS)
    every = [orders(ROWS, EPOCHS, "classifier", int(seed)) for seed in seeds]
    same(made, [trained(optimizer, "hinge", 1.0 * (k == CODES), every[k], rows) for k in range(3)])


def test_an_optimizer_by_its_name_has_the_rate_eta0():
    for name in optimizers.registry:
        given = {**CONSTANT, "penalty": None, "optimizer": name}
        made = SGDRegressor(**given).fit(X, COUNTS[:, 0])
        expected = SGDRegressor(**{**given, "optimizer": optimizers.registry[name](lr=0.05), "eta0": 0.7})
        assert made.coef_.tobytes() == expected.fit(X, COUNTS[:, 0]).coef_.tobytes()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_with_penalties_and_schedules(name):
    optimizer, visited = OPTIMIZERS[name], orders(ROWS, EPOCHS, "regressor", 3)
    prices = {"l2": penalties.L2(0.02), "l1": penalties.L1(0.02), "elasticnet": penalties.ElasticNet(0.02, 0.3)}
    for penalty, price in prices.items():
        given = {**FIXED, "optimizer": optimizer, "penalty": penalty, "alpha": 0.02, "l1_ratio": 0.3, "power_t": 0.3}
        made = SGDRegressor(**given)
        if name in ("ftrl", "adamw", "decay") or (penalty != "l2" and name != "sgd"):
            with pytest.raises(ValueError, match=r"penalty=\w+\(alpha=0.02.*\) does not go with optimizer="):
                made.fit(X, COUNTS[:, 0])
            continue
        made.fit(X, COUNTS[:, 0], sample_weight=WEIGHTS)
        if penalty == "l2":  # plain SGD has scikit-learn's own L1
            choices = {"penalty": price, "schedule": fastgd.schedules.InvScaling(power_t=0.3)}
            same(made, [trained(optimizer, "squared_error", COUNTS[:, 0], visited, **choices)])


@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_gradients_are_clipped(storage):
    rows, visited = stored(X, storage), orders(ROWS, EPOCHS, "regressor", 3)
    given = {**CONSTANT, "alpha": 0.01, "intercept_decay": 1.0}
    made = SGDRegressor(clip_norm=0.8, **given).fit(rows, COUNTS[:, 0], sample_weight=WEIGHTS)
    value, slope = REGRESSION["squared_error"][1]
    options = {"alpha": 0.01, "weights": WEIGHTS, "clip_norm": 0.8}
    expected = descend(X, COUNTS[:, 0], value, slope, visited, lambda t: 0.05, **options)
    np.testing.assert_allclose(made.coef_, expected.coef[0], **CLOSE)
    np.testing.assert_allclose(made.loss_curve_, expected.objective, **CLOSE)
    free = SGDRegressor(**given).fit(rows, COUNTS[:, 0], sample_weight=WEIGHTS)
    assert not np.allclose(free.coef_, made.coef_, rtol=1e-2)
    for clips in ({"clip_value": 0.5}, {"clip_value": 0.5, "clip_norm": 0.7}):
        made = SGDRegressor(**given, **clips).fit(rows, COUNTS[:, 0], sample_weight=WEIGHTS)
        choices = {"penalty": penalties.L2(0.01), **clips}
        same(made, [trained(fastgd.SGD(lr=0.05), "squared_error", COUNTS[:, 0], visited, rows, **choices)])
    sign = np.where(CODES == 1, 1.0, -1.0)
    binary = SGDClassifier(clip_norm=0.8, **given).fit(rows, sign)
    hinge = (lambda f, t: np.maximum(0, 1 - t * f), lambda f, t: np.where(t * f < 1, -t, 0.0))
    choices = {"alpha": 0.01, "clip_norm": 0.8}
    expected = descend(X, sign, *hinge, orders(ROWS, EPOCHS, "classifier", 3), lambda t: 0.05, **choices)
    np.testing.assert_allclose(binary.coef_, expected.coef, **CLOSE)
    far = X.copy()
    far[0] *= 1e6  # which one row would take far away
    one_class = SGDOneClassSVM(clip_norm=0.5, nu=0.1, random_state=0, learning_rate="constant").fit(far)
    assert np.abs(one_class.coef_).max() < 10


@pytest.mark.parametrize("kappa", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_intercept_decay(storage, kappa):
    given = {**CONSTANT, "alpha": 0.01}
    value, slope = REGRESSION["squared_error"][1]
    visited = orders(ROWS, EPOCHS, "regressor", 3)
    expected = descend(X, COUNTS[:, 0], value, slope, visited, lambda t: 0.05, alpha=0.01, decay=kappa)
    made = SGDRegressor(intercept_decay=kappa, **given).fit(stored(X, storage), COUNTS[:, 0])
    np.testing.assert_allclose(made.coef_, expected.coef[0], **CLOSE)
    np.testing.assert_allclose(made.intercept_, expected.intercept, **CLOSE)
    own = 0.01 if storage == "csr" else 1.0
    auto, theirs = SGDRegressor(**given), linear_model.SGDRegressor(**given)
    same_as = SGDRegressor(intercept_decay=own, **given)
    for one in (auto, theirs, same_as):
        one.fit(stored(X, storage), COUNTS[:, 0])
    assert auto.coef_.tobytes() == same_as.coef_.tobytes()
    np.testing.assert_allclose(auto.intercept_, theirs.intercept_, **CLOSE)


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("kind", [SGDRegressor, SGDClassifier, SGDOneClassSVM])
def test_rows_of_weight_zero_may_be_as_if_they_were_not_there(kind, storage):
    weights = WEIGHTS * (np.arange(ROWS) % 3 > 0)
    kept = weights > 0
    y = CODES if kind is SGDClassifier else COUNTS[:, 0]
    given: dict[str, Any] = {"max_iter": EPOCHS, "tol": None, "random_state": 3}
    for options in ({}, {"average": True}, {"early_stopping": True, "tol": 1e-3}, {"optimizer": "adam"}):
        if kind is SGDOneClassSVM and options.keys() - {"average"}:
            continue  # it has no such parameters
        options = {**given, **options, **({"learning_rate": "constant"} if "optimizer" in options else {})}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            made = kind(skip_zero_weight=True, **options).fit(stored(X, storage), y, sample_weight=weights)
            expected = kind(**options).fit(stored(X[kept], storage), y[kept], sample_weight=weights[kept])
        assert made.coef_.tobytes() == expected.coef_.tobytes()
        assert made.t_ == expected.t_
        assert getattr(made, "validation_curve_", None) == getattr(expected, "validation_curve_", None)
        if options.get("early_stopping"):
            continue
        made.partial_fit(stored(X, storage), y, sample_weight=weights)
        expected.partial_fit(stored(X[kept], storage), y[kept], sample_weight=weights[kept])
        assert made.coef_.tobytes() == expected.coef_.tobytes()
