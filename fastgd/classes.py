"""Classes for the command line: whether a target column holds them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastgd import losses

if TYPE_CHECKING:
    from fastgd.table import Table

Array = npt.NDArray[Any]
Names = list[str] | list[int]


def of_target(rows: Table, columns: Sequence[str], loss: str | None, asked: bool) -> tuple[Names, Array] | None:
    """Return the classes in the target column, or None if what the target columns hold is taken as numbers.

    A column of text holds classes, unless a text in it could be a number. With a loss for classes, or if they were
    asked for, every column of text or whole numbers does.

    Parameters
    ----------
    rows : Table
    columns : sequence of str
        The target columns; only one alone can hold classes.
    loss : str or None
        The name of the loss, if one was given.
    asked : bool
        Whether ``--classes`` was given.

    Returns
    -------
    names : list of str or of int
        The classes, sorted.
    indices : int64 array (n,)
        For each row the place of its class among the names.

    Raises
    ------
    ValueError
        Classes were asked for, by name or by the loss, and cannot be had.
    """
    takes = None if loss is None else losses.registry[loss].targets
    if takes not in (None, "binary", "labels", "classes"):
        if asked:
            raise ValueError(f"--classes does not go with --loss {loss}, which takes numbers; {_allowed()}")
        return None
    needed = "--classes" if asked else f"--loss {loss}" if takes == "classes" else None
    if len(columns) > 1:
        if needed:
            raise ValueError(f"{needed} takes one --target, not {', '.join(columns)}")
        return None
    found = rows.classes(columns[0])
    if found is None:
        if needed:
            raise ValueError(f"{rows.label(columns[0])}: {needed} takes a column of text or of whole numbers")
        return None
    if loss is None and not asked:
        if isinstance(found[0][0], int):
            return None
        if any(map(_could_be_a_number, found[0])):
            try:
                rows.numbers(columns)
            except ValueError as error:
                raise ValueError(f"{error}; with --classes every text is a class") from None
    return found


def _allowed(*kinds: str) -> str:
    kinds = kinds or ("binary", "labels", "classes")
    return f"allowed are {', '.join(name for name, loss in losses.registry.items() if loss.targets in kinds)}"


def _could_be_a_number(name: str | int) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def loss_for(rows: Table, column: str, found: tuple[Names, Array], parts: tuple[Array, Array], loss: str | None) -> str:
    """Check the classes, and return the loss: if none was given ``log_loss`` for two, ``cross_entropy`` for more.

    Parameters
    ----------
    rows, column, loss
        As above.
    found : names and indices
        What :func:`of_target` returned.
    parts : two arrays of int
        The row numbers to train on, and those that are held out.

    Raises
    ------
    ValueError
        A class that is only held out, a single class, or more than the loss takes.
    """
    (names, indices), (train, held_out) = found, parts
    trained = np.unique(indices[train])
    unknown = held_out[~np.isin(indices[held_out], trained)]
    if unknown.size:
        row = int(unknown.min())
        raise ValueError(
            f"{rows.place(row)}, column {column!r}: class {names[indices[row]]!r} is held out, but in no row to "
            "train on; leave the row out, or take another --seed or --test-fraction"
        )
    if len(names) < 2:
        raise ValueError(f"{rows.label(column)}: a constant column, {names[0]!r} in all {len(train)} rows to train on")
    loss = loss or ("log_loss" if len(names) == 2 else "cross_entropy")
    if len(names) > 2 and losses.registry[loss].targets != "classes":
        raise ValueError(
            f"--loss {loss} takes two classes; {rows.label(column)} has {len(names)}: {listed(names)}; for more "
            f"{_allowed('classes')}"
        )
    return loss


def listed(names: Names, most: int = 10) -> str:
    """Return the names with commas between, those behind the first few left out.

    Examples
    --------
    >>> from fastgd import classes
    >>> classes.listed(["a", "b", "c"], most=2)
    'a, b, …'
    """
    return ", ".join([*map(str, names[:most]), *(["…"] if len(names) > most else [])])
