"""Losses of the user's own, through everything that takes a loss: the built-in's numbers for the same formula."""

from __future__ import annotations

import ctypes

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from passes import address_free, relative

import fastgd
from fastgd import losses, optimizers, penalties

N, D = 90, 6
rng = np.random.default_rng(0)
X = rng.normal(size=(N, D)) * (rng.random((N, D)) < 0.6)
GIVEN = {"dense": X, "CSR": sp.csr_array(X)}
WEIGHTS = rng.choice([0.0, 0.5, 1, 2], size=N)


class OwnMSE:
    def value(self, y, t):
        return ((y - t) ** 2).mean(axis=-1)

    def slope(self, y, t):
        return 2 * (y - t) / y.shape[-1]


class OwnLogLoss:
    targets = "binary"

    def value(self, y, t):
        return (np.logaddexp(0, y) - t * y).sum(axis=-1)

    def slope(self, y, t):
        return 1 / (1 + np.exp(-y)) - t


class OwnCrossEntropy:
    targets = "classes"

    def value(self, y, t):
        right = np.take_along_axis(y, t.astype(int), axis=-1)
        return np.log(np.exp(y).sum(axis=-1)) - right[..., 0]

    def slope(self, y, t):
        shares = np.exp(y) / np.exp(y).sum(axis=-1, keepdims=True)
        return shares - (np.arange(y.shape[-1]) == t)


OWN = {"mse": OwnMSE(), "log_loss": OwnLogLoss(), "cross_entropy": OwnCrossEntropy()}


@numba.cfunc("double(double, double, CPointer(double))")
def squares(y, t, slope_out):
    slope_out[0] = 2 * (y - t)
    return (y - t) ** 2


@numba.cfunc("double(double, double, CPointer(double))")
def logistic(y, t, slope_out):
    slope_out[0] = 1 / (1 + np.exp(-y)) - t
    return np.log1p(np.exp(-abs(y))) + max(y, 0) - t * y


@ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double, ctypes.POINTER(ctypes.c_double))
def squares_in_ctypes(y, t, slope_out):
    slope_out[0] = 2 * (y - t)
    return (y - t) ** 2


FUNCTIONS = {
    "Numba, sse": (losses.CFunction(squares), "sse"),
    "ctypes, sse": (losses.CFunction(squares_in_ctypes), "sse"),
    "an address, sse": (losses.CFunction(squares.address), "sse"),
    "Numba, log_loss": (losses.CFunction(logistic, targets="binary"), "log_loss"),
}
PAIRS = {**{name: (own, name) for name, own in OWN.items()}, **FUNCTIONS}

METHODS = {
    **{name: {"optimizer": choice(lr=0.03)} for name, choice in optimizers.registry.items()},
    "momentum, clipped, averaged": {
        "optimizer": fastgd.SGD(lr=0.01, momentum=0.9, nesterov=True), "clip_norm": 0.5, "clip_value": 0.2, "average": 9
    },
    "l1, weighted, shuffled": {"penalty": penalties.L1(0.05), "sample_weight": WEIGHTS, "shuffle": True, "seed": 2},
    "l2, batches": {"penalty": penalties.L2(0.2), "batch_size": 7, "average": True, "schedule": "invscaling"},
    "elasticnet, by epoch": {"penalty": "elasticnet", "schedule": fastgd.schedules.Exponential(0.5)},
    "a function of the step": {"schedule": lambda t: 1 / t**0.5},
}  # fmt: skip


def targets(loss, K, signed=False):
    kind = losses.get(loss).targets
    raw = X @ np.random.default_rng(1).normal(size=(D, K))
    if kind == "classes":
        return raw.argmax(axis=1)
    return raw + 1 if kind == "real" else (2 * (raw > 0) - 1 if signed else (raw > 0).astype(float))


def model(sizes, dtype="float64"):
    return fastgd.MLP(sizes, "tanh", dtype=dtype, seed=1)


