"""Schedules in training: what the rate of each update was, judged by a loop in NumPy that is given the rates."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.sparse as sp
from passes import address_free, relative
from test_interruption import interrupt_at

import fastgd
from fastgd import schedules

N, D, LR = 30, 4, 0.05
rng = np.random.default_rng(0)
X = rng.normal(size=(N, D))
T = X @ rng.normal(size=D) + rng.normal(size=N)

#: each schedule by epoch, and the factor of its rate after n epochs
BY_EPOCH = {
    "step": (schedules.StepLR(2, 0.5), lambda n: 0.5 ** (n // 2)),
    "exponential": (schedules.Exponential(0.7), lambda n: 0.7**n),
    "cosine": (schedules.Cosine(4), lambda n: (1 + math.cos(math.pi * n / 4)) / 2),
    "warmup": (schedules.Warmup(3, 0.25), lambda n: 0.25 + 0.75 * min(n, 3) / 3),
}
#: each schedule by step, and the factor of the rate of update t = 1, 2, ...
BY_STEP = {
    "step": (schedules.StepLR(20, 0.5, by="step"), lambda t: 0.5 ** ((t - 1) // 20)),
    "exponential": (schedules.Exponential(0.97, by="step"), lambda t: 0.97 ** (t - 1)),
    "cosine": (schedules.Cosine(50, by="step"), lambda t: (1 + math.cos(math.pi * (t - 1) / 50)) / 2),
    "warmup": (schedules.Warmup(40, 0.25, by="step"), lambda t: 0.25 + 0.75 * min(t - 1, 40) / 40),
    "invscaling": (schedules.InvScaling(0.3), lambda t: t**-0.3),
    "optimal": (
        schedules.Optimal(alpha=1.0),
        lambda t: 1 / (LR * t),
    ),  # w = 1, and MSE's slope at −1 is below 1: t₀ = 1
    "a function": (lambda t: 1 / t, lambda t: 1 / t),
    "a function to zero": (lambda t: 1 - t / (3 * N), lambda t: 1 - t / (3 * N)),
    "a table": (lambda t: [0.1, 1.0][t % 2], lambda t: [0.1, 1.0][t % 2]),
}


def by_hand(factors, batch_size=1, epochs=3):
    """Return (w, b) after so many epochs of SGD on the mean squared error, its rates LR times the factors."""
    w = model().params.copy()
    factors = iter(factors)
    for _ in range(epochs):
        for begin in range(0, N, batch_size):
            A = np.column_stack([X, np.ones(N)])[begin : begin + batch_size]
            w -= LR * next(factors) * 2 * (A @ w - T[begin : begin + batch_size]) @ A / len(A)
    return w


def model():
    return fastgd.Linear(D, 1, seed=1)


def trainer(schedule, **options):
    return fastgd.Trainer(model(), optimizer=fastgd.SGD(lr=LR), schedule=schedule, **options)


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("name", BY_EPOCH)
def test_a_rate_by_epoch_changes_when_a_run_ends_an_epoch(name, batch_size, tmp_path):
    schedule, factor = BY_EPOCH[name]
    updates = -(-N // batch_size)
    expected = by_hand([factor(epoch) for epoch in range(5) for _ in range(updates)], batch_size, 5)
    for given in (X, sp.csr_array(X)):
        whole, cut = trainer(schedule, batch_size=batch_size), trainer(schedule, batch_size=batch_size)
        whole.run(given, T, epochs=5)
        for epochs in (1, 3, 1):
            cut.run(given, T, epochs=epochs)
            cut.save(tmp_path / "trainer.npz")
            cut = fastgd.Trainer.load(tmp_path / "trainer.npz")
        assert relative(whole.model.params, expected) < 1e-12
        assert relative(cut.model.params, expected) < 1e-12


@pytest.mark.parametrize("name", BY_EPOCH)
def test_a_rate_by_epoch_stays_as_it_is_under_steps(name):
    schedule, factor = BY_EPOCH[name]
    stepped = trainer(schedule)
    stepped.run(X, T, epochs=2)
    for _ in range(2):
        for x, t in zip(X, T):
            stepped.step(x, t)
    stepped.run(X, T)
    epochs = [0, 1, 2, 2, 2]  # no step ends an epoch
    assert relative(stepped.model.params, by_hand([factor(n) for n in epochs for _ in range(N)], epochs=5)) < 1e-12


@pytest.mark.parametrize("name", BY_EPOCH)
def test_an_epoch_that_is_interrupted_keeps_its_rate(name, monkeypatch):
    monkeypatch.setattr("fastgd.slices.SECONDS", 3e-7)
    schedule, factor = BY_EPOCH[name]
    cut = trainer(schedule)
    interrupt_at(cut, 4)
    with pytest.raises(KeyboardInterrupt):
        cut.run(X, T, epochs=5)
    cut.run(X, T, epochs=5 - cut.history.epochs)
    assert relative(cut.model.params, by_hand([factor(n) for n in range(5) for _ in range(N)], epochs=5)) < 1e-12


@pytest.mark.parametrize("name", BY_STEP)
def test_a_rate_by_step_is_the_same_in_any_cut(name, tmp_path):
    schedule, factor = BY_STEP[name]
    expected = by_hand([factor(t) for t in range(1, 3 * N + 1)])
    for given in (X, sp.csr_array(X)):
        whole, cut, stepped = trainer(schedule), trainer(schedule), trainer(schedule)
        whole.run(given, T, epochs=3)
        for epoch, (a, b) in itertools.product(range(3), itertools.pairwise([0, 1, 11, 12, N])):
            cut.run(given[a:b], T[a:b])
            if epoch == 1:
                cut.save(tmp_path / "trainer.npz")
                own = {"schedule": schedule} if name.startswith("a ") else {}
                cut = fastgd.Trainer.load(tmp_path / "trainer.npz", **own)
        for row in (*range(N), *range(N), *range(N)):
            stepped.step(given[row : row + 1], T[row : row + 1])
        for trained in (whole, cut, stepped):
            assert relative(trained.model.params, expected) < 1e-12
            assert trained.updates == 3 * N


@pytest.mark.parametrize("batch_size", [1, 7, 30])
@pytest.mark.parametrize("length", ["as many as updates", "one more"])
def test_a_function_is_asked_for_no_update_that_is_not_made(batch_size, length):
    # one that knows a fixed number of updates, such as a table or a line down to zero, must do
    updates = 3 * -(-N // batch_size)
    rates = np.linspace(1, 0, updates + (length == "one more"))
    trained = trainer(lambda t: float(rates[t - 1]), batch_size=batch_size)
    trained.run(X, T, epochs=3)
    assert relative(trained.model.params, by_hand(rates, batch_size)) < 1e-12
    stepped = trainer(lambda t: [1.0, 0.5][t - 1])
    stepped.step(X[0], T[0])
    stepped.step(X[1:3], T[1:3])


def adaptive_by_hand(schedule, epochs):
    """Return the weights and the losses of each epoch, by scikit-learn's rule on the mean losses."""
    w, factor, best, stuck, all_losses = model().params.copy(), 1.0, math.inf, 0, []
    A = np.column_stack([X, np.ones(N)])
    for _ in range(epochs):
        losses = []
        for a, t in zip(A, T):
            error = a @ w - t
            losses.append(error**2)
            w -= LR * factor * 2 * error * a
        all_losses.append(np.mean(losses))
        stuck = stuck + 1 if all_losses[-1] > best - schedule.tol else 0
        best = min(best, all_losses[-1])
        if stuck >= schedule.patience:
            if factor * LR <= schedule.min_lr:
                break
            factor, stuck = factor * schedule.factor, 0
    return w, all_losses


