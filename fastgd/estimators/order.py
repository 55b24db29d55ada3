"""scikit-learn's visiting order: which seeds it draws, and how it shuffles rows by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from fastgd import _kernels

Array = npt.NDArray[Any]
#: chooses the rows that are held out; it may draw from the estimator's ``random_state`` itself
Split = Callable[[], Any]

MAX_INT = np.iinfo(np.int32).max


def binary(random_state: Any, split: Split) -> tuple[Any, int]:
    """Return the split and the seed of a classifier of two classes: a draw that nothing uses, the split, the seed."""
    drawn = check_random_state(random_state)
    drawn.randint(1, MAX_INT)
    held_out = split()
    return held_out, int(drawn.randint(MAX_INT))


def one_vs_all(random_state: Any, split: Split, classes: int) -> tuple[Any, list[int]]:
    """Return the split and the seed of each class of a one-vs-all classifier, by a generator of its own."""
    held_out = split()
    firsts = check_random_state(random_state).randint(MAX_INT, size=classes)
    return held_out, [binary(int(first), lambda: None)[1] for first in firsts]


def regression(random_state: Any, split: Split) -> tuple[Any, int]:
    """Return the split and the seed of a regression: the split, the seed, a draw that nothing uses."""
    held_out = split()
    drawn = check_random_state(random_state)
    seed = int(drawn.randint(0, MAX_INT))
    drawn.randint(1, MAX_INT)
    return held_out, seed


def one_class(random_state: Any) -> int:
    """Return the seed of a one-class SVM, before which NumPy's global generator is drawn from if it is the one."""
    drawn = check_random_state(random_state)
    if drawn is check_random_state(None):
        drawn.randint(1, MAX_INT)
    return int(drawn.randint(0, MAX_INT))


def shuffled(rows: int, seed: int) -> Array:
    """Return σ with which scikit-learn shuffles so many rows: the row in place i comes from place σ_i.

    Examples
    --------
    >>> from fastgd.estimators.order import shuffled
    >>> shuffled(5, seed=1)
    array([4, 2, 3, 0, 1])
    """
    order = np.arange(rows)
    _kernels.shuffle(order, seed)
    return order


class Order:
    """The rows that each epoch visits, in their order.

    Every epoch shuffles the order of the epoch before, by one σ. Rows that are held out keep their places in it and are
    passed over; rows that do not take part have none.

    Parameters
    ----------
    rows : int
        n, of all rows.
    seed : int or None
        Of σ; None for the order in which they are given.
    part : array of int, optional
        The rows that take part; all, if it is not given.
    held_out : bool array (n,), optional
        True where a row is for validation.

    Examples
    --------
    >>> from fastgd.estimators.order import Order
    >>> order = Order(5, seed=1)
    >>> order.next(), order.next()
    (array([4, 2, 3, 0, 1]), array([1, 3, 0, 4, 2]))
    """

    def __init__(self, rows: int, seed: int | None, part: Array | None = None, held_out: Array | None = None) -> None:
        everything = part is None and seed is None and held_out is None
        self._order: Array | None = None if everything else np.arange(rows) if part is None else part
        self._shuffle = None if seed is None or self._order is None else shuffled(len(self._order), seed)
        self._held_out = held_out
        #: the rows of an epoch, held out or not
        self.places = rows if self._order is None else len(self._order)
        #: those that are visited
        self.visited = self.places
        if held_out is not None and self._order is not None:
            self.visited -= int(np.count_nonzero(held_out[self._order]))

    def next(self) -> Array | None:
        """Return the order of the next epoch; None is that in which the rows are given."""
        if self._order is not None and self._shuffle is not None:
            self._order = self._order[self._shuffle]
        if self._order is None or self._held_out is None:
            return self._order
        return self._order[~self._held_out[self._order]]