def fit(loss, given, T, sizes, dtype="float64", **options):
    fitted = model(sizes, dtype)
    return fitted, fastgd.train(fitted, given, T, loss=loss, epochs=2, **options)


def compare(pair, given, K, hidden=(), tolerance=1e-12, **options):
    own, name = PAIRS[pair]
    T, sizes = targets(name, K), (D, *hidden, K)
    expected, wanted = fit(name, given, T, sizes, X_val=given, t_val=T, **options)
    fitted, history = fit(own, given, T, sizes, X_val=given, t_val=T, **options)
    assert relative(fitted.params, expected.params) < tolerance
    np.testing.assert_allclose(history.loss, wanted.loss, rtol=tolerance)
    np.testing.assert_allclose(history.val_loss, wanted.val_loss, rtol=tolerance)


@pytest.mark.parametrize("storage", GIVEN)
@pytest.mark.parametrize("method", METHODS)
def test_an_object_gives_the_built_in_losses_weights(method, storage):
    for name, K, hidden in (("mse", 1, ()), ("mse", 3, (4,)), ("log_loss", 3, ()), ("cross_entropy", 3, (4,)),
                            ("cross_entropy", 2, ())):  # fmt: skip
        compare(name, GIVEN[storage], K, hidden, **METHODS[method])


@pytest.mark.parametrize("storage", GIVEN)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pair", FUNCTIONS)
def test_a_c_function_gives_the_built_in_losses_weights(pair, method, storage):
    for K, hidden in ((1, ()), (3, ()), (3, (4,))):
        compare(pair, GIVEN[storage], K, hidden, **METHODS[method])


@pytest.mark.parametrize("pair", PAIRS)
def test_own_losses_in_float32(pair):
    own, name = PAIRS[pair]
    T = targets(name, 3)
    expected, _ = fit(name, X, T, (D, 4, 3), "float32")
    fitted, _ = fit(own, X, T, (D, 4, 3), "float32")
    assert relative(fitted.params, expected.params) < 1e-4


@pytest.mark.parametrize("pair", FUNCTIONS)
@pytest.mark.parametrize("schedule", ["pa1", "pa2", fastgd.schedules.Optimal(alpha=1.0)], ids=address_free)
def test_schedules_that_look_at_the_loss(pair, schedule):
    for storage in GIVEN.values():
        compare(pair, storage, 2, schedule=schedule, optimizer=fastgd.SGD(lr=0.1))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("storage", GIVEN)
def test_evaluation_gradients_and_traces(pair, storage):
    own, name = PAIRS[pair]
    T, given = targets(name, 3), GIVEN[storage]
    for hidden in ((), (4,)):
        fitted = model((D, *hidden, 3))
        assert fastgd.evaluate(fitted, given, T, own, WEIGHTS) == pytest.approx(
            fastgd.evaluate(fitted, given, T, name, WEIGHTS), rel=1e-13
        )
        for x, t in ((given, T), (X[3], T[3])):
            value, slopes = fastgd.gradient(fitted, x, t, own)
            wanted, expected = fastgd.gradient(fitted, x, t, name)
            assert value == pytest.approx(wanted, rel=1e-13)
            for key, slope in slopes.items():
                assert relative(slope, expected[key]) < 1e-13
        _, history = fit(own, given, T, fitted.sizes, trace=True)
        _, wanted = fit(name, given, T, fitted.sizes, trace=True)
        for key in ("loss", "grad_norm", "params"):
            assert relative(getattr(history.trace, key), getattr(wanted.trace, key)) < 1e-12