@pytest.mark.parametrize("saved", [False, True], ids=["", "through a file"])
def test_adaptive_cuts_the_rate_and_stops_the_run(saved, tmp_path):
    schedule = schedules.Adaptive(factor=0.5, tol=1e-3, patience=2, min_lr=0.01)
    expected, wanted = adaptive_by_hand(schedule, 500)
    assert 8 < len(wanted) < 500
    trained, called = trainer(schedule), []
    trained.callbacks = (lambda history: called.append(history.epochs),)
    if saved:
        trained.callbacks = ()
        while len(trained.history.loss) < len(wanted):
            trained.run(X, T, epochs=min(3, len(wanted) - len(trained.history.loss)))
            trained.save(tmp_path / "trainer.npz")
            trained = fastgd.Trainer.load(tmp_path / "trainer.npz")
    else:
        trained.run(X, T, epochs=500)
        assert called == list(range(1, len(wanted) + 1))
    np.testing.assert_allclose(trained.history.loss, wanted, rtol=1e-12)
    assert relative(trained.model.params, expected) < 1e-12
    trained.run(X, T, epochs=10)
    assert trained.history.epochs == len(wanted) + 1  # each run makes an epoch before it is stopped


def test_adaptive_and_steps_between_epochs():
    # a step has the rate of the epochs behind it, and is no epoch itself
    schedule = schedules.Adaptive(factor=0.5, tol=100.0, patience=1, min_lr=1e-9)
    trained = trainer(schedule)
    trained.run(X, T, epochs=3)  # no epoch but the first makes progress by 100
    before, losses = trained.model.params.copy(), list(trained.history.loss)
    trained.step(X[0], T[0])
    a = np.append(X[0], 1)
    assert relative(trained.model.params, before - LR * 0.25 * 2 * (a @ before - T[0]) * a) < 1e-12
    assert trained.history.loss == losses


