"""Models: layout, initial values, description and copies."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from passes import relative

import fastgd
from fastgd import activations, losses
from fastgd.model import from_config


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


def test_the_layers_of_a_network_are_views_of_one_vector(dtype):
    model = fastgd.MLP([2, 3, 1], dtype=dtype, seed=0)
    assert model.params.shape == (13,)
    assert model.params.dtype == dtype
    assert model.params.ctypes.data % 64 == 0
    model.params[:] = np.arange(13)
    np.testing.assert_array_equal(model.weights[0], [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(model.biases[0], [6, 7, 8])
    np.testing.assert_array_equal(model.weights[1], [[9, 10, 11]])
    np.testing.assert_array_equal(model.biases[1], [12])
    model.weights[1][:] = -1
    model.biases[0][1] = 70
    np.testing.assert_array_equal(model.params, [0, 1, 2, 3, 4, 5, 6, 70, 8, -1, -1, -1, 12])
    plain = fastgd.MLP([2, 3, 1], bias=False)
    assert plain.params.shape == (9,)
    assert [weight.shape for weight in plain.weights] == [(3, 2), (1, 3)]
    assert plain.biases == ()


def test_parameters_by_name():
    model = fastgd.MLP([2, 3, 1], seed=0)
    named = model.named_parameters()
    assert list(named) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    for name, expected in zip(named, [model.weights[0], model.biases[0], model.weights[1], model.biases[1]]):
        np.testing.assert_array_equal(named[name], expected)
        assert np.shares_memory(named[name], model.params)
    other = np.arange(13.0)
    assert np.shares_memory(model.named_parameters(other)["1.bias"], other)
    assert model.named_parameters(other)["1.bias"] == 12
    assert list(fastgd.MLP([2, 3, 1], bias=False).named_parameters()) == ["0.weight", "1.weight"]
    assert list(fastgd.MLP([2, 1]).named_parameters()) == ["0.weight", "0.bias"]
    assert list(fastgd.Linear(2, 1).named_parameters()) == ["weight", "bias"]
    assert list(fastgd.Linear(2, 1, bias=False).named_parameters(np.zeros(2))) == ["weight"]


def test_a_linear_model_is_a_network_without_hidden_layers(dtype):
    linear, network = fastgd.Linear(5, 3, dtype=dtype, seed=4), fastgd.MLP([5, 3], dtype=dtype, seed=4)
    assert isinstance(linear, fastgd.MLP)
    np.testing.assert_array_equal(linear.params, network.params)
    assert linear.sizes == network.sizes == (5, 3)
    assert linear.activations == network.activations == ()
    assert (linear.in_features, linear.out_features, linear.has_bias) == (5, 3, True)
    X = np.random.default_rng(0).normal(size=(7, 5))
    np.testing.assert_array_equal(linear(X), network(X))


def test_one_activation_for_all_or_one_each():
    relu, leaky = activations.ReLU(), activations.LeakyReLU(0.2)
    assert fastgd.MLP([1, 2, 3, 4]).activations == (relu, relu)
    assert fastgd.MLP([1, 2, 3, 4], "tanh").activations == (activations.Tanh(),) * 2
    assert fastgd.MLP([1, 2, 3, 4], leaky).activations == (leaky, leaky)
    assert fastgd.MLP([1, 2, 3, 4], ["relu", leaky]).activations == (relu, leaky)
    assert fastgd.MLP([1, 2], ()).activations == ()


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


def test_initial_values_are_uniform_within_one_by_the_root_of_the_inputs(dtype):
    stream = np.random.default_rng(7)
    expected = np.concatenate([stream.uniform(-1 / n**0.5, 1 / n**0.5, m * (n + 1)) for n, m in ((90, 80), (80, 70))])
    model = fastgd.MLP([90, 80, 70], dtype=dtype, seed=7)
    assert relative(model.params, expected) < (1e-15 if dtype == "float64" else 1e-7)
    stream = np.random.default_rng(3)  # as fastgd.Linear has been from its first version
    np.testing.assert_array_equal(
        fastgd.Linear(5, 2, dtype=dtype, seed=3).params, stream.uniform(-1 / 5**0.5, 1 / 5**0.5, 12).astype(dtype)
    )
    torch.manual_seed(0)
    for array, parameter in zip(model.weights, (torch.nn.Linear(90, 80).weight, torch.nn.Linear(80, 70).weight)):
        assert np.abs(array).max() == pytest.approx(parameter.detach().abs().max().item(), rel=0.01)
        assert array.std() == pytest.approx(parameter.std().item(), rel=0.05)


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ("3, 1", TypeError, "sizes='3, 1' must be a sequence of integers of at least 1"),
        (b"31", TypeError, "sizes=b'31' must be a sequence"),
        (3, TypeError, "sizes=3 must be a sequence"),
        (np.array(3), TypeError, "must be a sequence"),
        (None, TypeError, "sizes=None must be a sequence"),
        ({3, 1}, TypeError, "must be a sequence"),
        ([], ValueError, r"sizes=\[\] must have at least two integers, the inputs and the outputs"),
        ([3], ValueError, r"sizes=\[3\] must have at least two integers"),
        ([3, 0, 1], ValueError, r"sizes\[1\]=0 must be an integer of at least 1"),
        ([3, -2], ValueError, r"sizes\[1\]=-2 must be an integer of at least 1"),
        ([3, [], 1], TypeError, r"sizes\[1\]=\[\] must be an integer"),
        ([3, 2.0, 1], TypeError, r"sizes\[1\]=2.0 must be an integer"),
        ([True, 2], TypeError, r"sizes\[0\]=True must be an integer"),
        (np.ones((2, 2), int), TypeError, r"sizes\[0\]=.* must be an integer"),
    ],
)
def test_sizes_that_make_no_network(sizes, error, message):
    with pytest.raises(error, match=message):
        fastgd.MLP(sizes)


@pytest.mark.parametrize("sizes", [(3, 2, 1), np.array([3, 2, 1]), np.array([3, 2, 1], "uint8"), range(3, 0, -1)])
def test_sizes_are_any_sequence_of_integers(sizes):
    assert fastgd.MLP(sizes).sizes == (3, 2, 1)
    assert {type(size) for size in fastgd.MLP(sizes).sizes} == {int}


@pytest.mark.parametrize(
    ("choices", "error", "message"),
    [
        ({"activation": "sigmoid"}, ValueError, "activation='sigmoid' is not known; allowed are 'relu', 'leaky_relu'"),
        ({"activation": ["relu", "swish"]}, ValueError, "activation='swish' is not known"),
        (
            {"activation": ["relu"]},
            ValueError,
            r"activation=\['relu'\] has 1 entries; allowed is one for all, or a",
        ),
        ({"activation": []}, ValueError, "has 0 entries; .* or a sequence of 2"),
        ({"activation": None}, TypeError, "activation must be a name or an instance"),
        ({"activation": np.tanh}, TypeError, "activation must be a name or an instance"),
        ({"activation": activations.ReLU}, TypeError, "activation must be a name or an instance"),
        ({"bias": 1}, TypeError, "bias=1 must be True or False"),
        ({"dtype": "float16"}, ValueError, "dtype='float16' is not supported; allowed are 'float64' and 'float32'"),
    ],
)
def test_a_network_that_cannot_be_made(choices, error, message):
    with pytest.raises(error, match=message):
        fastgd.MLP([2, 3, 4, 1], **choices)


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


MODELS = [
    fastgd.Linear(3, 2, seed=0),
    fastgd.Linear(3, 1, bias=False, dtype="float32", seed=0),
    fastgd.MLP([3, 2], seed=0),
    fastgd.MLP([3, 4, 4, 2], "tanh", seed=0),
    fastgd.MLP([3, 4, 5, 1], ["softplus", activations.LeakyReLU(0.3)], bias=False, dtype="float32", seed=0),
]


@pytest.fixture(params=MODELS, ids=repr)
def model(request):
    return copy.deepcopy(request.param)


def same(a, b):
    assert type(a) is type(b)
    assert (a.sizes, a.activations, a.has_bias, a.dtype) == (b.sizes, b.activations, b.has_bias, b.dtype)
    assert (a.loss, a._vector_target, a._signed_labels) == (b.loss, b._vector_target, b._signed_labels)
    assert a.params.ctypes.data % 64 == 0
    return True


def test_copies_are_whole_and_apart(model):
    model.remember(losses.Huber(0.5), True, False)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert same(twin, model)
        np.testing.assert_array_equal(twin.params, model.params)
        assert not np.shares_memory(twin.params, model.params)
        assert all(np.shares_memory(weight, twin.params) for weight in twin.weights)
        np.testing.assert_array_equal(twin(np.ones(3)), model(np.ones(3)))
        with twin.exclusively(), model.exclusively():  # each has a lock of its own
            pass


def test_a_description_makes_the_same_model(model):
    for choice in (None, losses.Huber(0.5), losses.LogLoss()):
        model.remember(choice, choice is not None, choice == losses.LogLoss())
        twin = from_config(json.loads(json.dumps(model.config())))
        assert same(twin, model)
        assert twin.params.shape == model.params.shape


def test_a_loss_without_a_name_is_left_out_of_the_description(model):
    class Square:
        def value(self, y, t):
            return ((y - t) ** 2).sum(axis=-1)

        def slope(self, y, t):
            return 2 * (y - t)

    model.remember(losses.get(Square()), True, False)
    described = json.loads(json.dumps(model.config()))
    assert described["loss"] is None
    twin = from_config(described)
    assert twin.loss is None
    twin.loss = model.loss
    assert same(twin, model)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"class": "RNN"}, ValueError, "model class 'RNN' is not known; allowed are 'Linear' and 'MLP'"),
        ({"sizes": [3]}, ValueError, "must have at least two integers"),
        ({"sizes": "3, 4, 2"}, TypeError, "must be a sequence"),
        ({"activations": []}, ValueError, "has 0 entries; .* or a sequence of 1"),
        ({"activations": [{"name": "swish"}]}, ValueError, "activation 'swish' is not known"),
        ({"activations": [{"name": "relu", "beta": 1}]}, TypeError, "argument"),
        ({"activations": 3}, TypeError, "iterable"),
        ({"dtype": "float16"}, ValueError, "dtype='float16' is not supported"),
        ({"bias": None}, TypeError, "bias=None must be True or False"),
        ({"loss": {"name": "none"}}, ValueError, "loss 'none' is not known"),
    ],
)
def test_a_description_of_no_model(wrong, error, message):
    with pytest.raises(error, match=message):
        from_config(fastgd.MLP([3, 4, 2]).config() | wrong)


@pytest.mark.parametrize("missing", ["class", "sizes", "activations", "bias", "dtype", "loss", "vector_target"])
def test_a_description_that_is_not_whole(missing):
    described = fastgd.MLP([3, 4, 2]).config()
    del described[missing]
    with pytest.raises(KeyError, match=missing):
        from_config(described)


def test_what_is_fixed_cannot_be_assigned(model):
    for name in ("params", "sizes", "activations", "has_bias", "dtype", "in_features", "weights", "biases"):
        with pytest.raises(AttributeError):
            setattr(model, name, None)


def test_models_print_as_they_are_made(model):
    names = {"MLP": fastgd.MLP, "Linear": fastgd.Linear, **vars(activations)}
    assert same(eval(repr(model), names), model)


def test_models_print_briefly():
    assert repr(fastgd.Linear(3, 2)) == "Linear(3, 2, bias=True, dtype='float64')"
    assert repr(fastgd.MLP((3, 4, 4, 2))) == "MLP([3, 4, 4, 2], activation=ReLU(), bias=True, dtype='float64')"
