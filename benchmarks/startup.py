"""Start-up: `chaosrunner --help` and `--version`, next to `chaos --version`.

Whole processes, from start to exit, in turns; the ratio is the median of the pairs' own.
"""

from __future__ import annotations

from benchmarks.measuring import OURS, Cost, Scale, in_turns, workplace
from benchmarks.table import Row, ratios, spread
from benchmarks.tools import chaos, chaos_version

BAR = 0.5


def rows(scale: Scale) -> list[Row]:
    """One for each of the two."""
    with workplace() as folder:
        found = []
        for option in ("--version", "--help"):
            ours, theirs = in_turns([OURS, option], [chaos(), "--version"], folder, scale.rounds(15))
            found.append(_row(option, ours, theirs))
    return found


def _row(option: str, ours: list[Cost], theirs: list[Cost]) -> Row:
    ratio = ratios([each.wall for each in ours], [each.wall for each in theirs])
    cpu = ratios([each.cpu for each in ours], [each.cpu for each in theirs])
    return Row(
        f"start-up, {option}",
        spread([each.wall for each in ours]).text("s"),
        spread([each.wall for each in theirs]).text("s"),
        f"<= {BAR:g}x",
        ratio.median <= BAR,
        f"{ratio.text('x', digits=2)} of {chaos_version()}'s time, {cpu.text('x', digits=2)} of its CPU",
    )
