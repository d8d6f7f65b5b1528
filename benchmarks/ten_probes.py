"""Ten HTTP probes of a server that takes 200 ms, in the real engine: from the first one's start to the last one's end.

Chaos Toolkit reads its steady state's probes one after the other; the time is from its own journal.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from benchmarks.bench_probes import server
from benchmarks.experiments import experiment, run_ours, run_theirs, their_http, theirs
from benchmarks.measuring import Scale, workplace
from benchmarks.table import Row, spread
from benchmarks.tools import chaos, chaos_version

BAR = 0.300
PROBES = 10


def rows(scale: Scale) -> list[Row]:
    """One round of ten."""
    return asyncio.run(_rows(scale))


async def _rows(scale: Scale) -> list[Row]:
    async with server(0.2) as url:
        with workplace() as folder:
            ours = await asyncio.to_thread(_ours, url, folder)
            repeats = 1 if scale.quick else 3
            other = [await asyncio.to_thread(_theirs, url, folder) for _ in range(repeats)]
    took = spread(ours)
    return [
        Row(
            "ten probes of 200 ms, one round",
            took.text("ms", 1e3),
            spread(other).text("ms", 1e3),
            f"<= {BAR * 1e3:g} ms",
            took.median <= BAR,
            f"through a whole run; {chaos_version()} reads one after the other; the engine starts them 5 ms apart",
        )
    ]


def _ours(url: str, folder: Path) -> list[float]:
    measures = [
        f'{{name: m{number}, http: {{url: "{url}/{number}"}}, every: 1s, tolerance: {{equals: 200}}}}'
        for number in range(PROBES)
    ]
    return rounds(run_ours(experiment(measures, "5s", baseline="3s", recovery="{within: 5s, holds: 1s}"), folder))


def rounds(journal: list[dict[str, Any]]) -> list[float]:
    """Seconds of each round: the n-th readings of all measures belong together."""
    by_measure: dict[str, list[dict[str, Any]]] = {}
    for line in journal:
        if line["type"] == "reading":
            by_measure.setdefault(line["measure"], []).append(line)
    together = zip(*by_measure.values(), strict=False)
    return [max(each["ended"] for each in one) - min(each["began"] for each in one) for one in together]


def _theirs(url: str, folder: Path) -> float:
    probes = [their_http(f"m{number}", f"{url}/{number}") for number in range(PROBES)]
    _, journal = run_theirs(chaos(), theirs(probes), folder)
    return sum(float(probe["duration"]) for probe in journal["steady_states"]["before"]["probes"])
