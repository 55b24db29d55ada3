"""The command line: what is typed becomes a call of a task, and what goes wrong one line."""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from fastgd import choices, extras, tasks
from fastgd.model import KINDS

if TYPE_CHECKING:
    import click


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
        except (ImportError, MemoryError, OSError, ValueError) as error:
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

    def command(function: Callable[..., None], *params: Any, epilog: str | None = None) -> Any:
        return click.Command(
            function.__name__, callback=_one_line(function), params=list(params), help=function.__doc__, epilog=epilog
        )

    def option(names: str, help: str, **settings: Any) -> Any:
        return click.Option(names.split(), help=help, **{"show_default": True, **settings})

    def choice(kind: str, help: str, **settings: Any) -> Any:
        return option(f"--{kind}", help, type=click.Choice(list(choices.REGISTRIES[kind])), **settings)

    group = click.Group(help="Train linear models and small networks on files by gradient descent, sample by sample.")
    group.add_command(
        command(
            tasks.train,
            click.Argument(["file"]),
            option("--target", "A column to predict; may be given several times.", multiple=True, required=True),
            option(
                "--classes", "Integers in the target column, or text that may be numbers, are classes.", is_flag=True
            ),
            option("--hidden", "Units of each hidden layer, such as 64,32, for a network.", show_default="none"),
            choice("activation", "That of the hidden layers.", show_default="relu"),
            choice(
                "loss",
                "What a wrong prediction costs.",
                show_default="mse; for two classes log_loss, for more cross_entropy",
            ),
            choice("optimizer", "How the weights move along the gradient.", default="sgd"),
            option("--lr", "The learning rate.", type=float, show_default="the optimizer's"),
            choice("penalty", "The price of large weights.", show_default="none"),
            option("--alpha", "The strength of the penalty.", type=float, show_default="the penalty's"),
            option("--l1-ratio", "The part of L1 in elasticnet.", type=float, show_default="the penalty's"),
            choice("schedule", "The course of the learning rate.", default="constant"),
            option(
                "--set numbers",
                f"A number of a choice, as {choices.FORM}: optimizer.momentum=0.9, loss.delta=2; may be given several "
                "times. All of them are listed below.",
                multiple=True,
                metavar=choices.FORM,
            ),
            option("--average", "Keep the mean of the weights after all updates, not the last weights.", is_flag=True),
            option("--clip-value", "The largest slope by a weight in an update.", type=float, show_default="none"),
            option("--clip-norm", "The largest norm of an update's gradient.", type=float, show_default="none"),
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
            epilog="\n".join(["\b", "What --set takes, with the defaults:", *choices.help_lines()]),
        )
    )
    group.add_command(
        command(
            tasks.predict,
            click.Argument(["model"]),
            click.Argument(["file"]),
            option(
                "--kind",
                "The target in its own units, or the probability of each class (mean); the decision (label); or what "
                "the model gives before either (raw).",
                type=click.Choice(KINDS),
                show_default="label for classes, mean for numbers",
            ),
            option("--out", "Where predictions are written; - is standard output.", default="-"),
        )
    )
    group.add_command(command(tasks.info, click.Argument(["model"], required=False)))
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
