"""The injector's proxy next to haproxy under wrk, and how exact an injected delay is; see `bench_proxy`."""

from __future__ import annotations

from benchmarks import bench_proxy
from benchmarks.measuring import Scale
from benchmarks.table import Row
from benchmarks.tools import need


def rows(scale: Scale) -> list[Row]:
    """Its figures as rows."""
    need("haproxy", "wrk")
    figures = bench_proxy.measure(rounds=scale.rounds(7), seconds=1 if scale.quick else 2)
    return [_row(figure) for figure in figures]


def _row(figure: bench_proxy.Figure) -> Row:
    ours, _, theirs = figure.note.partition(", haproxy ")
    value = f"{figure.value:g} {figure.unit}".strip()
    if theirs:
        return Row(f"proxy: {figure.name}", f"{value}x, {ours}", f"haproxy {theirs}", figure.bar, figure.met)
    return Row(f"proxy: {figure.name}", value, bar=figure.bar, met=figure.met, note=figure.note)
