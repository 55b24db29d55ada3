"""What all schedules share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastgd.losses import Loss
from fastgd.registry import Choice

Array = npt.NDArray[Any]


class Schedule(Choice):
    """What every schedule has: a name, what it goes by, and a rate."""

    name: ClassVar[str]
    #: what moves the rate: "step" (the number of the update), "epoch" (that of the epoch), or None where nothing does
    by: str | None = None

    def start(self, loss: Loss) -> float:
        """Return the t₀ that :meth:`rate` is given for this loss; only :class:`Optimal` has one of its own."""
        return 1.0

    def rate(self, lr: float, t: npt.ArrayLike, epoch: int = 0, losses: Sequence[float] = (), t0: float = 1.0) -> Array:
        """Return the learning rate of each update.

        Parameters
        ----------
        lr : float
            The optimizer's learning rate.
        t : int or array of ints
            The numbers of the updates, counted from 1 over the whole life of the trainer.
        epoch : int, default 0
            The number of the epoch that they are in, counted from 0.
        losses : sequence of float, default ()
            The mean loss of every epoch that has ended.
        t0 : float, default 1.0
            What :meth:`start` returned.

        Returns
        -------
        float64 array, shaped like t
            Finite and ≥ 0.
        """
        t = np.asarray(t, np.int64)
        return np.asarray(self._after(lr, t - 1 if self.by == "step" else np.full(t.shape, epoch, np.int64)))

    def _after(self, lr: float, n: Array) -> Array:
        # the rate after n updates or epochs
        return np.full(n.shape, lr, np.float64)
