"""Tables: what is read from files, what is refused and where, the split, the scaling and R²."""

from __future__ import annotations

import gzip
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from fastgd import table


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes | pa.Table, name: str = "t.csv") -> str:
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,0.5\n-2,1e3\n",
        "a,b\n1,0.5\n-2,1e3",
        "a,b\r\n1,0.5\r\n-2,1e3\r\n",
        "\ufeffa,b\n1,0.5\n-2,1e3\n",
        '"a","b"\n"1","0.5"\n\n -2,1e3\n\n',
    ],
)
def test_csv_in_all_its_dress_gives_the_same_numbers(write, content):
    for path in (write(content), write(gzip.compress(content.encode()), "t.csv.gz")):
        read = table.read(path)
        assert read.columns == ["a", "b"]
        assert len(read) == 2
        values = read.numbers(["b", "a"])
        assert values.dtype == np.float64
        assert values.flags.c_contiguous
        np.testing.assert_array_equal(values, [[0.5, 1], [1e3, -2]])


def test_every_digit_of_a_double_survives(write):
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.random.default_rng(1).integers(-300, 300, 1000)
    read = table.read(write("x\n" + "\n".join(map(repr, values.tolist()))))
    np.testing.assert_array_equal(read.numbers(["x"])[:, 0], values)


def test_booleans_are_zeros_and_ones(write):
    np.testing.assert_array_equal(table.read(write("a\ntrue\nfalse\n")).numbers(["a"]), [[1], [0]])


def test_a_column_may_turn_from_integers_to_fractions_after_megabytes(write):
    rows = 600_000  # the types of a CSV file's columns are usually guessed from its first megabyte
    text = "a,b\n" + "1,2\n" * rows + "0.5,2\n"
    np.testing.assert_array_equal(table.read(write(text)).numbers(["a"])[[0, rows], 0], [1, 0.5])
    with pytest.raises(ValueError, match=rf"line {rows + 2}, column 'a': text 'half' where a number should be"):
        table.read(write(text.replace("0.5", "half"))).numbers(["a"])


