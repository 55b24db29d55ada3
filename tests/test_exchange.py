"""Exchange with torch: the same predictions, the same memory, and modules that are refused."""

from __future__ import annotations

import copy
import io
import sys

import numpy as np
import pytest
import torch
from passes import relative
from test_evaluation import DEPTHS, TOLERANCE
from torch import nn

import fastgd
from fastgd import activations

CHOICES = [*sorted(activations.registry), activations.LeakyReLU(0.3)]
F64 = torch.float64


def shared(model, module):
    """Whether the module's parameters are the model's, one by one and in order."""
    pairs = zip(model.named_parameters().values(), module.parameters(), strict=True)
    return all(
        parameter.data_ptr() == array.ctypes.data and tuple(parameter.shape) == array.shape
        for array, parameter in pairs
    ) and all(np.shares_memory(parameter.detach().numpy(), model.params) for parameter in module.parameters())


def flat(module):
    return np.concatenate([parameter.detach().numpy().ravel() for parameter in module.parameters()])


def deep(dtype=torch.float32, bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4, bias, dtype=dtype), nn.Tanh(), nn.Linear(4, 2, bias, dtype=dtype))


def inputs(columns, dtype):
    return np.random.default_rng(1).normal(scale=2, size=(20, columns)).astype(dtype)


@pytest.mark.parametrize("activation", CHOICES, ids=str)
@pytest.mark.parametrize("sizes", DEPTHS, ids=str)
def test_a_network_in_torch_predicts_the_same_from_the_same_memory(sizes, activation, dtype):
    for bias in (True, False):
        model = fastgd.MLP(sizes, activation, bias, dtype, seed=1)
        module = model.to_torch()
        X = inputs(sizes[0], dtype)
        assert type(module) is nn.Sequential
        assert shared(model, module)
        assert {parameter.dtype for parameter in module.parameters()} == {getattr(torch, dtype)}
        assert relative(module(torch.tensor(X)).detach().numpy(), model(X)) < TOLERANCE[dtype]
        back = fastgd.from_torch(module)
        assert repr(back) == repr(model)
        assert np.shares_memory(back.params, model.params)
        np.testing.assert_array_equal(back.params, model.params)
        np.testing.assert_array_equal(back(X), model(X))


def test_a_linear_model_in_torch(dtype):
    for bias in (True, False):
        model = fastgd.Linear(3, 2, bias, dtype, seed=1)
        module = model.to_torch()
        X = inputs(3, dtype)
        assert type(module) is nn.Linear
        assert (module.in_features, module.out_features, module.bias is not None) == (3, 2, bias)
        assert shared(model, module)
        assert relative(module(torch.tensor(X)).detach().numpy(), model(X)) < TOLERANCE[dtype]
        back = fastgd.from_torch(module)
        assert type(back) is fastgd.Linear
        assert repr(back) == repr(model)
        assert np.shares_memory(back.params, model.params)


def test_different_activations_keep_their_places_and_parameters():
    model = fastgd.MLP([3, 4, 5, 6, 2], ["softplus", activations.LeakyReLU(0.2), "logistic"], seed=1)
    module = model.to_torch()
    assert [type(layer) for layer in module[1::2]] == [nn.Softplus, nn.LeakyReLU, nn.Sigmoid]
    assert module[3].negative_slope == 0.2
    assert fastgd.from_torch(module).activations == model.activations


@pytest.mark.parametrize("make", [lambda: fastgd.Linear(3, 2, seed=0), lambda: fastgd.MLP([3, 4, 2], seed=0)])
def test_whoever_moves_the_weights_moves_both(make):
    model = make()
    module = model.to_torch()
    twin = copy.deepcopy(module)
    X, T = torch.tensor(inputs(3, "float64")), torch.tensor(inputs(2, "float64"))
    for net in (module, twin):
        optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(X), T).backward()
            optimizer.step()
    assert shared(model, module)
    np.testing.assert_array_equal(model.params, flat(twin))
    model.params[:] = np.linspace(-1, 1, model.params.size)
    np.testing.assert_array_equal(flat(module), np.linspace(-1, 1, model.params.size))
    model.weights[-1][:] = 0
    assert not list(module.parameters())[-2].any()
    before = model.params.copy()
    fastgd.train(model, X.numpy(), T.numpy(), optimizer=fastgd.SGD(lr=0.01))
    assert (model.params != before).any()
    np.testing.assert_array_equal(flat(module), model.params)
    module.load_state_dict(twin.state_dict())
    np.testing.assert_array_equal(model.params, flat(twin))
    assert shared(model, module)


