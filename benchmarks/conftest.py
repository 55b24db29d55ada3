"""One thread for everybody, the report at the end of the run, and the README's table."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import pytest  # noqa: E402 - the variables are read at import

from benchmarks import report  # noqa: E402

TIMINGS = pytest.StashKey[report.Timings]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-readme", action="store_true", help="write the figures into README.md and docs/speed.md")


def pytest_configure(config: pytest.Config) -> None:
    timings: report.Timings = defaultdict(list)
    config.stash[TIMINGS] = timings
    config.option.benchmark_quiet = True  # its table has a line a turn; the report has their medians


@pytest.fixture(scope="session")
def timings(pytestconfig: pytest.Config) -> report.Timings:
    """Seconds a sample by case and library, a value a round."""
    return pytestconfig.stash[TIMINGS]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    timings = config.stash[TIMINGS]
    if not timings:
        return
    terminalreporter.section("speed")
    text = report.markdown(timings)
    terminalreporter.write_line(text)
    if config.getoption("update_readme"):
        terminalreporter.write_line(report.update(config.rootpath, timings))
