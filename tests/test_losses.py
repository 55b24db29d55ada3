"""Losses as choices: names, parameters, means and labels, the user's own, and what can be saved."""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import weakref

import numpy as np
import pytest
import scipy
import torch
from test_loss_values import compiled

import fastgd
from fastgd import losses, optimizers, registry, schedules

Y = np.array([[-800.0], [-1.0], [-0.5], [0.0], [1.0], [800.0]])
DOUBLE = ctypes.c_double
POINTER = ctypes.POINTER(DOUBLE)


@ctypes.CFUNCTYPE(DOUBLE, DOUBLE, DOUBLE, POINTER)
def half_square(y, t, slope_out):
    slope_out[0] = y - t
    return (y - t) ** 2 / 2


class LogCosh:
    """A loss of the user's own."""

    def value(self, y, t):
        return np.log(np.cosh(y - t)).sum(axis=-1)

    def slope(self, y, t):
        return np.tanh(y - t)


class Cfunc:
    """What Numba's cfunc decorator returns, as far as it is used."""

    def __init__(self, function):
        self.ctypes = function
        self.address = ctypes.cast(function, ctypes.c_void_p).value


def test_names_are_looked_up_with_a_clear_message():
    assert losses.get("huber") == losses.Huber()
    assert losses.get("hinge") != losses.get("perceptron")
    with pytest.raises(ValueError, match="loss='hubert' is not known; allowed are 'mse', 'sse'"):
        losses.get("hubert")
    for wrong in (3, None, losses.MSE, half_square):
        with pytest.raises(TypeError, match="loss must be a name or an instance"):
            losses.get(wrong)


def test_every_loss_says_what_it_is(loss):
    assert loss == type(loss)()
    assert repr(loss).startswith(type(loss).__name__)
    assert hash(loss) == hash(type(loss)())
    assert loss.targets in ("real", "binary", "labels", "non-negative", "positive", "classes")
    assert loss.compiled
    assert loss.address == 0
    assert loss.coupled == (loss.targets == "classes")
    assert registry.from_json("loss", losses.registry, registry.to_json(loss)) == loss


@pytest.mark.parametrize(
    ("make", "bad", "allowed"),
    [
        (losses.Huber, {"delta": [0, -1.0, np.nan, np.inf]}, "a finite number above 0"),
        (losses.EpsilonInsensitive, {"epsilon": [-0.1, np.nan, np.inf]}, "a finite number of at least 0"),
        (losses.SquaredEpsilonInsensitive, {"epsilon": [-0.1, np.nan, np.inf]}, "a finite number of at least 0"),
        (losses.Quantile, {"tau": [0, 1, -0.5, 1.5, np.nan]}, "a number above 0 and below 1"),
        (losses.Tweedie, {"power": [1, 2, 0, 3.0, np.nan]}, "a number above 1 and below 2"),
    ],
)
def test_parameters_out_of_range_are_refused(make, bad, allowed):
    ((name, values),) = bad.items()
    for value in values:
        with pytest.raises(ValueError, match=rf"{name}={value!r} must be {allowed}".replace("(", r"\(")):
            make(**{name: value})
    for value in ("1", None, True, [0.5]):
        with pytest.raises(TypeError, match=rf"{name}=.* must be {allowed}"):
            make(**{name: value})
    loss = make(**{name: np.float32(1.25) if make is losses.Tweedie else np.float32(0.25)})
    assert type(loss.parameter) is float
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(loss, name, 0.5)


def test_parameters_change_the_formula():
    y, t = np.array([3.0, -3.0]), np.array([0.0, 0.0])
    assert losses.EpsilonInsensitive(epsilon=1.0).value(y, t) == 4
    assert losses.SquaredEpsilonInsensitive(epsilon=1.0).value(y, t) == 8
    np.testing.assert_array_equal(losses.Quantile(tau=0.75).slope(y, t), [0.25, -0.75])
    assert losses.Quantile(tau=0.75).value(y, t) == 3
    np.testing.assert_array_equal(losses.Huber(delta=2.0).slope(y, t), [2, -2])
    assert losses.Huber(delta=2.0).value(y, t) == 8
    np.testing.assert_allclose(losses.Tweedie(power=1.25).slope(y, t + 2), np.exp(0.75 * y) - 2 * np.exp(-0.25 * y))


