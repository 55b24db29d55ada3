"""Passive-aggressive learning: a rate for each row, such that its loss is undone."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastgd.losses import Loss
from fastgd.registry import choice
from fastgd.schedules.base import Array, Schedule


class PassiveAggressive(Schedule):
    """What the two variants share: the move of one update."""

    def move(self, loss: Loss, lr: float, y: Array, t: Array, squared: float) -> Array:
        """Return what the update adds to the weights of each output, in units of the row x.

        Parameters
        ----------
        loss : Loss
        lr : float
            The aggressiveness C.
        y, t : array (K,)
            Raw predictions and targets.
        squared : float
            ‖x‖², without the bias's 1.

        Returns
        -------
        float64 array (K,)
            τ against the slope of the loss.
        """
        value = loss.scale(y.shape[-1]) * np.asarray(loss.output_value(y, t), np.float64)
        return np.asarray(-np.sign(loss.slope(y, t)) * self._tau(lr, value, squared))

    def _tau(self, lr: float, value: Array, squared: float) -> Array:
        raise NotImplementedError


@choice
class PA1(PassiveAggressive):
    """Passive-aggressive I, as scikit-learn's ``pa1``: w ← w ± τ x with τ = min(λ, C(y, t) / ‖x‖²).

    It moves against the slope as far as takes the loss to zero, if it is linear with slope 1, and by λ at most, the
    paper's aggressiveness C. A row of zeros moves nothing.

    References
    ----------
    K. Crammer et al., Online passive-aggressive algorithms, Journal of Machine Learning Research 7 (2006), 551-585.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import losses, schedules
    >>> schedules.PA1().move(losses.get("absolute"), 0.5, y=np.array([1.0, 9.0]), t=np.array([2.0, 2.0]), squared=4.0)
    array([ 0.25, -0.5 ])
    """

    name: ClassVar[str] = "pa1"

    def _tau(self, lr: float, value: Array, squared: float) -> Array:
        return np.minimum(lr, value / squared) if squared > 0 else 0 * value


@choice
class PA2(PassiveAggressive):
    """Passive-aggressive II, as scikit-learn's ``pa2``: w ← w ± τ x with τ = C(y, t) / (‖x‖² + 1 / (2 λ)).

    λ > 0 is the paper's aggressiveness C. A row of zeros moves the bias alone.

    References
    ----------
    K. Crammer et al., Online passive-aggressive algorithms, Journal of Machine Learning Research 7 (2006), 551-585.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import losses, schedules
    >>> schedules.PA2().move(losses.get("absolute"), 0.5, y=np.array([1.0]), t=np.array([2.0]), squared=4.0)
    array([0.2])
    """

    name: ClassVar[str] = "pa2"

    def _tau(self, lr: float, value: Array, squared: float) -> Array:
        return value / (squared + 0.5 / lr)
