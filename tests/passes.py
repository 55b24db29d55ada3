"""Runs of a pass that the compiled code and the NumPy reference can both be given, and their comparison."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse

import fastgd
from fastgd import _kernels, codes, engine, losses, reference
from fastgd.method import Method

#: relative difference that rounding explains after one step, and after a few dozen
STEP_TOLERANCE = {"float64": 1e-14, "float32": 5e-6}
RUN_TOLERANCE = {"float64": 1e-12, "float32": 1e-4}


def address_free(value: Any) -> str:
    """Return the value as text that is the same in every process, as names of tests must be."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def relative(a: Any, b: Any) -> float:
    """Return max |a − b| ÷ max |b|."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    difference, size = np.abs(a - b).max(initial=0), np.abs(b).max(initial=0)
    return float(difference / size) if size else float(difference)


def apart(rows: Any) -> Any:
    """Return the same rows, between which others stand."""
    room = np.full((len(rows), 2, *rows.shape[1:]), 7, rows.dtype)
    room[:, 0] = rows
    return room[:, 0]


@dataclass
class Pass:
    """The arguments of one training pass, with the state that it changes; X is dense or CSR."""

    net: Any
    X: Any
    T: Any
    loss: losses.Loss
    method: Method
    weights: Any = None
    order: Any = None
    batch_size: int = 1
    close: bool = True
    trace: bool = False
    apart: bool = False  # targets and ‖x‖² are
    counters: Any = field(default_factory=lambda: np.zeros(5, np.int64))
    totals: Any = field(default_factory=lambda: np.zeros(reference.TOTALS))
    params: Any = None

    def __post_init__(self) -> None:
        if self.params is None:
            self.params = self.net.params.copy()
            optimizer, size = self.method.optimizer, self.params.size
            self.state = np.zeros((optimizer.slots + (self.method.average > 0), size), self.params.dtype)
            optimizer.start(self.params, self.state[: optimizer.slots], reference.on_weights(self.net))
            l1 = self.method.penalty is not None and self.method.penalty.l1 > 0
            self.paid = np.zeros(2 * size) if l1 else None
            self.gradient = np.zeros_like(self.params)

    def copy(self) -> Pass:
        twin = replace(self, **{k: getattr(self, k).copy() for k in ("params", "counters", "totals")})
        twin.state, twin.gradient = self.state.copy(), self.gradient.copy()
        twin.paid = None if self.paid is None else self.paid.copy()
        return twin

    @property
    def rows(self) -> int:
        return int(self.X.shape[0])

    @property
    def changed(self) -> dict[str, Any]:
        """What a pass changes in place."""
        paid = () if self.paid is None else self.paid[: self.params.size]
        return {"params": self.params, "state": self.state, "gradient": self.gradient, "paid": np.array(paid)}

    def data(self) -> tuple[Any, Any, Any]:
        if scipy.sparse.issparse(self.X):
            return self.X.data, self.X.indices, self.X.indptr
        return self.X.reshape(-1), None, None

    def choices(self, passes: Any, updates: int) -> tuple[Any, Any, Any]:
        """Return net, loss and method as the passes take them."""
        if passes is reference:
            return self.net, self.loss, (self.method, ())
        schedule, rates = self.method.schedule, None
        if schedule.name not in codes.IN_C:
            t = self.counters[2] + 1 + np.arange(updates)
            rates = np.asarray(schedule.rate(self.method.optimizer.lr, t), np.float64)
        numbers = codes.method_numbers(self.method, self.loss, rates=rates)
        return codes.net_numbers(self.net), codes.loss_numbers(self.loss, self.net.out_features), numbers

    def run(self, passes: Any, start: int = 0, stop: int | None = None) -> int:
        stop = (self.rows if self.order is None else len(self.order)) if stop is None else stop
        size, dtype = self.params.size, self.params.dtype
        traced = [None, None]
        if self.trace:
            traced = [np.zeros((stop - start + 1, 2)), np.zeros((stop - start + 1, size), dtype)]
        self.trace_out, self.path_out = traced
        T, squares = apart(self.T) if self.apart else self.T, None
        if self.method.rules.objective:
            squares = np.empty(self.rows)
            X, indices, indptr = self.data()
            _kernels.square_norms(X, indices, indptr, self.X.shape[1], squares)
            squares = apart(squares) if self.apart else squares
        work = np.empty(engine.work_size(self.net, len(self.state)), dtype)
        updates = stop - start
        if self.weights is not None and not self.method.rules.visit_zero_weight:
            visits = slice(start, stop) if self.order is None else self.order[start:stop]
            updates = int(np.count_nonzero(self.weights[visits]))  # a table of rates has no more
        return int(
            passes.Pass(
                self.params, self.state.reshape(-1), self.paid, self.gradient, work, self.counters, self.totals,
                *self.data(), T, self.weights, *self.choices(passes, updates), self.batch_size, squares,
            ).visit(self.order, start, stop, self.close, self.trace_out, self.path_out)
        )  # fmt: skip


def compare(given: Pass, tolerance: float) -> tuple[Pass, Pass]:
    """Run the pass compiled and in NumPy, and hold every state that they leave to the tolerance."""
    compiled, in_numpy = given.copy(), given.copy()
    assert compiled.run(_kernels) == in_numpy.run(reference)
    assert relative(compiled.params, in_numpy.params) <= tolerance
    assert relative(compiled.gradient, in_numpy.gradient) <= tolerance
    for row, expected in zip(compiled.state, in_numpy.state, strict=True):
        assert relative(row, expected) <= tolerance
    size = np.abs(in_numpy.params).max()  # payments are differences of weights
    assert np.abs(compiled.changed["paid"] - in_numpy.changed["paid"]).max(initial=0) <= tolerance * size
    np.testing.assert_array_equal(compiled.counters, in_numpy.counters)
    np.testing.assert_allclose(compiled.totals, in_numpy.totals, rtol=10 * tolerance, atol=tolerance)
    if given.trace:
        np.testing.assert_allclose(compiled.trace_out, in_numpy.trace_out, rtol=10 * tolerance, atol=tolerance)
        assert relative(compiled.path_out, in_numpy.path_out) <= tolerance
    return compiled, in_numpy


def make_targets(loss: losses.Loss, raw: Any, rng: np.random.Generator) -> Any:
    """Return targets that the loss takes, around the raw predictions (n, K)."""
    if loss.targets == "classes":
        return raw.argmax(axis=1)[:, None].astype(raw.dtype)
    if loss.targets in ("binary", "labels"):
        return (rng.logistic(size=raw.shape) < raw).astype(raw.dtype)
    if loss.targets in ("non-negative", "positive"):
        return rng.gamma(2.0, np.exp(np.clip(raw, -2, 1)) / 2).astype(raw.dtype)
    return (raw + rng.normal(size=raw.shape)).astype(raw.dtype)


def assert_undone(given: Pass, row: int) -> None:
    """Run the pass compiled, which must tell the row that is not finite and leave all as it was."""
    after = given.copy()
    assert after.run(_kernels) == row
    assert after.params.tobytes() == given.params.tobytes()
    assert not after.counters.any()
    assert not after.totals.any()


def make_pass(
    loss, dtype, K=1, bias=True, n=60, d=7, seed=0, scale=1.0, method=None, hidden=(), activation="relu", density=None,
    index="int32", **options,
):  # fmt: skip
    """Return a pass over random rows for a new model; with a density X is CSR."""
    rng, K = np.random.default_rng(seed), max(K, 2) if loss.coupled else K
    net = fastgd.MLP([d, *hidden, K], activation, bias=bias, dtype=dtype)
    net.params[:] = rng.normal(size=net.params.size) / (1 if not hidden else 2)
    if loss.targets in ("non-negative", "positive"):
        net.params[:] /= 4 * max(1, scale * np.sqrt(d))  # so that e^y is of the size of the targets
    X = (scale * rng.normal(size=(n, d))).astype(dtype)
    if density is not None:
        X *= rng.uniform(size=X.shape) < density
    T = make_targets(loss, (X @ rng.normal(size=(d, K))).astype(dtype), rng)
    if density is not None:
        X = scipy.sparse.csr_array(X)
        X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    return Pass(net, X, T, loss, Method(fastgd.SGD(lr=0.01)) if method is None else method, **options)
