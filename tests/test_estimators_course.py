"""The course of a fit of fastgd's estimators: validation rows, patience, curves, who is told, and what ends it."""

from __future__ import annotations

import re
import signal
import sys
import threading
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn import linear_model
from sklearn.base import clone
from sklearn.callback import AutoPropagatedCallback, FitCallback, ScoringMonitor
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastgd
from fastgd.estimators import SGDClassifier, SGDOneClassSVM, SGDRegressor

rng = np.random.default_rng(1)
X, X_VAL = rng.normal(size=(90, 6)), rng.normal(size=(40, 6))
TRUE = rng.normal(size=(6, 3))
CODES, CODES_VAL = ((rows @ TRUE + rng.normal(size=(len(rows), 3))).argmax(axis=1) for rows in (X, X_VAL))
Y, Y_VAL = (rows @ TRUE[:, 0] + 0.5 * rng.normal(size=len(rows)) for rows in (X, X_VAL))
WEIGHTS_VAL = rng.uniform(size=40)
FIXED: dict[str, Any] = {"random_state": 4, "learning_rate": "constant", "eta0": 0.02, "tol": None, "max_iter": 6}

#: estimators, with what they learn and what they are scored by
KINDS: dict[str, tuple[Any, Any, Any]] = {
    "regressor": (SGDRegressor(**FIXED), Y, Y_VAL),
    "averaged": (SGDRegressor(average=20, **FIXED), Y, Y_VAL),
    "adam": (SGDRegressor(**FIXED, optimizer="adam"), Y, Y_VAL),
    "many outputs": (SGDRegressor("quantile", **FIXED), np.column_stack([Y, -Y]), np.column_stack([Y_VAL, -Y_VAL])),
    "binary": (SGDClassifier(**FIXED), CODES == 1, CODES_VAL == 1),
    "multinomial": (SGDClassifier("multinomial", **FIXED), CODES, CODES_VAL),
}