@pytest.mark.parametrize(
    "loss",
    [losses.Huber(2.0), losses.EpsilonInsensitive(1.0), losses.SquaredEpsilonInsensitive(1.0), losses.Quantile(0.8)],
)
def test_the_compiled_formula_has_the_parameters_too(loss, dtype):
    y = np.random.default_rng(0).normal(scale=3, size=(40, 1)).astype(dtype)
    t = np.zeros_like(y)
    values, slopes = compiled(loss, y, t)
    np.testing.assert_allclose(values, loss.value(y, t), rtol=1e-6 if dtype == "float32" else 1e-14)
    np.testing.assert_allclose(slopes, loss.slope(y, t), rtol=1e-6 if dtype == "float32" else 1e-14)


def test_means_are_those_of_the_link(dtype):
    y = Y.astype(dtype)
    for name in ("mse", "absolute", "huber", "quantile", "epsilon_insensitive"):
        assert losses.get(name).mean(y) is y
    rtol = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(losses.LogLoss().mean(y), torch.sigmoid(torch.tensor(y)).numpy(), rtol=rtol)
    np.testing.assert_array_equal(losses.ModifiedHuber().mean(y)[:, 0], [0, 0, 0.25, 0.5, 1, 1])
    for name in ("poisson", "gamma", "tweedie"):
        mean = losses.get(name).mean(y)
        assert mean.dtype == dtype
        np.testing.assert_allclose(mean[:-1], np.exp(y[:-1]), rtol=rtol)
        np.testing.assert_allclose(mean[-1], np.exp(80.0 if dtype == "float32" else 700.0), rtol=rtol)
    scores = np.random.default_rng(0).normal(scale=300, size=(50, 4)).astype(dtype)
    softmax = losses.CrossEntropy().mean(scores)
    assert softmax.dtype == dtype
    np.testing.assert_allclose(softmax, torch.softmax(torch.tensor(scores.astype(float)), 1).numpy(), 1e-6, 1e-30)
    np.testing.assert_allclose(softmax.sum(axis=1), 1, rtol=rtol)


@pytest.mark.parametrize("name", ["hinge", "squared_hinge", "perceptron"])
def test_margins_are_no_probabilities(name):
    with pytest.raises(ValueError, match=rf"'{name}' has no probabilities.*use kind='raw' or 'label'"):
        losses.get(name).mean(Y)


def test_labels():
    for name, choice in losses.registry.items():
        if choice.targets in ("binary", "labels"):
            np.testing.assert_array_equal(losses.get(name).label(Y)[:, 0], [0, 0, 0, 0, 1, 1])
        elif choice.targets != "classes":
            with pytest.raises(ValueError, match=f"'{name}' has no labels"):
                losses.get(name).label(Y)
    label = losses.CrossEntropy().label(np.array([[1.0, 3.0, 2.0], [5.0, 5.0, -1.0]]))
    np.testing.assert_array_equal(label, [[1], [0]])


def test_an_object_of_the_users_is_wrapped():
    own = LogCosh()
    loss = losses.get(own)
    assert loss == losses.Own(own) == losses.get(loss)
    assert (loss.compiled, loss.targets, loss.address) == (False, "real", 0)
    y, t = np.random.default_rng(0).normal(size=(2, 20, 3))
    np.testing.assert_array_equal(loss.value(y, t), own.value(y, t))
    np.testing.assert_array_equal(loss.slope(y, t), own.slope(y, t))
    assert loss.slope(y.astype("float32"), t).dtype == "float32"
    assert np.isnan(loss.value([0.0, np.inf], [0.0, 0.0]))
    assert loss.mean(Y) is Y
    with pytest.raises(ValueError, match="has no labels"):
        loss.label(Y)


