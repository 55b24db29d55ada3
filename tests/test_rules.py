"""Rules, the switches of another library's step: each in the compiled passes as in NumPy, by itself and with others."""

import itertools

import numpy as np
import pytest
from passes import compare, make_pass

import fastgd
from fastgd import _kernels, losses, penalties, schedules
from fastgd.method import Method
from fastgd.reference import AVERAGED, PENALTY, SUMMED, UNWEIGHTED, UPDATES
from fastgd.rules import Rules

SWITCHES = {
    "none": {},
    "intercept_decay": {"intercept_decay": 0.01},
    "intercept_stays": {"intercept_decay": 0},
    "bias_pull": {"bias_pull": 0.3},
    "slope_limit": {"slope_limit": 0.2},
    "visit_zero_weight": {"visit_zero_weight": True},
    "pass_over_zeros": {"pass_over_zeros": True},
    "l1_on_touched": {"l1_on_touched": True},
    "average_before_l1": {"l1_on_touched": True, "average_before_l1": True},
    "objective": {"objective": True, "l1_on_touched": True},
    "price_before_l1": {"objective": True, "l1_on_touched": True, "price_before_l1": True},
    "all": {
        "intercept_decay": 0.5, "bias_pull": 0.1, "slope_limit": 0.5, "visit_zero_weight": True,
        "pass_over_zeros": True, "l1_on_touched": True, "average_before_l1": True, "objective": True,
        "price_before_l1": True,
    },
}  # fmt: skip
PENALTIES = {
    "none": None,
    "l2": penalties.L2(0.02),
    "l1": penalties.L1(0.02),
    "elasticnet": penalties.ElasticNet(0.05, 0.4),
}
TOLERANCE = {"float64": 1e-12, "float32": 2e-4}


def ruled(switches, loss="log_loss", penalty="l2", schedule="constant", lr=0.05, dtype="float64", average=0, **options):
    """Return a pass with these rules, over rows of which some weigh nothing and some are zero."""
    optimizer = fastgd.SGD(lr=lr)
    loss = losses.get(loss)
    method = Method.make(
        loss, (7, options.get("K", 1)), optimizer=optimizer, penalty=PENALTIES[penalty],
        schedule=schedule, average=average, rules=Rules(**switches),
    )  # fmt: skip
    given = make_pass(loss, dtype, method=method, **options)
    rng = np.random.default_rng(5)
    given.weights = rng.choice([0.0, 0.5, 1.0, 2.0], given.rows).astype(dtype)
    given.order = np.append(rng.permutation(given.rows), rng.permutation(given.rows))
    if options.get("density") is None:
        given.X[3] = 0
    return given


@pytest.mark.parametrize("density", [None, 0.3])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("switch", SWITCHES)
def test_compiled_passes_agree_with_numpy(switch, penalty, density):
    cases = itertools.product(("float64", "float32"), (1, 3), (True, False), (0, 1, 30), ("constant", "invscaling"))
    for dtype, K, bias, average, schedule in cases:
        given = ruled(
            SWITCHES[switch], penalty=penalty, dtype=dtype, K=K, bias=bias, average=average, schedule=schedule,
            density=density,
        )  # fmt: skip
        compare(given, TOLERANCE[dtype])


@pytest.mark.parametrize("schedule", ["pa1", "pa2"])
@pytest.mark.parametrize("switch", SWITCHES)
def test_passive_aggressive_passes_agree_with_numpy(switch, schedule):
    for penalty, density in itertools.product(PENALTIES, (None, 0.2)):
        compare(ruled(SWITCHES[switch], "hinge", penalty, schedule, density=density), 1e-12)


@pytest.mark.parametrize("loss", [name for name in losses.registry if not losses.get(name).coupled])
def test_every_loss_keeps_all_rules(loss):
    for penalty, density in itertools.product(PENALTIES, (None, 0.3)):
        compare(ruled(SWITCHES["all"], loss, penalty, lr=0.01, density=density), 1e-12)


