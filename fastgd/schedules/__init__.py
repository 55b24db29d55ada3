"""Schedules: the learning rate of each update, from the optimizer's ``lr``.

A schedule holds no state, so one can serve many trainers: what it needs to know of the past is given to ``rate``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

from fastgd.registry import find
from fastgd.schedules.base import Schedule
from fastgd.schedules.decays import Cosine, Exponential, StepLR, Warmup
from fastgd.schedules.online import Adaptive, Constant, InvScaling, Optimal, Own
from fastgd.schedules.passive import PA1, PA2, PassiveAggressive

__all__ = [
    "PA1", "PA2", "Adaptive", "Constant", "Cosine", "Exponential", "InvScaling", "Optimal", "Own", "PassiveAggressive",
    "Schedule", "StepLR", "Warmup", "get", "registry",
]  # fmt: skip

registry: dict[str, type[Schedule]] = {
    choice.name: choice
    for choice in (Constant, Optimal, InvScaling, Adaptive, PA1, PA2, StepLR, Exponential, Cosine, Warmup)
}


def get(schedule: str | Schedule | Callable[[int], float]) -> Schedule:
    """Return the schedule of that name with its defaults, the schedule itself, or one of a function's.

    Examples
    --------
    >>> from fastgd import schedules
    >>> schedules.get("invscaling")
    InvScaling(power_t=0.25)
    """
    given: Any = schedule
    if callable(given) and not isinstance(given, (Schedule, type)):
        return Own(given)
    if isinstance(given, Own):
        return given
    choice: Any = registry.get(given) if isinstance(given, str) else None
    for field in () if choice is None else fields(choice):
        if field.default is MISSING:
            example = f"schedules.{choice.__name__}({field.name}=…)"
            raise ValueError(f"schedule={given!r} has no default {field.name}; give {example}")
    known: str | Schedule = given
    return find("schedule", registry, known, Schedule)
