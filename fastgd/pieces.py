"""Pieces: the rows of a run, all at hand or one piece of them after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy.typing as npt

from fastgd import data

Piece = tuple[npt.ArrayLike, ...]


class Pieces:
    """Pieces of checked rows, which are iterated anew for each epoch.

    Parameters
    ----------
    check : callable
        Makes rows of X, T and sample_weight, or refuses them.
    X, T, sample_weight
        As :meth:`fastgd.Trainer.run` takes them.
    epochs : int
        How often they will be iterated.

    Attributes
    ----------
    whole : Rows or None
        All rows, where they are one piece that is at hand.

    Raises
    ------
    TypeError
        What is neither rows nor pieces of them, or cannot be iterated so often.
    """

    def __init__(
        self, check: Callable[[Any, Any, Any], data.Rows], X: Any, T: Any, sample_weight: Any, epochs: int
    ) -> None:
        self._check, self._given = check, X
        self.whole = None if T is None else check(X, T, sample_weight)
        if self.whole is not None:
            return
        if hasattr(X, "__array__") or data.is_sparse(X) or not isinstance(X, Iterable):
            raise TypeError("T is missing: run takes X and T, or an iterable of (X, t) pieces")
        if sample_weight is not None:
            raise TypeError("sample_weight goes into the pieces, (X, t, sample_weight), when X is an iterable of them")
        if epochs > 1 and iter(X) is X:
            raise TypeError(f"X is an iterator, which gives its pieces once; epochs={epochs} needs one such as a list")

    @property
    def rows(self) -> int | None:
        """The number of rows, if it is known."""
        return None if self.whole is None else len(self.whole)

    def __iter__(self) -> Iterator[data.Rows]:
        return map(self._piece, self._given) if self.whole is None else iter((self.whole,))

    def _piece(self, piece: Any) -> data.Rows:
        if not isinstance(piece, (tuple, list)) or len(piece) not in (2, 3):
            raise TypeError(f"a piece must be (X, t) or (X, t, sample_weight), not {type(piece).__name__}")
        return self._check(piece[0], piece[1], piece[2] if len(piece) == 3 else None)