def fit(made: Any, *given: Any, **named: Any) -> Any:
    """Fit; too few epochs are meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return made.fit(*given, **named)


def after(made: Any, epochs: int, y: Any, **options: Any) -> Any:
    """Return a fit of the same that ended after so many epochs."""
    return fit(clone(made).set_params(max_iter=epochs, **options), X, y)


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("name", KINDS)
def test_validation_rows_are_scored_after_each_epoch(name, storage):
    made, y, y_val = KINDS[name]
    rows = scipy.sparse.csr_array(X_VAL) if storage == "csr" else X_VAL
    made = clone(made).fit(X, y, X_val=rows, y_val=y_val, sample_weight_val=WEIGHTS_VAL)
    metric = accuracy_score if isinstance(made, SGDClassifier) else r2_score
    epochs = [after(made, epoch + 1, y) for epoch in range(6)]
    expected = [metric(y_val, one.predict(X_VAL), sample_weight=WEIGHTS_VAL) for one in epochs]
    assert made.validation_curve_ == pytest.approx(expected)
    assert made.loss_curve_ == epochs[-1].loss_curve_
    assert len(made.loss_curve_) == 6
    assert made.coef_.tobytes() == epochs[-1].coef_.tobytes()
    assert not hasattr(epochs[-1], "validation_curve_")
    assert not hasattr(fit(made, X, y), "validation_curve_")


def test_of_one_class_against_all_others_each_has_a_curve():
    made = fit(SGDClassifier(**FIXED), X, CODES, X_val=X_VAL, y_val=CODES_VAL)
    epochs = [after(made, epoch + 1, CODES) for epoch in range(6)]
    for k in range(3):
        right = [np.mean((one.decision_function(X_VAL)[:, k] > 0) == (k == CODES_VAL)) for one in epochs]
        assert made.validation_curve_[k] == pytest.approx(right)
        assert made.loss_curve_[k] == epochs[-1].loss_curve_[k]


def patient(values: list[float], tol: float, patience: int) -> int:
    """Return the epochs after which the values, which should rise, have not for so long."""
    best, stuck = -np.inf, 0
    for epoch, value in enumerate(values):
        stuck = stuck + 1 if value < best + tol else 0
        best = max(best, value)
        if stuck >= patience:
            return epoch + 1
    return len(values)


@pytest.mark.parametrize("name", KINDS)
def test_early_stopping_goes_by_the_validation_rows_that_are_given(name):
    made, y, y_val = KINDS[name]
    options = {"early_stopping": True, "tol": 0.01, "n_iter_no_change": 3, "max_iter": 60}
    made = fit(clone(made).set_params(**options), X, y, X_val=X_VAL, y_val=y_val)
    whole = fit(clone(made).set_params(early_stopping=False, tol=None), X, y, X_val=X_VAL, y_val=y_val)
    ended = patient(whole.validation_curve_, 0.01, 3)
    assert made.n_iter_ == ended < 60
    assert made.converged_
    assert made.validation_curve_ == whole.validation_curve_[:ended]
    assert made.t_ == 1 + 90 * ended  # no row of X is held out
    assert made.coef_.tobytes() == after(made, ended, y, early_stopping=False, tol=None).coef_.tobytes()
    assert not whole.converged_


@pytest.mark.parametrize("name", [*KINDS, "one against all others"])
def test_patience_over_calls_of_partial_fit(name):
    made, y, y_val = KINDS.get(name) or (SGDClassifier(**FIXED), CODES, CODES_VAL)
    made = clone(made).set_params(tol=0.01, n_iter_no_change=3)
    named: dict[str, Any] = {"X_val": X_VAL, "y_val": y_val, "sample_weight_val": WEIGHTS_VAL}
    first = {"classes": np.unique(y)} if isinstance(made, SGDClassifier) else {}
    scores, converged = [], []
    for call in range(40):
        rows = slice(call % 3 * 30, call % 3 * 30 + 30)
        made.partial_fit(X[rows], y[rows], **named, **(first if call == 0 else {}))
        scores.append(made.score(X_VAL, y_val, WEIGHTS_VAL))
        converged.append(made.converged_)
    assert made.validation_curve_ == pytest.approx(scores)
    assert 3 < patient(scores, 0.01, 3) < 40
    assert converged[: patient(scores, 0.01, 3)] == [False] * (patient(scores, 0.01, 3) - 1) + [True]
    made.partial_fit(X, y)
    assert len(made.validation_curve_) == 40
    with pytest.raises(ValueError, match="early_stopping should be False with partial_fit"):
        clone(made).set_params(early_stopping=True).partial_fit(X, y, **named, **first)


class Told:
    """A callback that keeps what it was told, and wants no more after so many epochs."""

    def __init__(self, stop: int, answer: Any = True) -> None:
        self.stop, self.answer = stop, answer
        self.losses: list[Any] = []
        self.params: list[Any] = []
        self.finished = 0
        self.histories: list[Any] = []

    def __call__(self, history: Any) -> Any:
        assert isinstance(history, fastgd.History)
        assert history.seconds > 0
        self.losses.append((list(history.loss), list(history.val_loss)))
        self.params.append(history.model.params.copy())
        if not self.histories or self.histories[-1] is not history:
            self.histories.append(history)
        return self.answer if history.epochs >= self.stop else None

    def finish(self, history: Any) -> None:
        assert history is self.histories[-1]
        self.finished += 1


@pytest.mark.parametrize("answer", [True, np.True_])
@pytest.mark.parametrize("name", KINDS)
def test_callbacks_see_the_course_and_may_end_it(name, answer):
    made, y, y_val = KINDS[name]
    told, other = Told(3, answer), Told(9)
    made = clone(made).set_params(callbacks=[told, other], max_iter=6)
    made.fit(X, y, X_val=X_VAL, y_val=y_val)
    assert made.n_iter_ == 3 == len(told.losses) == len(other.losses)
    assert told.finished == other.finished == 1
    assert told.losses[-1] == (made.loss_curve_, pytest.approx([1 - score for score in made.validation_curve_]))
    for epoch in range(3):
        expected = after(made, epoch + 1, y, callbacks=())
        np.testing.assert_array_equal(
            told.params[epoch], np.concatenate([expected.coef_.ravel(), expected.intercept_.ravel()])
        )
    assert made.coef_.tobytes() == expected.coef_.tobytes()
    assert made.t_ == expected.t_
    assert not made.converged_


def test_callbacks_of_classes_one_after_another():
    told = Told(4)
    made = SGDClassifier(callbacks=(told,), n_jobs=2, **FIXED).fit(X, CODES)
    assert len(told.histories) == told.finished == 3
    assert [len(loss) for loss, _ in told.losses] == [1, 2, 3, 4] * 3
    assert made.loss_curve_ == [history.loss for history in told.histories]
    assert made.coef_.tobytes() == after(made, 4, CODES, callbacks=()).coef_.tobytes()


@pytest.mark.parametrize("name", [name for name in KINDS if name != "many outputs"])
def test_fastgds_early_stopping_brings_the_best_epoch_back(name):
    made, y, y_val = KINDS[name]
    made = clone(made).set_params(callbacks=[fastgd.EarlyStopping(3)], eta0=0.3, max_iter=50)
    made.fit(X, y, X_val=X_VAL, y_val=y_val)
    best = int(np.argmax(made.validation_curve_)) + 1
    expected = after(made, best, y, callbacks=())
    assert made.n_iter_ == best + 3
    assert made.coef_.tobytes() == expected.coef_.tobytes()
    assert made.intercept_.tobytes() == expected.intercept_.tobytes()
    if name not in ("adam", "averaged"):  # whose memory is that of the last epoch
        for one in (made, expected):
            one.partial_fit(X, y)
        assert made.coef_.tobytes() == expected.coef_.tobytes()


def test_ftrl_goes_on_from_weights_that_were_given_back():
    given = {**FIXED, "optimizer": fastgd.FTRL(lr=0.3), "penalty": None, "max_iter": 50}
    made = SGDRegressor(callbacks=[fastgd.EarlyStopping(3)], **given).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    best = made.coef_.copy()
    made.partial_fit(X[:1], Y[:1])
    assert np.abs(made.coef_ - best).max() < 0.5 * np.abs(best).max()
    assert np.abs(made.coef_ - best).max() > 0


def test_progress(capsys, monkeypatch):
    fit(SGDClassifier(progress=True, **{**FIXED, "max_iter": 3}), X, CODES)
    shown = capsys.readouterr().err
    for k in range(3):
        assert re.search(rf"output {k}: 100%.* 3/3 .*objective=", shown)
    fit(SGDRegressor(progress=False, **FIXED), X, Y)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setitem(sys.modules, "tqdm", None)
    made = SGDRegressor(progress=True, **FIXED)
    with pytest.raises(ImportError, match=r"progress=True needs tqdm, .* pip install 'fastgd\[cli\]'"):
        made.fit(X, Y)


class Listener:
    """A callback of scikit-learn's protocol, which keeps what it is told."""

    max_propagation_depth: Any = None

    def __init__(self, stop: int = 99) -> None:
        self.stop = stop
        self.seen: list[tuple[str, tuple[str, ...]]] = []
        self.models: list[Any] = []
        self.given: list[Any] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.seen.append(("setup", (context.task_name,)))

    def teardown(self, estimator: Any, context: Any) -> None:
        self.seen.append(("teardown", (context.task_name,)))

    def on_fit_task_begin(self, estimator: Any, context: Any, *, X: Any) -> None:
        self.seen.append(("begin", (context.task_name,)))
        self.given.append(X)

    def on_fit_task_end(self, estimator: Any, context: Any, *, y: Any, metadata: Any, fitted_estimator: Any) -> bool:
        self.seen.append(("end", (context.task_name,)))
        self.given.append((y, metadata))
        if context.task_name == "epoch":
            self.models.append(fitted_estimator)
        return context.task_name == "epoch" and context.task_id + 1 >= self.stop


