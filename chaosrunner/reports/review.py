"""A blameless review of one near miss as Markdown, filled with what is known; questions stand where people must say.

It tells what happened and what the system did, and names no person; what is only supposed is called so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosrunner.model.near_miss import Evidence, HistoryEvent, NearMiss, Occurrence, Pass
from chaosrunner.model.quantities import UNITS, show
from chaosrunner.model.words import Phase, Source
from chaosrunner.records.light import dataclass
from chaosrunner.reports.account import Account, Series
from chaosrunner.reports.digest import plain
from chaosrunner.reports.scales import block
from chaosrunner.reports.words import count, lasting, moment, value_text, wall

_WIDE = 72
_QUESTION = "_To be said by those who know the system._"
_LUCK = {
    "experiment-abort": "The experiment's abort limit ended it; in production nothing would have.",
    "fault-ended": "It ended because the fault was taken back; in production it would have lasted.",
    "refusal": "The run was refused before anything was touched.",
    "unknown": "Nothing is known to have stopped it.",
    "human": "A person's action stood between this and an outage.",
}


@dataclass(frozen=True, slots=True)
class Case:
    """Everything about one near miss, and the account of the last run that showed it, where its journal is kept."""

    near_miss: NearMiss
    occurrences: Sequence[Occurrence]
    passes: Sequence[Pass]
    history: Sequence[HistoryEvent]
    account: Account | None = None


def review_markdown(case: Case) -> str:
    """The whole review."""
    return "\n".join(_lines(case)) + "\n"


def _lines(case: Case) -> Iterator[str]:
    near_miss = case.near_miss
    yield from (f"# Review of {near_miss.id}: {plain(near_miss.title)}", "")
    yield from _facts(near_miss)
    yield from ("", "## What happened", "", *_story(case), "")
    yield from ("## Timeline", "", *_timeline(case), "")
    yield from ("## What was measured", "", *_evidence(case), "")
    if clues := _clues(case):
        yield from (
            "## What else changed meanwhile",
            "",
            "Hints, not causes: it goes together in time, and no more.",
            "",
        )
        yield from (*clues, "")
    yield from ("## What went well", "", *_well(case), "")
    yield from ("## Where we were lucky", "", *_lucky(case), "")
    yield from ("## What contributed", "", *_factors(near_miss), "")
    yield from (f"## Why {near_miss.priority}", "", *(f"- {plain(each)}" for each in near_miss.scoring.rationale), "")
    yield from ("## What is done about it", "", *_actions(case), "")
    yield from ("## What became of it", "", *_history(case.history))


def _facts(near_miss: NearMiss) -> Iterator[str]:
    facts = {
        "State": near_miss.state.value + (f": {plain(near_miss.reason)}" if near_miss.reason else ""),
        "Service": f"{near_miss.service} (environments of class {near_miss.environment_class})",
        "Class": f"{near_miss.finding.value.replace('-', ' ')}, {near_miss.priority}",
        "Failed as": near_miss.failure_mode.value.replace("-", " ") if near_miss.failure_mode else "",
        "Seen": f"{count(near_miss.occurrences, 'time')}, first {wall(near_miss.first_seen)}, "
        f"last {wall(near_miss.last_seen)}",
        "Came back": count(near_miss.regressions, "time") if near_miss.regressions else "",
        "Owner": near_miss.owner or "no team yet",
        "Due": "" if near_miss.closed else near_miss.due.isoformat(),
        "Noticed by": near_miss.detected_by.value if near_miss.detected_by else "not known",
    }
    yield from ("| | |", "|---|---|")
    yield from (f"| {name} | {value} |" for name, value in facts.items() if value)


def _story(case: Case) -> Iterator[str]:
    if not case.occurrences:
        yield plain(case.near_miss.title)
        return
    latest = case.occurrences[-1]
    yield from (plain(line) for line in latest.story.splitlines())
    if latest.source is Source.RUN:
        yield ""
        yield f"Run `{latest.run}` of `{latest.experiment}` in {latest.environment}. To see it again:"
        yield from ("", f"    {latest.command or f'chaosrunner run {latest.experiment} --seed {latest.seed}'}")
    yield from (f"- {link}" for link in latest.links)


def _timeline(case: Case) -> Iterator[str]:
    if case.account is None:
        for seen in case.occurrences:
            strength = f", {seen.strength}" if seen.strength else ""
            yield f"- {wall(seen.at)}: {seen.kind.value}, {seen.run}{strength}"
        return
    yield from ("| time | in the run | what |", "|---|---|---|")
    for each in case.account.happenings:
        yield f"| {wall(each.at)} | {moment(each.t)} | {plain(each.told.text)} |"


# --------------------------------------------------------------------------------------------------------- evidence


def _evidence(case: Case) -> Iterator[str]:
    evidence = case.occurrences[-1].evidence if case.occurrences else ()
    if not evidence:
        yield "No run measured it."
        return
    yield from ("| measure | expected | worst | baseline | outside for |", "|---|---|---|---|---|")
    yield from (_row(each) for each in evidence)
    if case.account is not None:
        for key in dict.fromkeys(each.measure for each in evidence):
            if series := case.account.series.get(key):
                yield from ("", *_plot(case.account, key, series))


def _clues(case: Case) -> list[str]:
    clues = case.occurrences[-1].clues if case.occurrences else None
    return [f"- {plain(clue.says)}" for clue in clues.found] if clues else []


def _row(each: Evidence) -> str:
    phase = f" ({each.phase.value})" if each.phase else ""
    baseline = "—" if each.baseline is None else _number(each.baseline, each.unit)
    cells = (f"{each.measure}{phase}", each.rule or "—", _number(each.worst, each.unit), baseline)
    return "| " + " | ".join(plain(cell) for cell in (*cells, lasting(each.violated_for))) + " |"


def _number(value: object, unit: str | None) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return show(value, unit) if unit is None or unit in UNITS else f"{value:.4g} {unit}"
    return value_text(None if value is None else str(value), unit)


def _plot(account: Account, key: str, series: Series) -> Iterator[str]:
    """A measure over the run in letters: it stays readable wherever Markdown is."""
    if series.textual or not series.values:
        return
    seconds = max(account.seconds, series.times[-1], 0.001)
    columns: list[float | None] = [None] * _WIDE
    for t, value in zip(series.times, series.values, strict=True):
        column = min(_WIDE - 1, int(t / seconds * _WIDE))
        columns[column] = value if columns[column] is None else max(columns[column] or 0.0, value)
    lowest, highest = min(series.values), max(series.values)
    reach = (highest - lowest) or 1.0
    marks = [" " if each is None else block((each - lowest) / reach) for each in columns]
    for t, _ in series.no_answers:
        marks[min(_WIDE - 1, int(t / seconds * _WIDE))] = "✗"
    unit = series.measure.unit
    yield from (f"{plain(key)}, from {_number(lowest, unit)} to {_number(highest, unit)} (✗: no answer):", "")
    yield from ("```text", "".join(marks).rstrip(), _phases(account, seconds), "```")


def _phases(account: Account, seconds: float) -> str:
    line = [" "] * _WIDE
    letters = {Phase.BASELINE.value: "b", Phase.FAULT.value: "F", Phase.RECOVERY.value: "r"}
    for span in account.phases:
        first = int(span.start / seconds * _WIDE)
        last = int((span.end if span.end is not None else seconds) / seconds * _WIDE)
        for column in range(first, min(_WIDE, last + 1)):
            line[column] = letters.get(span.phase, " ")
    return "".join(line).rstrip() + "   (b baseline, F fault, r recovery)"


# ------------------------------------------------------------------------------------------------- what is told of it


def _well(case: Case) -> Iterator[str]:
    near_miss, said = case.near_miss, []
    said += [f"{each.name} held" for each in near_miss.barriers if each.state == "held"]
    if near_miss.scoring.inputs.stopped_by == "system-barrier":
        said.append("A defence of the system itself kept what was promised.")
    latest = case.occurrences[-1] if case.occurrences else None
    if latest is not None and latest.recovered_in is not None:
        said.append(f"The system recovered by itself in {lasting(latest.recovered_in)} after the fault was taken back.")
    if near_miss.detected_by is not None and near_miss.detected_by.value == "alert":
        said.append("An alert told of it.")
    if counted := [each for each in case.passes if each.counts]:
        said.append(f"{count(len(counted), 'comparable run')} passed it.")
    yield from (f"- {plain(each)}" for each in said)
    yield f"- What people did to keep it small: {_QUESTION}"


def _lucky(case: Case) -> Iterator[str]:
    inputs = case.near_miss.scoring.inputs
    if inputs.stopped_by in _LUCK:
        yield f"- {_LUCK[inputs.stopped_by]}"
    if inputs.undetected:
        yield "- Nobody would have been alerted."
    yield from (f"- {plain(each.name)} was {each.state}." for each in case.near_miss.barriers if each.state != "held")
    yield f"- What else could as well have gone the other way: {_QUESTION}"


def _factors(near_miss: NearMiss) -> Iterator[str]:
    if near_miss.fault_classes:
        injected = ", ".join(near_miss.fault_classes)
        yield f"- Injected on purpose: {injected}. Which control did not answer is the question."
    for factor in near_miss.factors:
        basis = "seen" if factor.basis == "observed" else "supposed, not shown"
        yield f"- {plain(factor.factor)} ({basis}{f': {plain(factor.evidence)}' if factor.evidence else ''})"
    if not near_miss.factors:
        yield f"- {_QUESTION} (`chaosrunner near-miss describe {near_miss.id} --factor TEXT`)"


def _actions(case: Case) -> Iterator[str]:
    near_miss, item = case.near_miss, case.near_miss.item
    yield f"- Remediation: {(item.url or item.key) + f' ({item.state})' if item else 'no item yet'}"
    if near_miss.fixed_by:
        yield f"- Fixed by {plain(near_miss.fixed_by)}"
    if near_miss.verification is not None:
        yield f"- Verification: {near_miss.verification}, as {near_miss.verification.asked_by} asks"
    if near_miss.waiver is not None:
        yield f"- Waived until {near_miss.waiver.until}: {plain(near_miss.waiver.reason)}"
    found = (*near_miss.experiments, *near_miss.links)
    yield f"- Experiments that show it: {', '.join(found) if found else 'none, so nothing would tell that it is fixed'}"


def _history(events: Sequence[HistoryEvent]) -> Iterator[str]:
    """What changed, without who: the register knows that."""
    for event in events:
        change = (
            f": {event.before} → {event.after or 'none'}" if event.before else f": {event.after}" if event.after else ""
        )
        run = f" (run `{event.run}`)" if event.run else ""
        yield f"- {wall(event.at)} {event.what}{plain(change)}{run}"
