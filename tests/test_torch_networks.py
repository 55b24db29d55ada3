"""Training beside torch, 500 updates in float64: every loss, network, activation and batch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch_twins
from passes import make_targets, relative
from torch_twins import LINEAR, LOSSES, NETWORK, OPTIMIZERS, TABLES, VARIANTS, Run, make_optimizer

import fastgd
from fastgd import activations, losses

tally = torch_twins.tally

MULTIPLES_OF_MSE = ("sse", "squared_error")


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_choice_is_torchs_or_has_a_reason(table):
    registry, in_torch, reasons = TABLES[table]
    assert set(in_torch) | set(reasons) == set(registry)
    assert not set(in_torch) & set(reasons)


def test_every_optimizer_has_its_variants():
    assert set(VARIANTS) == set(OPTIMIZERS) == set(torch_twins.RATES)


@pytest.mark.parametrize("sizes", [LINEAR, NETWORK], ids=str)
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_loss(tally, name, sizes):
    chosen = [loss for loss in LOSSES if name == "sgd" or loss not in MULTIPLES_OF_MSE]
    tally.judge([Run(make_optimizer(name), losses.get(loss), sizes) for loss in chosen])


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_activation(tally, name):
    variants = itertools.cycle([*VARIANTS[name][1:], {}])
    tally.judge([Run(make_optimizer(name, **next(variants)), activation=choice) for choice in activations.registry])


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_targets_that_are_probabilities(tally, name):
    runs = [
        Run(make_optimizer(name), losses.get(loss), sizes, probabilities=True)
        for loss in ("log_loss", "cross_entropy")
        for sizes in (LINEAR, NETWORK)
    ]
    tally.judge(runs)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_networks_of_other_shapes(tally, name):
    mixed = ("tanh", activations.LeakyReLU(0.3), "softplus")
    runs = [
        Run(make_optimizer(name), losses.Huber(0.5), (5, 1, 2), "tanh"),
        Run(make_optimizer(name), losses.Huber(0.5), (5, 7, 6, 9, 1), mixed),
        Run(make_optimizer(name), losses.Huber(0.5), (1, 4, 1), "logistic"),
        Run(make_optimizer(name), losses.Huber(0.5), (40, 70, 9, 3)),
        Run(make_optimizer(name), losses.Huber(0.5), bias=False),
    ]
    tally.judge(runs)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_batches(tally, name):
    optimizer, loss = make_optimizer(name), losses.get("cross_entropy")
    tally.judge(
        [
            Run(optimizer, loss, LINEAR, batch_size=4, epochs=20),
            Run(optimizer, loss, NETWORK, batch_size=4, epochs=20),
            Run(optimizer, loss, NETWORK, batch_size=32, epochs=125),
        ]
    )


@pytest.mark.parametrize("activation", sorted(activations.registry))
def test_gradients_of_networks_are_those_of_autograd(activation):
    for name in LOSSES:
        loss, rng = losses.get(name), np.random.default_rng(6)
        X = rng.normal(size=(10, 8))
        T = make_targets(loss, X @ rng.normal(size=(8, 3)), rng)
        module = torch_twins.make_module(NETWORK, [activations.get(activation)] * 2)
        model = torch_twins.make_model(NETWORK, module, activation=activation)
        expected = LOSSES[name](loss, 3)(module(torch.tensor(X)), torch.tensor(T))
        expected.backward()
        value, slope = fastgd.gradient(model, X, T, loss=loss)
        assert value == pytest.approx(expected.item(), rel=1e-13)
        for array, parameter in zip(slope.values(), module.parameters(), strict=True):
            assert relative(array, parameter.grad.numpy()) < 1e-12
