"""The steps of fastgd's estimators written out in NumPy, over the rows in scikit-learn's own order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.utils._seq_dataset import ArrayDataset64

MAX_INT = 2**31 - 1


def orders(rows: int, epochs: int, kind: str, random_state: int = 0) -> list[list[int]]:
    """Return the order of each epoch: of a "regressor", of a "classifier" of two classes, or of a "one-class" SVM."""
    drawn = np.random.RandomState(random_state)
    if kind == "classifier":
        drawn.randint(1, MAX_INT)  # of which scikit-learn makes no use
    seed = drawn.randint(MAX_INT)
    dataset = ArrayDataset64(np.zeros((rows, 1)), np.zeros(rows), np.ones(rows), 1)
    made = []
    for _ in range(epochs):
        dataset._shuffle_py(seed)
        made.append([dataset._next_py()[3] for _ in range(rows)])
    return made


@dataclass
class Course:
    """Weights (K, d), intercepts (K,), their means from the update ``average`` on, and an objective for each epoch."""

    coef: Any
    intercept: Any
    mean_coef: Any
    mean_intercept: Any
    objective: list[float] = field(default_factory=list)


def descend(
    X: Any,
    T: Any,
    value: Callable[[Any, Any], Any],
    slope: Callable[[Any, Any], Any],
    visited: Sequence[Sequence[int]],
    rate: Callable[[int], float],
    *,
    outputs: int = 1,
    alpha: float = 0.0,
    weights: Any = None,
    decay: float = 1.0,
    clip_norm: float = np.inf,
    average: int = 1,
    start: tuple[Any, Any] | None = None,
) -> Course:
    """Descend by w ← (1 − λα) w − λ s ∂C/∂f x and b ← b − κ λ s ∂C/∂f, for targets T (n,) or (n, K)."""
    s = np.ones(len(X)) if weights is None else weights
    W, b = (np.zeros((outputs, X.shape[1])), np.zeros(outputs)) if start is None else start
    made, t, counted = Course(W, b, W.copy(), b.copy()), 0, 0
    for order in visited:
        total = 0.0
        for row in order:
            t += 1
            f = W @ X[row] + b
            total += float(np.sum(value(f, T[row]))) + alpha / 2 * float(np.sum(W * W))
            g = s[row] * slope(f, T[row])
            norm = np.sqrt(np.sum(np.outer(g, X[row]) ** 2) + np.sum(g**2))
            g = g * min(1.0, clip_norm / (norm + 1e-6))
            W *= 1 - rate(t) * alpha
            W -= rate(t) * np.outer(g, X[row])
            b -= decay * rate(t) * g
            if t >= average:
                counted += 1
                made.mean_coef += (W - made.mean_coef) / counted
                made.mean_intercept += (b - made.mean_intercept) / counted
        made.objective.append(total / len(order))
    return made


def softmax(f: Any) -> Any:
    """Return e^f / Σ e^f."""
    return np.exp(f - f.max()) / np.exp(f - f.max()).sum()
