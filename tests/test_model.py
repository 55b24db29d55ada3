"""Models: layout, initial values, predictions."""

from __future__ import annotations

import numpy as np
import pytest
from passes import relative
from sklearn.linear_model import SGDClassifier

import fastgd


def test_weight_and_bias_are_views_of_one_vector(dtype):
    model = fastgd.Linear(3, 2, dtype=dtype, seed=0)
    assert model.params.shape == (8,)
    assert model.params.dtype == dtype
    assert model.params.ctypes.data % 64 == 0
    model.weight[1, 2] = 7
    model.bias[1] = 9
    assert model.params[5] == 7
    assert model.params[7] == 9
    model.params[:] = np.arange(8)
    np.testing.assert_array_equal(model.weight, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(model.bias, [6, 7])


def test_assignment_copies_in_and_checks_the_shape():
    model = fastgd.Linear(3, 2, seed=0)
    given = np.ones((2, 3), dtype="float32")
    model.weight = given
    given[:] = 5
    assert (model.weight == 1).all()
    model.bias = [1, 2]
    with pytest.raises(ValueError, match=r"weight has shape \(3, 2\); allowed is \(2, 3\)"):
        model.weight = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"bias has shape \(\); allowed is \(2,\)"):
        model.bias = 3
    with pytest.raises(TypeError, match="weight must hold real numbers"):
        model.weight = [["a"] * 3] * 2
    np.testing.assert_array_equal(model.params, [1] * 6 + [1, 2])
    plain = fastgd.Linear(3, 2, bias=False)
    assert plain.bias is None
    with pytest.raises(ValueError, match="this model has no bias"):
        plain.bias = [1, 2]


def test_the_seed_decides_the_initial_values():
    a, b, c = (fastgd.Linear(5, 2, seed=seed).params for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    assert (fastgd.Linear(5, 2).params != fastgd.Linear(5, 2).params).any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 1), ValueError, "in_features=0 must be an integer of at least 1"),
        ((1, -1), ValueError, "out_features=-1 must be"),
        ((2.0, 1), TypeError, "in_features=2.0 must be an integer"),
        ((1, 1, "no"), TypeError, "bias='no' must be True or False"),
        ((1, 1, True, "float16"), ValueError, "dtype='float16' is not supported; allowed are 'float64' and 'float32'"),
        ((1, 1, True, ">f8"), ValueError, "dtype='>f8' is not supported"),
    ],
)
def test_a_model_that_cannot_be_made(arguments, error, message):
    with pytest.raises(error, match=message):
        fastgd.Linear(*arguments)


@pytest.mark.parametrize("lr", [-0.1, np.nan, np.inf])
def test_a_learning_rate_that_cannot_be(lr):
    with pytest.raises(ValueError, match=r"lr=.* must be a finite number of at least 0"):
        fastgd.SGD(lr=lr)
    with pytest.raises(TypeError, match="lr='fast' must be a finite number"):
        fastgd.SGD(lr="fast")


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
