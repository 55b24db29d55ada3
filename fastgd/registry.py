"""Registries of choices: a name for each, an instance from a name, and a clear message when there is none."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, asdict, dataclass, fields, is_dataclass
from functools import cache
from math import isfinite
from typing import Any, TypeVar, dataclass_transform

import numpy as np

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def choice(cls: type[T]) -> type[T]:
    """Make a dataclass of a :class:`Choice`.

    It is what ``dataclass(frozen=True)`` makes, of which only the constructor is generated: with all of it, for the
    thirty classes here, importing would take half as long again.
    """
    return dataclass(eq=False, repr=False)(cls)


@cache
def field_names(cls: type) -> tuple[str, ...]:
    """Return the names of a dataclass's fields, none of another class."""
    return tuple(field.name for field in fields(cls)) if is_dataclass(cls) else ()


class Choice:
    """A value: equal to those of the same class with the same fields, each of which is set once."""

    def _items(self) -> list[tuple[str, Any]]:
        kind: Any = type(self)
        return [(name, getattr(self, name)) for name in field_names(kind)]

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return type(self) is type(other) and isinstance(other, Choice) and self._items() == other._items()

    def __hash__(self) -> int:
        return hash((type(self), *self._items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._items())})"

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            raise FrozenInstanceError(f"{type(self).__name__}.{name} cannot be changed; make a new one")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"{type(self).__name__}.{name} cannot be deleted")


def find(kind: str, registry: Mapping[str, type[T]], choice: str | T, base: type[T]) -> T:
    """Return the choice itself, or a new one with its defaults when it is given by its name.

    Raises
    ------
    ValueError
        No choice has that name; the message lists those that exist.
    TypeError
        It is neither a name nor an instance of ``base``.
    """
    if isinstance(choice, str):
        if choice not in registry:
            raise ValueError(f"{kind}={choice!r} is not known; allowed are {', '.join(map(repr, registry))}")
        return registry[choice]()
    if isinstance(choice, base) and registry.get(getattr(choice, "name", "")) is type(choice):
        return choice
    raise TypeError(f"{kind} must be a name or an instance of fastgd's {kind} classes, not {choice!r}")


#: names of choices that are the user's own objects, which no name in a registry can bring back
OWN = ("own", "c_function")


def to_json(choice: Any) -> dict[str, Any]:
    """Describe a choice by its name and its parameters.

    Raises
    ------
    TypeError
        It is an object or a function of the user's own.
    """
    if choice.name in OWN:
        raise TypeError(f"{choice!r} cannot be saved: it is no name and numbers; give it again after loading")
    return {"name": choice.name, **(asdict(choice) if is_dataclass(choice) and not isinstance(choice, type) else {})}


def from_json(kind: str, registry: Mapping[str, type[T]], described: Mapping[str, Any]) -> T:
    """Make the choice that :func:`to_json` described."""
    if not isinstance(described, Mapping):
        raise ValueError(f"{kind} {described!r} is not a description of one")
    name = str(described.get("name"))
    if name not in registry:
        raise ValueError(f"{kind} {name!r} is not known; allowed are {', '.join(map(repr, registry))}")
    return registry[name](**{key: value for key, value in described.items() if key != "name"})


def check_number(name: str, value: Any, low: float = 0.0, open_below: bool = False) -> float:
    """Return the value as a float, or refuse it unless it is a finite number of at least (or above) ``low``."""
    allowed = f"a finite number {'above' if open_below else 'of at least'} {low:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}={value!r} must be {allowed}")
    number = float(value)
    if not isfinite(number) or number < low or (open_below and number == low):
        raise ValueError(f"{name}={value!r} must be {allowed}")
    return number


def check_count(name: str, value: Any, low: int = 1) -> int:
    """Return the value as an int, or refuse it unless it is an integer of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}={value!r} must be an integer of at least {low}")
    if value < low:
        raise ValueError(f"{name}={value!r} must be an integer of at least {low}")
    return int(value)


def generator(seed: Any) -> np.random.Generator:
    """Return NumPy's generator for the seed: None, an integer of at least 0, or a generator, which is copied."""
    try:
        return np.random.default_rng(copy.deepcopy(seed))
    except (TypeError, ValueError):
        allowed = "None, an integer of at least 0 or a numpy.random.Generator"
        raise type_or_value(seed)(f"seed={seed!r} must be {allowed}") from None


def type_or_value(value: Any) -> type[TypeError] | type[ValueError]:
    """Return ValueError for a number that is not allowed, TypeError for anything that is none."""
    return ValueError if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) else TypeError


def check_flag(name: str, value: Any) -> bool:
    """Return the value as a bool, or refuse it unless it is one."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}={value!r} must be True or False")
    return bool(value)
