"""How many readings the engine takes for each second of CPU: 100 `noop` measures at 20 Hz through a whole run.

A reading here is all that the engine itself does: the schedule, the time limit, the journal's line, the judging on the
fly, the plain view. What a probe costs comes on top.
"""

from __future__ import annotations

from benchmarks.experiments import experiment, journal
from benchmarks.measuring import OURS, Scale, workplace
from benchmarks.table import Row
from benchmarks.watched import watch

MEASURES = 100


def rows(scale: Scale) -> list[Row]:
    """Shown without a bar."""
    seconds = 6 if scale.quick else 15
    measures = [
        f"{{name: m{number}, noop: {{value: 1}}, every: 50ms, tolerance: {{equals: 1}}}}" for number in range(MEASURES)
    ]
    with workplace() as folder:
        text = experiment(measures, f"{seconds}s", baseline="1s", recovery="{within: 10s, holds: 1s}")
        (folder / "bench.yaml").write_text(text)
        seen = watch([OURS, "run", "--plain", "bench.yaml"], folder, after=2.0, within=seconds + 60.0)
        lines = [line for line in journal(folder) if line["type"] == "reading"]
    rate = len(lines) / (lines[-1]["ended"] - lines[0]["began"])
    return [
        Row(
            "engine, readings for a second of CPU",
            f"{rate / seen.share:,.0f}",
            note=f"{rate:,.0f} a second took {seen.share:.1%} of a core, {1e6 * seen.share / rate:.0f} us each",
        )
    ]
