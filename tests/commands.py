"""The command line as tests call it."""

from __future__ import annotations

import numpy as np
from click.testing import CliRunner

from fastgd import cli


def run(*arguments):
    return CliRunner().invoke(cli.commands(), [str(argument) for argument in arguments])


def succeed(*arguments):
    """Run a command that must not fail, and return what it prints."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def refused(*arguments):
    """Run a command that must fail with one line, and return it."""
    result = run(*arguments)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.endswith("\n")
    return result.stderr


def saved(path="model.npz"):
    """Return the arrays in a model's file."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
