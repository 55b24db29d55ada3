"""Tables for the command line: columns of CSV and Parquet files as numbers or classes, their split, scaling and R²."""

from __future__ import annotations

import bisect
import csv
import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd import extras

Array = npt.NDArray[Any]

PARQUET_SUFFIXES = (".parquet", ".pq")
PARQUET_MAGIC = b"PAR1"
LARGEST_BLOCK = 2**31 - 1  # of pyarrow's CSV reader, in bytes


@dataclass(frozen=True)
class Table:
    """The columns of a file, and where in the file each row stands.

    Attributes
    ----------
    path : str
        As it was given.
    arrow : pyarrow.Table
        Its columns, of any type.
    text : bytes or None
        The text of a CSV file, in which rows are found again for messages.
    """

    path: str
    arrow: Any
    text: bytes | None = None

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.arrow.column_names)

    def label(self, column: str) -> str:
        """Return the file and the column, as messages name them."""
        return f"{self.path}, column {column!r}"

    def place(self, row: int) -> str:
        """Return the file and the place in it of a row counted from zero, as a person would count.

        That is the line of a CSV file, whose first is the header, or the row of a Parquet file, whose first is 1.
        """
        if self.text is None:
            return f"{self.path}, row {row + 1}"
        record = next(itertools.islice(_records(self.text), row + 1, None), None)
        return f"{self.path}, line {record[0]}" if record else self.path

    def numbers(self, columns: Sequence[str]) -> Array:
        """Return the columns as a float64 array (n, len(columns)).

        Raises
        ------
        ValueError
            A column is not there, holds anything but integers, booleans and floats, or lacks a finite value
            somewhere; the message names the place.
        """
        values = np.empty((len(self), len(columns)))
        for j, column in enumerate(columns):
            values[:, j] = self._numeric(column)
            bad = np.flatnonzero(~np.isfinite(values[:, j]))
            if bad.size:
                raise ValueError(f"{self.place(bad[0])}, column {column!r}: {values[bad[0], j]} is not a finite number")
        return values

    def classes(self, column: str) -> tuple[list[str] | list[int], Array] | None:
        """Return the classes in a column of text or of whole numbers, or None if the column holds anything else.

        Returns
        -------
        names : list of str or of int
            The distinct values, sorted.
        indices : int64 array (n,)
            For each row the place of its value among the names.

        Raises
        ------
        ValueError
            A column is not there, or lacks a value somewhere; the message names the place.
        """
        pa = extras.need("pyarrow", extra="cli", what="fastgd.table")
        values = self._column(column)
        if pa.types.is_dictionary(values.type):  # categories, as pandas writes them
            values = values.cast(values.type.value_type)
        self._refuse_missing(column, values)
        if _is_number(pa, values.type) and not pa.types.is_integer(values.type):
            try:
                values = values.cast(pa.int64())
            except pa.ArrowInvalid:  # there is a fraction, or a value that is not finite
                return None
        if not _is_text(pa, values.type) and not pa.types.is_integer(values.type):
            return None
        coded = values.combine_chunks().dictionary_encode()
        found = coded.dictionary.to_pylist()
        order = sorted(range(len(found)), key=found.__getitem__)
        place = np.empty(len(found), np.int64)
        place[order] = np.arange(len(found))
        return [found[k] for k in order], place[coded.indices.to_numpy(zero_copy_only=False)]

    def _column(self, column: str) -> Any:
        if column not in self.columns:
            raise ValueError(f"{self.path} has no column {column!r}; its columns are {', '.join(self.columns)}")
        return self.arrow.column(column)

    def _refuse_missing(self, column: str, values: Any) -> None:
        if values.null_count:
            row = int(np.argmax(values.is_null().to_numpy()))
            raise ValueError(f"{self.place(row)}, column {column!r}: a value is missing")

    def _numeric(self, column: str) -> Array:
        pa = extras.need("pyarrow", extra="cli", what="fastgd.table")
        values = self._column(column)
        if _is_text(pa, values.type):
            row = first_refused(len(values), lambda count: values[:count].cast(pa.float64()))
            if row < len(values):
                raise ValueError(
                    f"{self.place(row)}, column {column!r}: text {values[row].as_py()!r:.60} where a number should be"
                )
        if not _is_number(pa, values.type) and not pa.types.is_null(values.type):
            raise ValueError(f"{self.label(column)}: its type is {values.type}, which is not a number")
        self._refuse_missing(column, values)
        return np.asarray(values.to_numpy(), np.float64)


