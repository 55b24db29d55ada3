"""Predictions, losses and gradients of models, linear and deep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from passes import relative
from sklearn.linear_model import SGDClassifier

import fastgd
from fastgd import activations

TOLERANCE = {"float64": 1e-13, "float32": 1e-5}
DEPTHS = [(3, 2), (4, 7, 1), (5, 8, 6, 3), (2, 3, 4, 5, 6, 1)]


def in_torch(model):
    """The same network made of torch's own modules, with copies of the parameters."""
    modules = []
    for number, weight in enumerate(model.weights):
        if number:
            activation = model.activations[number - 1]
            options = {"negative_slope": activation.negative_slope} if activation.name == "leaky_relu" else {}
            name = {"logistic": "Sigmoid", "leaky_relu": "LeakyReLU", "relu": "ReLU"}.get(activation.name)
            modules.append(getattr(torch.nn, name or activation.name.capitalize())(**options))
        layer = torch.nn.Linear(*weight.shape[::-1], bias=model.has_bias, dtype=getattr(torch, model.dtype.name))
        layer.weight.data = torch.tensor(weight)
        if model.has_bias:
            layer.bias.data = torch.tensor(model.biases[number])
        modules.append(layer)
    return torch.nn.Sequential(*modules)


def test_predictions_are_a_matrix_product(dtype):
    rng = np.random.default_rng(0)
    for K, d in [(1, 1), (1, 9), (3, 40)]:
        model = fastgd.Linear(d, K, dtype=dtype, seed=0)
        X = rng.normal(size=(20, d)).astype(dtype)
        expected = X.astype("float64") @ model.weight.T.astype("float64") + model.bias
        assert model(X).shape == (20, K)
        assert model(X[0]).shape == (K,)
        assert model(X).dtype == dtype
        assert relative(model(X), expected) < (1e-14 if dtype == "float64" else 1e-5)
        np.testing.assert_array_equal(model(X[3]), model(X)[3])


@pytest.mark.parametrize("activation", [*sorted(activations.registry), activations.LeakyReLU(0.3)], ids=str)
@pytest.mark.parametrize("sizes", DEPTHS, ids=str)
def test_predictions_are_those_of_torch(sizes, activation, dtype):
    for bias in (True, False):
        model = fastgd.MLP(sizes, activation, bias, dtype, seed=1)
        model.params[:] *= 3  # so that every activation bends
        X = np.random.default_rng(2).normal(scale=2, size=(30, sizes[0])).astype(dtype)
        before = model.params.copy()
        y = model(X)
        assert y.shape == (30, sizes[-1])
        assert y.dtype == dtype
        assert relative(y, in_torch(model)(torch.tensor(X)).detach().numpy()) < TOLERANCE[dtype]
        assert model(X[0]).shape == (sizes[-1],)
        np.testing.assert_array_equal(model(X[3]), y[3])
        np.testing.assert_array_equal(model.params, before)


def test_predictions_of_a_network_with_different_activations(dtype):
    model = fastgd.MLP([3, 9, 8, 7, 2], ["softplus", activations.LeakyReLU(0.2), "logistic"], dtype=dtype, seed=3)
    X = np.random.default_rng(4).normal(scale=5, size=(30, 3)).astype(dtype)
    assert relative(model(X), in_torch(model)(torch.tensor(X)).detach().numpy()) < TOLERANCE[dtype]


@pytest.mark.parametrize("activation", sorted(activations.registry))
def test_the_loss_and_the_gradient_of_a_network_are_those_of_autograd(activation, dtype):
    rng = np.random.default_rng(5)
    X, T = rng.normal(size=(12, 4)).astype(dtype), rng.normal(size=(12, 2)).astype(dtype)
    model = fastgd.MLP([4, 6, 5, 2], activation, dtype=dtype, seed=6)
    module = in_torch(model)
    expected = torch.nn.functional.mse_loss(module(torch.tensor(X)), torch.tensor(T))
    expected.backward()
    value, slope = fastgd.gradient(model, X, T)
    assert value == pytest.approx(expected.item(), rel=TOLERANCE[dtype])
    assert fastgd.evaluate(model, X, T) == pytest.approx(expected.item(), rel=TOLERANCE[dtype])
    assert list(slope) == list(model.named_parameters())
    for array, parameter in zip(slope.values(), module.parameters(), strict=True):
        assert relative(array, parameter.grad.numpy()) < 10 * TOLERANCE[dtype]


