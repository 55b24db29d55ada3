"""Method: all that says how the parameters move, checked as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd import optimizers, penalties, schedules
from fastgd.losses import Loss
from fastgd.optimizers import FTRL, Adam, Optimizer
from fastgd.penalties import Penalty
from fastgd.registry import check_count, check_number
from fastgd.rules import NO_RULES, Rules
from fastgd.schedules import Constant, PassiveAggressive, Schedule

__all__ = ["Method"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Method:
    """How the parameters move: an optimizer, a penalty, a schedule of its rate, averaging and clipping.

    One update clips the gradient, adds the decay of weights, moves them along it, and settles an L1 penalty.

    Parameters
    ----------
    optimizer : Optimizer
        Makes the update.
    penalty : Penalty, optional
        Added to the loss.
    schedule : Schedule, default ``Constant()``
        The learning rate of each update, from the optimizer's.
    average : int, default 0
        The update from which the model is the mean of the iterates; 0 for never.
    clip_value : float, optional
        The largest |∂C/∂w| of an update for each parameter.
    clip_norm : float, optional
        The largest ‖∂C/∂w‖ of an update over all parameters, after ``clip_value``.
    rules : Rules, default ``Rules()``
        Where the step is another library's.

    Examples
    --------
    >>> from fastgd import losses, method
    >>> made = method.Method.make(losses.get("mse"), sizes=(4, 1), optimizer="sgd", penalty="l2", average=True)
    >>> made.penalty, made.average
    (L2(alpha=0.0001, include_bias=False), 1)
    """

    optimizer: Optimizer
    penalty: Penalty | None = None
    schedule: Schedule = Constant()  # noqa: RUF009 - it is frozen
    average: int = 0
    clip_value: float | None = None
    clip_norm: float | None = None
    rules: Rules = NO_RULES

    @classmethod
    def make(
        cls,
        loss: Loss,
        sizes: Sequence[int],
        batch_size: int = 1,
        *,
        optimizer: str | Optimizer,
        penalty: str | Penalty | None = None,
        schedule: str | Schedule | Callable[[int], float] = "constant",
        average: bool | int = False,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        rules: Rules = NO_RULES,
    ) -> Method:
        """Return the method of these choices, or refuse what makes no sense for the loss and the model.

        Parameters
        ----------
        loss : Loss
        sizes : sequence of int
            The widths of the model's layers, (d, h1, …, K).
        batch_size : int, default 1
            Rows in an update.
        optimizer, penalty, schedule
            Names in their registries, or instances; a callable is a schedule of its own.
        average : bool or int, default False
            Whether to average, from the first update or from that number on.
        clip_value, clip_norm : float, optional
            Above 0.
        rules : Rules, default ``Rules()``
            Others than these need plain SGD, one sample at a time, and a model without hidden layers.

        Raises
        ------
        ValueError, TypeError
            A choice that is not known, or choices that don't go together.
        """
        method = cls(
            optimizers.get(optimizer),
            penalties.get(penalty),
            schedules.get(schedule),
            int(average) if isinstance(average, (bool, np.bool_)) else check_count("average", average, low=0),
            None if clip_value is None else check_number("clip_value", clip_value, open_below=True),
            None if clip_norm is None else check_number("clip_norm", clip_norm, open_below=True),
            rules,
        )
        method._check_penalty()
        method._check_schedule(loss, sizes, batch_size)
        method._check_rules(sizes, batch_size)
        method._check_factors(sizes)
        return method

    def _check_penalty(self) -> None:
        optimizer, penalty = self.optimizer, self.penalty
        if penalty is None:
            return
        if isinstance(optimizer, FTRL):
            wrong = "FTRL has an l1 and an l2 of its own"
        elif optimizer.decoupled:
            wrong = "its own weight_decay shrinks the weights; give that, or take Adam"
        elif optimizer.weight_decay:
            wrong = "both decay the weights; set weight_decay=0 or penalty=None"
        elif penalty.l1 and not optimizer.is_plain:
            wrong = "an L1 penalty needs SGD without momentum, or FTRL(l1=…) in place of both"
        elif isinstance(optimizer, Adam) and optimizer.lazy:
            wrong = "a lazy update leaves out weights that the penalty would move"
        else:
            return
        raise ValueError(f"penalty={penalty!r} does not go with optimizer={optimizer!r}: {wrong}")

    def _check_schedule(self, loss: Loss, sizes: Sequence[int], batch_size: int) -> None:
        given = f"schedule={self.schedule!r} does not go with"
        if isinstance(self.optimizer, FTRL) and not isinstance(self.schedule, Constant):
            raise ValueError(
                f"{given} optimizer={self.optimizer!r}: FTRL has a rate for each weight; allowed is 'constant'"
            )
        if not isinstance(self.schedule, PassiveAggressive):
            return
        if not self.optimizer.is_plain:
            raise ValueError(f"{given} optimizer={self.optimizer!r}; allowed is SGD without momentum")
        if self.optimizer.lr == 0:
            raise ValueError(f"lr={self.optimizer.lr!r} must be above 0: it is the aggressiveness of {self.schedule!r}")
        if batch_size != 1:
            raise ValueError(f"{given} batch_size={batch_size!r}; allowed is 1")
        if len(sizes) != 2:
            raise ValueError(f"{given} a network of sizes {tuple(sizes)!r}; allowed are models without hidden layers")
        if loss.coupled or loss.targets in ("non-negative", "positive"):
            raise ValueError(f"{given} loss={loss!r}: its outputs are coupled or on the log scale")
        for name in ("clip_value", "clip_norm"):
            if getattr(self, name) is not None:
                raise ValueError(f"{given} {name}={getattr(self, name)!r}; allowed is None")

    def _check_rules(self, sizes: Sequence[int], batch_size: int) -> None:
        if not isinstance(self.rules, Rules):
            raise TypeError(f"rules must be an instance of fastgd.rules.Rules, not {self.rules!r}")
        if self.rules == NO_RULES:
            return
        penalty = self.penalty
        if not self.optimizer.is_plain or self.optimizer.weight_decay:
            wrong = f"optimizer={self.optimizer!r}; allowed is SGD without momentum and weight_decay"
        elif batch_size != 1:
            wrong = f"batch_size={batch_size!r}; allowed is 1"
        elif len(sizes) != 2:
            wrong = f"a network of sizes {tuple(sizes)!r}; allowed are models without hidden layers"
        elif self.clip_value is not None:
            wrong = f"clip_value={self.clip_value!r}; allowed are None and clip_norm"
        elif penalty is not None and penalty.include_bias:
            wrong = f"penalty={penalty!r}; allowed is include_bias=False"
        elif penalty is not None and penalty.l1 and self.rules.objective and not self.rules.l1_on_touched:
            wrong = f"penalty={penalty!r}; with L1, objective=True needs l1_on_touched=True"
        else:
            return
        raise ValueError(f"rules={self.rules!r} do not go with {wrong}")

    def _check_factors(self, sizes: Sequence[int]) -> None:
        for name in ("lr_factors", "decay_factors"):
            factors = getattr(self.optimizer, name)
            if not factors:
                continue
            given = f"{name}={factors!r} of {type(self.optimizer).__name__}"
            if len(sizes) != 2:
                allowed = "allowed are models without hidden layers"
                raise ValueError(f"{given} do not go with a network of sizes {tuple(sizes)!r}; {allowed}")
            if len(factors) != sizes[1]:
                raise ValueError(f"{given} are {len(factors)} for {sizes[1]} outputs; allowed is one for each")
            if isinstance(self.schedule, PassiveAggressive):
                raise ValueError(f"{given} do not go with schedule={self.schedule!r}, whose rate is each row's own")
            if self.penalty is not None and self.penalty.l1:
                raise ValueError(f"{given} do not go with penalty={self.penalty!r}; allowed are None and L2")
            if self.rules != NO_RULES:
                raise ValueError(f"{given} do not go with rules={self.rules!r}; allowed are fastgd's own")
            for clip in ("clip_value", "clip_norm"):
                if getattr(self, clip) is not None:
                    raise ValueError(f"{given} do not go with {clip}={getattr(self, clip)!r}; allowed is None")

    def penalised(self, on_weight: Array) -> Array:
        """Return whether the penalty acts on each parameter, from whether each is a weight (P,)."""
        if self.penalty is None:
            return np.zeros_like(on_weight)
        return np.ones_like(on_weight) if self.penalty.include_bias else on_weight

    @property
    def decays(self) -> tuple[float, float]:
        """The decay of weights and that of biases: weight decay, or the penalty's l2."""
        if self.penalty is None:
            return self.optimizer.weight_decay, self.optimizer.weight_decay
        return self.penalty.l2, self.penalty.l2 if self.penalty.include_bias else 0.0

    def decay(self, on_weight: Array) -> Array:
        """Return the decay of each parameter (P,) for a rate of λ, with the factors of its output."""
        factors = self.optimizer.lr_factors, self.optimizer.decay_factors
        return np.where(on_weight, *self.decays) * math.prod(self.of_parameters(given, on_weight) for given in factors)

    @staticmethod
    def of_parameters(factors: Sequence[float], on_weight: Array) -> Array:
        """Return the factor of each parameter (P,) of a linear model, from that of each output (K,), or ones (P,)."""
        if not factors:
            return np.ones(on_weight.shape)
        weights = np.repeat(factors, np.count_nonzero(on_weight) // len(factors))
        return np.concatenate((weights, factors))[: on_weight.size]

    def clip(self, gradient: Array) -> Array:
        """Return the gradient clipped by value, then by norm with torch's factor min(1, clip_norm / (norm + 1e-6))."""
        if self.clip_value is not None:
            gradient = np.clip(gradient, -self.clip_value, self.clip_value)
        if self.clip_norm is not None:
            gradient = gradient * min(1.0, self.clip_norm / (float(np.linalg.norm(gradient)) + 1e-6))
        return gradient