def _is_text(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def read(path: str | os.PathLike[str]) -> Table:
    r"""Read a CSV file with a header, compressed or not, or a Parquet file.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is empty or damaged, its lines have different numbers of values, or its columns do not have names that
        tell them apart.
    ImportError
        pyarrow is not installed.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastgd import table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "points.csv")
    ...     with open(path, "w") as file:
    ...         _ = file.write("x,y\n0,1\n2,5.5\n")
    ...     points = table.read(path)
    >>> points.columns
    ['x', 'y']
    >>> points.numbers(["y", "x"])
    array([[1. , 0. ],
           [5.5, 2. ]])
    """
    path = os.fspath(path)
    pa = extras.need("pyarrow", extra="cli", what="fastgd.table")
    try:
        with open(path, "rb") as file:
            start = file.read(len(PARQUET_MAGIC))
        if not start:
            raise ValueError(f"{path} is empty")
        if start == PARQUET_MAGIC or path.lower().endswith(PARQUET_SUFFIXES):
            parquet = extras.need("pyarrow.parquet", extra="cli", what="fastgd.table")
            table = Table(path, parquet.ParquetFile(path, page_checksum_verification=True).read())
        else:
            table = _read_csv(pa, path)
        names = table.columns
    except OSError as error:
        raise OSError(f"{path} cannot be read: {error.strerror or error}") from None
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    for number, name in enumerate(names):
        if not name:
            raise ValueError(f"{path}: column {number + 1} has no name")
        if name in names[:number]:
            raise ValueError(f"{path}: two columns are named {name!r}")
    if not len(table):
        raise ValueError(f"{path} has no rows")
    return table


def _read_csv(pa: Any, path: str) -> Table:
    csv_ = extras.need("pyarrow.csv", extra="cli", what="fastgd.table")
    with pa.input_stream(path) as stream:
        text: bytes = stream.read()
    # one block, because the types of columns are inferred from the first block alone
    whole = csv_.ReadOptions(block_size=min(len(text) + 1, LARGEST_BLOCK))
    try:
        missing = csv_.ConvertOptions(strings_can_be_null=True)
        return Table(path, csv_.read_csv(pa.BufferReader(text), read_options=whole, convert_options=missing), text)
    except pa.ArrowInvalid:
        records = _records(text)
        _, names = next(records, (0, []))
        line = 0
        for line, values in records:
            if len(values) != len(names):
                raise ValueError(
                    f"{path}, line {line}: {len(values)} values where the header names {len(names)} columns"
                ) from None
        if not line:
            raise ValueError(f"{path} has no rows") from None
        raise


def _records(text: bytes) -> Iterator[tuple[int, list[str]]]:
    # the line on which each record of a CSV file starts, and its values; pyarrow knows no lines and skips empty ones
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(text), "utf-8-sig", errors="replace", newline=""))
    before = 0
    try:
        for values in reader:
            if values:
                yield before + 1, values
            before = reader.line_num
    except csv.Error:  # a value of more than 128 kB, which is what an open quotation mark makes
        yield before + 1, []


def first_refused(count: int, check: Callable[[int], object]) -> int:
    """Return the first of ``count`` items with which those up to it are refused, or ``count`` if none is.

    ``check(k)`` raises ValueError if it refuses the first k items; it is called about log₂(count) times.

    Examples
    --------
    >>> from fastgd import table
    >>> table.first_refused(4, lambda k: [float(value) for value in ["1", "2.5", "two", "3"][:k]])
    2
    """

    def refused(item: int) -> bool:
        try:
            check(item + 1)
        except ValueError:
            return True
        return False

    return bisect.bisect_left(range(count), True, key=refused)