def test_predictions_after_an_own_loss():
    fitted, _ = fit(OWN["mse"], X, targets("mse", 3), (D, 3))
    np.testing.assert_array_equal(fitted.predict(X, "mean"), fitted.predict(X))
    for pair in ("log_loss", "Numba, log_loss"):
        for signed in (False, True):
            fitted, _ = fit(PAIRS[pair][0], X, targets("log_loss", 1, signed)[:, 0], (D, 1))
            expected, _ = fit("log_loss", X, targets("log_loss", 1, signed)[:, 0], (D, 1))
            np.testing.assert_array_equal(fitted.predict(X, "label"), expected.predict(X, "label"))
            with pytest.raises(ValueError, match="has no link that is known"):
                fitted.predict(X, "mean")
    fitted, _ = fit(OWN["cross_entropy"], X, targets("cross_entropy", 3), (D, 3))
    np.testing.assert_array_equal(fitted.predict(X, "label"), fitted.predict(X).argmax(axis=1))


@pytest.mark.parametrize("pair", PAIRS)
def test_steps_and_files_go_on(pair, tmp_path):
    own, name = PAIRS[pair]
    T = targets(name, 3)
    trainer = fastgd.Trainer(model((D, 4, 3)), loss=own, optimizer=fastgd.Adam(lr=0.01), average=5)
    whole = fastgd.Trainer(model((D, 4, 3)), loss=name, optimizer=fastgd.Adam(lr=0.01), average=5)
    whole.run(X, T, epochs=2)
    trainer.run(X, T)
    trainer.save(tmp_path / "trainer.npz")
    with pytest.raises(ValueError, match="give it again as loss="):
        fastgd.Trainer.load(tmp_path / "trainer.npz")
    trainer = fastgd.Trainer.load(tmp_path / "trainer.npz", loss=own)
    for x, t in zip(X, T):
        trainer.step(x, t)
    assert relative(trainer.model.params, whole.model.params) < 1e-12
    assert trainer.loss.compiled == (pair in FUNCTIONS)
    trainer.model.predict(X, "raw")


# ------------------------------------------------------------------------------------------- losses that go wrong


class Failing(OwnMSE):
    """A loss that fails at its call of that number."""

    def __init__(self, method, call, how):
        self.method, self.left, self.how = method, call, how

    def _returned(self, method, array):
        if method != self.method:
            return array
        self.left -= 1
        if self.left != 0:
            return array
        if isinstance(self.how, type):
            raise self.how("failed")
        return self.how(np.asarray(array))

    def value(self, y, t):
        return self._returned("value", super().value(y, t))

    def slope(self, y, t):
        return self._returned("slope", super().slope(y, t))


def held(trainer):
    engine_, history = trainer._engine, trainer.history
    arrays = [trainer.model.params, engine_.params, engine_.state, engine_.gradient, engine_.counters]
    arrays += [] if engine_.paid is None else [engine_.paid[: engine_.params.size]]  # the rest is scratch
    return [array.tobytes() for array in arrays], list(history.loss), trainer.updates, trainer.position


