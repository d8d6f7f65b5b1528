"""What one HTTP reading on loopback costs beyond a bare socket's exchange, and how many connections it opens.

Ours are single readings of the `http` probe, one after the other, in turns with a bare socket (and bare httpx); see
`bench_probes.overhead`. Chaos Toolkit's are activities of its own HTTP provider, timed by its own journal, less the
same socket's time. The connections are counted by the server.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import urllib.request

from benchmarks.bench_probes import overhead, server
from benchmarks.experiments import run_theirs, their_http, theirs
from benchmarks.measuring import Scale, workplace
from benchmarks.table import Row
from benchmarks.tools import chaos, chaos_version

BAR = 1.0
"""Milliseconds."""
THEIRS = 200


def rows(scale: Scale) -> list[Row]:
    """The time, and the connections."""
    ours = asyncio.run(overhead(argparse.Namespace()))
    socket = float(ours["bare socket ms"])
    own = float(ours["own time ms (probe less socket)"])
    their_ms, their_connections = asyncio.run(_theirs())
    return [
        Row(
            "HTTP probe on loopback, own time",
            f"{own:.2f} ms",
            f"{their_ms - socket:.2f} ms",
            f"<= {BAR:g} ms",
            own <= BAR,
            f"whole reading {ours['http probe ms']} ms, bare httpx {ours['bare httpx ms']} ms, bare socket {socket} ms",
        ),
        Row(
            "HTTP probe, connections opened",
            f"{ours['connections for 2100 readings']} for 2100 readings",
            f"{their_connections} for {THEIRS}",
            "reused",
            ours["connections for 2100 readings"] <= 2,
            f"{chaos_version()} opens one for each",
        ),
    ]


async def _theirs() -> tuple[float, int]:
    """(median milliseconds of one reading, connections that they opened)"""
    async with server() as url:
        with workplace() as folder:
            probe = {**their_http("ask", f"{url}/a"), "name": "ask"}
            _, journal = await asyncio.to_thread(run_theirs, chaos(), theirs([], [probe] * THEIRS), folder)
        connections = await asyncio.to_thread(_counted, url)
    return statistics.median(float(step["duration"]) for step in journal["run"]) * 1e3, connections


def _counted(url: str) -> int:
    """Connections that the server has had before this one."""
    with urllib.request.urlopen(f"{url}/connections") as answer:
        return int(answer.read()) - 1
