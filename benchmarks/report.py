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
from benchmarks.groups import ADAPTERS, PRODUCT, READING, adapters
from benchmarks.points import CASES

#: seconds a sample, a fit or a call by case and library, a value a round
Timings = dict[tuple[Case, str], list[float]]

BEGIN, END = "<!-- speed -->", "<!-- /speed -->"
CLOSE = 1.25  # below which a ratio is told with the share of the limit
HEAD = """# Speed

The report of `pytest benchmarks --update-readme`, one run. A ratio in brackets is the peer's time ÷ fastgd's, so that
above 1 fastgd is faster. *limit* is the longer of two times, both measured in the same run: reading X once from where
it lies, in the order of the visits, and the sample's multiplications and additions at the peak of a matrix product.
Rows in order are read by a plain loop, those in random order by one that asks for them ahead; from memory another way,
which asks more evenly, may read them sooner.
"""
PEERS = ("numpy", "numba", "scikit-learn", "torch", "river", "jax", "vowpalwabbit")


def markdown(timings: Timings) -> str:
    """Return the whole report."""
    medians = {key: statistics.median(values) for key, values in timings.items()}
    parts = [group_report(cases, medians) for cases in grouped()]
    return "\n\n".join([*filter(None, parts), how(timings, medians)])


def overview(timings: Timings) -> str:
    """Return a line for each group and peer: the geometric mean and the lowest of the ratios."""
    medians = {key: statistics.median(values) for key, values in timings.items()}
    rows = [["peer's time ÷ fastgd's", "peer", "points", "geometric mean", "lowest", "at"]]
    for cases in grouped():
        for peer in peers_of(cases):
            ratios = ratios_to(peer, cases, medians)
            if ratios:
                lowest = min(ratios, key=lambda name: ratios[name])
                mean = statistics.geometric_mean(ratios.values())
                rows.append([cases[0].group, peer, f"{len(ratios)}", f"{mean:.2f}", f"{ratios[lowest]:.2f}", lowest])
    return f"{table(rows)}\n\n{how(timings, medians)}"


def grouped() -> list[list[Case]]:
    return [[case for case in CASES if case.group == group] for group in ADAPTERS]


def peers_of(cases: list[Case]) -> list[str]:
    return [library for library in ADAPTERS[cases[0].group] if library not in ("fastgd", READING, PRODUCT)]


def how(timings: Timings, medians: dict[tuple[Case, str], float]) -> str:
    """Tell what was measured, and on what machine."""
    rounds = " or ".join(map(str, sorted({len(values) for values in timings.values()})))
    limits = peaks(medians)
    peak = " and ".join(f"{1e-9 / seconds:.0f} in {dtype}" for dtype, seconds in limits.items())
    return (
        f"Medians of {rounds} interleaved rounds, one thread. {machine()}"
        f"{f' Multiplications and additions at peak: {peak}, in thousand millions a second.' if limits else ''}"
    )


def group_report(cases: list[Case], medians: dict[tuple[Case, str], float]) -> str:
    """Return the table of a group, and what it comes to for each peer; nothing where nothing was measured."""
    libraries = [peer for peer in ("fastgd", *peers_of(cases)) if any((case, peer) in medians for case in cases)]
    measured = [case for case in cases if any((case, library) in medians for library in libraries)]
    if not measured:
        return ""
    limits = [limit(case, medians) for case in measured]
    rows = [[f"{cases[0].group}: {cases[0].unit[0]}", *libraries, *(["limit"] if any(limits) else [])]]
    for case, least in zip(measured, limits, strict=True):
        rows.append([case.name, *(cell(case, library, medians) for library in libraries)])
        if any(limits):
            rows[-1].append("" if least is None else f"{least / case.unit[1]:,.1f}")
    text = table(rows)
    if len(rows) == 2:
        return text
    return "\n".join([text, "", *(summary(peer, cases, medians) for peer in peers_of(cases))])


def peaks(medians: dict[tuple[Case, str], float]) -> dict[str, float]:
    """Return the seconds that a multiplication or addition takes at peak, by dtype."""
    return {case.dtype: seconds for (case, library), seconds in medians.items() if library == PRODUCT}


def limit(case: Case, medians: dict[tuple[Case, str], float]) -> float | None:
    """Return the seconds of a sample's reading, or of its multiplications and additions if these take longer."""
    if (case, READING) not in medians:
        return None
    return max(medians[case, READING], case.flops * peaks(medians).get(case.dtype, 0))


def ratio(case: Case, peer: str, medians: dict[tuple[Case, str], float]) -> float | None:
    """Return how many times as long as fastgd the peer takes, or None where one of the two was not measured."""
    if (case, peer) not in medians or (case, "fastgd") not in medians:
        return None
    return medians[case, peer] / medians[case, "fastgd"]


def ratios_to(peer: str, cases: list[Case], medians: dict[tuple[Case, str], float]) -> dict[str, float]:
    return {case.name: times for case in cases if (times := ratio(case, peer, medians)) is not None}


def cell(case: Case, library: str, medians: dict[tuple[Case, str], float]) -> str:
    if (case, library) not in medians:
        return ""
    value = medians[case, library] / case.unit[1]
    text = f"{value:,.{1 if value < 100 else 0}f}"
    times = None if library == "fastgd" else ratio(case, library, medians)
    return text if times is None else f"{text} (×{times:.{2 if times < 10 else 0}f})"


def summary(peer: str, cases: list[Case], medians: dict[tuple[Case, str], float]) -> str:
    """Return the mean and the lowest of the ratios to a peer, and each below ``CLOSE`` with the share of the limit."""
    ratios = ratios_to(peer, cases, medians)
    if not ratios:
        return ""
    lowest = min(ratios, key=lambda name: ratios[name])
    close = []
    for case in cases:
        if ratios.get(case.name, CLOSE) < CLOSE:
            least = limit(case, medians)
            share = "" if least is None else f", {least / medians[case, 'fastgd']:.0%} of the limit"
            close.append(f"{case.name} (×{ratios[case.name]:.2f}{share})")
    return (
        f"- {peer} ÷ fastgd: geometric mean ×{statistics.geometric_mean(ratios.values()):.2f}, lowest "
        f"×{ratios[lowest]:.2f} ({lowest}); below {CLOSE}: {'; '.join(close) or 'no point'}."
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


def update(root: Path, timings: Timings) -> str:
    """Write the report into docs/speed.md and its overview into the README, if every point was measured."""
    missing = [case.name for case in CASES for library in adapters(case) if (case, library) not in timings]
    if missing:
        return f"README.md and docs/speed.md are left as they are: {len(missing)} points were not measured"
    readme = root / "README.md"
    before, begin, rest = readme.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        return f"README.md is left as it is: it has no {BEGIN} … {END}"
    readme.write_text(f"{before}{BEGIN}\n\n{overview(timings)}\n\n{END}{after}", "utf-8")
    (root / "docs" / "speed.md").write_text(f"{HEAD}\n{markdown(timings)}\n", "utf-8")
    return "README.md and docs/speed.md have the new figures"