@pytest.mark.parametrize("density", [None, 0.3])
@pytest.mark.parametrize("penalty", ["none", "l2", "l1", "elasticnet"])
def test_cuts_do_not_matter(penalty, density):
    for average in (0, 20):
        whole = ruled(SWITCHES["all"], penalty=penalty, average=average, density=density, n=90)
        parts = whole.copy()
        whole.run(_kernels)
        for start, stop in itertools.pairwise((0, 1, 18, 19, 64, 120, len(parts.order))):
            assert parts.run(_kernels, start, stop) == -1
        np.testing.assert_allclose(parts.params, whole.params, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(parts.state, whole.state, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(parts.totals, whole.totals, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
def test_weights_that_shrink_to_nothing_are_folded(penalty):
    # α λ of 0.9 brings the product of the factors below both limits within a pass, 1.5 at once
    for lr in (30.0, 50.0):
        for average, dtype in itertools.product((0, 3), TOLERANCE):
            compare(
                ruled({**SWITCHES["all"], "slope_limit": 1e-3}, penalty=penalty, lr=lr, average=average, dtype=dtype),
                10 * TOLERANCE[dtype],
            )


@pytest.mark.parametrize("penalty", ["none", "l2"])
@pytest.mark.parametrize("density", [None, 0.3])
def test_objective_is_that_of_the_weights_before_each_update(penalty, density):
    given = ruled({"objective": True}, penalty=penalty, density=density)
    single = given.copy()
    given.run(_kernels)
    dense = single.X if density is None else single.X.toarray()
    unweighted = priced = 0.0
    for place, row in enumerate(single.order):
        if single.weights[row]:
            y = dense[row] @ single.params[:-1] + single.params[-1]
            unweighted += np.logaddexp(0, y) - single.T[row, 0] * y
            priced += 0.0 if penalty == "none" else 0.02 / 2 * np.sum(single.params[:-1] ** 2)
        single.run(_kernels, place, place + 1)
    np.testing.assert_allclose(given.totals[[UNWEIGHTED, PENALTY]], [unweighted, priced], rtol=1e-12)


def test_rows_of_weight_zero_decay_and_count_only_where_they_are_visited():
    for visited in (False, True):
        given = ruled({"visit_zero_weight": visited}, average=1)
        given.weights = np.zeros_like(given.weights)
        before = given.params.copy()
        given.run(_kernels)
        updates = visited * len(given.order)
        assert given.counters[UPDATES] == given.counters[AVERAGED] == updates
        np.testing.assert_allclose(given.params[:-1], before[:-1] * (1 - 0.05 * 0.02) ** updates, rtol=1e-12)


def test_a_row_of_zeros_counts_unless_it_is_passed_over():
    for passed in (False, True):
        given = ruled({"pass_over_zeros": passed}, "hinge", "none", "pa1")
        given.X[:] = 0
        given.weights = None
        given.run(_kernels)
        assert given.counters[UPDATES] == (0 if passed else len(given.order))


def test_l1_is_taken_from_the_columns_of_the_row_alone():
    given = ruled({"l1_on_touched": True}, "absolute", "l1", density=0.3)
    everywhere = ruled({}, "absolute", "l1", density=0.3)
    for place in range(8):
        owed, before = given.totals[4], given.params.copy()
        given.run(_kernels, place, place + 1)
        everywhere.run(_kernels, place, place + 1)
        touched = np.zeros(given.params.size, bool)
        touched[given.X.indices[slice(*given.X.indptr[given.order[place] : given.order[place] + 2])]] = True
        if given.totals[4] > owed:
            assert np.array_equal(given.params[:-1] != before[:-1], touched[:-1])
    assert not np.allclose(given.params, everywhere.params, atol=1e-5)
    assert given.totals[SUMMED] == 0


def test_the_price_before_l1_is_that_of_the_weights_before_they_are_cut():
    given = ruled(SWITCHES["price_before_l1"], "hinge", "l1")
    given.weights = None
    price, still = 0.02 * np.abs(given.params[:-1]).sum(), 0
    for place, row in enumerate(given.order):
        w, b, sum_before = given.params[:-1].copy(), given.params[-1], given.totals[PENALTY]
        given.run(_kernels, place, place + 1)
        np.testing.assert_allclose(given.totals[PENALTY] - sum_before, price, rtol=1e-9)
        sign = 2 * given.T[row, 0] - 1
        if sign * (w @ given.X[row] + b) < 1:
            price = 0.02 * np.abs(w + 0.05 * sign * given.X[row]).sum()
        else:
            still += 1
    assert still


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("intercept_decay", -1, ValueError),
        ("intercept_decay", "auto", TypeError),
        ("bias_pull", np.nan, ValueError),
        ("slope_limit", 0, ValueError),
        ("slope_limit", None, TypeError),
        ("visit_zero_weight", 1, TypeError),
        ("objective", "yes", TypeError),
    ],
)
def test_rules_of_other_values_are_refused(name, value, error):
    with pytest.raises(error, match=name):
        Rules(**{name: value})


@pytest.mark.parametrize("missing", ["l1_on_touched", "objective"])
def test_what_is_before_l1_needs_an_l1_that_is_on_touched(missing):
    given = {"l1_on_touched": True, "objective": True, "price_before_l1": True, missing: False}
    with pytest.raises(ValueError, match=f"{missing}=True"):
        Rules(**given)
    with pytest.raises(ValueError, match="l1_on_touched=True"):
        Rules(average_before_l1=True)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"optimizer": fastgd.SGD(lr=0.1, momentum=0.9)}, "momentum"),
        ({"optimizer": fastgd.SGD(lr=0.1, weight_decay=0.1)}, "weight_decay"),
        ({"optimizer": "adam"}, "optimizer=Adam"),
        ({"sizes": (4, 3, 1)}, r"\(4, 3, 1\)"),
        ({"batch_size": 2}, "batch_size=2"),
        ({"clip_value": 1.0}, "clip_value=1.0"),
        ({"penalty": penalties.L2(0.1, include_bias=True)}, "include_bias=False"),
        ({"penalty": "l1", "rules": Rules(objective=True)}, "l1_on_touched=True"),
    ],
)
def test_rules_that_go_with_nothing_else_are_refused(changed, match):
    choices = {"sizes": (4, 1), "optimizer": "sgd", "rules": Rules(intercept_decay=0.5), **changed}
    with pytest.raises(ValueError, match=match):
        Method.make(losses.get("mse"), **choices)


def test_rules_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="rules"):
        Method.make(losses.get("mse"), (4, 1), optimizer="sgd", rules={"objective": True})


def test_shuffle_is_that_of_scikit_learn():
    from sklearn.utils._seq_dataset import ArrayDataset64

    for n, seed in itertools.product((1, 2, 3, 1000), (0, 1, 12345, 2**31 - 2)):
        data = ArrayDataset64(np.zeros((n, 1)), np.zeros(n), np.arange(n, dtype=np.float64), seed=1)
        order = np.arange(n)
        for _ in range(2):
            data._shuffle_py(seed)
            _kernels.shuffle(order, seed)
            assert [data._next_py()[3] for _ in range(n)] == order.tolist()


def test_schedules_by_step_count_the_rows_of_weight_zero_that_are_visited():
    compare(ruled({"visit_zero_weight": True}, schedule=schedules.get(lambda t: 1 / t)), 1e-12)
