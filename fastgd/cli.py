"""The command line: train a linear model on a file, predict with it, and say what is installed."""

from __future__ import annotations

import csv
import functools
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from fastgd import data, extras, files, losses, table
from fastgd.config import show_config
from fastgd.engine import DivergenceError
from fastgd.history import History
from fastgd.model import KINDS, Linear, from_config
from fastgd.optimizers import SGD
from fastgd.table import Standardiser, Table
from fastgd.trainer import train as train_model

if TYPE_CHECKING:
    import click

Array = npt.NDArray[Any]

FORMAT = "fastgd.cli.model"


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model with everything that it needs to predict from a file.

    Attributes
    ----------
    model : Linear
        Trained on standardised columns.
    features, targets : sequences of str
        The names of its d input columns and of its K outputs.
    inputs, outputs : Standardiser
        The scaling of either.
    """

    model: Linear
    features: Sequence[str]
    targets: Sequence[str]
    inputs: Standardiser
    outputs: Standardiser

    def predict(self, X: Array, kind: str = "mean") -> Array:
        """Return predictions (n, K) for rows X (n, d), both in the units of the file."""
        y = self.model.predict(self.inputs.apply(X), kind)
        return y if kind == "label" else self.outputs.undo(y)

    def save(self, path: str) -> None:
        """Write everything to one file, atomically."""
        header = {"model": self.model.config(), "features": self.features, "targets": self.targets}
        files.write(path, FORMAT, header, self.model.named_parameters() | self._scaling())

    @classmethod
    def load(cls, path: str) -> Predictor:
        """Read it back; OSError or ValueError say what is wrong with the file."""
        header, arrays = files.read(path, FORMAT)
        try:
            model, features, targets = from_config(header["model"]), header["features"], header["targets"]
            if (len(features), len(targets)) != (model.in_features, model.out_features):
                raise ValueError(f"{len(features)} features and {len(targets)} targets for {model}")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged: its header is not whole: {error}") from None
        blank = cls(model, features, targets, Standardiser.identity(len(features)), Standardiser.identity(len(targets)))
        for name, value in (model.named_parameters() | blank._scaling()).items():
            value[...] = files.array(path, arrays, name, value)
        return blank

    def _scaling(self) -> dict[str, Array]:
        return {
            "feature_mean": self.inputs.mean,
            "feature_scale": self.inputs.scale,
            "target_mean": self.outputs.mean,
            "target_scale": self.outputs.scale,
        }


def train(
    file: str,
    target: Sequence[str],
    loss: str,
    lr: float,
    epochs: int,
    batch_size: int,
    test_fraction: float,
    seed: int,
    standardize: bool,
    out: str,
) -> None:
    """Train a linear model on all other columns of FILE (CSV with a header, or Parquet) and write it.

    Part of the rows is held out; on them the model is compared with the best constant prediction.
    """
    if os.path.isdir(out) or not os.path.isdir(os.path.dirname(out) or "."):
        raise ValueError(f"--out {out} must be a file in a folder that exists")
    _refuse_overwriting(out, file)
    rows, chosen = table.read(file), losses.get(loss)
    features, targets = [name for name in rows.columns if name not in target], list(target)
    if len(set(targets)) < len(targets):
        raise ValueError(f"--target names a column twice: {', '.join(targets)}")
    T = rows.numbers(targets)
    if not features:
        raise ValueError(f"{file} has no columns beside the target, so there is nothing to predict from")
    X = rows.numbers(features)
    means = _target_means(rows, targets, T, chosen)
    train_rows, test_rows = table.split(len(rows), test_fraction, seed)

    table.refuse_constant(T[train_rows], [rows.label(name) for name in targets])
    inputs, outputs = Standardiser.identity(len(features)), Standardiser.identity(len(targets))
    if standardize:
        inputs = Standardiser.fit(X[train_rows], [rows.label(name) for name in features])
    if scale_targets := standardize and chosen.targets == "real":
        outputs = Standardiser.fit(T[train_rows], [rows.label(name) for name in targets])
    model = Linear(len(features), len(targets), seed=seed)
    predictor = Predictor(model, features, targets, inputs, outputs)

    print(f"{file}: {len(rows)} rows, {len(features)} features; {len(test_rows)} rows are held out")
    of_what = " of the standardised target" if scale_targets else ""
    print(f"loss {loss}{of_what}, learning rate {lr:g}, batch size {batch_size}, seed {seed}")
    progress = sys.stderr.isatty()
    write = extras.need("tqdm", extra="cli", what="the progress bar").tqdm.write if progress else print

    def print_epoch(history: History) -> None:
        write(f"epoch {history.epochs} of {epochs}: mean loss {history.loss[-1]:.6g}")

    try:
        train_model(
            model, inputs.apply(X[train_rows]), outputs.apply(T[train_rows]), loss=chosen, optimizer=SGD(lr=lr),
            epochs=epochs, batch_size=batch_size, shuffle=True, seed=seed, progress=progress, callbacks=[print_epoch],
        )  # fmt: skip
    except DivergenceError as error:
        place = rows.place(int(train_rows[error.row]))
        remedy = "a smaller --lr" if standardize else "a smaller --lr or --standardize"
        raise ValueError(
            f"{place}: training diverged in epoch {error.epoch + 1} with learning rate {lr:g}; use {remedy}"
        ) from None
    metrics = []
    if test_rows.size:
        metrics = _held_out(predictor, chosen, X[test_rows], means[test_rows], means[train_rows].mean(axis=0))
    predictor.save(out)
    print(*metrics, f"wrote {out}", sep="\n")


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


def _held_out(predictor: Predictor, loss: losses.Loss, X: Array, means: Array, constant: Array) -> list[str]:
    # a line for each target: the metric of the model beside that of the constant (K,), both on held-out rows
    lines = []
    if loss.targets == "real":
        of_model, of_constant = table.r2(means, predictor.predict(X)), table.r2(means, constant)
        for name, value, beside in zip(predictor.targets, of_model, of_constant, strict=True):
            lines.append(f"held-out R² of {name}: {value:.4f} (the training mean alone: {beside:.4f})")
        return lines
    raw, base = predictor.predict(X, kind="raw"), np.log(constant / (1 - constant))
    for k, name in enumerate(predictor.targets):
        t = means[:, [k]]
        words = []
        for y in (raw[:, [k]], np.full_like(t, base[k])):
            accuracy = np.mean(loss.label(y) == (t > 0.5))
            words.append(f"mean {loss.name} {loss.value(y, t).mean():.4f}, accuracy {accuracy:.4f}")
        lines.append(f"held-out {name}: {words[0]} (the base rate alone: {words[1]})")
    return lines


def predict(model: str, file: str, kind: str, out: str) -> None:
    """Predict the targets for each row of FILE with a model that `fastgd train` wrote, as CSV."""
    _refuse_overwriting(out, model, file)
    predictor, rows = Predictor.load(model), table.read(file)
    y = predictor.predict(rows.numbers(predictor.features), kind)
    overflown = np.flatnonzero(~np.isfinite(y).all(axis=1))
    if overflown.size:
        raise ValueError(f"{rows.place(int(overflown[0]))}: the prediction is not a finite number")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(predictor.targets)
    writer.writerows(y.tolist())
    if out == "-":
        print(text.getvalue(), end="")
        return
    with open(out, "w", encoding="utf-8", newline="") as stream:
        stream.write(text.getvalue())


def _refuse_overwriting(out: str, *inputs: str) -> None:
    for path in inputs:
        if os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):
            raise ValueError(f"--out {out} is the file {path} that is read")


def info() -> None:
    """Print the version, the instruction set in use, and the compiler and flags that made it."""
    for name, value in show_config().items():
        print(f"{name}: {value}")


def _fail(error: Exception) -> NoReturn:
    # one line on standard error, exit status 2
    message = str(error)
    if isinstance(error, OSError) and error.filename:
        message = f"{error.filename}: {error.strerror}"
    print("Error:", *message.split(), file=sys.stderr)
    raise SystemExit(2)


def _one_line(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def run(**options: Any) -> None:
        try:
            command(**options)
        except BrokenPipeError:  # whoever reads the output has enough; click ends quietly
            raise
        except (ImportError, OSError, ValueError) as error:
            _fail(error)

    return run


def commands() -> click.Group:
    """Return the command ``fastgd`` with its subcommands.

    Raises
    ------
    ImportError
        click is not installed.

    Examples
    --------
    >>> from fastgd import cli
    >>> sorted(cli.commands().commands)
    ['info', 'predict', 'train']
    """
    click = extras.need("click", extra="cli", what="the command fastgd")

    def command(function: Callable[..., None], *params: Any) -> Any:
        return click.Command(
            function.__name__, callback=_one_line(function), params=list(params), help=function.__doc__
        )

    def option(names: str, help: str, **settings: Any) -> Any:
        return click.Option(names.split(), help=help, show_default=True, **settings)

    group = click.Group(help="Train linear models on files by gradient descent, one sample at a time.")
    group.add_command(
        command(
            train,
            click.Argument(["file"]),
            option("--target", "A column to predict; may be given several times.", multiple=True, required=True),
            option("--loss", "What a wrong prediction costs.", type=click.Choice(list(losses.registry)), default="mse"),
            option("--lr", "The learning rate.", default=0.001),
            option("--epochs", "How often each row is visited.", default=30),
            option("--batch-size", "Rows in an update.", default=1),
            option("--test-fraction", "The part of the rows that is held out.", default=0.2),
            option("--seed", "Seed of the split, the first weights and the order of visits.", default=0),
            option(
                "--standardize/--no-standardize",
                "Bring features, and targets that are numbers, to mean 0 and standard deviation 1.",
                default=True,
            ),
            option("--out", "Where the model is written.", default="model.npz"),
        )
    )
    group.add_command(
        command(
            predict,
            click.Argument(["model"]),
            click.Argument(["file"]),
            option(
                "--kind",
                "The target in its own units or its probability (mean), the decision (label), or what the model "
                "gives before its probability (raw).",
                type=click.Choice(KINDS),
                default="mean",
            ),
            option("--out", "Where predictions are written; - is standard output.", default="-"),
        )
    )
    group.add_command(command(info))
    group = click.version_option(package_name="fastgd", prog_name="fastgd")(group)
    return group


def main() -> None:
    """Run the command ``fastgd``."""
    try:
        group = commands()
    except ImportError as error:
        _fail(error)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a letter gets its escape
        sys.stdout.reconfigure(errors="backslashreplace")
    group(prog_name="fastgd")


if __name__ == "__main__":
    main()
