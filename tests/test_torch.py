"""The lesson's torch program, and torch loops over samples and batches, number for number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from passes import make_targets, relative
from torch_twins import LOSSES, flat, make_model, make_module

import fastgd
from fastgd import losses


def twins(in_features, out_features, dtype, bias=True):
    module = make_module((in_features, out_features), bias=bias, dtype=dtype)
    return module, make_model((in_features, out_features), module, bias)


@pytest.fixture(params=sorted(LOSSES))
def loss(request):
    """Every loss that torch has, with its defaults."""
    return losses.get(request.param)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
def test_the_lessons_program(dtype, tolerance):
    module, model = twins(4, 2, dtype)
    x, t = torch.tensor([0.8, 0.4, 0.4, 0.2], dtype=module.weight.dtype), torch.tensor([1.0, 0.0]).to(module.weight)
    criterion, optimizer = torch.nn.MSELoss(), torch.optim.SGD(module.parameters(), lr=0.1)
    value, slope = fastgd.gradient(model, x.numpy(), t.numpy(), loss="mse")
    printed = []
    for epoch in range(10):
        optimizer.zero_grad()
        loss = criterion(module(x), t)
        loss.backward()
        if epoch == 0:
            assert value == pytest.approx(loss.item(), rel=tolerance)
            assert relative(slope["weight"], module.weight.grad.numpy()) < tolerance
            assert relative(slope["bias"], module.bias.grad.numpy()) < tolerance
        optimizer.step()
        printed.append(loss.item())
    history = fastgd.train(model, x.numpy()[None], t.numpy()[None], optimizer=fastgd.SGD(lr=0.1), epochs=10)
    assert relative(model.params, flat(module)) < tolerance
    assert np.abs(np.subtract(history.loss, printed)).max() < tolerance * printed[0]
    assert relative(model(x.numpy()), module(x).detach().numpy()) < tolerance


@pytest.mark.parametrize("batch_size", [1, 4, 64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("K", [1, 3])
def test_a_torch_loop_over_the_same_rows(loss, K, bias, batch_size):
    rng, K = np.random.default_rng(5), max(K, 2) if loss.coupled else K
    X = rng.normal(size=(64, 5))
    T = make_targets(loss, X @ rng.normal(size=(5, K)), rng)
    module, model = twins(5, K, "float64", bias)
    optimizer, criterion = torch.optim.SGD(module.parameters(), lr=0.05), LOSSES[loss.name](loss, K)
    for _ in range(3):
        for x, t in zip(torch.tensor(X).split(batch_size), torch.tensor(T).split(batch_size)):
            optimizer.zero_grad()
            criterion(module(x), t).backward()
            optimizer.step()
    fastgd.train(model, X, T, loss=loss, optimizer=fastgd.SGD(lr=0.05), epochs=3, batch_size=batch_size)
    assert relative(model.params, flat(module)) < 1e-12


def test_gradients_are_those_of_autograd(loss):
    rng = np.random.default_rng(6)
    X = rng.normal(size=(10, 5))
    T = make_targets(loss, X @ rng.normal(size=(5, 3)), rng)
    module, model = twins(5, 3, "float64")
    LOSSES[loss.name](loss, 3)(module(torch.tensor(X)), torch.tensor(T)).backward()
    before = model.params.copy()
    value, slope = fastgd.gradient(model, X, T, loss=loss)
    assert relative(slope["weight"], module.weight.grad.numpy()) < 1e-13
    assert relative(slope["bias"], module.bias.grad.numpy()) < 1e-13
    assert value == pytest.approx(fastgd.evaluate(model, X, T, loss))
    np.testing.assert_array_equal(model.params, before)


def test_initial_values_are_torchs_in_distribution():
    values = fastgd.Linear(25, 4000, seed=1).params
    assert np.abs(values).max() <= 1 / 5
    assert np.abs(values).max() > 0.1999
    assert abs(values.mean()) < 0.001
    assert values.var() == pytest.approx((2 / 5) ** 2 / 12, rel=0.02)  # uniform on ±1/5
    module = torch.nn.Linear(25, 4000)
    assert module.weight.detach().numpy().var() == pytest.approx(values.var(), rel=0.02)
    assert losses.get("mse") == losses.MSE()