BAD = {
    "nan": (lambda t: math.nan, ValueError, r"schedule\(50\)=nan must be a finite number of at least 0"),
    "inf": (lambda t: math.inf, ValueError, r"schedule\(50\)=inf must be a finite number of at least 0"),
    "negative": (lambda t: -0.5, ValueError, r"schedule\(50\)=-0.5 must be a finite number of at least 0"),
    "text": (lambda t: "a", TypeError, r"schedule\(50\)='a' must be a finite number of at least 0"),
    "nothing": (lambda t: None, TypeError, r"schedule\(50\)=None must be a finite number of at least 0"),
    "an error": (lambda t: 1 // (t - t), ZeroDivisionError, "by zero"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("options", [{}, {"average": True, "penalty": "l1"}], ids=address_free)
def test_a_function_that_gives_no_rate_changes_nothing(bad, options):
    returned, error, message = BAD[bad]
    spoilt = [True]
    trained = trainer(lambda t: returned(t) if t == 50 and spoilt[0] else 1.0, **options)
    whole = trainer("constant", **options)
    trained.run(X, T)
    engine_ = trained._engine
    held = [engine_.params, engine_.state, engine_.counters, trained.model.params]
    before, losses = [array.copy() for array in held], list(trained.history.loss)
    with pytest.raises(error, match=message):
        trained.run(X, T)
    for array, old in zip(held, before):
        np.testing.assert_array_equal(array, old)
    assert (trained.history.loss, trained.updates, trained.position) == (losses, N, 0)
    spoilt[0] = False
    trained.run(X, T)
    whole.run(X, T, epochs=2)
    assert relative(trained.model.params, whole.model.params) < 1e-13


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("options", [{}, {"average": True, "penalty": "l1"}], ids=address_free)
def test_a_step_without_a_rate_changes_nothing(bad, options):
    returned, error, _ = BAD[bad]
    stepped = trainer(lambda t: returned(t) if t == 3 else 1.0, **options)
    stepped.step(X[0], T[0])
    stepped.step(X[1], T[1])
    before = stepped.model.params.copy()
    with pytest.raises(error):
        stepped.step(X[2], T[2])
    assert stepped.model.params.tobytes() == before.tobytes()
    assert stepped.updates == 2


def test_rates_past_their_end_and_a_rate_of_zero():
    trained = trainer(schedules.Cosine(1))
    trained.run(X, T)
    before = trained.model.params.copy()
    trained.run(X, T)  # the second epoch's rate is 0
    assert trained.model.params.tobytes() == before.tobytes()
    assert len(trained.history.loss) == 2