FAILURES = {
    "a slope of another shape": ("slope", lambda a: np.append(a, 1), TypeError, r"slope of .* \(4,\), not \(3,\)"),
    "a slope that is a number": ("slope", lambda a: 1.0, TypeError, r"slope of loss .* shape \(\), not \(3,\)"),
    "a value for each output": ("value", lambda a: np.ones(3), TypeError, r"value of loss .* shape \(3,\), not \(\)"),
    "a slope of nan": ("slope", lambda a: a * np.nan, fastgd.DivergenceError, "diverged in epoch 0 at row"),
    "a slope with one inf": ("slope", lambda a: np.append(a[:2], np.inf), fastgd.DivergenceError, "in epoch 0 at"),
    "a value of nan": ("value", lambda a: a * np.nan, fastgd.DivergenceError, "diverged in epoch 0 at row"),
    "a value of inf": ("value", lambda a: a + np.inf, fastgd.DivergenceError, "diverged in epoch 0 at row"),
    "an error of its own": ("slope", ZeroDivisionError, ZeroDivisionError, "failed"),
    "an interruption": ("value", KeyboardInterrupt, KeyboardInterrupt, "failed"),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("call", [1, 10, 85])
@pytest.mark.parametrize(
    "options", [{}, {"batch_size": 7}, {"average": True, "penalty": "l1"}, {"optimizer": "adam"}], ids=address_free
)
def test_an_own_loss_that_fails_changes_nothing_and_training_goes_on(failure, call, options):
    method, how, error, message = FAILURES[failure]
    T = targets("mse", 3)
    own = Failing(method, call, how)
    trainer, whole = (fastgd.Trainer(model((D, 3)), loss=loss, **options) for loss in (own, OwnMSE()))
    before = held(trainer)
    with pytest.raises(error, match=message):
        trainer.run(X, T)
    assert held(trainer) == before  # all rows are one slice
    trainer.run(X, T)
    whole.run(X, T)
    assert trainer.model.params.tobytes() == whole.model.params.tobytes()
    assert trainer.history.loss == whole.history.loss


@pytest.mark.parametrize("failure", FAILURES)
def test_a_step_by_an_own_loss_that_fails_changes_nothing(failure):
    method, how, error, message = FAILURES[failure]
    T = targets("mse", 3)
    trainer = fastgd.Trainer(model((D, 3)), loss=Failing(method, 5, how), penalty="elasticnet", average=2)
    trainer.step(X[0], T[0])
    before = held(trainer)
    with pytest.raises(error, match=message):
        trainer.step(X[1:9], T[1:9])
    assert held(trainer) == before


@pytest.mark.parametrize("failure", ["a slope of another shape", "an error of its own", "a value for each output"])
def test_evaluation_by_an_own_loss_that_fails(failure):
    method, how, error, message = FAILURES[failure]
    fitted, T = model((D, 3)), targets("mse", 3)
    before = fitted.params.copy()
    with pytest.raises(error, match=message):
        fastgd.gradient(fitted, X, T, Failing(method, 5, how))
    if method == "value":
        with pytest.raises(error, match=message):
            fastgd.evaluate(fitted, X, T, Failing(method, 5, how))
    assert fitted.params.tobytes() == before.tobytes()
    with pytest.raises(FloatingPointError, match="row"):
        fastgd.gradient(fitted, X, T, Failing("slope", 5, lambda a: a * np.nan))


@numba.cfunc("double(double, double, CPointer(double))")
def without_slope_at_seven(y, t, slope_out):
    slope_out[0] = np.nan if t == 7 else 2 * (y - t)
    return (y - t) ** 2


@pytest.mark.parametrize("storage", GIVEN)
@pytest.mark.parametrize("sizes", [(D, 2), (D, 4, 2)], ids=["linear", "network"])
@pytest.mark.parametrize("method", [
    *METHODS.values(), {"clip_value": 0.1}, {"clip_norm": 0.1}, {"clip_value": 0.1, "batch_size": 4},
    {"optimizer": fastgd.RMSprop(centered=True)}, {"optimizer": fastgd.Adam(amsgrad=True)},
    {"optimizer": fastgd.Adam(lazy=True)}, {"optimizer": fastgd.FTRL(l1=1.0)}, {"penalty": penalties.L1(10.0)},
], ids=address_free)  # fmt: skip
def test_a_slope_of_a_c_function_that_is_not_finite_is_found(method, sizes, storage):
    not_finite(storage, sizes, {key: value for key, value in method.items() if key != "sample_weight"})


@pytest.mark.parametrize("storage", GIVEN)
@pytest.mark.parametrize("schedule", ["pa1", "pa2"])
def test_a_slope_that_is_not_finite_has_no_passive_aggressive_move(schedule, storage):
    not_finite(storage, (D, 2), {"schedule": schedule})


def not_finite(storage, sizes, options):
    T, loss = targets("mse", 2), losses.CFunction(without_slope_at_seven)
    trainer = fastgd.Trainer(fastgd.MLP(sizes, "relu", seed=1), loss=loss, **options)
    before = held(trainer)
    T[50, 1] = 7
    with pytest.raises(fastgd.DivergenceError, match="diverged in epoch 0 at row"):
        trainer.run(GIVEN[storage], T)
    assert held(trainer) == before
