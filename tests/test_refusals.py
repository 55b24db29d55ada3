"""Calls that are refused: by the name, the value and what is allowed, and before anything is changed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import fastgd
from fastgd import losses, optimizers, penalties, schedules

N, D = 20, 3
X = np.random.default_rng(0).normal(size=(N, D))
T = X[:, :1] + 1
S = sp.csr_array(X)


def with_nan(given, row=7, column=1):
    spoilt = given.copy()
    spoilt[row, column] = np.nan
    return spoilt


#: arguments of Trainer and of train: what is given, the error, and its message
CHOICES = [
    ({"loss": "rmse"}, ValueError, r"loss='rmse' is not known; allowed are 'mse', .*'cross_entropy'"),
    ({"loss": None}, TypeError, r"loss must be a name or an instance of fastgd's loss classes, not None"),
    ({"loss": losses.MSE}, TypeError, r"loss must be a name or an instance .* not <class .*MSE"),
    ({"optimizer": "lbfgs"}, ValueError, r"optimizer='lbfgs' is not known; allowed are 'sgd', .*'ftrl'"),
    ({"optimizer": 0.1}, TypeError, r"optimizer must be a name or an instance of fastgd's optimizer classes, not 0.1"),
    ({"optimizer": optimizers.Adam}, TypeError, r"optimizer must be a name or an instance .* not <class .*Adam"),
    ({"penalty": "l3"}, ValueError, r"penalty='l3' is not known; allowed are 'l2', 'l1', 'elasticnet'"),
    ({"penalty": 0.1}, TypeError, r"penalty must be a name or an instance of fastgd's penalty classes, not 0.1"),
    ({"schedule": "linear"}, ValueError, r"schedule='linear' is not known; allowed are 'constant', .*'warmup'"),
    ({"schedule": "cosine"}, ValueError, r"schedule='cosine' has no default t_max; give schedules.Cosine\(t_max="),
    ({"schedule": 0.5}, TypeError, r"schedule must be a name or an instance of fastgd's schedule classes, not 0.5"),
    ({"schedule": schedules.PA1}, TypeError, r"schedule must be a name or an instance .* not <class .*PA1"),
    ({"average": -1}, ValueError, r"average=-1 must be an integer of at least 0"),
    ({"average": 1.5}, TypeError, r"average=1.5 must be an integer of at least 0"),
    ({"average": None}, TypeError, r"average=None must be an integer of at least 0"),
    ({"clip_value": 0}, ValueError, r"clip_value=0 must be a finite number above 0"),
    ({"clip_norm": -1.0}, ValueError, r"clip_norm=-1.0 must be a finite number above 0"),
    ({"clip_norm": np.nan}, ValueError, r"clip_norm=nan must be a finite number above 0"),
    ({"clip_value": "1"}, TypeError, r"clip_value='1' must be a finite number above 0"),
    ({"batch_size": 0}, ValueError, r"batch_size=0 must be an integer of at least 1"),
    ({"batch_size": 2.0}, TypeError, r"batch_size=2.0 must be an integer of at least 1"),
    ({"shuffle": 1}, TypeError, r"shuffle=1 must be True or False"),
    ({"trace": "yes"}, TypeError, r"trace='yes' must be True or False"),
    ({"progress": 0}, TypeError, r"progress=0 must be True or False"),
    ({"trace_limit": -1}, ValueError, r"trace_limit=-1 must be a finite number of at least 0"),
    ({"callbacks": ["stop"]}, TypeError, r"callbacks has 'stop', which cannot be called"),
    ({"callbacks": 3}, TypeError, r"callbacks=3"),
    ({"seed": "a"}, TypeError, r"seed='a'"),
    ({"seed": -1}, ValueError, r"seed=-1"),
    ({"penalty": "l1", "optimizer": "adam"}, ValueError, r"penalty=L1\(.*\) does not go with optimizer=Adam\(.*SGD"),
    ({"penalty": "l2", "optimizer": "ftrl"}, ValueError, r"penalty=L2\(.*\) does not go with optimizer=FTRL\(.*l2 of"),
    ({"penalty": "l2", "optimizer": fastgd.SGD(weight_decay=0.1)}, ValueError, r"does not go with .* weight_decay=0"),
    ({"schedule": "invscaling", "optimizer": "ftrl"}, ValueError, r"schedule=InvScaling\(.*allowed is 'constant'"),
    ({"schedule": "pa1", "batch_size": 2}, ValueError, r"schedule=PA1\(\) does not go with batch_size=2; allowed is 1"),
    ({"schedule": "pa2", "loss": "poisson"}, ValueError, r"schedule=PA2\(\) does not go with loss=Poisson"),
    ({"schedule": "pa1", "clip_norm": 1.0}, ValueError, r"schedule=PA1\(\) does not go with clip_norm=1.0"),
]  # fmt: skip

#: calls of a trainer (its options, the call, the error and its message)
CALLS = [
    ({}, lambda t: t.run(X, T, epochs=0), ValueError, r"epochs=0 must be an integer of at least 1"),
    ({}, lambda t: t.run(X, T, epochs=1.0), TypeError, r"epochs=1.0 must be an integer of at least 1"),
    ({}, lambda t: t.run(S), TypeError, r"T is missing: run takes X and T"),
    ({}, lambda t: t.run(X), TypeError, r"T is missing: run takes X and T"),
    ({}, lambda t: t.run(S[:, :2], T), ValueError, r"X has shape \(20, 2\); the model takes \(n, 3\)"),
    ({}, lambda t: t.run(S, T[:5]), ValueError, r"t has shape \(5, 1\); allowed is \(20, 1\) or \(20,\)"),
    ({}, lambda t: t.run(S, S[:, :1]), TypeError, r"t must be a dense array, not a sparse"),
    ({}, lambda t: t.run(X, with_nan(T, 3, 0)), ValueError, r"t has nan in row 3"),
    ({}, lambda t: t.run(X, ["a"] * N), TypeError, r"t must hold real numbers"),
    ({}, lambda t: t.run(with_nan(X), T), ValueError, r"X has nan in row 7, column 1"),
    ({}, lambda t: t.run(sp.csr_array(with_nan(X)), T), ValueError, r"X has nan in row 7, column 1"),
    ({"shuffle": True, "seed": 1}, lambda t: t.run(with_nan(X), T), ValueError, r"X has nan in row 7, column 1"),
    ({}, lambda t: t.run(X, T, sample_weight=np.ones(3)), ValueError, r"sample_weight has shape \(3,\); allowed is \("),
    ({}, lambda t: t.run(X, T, sample_weight=-np.ones(N)), ValueError, r"sample_weight has -1.0 in row 0; .* finite"),
    ({}, lambda t: t.run(X, T, sample_weight=np.zeros(N)), ValueError, r"sample_weight has no weight above zero"),
    ({}, lambda t: t.run(X, T, X_val=X), TypeError, r"X_val and t_val go together"),
    ({}, lambda t: t.run(X, T, X_val=S[:, 1:], t_val=T), ValueError, r"X_val has shape \(20, 2\); the model takes"),
    ({}, lambda t: t.run(X, T, X_val=X, t_val=T[1:]), ValueError, r"t_val has shape \(19, 1\)"),
    ({}, lambda t: t.run([X]), TypeError, r"a piece must be \(X, t\) or \(X, t, sample_weight\), not ndarray"),
    ({}, lambda t: t.run([(S, T, None, None)]), TypeError, r"a piece must be \(X, t\) or \(X, t, sample_weight\)"),
    ({}, lambda t: t.run([(S, T)], epochs=2, sample_weight=np.ones(N)), TypeError, r"sample_weight goes into"),
    ({}, lambda t: t.run(iter([(S, T)]), epochs=2), TypeError, r"X is an iterator, .* pieces once; epochs=2"),
    ({}, lambda t: t.step(S, T[:3]), ValueError, r"t has shape \(3, 1\); allowed is \(20, 1\)"),
    ({}, lambda t: t.step(S[:1, :2], T[:1]), ValueError, r"x has shape \(1, 2\); the model takes \(n, 3\)"),
    ({}, lambda t: t.step(sp.coo_array(X[0, :2]), T[0]), ValueError, r"x has shape \(2,\); the model takes \(3,\)"),
    ({}, lambda t: t.step(sp.csr_array(with_nan(X))[[7]], T[7:8]), ValueError, r"x has nan in row 0, column 1"),
    ({}, lambda t: t.step(X[:0], T[:0]), ValueError, r"x has no rows"),
    ({}, lambda t: t.step(1e200 * S, T), fastgd.DivergenceError, r"training diverged in epoch 1"),
    ({"trace": True, "trace_limit": 1000, "batch_size": 1}, lambda t: t.run(S, T), ValueError, r"would record 40"),
    ({"loss": "poisson"}, lambda t: t.run(X, -abs(T)), ValueError, r"t has -.* 'poisson' takes numbers of at least 0"),
    ({"loss": "gamma"}, lambda t: t.run(X, 0 * T), ValueError, r"t has 0.0 in row 0; .* takes numbers above 0"),
    ({"loss": "log_loss"}, lambda t: t.run(X, T * 0 + 2), ValueError, r"t has 2.0 .* loss 'log_loss' takes 0 and 1"),
    ({"loss": "hinge"}, lambda t: t.run(X, T * 0 + 0.5), ValueError, r"t has 0.5 .* loss 'hinge' takes 0 and 1"),
    ({"loss": "cross_entropy"}, lambda t: t.run(X, np.ones(N)), ValueError, r"loss 'cross_entropy' takes a model with"),
    ({}, lambda t: t.save("/none/such/place.npz"), OSError, "none"),
    ({}, lambda t: t.model.predict(X, kind="class"), ValueError, r"kind='class' is not known; allowed are 'raw', "),
    ({}, lambda t: t.model.predict(S[:, :1]), ValueError, r"X has shape \(20, 1\); the model takes \(n, 3\)"),
    ({}, lambda t: setattr(t.model, "weight", np.ones(4)), ValueError, r"weight has shape \(4,\); allowed is \(1, 3\)"),
    ({}, lambda t: fastgd.evaluate(t.model, S, T, "rmse"), ValueError, r"loss='rmse' is not known"),
    ({}, lambda t: fastgd.evaluate(t.model, S, T, sample_weight=[1.0]), ValueError, r"sample_weight has shape \(1,\)"),
    ({}, lambda t: fastgd.gradient(t.model, S, T[0]), ValueError, r"t has shape \(1,\); allowed is \(20, 1\)"),
]  # fmt: skip

#: what a trainer may be holding when it is called wrongly
HOLDING = [
    {},
    {"batch_size": 3, "penalty": penalties.ElasticNet(0.1, 0.5), "average": 2},
    {"optimizer": fastgd.Adam(lr=0.01, amsgrad=True), "schedule": "invscaling", "clip_norm": 0.5},
    {"optimizer": fastgd.FTRL(l1=0.1), "average": True},
    {"schedule": schedules.Adaptive(patience=1), "callbacks": [fastgd.EarlyStopping(3)]},
]


def held(trainer):
    """Everything that the next update depends on, and all that is shown."""
    engine_, history, model = trainer._engine, trainer.history, trainer.model
    arrays = [model.params, engine_.params, engine_.state, engine_.gradient, engine_.counters, engine_.totals[-1:]]
    arrays += [] if engine_.paid is None else [engine_.paid[: model.params.size]]  # the rest is scratch
    traced = [] if history.trace is None else [history.trace.params.tobytes(), history.trace.loss.tobytes()]
    shown = (list(history.loss), list(history.val_loss), trainer.updates, trainer.position, model.loss, traced)
    return [array.tobytes() for array in arrays], shown


@pytest.mark.parametrize(("given", "error", "message"), CHOICES, ids=[str(case[0]) for case in CHOICES])
def test_choices_are_refused_before_the_model_is_touched(given, error, message):
    model = fastgd.Linear(D, 1, seed=0)
    before, config = model.params.tobytes(), model.config()
    for call in (lambda: fastgd.Trainer(model, **given), lambda: fastgd.train(model, X, T, **given)):
        with pytest.raises(error, match=message):
            call()
    assert model.params.tobytes() == before
    assert model.config() == config


@pytest.mark.parametrize("holding", HOLDING, ids=[str(number) for number in range(len(HOLDING))])
@pytest.mark.parametrize(("options", "call", "error", "message"), CALLS, ids=[case[3][:40] for case in CALLS])
def test_calls_are_refused_and_the_trainer_is_as_before(options, call, error, message, holding):
    def make():
        return fastgd.Trainer(fastgd.Linear(D, 1, seed=0), **{**holding, **options})

    targets = (T > 1).astype(float) + (options.get("loss") == "gamma")
    trainer, twin = make(), make()
    for each in (trainer, twin):
        if options.get("loss") != "cross_entropy":
            each.run(S, targets)
    before = held(trainer)
    with pytest.raises(error, match=message):
        call(trainer)
    assert held(trainer) == before
    if options.get("loss") != "cross_entropy" and "trace" not in options:  # it goes on as if nothing had been
        trainer.run(S, targets)
        twin.run(S, targets)
        assert trainer.model.params.tobytes() == twin.model.params.tobytes()
        assert trainer.history.loss == twin.history.loss


def test_a_model_of_another_kind_is_refused():
    for model in (None, "linear", fastgd.Linear, np.ones(3)):
        with pytest.raises(TypeError, match="model must be a fastgd model, not"):
            fastgd.Trainer(model)


def test_a_refused_run_leaves_what_predictions_mean():
    model = fastgd.Linear(D, 1, seed=0)
    fastgd.train(model, X, (T[:, 0] > 1).astype(int), loss="log_loss")
    labels, config = model.predict(X, "label"), model.config()
    for refused in (lambda: fastgd.train(model, with_nan(X), T), lambda: fastgd.Trainer(model).step(with_nan(X), T)):
        with pytest.raises(ValueError, match=r"[Xx] has nan in row 7, column 1"):
            refused()
        assert model.config() == config
        np.testing.assert_array_equal(model.predict(X, "label"), labels)
    trainer = fastgd.Trainer(model, loss="log_loss")
    with pytest.raises(ValueError, match="X has nan in row 7, column 1"):
        trainer.run(with_nan(X), 2 * (T[:, 0] > 1) - 1)
    trainer.run(X, (T[:, 0] > 1).astype(int))
    assert set(model.predict(X, "label").tolist()) <= {0, 1}
