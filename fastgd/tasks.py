"""What the commands do: train a model on a file, predict with it, and say what is installed."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastgd import choices, data, extras, losses, table
from fastgd.choices import Settings
from fastgd.classes import Names, listed, loss_for, of_target
from fastgd.config import show_config
from fastgd.engine import DivergenceError
from fastgd.history import History
from fastgd.model import MLP, Linear
from fastgd.predictor import Predictor
from fastgd.schedules import Constant, Optimal
from fastgd.table import Standardiser, Table
from fastgd.trainer import Trainer

Array = npt.NDArray[Any]


def train(
    file: str,
    target: Sequence[str],
    classes: bool,
    hidden: str | None,
    activation: str | None,
    loss: str | None,
    optimizer: str,
    lr: float | None,
    penalty: str | None,
    alpha: float | None,
    l1_ratio: float | None,
    schedule: str,
    numbers: Sequence[str],
    average: bool,
    clip_value: float | None,
    clip_norm: float | None,
    epochs: int,
    batch_size: int,
    test_fraction: float,
    seed: int,
    standardize: bool,
    out: str,
) -> None:
    """Train a model on all other columns of FILE (CSV with a header, or Parquet) and write it.

    It is linear, or with --hidden a network. A target column of text holds classes, which are predicted by name; so
    does one of integers with --classes or a loss for classes.

    Part of the rows is held out; on them the model is compared with the best constant prediction.
    """
    if os.path.isdir(out) or not os.path.isdir(os.path.dirname(out) or "."):
        raise ValueError(f"--out {out} must be a file in a folder that exists")
    _refuse_overwriting(out, file)
    settings = Settings(
        numbers,
        lr=("optimizer", "lr", lr),
        alpha=("penalty", "alpha", alpha),
        l1_ratio=("penalty", "l1_ratio", l1_ratio),
    )
    sizes = choices.hidden_sizes(hidden)
    if activation and not sizes:
        raise ValueError(f"--activation {activation} needs --hidden: a model without hidden layers has no activation")
    of_hidden = settings.make("activation", (activation or "relu") if sizes else None)
    method = {kind: settings.make(kind, name) for kind, name in
              (("optimizer", optimizer), ("penalty", penalty), ("schedule", schedule))}  # fmt: skip
    if lr is not None and isinstance(method["schedule"], Optimal):
        raise ValueError(
            f"--lr {lr:g} does not go with --schedule optimal, whose rates follow from schedule.alpha alone"
        )

    given = _read(file, list(target), loss, classes, settings, test_fraction, seed)
    rows, chosen, X, T, train_rows = given.rows, given.loss, given.X, given.T, given.train_rows
    width = len(given.classes) if given.classes and chosen.targets == "classes" else len(given.targets)
    inputs, outputs = Standardiser.identity(len(given.features)), Standardiser.identity(width)
    if standardize:
        inputs = Standardiser.fit(X[train_rows], [rows.label(name) for name in given.features])
    if scale_targets := standardize and chosen.targets == "real":
        outputs = Standardiser.fit(T[train_rows], [rows.label(name) for name in given.targets])
    model: MLP = Linear(len(given.features), width, seed=seed)
    if sizes:
        model = MLP([len(given.features), *sizes, width], of_hidden, seed=seed)
    predictor = Predictor(model, given.features, given.targets, inputs, outputs, given.classes)

    progress = sys.stderr.isatty()
    write = extras.need("tqdm", extra="cli", what="the progress bar").tqdm.write if progress else print

    def print_epoch(history: History) -> None:
        write(f"epoch {history.epochs} of {epochs}: mean loss {history.loss[-1]:.6g}")

    trainer = Trainer(
        model, chosen, batch_size=batch_size, shuffle=True, seed=seed, progress=progress, callbacks=[print_epoch],
        average=average, clip_value=clip_value, clip_norm=clip_norm, **method,
    )  # fmt: skip
    print(f"{file}: {len(rows)} rows, {len(given.features)} features; {len(given.test_rows)} rows are held out")
    if given.classes:
        print(f"{target[0]} has {len(given.classes)} classes: {listed(given.classes)}")
    if sizes:
        print(f"network {'-'.join(map(str, model.sizes))}, activation {choices.describe(of_hidden)}")
    print(_course(trainer, " of the standardised target" if scale_targets else "", seed))
    try:
        trainer.run(
            inputs.apply(X[train_rows]), outputs.apply(T[train_rows]) if scale_targets else T[train_rows], epochs
        )
    except DivergenceError as error:
        place = rows.place(int(train_rows[error.row]))
        raise ValueError(
            f"{place}: training diverged in epoch {error.epoch + 1}{_remedy(trainer, standardize)}"
        ) from None
    worth = predictor.compare(chosen, X, given.means, train_rows, given.test_rows)
    predictor.save(out)
    print(*worth, f"wrote {out}", sep="\n")


@dataclass(frozen=True, eq=False)
class _Data:
    # what is read from a file: rows and their parts, X (n, d), targets T (n, columns) and T as means, with 0 for −1
    rows: Table
    features: list[str]
    targets: list[str]
    classes: Names | None
    loss: losses.Loss
    X: Array
    T: Array
    means: Array
    train_rows: Array
    test_rows: Array


def _read(
    file: str, targets: list[str], loss: str | None, asked: bool, settings: Settings, test_fraction: float, seed: int
) -> _Data:
    rows = table.read(file)
    features = [name for name in rows.columns if name not in targets]
    if len(set(targets)) < len(targets):
        raise ValueError(f"--target names a column twice: {', '.join(targets)}")
    found = of_target(rows, targets, loss, asked)
    T = rows.numbers(targets) if found is None else found[1][:, np.newaxis].astype(np.float64)
    if not features:
        raise ValueError(f"{file} has no columns beside the target, so there is nothing to predict from")
    X = rows.numbers(features)
    parts = table.split(len(rows), test_fraction, seed)
    if found is None:
        chosen = settings.make("loss", loss or "mse")
        means = _target_means(rows, targets, T, chosen)
        table.refuse_constant(T[parts[0]], [rows.label(name) for name in targets])
    else:
        chosen, means = settings.make("loss", loss_for(rows, targets[0], found, parts, loss)), T
    return _Data(rows, features, targets, None if found is None else found[0], chosen, X, T, means, *parts)


def _course(trainer: Trainer, of_what: str, seed: int) -> str:
    # what is done, in one line
    method = trainer.method
    words = [f"loss {choices.describe(trainer.loss)}{of_what}", f"optimizer {choices.describe(method.optimizer)}"]
    if not isinstance(method.schedule, Optimal):
        words.append(f"learning rate {method.optimizer.lr:g}")
    if not isinstance(method.schedule, Constant):
        words.append(f"schedule {choices.describe(method.schedule)}")
    if method.penalty:
        words.append(f"penalty {choices.describe(method.penalty)}")
    for name in ("clip_value", "clip_norm"):
        if value := getattr(method, name):
            words.append(f"{name.replace('_', ' ')} {value:g}")
    if method.average:
        words.append("averaged")
    return ", ".join([*words, f"batch size {trainer.batch_size}", f"seed {seed}"])


def _remedy(trainer: Trainer, standardize: bool) -> str:
    if isinstance(trainer.method.schedule, Optimal):
        words, remedy = "schedule optimal", "a larger schedule.alpha"
    else:
        words, remedy = f"learning rate {trainer.optimizer.lr:g}", "a smaller --lr"
    return f" with {words}; use {remedy}" + ("" if standardize else " or --standardize")


def _target_means(rows: Table, columns: Sequence[str], T: Array, loss: losses.Loss) -> Array:
    # the targets (n, K) as the means that predictions are compared with: labels −1 and +1 become 0 and 1
    count, outputs = T.shape
    try:
        return data.targets("target", T, count, outputs, loss, T.dtype)[0]
    except ValueError as error:
        cells = T.ravel()
        bad = table.first_refused(cells.size, lambda k: data.targets("target", cells[:k], k, 1, loss, T.dtype))
        row, column = divmod(bad, outputs)
        allowed = str(error).rpartition("; ")[2]
        raise ValueError(
            f"{rows.place(row)}, column {columns[column]!r}: the target {cells[bad]:g} is refused; {allowed}"
        ) from None


def predict(model: str, file: str, kind: str | None, out: str) -> None:
    """Predict the targets for each row of FILE with a model that `fastgd train` wrote, as CSV."""
    _refuse_overwriting(out, model, file)
    predictor, rows = Predictor.load(model), table.read(file)
    X = rows.numbers(predictor.features)
    _refuse_not_finite(rows, predictor.raw(X))
    y = predictor.predict(X, kind)
    if y.dtype != object:  # names of classes
        _refuse_not_finite(rows, y)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(predictor.columns(kind))
    writer.writerows(y.tolist())
    if out == "-":
        print(text.getvalue(), end="")
        return
    with open(out, "w", encoding="utf-8", newline="") as stream:
        stream.write(text.getvalue())


def _refuse_not_finite(rows: Table, y: Array) -> None:
    finite = np.isfinite(y).all(axis=1)
    if not finite.all():
        raise ValueError(f"{rows.place(int(np.argmin(finite)))}: the prediction is not a finite number")


def _refuse_overwriting(out: str, *inputs: str) -> None:
    for path in inputs:
        if os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):
            raise ValueError(f"--out {out} is the file {path} that is read")


def info(model: str | None) -> None:
    """Print the version, the instruction set in use, and the compiler and flags that made it.

    With MODEL, a file that `fastgd train` wrote, print what it predicts, from what and how.
    """
    for name, value in (show_config() if model is None else Predictor.load(model).describe()).items():
        print(f"{name}: {value}")
