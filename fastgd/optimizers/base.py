"""What all optimizers share."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastgd.registry import Choice, check_number

Array = npt.NDArray[Any]


def check_numbers(optimizer: Optimizer, *names: str) -> None:
    """Refuse those of the optimizer's arguments that are not finite numbers of at least 0; keep them as floats."""
    for name in names:
        object.__setattr__(optimizer, name, check_number(name, getattr(optimizer, name)))


def check_below_one(name: str, value: Any) -> float:
    """Return the value as a float, or refuse it unless it is a number in [0, 1)."""
    number = check_number(name, value)
    if number >= 1:
        raise ValueError(f"{name}={value!r} must be a number of at least 0 and below 1")
    return number


class Optimizer(Choice):
    """What every optimizer has: a name, a learning rate, rows of state, and an update."""

    name: ClassVar[str]
    #: whether weight decay shrinks the weights themselves (AdamW) instead of being added to the gradient
    decoupled: ClassVar[bool] = False
    lr: float
    weight_decay: float = 0.0
    #: SGD's factors of both for each output of a linear model; none for all others
    lr_factors: tuple[float, ...] = ()
    decay_factors: tuple[float, ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        """The names of the rows of state, torch's where torch has the optimizer."""
        return ()

    @property
    def slots(self) -> int:
        """The number of rows of state: numbers kept for each parameter."""
        return len(self.rows)

    @property
    def is_plain(self) -> bool:
        """Whether the update is w ← w − λ g and nothing else."""
        return False

    def start(self, params: Array, state: Array, on_weight: Array) -> None:
        """Write the state before the first update into ``state`` (slots, P)."""
        state[:] = 0

    def update(
        self, params: Array, state: Array, gradient: Array, lr: float, decay: Array, step: int, on_weight: Array
    ) -> None:
        """Make one update in place, everything in the dtype of the parameters.

        Parameters
        ----------
        params : array (P,)
            The parameters; moved.
        state : array (slots, P)
            What :meth:`start` wrote and earlier updates left; changed.
        gradient : array (P,)
            ∂C/∂w, without weight decay.
        lr : float
            The rate of this update.
        decay : array (P,)
            The weight decay of each parameter.
        step : int
            The number of this update, counted from 1.
        on_weight : bool array (P,)
            False on biases.
        """
        with np.errstate(all="ignore"):  # what is no longer finite is found by the pass
            g, decay = np.asarray(gradient, params.dtype), np.asarray(decay, params.dtype)
            if self.decoupled:
                params *= 1 - float(lr) * decay
            else:
                g = g + decay * params
            self._move(params, state, g, float(lr), int(step), on_weight)

    def _move(self, params: Array, state: Array, g: Array, lr: float, step: int, on_weight: Array) -> None:
        raise NotImplementedError
