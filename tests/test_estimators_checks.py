"""scikit-learn's checks of estimators, with the parameters and the excuses that it has for its class of that name."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from sklearn import linear_model, neural_network
from sklearn.utils import estimator_checks
from sklearn.utils._test_common import instance_generator
from sklearn.utils.estimator_checks import check_estimator

from fastgd import estimators

THEIRS: dict[str, Any] = {
    "SGDClassifier": linear_model.SGDClassifier,
    "SGDRegressor": linear_model.SGDRegressor,
    "SGDOneClassSVM": linear_model.SGDOneClassSVM,
    "MLPClassifier": neural_network.MLPClassifier,
    "MLPRegressor": neural_network.MLPRegressor,
}
EQUIVALENCE = [f"check_sample_weight_equivalence_on_{kind}_data" for kind in ("dense", "sparse")]


def parameters(name: str) -> dict[str, dict[str, Any]]:
    """Return the parameters with which single checks are made, by the check's name.

    They are scikit-learn's. A weight of two is a row given twice only for those who see all rows at once, as its
    networks do in these checks: there ours are asked for its size of a batch, and for SGD where it takes L-BFGS.
    """
    theirs = instance_generator.PER_ESTIMATOR_CHECK_PARAMS.get(THEIRS[name], {})
    made = {check: dict(given[0] if isinstance(given, list) else given) for check, given in theirs.items()}
    if not name.startswith("MLP"):
        return made
    default = THEIRS[name]().batch_size
    for check in EQUIVALENCE:
        given = made.setdefault(check, {})
        given["batch_size"] = default
        if given.get("solver") == "lbfgs":
            given["solver"] = "sgd"
    return made


def checked(made: Any, excused: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the results of the checks by what was checked; a name that comes more than once has a number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few epochs do not converge
        results = check_estimator(made, expected_failed_checks=excused, on_fail=None)
    return {f"{one['check_name']} {number}": one for number, one in enumerate(results)}


@pytest.mark.parametrize("name", THEIRS)
def test_scikit_learns_checks_pass(name, monkeypatch):
    ours, theirs = getattr(estimators, name), THEIRS[name]
    assert ours is not theirs
    monkeypatch.setitem(instance_generator.PER_ESTIMATOR_CHECK_PARAMS, ours, parameters(name))
    excused = instance_generator.PER_ESTIMATOR_XFAIL_CHECKS.get(theirs, {})
    options = instance_generator.INIT_PARAMS[theirs]
    seen, expected = checked(ours(**options), excused), checked(theirs(**options), excused)
    statuses = [one["status"] for one in seen.values()]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in sorted(set(statuses)))
    print(f"\n{name}: {len(seen)} checks, {counts}; excused by scikit-learn: {sorted(excused)}")
    assert {check: repr(one["exception"]) for check, one in seen.items() if one["status"] == "failed"} == {}
    assert list(seen) == list(expected)
    assert {check: one["status"] for check, one in seen.items()} == {
        check: one["status"] for check, one in expected.items()
    }


@pytest.mark.parametrize("check", EQUIVALENCE)
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_row_by_row_scikit_learns_networks_do_not_pass_these_either(name, check):
    """Their batch of one row cannot have the weight of none. Ours are asked for their default there."""
    for size in (1, "auto"):
        made = THEIRS[name](**{**parameters(name)[check], "batch_size": size, "random_state": 0})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if size == 1:
                with pytest.raises(ZeroDivisionError, match="Weights sum to zero"):
                    getattr(estimator_checks, check)(name, made)
            else:
                getattr(estimator_checks, check)(name, made)