@pytest.mark.parametrize("kind", ["int8", "uint16", "int64", "uint64", "float16", "float32", "float64", "bool_"])
def test_parquet_columns_of_every_kind_of_number(write, kind):
    column = pa.array([0, 1, 1]).cast(getattr(pa, kind)()) if kind != "float16" else pa.array(np.float16([0, 1, 1]))
    for name in ("t.parquet", "t.pq", "without_suffix"):
        read = table.read(write(pa.table({"x": column}), name))
        np.testing.assert_array_equal(read.numbers(["x"]), [[0], [1], [1]])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["1", "2"]), "column 'x': its type is string, which is not a number"),
        (pa.array(["1", "two"]), "row 2, column 'x': text 'two' where a number should be"),
        (pa.array(["one", "2"], pa.large_string()), "row 1, column 'x': text 'one' where a number should be"),
        (pa.array([1, None]), "row 2, column 'x': a value is missing"),
        (pa.array([None, None]), "row 1, column 'x': a value is missing"),
        (pa.array([1.0, float("nan")]), "row 2, column 'x': nan is not a finite number"),
        (pa.array([1.0, float("-inf")]), "row 2, column 'x': -inf is not a finite number"),
        (pa.array([0, 1], pa.date32()), "column 'x': its type is date32"),
        (pa.array([[0.0], [1.0]]), "column 'x': its type is list"),
        (pa.array(["1", "2"]).dictionary_encode(), "column 'x': its type is dictionary"),
        (pa.array([b"1", b"2"]), "column 'x': its type is binary"),
    ],
)
def test_parquet_columns_that_are_not_numbers_are_refused_by_name(write, column, message):
    path = write(pa.table({"other": [1, 2], "x": column}), "t.parquet")
    read = table.read(path)
    np.testing.assert_array_equal(read.numbers(["other"]), [[1], [2]])
    with pytest.raises(ValueError, match=message) as caught:
        read.numbers(["other", "x"])
    assert str(caught.value).startswith(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\n1,2\nabc,3\n", "line 3, column 'x': text 'abc' where a number should be"),
        ("x,y\n1,2\n\n\nabc,3\n", "line 5, column 'x': text 'abc'"),
        ('y,x\n"1\n2",1\n3,abc\n', "line 4, column 'x': text 'abc'"),
        ("x,y\n1,2\n,3\n", "line 3, column 'x': a value is missing"),
        ("x,y\nNA,2\n1,3\n", "line 2, column 'x': a value is missing"),
        ("x,y\n,2\n,3\n", "line 2, column 'x': a value is missing"),
        ("x,y\n,2\nabc,3\n", "line 3, column 'x': text 'abc'"),
        ("x,y\n1,2\n1e400,3\n", "line 3, column 'x': inf is not a finite number"),
        ("x,y\n1,2\n-inf,3\n", "line 3, column 'x': -inf is not a finite number"),
        ("x,y\n1,2\n1_000,3\n", "line 3, column 'x': text '1_000'"),
        ("x,y\n2020-01-01,2\n", "column 'x': its type is date32"),
        ("y;x\n1;2\n", "has no column 'x'; its columns are y;x"),
        ("X,y\n1,2\n", "has no column 'x'; its columns are X, y"),
        ("x,y\n1,2\n" + "z" * 1000 + ",3\n", "line 3, column 'x': text 'z{59} where a number should be"),
        ("x,y\n1,2\n" + "2," + '"' + "3\n" * 100_000 + "bad,4\n", "t.csv, line 3"),
    ],
)
def test_csv_columns_that_are_not_numbers_are_refused_with_their_line(write, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        table.read(write(text)).numbers(["x", "y"])
    assert "\n" not in str(caught.value)


CLASSES = [
    (pa.array(["b", "a", "b", "é"]), ["a", "b", "é"]),
    (pa.array(["b", "a", "b", "Z"], pa.large_string()), ["Z", "a", "b"]),
    (pa.array(["10", "9", "10", " 9"]), [" 9", "10", "9"]),
    (pa.array(["b", "a", "b", "c"]).dictionary_encode(), ["a", "b", "c"]),
    (pa.array([7, -3, 7, 0]).dictionary_encode(), [-3, 0, 7]),
    (pa.array([10, 9, 10, -1], pa.int8()), [-1, 9, 10]),
    (pa.array([2**64 - 1, 2**64 - 2, 2**64 - 1, 0], pa.uint64()), [0, 2**64 - 2, 2**64 - 1]),
    (pa.array([2**53 + 1, 2**53, 2**53 + 1, 2**53 + 2]), [2**53, 2**53 + 1, 2**53 + 2]),
    (pa.array([True, False, True, True]), [0, 1]),
    (pa.array([1.0, -0.0, 1.0, 1e15]), [0, 1, 10**15]),
    (pa.array(np.float16([1, 2, 1, 3])), [1, 2, 3]),
]


@pytest.mark.parametrize(("column", "names"), CLASSES, ids=[str(column.type) for column, _ in CLASSES])
def test_classes_are_the_sorted_values_of_text_and_of_whole_numbers(write, column, names):
    path = write(pa.table({"other": np.arange(4), "x": column}), "t.parquet")
    pieces = pa.table({"x": pa.chunked_array([column[:1], column[1:3], column[3:]])})
    for read in (table.read(path), table.Table("t", pieces)):
        found, indices = read.classes("x")
        assert found == names
        assert [type(name) for name in found] == [type(name) for name in names]
        assert indices.dtype == np.int64
        assert [found[k] for k in indices] == column.to_pylist()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.0, 0.5]),
        pa.array([1.0, float("nan")]),
        pa.array([1.0, float("inf")]),
        pa.array([1.0, 1e300]),
        pa.array([0, 1], pa.date32()),
        pa.array([b"1", b"2"]),
        pa.array([["a"], ["b"]]),
        pa.array([0.5, 1.5]).dictionary_encode(),
    ],
)
def test_other_columns_hold_no_classes(write, column):
    assert table.read(write(pa.table({"x": column}), "t.parquet")).classes("x") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,y\na,2\n,3\n", "t.csv, line 3, column 'x': a value is missing"),
        ("x,y\n1,2\n\nNA,3\n", "t.csv, line 4, column 'x': a value is missing"),
        ("x,y\n,2\n,3\n", "t.csv, line 2, column 'x': a value is missing"),
        ("y,z\na,2\n", "t.csv has no column 'x'; its columns are y, z"),
    ],
)
def test_classes_that_are_missing_are_refused_with_their_line(write, text, message):
    with pytest.raises(ValueError, match=message):
        table.read(write(text)).classes("x")


def test_a_category_that_is_missing_is_refused_with_its_row(write):
    column = pa.array(["a", None, "a"]).dictionary_encode()
    with pytest.raises(ValueError, match="row 2, column 'x': a value is missing"):
        table.read(write(pa.table({"x": column}), "t.parquet")).classes("x")


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "t.csv", "t.csv is empty"),
        (b"", "t.parquet", "t.parquet is empty"),
        (b"a,b\n", "t.csv", "t.csv has no rows"),
        (b"a,b", "t.csv", "t.csv has no rows"),
        (b"\n\n", "t.csv", "t.csv has no rows"),
        (b"a,b\n1,2\n3\n", "t.csv", "line 3: 1 values where the header names 2 columns"),
        (b"a,b\n\n1,2\n1,2,3\n", "t.csv", "line 4: 3 values where the header names 2 columns"),
        (b"a,b,a\n1,2,3\n", "t.csv", "two columns are named 'a'"),
        (b",a\n1,2\n", "t.csv", "column 1 has no name"),
        (b"a,\xe9\n1,2\n", "t.csv", "t.csv cannot be read: 'utf-8'"),
        (b"PAR1 and then something else", "t.parquet", "t.parquet cannot be read: "),
        (b"a,b\n1,2\n", "t.parquet", "t.parquet cannot be read: "),
        (b"\x1f\x8b and then something else", "t.csv.gz", "t.csv.gz cannot be read: "),
    ],
)
def test_files_that_are_no_tables_are_refused(write, content, name, message):
    path = write(content, name)
    with pytest.raises((OSError, ValueError), match=message) as caught:
        table.read(path)
    assert str(caught.value).startswith(path)


