from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

import fastgd


def two_valleys(w):
    # minima at −1 (f = −5) and 2 (f = −32), a hill at 0; slope 12 w (w + 1) (w − 2)
    return 3 * w**4 - 4 * w**3 - 12 * w**2


# ------------------------------------------------------------------------------------------------------ closed forms


@pytest.mark.parametrize("lr", [0.0, 0.01, 0.3, 0.5, 0.6])
def test_parabola_in_one_variable(lr):
    a, w0, k = 1.5, 2.0, np.arange(31)
    path = fastgd.descend(lambda w: a * w**2, w0, lr=lr, steps=30, grad=lambda w: 2 * a * w)
    points = (1 - 2 * lr * a) ** k * w0
    np.testing.assert_allclose(path.points, points, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(path.values, a * points**2, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(path.slopes, 2 * a * points, rtol=1e-12, atol=1e-300)


def test_parabola_in_several_variables_without_a_gradient():
    a, w0, lr, k = np.array([1.0, 2.5, 0.1]), np.array([2.0, -1.0, 30.0]), 0.15, np.arange(41)[:, None]
    path = fastgd.descend(lambda w: a @ w**2, w0, lr=lr, steps=40)
    points = (1 - 2 * lr * a) ** k * w0
    assert path.points.shape == path.slopes.shape == (41, 3)
    assert path.values.shape == (41,)
    np.testing.assert_allclose(path.points, points, atol=1e-7)
    np.testing.assert_allclose(path.values, points**2 @ a, atol=1e-6)
    np.testing.assert_allclose(path.slopes, 2 * a * points, atol=1e-6)


def test_it_is_gradient_descent_with_the_slopes_that_it_reports():
    path = fastgd.descend(two_valleys, 2.7, lr=0.003, steps=50)
    np.testing.assert_array_equal(path.points[1:], path.points[:-1] - 0.003 * path.slopes[:-1])
    np.testing.assert_array_equal(path.values, [two_valleys(w) for w in path.points])


def test_same_weights_as_training_one_sample():
    x, t = np.array([0.8, 0.4]), 1.0
    model = fastgd.Linear(2, 1, bias=False, seed=3)
    start = model.params.copy()
    path = fastgd.descend(lambda w: (w @ x - t) ** 2, start, lr=0.1, steps=20)
    for point in path.points:
        np.testing.assert_allclose(model.params, point, rtol=1e-9)
        fastgd.train(model, [x], [t], loss="sse", optimizer=fastgd.SGD(lr=0.1))


# ----------------------------------------------------------------------------------------------------------- slopes


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (two_valleys, lambda w: 12 * w * (w + 1) * (w - 2)),
        (math.sin, math.cos),
        (math.exp, math.exp),
        (lambda w: 1 / (1 + math.exp(-w)), lambda w: math.exp(-w) / (1 + math.exp(-w)) ** 2),
        (lambda w: 1e6 * w**3, lambda w: 3e6 * w**2),
    ],
    ids=["quartic", "sin", "exp", "sigmoid", "steep"],
)
@pytest.mark.parametrize("at", [-3.1, 0.7, 1.3, 12.0])
def test_numerical_slope_in_one_variable(f, slope, at):
    found = fastgd.descend(f, at, lr=0.0, steps=0).slopes[0]
    assert found == pytest.approx(slope(at), rel=1e-8)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e8])
def test_numerical_slope_in_many_variables(scale):
    rng = np.random.default_rng(0)
    matrix, shift, w = rng.standard_normal((7, 7)), rng.standard_normal(7), scale * rng.standard_normal(7)
    found = fastgd.descend(lambda w: ((matrix @ w - shift) ** 2).sum(), w, lr=0.0, steps=0).slopes[0]
    expected = 2 * matrix.T @ (matrix @ w - shift)
    assert np.abs(found - expected).max() <= 1e-8 * np.abs(expected).max()


def test_given_gradient_is_used_and_f_is_called_once_a_point():
    calls = []

    def f(w):
        calls.append(w)
        return w**2

    path = fastgd.descend(f, 1.0, lr=0.1, steps=5, grad=lambda w: -1.0)
    np.testing.assert_allclose(path.points, 1 + 0.1 * np.arange(6))
    assert calls == list(path.points)


def test_without_a_gradient_f_is_called_twice_more_for_each_variable():
    calls = []
    fastgd.descend(lambda w: calls.append(w) or float(w @ w), np.ones(3), lr=0.1, steps=4)
    assert len(calls) == 5 * (1 + 2 * 3)


# ----------------------------------------------------------------------------------------------------------- minima


