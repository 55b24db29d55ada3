"""Orders: the random orders in which epochs visit rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd.registry import generator

Array = npt.NDArray[Any]


class Orders:
    """A new random order for each epoch; an epoch that is begun again draws its own once more.

    Parameters
    ----------
    seed : int or numpy.random.Generator, optional
        A generator is copied.

    Attributes
    ----------
    generator : numpy.random.Generator
    begun : dict
        The generator's state before each of the last epochs that were begun together, as far as they may begin again.
    """

    def __init__(self, seed: int | np.random.Generator | None) -> None:
        self.generator = generator(seed)
        self.begun: dict[int, Any] = {}

    def begin(self, epoch: int) -> None:
        """Begin an epoch, or begin it again."""
        if epoch in self.begun:
            self.generator.bit_generator.state = self.begun[epoch]
        self.begun = {epoch: self.generator.bit_generator.state}

    def draw(self, rows: int) -> Array:
        """Return the order of the next rows of the epoch (rows,)."""
        return self.generator.permutation(rows)

    def draw_epochs(self, first: int, epochs: int, rows: int) -> Array:
        """Return the orders of so many epochs (epochs · rows,), of which the first and the last may begin again."""
        self.begin(first)
        orders = np.empty((epochs, rows), np.int64)
        for epoch, order in enumerate(orders, first):
            if epoch == first + epochs - 1:
                self.begun[epoch] = self.generator.bit_generator.state
            order[:] = self.draw(rows)
        return orders.reshape(-1)
