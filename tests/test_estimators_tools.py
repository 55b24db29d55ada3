"""What is new in fastgd's estimators inside scikit-learn's tools, in threads, and with losses of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn
from sklearn import linear_model
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastgd
from fastgd.estimators import SGDClassifier, SGDOneClassSVM, SGDRegressor

rng = np.random.default_rng(4)
X, X_VAL = 3 + 2 * rng.normal(size=(80, 5)), 3 + 2 * rng.normal(size=(30, 5))
TRUE = rng.normal(size=(5, 3))
CODES, CODES_VAL = (((rows - 3) @ TRUE).argmax(axis=1) for rows in (X, X_VAL))
Y, Y_VAL = ((rows - 3) @ TRUE[:, 0] for rows in (X, X_VAL))
WEIGHTS_VAL = rng.uniform(0.1, 2, size=30)
FIXED: dict[str, Any] = {"random_state": 4, "max_iter": 6, "tol": None}


@pytest.mark.parametrize("kind", [SGDClassifier, SGDRegressor])
def test_validation_rows_go_through_a_pipeline(kind):
    y, y_val = (CODES, CODES_VAL) if kind is SGDClassifier else (Y, Y_VAL)
    scaler = StandardScaler().fit(X)
    given = {"y_val": y_val, "sample_weight_val": WEIGHTS_VAL}
    expected = kind(**FIXED).fit(scaler.transform(X), y, X_val=scaler.transform(X_VAL), **given)
    with sklearn.config_context(enable_metadata_routing=True):
        made = kind(**FIXED).set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        line = make_pipeline(StandardScaler(), made, transform_input=["X_val"]).fit(X, y, X_val=X_VAL, **given)
        assert line[-1].validation_curve_ == expected.validation_curve_
        search = GridSearchCV(line, {f"{kind.__name__.lower()}__alpha": [1e-4, 1e-1]}, cv=3)
        search.fit(X, y, X_val=X_VAL, **given)
        best = search.best_estimator_[-1]
        again = clone(line).set_params(**search.best_params_).fit(X, y, X_val=X_VAL, **given)
        assert best.validation_curve_ == again[-1].validation_curve_
        unasked = make_pipeline(StandardScaler(), kind(**FIXED))
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="X_val"):
            unasked.fit(X, y, X_val=X_VAL, y_val=y_val)
    requests = kind().get_metadata_routing()
    assert {"X_val", "y_val", "sample_weight_val", "sample_weight"} <= set(requests.fit.requests)
    assert {"X_val", "y_val", "sample_weight_val", "sample_weight"} <= set(requests.partial_fit.requests)
    assert ("grow_classes" in requests.partial_fit.requests) == (kind is SGDClassifier)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_validation_rows_in_frames(frame):
    names = [f"x{number}" for number in range(5)]
    rows, rows_val = (frame(dict(zip(names, part.T))) for part in (X, X_VAL))
    made = SGDClassifier(**FIXED).fit(rows, CODES, X_val=rows_val, y_val=CODES_VAL)
    expected = SGDClassifier(**FIXED).fit(X, CODES, X_val=X_VAL, y_val=CODES_VAL)
    assert made.validation_curve_ == expected.validation_curve_
    made.partial_fit(rows, CODES, X_val=rows_val, y_val=CODES_VAL)
    expected.partial_fit(X, CODES, X_val=X_VAL, y_val=CODES_VAL)
    assert made.validation_curve_ == expected.validation_curve_
    with pytest.raises(
        ValueError, match=r"X_val, y_val or sample_weight_val is refused: The feature names should match"
    ):
        made.fit(rows, CODES, X_val=rows_val[names[::-1]], y_val=CODES_VAL)


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize(
    "options",
    [{}, {"average": 100}, {"optimizer": "adam", "learning_rate": "constant"}, {"early_stopping": True},
     {"penalty": "l1"}, {"verbose": 1}, {"loss": "multinomial"}, {"warm_start": True}],
    ids=str,
)  # fmt: skip
def test_threads_learn_what_one_does(options, storage):
    rows = scipy.sparse.csr_array(X) if storage == "csr" else X
    options = {**FIXED, "max_iter": 40, **options}
    one, two, all_ = (SGDClassifier(n_jobs=jobs, **options) for jobs in (None, 2, -1))
    for made in (one, two, all_):
        made.fit(rows, CODES)
        if not options.get("early_stopping"):
            made.partial_fit(rows, CODES)
        assert made.coef_.tobytes() == one.coef_.tobytes()
        assert made.intercept_.tobytes() == one.intercept_.tobytes()
        assert made.loss_curve_ == one.loss_curve_
        assert (made.n_iter_, made.t_) == (one.n_iter_, one.t_)


def test_a_loss_of_ones_own():
    class Quartic:
        def value(self, y: Any, t: Any) -> Any:
            return ((y - t) ** 4 / 4).sum(axis=-1)

        def slope(self, y: Any, t: Any) -> Any:
            return (y - t) ** 3

    rows = (X - 3) / 4
    made = SGDRegressor(
        fastgd.losses.Own(Quartic()), shuffle=False, learning_rate="constant", eta0=0.1, alpha=0, **FIXED
    )
    made.fit(rows, Y / 4)
    W, b = np.zeros(5), 0.0
    for x, t in zip(np.tile(rows, (6, 1)), np.tile(Y / 4, 6)):
        g = (W @ x + b - t) ** 3
        W, b = W - 0.1 * g * x, b - 0.1 * g
    np.testing.assert_allclose(made.coef_, W, rtol=1e-9)
    assert made.predict(rows) == pytest.approx(rows @ W + b)


def test_the_parameters_are_scikit_learns_and_these():
    own = {"optimizer", "clip_value", "clip_norm", "intercept_decay", "skip_zero_weight", "callbacks", "progress"}
    for kind, more in ((SGDClassifier, own), (SGDRegressor, own), (SGDOneClassSVM, own - {"optimizer", "clip_value"})):
        theirs = set(getattr(linear_model, kind.__name__)().get_params())
        assert set(kind().get_params()) == theirs | more
