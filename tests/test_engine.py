"""The engine under trainer and estimators: passes over rows that are kept in hand."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import fastgd
from fastgd import data, losses
from fastgd.engine import Engine
from fastgd.method import Method

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 5))
T = rng.normal(size=40)
EXPONENTIAL = fastgd.schedules.Exponential(gamma=0.5)
OPTIMIZERS = (fastgd.SGD(lr=0.05), fastgd.SGD(lr=0.01, momentum=0.9), fastgd.Adam(lr=0.01))


def engine(optimizer: Any, schedule: Any = "constant", loss: Any = "mse") -> Engine:
    model, loss = fastgd.Linear(5, 1, seed=1), losses.get(loss)
    return Engine(model, loss, Method.make(loss, model.sizes, optimizer=optimizer, schedule=schedule), 1)


def checked(of: Engine, storage: str) -> data.Rows:
    rows = {"in place": X, "csr": scipy.sparse.csr_array(X), "converted": X.astype(np.float32)}[storage]
    return data.check_rows(rows, T, None, (5, 1), of.dtype, of.loss)


@pytest.mark.parametrize("storage", ["in place", "csr", "converted"])
def test_engines_that_take_turns_at_the_same_rows_do_not_meet(storage):
    together, alone = ([engine(optimizer) for optimizer in OPTIMIZERS] for _ in range(2))
    shared = checked(together[0], storage)
    for epoch in range(4):
        order = np.random.default_rng(epoch).permutation(len(X))
        for one, other in zip(together, alone, strict=True):
            one.visit(shared, order)
            other.visit(checked(other, storage), order)
            one.step(checked(one, storage))
            other.step(checked(other, storage))
    for one, other in zip(together, alone, strict=True):
        assert one.params.tobytes() == other.params.tobytes()
        assert one.counters.tolist() == other.counters.tolist()
        assert one.totals.tolist() == other.totals.tolist()


def test_a_pass_in_hand_follows_the_schedule_and_the_trace():
    made, again = engine("sgd", schedule=EXPONENTIAL), engine("sgd", schedule=EXPONENTIAL)
    rows = checked(made, "in place")
    traces: list[Any] = []
    for epoch in range(3):
        made.counters[0] = again.counters[0] = epoch
        made.visit(rows, on_trace=(lambda trace, path: traces.append(trace)) if epoch == 1 else None)
        again.visit(checked(again, "in place"))
        assert [len(trace) for trace in traces] == [len(X)] * (epoch >= 1)
        np.testing.assert_allclose(made.params, again.params, rtol=1e-12)  # a traced pass goes row by row


def test_rows_are_not_kept_when_training_has_ended():
    given = X.copy()
    trainer = fastgd.Trainer(fastgd.Linear(5, 1))
    trainer.run(given, T, epochs=2)
    assert sys.getrefcount(given) == 2  # this name's and the call's own
