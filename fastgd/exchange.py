"""Models from torch; the other way is :meth:`fastgd.MLP.to_torch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt

from fastgd import activations, extras, layout
from fastgd.activations import Activation
from fastgd.model import MLP, Linear
from fastgd.registry import check_flag

Array = npt.NDArray[Any]
Place = tuple[str, Any]  # a module within the one that is given, and how to get to it

#: modules that make probabilities of raw predictions, and the losses that do so themselves
LOSS_INSTEAD = {"Sigmoid": "log_loss", "Softmax": "cross_entropy", "LogSoftmax": "cross_entropy"}


def from_torch(module: Any, share: bool = True) -> MLP:
    """Return the model that computes what a torch module does.

    Parameters
    ----------
    module : torch.nn.Linear, or torch.nn.Sequential of nn.Linear and activations
        The activations of torch that ``fastgd.activations`` has. A Sequential may hold others, and nn.Identity and
        nn.Dropout(p=0) anywhere. It ends in an nn.Linear, because fastgd's losses take raw predictions.
    share : bool, default True
        Whether the module's parameters move into the model's ``params``, so that both have the same memory from then
        on and training either moves both; the module, its optimizer and its hooks work as before. Parameters that
        lie in one vector already, as those of :meth:`MLP.to_torch` do, stay where they are. It ends when the module
        is moved or converted (``.to``, ``.double``). With False they are copied.

    Returns
    -------
    Linear or MLP
        A Linear for an nn.Linear, else an MLP, in the module's dtype. It knows no loss until it is trained.

    Raises
    ------
    TypeError, ValueError
        The module holds something that fastgd does not have; the message names it, and the module is as before.

    Examples
    --------
    >>> import torch, fastgd
    >>> module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    >>> model = fastgd.from_torch(module)
    >>> model
    MLP([3, 4, 1], activation=Tanh(), bias=True, dtype='float32')
    >>> model.biases[1][:] = 7
    >>> module[2].bias.item()
    7.0
    """
    torch = extras.need("torch", extra="torch", what="from_torch")
    check_flag("share", share)
    linears, between = _read(torch, module)
    parameters = _check_parameters(torch, linears)
    first = linears[0][1]
    bias, dtype = first.bias is not None, str(first.weight.dtype).removeprefix("torch.")
    sizes = [first.weight.shape[1], *(layer.weight.shape[0] for _, layer in linears)]
    model = Linear(sizes[0], sizes[1], bias, dtype) if module is first else MLP(sizes, between, bias, dtype)
    flat = _one_vector(parameters) if share else None
    if flat is not None:
        model._params = flat
        return model
    views = [view for layer in layout.layers(model, torch.from_numpy(model.params)) for view in layer if len(view)]
    for parameter, view in zip(parameters, views, strict=True):
        view[:] = parameter.detach()
    if share:
        for parameter, view in zip(parameters, views, strict=True):
            parameter.data = view
    return model


def _leaves(torch: Any, module: Any, path: str = "module") -> Iterator[Place]:
    # what stands in nested Sequentials, in order, without modules that do nothing
    if isinstance(module, torch.nn.Sequential) and type(module).forward is torch.nn.Sequential.forward:
        for number, child in enumerate(module):
            yield from _leaves(torch, child, f"{path}[{number}]")
    elif type(module) is torch.nn.Dropout and module.p > 0:
        raise ValueError(f"{path} is {module}, which fastgd does not have; take it out or set its p to 0")
    elif type(module) not in (torch.nn.Identity, torch.nn.Dropout):
        yield path, module


def _read(torch: Any, module: Any) -> tuple[list[Place], list[Activation]]:
    # every nn.Linear, and the activation after each but the last
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be an nn.Linear or nn.Sequential of torch, not {type(module).__name__}")
    linears: list[Place] = []
    between: list[Activation] = []
    waiting: Activation | None = None  # for the next nn.Linear
    leaves = list(_leaves(torch, module))
    if not leaves:
        raise ValueError("module has no nn.Linear")
    if type(leaves[-1][1]) is not torch.nn.Linear:
        _refuse_end(torch, *leaves[-1])
    for path, leaf in leaves:
        if type(leaf) is torch.nn.Linear:
            if linears:
                between.append(waiting or activations.Identity())
            linears.append((path, leaf))
            waiting = None
        else:
            activation = _activation(torch, path, leaf)
            if waiting or not linears:
                raise ValueError(f"{path} is {leaf}, but right before it is no nn.Linear, which fastgd does not have")
            waiting = activation
    return linears, between


def _activation(torch: Any, path: str, leaf: Any) -> Activation:
    for choice in activations.registry.values():
        if type(leaf) is getattr(torch.nn, choice.torch_module):
            if choice is activations.LeakyReLU:
                return activations.LeakyReLU(leaf.negative_slope)
            if choice is activations.Softplus and (leaf.beta, leaf.threshold) != (1, activations.SOFTPLUS_THRESHOLD):
                raise ValueError(f"{path} is {leaf}; allowed is Softplus(beta=1.0, threshold=20.0)")
            return choice()
    allowed = ", ".join(sorted(choice.torch_module for choice in activations.registry.values()))
    raise TypeError(f"{path} is a {type(leaf).__name__}; allowed are Linear, {allowed}, in Sequential")


def _refuse_end(torch: Any, path: str, leaf: Any) -> None:
    for name, loss in LOSS_INSTEAD.items():
        if type(leaf) is getattr(torch.nn, name):
            raise ValueError(
                f"{path} is {leaf} at the end, but fastgd's losses take raw predictions: leave it out and train with "
                f"loss={loss!r}, which applies it itself"
            )
    _activation(torch, path, leaf)  # anything but an activation is refused as what it is
    raise ValueError(f"{path} is {leaf} at the end, but fastgd's losses take raw predictions: leave it out")


def _check_parameters(torch: Any, linears: Sequence[Place]) -> list[Any]:
    # the parameters in the order of the layout
    first = linears[0][1]
    given = first.weight.shape[1]
    parameters: list[Any] = []
    for path, layer in linears:
        outputs, inputs = layer.weight.shape
        if inputs != given:
            raise ValueError(f"{path} takes {inputs} numbers, but the nn.Linear before it gives {given}")
        given = outputs
        if (layer.bias is None) != (first.bias is None):
            raise ValueError(
                f"{path} has bias={layer.bias is not None}, unlike the first; fastgd has all biases or none"
            )
        for name in ("weight", "bias"):
            parameter = getattr(layer, name)
            if parameter is not None:
                _check_parameter(torch, f"{path}.{name}", parameter, first.weight)
                parameters.append(parameter)
    if len({parameter.data_ptr() for parameter in parameters}) < len(parameters):
        raise ValueError("module has two layers with the same parameters; in fastgd each has its own")
    return parameters


def _check_parameter(torch: Any, name: str, parameter: Any, first: Any) -> None:
    if not isinstance(parameter, torch.nn.Parameter):
        raise ValueError(f"{name} is not a parameter but computed from others, as weight_norm and pruning do it")
    if parameter.device.type != "cpu":
        raise ValueError(f"{name} is on device {parameter.device}; allowed is the CPU: module.cpu()")
    if parameter.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} has dtype {parameter.dtype}; allowed are torch.float32 and torch.float64")
    if parameter.dtype != first.dtype:
        raise ValueError(
            f"{name} has dtype {parameter.dtype}, but the first weight {first.dtype}; allowed is one for all"
        )
    if parameter.requires_grad != first.requires_grad:
        raise ValueError(
            f"{name} has requires_grad={parameter.requires_grad}, unlike the first weight; fastgd trains all or none"
        )


def _one_vector(parameters: Sequence[Any]) -> Array | None:
    # the vector in which the parameters stand already, one behind the other from a cache line on, if they do
    start = parameters[0].detach()
    end = start.storage_offset()
    for parameter in parameters:
        same = parameter.untyped_storage().data_ptr() == start.untyped_storage().data_ptr()
        if not (same and parameter.storage_offset() == end and parameter.is_contiguous()):
            return None
        end += parameter.numel()
    if start.data_ptr() % 64:
        return None
    return start.as_strided((end - start.storage_offset(),), (1,)).numpy()
