"""The command line: from a file to a model to predictions, and one line for each thing that is wrong."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from commands import run, saved, succeed
from sklearn.datasets import load_diabetes
from sklearn.metrics import accuracy_score, log_loss, r2_score

import fastgd
from fastgd import cli, files, table
from fastgd.predictor import FORMAT

DIABETES = str(Path(__file__).parent.parent / "examples" / "diabetes.csv")


def predictions(text):
    return np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, ndmin=2)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_csv(path, columns):
    pa.csv.write_csv(pa.table(columns), path)


def test_the_diabetes_file_is_scikit_learns():
    frame = load_diabetes(scaled=False, as_frame=True).frame.rename(columns={"target": "progression"})
    read = table.read(DIABETES)
    assert read.columns == list(frame.columns)
    np.testing.assert_array_equal(read.numbers(read.columns), frame.to_numpy())


@pytest.mark.parametrize("seed", range(10))
def test_the_diabetes_model_is_as_good_as_least_squares(seed):
    out = succeed("train", DIABETES, "--target", "progression", "--seed", seed)
    rows = table.read(DIABETES)
    X, t = rows.numbers(rows.columns[:-1]), rows.numbers(["progression"])[:, 0]
    train, test = table.split(len(rows), 0.2, seed)
    A = np.column_stack([X, np.ones(len(X))])
    exact = r2_score(t[test], A[test] @ np.linalg.lstsq(A[train], t[train])[0])
    ours = r2_score(t[test], predictions(succeed("predict", "model.npz", DIABETES))[test, 0])
    trivial = r2_score(t[test], np.full(len(test), t[train].mean()))
    assert abs(ours - exact) <= 0.02
    lines = out.splitlines()
    assert lines[0] == f"{DIABETES}: 442 rows, 10 features; 88 rows are held out"
    course = "loss mse of the standardised target, optimizer sgd, learning rate 0.001, batch size 1"
    assert lines[1] == f"{course}, seed {seed}"
    assert [line.partition(":")[0] for line in lines[2:-2]] == [f"epoch {epoch + 1} of 30" for epoch in range(30)]
    assert lines[-2] == f"held-out R² of progression: {ours:.4f} (the training mean alone: {trivial:.4f})"
    assert lines[-1] == "wrote model.npz"


def test_predictions_are_those_of_the_saved_numbers(folder):
    succeed("train", DIABETES, "--target", "progression", "--out", "m.npz")
    text = succeed("predict", "m.npz", DIABETES)
    assert text.splitlines()[0] == "progression"
    succeed("predict", "m.npz", DIABETES, "--out", "p.csv")
    assert (folder / "p.csv").read_text() == text
    X, number = np.loadtxt(DIABETES, delimiter=",", skiprows=1)[:, :-1], saved("m.npz")
    Z = (X - number["feature_mean"]) / number["feature_scale"]
    y = (Z @ number["weight"].T + number["bias"]) * number["target_scale"] + number["target_mean"]
    np.testing.assert_allclose(predictions(text), y, rtol=1e-12)
    assert sorted(os.listdir(folder)) == ["m.npz", "p.csv"]


def test_the_scaling_is_that_of_the_training_rows():
    succeed("train", DIABETES, "--target", "progression", "--seed", 4, "--test-fraction", 0.5)
    values, number = np.loadtxt(DIABETES, delimiter=",", skiprows=1), saved("model.npz")
    train, _ = table.split(len(values), 0.5, 4)
    for name, column in (("feature", slice(0, 10)), ("target", slice(10, 11))):
        np.testing.assert_allclose(number[f"{name}_mean"], values[train, column].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(number[f"{name}_scale"], values[train, column].std(axis=0), rtol=1e-12)


def test_parquet_gives_the_same_model_as_csv():
    pq.write_table(pa.csv.read_csv(DIABETES), "diabetes.parquet")
    succeed("train", DIABETES, "--target", "progression", "--out", "csv.npz")
    succeed("train", "diabetes.parquet", "--target", "progression", "--out", "parquet.npz")
    ours, theirs = saved("csv.npz"), saved("parquet.npz")
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert succeed("predict", "csv.npz", DIABETES) == succeed("predict", "parquet.npz", "diabetes.parquet")


def test_a_seed_makes_a_run_reproducible():
    out = [succeed("train", DIABETES, "--target", "progression", "--seed", seed, "--out", f"{n}.npz")
           for n, seed in enumerate((5, 5, 6))]  # fmt: skip
    first, again, other = (saved(f"{n}.npz")["weight"] for n in range(3))
    assert out[0].splitlines()[:-1] == out[1].splitlines()[:-1]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_columns_are_found_by_name_and_others_are_ignored():
    succeed("train", DIABETES, "--target", "progression")
    whole = pa.csv.read_csv(DIABETES)
    names = [*reversed(whole.column_names[:-1])]
    shuffled = whole.select(names).append_column("name", pa.array(["Ann"] * len(whole)))
    pq.write_table(shuffled, "shuffled.parquet")
    assert succeed("predict", "model.npz", "shuffled.parquet") == succeed("predict", "model.npz", DIABETES)


TWO = ("--target", "first", "--target", "second")


def two_targets(loss, rows=60):
    """Write a file with two targets that fit the loss (one for classes), and return X, T and the options."""
    kind, rng = fastgd.losses.get(loss).targets, np.random.default_rng(1)
    X = rng.normal(size=(rows, 3)) * [1, 10, 0.1] + [0, 5, 1]
    T = X @ rng.normal(size=(3, 2)) + rng.normal(size=(rows, 2))
    if kind in ("binary", "labels"):
        T = np.greater(T, np.median(T, axis=0)).astype(int)
    elif kind == "classes":
        T = np.digitize(T[:, :1], np.quantile(T[:, 0], [1 / 3, 2 / 3]))
    elif kind != "real":
        T = np.exp(T / abs(T).max())
    columns = {"a": X[:, 0], "first": T[:, 0], "b": X[:, 1], "c": X[:, 2]}
    write_csv("two.csv", columns if kind == "classes" else columns | {"second": T[:, 1]})
    return X, T, TWO[: 2 * T.shape[1]]


@pytest.mark.parametrize("standardize", [True, False])
def test_the_weights_are_those_of_a_plain_loop(loss, standardize):
    X, T, targets = two_targets(loss.name)
    lr, epochs, seed = 0.002, 4, 3
    out = succeed("train", "two.csv", *targets, "--loss", loss.name, "--lr", lr, "--epochs", epochs, "--seed", seed,
                  "--standardize" if standardize else "--no-standardize")  # fmt: skip
    train, _ = table.split(len(X), 0.2, seed)
    Z, U = X[train], T[train].astype(float)
    if standardize:
        Z = (Z - Z.mean(axis=0)) / Z.std(axis=0)
        U = (U - U.mean(axis=0)) / U.std(axis=0) if loss.targets == "real" else U
    start = fastgd.Linear(3, 3 if loss.targets == "classes" else 2, seed=seed)
    W, b, order = start.weight.copy(), start.bias.copy(), np.random.default_rng(seed)
    lines = [line for line in out.splitlines() if line.startswith("epoch ")]
    for epoch in range(epochs):
        total = 0.0
        for i in order.permutation(len(Z)):
            y = W @ Z[i] + b
            total += loss.value(y, U[i])
            slope = loss.slope(y, U[i])
            W -= lr * np.outer(slope, Z[i])
            b -= lr * slope
        assert lines[epoch].startswith(f"epoch {epoch + 1} of {epochs}: mean loss ")
        assert float(lines[epoch].split()[-1]) == pytest.approx(total / len(Z), rel=1e-5)
    number = saved("model.npz")
    np.testing.assert_allclose(number["weight"], W, rtol=0, atol=1e-12 * abs(W).max())
    np.testing.assert_allclose(number["bias"], b, rtol=0, atol=1e-12 * abs(W).max())
    predicted = succeed("predict", "model.npz", "two.csv")
    assert predicted.splitlines()[0] == ",".join(targets[1::2])
    assert len(predicted.splitlines()) == 61
    assert sum("held-out" in line for line in out.splitlines()) == len(targets) // 2


def test_batches_take_the_mean_gradient():
    X, T, _ = two_targets("mse")
    succeed("train", "two.csv", *TWO, "--lr", 0.5, "--epochs", 1, "--seed", 0, "--batch-size", 48,
            "--no-standardize", "--loss", "squared_error")  # fmt: skip
    train, _ = table.split(60, 0.2, 0)
    start = fastgd.Linear(3, 2, seed=0)
    y = X[train] @ start.weight.T + start.bias
    np.testing.assert_allclose(
        saved("model.npz")["weight"], start.weight - 0.5 * (y - T[train]).T @ X[train] / 48, rtol=1e-12
    )


def test_probabilities_decisions_and_the_base_rate():
    _, T, _ = two_targets("log_loss", rows=200)
    out = succeed("train", "two.csv", *TWO, "--loss", "log_loss", "--lr", 0.05)
    train, test = table.split(200, 0.2, 0)
    raw, mean, label = (
        predictions(succeed("predict", "model.npz", "two.csv", "--kind", kind)) for kind in ("raw", "mean", "label")
    )
    np.testing.assert_allclose(mean, 1 / (1 + np.exp(-raw)), rtol=1e-12)
    np.testing.assert_array_equal(label, mean > 0.5)
    assert succeed("predict", "model.npz", "two.csv", "--kind", "label").splitlines()[1] in ("0,0", "0,1", "1,0", "1,1")
    for k, name in enumerate(("first", "second")):
        rate = T[train, k].mean()
        words = [
            f"mean log_loss {log_loss(T[test, k], p):.4f}, accuracy {accuracy_score(T[test, k], p > 0.5):.4f}"
            for p in (mean[test, k], np.full(len(test), rate))
        ]
        assert f"held-out {name}: {words[0]} (the base rate alone: {words[1]})" in out.splitlines()


def test_all_rows_may_be_trained_on():
    out = succeed("train", DIABETES, "--target", "progression", "--test-fraction", 0, "--epochs", 1)
    assert "0 rows are held out" in out
    assert "held-out R²" not in out
    target = np.loadtxt(DIABETES, delimiter=",", skiprows=1)[:, -1]
    np.testing.assert_allclose(saved("model.npz")["target_mean"], target.mean(), rtol=1e-12)


GOOD = "x,y,t\n" + "".join(f"{i},{i * i % 7},{i % 3}\n" for i in range(20))
PARQUET = io.BytesIO()
pq.write_table(pa.table({"x": [1.0, 2.0, None], "t": [1, 2, 3]}), PARQUET)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, [], "t.csv cannot be read: No such file or directory"),
        ("", [], "t.csv is empty"),
        ("x,y,t\n", [], "t.csv has no rows"),
        ("x,y,t", [], "t.csv has no rows"),
        (GOOD, ["--target", "z"], "t.csv has no column 'z'; its columns are x, y, t"),
        (GOOD, ["--target", "x", "--target", "y"], "t.csv has no columns beside the target, so"),
        (GOOD, ["--target", "t"], "--target names a column twice: t, t"),
        (GOOD + "1,two,3\n", [], "t.csv, line 22, column 'y': text 'two' where a number should be"),
        (GOOD + "\n1,2,three\n", [], "t.csv, line 23, column 't': text 'three' where a number should be"),
        (GOOD + "1,,3\n", [], "t.csv, line 22, column 'y': a value is missing"),
        (GOOD + "1,NaN,3\n", [], "t.csv, line 22, column 'y': a value is missing"),
        (GOOD + "1,2\n", [], "t.csv, line 22: 2 values where the header names 3 columns"),
        (GOOD + "1,inf,3\n", [], "t.csv, line 22, column 'y': inf is not a finite number"),
        ("x,y,t\n1,5,1\n2,5,2\n3,5,4\n", [], "t.csv, column 'y': a constant column, 5 in all 2 rows to train on"),
        ("x,y,t\n1,5,1\n2,6,1\n3,7,1\n", [], "t.csv, column 't': a constant column, 1 in all 2 rows to train on"),
        ("x,t\n1,1\n2,1\n3,1\n", ["--no-standardize"], "t.csv, column 't': a constant column, 1 in all 2 rows"),
        ("x,t\n1,1\n2,1\n3,1\n", ["--loss", "log_loss"], "t.csv, column 't': a constant column, 1 in all 2 rows"),
        ("x,t\n1,1\n", [], "1 row cannot be split; test_fraction=0 holds none out"),
        ("a,a,t\n1,1,2\n", [], "t.csv: two columns are named 'a'"),
        ("x,t\n1,0\n2,.5\n3,-1\n", ["--loss", "log_loss"], "t.csv, line 4, column 't': the target -1 is refused; loss"),
        (GOOD, ["--lr", "1e200"], "training diverged in epoch 1 with learning rate 1e+200; use a smaller --lr"),
        (GOOD, ["--lr", "1e6", "--no-standardize"], "use a smaller --lr or --standardize"),
        (GOOD, ["--lr", "-1"], "lr=-1.0 must be a finite number of at least 0"),
        (GOOD, ["--lr", "nan"], "lr=nan must be a finite number of at least 0"),
        (GOOD, ["--epochs", "0"], "epochs=0 must be an integer of at least 1"),
        (GOOD, ["--batch-size", "0"], "batch_size=0 must be an integer of at least 1"),
        (GOOD, ["--test-fraction", "1"], "test_fraction=1.0 is not allowed"),
        (GOOD, ["--out", "nowhere/m.npz"], "--out nowhere/m.npz must be a file in a folder that exists"),
        (GOOD, ["--out", "."], "--out . must be a file in a folder that exists"),
        (b"PAR1, and then something else", [], "t.csv cannot be read: "),
        (PARQUET.getvalue(), [], "t.csv, row 3, column 'x': a value is missing"),
        (PARQUET.getvalue()[:-1], [], "t.csv cannot be read: "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_in_one_line_and_nothing_is_written(folder, content, options, message):
    (folder / "model.npz").write_bytes(b"an older model")
    if content is not None:
        (folder / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(os.listdir(folder))
    result = run("train", "t.csv", "--target", "t", *options)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    assert sorted(os.listdir(folder)) == before
    assert (folder / "model.npz").read_bytes() == b"an older model"


def test_divergence_names_a_line_of_the_training_part(folder):
    (folder / "t.csv").write_text("x,t\n1,1\n2,2\n\n1e200,3\n")
    result = run("train", "t.csv", "--target", "t", "--no-standardize", "--test-fraction", 0)
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: t.csv, line 5: training diverged in epoch 1 with learning rate 0.001; "
        "use a smaller --lr or --standardize\n"
    )
    assert not (folder / "model.npz").exists()


@pytest.mark.parametrize(
    ("model", "content", "options", "message"),
    [
        ("missing.npz", "x,y\n1,2\n", [], "missing.npz: No such file or directory"),
        ("t.csv", "x,y\n1,2\n", [], "t.csv is not a fastgd.cli.model file"),
        ("cut.npz", "x,y\n1,2\n", [], "cut.npz is not a fastgd.cli.model file"),
        ("other.npz", "x,y\n1,2\n", [], "other.npz holds 'something else', not 'fastgd.cli.model'"),
        ("hollow.npz", "x,y\n1,2\n", [], "hollow.npz is damaged: its header is not whole"),
        ("renamed.npz", "x,y\n1,2\n", [], "renamed.npz is damaged: its header is not whole: 1 features and 1 outputs"),
        ("bare.npz", "x,y\n1,2\n", [], "bare.npz is damaged: it has no array 'weight'"),
        ("model.npz", None, [], "t.csv cannot be read: No such file"),
        ("model.npz", "x,z\n1,2\n", [], "t.csv has no column 'y'; its columns are x, z"),
        ("model.npz", "x,y\n1,2\n1,two\n", [], "t.csv, line 3, column 'y': text 'two'"),
        ("model.npz", "x,y\n1,2\n1,\n", [], "t.csv, line 3, column 'y': a value is missing"),
        ("model.npz", "x,y\n", [], "t.csv has no rows"),
        ("model.npz", "x,y\n1,2\n1,1.7e308\n", [], "t.csv, line 3: the prediction is not a finite number"),
        ("model.npz", "x,y\n1,2\n", ["--kind", "label"], "loss 'mse' has no labels"),
        ("model.npz", "x,y\n1,2\n", ["--out", "nowhere/p.csv"], "nowhere/p.csv: No such file or directory"),
    ],
)
def test_what_keeps_predictions_from_being_made_is_said_in_one_line(folder, model, content, options, message):
    (folder / "good.csv").write_text(GOOD)
    succeed("train", "good.csv", "--target", "t")
    header, arrays = files.read("model.npz", FORMAT)
    header = {key: value for key, value in header.items() if key not in ("format", "version")}
    arrays["weight"] = np.array([[0.5, -3.0]])
    files.write("model.npz", FORMAT, header, arrays | {"target_scale": np.array([1e3])})
    files.write("other.npz", "something else", {}, {})
    files.write("hollow.npz", FORMAT, {}, arrays)
    files.write("renamed.npz", FORMAT, header | {"features": ["x"]}, arrays)
    files.write("bare.npz", FORMAT, header, {})
    (folder / "cut.npz").write_bytes((folder / "model.npz").read_bytes()[:-40])
    if content is not None:
        (folder / "t.csv").write_text(content)
    before = sorted(os.listdir(folder))
    result = run("predict", model, "t.csv", *(options or ["--out", "p.csv"]))
    assert result.exit_code == 2
    assert message in result.stderr
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert sorted(os.listdir(folder)) == before


def test_the_losses_on_offer_are_those_of_the_registry():
    option = next(option for option in cli.commands().commands["train"].params if option.name == "loss")
    assert list(option.type.choices) == list(fastgd.losses.registry)
    assert run("train", DIABETES, "--target", "progression", "--loss", "no such").exit_code == 2


def test_info_and_version():
    assert succeed("info").splitlines() == [f"{name}: {value}" for name, value in fastgd.show_config().items()]
    assert succeed("--version").strip() == f"fastgd, version {fastgd.show_config()['version']}"


@pytest.mark.parametrize("package", ["click", "pyarrow"])
def test_a_missing_package_is_named_with_the_command_that_brings_it(package, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(sys, "argv", ["fastgd", "train", DIABETES, "--target", "progression"])
    with pytest.raises(SystemExit) as stop:
        importlib.reload(cli).main()
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert f"needs {package}, which is not installed: pip install 'fastgd[cli]'" in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)


def test_a_program_of_its_own(folder):
    command = [sys.executable, "-m", "fastgd.cli"]
    done = subprocess.run([*command, "train", DIABETES, "--target", "progression"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nepoch 30 of 30: mean loss " in done.stdout
    piped = subprocess.run([*command, "predict", "model.npz", DIABETES], capture_output=True, text=True)
    assert (piped.returncode, piped.stderr, len(piped.stdout.splitlines())) == (0, "", 443)
    failed = subprocess.run([*command, "predict", "model.npz", "no.csv"], capture_output=True, text=True)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr == "Error: no.csv cannot be read: No such file or directory\n"


def test_a_terminal_shows_a_progress_bar_and_every_epoch(folder):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [sys.executable, "-m", "fastgd.cli", "train", DIABETES, "--target", "progression"]
    with open("out.txt", "w") as out, subprocess.Popen(command, stdout=out, stderr=theirs) as program:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal ends when nobody writes to it any more
            while piece := os.read(ours, 4096):
                shown += piece
    os.close(ours)
    assert program.returncode == 0
    assert "100%" in shown.decode()
    assert " rows/s" in shown.decode()
    lines = (folder / "out.txt").read_text().splitlines()
    assert [line.partition(":")[0] for line in lines[2:-2]] == [f"epoch {epoch + 1} of 30" for epoch in range(30)]
