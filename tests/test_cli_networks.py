"""The command line's networks and classes: digits and iris from a file, names in and names out."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from commands import refused, saved, succeed
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, hinge_loss, log_loss

from fastgd import files, table
from fastgd.predictor import FORMAT

FLOWERS = load_iris()
SPECIES = FLOWERS.target_names[FLOWERS.target]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def frame(text):
    return pd.read_csv(io.StringIO(text))


def write(target, path="t.csv", X=FLOWERS.data):
    data = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]).assign(t=target)
    data.to_parquet(path) if path.endswith("parquet") else data.to_csv(path, index=False)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "digits.csv"
    load_digits(as_frame=True).frame.rename(columns={"target": "digit"}).to_csv(path, index=False)
    return path


def held_out_accuracy(out):
    (line,) = [line for line in out.splitlines() if line.startswith("held-out digit: ")]
    return float(line.partition("accuracy ")[2].split()[0])


# the pixels at the corners are constant, and all have one scale
PLAIN = ("--target", "digit", "--classes", "--no-standardize")


def test_softmax_regression_on_digits_is_as_good_as_scikit_learns(digits):
    X, t = load_digits(return_X_y=True)
    for seed in range(3):
        out = succeed("train", digits, *PLAIN, "--average", "--penalty", "l2", "--alpha", 0.01, "--seed", seed)
        train, test = table.split(len(X), 0.2, seed)
        theirs = LogisticRegression(max_iter=2000).fit(X[train] / 16, t[train]).score(X[test] / 16, t[test])
        label = frame(succeed("predict", "model.npz", digits)).digit.to_numpy()
        ours = accuracy_score(t[test], label[test])
        assert abs(ours - theirs) <= 0.01
        assert held_out_accuracy(out) == pytest.approx(ours, abs=1e-4)
        base = log_loss(t[test], np.tile(np.bincount(t[train]) / len(train), (len(test), 1)), labels=range(10))
        common = accuracy_score(t[test], np.full(len(test), np.bincount(t[train]).argmax()))
        assert f"(the base rate alone: mean cross_entropy {base:.4f}, accuracy {common:.4f})" in out


@pytest.mark.parametrize("hidden", ["64,32", "32"])
def test_networks_on_digits_reach_97_percent(digits, hidden):
    out = succeed("train", digits, *PLAIN, "--hidden", hidden, "--activation", "relu", "--optimizer", "adam",
                  "--average")  # fmt: skip
    assert held_out_accuracy(out) >= 0.97
    sizes = "-".join(["64", *hidden.split(","), "10"])
    assert f"digit has 10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\nnetwork {sizes}, activation relu\n" in out
    number, a = saved(), load_digits().data
    for layer in range(len(hidden.split(",")) + 1):
        a = np.maximum(a, 0) @ number[f"{layer}.weight"].T + number[f"{layer}.bias"]
    raw = frame(succeed("predict", "model.npz", digits, "--kind", "raw"))
    assert list(raw.columns) == list("0123456789")
    np.testing.assert_allclose(raw, a, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(frame(succeed("predict", "model.npz", digits)).digit, a.argmax(axis=1))
    share = np.exp(a - a.max(axis=1, keepdims=True))
    mean = frame(succeed("predict", "model.npz", digits, "--kind", "mean"))
    np.testing.assert_allclose(mean, share / share.sum(axis=1, keepdims=True), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("path", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("hidden", [(), ("--hidden", "8", "--activation", "tanh")])
def test_names_go_in_and_names_come_out(path, hidden):
    write(SPECIES, path=path)
    out = succeed("train", path, "--target", "t", "--optimizer", "adam", "--lr", 0.01, *hidden)
    assert "\nt has 3 classes: setosa, versicolor, virginica\n" in out
    assert "\nloss cross_entropy, optimizer adam, learning rate 0.01, batch size 1, seed 0\n" in out
    text = succeed("predict", "model.npz", path)
    assert text.splitlines()[0] == "t"
    predicted = np.array(text.splitlines()[1:])
    _, test = table.split(len(SPECIES), 0.2, 0)
    accuracy = accuracy_score(SPECIES[test], predicted[test])
    mean = frame(succeed("predict", "model.npz", path, "--kind", "mean"))
    assert list(mean.columns) == ["setosa", "versicolor", "virginica"]
    np.testing.assert_allclose(mean.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(mean.idxmax(axis=1), predicted)
    loss = log_loss(SPECIES[test], mean.to_numpy()[test])
    assert f"\nheld-out t: mean cross_entropy {loss:.4f}, accuracy {accuracy:.4f} (the base rate alone: " in out
    shown = dict(line.split(": ", 1) for line in succeed("info", "model.npz").splitlines())
    assert shown["classes"] == "setosa, versicolor, virginica"
    assert (shown["features"], shown["targets"], shown["loss"]) == ("x0, x1, x2, x3", "t", "CrossEntropy()")
    assert shown["model"].startswith("MLP([4, 8, 3], activation=Tanh()" if hidden else "Linear(4, 3")


def test_categories_of_a_data_frame_are_classes(folder):
    write(SPECIES, path="text.parquet")
    write(SPECIES, path="t.parquet")
    pd.read_parquet("t.parquet").astype({"t": "category"}).to_parquet("t.parquet")
    for path in ("t.parquet", "text.parquet"):
        succeed("train", path, "--target", "t", "--out", f"{path}.npz", "--epochs", 2)
    assert (folder / "t.parquet.npz").read_bytes() == (folder / "text.parquet.npz").read_bytes()


TWO = np.flatnonzero(FLOWERS.target > 0)  # versicolor and virginica, 1 and 2 in FLOWERS.target


@pytest.mark.parametrize(
    ("target", "options", "loss", "names"),
    [
        (SPECIES, [], "cross_entropy", ["setosa", "versicolor", "virginica"]),
        (SPECIES[TWO], [], "log_loss", ["versicolor", "virginica"]),
        (SPECIES[TWO], ["--loss", "cross_entropy"], "cross_entropy", ["versicolor", "virginica"]),
        (FLOWERS.target * 10 - 10, ["--classes"], "cross_entropy", [-10, 0, 10]),
        (FLOWERS.target * 1.0, ["--classes"], "cross_entropy", [0, 1, 2]),
        (FLOWERS.target, ["--loss", "cross_entropy"], "cross_entropy", [0, 1, 2]),
        (FLOWERS.target[TWO] + 2**60, ["--classes"], "log_loss", [2**60 + 1, 2**60 + 2]),
        (FLOWERS.target[TWO], ["--loss", "hinge"], "hinge", [1, 2]),
        (FLOWERS.target[TWO] * 2 - 3, ["--loss", "log_loss"], "log_loss", [-1, 1]),
        (FLOWERS.target[TWO] == 1, ["--loss", "log_loss"], "log_loss", [0, 1]),
        (FLOWERS.target.astype(str), ["--classes"], "cross_entropy", [0, 1, 2]),
        (np.char.add("n°", FLOWERS.target.astype(str)), [], "cross_entropy", ["n°0", "n°1", "n°2"]),
        (FLOWERS.target, [], "mse", None),
        (FLOWERS.target * 0.5, ["--loss", "log_loss"], "log_loss", None),
    ],
)
def test_what_a_target_column_holds(target, options, loss, names):
    X = FLOWERS.data[TWO] if len(target) == len(TWO) else FLOWERS.data
    write(target, X=X)
    out = succeed("train", "t.csv", "--target", "t", *options, "--epochs", 3)
    header, _ = files.read("model.npz", FORMAT)
    assert (header["classes"], header["model"]["loss"]["name"]) == (names, loss)
    assert f"\nloss {loss}" in out
    predicted = succeed("predict", "model.npz", "t.csv").splitlines()[1:]
    assert len(predicted) == len(X)
    if names is not None:
        assert set(predicted) <= set(map(str, names))


def test_text_that_looks_like_numbers_is_a_class_when_asked(folder):
    write(np.where(FLOWERS.target == 0, "none", FLOWERS.target.astype(str)))
    succeed("train", "t.csv", "--target", "t", "--classes", "--epochs", 1)
    assert files.read("model.npz", FORMAT)[0]["classes"] == ["1", "2", "none"]
    assert refused("train", "t.csv", "--target", "t") == (
        "Error: t.csv, line 2, column 't': text 'none' where a number should be; with --classes every text is a class\n"
    )


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_hinge", "modified_huber", "perceptron"])
def test_two_classes_by_any_name_give_the_same_model(loss):
    X = FLOWERS.data[TWO]
    named = {"text": SPECIES[TWO], "zeros": FLOWERS.target[TWO] - 1, "signs": 2 * FLOWERS.target[TWO] - 3}
    for name, target in named.items():
        write(target, path=f"{name}.csv", X=X)
        out = succeed("train", f"{name}.csv", "--target", "t", "--loss", loss, "--out", f"{name}.npz", "--lr", 0.01)
        label = frame(succeed("predict", f"{name}.npz", f"{name}.csv")).t
        assert np.mean(label == target) > 0.9
        assert label.dtype == pd.Series(target).dtype or name == "text"
    numbers = [saved(f"{name}.npz") for name in named]
    assert all(np.array_equal(first["weight"], numbers[0]["weight"]) for first in numbers)

    train, test = table.split(len(X), 0.2, 0)
    t, y = named["signs"], frame(succeed("predict", "signs.npz", "signs.csv", "--kind", "raw")).t.to_numpy()
    s, share = 2 * (t[train].mean() > 0) - 1, np.mean(t[train] > 0)
    theirs = {
        "log_loss": lambda y: log_loss(t[test], 1 / (1 + np.exp(-y))),
        "hinge": lambda y: hinge_loss(t[test], y),
        "squared_hinge": lambda y: np.mean(np.maximum(1 - t[test] * y, 0) ** 2),
        "modified_huber": lambda y: np.mean(
            np.where(t[test] * y >= -1, np.maximum(1 - t[test] * y, 0) ** 2, -4 * t[test] * y)
        ),
        "perceptron": lambda y: np.mean(np.maximum(-t[test] * y, 0)),
    }[loss]
    constant = np.full(len(test), np.log(share / (1 - share)) if loss == "log_loss" else s)
    words = [
        f"mean {loss} {theirs(y):.4f}, accuracy {accuracy_score(t[test] > 0, y > 0):.4f}" for y in (y[test], constant)
    ]
    assert f"held-out t: {words[0]} (the base rate alone: {words[1]})" in out
    if loss in ("log_loss", "modified_huber"):
        mean = frame(succeed("predict", "signs.npz", "signs.csv", "--kind", "mean"))
        np.testing.assert_array_equal(mean["1"] > 0.5, y > 0)
    else:
        said = refused("predict", "signs.npz", "signs.csv", "--kind", "mean")
        assert f"loss '{loss}' has no probabilities" in said


def test_probabilities_of_two_classes_have_a_column_each():
    write(SPECIES[TWO], X=FLOWERS.data[TWO])
    succeed("train", "t.csv", "--target", "t", "--lr", 0.05)
    raw, mean = (frame(succeed("predict", "model.npz", "t.csv", "--kind", kind)) for kind in ("raw", "mean"))
    assert (list(raw.columns), list(mean.columns)) == (["t"], ["versicolor", "virginica"])
    np.testing.assert_allclose(mean.virginica, 1 / (1 + np.exp(-raw.t)), rtol=1e-12)
    np.testing.assert_allclose(mean.sum(axis=1), 1, rtol=1e-15)
    label = succeed("predict", "model.npz", "t.csv", "--kind", "label")
    np.testing.assert_array_equal(frame(label).t == "virginica", mean.virginica > 0.5)
    assert label == succeed("predict", "model.npz", "t.csv")


def test_columns_of_labels_side_by_side_are_decided_one_by_one():
    X = FLOWERS.data
    pd.DataFrame(X, columns=list("abcd")).assign(u=FLOWERS.target > 0, v=FLOWERS.target > 1).to_csv(
        "t.csv", index=False
    )
    succeed("train", "t.csv", "--target", "u", "--target", "v", "--loss", "hinge", "--lr", 0.01)
    label, raw = (frame(succeed("predict", "model.npz", "t.csv", *kind)) for kind in ((), ("--kind", "raw")))
    assert list(label.columns) == ["u", "v"]
    np.testing.assert_array_equal(label, raw > 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a", "b"]}, "4 features and 2 outputs for Linear(4, 3"),
        ({"classes": ["a", "b", "b"]}, "['a', 'b', 'b'] are not the classes of ['t']"),
        ({"classes": ["a", "b", 3]}, "['a', 'b', 3] are not the classes of ['t']"),
        ({"classes": 3}, "'int' object is not iterable"),
        ({"classes": None}, "4 features and 1 outputs for Linear(4, 3"),
        ({"targets": ["t", "u", "v"]}, "are not the classes of ['t', 'u', 'v']"),
    ],
)
def test_a_model_whose_classes_do_not_fit_is_refused(change, message):
    write(SPECIES)
    succeed("train", "t.csv", "--target", "t", "--epochs", 1)
    header, arrays = files.read("model.npz", FORMAT)
    header = {key: value for key, value in (header | change).items() if key not in ("format", "version")}
    files.write("model.npz", FORMAT, header, arrays)
    for command in (["predict", "model.npz", "t.csv"], ["info", "model.npz"]):
        said = refused(*command)
        assert said.startswith("Error: model.npz is damaged: its header is not whole: ")
        assert message in said


def test_a_class_is_not_made_of_scores_that_are_no_numbers(folder):
    write(SPECIES)
    succeed("train", "t.csv", "--target", "t", "--epochs", 1)
    (folder / "far.csv").write_text("x0,x1,x2,x3\n1,2,3,4\n1,2,3,1.7e308\n")
    for kind in ([], ["--kind", "mean"]):
        said = refused("predict", "model.npz", "far.csv", *kind)
        assert said == "Error: far.csv, line 3: the prediction is not a finite number\n"
