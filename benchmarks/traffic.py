"""The load generator's accuracy on a server that takes 20 ms, at 50, 500 and 2000 requests a second.

Shown without a bar: what it sent of what it should, how late it was, and its latencies beyond the server's own.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from benchmarks.bench_probes import load
from benchmarks.measuring import NotMeasured, Scale
from benchmarks.table import Row
from chaosrunner.errors import NoReading


def rows(scale: Scale) -> list[Row]:
    """One for each rate."""
    try:
        found = asyncio.run(load(argparse.Namespace()))
    except NoReading as why:
        raise NotMeasured(str(why)) from None
    return [
        Row(
            f"traffic at {rate}, answered a second",
            f"{seen['answered a second']:g}",
            note=_note(seen),
        )
        for rate, seen in found.items()
    ]


def _note(seen: dict[str, Any]) -> str:
    p50, p99 = (seen[f"{name} over the server's own ms"] for name in ("p50", "p99"))
    return (
        f"{seen['errors']} errors; p50 {p50} ms and p99 {p99} ms beyond the server's own; "
        f"{seen['started late']} started late; {seen['generator, share of a core']} of a core"
    )
