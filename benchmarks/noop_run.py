"""A whole run that does nothing: `chaosrunner run` and `chaos run`, from start to exit.

Ours reads and checks the file, plans, asks the guards, writes a durable journal (fsynced before the fault, and at the
end), takes readings over a baseline, a fault and a recovery as short as the rules allow (three readings for a
baseline), injects, sees and undoes the fault `noop`, judges, and writes the HTML report. Chaos Toolkit's reads its
file, probes once, acts once, probes once more, and writes its journal when all is over.

On a machine that stands still for some milliseconds such a short run may miss readings and be inconclusive (exit 3);
it did the same work, and counts.
"""

from __future__ import annotations

import json

from benchmarks.experiments import experiment, their_noop, theirs
from benchmarks.measuring import OURS, Scale, in_turns, workplace
from benchmarks.table import Row, ratios, spread
from benchmarks.tools import chaos, chaos_version

MEASURE = "{name: one, noop: {value: 1}, every: 10ms, tolerance: {equals: 1}}"


def rows(scale: Scale) -> list[Row]:
    """Wall time, with the CPU's in the note."""
    text = experiment([MEASURE], "10ms", baseline="20ms", recovery="{within: 1s, holds: 0s}")
    with workplace() as folder:
        (folder / "bench.yaml").write_text(text)
        (folder / "bench.json").write_text(json.dumps(theirs([their_noop("probe")], [their_noop("action")])))
        words = [OURS, "run", "--plain", "bench.yaml"], [chaos(), "run", "bench.json"]
        ours, other = in_turns(*words, folder, scale.rounds(15), codes=(0, 3))
    held = sum(each.code == 0 for each in ours)
    ratio = ratios([each.wall for each in ours], [each.wall for each in other])
    cpu = ratios([each.cpu for each in ours], [each.cpu for each in other])
    return [
        Row(
            "a whole no-op run, durable journal",
            spread([each.wall for each in ours]).text("s"),
            spread([each.wall for each in other]).text("s"),
            "<= 1x",
            ratio.median <= 1.0,
            f"{ratio.text('x', digits=2)} of {chaos_version()}'s time, {cpu.text('x', digits=2)} of its CPU; "
            f"three phases, fsyncs, the verdict and an HTML report included; {held} of {len(ours)} runs held",
        )
    ]
