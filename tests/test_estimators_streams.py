"""fastgd's estimators over many calls: rows one by one, classes that come later, what an optimizer remembers."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from estimator_loops import descend, softmax

import fastgd
from fastgd.estimators import SGDClassifier, SGDOneClassSVM, SGDRegressor

rng = np.random.default_rng(3)
X = rng.normal(size=(60, 4))
FIVE = (X @ rng.normal(size=(4, 5))).argmax(axis=1) + 1
THREE = np.array([1, 3, 5])[rng.integers(3, size=60)]
TWO = np.array([1, 3])[rng.integers(2, size=60)]
FIXED: dict[str, Any] = {"random_state": 2, "learning_rate": "constant", "eta0": 0.05, "shuffle": False}
OPTIMIZERS: dict[str, Any] = {
    **{name: {"optimizer": name, "penalty": None} for name in fastgd.optimizers.registry},
    "momentum": {"optimizer": fastgd.SGD(lr=0.02, momentum=0.9)},
    "accumulator": {"optimizer": fastgd.Adagrad(lr=0.05, initial_accumulator_value=0.5)},
    "centered": {"optimizer": fastgd.RMSprop(lr=0.01, momentum=0.5, centered=True)},
    "average": {"average": True},
    "l1": {"penalty": "l1", "alpha": 0.01},
}
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def stored(rows: Any, storage: str) -> Any:
    return scipy.sparse.csr_array(rows) if storage == "csr" else rows


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber", "log_loss"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_classes_become_more(name, loss, storage):
    """The two are then as if each had been learned against the other from the beginning."""
    options = {**FIXED, **OPTIMIZERS[name], "loss": loss}
    made, known = SGDClassifier(**options), SGDClassifier(**options)
    rows = stored(X, storage)
    made.partial_fit(rows, TWO, classes=[1, 3])
    known.partial_fit(rows, TWO, classes=[1, 3, 5])
    made.partial_fit(rows, THREE, grow_classes=True)
    known.partial_fit(rows, THREE)
    assert made.classes_.tolist() == [1, 3, 5]
    assert made.coef_.shape == (3, 4)
    np.testing.assert_allclose(made.coef_[:2], known.coef_[:2], **CLOSE)
    np.testing.assert_allclose(made.intercept_[:2], known.intercept_[:2], **CLOSE)
    assert made.t_ == known.t_ == 121
    made.partial_fit(rows, THREE)  # and once more, with nothing new
    known.partial_fit(rows, THREE)
    np.testing.assert_allclose(made.coef_[:2], known.coef_[:2], **CLOSE)


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_three_classes_become_five(name, storage):
    options = {**FIXED, **OPTIMIZERS[name], "loss": "hinge"}
    made, known, fresh = SGDClassifier(**options), SGDClassifier(**options), SGDClassifier(**options)
    rows = stored(X, storage)
    made.partial_fit(rows, THREE, classes=[1, 3, 5])
    known.partial_fit(rows, THREE, classes=[1, 2, 3, 4, 5])
    made.partial_fit(rows, FIVE, grow_classes=True)
    known.partial_fit(rows, FIVE)
    assert made.classes_.tolist() == [1, 2, 3, 4, 5]
    assert made.coef_[[0, 2, 4]].tobytes() == known.coef_[[0, 2, 4]].tobytes()
    assert made.intercept_[[0, 2, 4]].tobytes() == known.intercept_[[0, 2, 4]].tobytes()
    # the new begin at zero: with constant rates they are those of a first call, but for what counts the updates
    fresh.partial_fit(rows, FIVE, classes=[1, 2, 3, 4, 5])
    if name in ("adam", "adamw"):
        assert np.all(made.coef_[[1, 3]] != 0)
        return
    share = 0.5 if name == "average" else 1.0  # the mean has zeros from before
    np.testing.assert_allclose(made.coef_[[1, 3]], share * fresh.coef_[[1, 3]], **CLOSE)
    np.testing.assert_allclose(made.intercept_[[1, 3]], share * fresh.intercept_[[1, 3]], **CLOSE)


@pytest.mark.parametrize("known", [2, 3])
def test_classes_of_softmax_become_five(known):
    y = TWO if known == 2 else THREE
    made = SGDClassifier("multinomial", alpha=0.01, **FIXED).partial_fit(X, y, classes=np.unique(y))
    before, weights, biases = made.predict_proba(X), np.zeros((5, 4)), np.zeros(5)
    places = np.unique(y) - 1
    if known == 2:
        weights[places], biases[places] = [-made.coef_[0] / 2, made.coef_[0] / 2], [-made.intercept_[0] / 2] * 2
        biases[places[1]] *= -1
    else:
        weights[places], biases[places] = made.coef_, made.intercept_
    scores = X @ weights.T + biases
    odds = np.exp(scores[:, places])
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), before, **CLOSE)
    made.partial_fit(X, FIVE, grow_classes=True)
    one_hot = np.eye(5)
    expected = descend(
        X, FIVE - 1, lambda f, t: -np.log(softmax(f)[t]), lambda f, t: softmax(f) - one_hot[t], [range(60)],
        lambda t: 0.05, outputs=5, alpha=0.01, start=(weights, biases),
    )  # fmt: skip
    np.testing.assert_allclose(made.coef_, expected.coef, **CLOSE)
    np.testing.assert_allclose(made.intercept_, expected.intercept, **CLOSE)


@pytest.mark.parametrize("known", [2, 3])
def test_adam_remembers_the_classes_that_it_knew(known):
    y = np.unique(TWO if known == 2 else THREE, return_inverse=True)[1]
    names = np.unique(TWO if known == 2 else THREE)
    made = SGDClassifier("multinomial", penalty=None, optimizer="adam", **FIXED)
    made.partial_fit(X, names[y], classes=names).partial_fit(X, FIVE, grow_classes=True)

    def run(W: Any, b: Any, T: Any, optimizer: Any) -> None:
        for x, t in zip(torch.tensor(X), T):
            optimizer.zero_grad()
            f = W @ x + b
            f = torch.cat([torch.zeros(1, dtype=f.dtype), f]) if len(b) == 1 else f
            torch.nn.functional.cross_entropy(f[None], torch.tensor([t])).backward()
            optimizer.step()

    rows = 1 if known == 2 else 3
    first = [torch.zeros((rows, 4), dtype=torch.float64), torch.zeros(rows, dtype=torch.float64)]
    first = [array.requires_grad_() for array in first]
    adam = torch.optim.Adam(first, lr=0.05)
    run(*first, y, adam)
    places, grown, later = names - 1, [], torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.05)
    for array in first:
        old = adam.state[array]
        new = {key: torch.zeros((5, *array.shape[1:]), dtype=torch.float64) for key in ("w", "exp_avg", "exp_avg_sq")}
        for key, values in (("w", array.detach()), ("exp_avg", old["exp_avg"]), ("exp_avg_sq", old["exp_avg_sq"])):
            signs = {"w": (-0.5, 0.5), "exp_avg": (-1, 1), "exp_avg_sq": (1, 1)}[key]
            new[key][places] = torch.cat([sign * values for sign in signs]) if known == 2 else values
        weight = new.pop("w").requires_grad_()
        grown.append(weight)
        later.state[weight] = {"step": old["step"].clone(), **new}
    later.param_groups[0]["params"] = grown
    run(*grown, FIVE - 1, later)
    np.testing.assert_allclose(made.coef_, grown[0].detach(), **CLOSE)
    np.testing.assert_allclose(made.intercept_, grown[1].detach(), **CLOSE)


def test_classes_grow_one_by_one_and_words_too():
    words = np.array(["", "one", "two", "three", "four", "five"])
    made = SGDClassifier(random_state=0).partial_fit(X[:2], ["one", "two"], grow_classes=True)
    for row, word in zip(X, words[FIVE]):
        made.partial_fit(row[None], [word], grow_classes=True)
    assert made.classes_.tolist() == sorted(words[1:])
    assert made.coef_.shape == (5, 4)
    assert set(made.predict(X)) <= set(words)
    numbered = SGDClassifier(random_state=0).partial_fit(X, TWO, classes=[1, 3])
    numbered.partial_fit(X, TWO, classes=[1, 2, 3], grow_classes=True)  # before there are rows of it
    assert numbered.classes_.tolist() == [1, 2, 3]
    weighed = SGDClassifier(class_weight={1: 2.0, 3: 0.5, 5: 4.0}, **FIXED)
    weighed.partial_fit(X, THREE, classes=[1, 3, 5])
    doubled = SGDClassifier(**FIXED).partial_fit(X, THREE, classes=[1, 3, 5], sample_weight=np.ones(60))
    assert not np.allclose(weighed.coef_, doubled.coef_)


#: estimators whose rows come one by one
STREAMS: dict[str, tuple[Any, Any]] = {
    "regressor": (SGDRegressor(), X[:, 0]),
    "poisson": (SGDRegressor("poisson"), THREE),
    "outputs": (SGDRegressor("quantile"), X[:, :2]),
    "clip_norm": (SGDRegressor(clip_norm=0.1), X[:, 0]),
    "clip_value": (SGDRegressor(clip_value=0.1), X[:, 0]),
    "no intercept": (SGDRegressor(fit_intercept=False), X[:, 0]),
    "average": (SGDRegressor(average=True), X[:, 0]),
    "l1": (SGDRegressor(penalty="l1"), X[:, 0]),
    "hinge": (SGDClassifier(), FIVE),
    "binary": (SGDClassifier("log_loss"), TWO),
    "multinomial": (SGDClassifier("multinomial"), FIVE),
    "passive": (SGDClassifier(learning_rate="pa1"), FIVE),
    "adam": (SGDClassifier("log_loss", optimizer="adam", learning_rate="constant"), FIVE),
    "ftrl": (SGDClassifier("log_loss", optimizer="ftrl", learning_rate="constant", penalty=None), TWO),
    "one class": (SGDOneClassSVM(), FIVE),
    "one class, average": (SGDOneClassSVM(average=10), FIVE),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 2, 7, 32, 33])
@pytest.mark.parametrize("name", STREAMS)
def test_the_short_way_is_the_long_way(name, rows, dtype):
    """An estimator that was pickled goes the long way, as the first call and as X that is sparse or a list."""
    made, y = STREAMS[name]
    made, chosen = pickle.loads(pickle.dumps(made)).set_params(random_state=1), X.astype(dtype)
    first = {"classes": np.unique(y)} if isinstance(made, SGDClassifier) else {}
    made.partial_fit(chosen[:10], y[:10], **first)
    long = pickle.loads(pickle.dumps(made))
    for start in range(0, 60 - rows + 1, rows):
        part = slice(start, start + rows)
        made.partial_fit(chosen[part], y[part])
        long = pickle.loads(pickle.dumps(long)).partial_fit(chosen[part], y[part])
        assert made.coef_.tobytes() == long.coef_.tobytes()
        assert made.coef_.dtype == dtype
        assert (made.t_, made.n_iter_) == (long.t_, long.n_iter_)
        for bias in ("offset_", "intercept_"):
            assert getattr(made, bias, None) == pytest.approx(getattr(long, bias, None), abs=0)
        answers = made.predict(chosen[:2]), made.predict(np.asfortranarray(chosen[:2]))
        np.testing.assert_allclose(*answers, rtol=1e-5, atol=1e-6)


def test_parameters_and_weights_that_are_set_count_at_once():
    made, y = SGDRegressor(random_state=0).partial_fit(X, X[:, 0]), X[:, 0]
    made.partial_fit(X[:1], y[:1])
    made.set_params(eta0=1e-300)
    before = made.coef_.copy()
    assert np.array_equal(made.partial_fit(X[:1], y[:1]).coef_, before)
    made.set_params(eta0=0.01)
    made.coef_ = np.zeros(4)
    made.t_ = 1.0
    made.intercept_ = np.zeros(1)
    fresh = SGDRegressor(random_state=0, alpha=0.0001).partial_fit(X[:1], y[:1])
    np.testing.assert_allclose(made.partial_fit(X[:1], y[:1]).coef_, fresh.coef_, rtol=1e-12)
    made.sparsify()
    with pytest.raises(ValueError, match="coef_ is sparse: call densify"):
        made.partial_fit(X[:1], y[:1])
    made.densify().partial_fit(X[:1], y[:1])


def test_the_memory_of_another_optimizer_is_not_taken():
    options = {**FIXED, "penalty": None}
    made = SGDRegressor(optimizer="adam", **options).partial_fit(X, X[:, 0])
    made.set_params(optimizer=fastgd.SGD(lr=0.05)).partial_fit(X, X[:, 0])
    assert not hasattr(made, "_memory")
    made.set_params(optimizer="rmsprop")
    other = SGDRegressor(optimizer="rmsprop", **options)
    other.coef_, other.intercept_, other.t_, other.n_features_in_ = made.coef_.copy(), made.intercept_.copy(), 1.0, 4
    np.testing.assert_allclose(made.partial_fit(X, X[:, 0]).coef_, other.partial_fit(X, X[:, 0]).coef_, **CLOSE)