def test_predictions_take_the_shape_of_the_targets():
    X = np.eye(3)
    model = fastgd.Linear(3, 1, seed=0)
    fastgd.train(model, X, [1.0, 2, 3])
    assert model(X).shape == (3,)
    assert model(X[0]) == model(X)[0]
    fastgd.train(model, X, [[1.0], [2], [3]])
    assert model(X).shape == (3, 1)


def test_means_and_labels_need_a_trained_model_and_are_the_loss_own():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 4))
    t = (X[:, 0] > 0).astype(int)
    model = fastgd.Linear(4, 1, seed=0)
    with pytest.raises(ValueError, match="kind='mean' needs the loss of a trained model"):
        model.predict(X, "mean")
    with pytest.raises(ValueError, match="kind='probability' is not known; allowed are 'raw', 'mean', 'label'"):
        model.predict(X, "probability")
    fastgd.train(model, X, t, loss="log_loss", optimizer=fastgd.SGD(lr=0.1), epochs=2)
    judge = SGDClassifier(loss="log_loss").fit(X, t)
    judge.coef_, judge.intercept_ = model.weight, model.bias
    np.testing.assert_allclose(model.predict(X, "mean"), judge.predict_proba(X)[:, 1], rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X, "label"), judge.predict(X))
    fastgd.train(model, X, X[:, 0])
    np.testing.assert_array_equal(model.predict(X, "mean"), model(X))
    with pytest.raises(ValueError, match="loss 'mse' has no labels"):
        model.predict(X, "label")


@pytest.mark.parametrize("sizes", [(4, 3), (4, 6, 3)], ids=str)
def test_classes_have_probabilities_and_are_decided_by_index(sizes):
    rng = np.random.default_rng(7)
    X, t = rng.normal(size=(60, 4)), rng.integers(3, size=60)
    for targets in (t, np.eye(3)[t]):
        model = fastgd.MLP(sizes, seed=0)
        fastgd.train(model, X, targets, loss="cross_entropy", optimizer=fastgd.SGD(lr=0.1))
        scores = in_torch(model)(torch.tensor(X))
        assert model(X).shape == (60, 3)
        assert relative(model.predict(X, "mean"), torch.softmax(scores, 1).detach().numpy()) < 1e-13
        np.testing.assert_array_equal(model.predict(X, "label"), scores.argmax(1).numpy())
        assert model.predict(X, "label").shape == (60,)
        assert model(X[0]).shape == model.predict(X[0], "mean").shape == (3,)
        assert model.predict(X[0], "label") == model.predict(X, "label")[0]


def test_one_sample_of_a_class():
    model = fastgd.MLP([2, 3, 4], seed=0)
    x = np.array([0.3, -0.2])
    expected = torch.nn.functional.cross_entropy(in_torch(model)(torch.tensor(x)), torch.tensor(2))
    for t in (2, np.int64(2), [2], [0, 0, 1, 0]):
        assert fastgd.gradient(model, x, t, loss="cross_entropy")[0] == pytest.approx(expected.item(), rel=1e-14)
    with pytest.raises(ValueError, match=r"t has shape \(2,\); allowed is \(4,\), or a number"):
        fastgd.gradient(model, x, [2, 1], loss="cross_entropy")
    with pytest.raises(ValueError, match=r"t has shape \(\); allowed is \(4,\)$"):
        fastgd.gradient(model, x, 2)
    with pytest.raises(ValueError, match=r"x has shape \(3,\); the model takes \(2,\)"):
        fastgd.gradient(model, [1.0, 2, 3], 2, loss="cross_entropy")


def test_prediction_refuses_other_shapes():
    model = fastgd.Linear(3, 1)
    for X in (np.ones(4), np.ones((2, 4)), np.ones((2, 3, 1)), 1.0):
        with pytest.raises(ValueError, match="X has shape"):
            model(X)
    with pytest.raises(ValueError, match="X has no rows"):
        model(np.ones((0, 3)))


def test_the_same_steps_as_scikit_learn():
    from sklearn.linear_model import SGDRegressor

    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 6))
    t = X @ rng.normal(size=6) + rng.normal(size=300)
    judge = SGDRegressor(
        loss="squared_error", penalty=None, learning_rate="constant", eta0=0.01, shuffle=False, tol=None, max_iter=4
    ).fit(X, t)
    model = fastgd.Linear(6, 1)
    model.params[:] = 0
    fastgd.train(model, X, t, loss="squared_error", optimizer=fastgd.SGD(lr=0.01), epochs=4)
    assert relative(model.params, [*judge.coef_, *judge.intercept_]) < 1e-12