def test_a_change_of_one_parameter_is_not_taken_for_a_change_of_all():
    from_network, into_network = fastgd.MLP([3, 4, 2], "tanh", dtype="float32", seed=0).to_torch(), deep()
    model = fastgd.from_torch(into_network)
    for module in (from_network, into_network):
        result = module(torch.ones(3)).sum()
        with torch.no_grad():
            module[0].weight.add_(1)  # which the slopes do not need, as they do the second weight
        result.backward()
        assert module[2].weight.grad is not None
    assert shared(model, into_network)


def test_copies_of_a_module_and_what_is_saved_of_it_are_apart():
    model = fastgd.MLP([3, 4, 2], seed=0)
    module = model.to_torch()
    other = copy.deepcopy(module)
    assert not any(np.shares_memory(parameter.detach().numpy(), model.params) for parameter in other.parameters())
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    model.params[:] = 5
    file.seek(0)
    module.load_state_dict(torch.load(file))
    np.testing.assert_array_equal(model.params, flat(other))


def test_torchs_random_numbers_stay_where_they_are():
    state = torch.random.get_rng_state()
    fastgd.from_torch(fastgd.MLP([3, 4, 2]).to_torch())
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("torch_dtype", [torch.float32, F64], ids=str)
def test_a_module_of_torch_becomes_a_model(torch_dtype, bias, share):
    module = deep(torch_dtype, bias)
    expected, parameters = flat(module), list(module.parameters())
    model = fastgd.from_torch(module, share=share)
    dtype = str(torch_dtype).removeprefix("torch.")
    X = inputs(3, dtype)
    assert repr(model) == f"MLP([3, 4, 2], activation=Tanh(), bias={bias}, dtype='{dtype}')"
    assert model.loss is None
    assert model.params.ctypes.data % 64 == 0
    np.testing.assert_array_equal(model.params, expected)
    np.testing.assert_array_equal(flat(module), expected)
    assert relative(model(X), module(torch.tensor(X)).detach().numpy()) < TOLERANCE[dtype]
    assert shared(model, module) is share
    assert all(a is b for a, b in zip(module.parameters(), parameters, strict=True))  # an optimizer may hold them
    model.params[:] = 7
    assert (flat(module) == 7).all() == share


def test_an_optimizer_that_holds_the_parameters_goes_on(dtype):
    module, twin = deep(getattr(torch, dtype)), deep(getattr(torch, dtype))
    X, T = torch.tensor(inputs(3, dtype)), torch.tensor(inputs(2, dtype))
    optimizers = [torch.optim.Adam(net.parameters(), lr=0.1) for net in (module, twin)]
    for round_ in range(2):
        for net, optimizer in zip((module, twin), optimizers, strict=True):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(X), T).backward()
            optimizer.step()
        if round_ == 0:
            model = fastgd.from_torch(module)
    np.testing.assert_array_equal(model.params, flat(twin))


def test_memory_that_is_one_vector_already_stays_where_it_is():
    module = fastgd.MLP([3, 4, 2], seed=0).to_torch()
    model = fastgd.from_torch(module)  # the first model is gone, its memory is not
    assert shared(model, module)
    places = [parameter.data_ptr() for parameter in module.parameters()]
    again = fastgd.from_torch(module)
    assert np.shares_memory(again.params, model.params)
    assert [parameter.data_ptr() for parameter in module.parameters()] == places
    copied = fastgd.from_torch(module, share=False)
    assert not np.shares_memory(copied.params, model.params)
    first_of_torch = deep()
    model = fastgd.from_torch(first_of_torch)
    assert np.shares_memory(fastgd.from_torch(first_of_torch).params, model.params)
    plain = nn.Linear(16, 4, bias=False)
    place = plain.weight.data_ptr()
    model = fastgd.from_torch(plain)
    assert shared(model, plain)
    assert model.params.ctypes.data % 64 == 0
    assert (plain.weight.data_ptr() == place) == (place % 64 == 0)


