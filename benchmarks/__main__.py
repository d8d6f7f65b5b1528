"""`python -m benchmarks [NAME...]`: run the benchmarks, print one table."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measuring import NotMeasured, Scale
from benchmarks.table import Row, as_json, markdown, missing, text

NAMES = (
    "startup", "noop_run", "ten_probes", "http_probe", "abort", "two_hundred", "engine", "proxy", "traffic",
    "kubernetes_scale", "promql_measures", "rank_test", "evidence", "register", "check_files", "suite",
)  # fmt: skip
"""In this order; each is a file of this folder."""
BEGIN, END = "<!-- results: written by `python -m benchmarks --write docs/benchmarks.md` -->", "<!-- end of results -->"


def measured(names: Sequence[str], scale: Scale) -> list[Row]:
    """The rows of these benchmarks; what cannot be measured here becomes a row that says why."""
    found: list[Row] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            found += importlib.import_module(f"benchmarks.{name}").rows(scale)
        except NotMeasured as why:
            found.append(missing(name, str(why)))
    return found


def machine(load_before: float, seconds: float) -> str:
    """When and where this was measured, and how busy the machine was."""
    cores = os.cpu_count() or 1
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    load = os.getloadavg()[0]
    busy = "; it was busy with something else, so trust ratios rather than times" if load_before > cores / 2 else ""
    return (
        f"{now}, {cores} cores, Python {platform.python_version()}, {platform.system()}; load average "
        f"{load_before:.1f} before and {load:.1f} after{busy}; {seconds:.0f} s in all; medians (least-most)"
    )


def written(page: str, rows: Sequence[Row], where: str) -> str:
    """The page with its results replaced."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{where}.\n\n{markdown(rows)}\n\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; with `--strict` 1 if a bar was not met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(NAMES)}; default: all")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--long", action="store_true", help="200 measures for ten minutes")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bar is not met")
    parser.add_argument("--write", metavar="PAGE", type=Path, help="write the results into this page too")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name.replace("-", "_") not in NAMES]:
        parser.error(f"unknown {', '.join(unknown)}; known are {', '.join(NAMES)}")
    load_before, began = os.getloadavg()[0], time.monotonic()
    rows = measured([name.replace("-", "_") for name in given.names] or NAMES, Scale(given.quick, given.long))
    where = machine(load_before, time.monotonic() - began)
    print(
        json.dumps({"where": where, "figures": as_json(rows)}, indent=2) if given.json else f"{text(rows)}\n\n{where}"
    )
    if given.write:
        given.write.write_text(written(given.write.read_text(encoding="utf-8"), rows, where), encoding="utf-8")
    return 1 if given.strict and any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
