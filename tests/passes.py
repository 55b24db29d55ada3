"""Runs of a pass that the compiled code and the NumPy reference can both be given, and their comparison."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fastgd import _kernels, engine, losses, optimizers, reference

#: relative difference that rounding explains after one step, and after a few dozen
STEP_TOLERANCE = {"float64": 1e-14, "float32": 5e-6}
RUN_TOLERANCE = {"float64": 1e-12, "float32": 1e-4}


def relative(a: Any, b: Any) -> float:
    """Return max |a − b| ÷ max |b|."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    difference, size = np.abs(a - b).max(initial=0), np.abs(b).max(initial=0)
    return float(difference / size) if size else float(difference)


@dataclass
class Pass:
    """The arguments of one training pass, with the state that it changes."""

    params: Any
    X: Any
    T: Any
    loss: losses.Loss
    optimizer: optimizers.Optimizer
    weights: Any = None
    order: Any = None
    batch_size: int = 1
    close: bool = True
    trace: bool = False
    counters: Any = field(default_factory=lambda: np.zeros(4, np.int64))
    totals: Any = field(default_factory=lambda: np.zeros(4))

    def copy(self) -> Pass:
        return replace(self, **{k: getattr(self, k).copy() for k in ("params", "counters", "totals")})

    def run(self, passes: Any, start: int = 0, stop: int | None = None) -> int:
        stop = len(self.X if self.order is None else self.order) if stop is None else stop
        if not hasattr(self, "gradient"):
            self.gradient = np.zeros_like(self.params)
        choices = (self.loss, self.optimizer)
        if passes is _kernels:
            numbers = engine.loss_numbers(self.loss, self.T.shape[1]), engine.optimizer_numbers(self.optimizer)
            choices = numbers  # type: ignore[assignment]
        traced = [None, None]
        if self.trace:
            traced = [np.zeros((stop - start + 1, 2)), np.zeros((stop - start + 1, self.params.size), self.X.dtype)]
        self.trace_out, self.path_out = traced
        work = np.empty(2 * self.params.size + 2 * self.T.shape[1], self.params.dtype)
        return int(
            passes.train_pass(
                self.params, self.gradient, work, self.counters, self.totals, self.X, self.T, self.weights, self.order,
                start, stop, *choices, self.batch_size, self.close, self.trace_out, self.path_out,
            )
        )  # fmt: skip


def compare(given: Pass, tolerance: float) -> tuple[Pass, Pass]:
    """Run the pass compiled and in NumPy, and hold every state that they leave to the tolerance."""
    compiled, in_numpy = given.copy(), given.copy()
    assert compiled.run(_kernels) == in_numpy.run(reference)
    assert relative(compiled.params, in_numpy.params) <= tolerance
    assert relative(compiled.gradient, in_numpy.gradient) <= tolerance
    np.testing.assert_array_equal(compiled.counters, in_numpy.counters)
    np.testing.assert_allclose(compiled.totals, in_numpy.totals, rtol=10 * tolerance, atol=tolerance)
    if given.trace:
        np.testing.assert_allclose(compiled.trace_out, in_numpy.trace_out, rtol=10 * tolerance, atol=tolerance)
        assert relative(compiled.path_out, in_numpy.path_out) <= tolerance
    return compiled, in_numpy


def make_targets(loss: losses.Loss, raw: Any, rng: np.random.Generator) -> Any:
    """Return targets that the loss takes, around the raw predictions."""
    if loss.targets == "binary":
        return (rng.uniform(size=raw.shape) < loss.mean(raw)).astype(raw.dtype)
    return (raw + rng.normal(size=raw.shape)).astype(raw.dtype)
