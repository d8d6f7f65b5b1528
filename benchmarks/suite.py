"""A suite of 30 experiments that do not overlap, ten at a time: `chaosrunner gate`, from start to answer.

The bar is 1.3 times the longest chain: with ten at a time three follow each other, so three times what one takes alone,
measured as a command of its own. Each run has its own journal, readings every 50 ms, a verdict, a report, and its place
in the register; whether all of that is whole is looked at, too. What the fault is does not matter here: `noop`.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.experiments import HEAD, NOTHING
from benchmarks.measuring import OURS, NotMeasured, Scale, cost, workplace
from benchmarks.table import Row, spread
from chaosrunner.clock import SystemClock
from chaosrunner.register import open_register
from chaosrunner.store.journal import read_journal

MANY, AT_ONCE, BAR = 30, 10, 1.3
EXPERIMENT = """\
---
{head}
kind: Experiment
metadata: {{name: e{number}}}
spec:
  title: Nothing happens
  service: s{number}
  environment: bench
  hypotheses:
    - name: h{number}
      title: All is well
      measures:
        - {{name: one, noop: {{value: {number}}}, every: 50ms, tolerance: {{equals: {number}}}}}
  baseline: 1s
  method: [{{fault: noop, for: {lasts}}}]
  recovery: {{within: 5s, holds: 500ms}}
"""
SUITE = """\
---
{head}
kind: Suite
metadata: {{name: many}}
spec:
  title: Nothing happens, many times
  experiments: [{names}]
  parallel: {at_once}
"""


def rows(scale: Scale) -> list[Row]:
    """Wall time of the suite against three times that of one of its experiments alone."""
    lasts = "8s"  # of much shorter ones what a run costs at its end would be measured, not the schedule
    text = NOTHING + "".join(EXPERIMENT.format(head=HEAD, number=number, lasts=lasts) for number in range(MANY))
    text += SUITE.format(head=HEAD, names=", ".join(f"e{number}" for number in range(MANY)), at_once=AT_ONCE)
    with workplace() as folder:
        (folder / "bench.yaml").write_text(text)
        alone = [
            cost([OURS, "run", "--plain", "e0"], folder, codes=(0, 3)).wall for _ in range(1 if scale.quick else 3)
        ]
        suite = cost([OURS, "gate", "many", "--json"], folder, within=180, codes=(0, 3))
        held, wrong = _looked_at(folder)
    chain = MANY // AT_ONCE * spread(alone).median
    ratio = suite.wall / chain
    return [
        Row(
            f"a suite of {MANY} disjoint experiments, {AT_ONCE} at a time",
            f"{suite.wall:.1f} s",
            f"{chain:.1f} s",
            f"<= {BAR}x",
            ratio <= BAR and not wrong,
            f"{ratio:.2f}x of the longest chain (three runs of {spread(alone).text('s')} alone, one after the other); "
            f"{suite.cpu:.1f} s of CPU; {held} of {MANY} held; {wrong or 'every journal and the register whole'}",
        )
    ]


def _looked_at(folder: Path) -> tuple[int, str]:
    """(how many held, what is not whole)"""
    (path,) = (folder / "state" / "suites").glob("*/gate.json")
    answer = json.loads(path.read_text())
    runs = [each["run"] for each in answer["runs"]]
    if len(set(runs)) != MANY or None in runs:
        raise NotMeasured(f"{len(set(runs))} of {MANY} experiments were run: {answer['summary']}")
    journals = [read_journal(folder / "state" / "runs" / run / "journal.jsonl") for run in runs]
    wrong = [journal for journal in journals if list(journal)[-1].event.type != "run-ended"]
    with open_register(folder / "state", SystemClock()) as book:
        kept = {facts.run for facts in book.runs_named(runs)}
    missing = f"{len(wrong)} journals without an end" if wrong else ""
    missing = missing or (f"{MANY - len(kept)} runs are not in the register" if len(kept) < MANY else "")
    return sum(each["verdict"] == "held" for each in answer["runs"]), missing
