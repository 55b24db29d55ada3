"""Every optimizer against torch.optim on the same gradients, and FTRL against the paper's algorithm."""

from __future__ import annotations

import inspect
import itertools
import json
import math
from dataclasses import MISSING, fields

import numpy as np
import pytest
import torch

from fastgd import optimizers
from fastgd.optimizers import FTRL, SGD, Adagrad, Adam, AdamW, RMSprop
from fastgd.registry import from_json, to_json

P = 7
STEPS = 50


def grid(choice, **options):
    """Every combination of the options that the optimizer takes, the rest refused."""
    made = []
    for values in itertools.product(*options.values()):
        try:
            made.append(choice(**dict(zip(options, values))))
        except ValueError:
            assert choice is SGD
    return made


#: the optimizers that torch has, in all combinations of their options; a new one is added here, or to OTHERS
IN_TORCH = {
    "sgd": grid(SGD, momentum=[0, 0.9], dampening=[0, 0.3], weight_decay=[0, 0.1], nesterov=[False, True]),
    "adam": grid(
        Adam,
        betas=[(0.9, 0.999), (0.0, 0.5), [0.6, 0.99]],
        eps=[1e-8, 0.1],
        weight_decay=[0, 0.1],
        amsgrad=[False, True],
    ),
    "adamw": grid(AdamW, betas=[(0.9, 0.999), (0.0, 0.5)], weight_decay=[1e-2, 0, 0.3], amsgrad=[False, True]),
    "adagrad": grid(
        Adagrad, lr_decay=[0, 0.1], weight_decay=[0, 0.1], initial_accumulator_value=[0, 0.5], eps=[1e-10, 0.1]
    ),
    "rmsprop": grid(
        RMSprop, alpha=[0.99, 0.5], eps=[1e-8, 0.1], weight_decay=[0, 0.1], momentum=[0, 0.9], centered=[False, True]
    ),
}
#: judged by a test of its own
OTHERS = {"ftrl": FTRL}
#: options that torch has in another class, or as groups of parameters: see test_factors
NOT_IN_TORCH = {"lazy", "lr_factors", "decay_factors"}


def test_every_optimizer_has_its_judge():
    assert set(IN_TORCH) | set(OTHERS) == set(optimizers.registry)
    assert len(IN_TORCH["sgd"]) == 10


@pytest.mark.parametrize("name", sorted(IN_TORCH))
def test_names_and_defaults_are_torchs(name):
    choice = optimizers.registry[name]
    torchs = inspect.signature(getattr(torch.optim, choice.__name__)).parameters
    ours = {field.name: field.default for field in fields(choice) if field.name not in NOT_IN_TORCH}
    assert ours == {key: torchs[key].default for key in ours}
    ignored = {"params", "maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"}
    assert set(torchs) - ignored == set(ours)


def run(optimizer, params, gradients, rates):
    """Make the updates in NumPy and return the parameters after each of them, and the state."""
    params, state = params.copy(), np.full((optimizer.slots, P), np.nan, params.dtype)
    decay = np.full(P, optimizer.weight_decay)
    optimizer.start(params, state, np.ones(P, bool))
    path = []
    for step, (gradient, rate) in enumerate(zip(gradients, rates), 1):
        optimizer.update(params, state, gradient, rate, decay, step, np.ones(P, bool))
        path.append(params.copy())
    return np.array(path), state


def run_torch(optimizer_class, options, params, gradients, rates, sparse=False):
    parameter = torch.nn.Parameter(torch.tensor(params))
    judge = optimizer_class([parameter], lr=rates[0], **options)
    path = []
    for gradient, rate in zip(gradients, rates):
        judge.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor(gradient).to_sparse() if sparse else torch.tensor(gradient)
        judge.step()
        path.append(parameter.detach().numpy().copy())
    return np.array(path), judge.state[parameter]


def given(dtype, seed=0):
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(STEPS, P)) * np.logspace(-2, 2, P)
    gradients[:, 3] *= rng.uniform(size=STEPS) < 0.3  # mostly zero
    return rng.normal(size=P).astype(dtype), gradients.astype(dtype), (0.1 * rng.uniform(size=STEPS)).tolist()


