"""scikit-learn's estimators of stochastic gradient descent on fastgd's compiled loops (extra ``sklearn``).

Change ``from sklearn.linear_model import SGDClassifier`` into ``from fastgd.estimators import SGDClassifier``: the same
parameters, the same numbers from the same seed, and what scikit-learn's lack besides.
"""

from __future__ import annotations

from fastgd.extras import need

need("sklearn", extra="sklearn", what="fastgd.estimators")

from fastgd.estimators.classifier import SGDClassifier  # noqa: E402 - after the check
from fastgd.estimators.networks import MLPClassifier, MLPRegressor  # noqa: E402
from fastgd.estimators.one_class import SGDOneClassSVM  # noqa: E402
from fastgd.estimators.regressor import SGDRegressor  # noqa: E402

__all__ = ["MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDOneClassSVM", "SGDRegressor"]
