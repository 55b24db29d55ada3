"""What goes with what: every pair of choices is made or refused, and each refusal says why."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from fastgd import losses, optimizers, penalties, schedules
from fastgd.method import Method
from fastgd.optimizers import FTRL, SGD, Adam, AdamW, RMSprop
from fastgd.penalties import L1, L2, ElasticNet
from fastgd.schedules import PA1, PA2, Constant, Cosine, Exponential, Own, StepLR

MSE = losses.get("mse")
NEEDED = {"step": StepLR(2), "exponential": Exponential(0.5), "cosine": Cosine(3)}
SCHEDULES = {name: NEEDED.get(name) or schedules.get(name) for name in schedules.registry}
ON_WEIGHT = np.array([True, True, False])


def make(loss=MSE, sizes=(4, 1), batch_size=1, optimizer="sgd", **given):
    return Method.make(loss, sizes, batch_size, optimizer=optimizer, **given)


def test_a_method_resolves_names():
    method = make(optimizer="adam", penalty="l2", schedule="invscaling", average=True, clip_value=1, clip_norm=2)
    assert method == Method(Adam(), L2(), schedules.InvScaling(), 1, 1.0, 2.0)
    assert make() == Method(SGD(), None, Constant(), 0, None, None)
    assert make(average=False).average == 0
    assert make(average=np.bool_(True)).average == 1
    assert make(average=7).average == 7
    assert isinstance(make(schedule=lambda t: 1 / t).schedule, Own)


ALLOWED = {  # for each penalty, None included, the optimizers with their defaults that it goes with
    None: {"sgd", "adam", "adamw", "adagrad", "rmsprop", "ftrl"},
    "l2": {"sgd", "adam", "adagrad", "rmsprop"},
    "l1": {"sgd"},
    "elasticnet": {"sgd"},
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("penalty", [None, *penalties.registry])
@pytest.mark.parametrize("optimizer", optimizers.registry)
def test_every_pair_is_made_or_refused_by_name(optimizer, penalty, schedule):
    given = {"optimizer": optimizer, "penalty": penalty, "schedule": SCHEDULES[schedule]}
    fits = optimizer == "sgd" or (schedule not in ("pa1", "pa2") and (optimizer != "ftrl" or schedule == "constant"))
    if optimizer in ALLOWED[penalty] and fits:
        method = make(**given)
        assert method.optimizer == optimizers.get(optimizer)
        assert method.penalty == penalties.get(penalty)
        assert method.schedule == SCHEDULES[schedule]
        return
    with pytest.raises(ValueError, match="does not go with") as caught:
        make(**given)
    refused = {type(optimizers.get(optimizer)).__name__, type(SCHEDULES[schedule]).__name__}
    refused.add("" if penalty is None else type(penalties.get(penalty)).__name__)
    assert sum(f"{name}(" in str(caught.value) for name in refused if name) >= 2


MOMENTUM = SGD(momentum=0.9)
REFUSED = [
    (
        {"penalty": "l1", "optimizer": MOMENTUM},
        ValueError,
        r"penalty=L1\(.*\) does not go with optimizer=SGD\(.*: an L1",
    ),
    ({"penalty": ElasticNet(), "optimizer": "adam"}, ValueError, r"penalty=ElasticNet\(.*optimizer=Adam\(.*: an L1"),
    ({"penalty": "l1", "optimizer": RMSprop()}, ValueError, r"penalty=L1\(.*optimizer=RMSprop\("),
    (
        {"penalty": "l2", "optimizer": SGD(weight_decay=0.1)},
        ValueError,
        r"penalty=L2\(.*weight_decay=0.1.*: both decay",
    ),
    ({"penalty": "l2", "optimizer": Adam(weight_decay=0.1)}, ValueError, "both decay the weights"),
    ({"penalty": "l2", "optimizer": AdamW()}, ValueError, r"penalty=L2\(.*optimizer=AdamW\(.*: its own weight_decay"),
    ({"penalty": "l2", "optimizer": AdamW(weight_decay=0)}, ValueError, "its own weight_decay"),
    ({"penalty": "l2", "optimizer": Adam(lazy=True)}, ValueError, r"optimizer=Adam\(.*: a lazy update leaves out"),
    ({"penalty": "l2", "optimizer": "ftrl"}, ValueError, r"optimizer=FTRL\(.*: FTRL has an l1 and an l2 of its own"),
    ({"penalty": "l1", "optimizer": FTRL(l1=0.1)}, ValueError, "FTRL has an l1 and an l2 of its own"),
    (
        {"schedule": "optimal", "optimizer": "ftrl"},
        ValueError,
        r"schedule=Optimal\(.*optimizer=FTRL\(.*allowed is 'const",
    ),
    ({"schedule": lambda t: 1.0, "optimizer": "ftrl"}, ValueError, r"schedule=Own\(.*optimizer=FTRL\("),
    ({"schedule": "pa1", "optimizer": MOMENTUM}, ValueError, r"schedule=PA1\(\) .*momentum=0.9.*SGD without momentum"),
    (
        {"schedule": "pa2", "optimizer": "adam"},
        ValueError,
        r"schedule=PA2\(\) .*optimizer=Adam\(.*SGD without momentum",
    ),
    ({"schedule": "pa2", "optimizer": SGD(lr=0)}, ValueError, "lr=0.0 must be above 0: it is the aggressiveness"),
    ({"schedule": "pa1", "batch_size": 2}, ValueError, r"schedule=PA1\(\) does not go with batch_size=2; allowed is 1"),
    ({"schedule": "pa1", "sizes": (4, 3, 1)}, ValueError, r"schedule=PA1\(\) .* network of sizes \(4, 3, 1\); allowed"),
    (
        {"schedule": "pa1", "clip_value": 1},
        ValueError,
        r"schedule=PA1\(\) does not go with clip_value=1.0; allowed is None",
    ),
    (
        {"schedule": "pa2", "clip_norm": 1},
        ValueError,
        r"schedule=PA2\(\) does not go with clip_norm=1.0; allowed is None",
    ),
    ({"average": -1}, ValueError, "average=-1 must be an integer of at least 0"),
    ({"average": 1.5}, TypeError, "average=1.5 must be an integer"),
    ({"average": "yes"}, TypeError, "average='yes' must be an integer"),
    ({"clip_value": 0}, ValueError, "clip_value=0 must be a finite number above 0"),
    ({"clip_value": -1}, ValueError, "clip_value=-1 must be"),
    ({"clip_value": True}, TypeError, "clip_value=True must be"),
    ({"clip_norm": 0.0}, ValueError, "clip_norm=0.0 must be a finite number above 0"),
    ({"clip_norm": float("inf")}, ValueError, "clip_norm=inf must be"),
    ({"clip_norm": "1"}, TypeError, "clip_norm='1' must be"),
    ({"optimizer": "sgdm"}, ValueError, "optimizer='sgdm' is not known"),
    ({"penalty": "l0"}, ValueError, "penalty='l0' is not known"),
    ({"schedule": "poly"}, ValueError, "schedule='poly' is not known"),
    ({"schedule": "step"}, ValueError, "schedule='step' has no default step_size"),
    ({"optimizer": None}, TypeError, "optimizer must be a name or an instance"),
    ({"penalty": 0.1}, TypeError, "penalty must be a name or an instance"),
    ({"schedule": 0.1}, TypeError, "schedule must be a name or an instance"),
]


@pytest.mark.parametrize(("given", "error", "message"), REFUSED)
def test_what_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        make(**given)


@pytest.mark.parametrize("schedule", [PA1(), PA2()], ids=repr)
@pytest.mark.parametrize("name", losses.registry)
def test_losses_that_passive_aggressive_learning_takes(name, schedule):
    if name in ("poisson", "gamma", "tweedie", "cross_entropy"):
        with pytest.raises(ValueError, match=rf"schedule={schedule.name.upper()}\(\) does not go with loss="):
            make(losses.get(name), schedule=schedule)
    else:
        assert make(losses.get(name), schedule=schedule).schedule == schedule


def test_what_goes_together():
    for average, clip in itertools.product([False, True, 5], [None, 0.5]):
        for optimizer in optimizers.registry:
            made = make(
                optimizer=optimizer, average=average, clip_value=clip, clip_norm=clip, batch_size=3, sizes=(4, 5, 2)
            )
            assert (made.average, made.clip_value, made.clip_norm) == (int(average), clip, clip)
    make(penalty=ElasticNet(l1_ratio=0), optimizer="adam")  # it is L2
    make(penalty="l1", optimizer="sgd", sizes=(4, 5, 2), batch_size=3, average=True)
    make(penalty="elasticnet", schedule="pa2", average=True, sizes=(4, 3))


def test_decay():
    cases = [
        (make(), (0, 0)),
        (make(optimizer=Adam(weight_decay=0.5)), (0.5, 0.5)),
        (make(optimizer=AdamW()), (0.01, 0.01)),
        (make(optimizer="ftrl"), (0, 0)),
        (make(penalty=L2(0.5)), (0.5, 0)),
        (make(penalty=L2(0.5, include_bias=True)), (0.5, 0.5)),
        (make(penalty=L1(0.5)), (0, 0)),
        (make(penalty=ElasticNet(0.5, 0.25, include_bias=True)), (0.375, 0.375)),
    ]
    for method, (weights, biases) in cases:
        np.testing.assert_array_equal(method.decay(ON_WEIGHT), [weights, weights, biases])


def test_biases_are_penalised_only_if_asked():
    np.testing.assert_array_equal(make().penalised(ON_WEIGHT), [False, False, False])
    np.testing.assert_array_equal(make(penalty="l1").penalised(ON_WEIGHT), ON_WEIGHT)
    np.testing.assert_array_equal(make(penalty=L1(include_bias=True)).penalised(ON_WEIGHT), [True, True, True])


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-15), (np.float32, 1e-6)])
@pytest.mark.parametrize(("value", "norm"), [(None, None), (0.3, None), (None, 0.7), (0.3, 0.7), (9.0, 99.0)])
def test_clipping_is_torchs(value, norm, dtype, tolerance):
    gradient = np.random.default_rng(0).normal(size=10).astype(dtype)
    given = gradient.copy()
    parameters = [torch.nn.Parameter(torch.zeros(4)), torch.nn.Parameter(torch.zeros(6))]
    for parameter, part in zip(parameters, (gradient[:4], gradient[4:])):
        parameter.data, parameter.grad = torch.tensor(part), torch.tensor(part)
    if value is not None:
        torch.nn.utils.clip_grad_value_(parameters, value)
    if norm is not None:
        torch.nn.utils.clip_grad_norm_(parameters, norm)
    clipped = make(clip_value=value, clip_norm=norm).clip(gradient)
    assert clipped.dtype == dtype
    expected = np.concatenate([parameter.grad.numpy() for parameter in parameters])
    np.testing.assert_allclose(clipped, expected, rtol=tolerance)
    np.testing.assert_array_equal(gradient, given)
