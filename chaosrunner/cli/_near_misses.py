"""What the commands about near misses share: who acts, opening the register, and how one is written for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datetime import date

    from chaosrunner.model.near_miss import NearMiss
    from chaosrunner.register.near_misses import Record, Register


@contextmanager
def opened(state: Path) -> Iterator[Register]:
    """The register of the state folder, which must be there."""
    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import UsageError
    from chaosrunner.register import open_register, register_exists

    if not register_exists(state):
        raise UsageError(f"there is no register of near misses in {state} yet: the first gap that a run finds makes it")
    with open_register(state, SystemClock()) as register:
        yield register


def today() -> date:
    """The UTC date."""
    from chaosrunner.clock import SystemClock
    from chaosrunner.model.near_miss import day_of

    return day_of(SystemClock().now())


def as_json(near_miss: NearMiss) -> dict[str, Any]:
    """The stable shape of one near miss: its record, and what is computed from it."""
    return {
        **near_miss.as_json(),
        "priority": near_miss.priority.value,
        "regressed": near_miss.regressed,
        "closed": near_miss.closed,
        "overdue": near_miss.overdue(today()),
        "draft": near_miss.draft,
    }


def record_as_json(record: Record) -> dict[str, Any]:
    """Everything about one near miss."""
    from chaosrunner.cli._remedying import pending_json
    from chaosrunner.model.pending import pending_apply

    return {
        **as_json(record.near_miss),
        "pendingApply": pending_json(pending_apply(record.history)),
        "occurrencesSeen": [each.as_json() for each in record.occurrences],
        "passes": [each.as_json() for each in record.passes],
        "history": [each.as_json() for each in record.history],
    }


def _styled(words: str, **look: Any) -> str:
    from chaosrunner.cli._showing import colour

    return click.style(words, **look) if colour() else words


_COLOURS = {"P1": "red", "P2": "yellow", "P3": "cyan", "P4": "white"}


def table(near_misses: Sequence[NearMiss]) -> Iterator[str]:
    """One line each; the title takes what is left of the terminal's width."""
    import shutil

    day = today()
    head = ("ID", "PRIO", "STATE", "SERVICE", "SEEN", "DUE", "TITLE")
    rows = [
        (
            each.id,
            each.priority.value,
            state_in_words(each),
            each.service,
            f"{each.occurrences}×",
            f"{each.due}{' overdue' if each.overdue(day) else ''}" if not each.closed else "",
            each.title,
        )
        for each in near_misses
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head) - 1)]
    wide = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 1000
    left = max(20, wide - sum(widths) - 2 * len(widths))
    yield _styled(_line(head, widths, left), bold=True)
    for row in rows:
        line = _line(row, widths, left)
        start = widths[0] + 2
        prio = _styled(line[start : start + 2], fg=_COLOURS[row[1]], bold=row[1] == "P1")
        yield f"{line[:start]}{prio}{line[start + 2 :]}"


def _line(cells: Sequence[str], widths: Sequence[int], left: int) -> str:
    title = cells[-1] if len(cells[-1]) <= left else f"{cells[-1][: left - 1]}…"
    return "  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)), title]).rstrip()


def state_in_words(near_miss: NearMiss) -> str:
    """The state with what one must know of it."""
    state = near_miss.state.value
    if near_miss.waiver is not None:
        ended = near_miss.waiver.until < today()
        return f"{state} until {near_miss.waiver.until}{' (over)' if ended else ''}"
    if near_miss.duplicate_of is not None:
        return f"{state} of {near_miss.duplicate_of}"
    if near_miss.verification is not None and not near_miss.closed:
        done = near_miss.verification
        return f"{state} {len(done.runs)}/{done.required_runs}"
    if near_miss.draft:
        return f"{state}, draft"
    return f"{state}, regressed" if near_miss.regressed and not near_miss.closed else state


def page(record: Record) -> Iterator[str]:
    """Everything about one near miss, for reading."""
    near_miss = record.near_miss
    yield _styled(f"{near_miss.id}  {near_miss.title}", bold=True)
    yield from _facts(near_miss)
    yield from _what_happened(record)
    yield from _added(near_miss)
    yield from _part(f"Why {near_miss.priority}")
    yield from (f"  {reason}" for reason in near_miss.scoring.rationale)
    if near_miss.override is not None:
        yield f"  set by {near_miss.override.by}: {near_miss.override.reason} (computed: {near_miss.scoring.priority})"
    if near_miss.state.value == "fix-ready" or near_miss.verification:
        yield from _part("Verification")
        yield from _verification(near_miss)
    if record.passes:
        yield from _part("Runs that did not show it")
        yield from (
            f"  {_at(each.at)}  {each.run}  {'counts' if each.counts else 'does not count'}: {each.why}"
            for each in record.passes
        )
    yield from _part("History")
    yield from history(record)


def _part(title: str) -> Iterator[str]:
    yield ""
    yield _styled(title, bold=True)


