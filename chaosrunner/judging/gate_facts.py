"""What a gate answers by: its runs, and the near misses within its scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal

from chaosrunner.model.gate import GateBaseline, RunAnswer
from chaosrunner.model.gate_policy import GatePolicy
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import Answer, State
from chaosrunner.records.light import dataclass, replace

Change = Literal["new", "regressed", "known"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A near miss within the gate's scope."""

    near_miss: NearMiss
    change: Change
    shown: bool = False
    """Whether a run that is judged by showed it."""
    gone: bool = False
    """Whether an experiment that once showed it had a conclusive run since that did not: this release is without."""
    waiver_ended: str = ""
    """Why its waiver is over while nobody has decided anew; empty: it is not."""

    @property
    def waived(self) -> bool:
        """Whether somebody accepts it for now."""
        return self.near_miss.state is State.WAIVED and not self.waiver_ended

    @property
    def waits(self) -> bool:
        """Whether it is neither closed nor accepted."""
        return not self.near_miss.closed and not self.waived


@dataclass(frozen=True, slots=True)
class Material:
    """All that a gate answers by."""

    suite: str
    title: str
    file: str
    environment: str
    policy: GatePolicy
    at: float
    runs: tuple[RunAnswer, ...]
    seen: tuple[Seen, ...]
    last_conclusive: Mapping[str, float | None] = field(default_factory=dict)
    """When each experiment last had a run that was not inconclusive; None: never, as far as is known."""
    baseline: GateBaseline | None = None
    seconds: float = 0.0


def change_of(near_miss: NearMiss, *, found_by_a_gate: bool) -> Change:
    """`new` as long as nobody has taken it on, if it was a gate's run, or one that its answer rests on, that first
    showed it: trying a release again makes nothing known. `regressed` the same way, whoever saw it come back."""
    untouched = near_miss.state is State.OPEN and near_miss.triaged_at is None
    if untouched and near_miss.regressed:
        return "regressed"
    return "new" if untouched and found_by_a_gate else "known"


def held_against(seen: Sequence[Seen], runs: Sequence[RunAnswer]) -> tuple[Seen, ...]:
    """The same, saying which of them the runs showed, and which they should have shown and did not."""
    shown = {id for run in runs for id in run.near_misses}
    found = []
    for each in seen:
        it = each.near_miss
        its_own = [run for run in runs if run.experiment in it.experiments]
        # One set of parameters that holds does not stand for another one that could not be tried.
        tried = all(run.verdict is not Answer.INCONCLUSIVE for run in its_own)
        held = it.id not in shown and tried and any(_held(it, run) for run in its_own)
        found.append(replace(each, shown=it.id in shown, gone=held))
    return tuple(found)


def _held(it: NearMiss, run: RunAnswer) -> bool:
    """Whether a run of its experiment, after it was last seen, showed that its hypothesis holds."""
    if run.began is None or run.began < it.last_seen:
        return False
    its_own = [each.answer for each in run.hypotheses if each.name == it.hypothesis]
    return run.verdict is Answer.HELD or (run.verdict is Answer.BROKEN and its_own == [Answer.HELD])