def assert_near(a, b, tolerance):
    assert a.shape == b.shape
    assert (np.abs(a - b) <= tolerance * np.abs(b).max(axis=0)).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
@pytest.mark.parametrize("optimizer", [o for options in IN_TORCH.values() for o in options], ids=repr)
def test_the_updates_are_torchs(optimizer, dtype, tolerance):
    params, gradients, rates = given(dtype)
    path, state = run(optimizer, params, gradients, rates)
    options = {field.name: getattr(optimizer, field.name) for field in fields(optimizer)}
    options = {name: value for name, value in options.items() if name not in NOT_IN_TORCH | {"lr"}}
    torchs, torch_state = run_torch(
        getattr(torch.optim, type(optimizer).__name__), options | {"foreach": False}, params, gradients, rates
    )
    assert path.dtype == state.dtype == params.dtype
    assert_near(path, torchs, tolerance)
    for row, name in zip(state, optimizer.rows):
        np.testing.assert_allclose(row, torch_state[name].numpy(), rtol=20 * tolerance, atol=tolerance)
    tensors = {name for name, value in torch_state.items() if value is not None and value.shape == (P,)}
    assert tensors == set(optimizer.rows)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
@pytest.mark.parametrize("eps", [1e-8, 0.1])
def test_lazy_adam_is_torchs_sparse_adam(dtype, tolerance, eps):
    params, gradients, rates = given(dtype)
    gradients *= np.random.default_rng(1).uniform(size=gradients.shape) < 0.4
    gradients[5] = 0
    path, state = run(Adam(lazy=True, eps=eps), params, gradients, rates)
    torchs, torch_state = run_torch(torch.optim.SparseAdam, {"eps": eps}, params, gradients, rates, sparse=True)
    assert_near(path, torchs, tolerance)
    np.testing.assert_allclose(state[0], torch_state["exp_avg"].numpy(), rtol=20 * tolerance)
    moved = np.diff(path, axis=0, prepend=params[None]) != 0
    assert not moved[gradients == 0].any()


class Algorithm1:
    """McMahan et al. 2013, algorithm 1, one coordinate at a time, with their names."""

    def __init__(self, size, alpha, beta, lambda1, lambda2):
        self.alpha, self.beta, self.lambda1, self.lambda2 = alpha, beta, lambda1, lambda2
        self.z, self.n = [0.0] * size, [0.0] * size

    def weight(self, i, regularised=True):
        lambda1, lambda2 = (self.lambda1, self.lambda2) if regularised else (0.0, 0.0)
        if abs(self.z[i]) <= lambda1:
            return 0.0
        scale = (self.beta + math.sqrt(self.n[i])) / self.alpha + lambda2
        return -1 / scale * (self.z[i] - math.copysign(1, self.z[i]) * lambda1)

    def update(self, gradient, w):
        for i, g in enumerate(gradient):
            sigma = (math.sqrt(self.n[i] + g * g) - math.sqrt(self.n[i])) / self.alpha
            self.z[i] += g - sigma * w[i]
            self.n[i] += g * g


