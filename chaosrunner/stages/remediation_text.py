"""The text of a remediation item, the same for every tracker: what happened, with numbers, how to see it again, and
what usually helps. It changes only when what an item is told changes, so that nobody gets a mail for a mere repetition.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaosrunner.clock import iso
from chaosrunner.model.near_miss import Evidence, NearMiss, Occurrence
from chaosrunner.model.quantities import UNITS, show
from chaosrunner.model.remedies import usual_remedies
from chaosrunner.model.words import FindingClass, Source
from chaosrunner.ports import Item
from chaosrunner.register.near_misses import Record
from chaosrunner.reports.course import drawn

MOST_CLUES = 5
"""That an item shows; the run's report has all."""
_FINDING = {
    FindingClass.NEAR_MISS: "near miss",
    FindingClass.UNSAFE_CONDITION: "unsafe condition",
    FindingClass.INCIDENT: "incident",
}


def item_of(record: Record) -> Item:
    """The item that a tracker is asked to show."""
    near_miss = record.near_miss
    own = ("near-miss", near_miss.service, *near_miss.fault_classes)
    return Item(
        near_miss=near_miss.id,
        fingerprint=near_miss.fingerprint,
        title=near_miss.title,
        body="\n".join(_lines(record)) + "\n",
        labels=tuple(dict.fromkeys((*own, *near_miss.labels))),
        assignee=near_miss.assignee or near_miss.owner,
        due=near_miss.due.isoformat(),
        priority=near_miss.priority.value,
    )


def number(value: object, unit: str | None) -> str:
    """A value with its unit; a dash for none."""
    if isinstance(value, bool) or value is None:
        return "—" if value is None else str(value).lower()
    if isinstance(value, int | float):
        return show(value, unit) if unit is None or unit in UNITS else f"{value:.4g} {unit}"
    return str(value)


def worst(evidence: Evidence) -> str:
    """The worst reading in words."""
    return "no answer" if evidence.worst is None else number(evidence.worst, evidence.unit)


def _lines(record: Record) -> Iterator[str]:
    near_miss, latest = record.near_miss, record.occurrences[-1]
    at = iso(latest.at)[:16].replace("T", " ")
    classes = ", ".join(near_miss.fault_classes) or "such faults"
    yield from (f"# {near_miss.title}", "", f"{_who_and_when(near_miss)}", "")
    yield from ("## What happened", "", latest.story, "")
    if latest.source is Source.RUN:
        yield from (f"Run {latest.run} of {latest.experiment} in {latest.environment}, {at} UTC.", "")
    else:
        by = "an alert" if latest.source is Source.ALERT else near_miss.reported_by or "somebody who gave no name"
        yield from (f"Reported by {by}, {at} UTC.", "", *(f"- {link}" for link in latest.links), "")
    yield from _table(latest)
    yield from _plots(latest)
    yield from _clues(latest)
    yield from ("## How to see it again", "", f"    {again(near_miss, latest)}", "")
    yield from _runbook(near_miss, latest)
    yield from ("## What usually helps", "")
    yield from (f"Against {classes} in general; which of it is missing here is for you to say.", "")
    yield from (f"- {remedy}" for remedy in usual_remedies(near_miss.fault_classes))
    yield from ("", f"## Why {near_miss.priority}", "")
    yield from _why(near_miss)
    yield from ("", "## When it is fixed", "")
    yield f"Close this item, or say `chaosrunner near-miss set {near_miss.id} fix-ready --change COMMIT`. Then run the"
    yield "experiment again: chaosrunner verifies the fix when enough runs pass, and opens this again if one does not."


def again(near_miss: NearMiss, latest: Occurrence) -> str:
    """The command that shows it again, or how there could be one."""
    if latest.command:
        return latest.command
    if latest.source is Source.RUN:
        return f"chaosrunner run {latest.experiment} --seed {latest.seed}"
    if near_miss.links:
        return f"chaosrunner run {near_miss.links[0]}"
    return f"chaosrunner near-miss link {near_miss.id} EXPERIMENT   # no experiment shows it yet"


def _who_and_when(near_miss: NearMiss) -> str:
    article = "a" if near_miss.finding is FindingClass.NEAR_MISS else "an"
    return (
        f"{near_miss.id}, {article} {_FINDING[near_miss.finding]} of {near_miss.service}, {near_miss.priority}, "
        f"due {near_miss.due}, owner {near_miss.owner or 'not named yet'}"
    )


def _table(occurrence: Occurrence) -> Iterator[str]:
    if not occurrence.evidence:
        return
    yield "| measure | expected | worst | limit | baseline | outside for |"
    yield "|---|---|---|---|---|---|"
    for each in occurrence.evidence:
        phase = f" ({each.phase.value})" if each.phase else ""
        cells = (
            f"{each.measure}{phase}",
            each.rule or "—",
            worst(each),
            number(each.limit, each.unit),
            number(each.baseline, each.unit),
            show(each.violated_for, "s"),
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _plots(occurrence: Occurrence) -> Iterator[str]:
    """How what failed went over the run, in letters: every tracker shows them, and nothing need be uploaded."""
    for each in occurrence.evidence:
        if each.course is not None and (lines := list(drawn(each.course, limit=each.limit, unit=each.unit))):
            yield from (f"{_plain(each.measure)} over the run, the worst of each moment:", "")
            yield from ("```text", *lines, "```", "")


def _runbook(near_miss: NearMiss, latest: Occurrence) -> Iterator[str]:
    """What may be played against it, and how."""
    if not latest.runbook:
        return
    yield from ("## Runbook", "", _plain(latest.runbook), "")
    yield from (
        f"    chaosrunner remediate {near_miss.id} --check",
        f"    chaosrunner remediate {near_miss.id} --apply",
        "",
    )
    yield from ("The first says what would change, the second applies it and runs the experiment again.", "")


def _clues(occurrence: Occurrence) -> Iterator[str]:
    """What else changed, the strongest first; of what is not known only that there is something."""
    clues = occurrence.clues
    if clues is None:
        return
    yield from ("## What else changed meanwhile", "")
    yield from ("Hints: they go together with the fault in time, and nothing here says why.", "")
    for clue in clues.found[:MOST_CLUES]:
        links = "".join(f" [{link.name}]({link.url})" for link in clue.links)
        yield f"- {_plain(clue.says)}{links}"
        if clue.sample:
            yield from ("", f"      {_plain(clue.sample)}", "")
    if not clues.found:
        yield "- nothing that was looked at"
    for said in clues.unknown[:MOST_CLUES]:
        yield f"- not known: {_plain(said)}"
    yield ""


def _plain(text: str) -> str:
    """Words from outside in one line, in which nothing is taken for Markdown that is none."""
    return " ".join(text.split()).replace("<", "&lt;").replace("@", "@\u200b")


def _why(near_miss: NearMiss) -> Iterator[str]:
    yield from (f"- {reason}" for reason in near_miss.scoring.rationale)
    if near_miss.override is not None:
        yield f"- set by {near_miss.override.by}: {near_miss.override.reason} (computed: {near_miss.scoring.priority})"