@pytest.mark.parametrize(("start", "minimum", "value"), [(-1.8, -1, -5), (-0.1, -1, -5), (0.1, 2, -32), (2.9, 2, -32)])
def test_both_minima_are_found(start, minimum, value):
    path = fastgd.descend(two_valleys, start, lr=0.01, steps=200)
    assert path.points[0] == start
    assert path.points[-1] == pytest.approx(minimum, abs=1e-9)
    assert path.values[-1] == pytest.approx(value, abs=1e-9)
    assert path.slopes[-1] == pytest.approx(0, abs=1e-7)


def test_least_squares_is_found():
    rng = np.random.default_rng(1)
    X, t = rng.standard_normal((50, 3)), rng.standard_normal(50)
    path = fastgd.descend(lambda w: np.mean((X @ w - t) ** 2), np.zeros(3), lr=0.2, steps=200)
    np.testing.assert_allclose(path.points[-1], np.linalg.lstsq(X, t)[0], atol=1e-8)


# ----------------------------------------------------------------------------------------------- kinds of arguments


@pytest.mark.parametrize("start", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0)])
def test_a_number_gives_f_a_float(start):
    kinds = set()
    path = fastgd.descend(lambda w: kinds.add(type(w)) or w * w, start, lr=0.1, steps=3)
    assert kinds == {float}
    assert path.points.shape == path.slopes.shape == path.values.shape == (4,)
    assert path.points.dtype == path.values.dtype == path.slopes.dtype == np.float64


@pytest.mark.parametrize("start", [[2, 1], (2.0, 1.0), np.array([2, 1]), np.array([2.0, 1.0], np.float32)])
def test_a_vector_gives_f_an_array(start):
    shapes = set()
    path = fastgd.descend(lambda w: shapes.add((w.shape, w.dtype.name)) or w @ w, start, lr=0.1, steps=3)
    assert shapes == {((2,), "float64")}
    assert path.points.shape == (4, 2)


def test_vector_of_one_variable_stays_a_vector():
    path = fastgd.descend(lambda w: w[0] ** 2, [3.0], lr=0.1, steps=2)
    assert path.points.shape == path.slopes.shape == (3, 1)


@pytest.mark.parametrize("result", [3, np.float32(3), np.int16(3), np.array(3.0), np.longdouble(3)])
def test_f_may_return_any_real_number(result):
    path = fastgd.descend(lambda w: result, 1.0, lr=0.1, steps=2)
    np.testing.assert_array_equal(path.values, [3, 3, 3])
    np.testing.assert_array_equal(path.slopes, [0, 0, 0])


def test_f_and_grad_cannot_move_the_path():
    def f(w):
        value = float(w @ w)
        w[:] = 99
        return value

    def grad(w):
        slope = 2 * w
        w[:] = 99
        return slope

    start = np.array([1.0, -2.0])
    for given in None, grad:
        path = fastgd.descend(f, start, lr=0.1, steps=10, grad=given)
        np.testing.assert_allclose(path.points, 0.8 ** np.arange(11)[:, None] * [1, -2], atol=1e-9)
    np.testing.assert_array_equal(start, [1, -2])


def test_a_gradient_array_used_again_by_its_owner():
    memory = np.empty(2)
    path = fastgd.descend(lambda w: w @ w, [1.0, -2.0], lr=0.1, steps=10, grad=lambda w: np.multiply(w, 2, out=memory))
    np.testing.assert_allclose(path.points, 0.8 ** np.arange(11)[:, None] * [1, -2])
    np.testing.assert_allclose(path.slopes, 2 * path.points)


def test_no_steps_and_no_learning_rate():
    path = fastgd.descend(two_valleys, 1.0, lr=0.1, steps=0)
    assert (path.points[0], path.values[0]) == (1.0, -13.0)
    assert path.points.shape == (1,)
    assert set(fastgd.descend(two_valleys, 1.0, lr=0, steps=5).points) == {1.0}