def test_a_parquet_file_that_was_cut_short_or_damaged_is_refused(write, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": np.arange(1e4)}), path, write_page_checksum=True, use_dictionary=False)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for content in (
        whole[:-1],
        whole[:middle],
        whole[4:],
        whole[:middle] + bytes([~whole[middle] & 255]) + whole[middle + 1 :],
    ):
        with pytest.raises((OSError, ValueError), match=r"t\.parquet cannot be read: "):
            table.read(write(content, "t.parquet"))


def test_files_that_cannot_be_opened_are_named(tmp_path):
    with pytest.raises(OSError, match=r"missing\.csv cannot be read: No such file or directory"):
        table.read(tmp_path / "missing.csv")
    with pytest.raises(OSError, match="cannot be read: Is a directory"):
        table.read(tmp_path)


def test_a_parquet_table_without_rows_is_refused(write):
    with pytest.raises(ValueError, match=r"t\.parquet has no rows"):
        table.read(write(pa.table({"x": pa.array([], pa.float64())}), "t.parquet"))


def test_pyarrow_is_asked_for_by_name(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'fastgd\[cli\]'"):
        table.read(write("a\n1\n"))


@pytest.mark.parametrize(
    ("rows", "fraction", "held_out"), [(442, 0.2, 88), (10, 0, 0), (2, 0.01, 1), (3, 0.99, 2), (1, 0, 0)]
)
def test_the_split_parts_all_rows(rows, fraction, held_out):
    train, test = table.split(rows, fraction, seed=3)
    assert len(test) == held_out
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(rows))
    again = table.split(rows, fraction, seed=3)
    np.testing.assert_array_equal(train, again[0])
    np.testing.assert_array_equal(test, again[1])


def test_the_split_depends_on_the_seed():
    assert not np.array_equal(table.split(100, 0.2, 0)[1], table.split(100, 0.2, 1)[1])


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_a_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(ValueError, match=f"test_fraction={fraction} is not allowed"):
        table.split(10, fraction, 0)


def test_one_row_cannot_be_split():
    with pytest.raises(ValueError, match="1 row cannot be split"):
        table.split(1, 0.2, 0)


def test_the_standardiser_equals_scikit_learns():
    X = np.random.default_rng(0).normal(size=(100, 4)) * [1, 1e-8, 1e8, 3] + [0, 1, -5e8, 7]
    ours, theirs = table.Standardiser.fit(X, list("abcd")), StandardScaler().fit(X)
    np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.scale, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(ours.apply(X), theirs.transform(X), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.undo(ours.apply(X)), X, rtol=1e-12)
    same = table.Standardiser.identity(4)
    np.testing.assert_array_equal(same.apply(X), X)
    np.testing.assert_array_equal(same.undo(X), X)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([0.1, 0.1, 0.1], "b: a constant column, 0.1 in all 3 rows"),
        ([5.0, 5.0, 5.0], "b: a constant column, 5 in all 3 rows"),
        ([1e308, -1e308, 0], "b: values from -1e\\+308 to 1e\\+308 have a standard deviation beyond"),
        ([0, 1e-200, 0], "b: values from 0 to 1e-200 have a standard deviation beyond"),
    ],
)
def test_columns_that_cannot_be_standardised_are_refused(column, message):
    with pytest.raises(ValueError, match=message):
        table.Standardiser.fit(np.column_stack([[1.0, 2, 3], column]), ["a", "b"])


def test_r2_equals_scikit_learns():
    rng = np.random.default_rng(0)
    t = rng.normal(size=(50, 3))
    y = t + rng.normal(size=(50, 3)) * [0.1, 1, 10]
    np.testing.assert_allclose(table.r2(t, y), r2_score(t, y, multioutput="raw_values"), rtol=1e-12)
    mean = np.broadcast_to([0.1, 0, -3], t.shape)
    np.testing.assert_allclose(table.r2(t, mean[0]), r2_score(t, mean, multioutput="raw_values"), rtol=1e-12)


def test_r2_of_targets_that_do_not_vary_is_nan():
    np.testing.assert_array_equal(table.r2(np.full((3, 1), 0.1), np.zeros((3, 1))), [np.nan])


def test_the_first_refused_item_is_that_of_a_plain_search():
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 10, 1000):
        for bad in {0, count // 2, count - 1, count, *rng.integers(0, count, 5).tolist()}:
            values = ["1"] * bad + ["x"] + [str(value) for value in rng.choice(["1", "x"], count)]
            assert table.first_refused(count, lambda k, values=values: [float(value) for value in values[:k]]) == bad