def split(rows: int, test_fraction: float, seed: int | None) -> tuple[Array, Array]:
    """Split row numbers at random into those to train on and those held out.

    Parameters
    ----------
    rows : int
        n, the number of rows.
    test_fraction : float
        The part that is held out, 0 ≤ f < 1: f n rows, rounded, but at least one if f is not 0, and never all.
    seed : int or None
        The same seed gives the same split.

    Returns
    -------
    train, test : arrays of int
        Row numbers, counted from zero, in random order.

    Raises
    ------
    ValueError
        A fraction outside [0, 1), or too few rows to split.

    Examples
    --------
    >>> from fastgd import table
    >>> train, test = table.split(10, 0.2, seed=0)
    >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
    (8, 2, True)
    """
    if not 0 <= test_fraction < 1:
        raise ValueError(f"test_fraction={test_fraction!r} is not allowed; it must be at least 0 and below 1")
    if test_fraction and rows < 2:
        raise ValueError(f"{rows} row cannot be split; test_fraction=0 holds none out")
    held_out = min(max(round(test_fraction * rows), 1), rows - 1) if test_fraction else 0
    order = np.random.default_rng(seed).permutation(rows)
    return order[held_out:], order[:held_out]


@dataclass(frozen=True, eq=False)
class Standardiser:
    """A shift and a scale for each column: z = (x − mean) / scale.

    Attributes
    ----------
    mean, scale : arrays of shape (d,)
        In the units of the columns.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd.table import Standardiser
    >>> standardiser = Standardiser.fit(np.array([[1.0], [3.0]]), ["x"])
    >>> standardiser.apply(np.array([[1.0], [2.0], [3.0]])).ravel()
    array([-1.,  0.,  1.])
    """

    mean: Array
    scale: Array

    @classmethod
    def fit(cls, X: Array, labels: Sequence[str]) -> Standardiser:
        """Take mean and standard deviation, √(Σ (x − mean)² / n), of each column of X (n, d).

        Raises
        ------
        ValueError
            A column is constant, or too wide or narrow for float64; the message calls it by its label.
        """
        refuse_constant(X, labels, "; leave it out, or give --no-standardize")
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = X.mean(axis=0), X.std(axis=0)
        bad = np.flatnonzero(~(np.isfinite(scale) & (scale > 0)))
        if bad.size:
            column = X[:, bad[0]]
            raise ValueError(
                f"{labels[bad[0]]}: values from {column.min():g} to {column.max():g} have a standard deviation beyond "
                "the range of float64"
            )
        return cls(mean, scale)

    @classmethod
    def identity(cls, columns: int) -> Standardiser:
        """Return the one that changes nothing."""
        return cls(np.zeros(columns), np.ones(columns))

    def apply(self, X: Array) -> Array:
        """Return (X − mean) / scale."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((X - self.mean) / self.scale)

    def undo(self, Z: Array) -> Array:
        """Return Z · scale + mean."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(Z * self.scale + self.mean)


def refuse_constant(X: Array, labels: Sequence[str], remedy: str = "") -> None:
    """Raise ValueError, with its label, for the first column of X (n, d) in which all values are equal."""
    constant = np.flatnonzero(X.min(axis=0) == X.max(axis=0))
    if constant.size:
        j = constant[0]
        raise ValueError(f"{labels[j]}: a constant column, {X[0, j]:g} in all {len(X)} rows to train on{remedy}")


def r2(t: Array, y: Array) -> Array:
    """Return the coefficient of determination of predictions y (n, K) or (K,) for targets t (n, K), by column.

    R² = 1 − Σ (t − y)² / Σ (t − t̄)², nan where t does not vary.

    Examples
    --------
    >>> import numpy as np
    >>> from fastgd import table
    >>> t = np.array([[1.0], [2.0], [3.0]])
    >>> table.r2(t, t), table.r2(t, np.full((3, 1), 2.0)), table.r2(t, 4 - t)
    (array([1.]), array([0.]), array([-3.]))
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        unexplained = ((t - y) ** 2).sum(axis=0)
        total = ((t - t.mean(axis=0)) ** 2).sum(axis=0)
        return np.where((t == t[0]).all(axis=0), np.nan, 1 - unexplained / total)
