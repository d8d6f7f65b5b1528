"""200 `http` measures once a second through a whole run: share of a core, memory, and whether memory stays flat.

Beside it, at the same time and on the same server, 200 requests a second with bare httpx: what no probe can go below
as long as httpx sends it. One minute; with --long ten. What counts is the fault phase: start-up and baseline before it,
recovery and report after it are left out, but for the peak of memory.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from benchmarks.bench_probes import server
from benchmarks.experiments import experiment
from benchmarks.measuring import OURS, Scale, workplace
from benchmarks.table import Row
from benchmarks.watched import Watched, side_by_side, watch

MEASURES = 200
CPU_BAR, MEMORY_BAR, FLAT = 0.30, 150.0, 5.0
"""Share of a core; megabytes at most; megabytes that it may grow between a third of the time and the end."""

BARE = """
import asyncio, sys, time, httpx
url, seconds, many = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
async def follow(client, number, start):
    due = start + number / many
    while due < start + seconds:
        await asyncio.sleep(due - time.perf_counter())
        await client.get(f"{url}/{number}")
        due += 1.0
async def main():
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None)) as client:
        start = time.perf_counter() + 0.5
        await asyncio.gather(*(follow(client, number, start) for number in range(many)))
asyncio.run(main())
"""


def rows(scale: Scale) -> list[Row]:
    """CPU, memory, growth."""
    seconds = 600 if scale.long else 20 if scale.quick else 60
    ours, bare = asyncio.run(_watched(seconds))
    what = f"{MEASURES} http measures at 1 Hz"
    note = f"{ours.seconds:.0f} s of the fault phase; beside it at the same time bare httpx with the same requests"
    return [
        Row(f"{what}, share of a core", f"{ours.share:.1%}", f"httpx {bare.share:.1%}", f"< {CPU_BAR:.0%}",
            ours.share < CPU_BAR, note),
        Row(f"{what}, peak memory", f"{ours.peak:.0f} MB", f"httpx {bare.peak:.0f} MB", f"< {MEMORY_BAR:g} MB",
            ours.peak < MEMORY_BAR),
        Row(f"{what}, memory grown in the last two thirds", f"{ours.grown:+.1f} MB", f"httpx {bare.grown:+.1f} MB",
            f"<= {FLAT:g} MB", ours.grown <= FLAT),
    ]  # fmt: skip


async def _watched(seconds: int) -> list[Watched]:
    async with server() as url, server() as other:
        with workplace() as folder, workplace() as bare:
            measures = [
                f"{{name: m{number}, {_probe(url, number)}, every: 1s, tolerance: {{atMost: 5s}}}}"
                for number in range(MEASURES)
            ]
            text = experiment(
                measures, f"{seconds}s", baseline="{for: 4s, within: 30s}", recovery="{within: 30s, holds: 3s}"
            )
            (folder / "bench.yaml").write_text(text)

            def ours() -> Watched:
                return watch(
                    [OURS, "run", "--plain", "bench.yaml"], folder, after=6.0, before=8.0, within=seconds + 90.0
                )

            def theirs() -> Watched:
                words = [sys.executable, "-c", BARE, other, str(seconds), str(MEASURES)]
                return watch(words, Path(bare), after=5.0, within=seconds + 90.0)

            return await asyncio.to_thread(side_by_side, ours, theirs)


def _probe(url: str, number: int) -> str:
    return f'http: {{url: "{url}/{number}", read: latency}}'