@pytest.mark.parametrize("from_zero", [True, False])
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.0, 0.7), (3.0, 0.0), (3.0, 0.7)])
def test_ftrl_is_the_papers_algorithm(l1, l2, from_zero):
    params, gradients, _ = given("float64")
    on_weight = np.arange(P) < 5
    params *= not from_zero
    optimizer = FTRL(lr=0.3, beta=0.5, l1=l1, l2=l2)
    state = np.full((2, P), np.nan)
    optimizer.start(params, state, on_weight)
    paper = Algorithm1(P, 0.3, 0.5, l1, l2)
    paper.z = state[0].tolist()
    assert not state[1].any()
    assert not (from_zero and state[0].any())
    np.testing.assert_allclose([paper.weight(i, on_weight[i]) for i in range(P)], params, rtol=1e-14, atol=1e-15)
    zeros = 0
    for step, gradient in enumerate(gradients, 1):
        optimizer.update(params, state, gradient, 0.3, np.zeros(P), step, on_weight)
        paper.update(gradient, [paper.weight(i, on_weight[i]) for i in range(P)])
        weights = np.array([paper.weight(i, on_weight[i]) for i in range(P)])
        np.testing.assert_allclose(params, weights, rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(params == 0, weights == 0)
        zeros += int((params[on_weight] == 0).sum())
    assert zeros > 10 or not (l1 and from_zero)
    assert params[~on_weight].all()


def test_ftrl_makes_weights_zero_that_gradients_do_not_hold():
    params, state, on_weight = np.array([1e-3, 1.0, 1e-3]), np.zeros((2, 3)), np.array([True, True, False])
    optimizer = FTRL(lr=0.1, l1=0.5)
    optimizer.start(params, state, on_weight)
    optimizer.update(params, state, np.array([0.1, 0.1, 0.0]), 0.1, np.zeros(3), 1, on_weight)
    assert params[0] == 0
    assert params[1] != 0
    assert params[2] == pytest.approx(1e-3, rel=1e-15)  # a bias


@pytest.mark.parametrize("name", sorted(optimizers.registry))
def test_an_update_keeps_the_dtype_and_what_it_is_given(name):
    optimizer = optimizers.get(name)
    params, state = np.ones(P, np.float32), np.zeros((optimizer.slots, P), np.float32)
    gradient, decay, on_weight = np.linspace(-1, 1, P), np.full(P, 0.1), np.ones(P, bool)
    kept = gradient.copy(), decay.copy()
    optimizer.start(params, state, on_weight)
    optimizer.update(params, state, gradient, np.float64(0.1), decay, np.int64(1), on_weight)
    assert params.dtype == state.dtype == np.float32
    assert np.isfinite(params).all()
    assert (params != 1).any()
    np.testing.assert_array_equal(gradient, kept[0])
    np.testing.assert_array_equal(decay, kept[1])


def test_decay_is_a_number_for_each_parameter():
    for optimizer in (SGD(lr=0.5), SGD(lr=0.5, momentum=0.9), Adam(), AdamW(lr=0.5), Adagrad(), RMSprop()):
        params, state = np.ones(2), np.zeros((optimizer.slots, 2))
        optimizer.update(params, state, np.zeros(2), 0.5, np.array([0.1, 0.0]), 1, np.ones(2, bool))
        assert params[0] < 1
        assert params[1] == 1


def test_centred_rmsprop_stays_finite_where_the_gradient_is_constant():
    optimizer = RMSprop(centered=True)
    params, state = np.zeros(P), np.zeros((2, P))
    for step in range(1, 5001):
        optimizer.update(params, state, np.linspace(0.1, 1.3, P), 1e-4, np.zeros(P), step, np.ones(P, bool))
    assert np.isfinite(params).all()


@pytest.mark.parametrize("name", sorted(optimizers.registry))
def test_a_description_gives_the_optimizer_back(name):
    given = {"lr": 0.25, "betas": (0.5, 0.75), "eps": 0.125, "nesterov": True, "momentum": 0.5, "amsgrad": True}
    choice = optimizers.registry[name]
    for options in ({}, {field.name: given.get(field.name, field.default) for field in fields(choice)}):
        optimizer = choice(**options)
        described = json.loads(json.dumps(to_json(optimizer)))
        again = from_json("optimizer", optimizers.registry, described)
        assert again == optimizer
        assert hash(again) == hash(optimizer)
        assert all(field.default is not MISSING for field in fields(choice))


REFUSED = [
    (SGD, {"lr": -0.1}, ValueError, "lr=-0.1 must be a finite number of at least 0"),
    (SGD, {"lr": "fast"}, TypeError, "lr='fast' must be"),
    (SGD, {"lr": float("nan")}, ValueError, "lr=nan must be"),
    (SGD, {"momentum": -0.5}, ValueError, "momentum=-0.5 must be"),
    (SGD, {"momentum": True}, TypeError, "momentum=True must be"),
    (SGD, {"dampening": -0.1}, ValueError, "dampening=-0.1 must be"),
    (SGD, {"dampening": 1.5}, ValueError, r"dampening=1.5 must be a number in \[0, 1\]"),
    (SGD, {"weight_decay": -1}, ValueError, "weight_decay=-1 must be"),
    (SGD, {"nesterov": 1, "momentum": 0.9}, TypeError, "nesterov=1 must be True or False"),
    (
        SGD,
        {"nesterov": True},
        ValueError,
        r"nesterov=True needs momentum above 0 and dampening=0, not momentum=0.0 and",
    ),
    (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, ValueError, "nesterov=True needs"),
    (Adam, {"betas": (0.9, 1.0)}, ValueError, r"betas\[1\]=1.0 must be a number of at least 0 and below 1"),
    (Adam, {"betas": (-0.1, 0.9)}, ValueError, r"betas\[0\]=-0.1 must be"),
    (Adam, {"betas": 0.9}, TypeError, "betas=0.9 must be two numbers"),
    (Adam, {"betas": (0.9,)}, TypeError, r"betas=\(0.9,\) must be two numbers"),
    (Adam, {"betas": "ab"}, TypeError, "betas='ab' must be two numbers"),
    (Adam, {"eps": -1e-8}, ValueError, "eps=-1e-08 must be"),
    (Adam, {"amsgrad": "yes"}, TypeError, "amsgrad='yes' must be True or False"),
    (Adam, {"lazy": 0}, TypeError, "lazy=0 must be True or False"),
    (Adam, {"lazy": True, "weight_decay": 0.1}, ValueError, "lazy=True needs weight_decay=0 and amsgrad=False, not"),
    (Adam, {"lazy": True, "amsgrad": True}, ValueError, "lazy=True needs weight_decay=0 and amsgrad=False, not"),
    (AdamW, {"betas": [0.9, 2]}, ValueError, r"betas\[1\]=2 must be"),
    (AdamW, {"weight_decay": float("inf")}, ValueError, "weight_decay=inf must be"),
    (Adagrad, {"lr_decay": -1}, ValueError, "lr_decay=-1 must be"),
    (Adagrad, {"initial_accumulator_value": -1}, ValueError, "initial_accumulator_value=-1 must be"),
    (Adagrad, {"eps": -1}, ValueError, "eps=-1 must be"),
    (RMSprop, {"alpha": 1}, ValueError, "alpha=1 must be a number of at least 0 and below 1"),
    (RMSprop, {"alpha": -0.5}, ValueError, "alpha=-0.5 must be"),
    (RMSprop, {"momentum": -0.5}, ValueError, "momentum=-0.5 must be"),
    (RMSprop, {"centered": None}, TypeError, "centered=None must be True or False"),
    (FTRL, {"lr": 0}, ValueError, "lr=0 must be a finite number above 0"),
    (FTRL, {"beta": 0.0}, ValueError, "beta=0.0 must be a finite number above 0"),
    (FTRL, {"l1": -1}, ValueError, "l1=-1 must be"),
    (FTRL, {"l2": -1}, ValueError, "l2=-1 must be"),
]


@pytest.mark.parametrize(("choice", "options", "error", "message"), REFUSED)
def test_what_is_refused(choice, options, error, message):
    with pytest.raises(error, match=message):
        choice(**options)


@pytest.mark.parametrize("name", sorted(optimizers.registry))
def test_every_number_is_checked(name):
    choice = optimizers.registry[name]
    for field in fields(choice):
        for wrong in (-1.0, float("nan"), None, "1"):
            with pytest.raises((TypeError, ValueError), match=field.name):
                choice(**{field.name: wrong})


def test_names_that_are_not_known():
    with pytest.raises(ValueError, match="optimizer='lion' is not known; allowed are 'sgd', 'adam', 'adamw', "):
        optimizers.get("lion")
    with pytest.raises(TypeError, match="optimizer must be a name or an instance"):
        optimizers.get(Adam)