def test_memory_that_only_looks_like_one_vector_is_not_taken_for_one():
    def network(views):
        module = deep(F64)
        for parameter, view in zip(module.parameters(), views, strict=True):
            parameter.data = view
        return module

    vector = torch.arange(64.0, dtype=F64)
    assert vector.data_ptr() % 64 == 0
    shapes = [(4, 3), (4,), (2, 4), (2,)]
    cases = {
        "in order": ([0, 12, 16, 24], True),
        "with a gap": ([0, 12, 17, 25], False),
        "in another order": ([10, 22, 0, 8], False),
        "off the cache line": ([1, 13, 17, 25], False),
    }
    for name, (starts, taken) in cases.items():
        views = [vector[at : at + int(np.prod(shape))].reshape(shape) for at, shape in zip(starts, shapes, strict=True)]
        module = network(views)
        expected = flat(module)
        model = fastgd.from_torch(module)
        assert shared(model, module), name
        np.testing.assert_array_equal(model.params, expected)
        assert (model.params.ctypes.data == vector.data_ptr()) is taken, name
        assert model.params.ctypes.data % 64 == 0
    transposed = network([vector[:12].reshape(3, 4).T, vector[12:16], vector[16:24].reshape(2, 4), vector[24:26]])
    expected = flat(transposed)
    model = fastgd.from_torch(transposed)
    np.testing.assert_array_equal(model.params, expected)
    assert model.params.ctypes.data != vector.data_ptr()
    np.testing.assert_array_equal(vector, np.arange(64))


def test_nested_modules_and_those_that_do_nothing():
    class Net(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Identity(), nn.Linear(3, 4), nn.Sequential(nn.LeakyReLU(0.2), nn.Sequential()))
            self.more = nn.Sequential(nn.Dropout(0.0), nn.Linear(4, 5), nn.Linear(5, 6))
            self.last = nn.Sequential(nn.Softplus(), nn.Identity(), nn.Linear(6, 1), nn.Identity())

    module = Net().train()
    model = fastgd.from_torch(module)
    assert model.sizes == (3, 4, 5, 6, 1)
    assert model.activations == (activations.LeakyReLU(0.2), activations.Identity(), activations.Softplus())
    assert shared(model, module)
    X = inputs(3, "float32")
    assert relative(model(X), module(torch.tensor(X)).detach().numpy()) < TOLERANCE["float32"]
    single = fastgd.from_torch(nn.Sequential(nn.Linear(3, 1)))
    assert type(single) is fastgd.MLP
    assert single.sizes == (3, 1)
    assert type(single.to_torch()) is nn.Sequential


def test_layers_whose_weights_were_replaced_by_others_of_another_size():
    module = deep()
    module[0].weight, module[0].bias = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3))
    module[2].weight = nn.Parameter(torch.ones(2, 3))
    model = fastgd.from_torch(module)
    assert model.sizes == (3, 3, 2)
    X = inputs(3, "float32")
    assert relative(model(X), module(torch.tensor(X)).detach().numpy()) < TOLERANCE["float32"]


class OwnForward(nn.Sequential):
    def forward(self, x):
        return -super().forward(x)


class OwnLinear(nn.Linear):
    pass


class Sigmoid(nn.Module):
    pass


def tied():
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.ReLU(), layer)


def tied_weight():
    module = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    module[2].weight = module[0].weight
    return module


def frozen_first_layer():
    module = deep()
    module[0].requires_grad_(False)
    return module


