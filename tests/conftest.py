"""Fixtures that walk the registries: a new loss is tested by everything that uses them on the day it is added."""

from __future__ import annotations

import pytest

from fastgd import losses


@pytest.fixture(params=sorted(losses.registry))
def loss(request: pytest.FixtureRequest) -> losses.Loss:
    """Every registered loss, with its defaults."""
    return losses.get(request.param)


@pytest.fixture(params=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)
