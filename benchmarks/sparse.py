"""Log loss with L2 on CSR rows, without a bias: the peers' per-sample steps."""

# ruff: noqa: D102 - Adapter describes the face of them all

from __future__ import annotations

import numpy as np
from sklearn.linear_model import SGDClassifier
from vowpalwabbit import Workspace

from benchmarks.cases import SparseCase
from benchmarks.drawn import Array


class SklearnFit:
    """``SGDClassifier.fit`` with as many epochs as there are visits.

    Without an intercept, because on CSR rows it would shrink the intercept's rate by a factor of 0.01.
    """

    def __init__(self, case: SparseCase) -> None:
        self.model = SGDClassifier(
            loss="log_loss", penalty="l2", alpha=case.alpha, learning_rate="constant", eta0=case.lr,
            fit_intercept=False, shuffle=False, tol=None, max_iter=case.visits,
        )  # fmt: skip
        self.data = case.data()

    def __call__(self) -> None:
        self.model.fit(*self.data)

    def weights(self) -> Array:
        return self.model.coef_.ravel()


class VowpalWabbit:
    """``Workspace.learn`` on examples that were parsed before; its weights are float32.

    Plain SGD at a constant rate, and a table of weights with a place for each feature. It keeps the factor by which L2
    has shrunk all weights apart from them: ``shrunk`` is the same factor.
    """

    def __init__(self, case: SparseCase) -> None:
        bits = (case.features - 1).bit_length()
        self.workspace = Workspace(
            f"--quiet --no_stdin --sgd --power_t 0 --noconstant --loss_function logistic --bit_precision {bits} "
            f"--learning_rate {case.lr!r} --l2 {case.alpha!r}"
        )
        X, t = case.data()
        self.examples = []
        for i, label in enumerate(t):
            row = slice(X.indptr[i], X.indptr[i + 1])
            named = zip(X.indices[row].tolist(), X.data[row].tolist(), strict=True)
            text = " ".join(f"{column}:{value!r}" for column, value in named)
            self.examples.append(self.workspace.example(f"{2 * label - 1:g} | {text}"))
        self.features, self.visits = case.features, case.visits
        self.shrink, self.shrunk = (1 - case.lr * case.alpha) ** case.samples, 1.0

    def __call__(self) -> None:
        learn = self.workspace.learn
        for _ in range(self.visits):
            for example in self.examples:
                learn(example)
        self.shrunk *= self.shrink

    def weights(self) -> Array:
        stored = [self.workspace.get_weight(column, 0) for column in range(self.features)]
        return self.shrunk * np.array(stored)
