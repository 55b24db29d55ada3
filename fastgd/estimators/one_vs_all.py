"""How classifiers are trained: one class against the other, each against all others, or all together by softmax."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import effective_n_jobs
from sklearn.base import ClassifierMixin
from sklearn.linear_model._base import LinearClassifierMixin

from fastgd import losses
from fastgd.estimators import held_out, labels, order, settings
from fastgd.estimators.base import BaseSGD, Task
from fastgd.estimators.given import Given
from fastgd.estimators.held_out import Validation
from fastgd.estimators.loop import Score
from fastgd.estimators.weights import Weights

Array = npt.NDArray[Any]

SIGNS = np.array([-1, 1])


class BaseSGDClassifier(LinearClassifierMixin, BaseSGD):
    """The training of SGDClassifier."""

    def _run(
        self,
        rows: Given,
        codes: Array,
        classes: Array,
        weights: Weights,
        validation: Validation | None,
        *,
        fitting: bool,
    ) -> None:
        dtype, loss = weights.coef.dtype, self._loss(len(classes))
        class_weight = labels.class_weights(self.class_weight, classes, rows.y, codes)
        zero = bool(self.early_stopping)
        row_weights = self._row_weights(rows.sample_weight, rows.X, dtype, allow_all_zero_weights=zero)
        if len(classes) < 2:
            raise ValueError(f"The number of classes has to be greater than one; got {len(classes)} class")
        part = self._part(row_weights)
        split = held_out.splitter(self, codes, row_weights, part, validation)
        if weights.outputs > 1 and not loss.coupled:
            mask, seeds = order.one_vs_all(self.random_state, split, len(classes))
        else:
            mask, seed = order.binary(self.random_state, split)
            seeds = [seed]
        validation = validation or held_out.taken_out(rows.X, rows.y, row_weights, mask)
        some_zero = not class_weight.all() or not (row_weights is None or row_weights.all())
        tasks = []
        for number, seed in enumerate(seeds):
            positive = number if len(seeds) > 1 else 1
            outputs = slice(0, weights.outputs) if len(seeds) == 1 else slice(number, number + 1)
            targets = partial(labels.targets, codes, positive, class_weight, row_weights, loss, dtype)
            score = self._score(validation, classes, positive, loss, mask is not None)
            tasks.append(Task(outputs, targets, some_zero, seed, score))
        jobs = effective_n_jobs(self.n_jobs) if len(tasks) > 1 else 1
        found = {"classes_": classes, "_expanded_class_weight": class_weight}
        self._learn(rows, loss, weights, tasks, found, fitting=fitting, part=part, held_out=mask, jobs=jobs)

    def _loss(self, classes: int) -> losses.Loss:
        # of two classes softmax is the logistic function of the difference of their scores
        if self.loss == "multinomial":
            return losses.LogLoss() if classes == 2 else losses.CrossEntropy()
        return settings.loss_of(self.loss, self.epsilon)

    def _score(
        self, validation: Validation | None, classes: Array, positive: int, loss: losses.Loss, split: bool
    ) -> Score | None:
        if validation is None:
            return None
        odd = split and self.loss == "log_loss" and settings.takes_rules(self)
        ours = labels.accuracy(validation, classes, positive, loss, odd)
        shown, known = validation, classes
        if not loss.coupled:
            shown = replace(validation, y=np.where(validation.y == classes[positive], 1, 0 if odd else -1))
            known = SIGNS
        return held_out.scorer(self, shown, ours, ClassifierMixin.score, flat=False, classes=known)

    def _seeds(self, rows: int, problems: int) -> list[int] | None:
        # of partial_fit on a few rows; a generator that is given is drawn from even where there is nothing to shuffle
        if rows == 1 and not isinstance(self.random_state, np.random.RandomState):
            return None
        if problems > 1:
            seeds = order.one_vs_all(self.random_state, lambda: None, problems)[1]
        else:
            seeds = [order.binary(self.random_state, lambda: None)[1]]
        return seeds if self.shuffle else None
