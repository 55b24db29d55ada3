"""Choices from the command line's options: a name in a registry, and numbers of its own through ``--set``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from fastgd import activations, losses, optimizers, penalties, schedules

REGISTRIES: dict[str, Mapping[str, type[Any]]] = {
    "loss": losses.registry,
    "activation": activations.registry,
    "optimizer": optimizers.registry,
    "penalty": penalties.registry,
    "schedule": schedules.registry,
}
FORM = "CHOICE.NAME=VALUE"


class Settings:
    """The numbers that options give to choices, each with the option that gave it, for messages.

    Parameters
    ----------
    pairs : sequence of str
        What ``--set`` was given: ``optimizer.momentum=0.9`` and the like. A value is a number, several of them with
        commas between, ``true`` or ``false``, or else a word.
    **named : tuple of str, str and a number or None
        Options for a number that have a name of their own: where it belongs, and its value if it was given.

    Raises
    ------
    ValueError
        A text of another form, or one number given twice.

    Examples
    --------
    >>> from fastgd.choices import Settings
    >>> settings = Settings(["optimizer.momentum=0.9", "optimizer.nesterov=true"], lr=("optimizer", "lr", 0.1))
    >>> settings.make("optimizer", "sgd")
    SGD(lr=0.1, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=True, lr_factors=(), decay_factors=())
    """

    def __init__(self, pairs: Sequence[str] = (), **named: tuple[str, str, float | None]) -> None:
        self._numbers: dict[str, dict[str, Any]] = {kind: {} for kind in REGISTRIES}
        self._options: dict[tuple[str, str], str] = {}
        for option, (kind, name, value) in named.items():
            if value is not None:
                self._add(f"--{option.replace('_', '-')} {value:g}", kind, name, value)
        for pair in pairs:
            place, equals, text = pair.partition("=")
            kind, dot, name = place.partition(".")
            if not (equals and dot and kind in REGISTRIES):
                raise ValueError(
                    f"--set {pair} must be {FORM} with CHOICE one of {', '.join(REGISTRIES)}, such as "
                    "optimizer.momentum=0.9"
                )
            self._add(f"--set {pair}", kind, name, _value(text))

    def _add(self, option: str, kind: str, name: str, value: Any) -> None:
        if name in self._numbers[kind]:
            raise ValueError(f"{option}: {kind}.{name} is given twice, by {self._options[kind, name]} too")
        self._numbers[kind][name], self._options[kind, name] = value, option

    def make(self, kind: str, choice: str | None) -> Any:
        """Return the choice of that name with the numbers that were given for it; None without a name.

        Raises
        ------
        ValueError
            Numbers that the choice does not have, or that it refuses, or that it needs and were not given.
        """
        numbers = self._numbers[kind]
        if choice is None:
            for name in numbers:
                raise ValueError(f"{self._options[kind, name]} needs --{kind}; allowed are {_listed(REGISTRIES[kind])}")
            return None
        chosen = REGISTRIES[kind][choice]
        defaults = numbers_of(chosen)
        for name in numbers:
            if name not in defaults:
                own = f"its own are {_listed(defaults)}" if defaults else "it has none of its own"
                raise ValueError(f"{self._options[kind, name]}: {kind} {choice!r} has no {name!r}; {own}")
        for name, default in defaults.items():
            if default is MISSING and name not in numbers:
                raise ValueError(f"--{kind} {choice} needs --set {kind}.{name}=VALUE")
        try:
            return chosen(**numbers)
        except (TypeError, ValueError) as error:
            raise ValueError(f"--{kind} {choice}: {error}") from None


def _value(text: str) -> Any:
    if "," in text:
        return tuple(_value(part) for part in text.split(","))
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            pass
    return text


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names)


def numbers_of(chosen: type[Any]) -> dict[str, Any]:
    """Return the names of the numbers that a choice takes, with their defaults (``dataclasses.MISSING`` for none).

    Examples
    --------
    >>> from fastgd import choices, penalties
    >>> choices.numbers_of(penalties.ElasticNet)
    {'alpha': 0.0001, 'l1_ratio': 0.15, 'include_bias': False}
    """
    return {field.name: field.default for field in fields(chosen)} if is_dataclass(chosen) else {}


def help_lines() -> list[str]:
    """Return a line for each choice that takes numbers: what ``--set`` may give it, with the defaults.

    Examples
    --------
    >>> from fastgd import choices
    >>> [line for line in choices.help_lines() if line.startswith("penalty l1")]
    ['penalty l1: alpha=0.0001 include_bias=false']
    """
    lines = []
    for kind, registry in REGISTRIES.items():
        for name, chosen in registry.items():
            words = [f"{number}={_text(default)}" for number, default in numbers_of(chosen).items()]
            if words:
                lines.append(f"{kind} {name}: {' '.join(words)}")
    return lines


def _text(value: Any) -> str:
    # as --set takes it
    if value is MISSING:
        return "VALUE"
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower()


def describe(choice: Any) -> str:
    """Return the name of a choice and the numbers that differ from its defaults, as ``--set`` takes them, but ``lr``.

    Examples
    --------
    >>> import fastgd
    >>> from fastgd import choices
    >>> choices.describe(fastgd.SGD(lr=0.1, momentum=0.9))
    'sgd with momentum=0.9'
    """
    numbers = {name: (default, getattr(choice, name)) for name, default in numbers_of(type(choice)).items()}
    words = [
        f"{name}={_text(value)}" for name, (default, value) in numbers.items() if value != default and name != "lr"
    ]
    return " with ".join([choice.name, " ".join(words)] if words else [choice.name])


def hidden_sizes(text: str | None) -> list[int]:
    """Return the sizes of hidden layers from a text such as ``64,32``; none for None.

    Raises
    ------
    ValueError
        The text is of another form.

    Examples
    --------
    >>> from fastgd import choices
    >>> choices.hidden_sizes("64,32")
    [64, 32]
    """
    if text is None:
        return []
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise ValueError(f"--hidden {text} must be integers of at least 1 with commas between, such as 64,32")
    return sizes