def _facts(near_miss: NearMiss) -> Iterator[str]:
    item = near_miss.item
    hit = ", ".join(near_miss.target_services) or "no service"
    identity = "".join(f", {name} {value}" for name, value in sorted(near_miss.identity.items()))
    overdue = ", overdue" if near_miss.overdue(today()) else ""
    facts = {
        "state": f"{state_in_words(near_miss)}{f': {near_miss.reason}' if near_miss.reason else ''}",
        "class": f"{near_miss.finding.value.replace('-', ' ')}, {near_miss.priority}",
        "due": f"{near_miss.due}{overdue}" if not near_miss.closed else "",
        "service": f"{near_miss.service} (environments of class {near_miss.environment_class})",
        "hypothesis": near_miss.hypothesis or ("" if near_miss.kind.value == "reported" else near_miss.subject or ""),
        "faults": f"{', '.join(near_miss.fault_classes)} on {hit}{identity}" if near_miss.fault_classes else "",
        "owner": near_miss.owner or "nobody yet",
        "seen": f"{near_miss.occurrences}×, first {_at(near_miss.first_seen)}, last {_at(near_miss.last_seen)}",
        "regressed": f"{near_miss.regressions}×" if near_miss.regressions else "",
        "failed as": near_miss.failure_mode.value.replace("-", " ") if near_miss.failure_mode else "",
        "noticed by": near_miss.detected_by.value if near_miss.detected_by else "",
        "reported by": _reporter(near_miss),
        "experiments": ", ".join((*near_miss.experiments, *near_miss.links)) or "none would show it",
        "split off by": ", ".join(f"{by} {value}" for by, value in near_miss.only.items()),
        "waiver": _waiver(near_miss),
        "fix": near_miss.fixed_by or "",
        "remediation": f"{item.url or item.key} ({item.tracker}, {item.state})" if item else "none yet",
    }
    for name, value in facts.items():
        if value:
            yield f"  {name:<12} {value}"


def _reporter(near_miss: NearMiss) -> str:
    if near_miss.source.value == "run":
        return ""
    name = near_miss.reported_by or ("an alert" if near_miss.source.value == "alert" else "somebody, without a name")
    return f"{name}{', an outage' if near_miss.outage else ''}"


def _waiver(near_miss: NearMiss) -> str:
    waiver = near_miss.waiver
    if waiver is None:
        return ""
    parts = [waiver.justification.value.replace("-", " ")] if waiver.justification else []
    parts += [f"meanwhile {control}" for control in waiver.controls]
    parts += [f"as long as {condition} holds" for condition in waiver.conditions]
    return "; ".join([f"accepted by {waiver.accepted_by}", *parts])


def _added(near_miss: NearMiss) -> Iterator[str]:
    if near_miss.barriers:
        yield from _part("Defences")
        for barrier in near_miss.barriers:
            yield f"  {barrier.name}: {barrier.state}{f' ({barrier.evidence})' if barrier.evidence else ''}"
    if near_miss.factors:
        yield from _part("What contributed")
        for factor in near_miss.factors:
            basis = "seen" if factor.basis == "observed" else "supposed, not shown"
            yield f"  {factor.factor} ({basis}{f': {factor.evidence}' if factor.evidence else ''})"


def _what_happened(record: Record) -> Iterator[str]:
    from chaosrunner.model.pending import pending_apply
    from chaosrunner.stages.remediation_text import again, number, worst

    near_miss, latest = record.near_miss, record.occurrences[-1]
    yield from _part(f"What happened, in run {latest.run}" if latest.experiment else "What was reported")
    for line in latest.story.splitlines():
        yield f"  {line}"
    for each in latest.evidence:
        limit = f", limit {number(each.limit, each.unit)}" if each.limit is not None else ""
        usual = f", baseline {number(each.baseline, each.unit)}" if each.baseline is not None else ""
        phase = f" ({each.phase.value})" if each.phase else ""
        yield f"  {each.measure}{phase}: worst {worst(each)}{limit}{usual}"
    if latest.clues is not None:
        yield from _part("What else changed meanwhile (hints, not causes)")
        yield from (f"  {clue.says}" for clue in latest.clues.found)
        if not latest.clues.found:
            yield "  nothing that was looked at"
        yield from (f"  not known: {said}" for said in latest.clues.unknown)
    yield from _part("See it again")
    yield f"  {again(near_miss, latest)}"
    if latest.runbook:
        yield from _part("Mend it")
        yield f"  chaosrunner remediate {near_miss.id} --check"
        yield f"  {latest.runbook}"
        if (pending := pending_apply(record.history)) is not None:
            onwards = f"`chaosrunner remediate {near_miss.id} --apply` goes on with it"
            yield f"  {pending.in_words(_at(pending.at))}: {onwards}"
    if len(record.occurrences) > 1:
        yield from _part("Occurrences")
        for seen in record.occurrences:
            kinds = ", ".join((seen.kind.value, *seen.also))
            strength = f", {seen.strength}" if seen.strength else ""
            where = seen.environment or seen.source.value
            yield f"  {_at(seen.at)}  {seen.run}  {where}  {kinds}{strength}"


def _verification(near_miss: NearMiss) -> Iterator[str]:
    proof = near_miss.verification
    if proof is None:
        yield "  no passing run since the fix was said to be ready"
        return
    yield f"  {proof}, as {proof.asked_by} asks"
    yield (
        f"  a gap that shows as often as this one did would be missed by {proof.required_runs} "
        f"run{'s' if proof.required_runs > 1 else ''} with a chance of {proof.slip:.0%}"
    )


def history(record: Record) -> Iterator[str]:
    """One line for each event, oldest first."""
    for event in record.history:
        before = f"{event.before} → " if event.before else ""
        change = f": {before}{event.after or 'none'}" if event.before or event.after else ""
        reason = " ".join(event.reason.split())
        reason = "" if change.endswith(f": {reason}") else reason
        joint = "; " if change else ": "
        run = f" [{event.run}]" if event.run else ""
        yield f"  {_at(event.at)}  {event.actor}  {event.what}{change}{f'{joint}{reason}' if reason else ''}{run}"


def _at(at: float) -> str:
    from chaosrunner.clock import iso

    return iso(at)[:16].replace("T", " ")