RAW = "fastgd's losses take raw predictions: leave it out"
REFUSED = [
    (lambda: nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()), ValueError,
     rf"module\[1\] is Sigmoid\(\) at the end, but {RAW} and train with loss='log_loss', which applies it itself"),
    (lambda: nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.Softmax(dim=1))), ValueError,
     rf"module\[1\]\[0\] is Softmax\(dim=1\) at the end, but {RAW} and train with loss='cross_entropy'"),
    (lambda: nn.Sequential(nn.Linear(3, 2), nn.LogSoftmax(dim=1), nn.Identity()), ValueError,
     r"module\[1\] is LogSoftmax\(dim=1\) at the end.* loss='cross_entropy'"),
    (lambda: nn.Sequential(nn.Linear(3, 1), nn.ReLU()), ValueError, rf"module\[1\] is ReLU\(\) at the end, but {RAW}$"),
    (lambda: nn.Sequential(nn.Linear(3, 1), nn.Softplus(beta=2)), ValueError, r"module\[1\] is Softplus\(beta=2"),
    (lambda: nn.ReLU(), ValueError, r"module is ReLU\(\) at the end"),
    (lambda: nn.Sequential(nn.Linear(3, 1), Sigmoid()), TypeError, r"module\[1\] is a Sigmoid; allowed are Linear, "),
    (lambda: nn.Sequential(nn.ReLU(), nn.Linear(3, 1)), ValueError, r"module\[0\] is ReLU\(\), but right before it"),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Tanh(), nn.Linear(3, 1)), ValueError,
     r"module\[2\] is Tanh\(\), but right before it is no nn.Linear"),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Linear(3, 1)).eval(), ValueError,
     r"module\[1\] is Dropout\(p=0.5, inplace=False\), which fastgd does not have; take it out or set its p to 0"),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.GELU(), nn.Linear(3, 1)), TypeError,
     r"module\[1\] is a GELU; allowed are Linear, Identity, LeakyReLU, ReLU, Sigmoid, Softplus, Tanh, in Sequential"),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)), TypeError, "a BatchNorm1d; allowed"),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.Softmax(dim=1), nn.Linear(3, 1)), TypeError, "is a Softmax; allowed"),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.Softplus(beta=2), nn.Linear(3, 1)), ValueError,
     r"module\[1\] is Softplus\(beta=2.*; allowed is Softplus\(beta=1.0, threshold=20.0\)"),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.Softplus(threshold=9), nn.Linear(3, 1)), ValueError, "threshold=9"),
    (lambda: nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU(-0.1), nn.Linear(3, 1)), ValueError, "negative_slope=-0.1"),
    (lambda: nn.Conv1d(1, 1, 1), TypeError, "module is a Conv1d; allowed"),
    (lambda: OwnForward(nn.Linear(3, 1)), TypeError, "module is a OwnForward; allowed"),
    (lambda: nn.Sequential(OwnLinear(3, 3), nn.Linear(3, 1)), TypeError, r"module\[0\] is a OwnLinear; allowed"),
    (lambda: nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 1)), TypeError, r"module\[0\] is a LazyLinear; allowed"),
    (lambda: nn.Sequential(), ValueError, "module has no nn.Linear"),
    (lambda: nn.Sequential(nn.Identity()), ValueError, "module has no nn.Linear"),
    (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 1)), ValueError,
     r"module\[2\] takes 5 numbers, but the nn.Linear before it gives 4"),
    (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1, bias=False)), ValueError,
     r"module\[2\] has bias=False, unlike the first; fastgd has all biases or none"),
    (lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1).double()), ValueError,
     r"module\[2\].weight has dtype torch.float64, but the first weight torch.float32"),
    (lambda: nn.Linear(3, 1).half(), ValueError,
     "module.weight has dtype torch.float16; allowed are torch.float32 and torch.float64"),
    (lambda: deep().bfloat16(), ValueError, r"module\[0\].weight has dtype torch.bfloat16; allowed"),
    (lambda: nn.Linear(3, 1, dtype=torch.complex64), ValueError, "module.weight has dtype torch.complex64; allowed"),
    (lambda: nn.Linear(3, 1, device="meta"), ValueError, "module.weight is on device meta; allowed is the CPU"),
    (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 1)), TypeError, "is a ParametrizedLinear; allowed"),
    (lambda: pruned(nn.Linear(3, 1)), ValueError, "module.weight is not a parameter but computed from others"),
    (tied, ValueError, "module has two layers with the same parameters; in fastgd each has its own"),
    (tied_weight, ValueError, "module has two layers with the same parameters"),
    (frozen_first_layer, ValueError, r"module\[2\].weight has requires_grad=True, unlike the first weight"),
    (lambda: {"weight": torch.ones(1, 3)}, TypeError, "module must be an nn.Linear or nn.Sequential .*, not dict"),
    (lambda: fastgd.Linear(3, 1), TypeError, "module must be an nn.Linear or nn.Sequential of torch, not Linear"),
    (lambda: None, TypeError, "module must be .* not NoneType"),
]  # fmt: skip


def pruned(layer):
    from torch.nn.utils import prune

    return prune.l1_unstructured(layer, "weight", amount=1)


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_a_module_that_fastgd_does_not_have(make, error, message):
    module = make()
    parameters = list(module.parameters()) if isinstance(module, nn.Module) else []
    places = [parameter.data_ptr() for parameter in parameters if not nn.parameter.is_lazy(parameter)]
    with pytest.raises(error, match=message):
        fastgd.from_torch(module)
    assert [parameter.data_ptr() for parameter in parameters if not nn.parameter.is_lazy(parameter)] == places


def test_a_module_that_is_frozen_whole_can_be_read():
    module = deep().requires_grad_(False)
    assert shared(fastgd.from_torch(module), module)
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_share_is_a_flag():
    with pytest.raises(TypeError, match="share='yes' must be True or False"):
        fastgd.from_torch(nn.Linear(3, 1), share="yes")


def test_torch_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for call, what in ((fastgd.MLP([2, 1]).to_torch, "to_torch"), (lambda: fastgd.from_torch(None), "from_torch")):
        with pytest.raises(ImportError, match=rf"{what} needs torch, .* pip install 'fastgd\[torch\]'"):
            call()
