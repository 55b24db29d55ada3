"""Choices as the compiled passes know them: codes and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd import _kernels
from fastgd.losses import Loss
from fastgd.method import Method
from fastgd.optimizers import FTRL, SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from fastgd.reference import Net
from fastgd.registry import field_names
from fastgd.rules import NO_RULES, Rules
from fastgd.schedules import InvScaling, Optimal

Array = npt.NDArray[Any]

#: schedules that the passes evaluate themselves; of all others they get a table of rates
IN_C = ("constant", "optimal", "invscaling", "pa1", "pa2")


def loss_numbers(loss: Loss, outputs: int) -> tuple[int, float, float, int]:
    """Return the code, parameter, scale and, of a C function, the address of a loss."""
    return int(_kernels.LossCode[loss.name.upper()]), loss.parameter, loss.scale(outputs), loss.address


def target_limits(loss: Loss, outputs: int, dtype: np.dtype[Any]) -> tuple[float, float, bool]:
    """Return the lowest and the highest target that the loss takes as it is, and whether only whole numbers."""
    largest, tiny = float(np.finfo(dtype).max), float(np.finfo(dtype).tiny)
    return {
        "binary": (0.0, 1.0, False),
        "labels": (0.0, 1.0, True),
        "classes": (0.0, outputs - 1.0, True),
        "non-negative": (0.0, largest, False),
        "positive": (tiny, largest, False),
    }.get(loss.targets, (-largest, largest, False))


def net_numbers(net: Net) -> tuple[Array, Array, Array, bool]:
    """Return the sizes (layers + 1,), activation codes and parameters (layers − 1,), and whether there are biases."""
    codes = [int(_kernels.ActivationCode[activation.name.upper()]) for activation in net.activations]
    parameters = [activation.parameter for activation in net.activations]
    return np.array(net.sizes, np.int64), np.array(codes, np.int64), np.array(parameters, np.float64), net.has_bias


def factor_numbers(method: Method) -> tuple[Array | None, Array | None]:
    """Return the factors of the rate (K,) and the decays (2K,), of weights and then of biases, of outputs apart."""
    rates, factors = method.optimizer.lr_factors, method.optimizer.decay_factors
    outputs = len(rates) or len(factors)
    if not outputs:
        return None, None
    decays = method.decay(np.repeat([True, False], outputs)) if any(method.decays) else None
    return np.array(rates) if rates else None, decays


def optimizer_numbers(optimizer: Optimizer) -> tuple[float, float, float, float]:
    """Return the numbers of the optimizer's own, in the order that ``prepare`` in ``_optimizers.pxi`` reads them."""
    if isinstance(optimizer, SGD):
        return optimizer.momentum, optimizer.dampening, float(optimizer.nesterov), 0.0
    if isinstance(optimizer, (Adam, AdamW)):
        kind = _kernels.AdamKind
        chosen = kind.AMSGRAD if optimizer.amsgrad else kind.LAZY if optimizer.lazy else kind.ORDINARY
        return *optimizer.betas, optimizer.eps, float(chosen)
    if isinstance(optimizer, Adagrad):
        return optimizer.lr_decay, optimizer.eps, 0.0, 0.0
    if isinstance(optimizer, RMSprop):
        return optimizer.alpha, optimizer.eps, optimizer.momentum, float(optimizer.centered)
    if isinstance(optimizer, FTRL):
        return optimizer.beta, optimizer.l1, optimizer.l2, 0.0
    raise TypeError(f"optimizer {optimizer!r} has no numbers for the compiled passes")


def schedule_numbers(method: Method, loss: Loss, rates: Array | None) -> tuple[int, tuple[float, float], Array | None]:
    """Return the code and numbers of the schedule, or the table of rates that takes its place."""
    schedule = method.schedule
    if rates is not None:
        table = np.ascontiguousarray(rates, np.float64)
        return int(_kernels.ScheduleCode.TABLE), (0.0, 0.0), table if table.size else None
    numbers = (0.0, 0.0)
    if isinstance(schedule, Optimal):
        numbers = (schedule.alpha, schedule.start(loss))
    elif isinstance(schedule, InvScaling):
        numbers = (schedule.power_t, 0.0)
    return int(_kernels.ScheduleCode[schedule.name.upper()]), numbers, None


def rules_numbers(rules: Rules) -> tuple[Any, ...]:
    """Return whether there are rules, and their values in the order of their fields."""
    return rules != NO_RULES, *(getattr(rules, name) for name in field_names(Rules))


def method_numbers(method: Method, loss: Loss, lr: float | None = None, rates: Array | None = None) -> tuple[Any, ...]:
    """Return all of the method: optimizer, schedule, decay, debt, average, clipping, rows of the state and rules.

    ``lr`` takes the place of the optimizer's where a schedule by epoch gives it, ``rates`` that of the schedule.
    """
    optimizer, penalty = method.optimizer, method.penalty
    code = int(_kernels.OptimizerCode[optimizer.name.upper()])
    by_epoch = lr is not None
    constant = (int(_kernels.ScheduleCode.CONSTANT), (0.0, 0.0), None)
    l1, on_bias = (0.0, False) if penalty is None else (penalty.l1, penalty.include_bias)
    return (
        (code, optimizer.lr if lr is None else lr, optimizer_numbers(optimizer), *factor_numbers(method)),
        constant if by_epoch else schedule_numbers(method, loss, rates),
        (*method.decays, penalty is not None and optimizer.is_plain),
        (l1, l1 if on_bias else 0.0),
        method.average,
        method.clip_value or 0.0,
        method.clip_norm or 0.0,
        optimizer.slots,
        rules_numbers(method.rules),
    )
