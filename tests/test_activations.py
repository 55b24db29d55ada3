"""Activations against numerical derivatives, exact arithmetic and torch."""

from __future__ import annotations

import pickle
from dataclasses import asdict, is_dataclass

import mpmath
import numpy as np
import pytest
import torch

import fastgd
from fastgd import activations, registry

EXTREME = [0.0, -0.0, 1e-300, -1e-300, 1e-8, -1e-8, 19.99, 20.01, 88.8, 103.0, 710.0, 746.0, 1e3, 1e6, 1e30]
CHOICES = [*sorted(activations.registry), activations.LeakyReLU(0.0), activations.LeakyReLU(0.3)]

#: torch's module for each name, written here once more so that the names in the classes have a judge
TORCH = {
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "tanh": torch.nn.Tanh,
    "logistic": torch.nn.Sigmoid,
    "identity": torch.nn.Identity,
    "softplus": torch.nn.Softplus,
}


@pytest.fixture(params=CHOICES, ids=str)
def activation(request):
    return activations.get(request.param)


def sums(dtype):
    z = np.concatenate([np.random.default_rng(0).normal(scale=scale, size=300) for scale in (0.1, 2, 10)])
    return np.concatenate([z, EXTREME, np.negative(EXTREME)]).astype(dtype)


def test_the_slope_is_the_numerical_derivative_of_the_output(activation):
    z = np.random.default_rng(1).normal(scale=3, size=1000)
    h = 1e-5
    z = z[np.abs(z) > 2 * h]  # the kink
    assert z.size > 990
    numerical = (activation.output(z + h) - activation.output(z - h)) / (2 * h)
    np.testing.assert_allclose(activation.slope(activation.output(z)), numerical, rtol=1e-6, atol=1e-9)


def test_output_and_slope_are_those_of_torch(activation, dtype):
    z = sums(dtype)
    in_torch = torch.tensor(z, requires_grad=True)
    module = TORCH[activation.name](**(asdict(activation) if is_dataclass(activation) else {}))
    expected = module(in_torch)
    expected.sum().backward()
    a = activation.output(z)
    tolerance = 1e-14 if dtype == "float64" else 1e-6
    smallest = float(np.finfo(dtype).tiny)  # some of torch's vector functions flush what is below
    np.testing.assert_allclose(a, expected.detach().numpy(), rtol=tolerance, atol=smallest)
    # 1 − a² and a (1 − a) keep absolute digits, not relative ones, where a is nearly 1, in torch too
    np.testing.assert_allclose(activation.slope(a), in_torch.grad.numpy(), rtol=tolerance, atol=tolerance)


def test_nothing_overflows_and_the_dtype_stays(activation, dtype):
    z = sums(dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        a = activation.output(z)
        slope = activation.slope(a)
    for array in (a, slope):
        assert array.dtype == dtype
        assert array.shape == z.shape
        assert np.isfinite(array).all()
    with np.errstate(over="raise"):
        limits = activation.output(np.array([np.finfo(dtype).max, np.finfo(dtype).min], dtype))
    assert np.isfinite(limits).all()


def test_any_shape(activation):
    z = np.random.default_rng(2).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(activation.output(z)[1, 2], activation.output(z[1, 2]))
    np.testing.assert_array_equal(activation.slope(z)[1, 2], activation.slope(z[1, 2]))


def test_a_sum_that_is_not_a_number_stays_so(activation):
    assert np.isnan(activation.output(np.array([np.nan]))).all()


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("tanh", mpmath.tanh),
        ("logistic", lambda z: 1 / (1 + mpmath.exp(-z))),
        ("softplus", lambda z: mpmath.log1p(mpmath.exp(z)) if z <= 20 else z),
    ],
)
def test_outputs_in_exact_arithmetic(name, exact):
    rng = np.random.default_rng(3)
    z = np.concatenate([rng.normal(scale=s, size=200) for s in (1e-8, 1, 10, 200)])
    with mpmath.workdps(60):
        expected = np.array([float(exact(mpmath.mpf(value))) for value in z])
    np.testing.assert_allclose(activations.get(name).output(z), expected, rtol=2e-15, atol=1e-307)


def single_unit(activation, dtype):
    """A network of one hidden unit, f(x) = activation(x)."""
    model = fastgd.MLP([1, 1, 1], activation, dtype=dtype)
    model.params[:] = [1, 0, 1, 0]
    return model


def test_the_compiled_outputs_are_the_twins(activation, dtype):
    z = sums(dtype)
    compiled = single_unit(activation, dtype)(z[:, None])[:, 0]
    assert compiled.dtype == dtype
    tolerance, smallest = (4e-15, 1e-307) if dtype == "float64" else (1e-6, float(np.finfo(dtype).tiny))
    np.testing.assert_allclose(compiled, activation.output(z), rtol=tolerance, atol=smallest)


def test_the_compiled_slopes_are_the_twins(activation, dtype):
    z = sums(dtype)[::3]
    model = single_unit(activation, dtype)
    below = float(np.finfo(dtype).min) / 2  # a target from which the slope of the absolute error is 1
    compiled = [fastgd.gradient(model, [x], below, loss="absolute")[1]["0.bias"][0] for x in z]
    tolerance = 1e-14 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(compiled, activation.slope(activation.output(z)), rtol=tolerance, atol=tolerance)


def test_each_names_its_class_in_torch():
    assert {name: getattr(torch.nn, choice.torch_module) for name, choice in activations.registry.items()} == TORCH


def test_choices_compare_print_and_travel(activation):
    same = pickle.loads(pickle.dumps(activation))
    assert same == activation
    assert hash(same) == hash(activation)
    assert eval(repr(activation), vars(activations)) == activation
    assert registry.from_json("activation", activations.registry, registry.to_json(activation)) == activation
    assert activation.parameter == getattr(activation, "negative_slope", 0.0)
    assert activation != (activations.Tanh() if activation.name != "tanh" else activations.ReLU())


def test_a_leak_is_not_negative():
    assert activations.LeakyReLU(0.1) != activations.LeakyReLU(0.2)
    for slope in (-0.1, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"negative_slope=.* must be a finite number of at least 0"):
            activations.LeakyReLU(slope)
    with pytest.raises(TypeError, match="negative_slope='steep' must be a finite number"):
        activations.LeakyReLU("steep")
    with pytest.raises(AttributeError):
        activations.LeakyReLU().negative_slope = 0.5


def test_names_are_looked_up_with_a_clear_message():
    assert activations.get("tanh") == activations.Tanh()
    with pytest.raises(ValueError, match="activation='sigmoid' is not known; allowed are 'relu', 'leaky_relu', 'tanh'"):
        activations.get("sigmoid")

    class Own(activations.ReLU):
        pass

    for wrong in (Own(), activations.ReLU, None, np.tanh):
        with pytest.raises(TypeError, match="activation must be a name or an instance of fastgd's activation classes"):
            activations.get(wrong)
