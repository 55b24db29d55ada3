"""What training records: a loss for each epoch, and on request every step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Trace:
    """Every update of a training: the loss and the gradient's norm that it met, and the parameters that it left.

    Row i belongs to update i. ``loss`` (updates,) is the mean loss of its sample or batch, ``grad_norm`` (updates,)
    the Euclidean norm of its gradient and ``params`` (updates, P) the model's flat parameter vector, all three taken
    before the update: they describe one point of the path. Where the path ends is in the model.
    """

    def __init__(self, size: int, dtype: npt.DTypeLike) -> None:
        self._steps: list[Array] = [np.empty((0, 2))]
        self._params: list[Array] = [np.empty((0, size), dtype)]

    def append(self, steps: Array, params: Array) -> None:
        """Add updates: losses and norms (updates, 2), parameters (updates, P)."""
        self._steps.append(steps)
        self._params.append(params)

    def demand_room(self, updates: int, limit: int) -> None:
        """Raise ValueError if so many more updates would make the trace larger than ``limit`` bytes."""
        updates += len(self)
        size = updates * (self._params[0].itemsize * self._params[0].shape[1] + 16)
        if size > limit:
            raise ValueError(
                f"trace=True would record {updates} updates in {size / 1e9:.3g} GB; "
                f"trace_limit allows {limit / 1e9:.3g} GB"
            )

    def _joined(self, parts: list[Array]) -> Array:
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return parts[0]

    @property
    def loss(self) -> Array:
        """The loss at each update, before it (updates,)."""
        return self._joined(self._steps)[:, 0]

    @property
    def grad_norm(self) -> Array:
        """The Euclidean norm of each update's gradient (updates,)."""
        return self._joined(self._steps)[:, 1]

    @property
    def params(self) -> Array:
        """The parameters before each update (updates, P)."""
        return self._joined(self._params)

    def __len__(self) -> int:
        return sum(len(part) for part in self._steps)


@dataclass
class History:
    """The course of a training.

    Attributes
    ----------
    loss : list of float
        For each epoch Σ wᵢ Cᵢ ÷ Σ wᵢ, each loss taken before the update that its row made.
    val_loss : list of float
        For each epoch the mean loss on the validation rows after it; empty without them.
    seconds : float
        Time spent training.
    trace : Trace or None
        With ``trace=True``, every update.
    model : Linear
        The model that is trained, for callbacks.
    """

    model: Any = field(repr=False)
    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    seconds: float = 0.0
    trace: Trace | None = field(default=None, repr=False)

    @property
    def epochs(self) -> int:
        """The number of epochs that were finished."""
        return len(self.loss)
