"""From timings to text: medians, ratios to each peer, versions and machine, as Markdown that a terminal shows well."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import fastgd
from benchmarks.cases import Case
from benchmarks.groups import ADAPTERS, adapters
from benchmarks.points import CASES

#: seconds a sample, a fit or a call by case and library, a value a round
Timings = dict[tuple[Case, str], list[float]]

BEGIN, END = "<!-- speed -->", "<!-- /speed -->"
PEERS = ("numpy", "numba", "scikit-learn", "torch", "river", "jax", "vowpalwabbit")


def markdown(timings: Timings) -> str:
    """Return the whole report."""
    medians = {key: statistics.median(values) for key, values in timings.items()}
    groups = [[case for case in CASES if case.group == group] for group in ADAPTERS]
    parts = [group_report(cases, medians) for cases in groups]
    rounds = " or ".join(map(str, sorted({len(values) for values in timings.values()})))
    how = (
        f"Medians of {rounds} interleaved rounds, one thread; in brackets the peer's time ÷ "
        "fastgd's, so that above 1 fastgd is faster."
    )
    return "\n\n".join([*filter(None, parts), f"{how} {machine()}"])


def group_report(cases: list[Case], medians: dict[tuple[Case, str], float]) -> str:
    """Return the table of a group, and what it comes to for each peer; nothing where nothing was measured."""
    libraries = [library for library in ADAPTERS[cases[0].group] if any((case, library) in medians for case in cases)]
    rows = [
        [case.name, *(cell(case, library, medians) for library in libraries)]
        for case in cases
        if any((case, library) in medians for library in libraries)
    ]
    if not rows:
        return ""
    text = table([[f"{cases[0].group}: {cases[0].unit[0]}", *libraries], *rows])
    peers = [library for library in libraries if library != "fastgd"]
    if len(rows) == 1:
        return text
    return "\n".join([text, "", *(summary(peer, cases, medians) for peer in peers)])


def ratio(case: Case, peer: str, medians: dict[tuple[Case, str], float]) -> float | None:
    """Return how many times as long as fastgd the peer takes, or None where one of the two was not measured."""
    if (case, peer) not in medians or (case, "fastgd") not in medians:
        return None
    return medians[case, peer] / medians[case, "fastgd"]


def cell(case: Case, library: str, medians: dict[tuple[Case, str], float]) -> str:
    if (case, library) not in medians:
        return ""
    value = medians[case, library] / case.unit[1]
    text = f"{value:,.{1 if value < 100 else 0}f}"
    times = None if library == "fastgd" else ratio(case, library, medians)
    return text if times is None else f"{text} (×{times:.{2 if times < 10 else 0}f})"


def summary(peer: str, cases: list[Case], medians: dict[tuple[Case, str], float]) -> str:
    """Return the geometric mean and the lowest of the ratios to a peer, and every point where fastgd is slower."""
    ratios = {case.name: times for case in cases if (times := ratio(case, peer, medians)) is not None}
    if not ratios:
        return ""
    lowest = min(ratios, key=lambda name: ratios[name])
    slower = [f"{name} (×{times:.2f})" for name, times in ratios.items() if times < 1]
    return (
        f"- {peer} ÷ fastgd: geometric mean ×{statistics.geometric_mean(ratios.values()):.2f}, lowest "
        f"×{ratios[lowest]:.2f} ({lowest}); below 1: {'; '.join(slower) or 'no point'}."
    )


def table(rows: list[list[str]]) -> str:
    """Return a Markdown table with its columns aligned; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(line(row, widths) for row in (rows[0], rule, *rows[1:]))


def line(cells: Iterable[str], widths: list[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return f"| {first[0]:<{first[1]}} | " + " | ".join(f"{text:>{width}}" for text, width in others) + " |"


def machine() -> str:
    """Return the processor, the build of fastgd and the versions of its peers, a sentence each."""
    config = fastgd.show_config()
    versions = ", ".join(f"{peer} {version(peer)}" for peer in PEERS)
    return (
        f"{processor()}, {os.cpu_count()} cores, {platform.system()}. fastgd {config['version']}, level "
        f"`{config['isa']}`, compiler {config['compiler']}, flags `{config['flags']}`. "
        f"Python {platform.python_version()}, {versions}."
    )


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def update_readme(path: Path, text: str, timings: Timings) -> str:
    """Write the report between the markers of the README if every point was measured; return what was done."""
    missing = [case.name for case in CASES for library in adapters(case) if (case, library) not in timings]
    if missing:
        return f"{path.name} is left as it is: {len(missing)} points were not measured"
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        return f"{path.name} is left as it is: it has no {BEGIN} … {END}"
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")
    return f"{path.name} has the new table"