@pytest.mark.parametrize("name", KINDS)
def test_scikit_learns_callbacks(name):
    assert isinstance(Listener(), FitCallback)
    assert isinstance(Listener(), AutoPropagatedCallback)
    made, y, _ = KINDS[name]
    told, made = Listener(stop=4), clone(made)
    weights = np.full(90, 1.0)
    made.set_callbacks(told).fit(X, y, sample_weight=weights)
    epoch = [("begin", ("epoch",)), ("end", ("epoch",))]
    assert told.seen == [
        ("setup", ("fit",)), ("begin", ("fit",)), *epoch * 4, ("end", ("fit",)), ("teardown", ("fit",)),
    ]  # fmt: skip
    assert made.n_iter_ == 4
    assert told.given[0] is X
    assert np.array_equal(told.given[2][0], y)
    assert told.given[2][1]["sample_weight"] is weights
    for number, model in enumerate(told.models):
        expected = after(KINDS[name][0], number + 1, y)
        assert model is not made
        assert np.array_equal(model.predict(X), expected.predict(X))
        assert model.coef_.tobytes() == expected.coef_.tobytes()
        assert model.t_ == expected.t_
    assert made.coef_.tobytes() == expected.coef_.tobytes()
    made.set_callbacks().fit(X, y)
    assert len(told.models) == 4


