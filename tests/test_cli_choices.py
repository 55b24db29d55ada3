"""The command line's choices: options become those of the registries, and one line says what is wrong with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from commands import refused, run, succeed
from sklearn.datasets import load_iris

import fastgd
from fastgd import choices, cli, table
from fastgd.predictor import Predictor

IRIS = load_iris().data


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


#: options, and what they say in Python
METHODS = [
    ("--optimizer sgd --set optimizer.momentum=0.9 --set optimizer.nesterov=true",
     {"optimizer": fastgd.SGD(lr=1e-3, momentum=0.9, nesterov=True)}),
    ("--optimizer adam --lr 0.02 --set optimizer.betas=0.8,0.99 --set optimizer.amsgrad=true",
     {"optimizer": fastgd.Adam(lr=0.02, betas=(0.8, 0.99), amsgrad=True)}),
    ("--optimizer adamw --set optimizer.weight_decay=1", {"optimizer": fastgd.AdamW(weight_decay=1)}),
    ("--optimizer adagrad", {"optimizer": fastgd.Adagrad()}),
    ("--optimizer rmsprop --set optimizer.centered=True", {"optimizer": fastgd.RMSprop(centered=True)}),
    ("--optimizer ftrl --set optimizer.l1=3", {"optimizer": fastgd.FTRL(l1=3)}),
    ("--penalty l1 --alpha 0.1", {"penalty": fastgd.penalties.L1(alpha=0.1)}),
    ("--penalty l2 --alpha 0.5 --set penalty.include_bias=true",
     {"penalty": fastgd.penalties.L2(alpha=0.5, include_bias=True)}),
    ("--penalty elasticnet --alpha 0.2 --l1-ratio 0.7", {"penalty": fastgd.penalties.ElasticNet(0.2, 0.7)}),
    ("--schedule invscaling --set schedule.power_t=0.5", {"schedule": fastgd.schedules.InvScaling(power_t=0.5)}),
    ("--schedule optimal --set schedule.alpha=0.5",
     {"schedule": fastgd.schedules.Optimal(alpha=0.5), "optimizer": fastgd.SGD(lr=1e-3)}),
    ("--schedule step --set schedule.step_size=7 --set schedule.by=step",
     {"schedule": fastgd.schedules.StepLR(step_size=7, by="step")}),
    ("--schedule cosine --set schedule.t_max=3", {"schedule": fastgd.schedules.Cosine(t_max=3)}),
    ("--loss absolute --schedule pa1 --lr 0.1",
     {"schedule": fastgd.schedules.PA1(), "loss": "absolute", "optimizer": fastgd.SGD(lr=0.1)}),
    ("--average", {"average": True}),
    ("--clip-value 0.25", {"clip_value": 0.25}),
    ("--clip-norm 0.5 --batch-size 3", {"clip_norm": 0.5, "batch_size": 3}),
    ("--loss huber --set loss.delta=0.3", {"loss": fastgd.losses.Huber(delta=0.3)}),
    ("--loss quantile --set loss.tau=0.9", {"loss": fastgd.losses.Quantile(tau=0.9)}),
    ("--hidden 5,4 --activation leaky_relu --set activation.negative_slope=0.3",
     {"sizes": (5, 4), "activation": fastgd.activations.LeakyReLU(negative_slope=0.3)}),
    ("--hidden 3", {"sizes": (3,), "activation": "relu"}),
]  # fmt: skip


def trained(sizes=(), activation="relu", **method):
    """Return the parameters that the same choices give in Python, on two thirds of the iris lengths."""
    X, t = IRIS[:, :3], IRIS[:, 3]
    train, _ = table.split(len(X), 1 / 3, 0)
    model = fastgd.MLP([3, *sizes, 1], activation, seed=0) if sizes else fastgd.Linear(3, 1, seed=0)
    method = {"loss": "mse", "optimizer": fastgd.SGD(lr=1e-3)} | method
    fastgd.train(model, X[train], t[train], epochs=4, shuffle=True, seed=0, **method)
    return model.params


@pytest.mark.parametrize(("options", "same"), METHODS, ids=[options for options, _ in METHODS])
def test_options_are_the_choices_of_these_names(options, same):
    pd.DataFrame(IRIS, columns=list("abct")).to_csv("t.csv", index=False)
    out = succeed("train", "t.csv", "--target", "t", "--no-standardize", "--epochs", 4, "--test-fraction", 1 / 3,
                  *options.split())  # fmt: skip
    params = Predictor.load("model.npz").model.params
    np.testing.assert_array_equal(params, trained(**same))
    assert not np.array_equal(params, trained())
    for kind in ("optimizer", "penalty", "schedule", "loss"):
        chosen = options.partition(f"--{kind} ")[2].split(" ")[0]
        assert f"{kind} {chosen}" in out or not chosen


def test_choices_and_their_numbers_are_those_of_the_registries():
    params = {option.name: option for option in cli.commands().commands["train"].params}
    for kind, registry in choices.REGISTRIES.items():
        assert list(params[kind].type.choices) == list(registry)
    text = run("train", "--help").stdout
    for line in ("optimizer adam: lr=0.001 betas=0.9,0.999 eps=1e-08 weight_decay=0 amsgrad=false lazy=false",
                 "loss quantile: tau=0.5", "schedule step: step_size=VALUE gamma=0.1 by=epoch"):  # fmt: skip
        assert f"\n  {line}\n" in text


# a number, two texts, whole numbers of three kinds, fractions, numbers below zero, and a text that is missing once
BAD = "x,s,one,t,f,neg,hole,rare\n" + "".join(
    f"{i},{'abc'[i % 3]},{'z'},{i % 3},{i % 3 / 4},{i % 3 - 1},{'' if i == 7 else 'ab'[i % 2]},{'ab'[i == 5]}\n"
    for i in range(12)
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--set momentum=0.9", "--set momentum=0.9 must be CHOICE.NAME=VALUE with CHOICE one of loss, activation, "),
        ("--set optimizer.momentum", "--set optimizer.momentum must be CHOICE.NAME=VALUE with CHOICE one of loss, "),
        ("--set optimiser.momentum=1", "--set optimiser.momentum=1 must be CHOICE.NAME=VALUE with CHOICE one of"),
        ("--set optimizer.speed=1", "--set optimizer.speed=1: optimizer 'sgd' has no 'speed'; its own are lr, mom"),
        ("--optimizer ftrl --set optimizer.momentum=1", "optimizer 'ftrl' has no 'momentum'; its own are lr, beta"),
        ("--set schedule.power_t=0.5", "schedule 'constant' has no 'power_t'; it has none of its own"),
        ("--set loss.delta=1", "--set loss.delta=1: loss 'mse' has no 'delta'; it has none of its own"),
        ("--set optimizer.momentum=-1", "--optimizer sgd: momentum=-1 must be a finite number of at least 0"),
        ("--set optimizer.momentum=fast", "--optimizer sgd: momentum='fast' must be a finite number of at least 0"),
        ("--set optimizer.momentum=nan", "--optimizer sgd: momentum=nan must be a finite number of at least 0"),
        ("--set optimizer.momentum=", "--optimizer sgd: momentum='' must be a finite number of at least 0"),
        ("--set optimizer.nesterov=1", "--optimizer sgd: nesterov=1 must be True or False"),
        ("--set optimizer.nesterov=true", "--optimizer sgd: nesterov=True needs momentum above 0 and dampening=0"),
        ("--optimizer adam --set optimizer.betas=0.9", "--optimizer adam: betas=0.9 must be two numbers"),
        ("--optimizer adam --set optimizer.betas=0.9,1", "--optimizer adam: betas[1]=1 must be a number of at least 0"),
        ("--lr 0.1 --set optimizer.lr=0.1", "--set optimizer.lr=0.1: optimizer.lr is given twice, by --lr 0.1 too"),
        ("--optimizer ftrl --lr 0", "--optimizer ftrl: lr=0.0 must be a finite number above 0"),
        ("--alpha 0.1", "--alpha 0.1 needs --penalty; allowed are l2, l1, elasticnet"),
        ("--penalty l1 --alpha -1", "--penalty l1: alpha=-1.0 must be a finite number of at least 0"),
        ("--penalty l2 --l1-ratio 0.5", "--l1-ratio 0.5: penalty 'l2' has no 'l1_ratio'; its own are alpha, include_b"),
        ("--penalty elasticnet --l1-ratio 2", "--penalty elasticnet: l1_ratio=2.0 must be a number in [0, 1]"),
        ("--penalty l1 --optimizer adam", "penalty=L1(alpha=0.0001, include_bias=False) does not go with optimizer="),
        ("--schedule step", "--schedule step needs --set schedule.step_size=VALUE"),
        ("--schedule step --set schedule.step_size=2.5", "--schedule step: step_size=2.5 must be an integer of"),
        ("--schedule cosine --set schedule.t_max=2 --set schedule.by=day", "--schedule cosine: by='day' is not known"),
        ("--schedule optimal --lr 0.1", "--lr 0.1 does not go with --schedule optimal, whose rates follow"),
        ("--schedule pa1 --hidden 4", "schedule=PA1() does not go with a network of sizes"),
        ("--hidden 64,x", "--hidden 64,x must be integers of at least 1 with commas between, such as 64,32"),
        ("--hidden 64,", "--hidden 64, must be integers of at least 1 with commas between, such as 64,32"),
        ("--hidden 4,0", "--hidden 4,0 must be integers of at least 1 with commas between, such as 64,32"),
        ("--hidden 1000000000000", "Unable to allocate"),
        ("--activation tanh", "--activation tanh needs --hidden: a model without hidden layers has no activation"),
        ("--set activation.negative_slope=1", "--set activation.negative_slope=1 needs --activation; allowed are relu"),
        ("--hidden 4 --set activation.negative_slope=1", "activation 'relu' has no 'negative_slope'; it has none of"),
        ("--clip-norm 0", "clip_norm=0.0 must be a finite number above 0"),
        ("--clip-value -1", "clip_value=-1.0 must be a finite number above 0"),
        ("--loss quantile --set loss.tau=1", "--loss quantile: tau=1 must be a number above 0 and below 1"),
        ("--loss mse --target s", "t.csv, line 2, column 's': text 'a' where a number should be"),
        ("--target s --target t", "t.csv, line 2, column 's': text 'a' where a number should be"),
        ("--loss poisson --target neg", "t.csv, line 2, column 'neg': the target -1 is refused; loss 'poisson' takes"),
        ("--loss gamma --target t", "t.csv, line 2, column 't': the target 0 is refused; loss 'gamma' takes"),
        ("--loss hinge --target f", "t.csv, line 3, column 'f': the target 0.25 is refused; loss 'hinge' takes"),
        ("--classes --loss huber --target t", "--classes does not go with --loss huber, which takes numbers; allowed "
         "are log_loss, hinge, squared_hinge, modified_huber, perceptron, cross_entropy"),
        ("--classes --target s --target t", "--classes takes one --target, not s, t"),
        ("--loss cross_entropy --target s --target t", "--loss cross_entropy takes one --target, not s, t"),
        ("--classes --target f", "t.csv, column 'f': --classes takes a column of text or of whole numbers"),
        ("--loss cross_entropy --target f", "t.csv, column 'f': --loss cross_entropy takes a column of text"),
        ("--loss hinge --target s", "--loss hinge takes two classes; t.csv, column 's' has 3: a, b, c; for more "
         "allowed are cross_entropy"),
        ("--loss log_loss --target t", "--loss log_loss takes two classes; t.csv, column 't' has 3: 0, 1, 2; for more"),
        ("--target one", "t.csv, column 'one': a constant column, 'z' in all 10 rows to train on"),
        ("--target hole", "t.csv, line 9, column 'hole': a value is missing"),
        ("--target rare --seed 18", "t.csv, line 7, column 'rare': class 'b' is held out, but in no row to train on; "
         "leave the row out, or take another --seed or --test-fraction"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_options_is_said_in_one_line_and_nothing_is_written(folder, options, message):
    words = options.split()
    text = [line.split(",") for line in BAD.splitlines()]
    kept = {"x"} | {words[k + 1] for k, word in enumerate(words) if word == "--target"}
    columns = [k for k, name in enumerate(text[0]) if name in kept | ({"f"} if kept == {"x"} else set())]
    (folder / "t.csv").write_text("".join(",".join(row[k] for k in columns) + "\n" for row in text))
    said = refused("train", "t.csv", *words, *([] if "--target" in words else ["--target", "f"]))
    assert message in said
    assert not (folder / "model.npz").exists()


def test_divergence_names_what_helps(folder):
    (folder / "t.csv").write_text("x,t\n1,1\n2,2\n1e200,3\n")
    for options, help in (
        (["--schedule", "optimal"], "with schedule optimal; use a larger schedule.alpha or --standardize"),
        (["--hidden", "2", "--lr", "0.5"], "with learning rate 0.5; use a smaller --lr or --standardize"),
    ):
        said = refused("train", "t.csv", "--target", "t", "--no-standardize", "--test-fraction", 0, *options)
        assert said == f"Error: t.csv, line 4: training diverged in epoch 1 {help}\n"
