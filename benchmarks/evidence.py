"""How well what changed is told: causes planted in a simulated service and in the demo's shop, and phases in which
nothing changed.

*Precision at 3* is the share of the first three clues that are of the planted cause: about the place where it was
planted, or about what depends on it. What is about anything else counts against it, and so does a case of which nothing
is told.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

from benchmarks.evidence_shop import CASES, QUIET, shown
from benchmarks.measuring import NotMeasured, Scale, workplace
from benchmarks.planted import CAUSES, Planted, simulated
from benchmarks.table import Row, missing
from chaosrunner.judging.clues import clues

BAR = 0.8
FALSE = 0.005
"""Of the runs in which nothing changes, the share that may tell anything."""
SHORT = 120.0
"""Seconds before, where little is known of what is usual."""


def precision(right: Sequence[bool]) -> float:
    """Of the first three clues of one case; nothing told is 0."""
    return sum(right) / len(right) if right else 0.0


def told(cause: Planted | None, seed: int, usual: float = 600.0) -> list[str]:
    """What is told of a simulated service, known for so many seconds before: the subjects, the strongest first."""
    window, material = simulated(cause, seed, usual=usual)
    return [clue.subject for clue in clues([material], window, show=10, clean=str).found]


def rows(scale: Scale) -> list[Row]:
    """The figures."""
    return [*_simulated(scale), *_of_the_shop(scale)]


def _simulated(scale: Scale) -> list[Row]:
    right, causes = [], []
    for cause in CAUSES:
        for seed in range(scale.rounds(9)):
            found = told(cause, seed)[:3]
            right.append(precision([re.search(f"{cause.cause}|{cause.effects}", one) is not None for one in found]))
            causes.append(any(re.search(cause.cause, one) for one in found))
    quiet = [len(told(None, 1000 + seed)) for seed in range(scale.rounds(400))]
    young = [len(told(None, 5000 + seed, SHORT)) for seed in range(scale.rounds(200))]
    score = statistics.fmean(right)
    return [
        Row(
            "evidence: precision at 3, a simulated service",
            f"{score:.2f}",
            bar=f"at least {BAR}",
            met=score >= BAR,
            note=f"{len(CAUSES)} planted causes, {len(right)} runs, beside 70 series and a log that have nothing to do "
            f"with them; the cause itself is among the first three in {statistics.fmean(causes):.0%}",
        ),
        _alarms("evidence: runs in which nothing changed and something is told", quiet, FALSE),
        _alarms(f"evidence: the same, known for {SHORT:g} s before only", young, None),
    ]


def _alarms(figure: str, clues_told: Sequence[int], bar: float | None) -> Row:
    share = sum(count > 0 for count in clues_told) / len(clues_told)
    return Row(
        figure,
        f"{share:.1%}",
        bar="" if bar is None else f"at most {bar:.1%}",
        met=None if bar is None else share <= bar,
        note=f"{len(clues_told)} runs, {sum(clues_told)} clues in all; half of the series wander, swing or step",
    )


def _of_the_shop(scale: Scale) -> list[Row]:
    cases = CASES[::4] if scale.quick else CASES
    figure = "evidence: precision at 3, the demo's shop"
    try:
        with workplace() as folder:
            every = shown(folder, [*cases, *QUIET])
    except NotMeasured as why:
        return [missing(figure, str(why), f"at least {BAR}")]
    found = [one for one in every if one.case not in QUIET]
    quiet = [len(one.subjects) for one in every if one.case in QUIET]
    score = statistics.fmean(precision(one.right(only_cause=False)) for one in found)
    near = statistics.fmean(precision(one.right(only_cause=True)) for one in found)
    hit = statistics.fmean(any(one.right(only_cause=True)) for one in found)
    return [
        Row(
            figure,
            f"{score:.2f}",
            bar=f"at least {BAR}",
            met=score >= BAR,
            note=f"{len(found)} faults in six real processes under load, scraped by Prometheus every second; where "
            f"only the two ends of the broken call count it is {near:.2f}; one is among the first three in {hit:.0%}",
        ),
        Row(
            "evidence: clues of the demo's shop where nothing changed",
            f"{sum(quiet)}",
            bar="0",
            met=sum(quiet) == 0,
            note=f"{len(quiet)} runs with the fault noop",
        ),
    ]