def test_scikit_learns_callbacks_of_classes_one_after_another():
    told = Listener(stop=2)
    made = SGDClassifier(n_jobs=2, **FIXED).set_callbacks(told).fit(X, CODES)
    epochs = [("begin", ("epoch",)), ("end", ("epoch",))] * 2
    classes = [("begin", ("class",)), *epochs, ("end", ("class",))] * 3
    assert told.seen[1:-1] == [("begin", ("fit",)), *classes, ("end", ("fit",))]
    assert [np.any(model.coef_, axis=1).tolist() for model in told.models[::2]] == [
        [True, False, False], [True, True, False], [True, True, True],
    ]  # fmt: skip
    assert np.array_equal(told.models[-1].predict(X), made.predict(X))


def test_scikit_learns_callbacks_reach_a_step_of_a_pipeline():
    told = Listener()
    line = make_pipeline(StandardScaler(), SGDOneClassSVM(max_iter=3, tol=None, random_state=0))
    line.set_callbacks(told).fit(X)
    assert told.seen.count(("end", ("epoch",))) == 3
    assert not hasattr(line[-1], "_skl_callbacks")
    assert told.models[-1].offset_.tobytes() == line[-1].offset_.tobytes()
    monitor = ScoringMonitor(scoring="accuracy")
    made = SGDClassifier(**FIXED).set_callbacks(monitor).fit(X, CODES == 1)
    scores = [entry["accuracy"] for entry in monitor.get_logs().data if entry["task_name"] == "epoch"]
    assert scores == pytest.approx([after(made, epoch + 1, CODES == 1).score(X, CODES == 1) for epoch in range(6)])
    with pytest.raises(TypeError, match="callbacks must be instances following the FitCallback protocol"):
        made.set_callbacks(print)


@pytest.mark.parametrize("name", KINDS)
def test_an_interruption_keeps_what_was_learnt(name):
    made, y, _ = KINDS[name]

    def interrupt(history: Any) -> None:
        if history.epochs == 2:
            raise KeyboardInterrupt

    made = clone(made).set_params(callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        made.fit(X, y)
    expected = after(made, 2, y, callbacks=())
    assert made.n_iter_ == 2
    assert made.coef_.tobytes() == expected.coef_.tobytes()
    assert made.t_ == expected.t_
    assert np.array_equal(made.predict(X), expected.predict(X))
    assert made.partial_fit(X, y).coef_.tobytes() == expected.partial_fit(X, y).coef_.tobytes()


@pytest.fixture
def ctrl_c():
    """Let SIGINT raise KeyboardInterrupt, also where a shell has started the tests in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.SIGINT
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_ends_all_classes(n_jobs, ctrl_c):
    threads = threading.active_count()
    made = SGDClassifier(n_jobs=n_jobs, **{**FIXED, "max_iter": 200_000})
    timer = threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, ctrl_c))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        made.fit(X, CODES)
    timer.join()
    assert threading.active_count() == threads
    assert made.classes_.tolist() == [0, 1, 2]
    assert np.isfinite(made.coef_).all()
    assert made.t_ > 1 + 90
    assert made.n_iter_ >= 1
    assert made.predict(X).shape == (90,)


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("kind", [SGDRegressor, SGDClassifier, SGDOneClassSVM])
def test_a_divergence_names_epoch_row_and_size_and_keeps_finite_weights(kind, partial):
    theirs = getattr(linear_model, kind.__name__)
    rows = X.copy()
    rows[70, 2] = -1e160
    given = {"learning_rate": "constant", "eta0": 1e150, "random_state": 0, "shuffle": False}
    given |= {} if kind is SGDOneClassSVM else {"loss": "squared_error", "alpha": 0.0}
    made, y = kind(**given), CODES if kind is SGDClassifier else Y
    with pytest.raises(fastgd.DivergenceError) as caught:
        made.partial_fit(rows, y, **({"classes": [0, 1, 2]} if kind is SGDClassifier else {})) if partial else made.fit(
            rows, y
        )
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="Floating-point") as expected:
        theirs(**given).fit(rows, y)
    assert str(caught.value).startswith(str(expected.value))
    assert "epoch #1." in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert caught.value.largest == 1e160
    assert f"at row {caught.value.row}, among rows whose largest |x| is 1e+160" in str(caught.value)
    assert np.isfinite(made.coef_).all()
    made.predict(X)
