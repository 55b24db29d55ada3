"""Passes that take several rows or units at once make the same steps as one sample a call."""

from __future__ import annotations

import numpy as np
import pytest

import fastgd

SIZES = [(4, 8, 2), (16, 32, 1), (5, 37, 3), (40, 3, 2), (300, 40, 2), (7, 3), (300, 5)]
ROWS = 61


def problem(sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, sizes[0])), rng.normal(size=(ROWS, sizes[-1]))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("penalty", [None, fastgd.penalties.L2(0.5)])
@pytest.mark.parametrize("sizes", SIZES)
def test_a_pass_makes_the_steps_of_single_samples(sizes, penalty, bias):
    X, T = problem(sizes)
    one, other = (fastgd.MLP(sizes, activation="relu", bias=bias, seed=1) for _ in range(2))
    choices = {"loss": "sse", "optimizer": fastgd.SGD(lr=0.05 / sizes[0]), "penalty": penalty}
    fastgd.train(one, X, T, **choices)
    trainer = fastgd.Trainer(other, **choices)
    for x, t in zip(X, T, strict=True):
        trainer.step(x, t)
    assert np.abs(one.params - other.params).max() <= 1e-12 * np.abs(other.params).max()


@pytest.mark.parametrize("sizes", SIZES)
def test_a_row_of_weight_zero_is_as_if_it_was_not_there(sizes):
    X, T = problem(sizes)
    weights = np.arange(ROWS) % 3 * 1.0
    one, other = (fastgd.MLP(sizes, activation="relu", seed=1) for _ in range(2))
    choices = {"loss": "sse", "optimizer": fastgd.SGD(lr=0.05 / sizes[0])}
    fastgd.train(one, np.where(weights[:, None] > 0, X, 1e9), T, sample_weight=weights, **choices)
    fastgd.train(other, X[weights > 0], T[weights > 0], sample_weight=weights[weights > 0], **choices)
    np.testing.assert_array_equal(one.params, other.params)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("row", [0, 20, ROWS - 1])
def test_a_row_that_is_not_finite_is_named_and_nothing_moves(sizes, row):
    X, T = problem(sizes)
    X[row, 1] = np.inf
    model = fastgd.MLP(sizes, activation="relu", seed=1)
    before = model.params.copy()
    with pytest.raises(ValueError, match=rf"row {row}\b"):
        fastgd.train(model, X, T, loss="sse", optimizer=fastgd.SGD(lr=0.001))
    np.testing.assert_array_equal(model.params, before)
