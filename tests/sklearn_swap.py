"""A pytest plugin (``-p sklearn_swap``): fastgd's estimators stand in ``sklearn.linear_model`` for its own.

Loaded before any test module, so that classes derived there derive from fastgd's. Each test's report tells how many
fits of fastgd's it made (the property ``fits``). scikit-learn's own loop of epochs may not run at all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from sklearn import linear_model
from sklearn.linear_model import _stochastic_gradient

from fastgd import estimators

NAMES = ("SGDClassifier", "SGDRegressor", "SGDOneClassSVM")
fits = 0


def counted(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method, which counts its calls."""

    @functools.wraps(method)
    def count(*args: Any, **given: Any) -> Any:
        global fits
        fits += 1
        return method(*args, **given)

    return count


def forbidden(input_dtype: Any) -> None:
    """Take the place of the choice of scikit-learn's loop."""
    raise AssertionError("scikit-learn's own loop was asked for: an estimator was not swapped")


def swap() -> None:
    """Put fastgd's classes in the place of scikit-learn's."""
    for name in NAMES:
        ours = getattr(estimators, name)
        assert ours.__module__.startswith("fastgd.estimators")
        ours.fit, ours.partial_fit = counted(ours.fit), counted(ours.partial_fit)
        setattr(linear_model, name, ours)
    _stochastic_gradient._get_plain_sgd_function = forbidden


swap()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """Note how many fits the test makes."""
    before = fits
    try:
        return (yield)
    finally:
        item.user_properties.append(("fits", fits - before))