def test_a_subclass_of_one_of_the_losses_is_the_users_own():
    class Halved(losses.LogLoss):
        def scale(self, outputs):
            return 0.5

    loss = losses.get(Halved())
    assert isinstance(loss, losses.Own)
    assert loss.targets == "binary"
    assert loss.value([3.0, 1.0], [0.0, 1.0]) == losses.LogLoss().value([3.0, 1.0], [0.0, 1.0]) / 2


def test_targets_of_an_own_loss():
    for targets in ("binary", "labels"):
        loss = losses.Own(LogCosh(), targets=targets)
        np.testing.assert_array_equal(loss.label(Y)[:, 0], [0, 0, 0, 0, 1, 1])
        with pytest.raises(ValueError, match="no link that is known"):
            loss.mean(Y)
    assert losses.Own(LogCosh(), targets="classes").label(np.array([[1.0, 3.0]])) == [[1]]
    with pytest.raises(ValueError, match="targets='count' is not known; allowed are 'real', 'binary'"):
        losses.Own(LogCosh(), targets="count")
    with pytest.raises(ValueError, match="targets='classes' is not known; allowed are 'real', 'binary'"):
        losses.CFunction(half_square, targets="classes")


def test_an_object_without_the_methods_is_refused():
    for wrong in (object(), LogCosh, "mse", 3.0):
        with pytest.raises(TypeError, match=r"must be an object with methods value\(y, t\) and slope\(y, t\)"):
            losses.Own(wrong)


