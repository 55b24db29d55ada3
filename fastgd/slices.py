"""Slices: how many rows one call of a pass takes."""

from __future__ import annotations

from operator import mul

from fastgd import data
from fastgd.layout import Shape

SECONDS = 0.02
BYTES = 2**23  # of what a slice must copy: converted rows, or a trace
REFERENCE_ROWS = 400  # in a slice of about as long where the passes are those in NumPy


def rows(multiplications: float, itemsize: int, copied: int = 0, undone: int = 0) -> int:
    """Return how many rows one call of a pass takes: about 20 ms of work, and 8 MB if ``copied`` bytes a row are.

    It follows from shapes alone and never from a clock, so that the same run always cuts in the same places. A pass
    first copies the ``undone`` bytes that it would have to restore, which must be little beside its work.
    """
    seconds_a_row = 2e-8 + multiplications * itemsize * 5e-11
    seconds = max(SECONDS, 2e-9 * undone)
    count = int(seconds / seconds_a_row)
    return max(1, min(count, BYTES // copied) if copied else count)


def multiplications(shape: Shape, given: data.Rows) -> float:
    """Return how many weights a row of these meets."""
    return given.mean_values * shape.sizes[1] + sum(map(mul, shape.sizes[1:-1], shape.sizes[2:]))


def of(given: data.Rows, work: float) -> list[tuple[int, int]]:
    """Return where slices of these rows start and stop, for so many multiplications a row."""
    step = rows(work, given.dtype.itemsize, 0 if given.in_place else given.row_bytes)
    return [(start, min(start + step, len(given))) for start in range(0, len(given), step)]