def test_path_is_frozen():
    path = fastgd.descend(two_valleys, 1.0, lr=0.1, steps=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        path.points = None
    assert path == path


# -------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"f": 3}, TypeError, "f=3 must be a function"),
        ({"grad": 3}, TypeError, "grad=3 must be a function"),
        ({"w0": [[1.0]]}, ValueError, r"w0 has shape \(1, 1\)"),
        ({"w0": []}, ValueError, r"w0 has shape \(0,\)"),
        ({"w0": float("nan")}, ValueError, "w0=nan must be finite"),
        ({"w0": [1.0, float("inf")]}, ValueError, "w0=.* must be finite"),
        ({"w0": "1"}, TypeError, "w0 must hold real numbers"),
        ({"w0": None}, TypeError, "w0 must hold real numbers"),
        ({"w0": 1j}, TypeError, "w0 must hold real numbers"),
        ({"lr": -0.1}, ValueError, "lr=-0.1"),
        ({"lr": float("inf")}, ValueError, "lr=inf"),
        ({"lr": float("nan")}, ValueError, "lr=nan"),
        ({"lr": "fast"}, TypeError, "lr='fast'"),
        ({"lr": None}, TypeError, "lr=None"),
        ({"steps": -1}, ValueError, "steps=-1 must be an integer of at least 0"),
        ({"steps": 2.0}, TypeError, "steps=2.0"),
        ({"steps": True}, TypeError, "steps=True"),
        ({"f": lambda w: "low"}, TypeError, "f must return one real number; at w = 1.0 it returned 'low'"),
        ({"f": lambda w: None}, TypeError, "f must return one real number; at w = 1.0 it returned None"),
        ({"f": lambda w: 1j}, TypeError, "f must return one real number"),
        ({"f": lambda w: w > 0}, TypeError, "f must return one real number"),
        ({"f": lambda w: w, "w0": [1.0, 2.0]}, TypeError, r"f must return one real number; at w = \[1. 2.\]"),
        ({"f": lambda w: w, "w0": [1.0]}, TypeError, "f must return one real number"),
        ({"grad": lambda w: None}, TypeError, "grad must return one real number"),
        ({"grad": lambda w: [w]}, TypeError, "grad must return one real number"),
        ({"grad": lambda w: 1.0, "f": sum, "w0": [1.0, 2.0]}, TypeError, r"real numbers of shape \(2,\)"),
        ({"grad": lambda w: w[:1], "f": sum, "w0": [1.0, 2.0]}, TypeError, r"real numbers of shape \(2,\)"),
        ({"grad": lambda w: w + 0j, "f": sum, "w0": [1.0, 2.0]}, TypeError, r"real numbers of shape \(2,\)"),
    ],
)
def test_bad_arguments_are_refused(change, error, message):
    given = {"f": lambda w: w * w, "w0": 1.0, "lr": 0.1, "steps": 3} | change
    with pytest.raises(error, match=message):
        fastgd.descend(**given)


def test_errors_of_f_itself_come_through():
    with pytest.raises(ZeroDivisionError):
        fastgd.descend(lambda w: 1 / w, 0.0, lr=0.1, steps=1)


# ------------------------------------------------------------------------------------------------------- divergence


def test_descent_without_a_bottom_names_step_point_and_rate():
    with pytest.raises(FloatingPointError, match=r"at step 3: f is -inf at w = -?[0-9.e+]+, learning rate 0.5"):
        fastgd.descend(lambda w: -math.inf if w > 2 else -w, 1.0, lr=0.5, steps=10, grad=lambda w: -1.0)


@pytest.mark.parametrize("start", [1.0, [1.0, 2.0]])
def test_too_large_a_rate_ends_in_an_error_without_warnings(start):
    # |1 − 2 lr| = 99 a step: w² overflows at about step 77
    with pytest.raises(FloatingPointError, match=r"at step 7\d: .* learning rate 50"):
        fastgd.descend(lambda w: np.sum(np.square(w)), start, lr=50, steps=1000)


def test_overflow_of_python_floats_is_a_divergence_too():
    with pytest.raises(FloatingPointError, match="f is inf"):
        fastgd.descend(lambda w: w**4, 1e100, lr=1e-3, steps=3)
    with pytest.raises(FloatingPointError, match=r"the slope is inf at w = 1000\.0"):
        fastgd.descend(lambda w: w, 1000.0, lr=1e-3, steps=3, grad=math.exp)


def test_point_that_overflows_is_named():
    with pytest.raises(FloatingPointError, match="at step 1: the point is -inf"):
        fastgd.descend(lambda w: w, 1.0, lr=1e308, steps=3, grad=lambda w: 1e308)


@pytest.mark.parametrize("what", ["f", "grad"])
def test_nan_is_refused_where_it_appears(what):
    bad = {"f": lambda w: w * w, what: lambda w: float("nan")}
    with pytest.raises(FloatingPointError, match=r"at step 0: .*nan at w = 1\.0"):
        fastgd.descend(w0=1.0, lr=0.1, steps=3, **bad)


def test_numerical_slope_across_the_edge_of_the_domain():
    with pytest.raises(FloatingPointError, match=r"the slope is -?inf"):
        fastgd.descend(lambda w: w if w >= 0 else math.inf, 0.0, lr=0.1, steps=1)
