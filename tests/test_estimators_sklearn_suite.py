"""scikit-learn's own tests of its SGD estimators, with fastgd's estimators in their place."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import pytest
import sklearn

#: scikit-learn 1.9.1's tests that cannot pass, and why
CANNOT_PASS = {
    "test_validation_mask_correctly_subsets": (
        "puts a mock in the place of scikit-learn's private class _ValidationScoreCallback and looks at its arguments"
    ),
}
COLLECTED = 267
#: those that fit nothing: tests of scikit-learn's own loss functions, and of estimators that are made and looked at
LOSSES_ALONE = {
    "test_loss_hinge", "test_gradient_squared_hinge", "test_loss_modified_huber", "test_loss_epsilon_insensitive",
    "test_loss_squared_epsilon_insensitive",
}  # fmt: skip
MADE_ALONE = {
    "test_loss_function_epsilon[SGDRegressor]", "test_loss_function_epsilon[SparseSGDRegressor]",
    "test_sgd_one_class_svm_estimator_type", "test_sgd_predict_proba_method_access[SGDClassifier]",
    "test_sgd_predict_proba_method_access[SparseSGDClassifier]",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """A test of scikit-learn's: its name, passed, failed or skipped, the message, and its fits of our estimators."""

    name: str
    result: str
    message: str
    fits: int


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Every test of sklearn.linear_model.tests.test_sgd, run in a process of its own."""
    folder = tmp_path_factory.mktemp("suite")
    settings, report = folder / "pytest.ini", folder / "report.xml"
    settings.write_text("[pytest]\njunit_family = xunit1\n")
    path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    command = [
        sys.executable, "-m", "pytest", "-c", settings, "--rootdir", folder, "-p", "sklearn_swap",
        "-p", "no:cacheprovider", "-q", "--junit-xml", report, "--pyargs", "sklearn.linear_model.tests.test_sgd",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600)
    assert report.exists(), done.stdout + done.stderr
    return [outcome(case) for case in ET.parse(report).iter("testcase")]


def outcome(case: ET.Element) -> Outcome:
    """Read a test's report."""
    problem = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
    properties = {found.get("name"): found.get("value") for found in case.iter("property")}
    result, message = ("passed", "") if problem is None else (problem.tag, problem.get("message", ""))
    return Outcome(case.get("name", ""), result, message, int(properties.get("fits") or 0))


def test_the_version_is_the_one_that_was_judged():
    assert sklearn.__version__ == "1.9.1"


def test_every_test_that_can_pass_does(outcomes):
    failed = [seen for seen in outcomes if seen.result != "passed"]
    print(f"\n{len(outcomes)} tests of scikit-learn's, {len(outcomes) - len(failed)} pass with fastgd's estimators")
    for name, reason in CANNOT_PASS.items():
        print(f"cannot pass: {name} {reason}")
    assert len(outcomes) == COLLECTED
    assert {seen.name: seen.message for seen in failed if seen.name not in CANNOT_PASS} == {}
    assert {seen.name for seen in failed} == set(CANNOT_PASS)


def test_the_tests_fit_our_estimators_and_no_others(outcomes):
    fitting = {seen.name: seen.fits for seen in outcomes if seen.fits}
    exercising = COLLECTED - len(LOSSES_ALONE)
    print(f"\n{exercising} of the tests exercise ours, {len(fitting)} fit them {sum(fitting.values())} times")
    assert {seen.name for seen in outcomes} - set(fitting) == LOSSES_ALONE | MADE_ALONE
    assert exercising == 262
    assert len(fitting) == 257
