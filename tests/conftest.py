"""Fixtures that walk the registries: a new loss is tested by everything that uses them on the day it is added."""

from __future__ import annotations

import numpy as np
import pytest

from fastgd import losses


@pytest.fixture(autouse=True)
def the_same_numbers_in_every_run() -> None:
    """Seed the generator that estimators without a random_state draw from: in some orders of rows training diverges."""
    np.random.seed(0)  # noqa: NPY002


@pytest.fixture(params=sorted(losses.registry))
def loss(request: pytest.FixtureRequest) -> losses.Loss:
    """Every registered loss, with its defaults."""
    return losses.get(request.param)


@pytest.fixture(params=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)
