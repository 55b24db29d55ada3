"""scikit-learn's visiting order: which seeds it draws, and how it shuffles rows by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from fastgd import _kernels

Array = npt.NDArray[Any]
#: chooses the rows that are held out; it may draw from the estimator's ``random_state`` itself
Split = Callable[[], Any]

MAX_INT = np.iinfo(np.int32).max
#: epochs whose orders are composed one after another, while what that reads is in cache; of many rows it would not be
SOME, MANY_ROWS = 4, 1 << 18


def binary(random_state: Any, split: Split) -> tuple[Any, int]:
    """Return the split and the seed of a classifier of two classes: a draw that nothing uses, the split, the seed."""
    if isinstance(random_state, int):
        return split(), _seed_by(random_state)
    drawn = check_random_state(random_state)
    drawn.randint(1, MAX_INT)
    held_out = split()
    return held_out, int(drawn.randint(MAX_INT))


@lru_cache(maxsize=1024)
def _seed_by(random_state: int) -> int:
    # a generator that is made for two draws takes longer than a few rows do
    return binary(np.random.RandomState(random_state), lambda: None)[1]


def one_vs_all(random_state: Any, split: Split, classes: int) -> tuple[Any, list[int]]:
    """Return the split and the seed of each class of a one-vs-all classifier, by a generator of its own."""
    held_out = split()
    if isinstance(random_state, int):
        return held_out, _seeds_by(random_state, classes)
    firsts = check_random_state(random_state).randint(MAX_INT, size=classes)
    return held_out, [binary(int(first), lambda: None)[1] for first in firsts]


@lru_cache
def _seeds_by(random_state: int, classes: int) -> list[int]:
    return one_vs_all(np.random.RandomState(random_state), lambda: None, classes)[1]


def regression(random_state: Any, split: Split) -> tuple[Any, int]:
    """Return the split and the seed of a regression: the split, the seed, a draw that nothing uses."""
    held_out = split()
    if isinstance(random_state, int):
        return held_out, _first_by(random_state)
    drawn = check_random_state(random_state)
    seed = int(drawn.randint(0, MAX_INT))
    drawn.randint(1, MAX_INT)
    return held_out, seed


@lru_cache
def _first_by(random_state: int) -> int:
    return regression(np.random.RandomState(random_state), lambda: None)[1]


def one_class(random_state: Any) -> int:
    """Return the seed of a one-class SVM, before which NumPy's global generator is drawn from if it is the one."""
    if isinstance(random_state, int):
        return _first_by(random_state)
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

    Attributes
    ----------
    places : int
        The rows of an epoch, held out or not.
    visited : int
        Those that are visited.

    Examples
    --------
    >>> from fastgd.estimators.order import Order
    >>> epochs = Order(5, seed=1).epochs()
    >>> next(epochs), next(epochs)
    (array([4, 2, 3, 0, 1]), array([1, 3, 0, 4, 2]))
    """

    def __init__(self, rows: int, seed: int | None, part: Array | None = None, held_out: Array | None = None) -> None:
        self._seed, self._part, self._held_out = seed, part, held_out
        self._kind = np.int32 if rows <= MAX_INT else np.int64  # of what is shuffled: half the bytes lie nearer
        self.places = rows if part is None else len(part)
        self.visited = self.places
        if held_out is not None:
            self.visited -= int(np.count_nonzero(held_out if part is None else held_out[part]))

    def epochs(self) -> Iterator[Array | None]:
        """Yield the order of each epoch, None for that in which the rows are given; a later one may take its place."""
        if self._seed is None and self._part is None and self._held_out is None:
            yield from repeat(None)
        order = np.arange(self.places) if self._part is None else self._part
        if self._seed is not None:
            shuffle = shuffled(self.places, self._seed)
            order = order.take(shuffle)
            yield self._visited(order)  # by itself, since partial_fit wants no other
            rooms = [np.empty_like(order) for _ in range(SOME if self.places <= MANY_ROWS else 1)]
            last = order.astype(self._kind)
            spare = np.empty_like(last)
            while True:
                for room in rooms:
                    last, spare = last.take(shuffle, out=spare, mode="clip"), last
                    np.copyto(room, last)
                yield from map(self._visited, rooms)
        yield from repeat(self._visited(order))

    def _visited(self, order: Array) -> Array:
        return order if self._held_out is None else order[~self._held_out[order]]