def test_an_own_loss_of_the_wrong_shape_is_refused():
    class Wrong:
        def value(self, y, t):
            return (y - t) ** 2

        def slope(self, y, t):
            return (y - t).sum(axis=-1)

    loss = losses.get(Wrong())
    with pytest.raises(TypeError, match=r"value of loss .*Wrong.* returned an array of shape \(4, 3\), not \(4,\)"):
        loss.value(np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(TypeError, match=r"slope of loss .*Wrong.* returned an array of shape \(4,\), not \(4, 3\)"):
        loss.slope(np.zeros((4, 3)), np.zeros((4, 3)))


@pytest.mark.parametrize(
    "function",
    [
        half_square,
        Cfunc(half_square),
        scipy.LowLevelCallable(half_square),
        ctypes.cast(half_square, ctypes.c_void_p).value,
        ctypes.CFUNCTYPE(DOUBLE, DOUBLE, DOUBLE, ctypes.c_void_p)(ctypes.cast(half_square, ctypes.c_void_p).value),
    ],
    ids=["ctypes", "numba", "scipy", "address", "void pointer"],
)
def test_a_function_in_c_runs_in_the_compiled_pass(function, dtype):
    loss, same = losses.CFunction(function), losses.SquaredError()
    assert losses.get(loss) is loss
    assert (loss.compiled, loss.coupled, loss.targets) == (True, False, "real")
    assert loss.address == ctypes.cast(half_square, ctypes.c_void_p).value
    y, t = np.random.default_rng(0).normal(size=(2, 20, 3)).astype(dtype)
    values, slopes = compiled(loss, y, t)
    rtol = 1e-6 if dtype == "float32" else 1e-14
    for found in (values, loss.value(y, t)):
        np.testing.assert_allclose(found, same.value(y, t), rtol=rtol)
    for found in (slopes, loss.slope(y, t)):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, same.slope(y, t), rtol=rtol)
    assert loss.mean(Y) is Y
    np.testing.assert_array_equal(losses.CFunction(function, targets="labels").label(Y)[:, 0], [0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("batch_size", [1, 7])
def test_training_with_a_loss_of_the_users_own(batch_size):
    class HalfSquare:
        def value(self, y, t):
            return ((y - t) ** 2 / 2).sum(axis=-1)

        def slope(self, y, t):
            return y - t

    X, T = np.random.default_rng(0).normal(size=(2, 50, 2))
    params = []
    for loss in ("squared_error", losses.CFunction(half_square), HalfSquare()):
        model = fastgd.Linear(2, 2, seed=0)
        history = fastgd.train(model, X, T, loss=loss, optimizer=fastgd.SGD(lr=0.05), epochs=2, batch_size=batch_size)
        params.append(np.append(model.params, history.loss))
    np.testing.assert_allclose(params[1:], [params[0]] * 2, rtol=1e-12, atol=1e-14)


def test_a_function_that_writes_no_slope_has_none():
    @ctypes.CFUNCTYPE(DOUBLE, DOUBLE, DOUBLE, POINTER)
    def forgetful(y, t, slope_out):
        return y

    loss = losses.CFunction(forgetful)
    assert not loss.slope(Y, 0 * Y).any()
    assert not compiled(loss, Y, 0 * Y)[1].any()


def test_a_function_lives_as_long_as_its_loss():
    function = ctypes.CFUNCTYPE(DOUBLE, DOUBLE, DOUBLE, POINTER)(lambda y, t, slope_out: y)
    alive, loss = weakref.ref(function), losses.CFunction(function)
    del function
    gc.collect()
    assert alive() is not None
    assert loss.value([2.0], [0.0]) == 2
    del loss
    gc.collect()
    assert alive() is None


def test_functions_of_another_kind_are_refused():
    takes = "takes (.*) and returns .*; allowed is double f"
    for signature in ((DOUBLE, DOUBLE, DOUBLE), (None, DOUBLE, DOUBLE, POINTER), (DOUBLE, DOUBLE, DOUBLE, DOUBLE)):
        other = ctypes.CFUNCTYPE(*signature)(lambda *given: 0.0)
        for wrong in (other, Cfunc(other)):
            with pytest.raises(TypeError, match=takes):
                losses.CFunction(wrong)
    with pytest.raises(TypeError, match=r"returns c_int; allowed is double f"):
        losses.CFunction(ctypes.pythonapi.Py_IsInitialized)
    with pytest.raises(TypeError, match=r"has the signature 'double \(double, double\)'; allowed is double f"):
        losses.CFunction(scipy.LowLevelCallable(ctypes.CFUNCTYPE(DOUBLE, DOUBLE, DOUBLE)(lambda y, t: 0.0)))
    with pytest.raises(TypeError, match="needs the GIL"):
        losses.CFunction(ctypes.PYFUNCTYPE(DOUBLE, DOUBLE, DOUBLE, POINTER)(lambda y, t, slope_out: 0.0))
    with pytest.raises(TypeError, match="user_data"):
        losses.CFunction(scipy.LowLevelCallable(half_square, user_data=ctypes.c_void_p(8)))
    with pytest.raises(ValueError, match="null pointer"):
        losses.CFunction(ctypes.CFUNCTYPE(DOUBLE, DOUBLE, DOUBLE, POINTER)())
    for wrong in (lambda y, t: 0.0, "half_square", 1.5, None, True):
        with pytest.raises(TypeError, match=r"function=.* must be a function double f\(double y, double t"):
            losses.CFunction(wrong)
    for wrong in (0, -8):
        with pytest.raises(ValueError, match=f"function={wrong} must be an address, above 0"):
            losses.CFunction(wrong)


def test_what_is_the_users_own_cannot_be_saved():
    for own in (losses.Own(LogCosh()), losses.CFunction(half_square), schedules.get(lambda t: 1 / t)):
        with pytest.raises(TypeError, match=r"cannot be saved.*give it again"):
            registry.to_json(own)
    assert registry.to_json(losses.Quantile(0.25)) == {"name": "quantile", "tau": 0.25}
    assert registry.to_json(optimizers.get("sgd"))["name"] == "sgd"
