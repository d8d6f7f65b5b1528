"""What a terminal shows when a run is over: the answer, the three statements, near misses, and what to do next."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from chaosrunner.model.exit_codes import UNDO_FAILED
from chaosrunner.model.verdict import Verdict
from chaosrunner.records.patterns import pattern
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.reports.words import (
    ANSWER_TONES,
    SIGNS,
    Tone,
    alert_lines,
    clean,
    count,
    headline,
    hypothesis_line,
    reasons,
    statements,
    why_ended,
)

if TYPE_CHECKING:
    from chaosrunner.model.evidence import Clues

SHOWN = 3
"""Clues of each gap on a terminal; the report has all."""
NOT_ALL = "not everything could be looked at"
_COLOURS = {Tone.GOOD: "32", Tone.BAD: "31", Tone.WARN: "33", Tone.INFO: "90"}
_NUMBER_AND_UNIT = pattern(r"(?<=\d) (?=(?:s|ms|min|h|times)\b|%)")
"""The space between them, where no line should end."""


class _Page:
    def __init__(self, colour: bool, width: int) -> None:
        self.lines: list[str] = []
        self.colour = colour
        self.width = max(40, width)

    def paint(self, words: str, codes: str) -> str:
        return f"\x1b[{codes}m{words}\x1b[0m" if self.colour else words

    def add(self, words: str, mark: str = "", tone: Tone | None = None, indent: int = 0) -> None:
        """A paragraph behind a mark, folded to the width."""
        lead = " " * indent + (f"{mark} " if mark else "")
        glued = _NUMBER_AND_UNIT.sub("\u00a0", " ".join(clean(words).split()))
        folded = [line.replace("\u00a0", " ") for line in textwrap.wrap(glued, self.width - len(lead))] or [""]
        painted = lead if tone is None else lead.replace(mark, self.paint(mark, _COLOURS[tone])) if mark else lead
        self.lines.append(painted + folded[0])
        self.lines += [" " * len(lead) + rest for rest in folded[1:]]

    def plain(self, words: str = "") -> None:
        """A line as it is: paths and commands are never folded, so that they can be copied."""
        self.lines.append(words)


def summary(
    verdict: Verdict,
    found: Sequence[ShownGap] = (),
    *,
    report: str = "",
    colour: bool = False,
    width: int = 100,
) -> str:
    """One screen of text, without a line end at its end.

    `report` is the path of the HTML report; `colour` only for a terminal that wants it.
    """
    page = _Page(colour, width)
    word, tone = headline(verdict)
    page.plain(f"{page.paint(f' {word} ', f'1;7;{_COLOURS[tone]}')} {page.paint(clean(verdict.experiment), '1')}")
    page.add(verdict.summary)
    if ended := why_ended(verdict):
        page.add(ended)
    page.plain()
    in_force, answers, gone = statements(verdict)
    page.add(in_force.says, SIGNS[in_force.tone], in_force.tone)
    for detail in in_force.details:
        page.add(detail, indent=4)
    page.add(answers.says, SIGNS[answers.tone], answers.tone)
    for hypothesis in sorted(verdict.hypotheses, key=lambda one: -one.answer.badness):
        shade = ANSWER_TONES[hypothesis.answer]
        page.add(hypothesis_line(hypothesis), SIGNS[shade], shade, indent=4)
    for shade, line in alert_lines(verdict):
        page.add(line, SIGNS[shade], shade, indent=4)
    page.add(gone.says, SIGNS[gone.tone], gone.tone)
    for detail in gone.details:
        page.add(detail, indent=4)
    for reason in reasons(verdict):
        page.add(f"inconclusive: {reason}", SIGNS[Tone.WARN], Tone.WARN)
    _gaps(page, found)
    _next(page, verdict, found, report)
    return "\n".join(page.lines)


def _gaps(page: _Page, found: Sequence[ShownGap]) -> None:
    if not found:
        return
    recorded = all(one.id for one in found)
    page.plain()
    title = count(len(found), "near miss", "near misses") if recorded else count(len(found), "gap")
    page.plain(page.paint(f"{title} found", "1"))
    for one in found:
        kinds = "+".join(kind.value for kind in (one.gap.kind, *one.gap.also))
        head = "  ".join(word for word in (one.id, one.priority, kinds, one.news) if word)
        page.add(f"{head}: {one.gap.title}", SIGNS[Tone.BAD], Tone.BAD, indent=2)
        if one.remediation:
            page.plain(f"    remediation: {clean(one.remediation)}")
        if one.clues is not None:
            _clues(page, one.clues)


def _clues(page: _Page, clues: Clues) -> None:
    """The strongest hints, and that there is more."""
    if not clues.found:
        but = f"; {NOT_ALL}" if clues.unknown else ""
        page.add(f"what else changed meanwhile: nothing that was seen{but}", indent=4)
        return
    page.add("what else changed meanwhile (hints, not causes):", indent=4)
    for clue in clues.found[:SHOWN]:
        page.add(clue.says, "·", indent=6)
    more = len(clues.found) - SHOWN + clues.left_out
    if more > 0:
        page.add(f"and {count(more, 'more change')}, in the report", indent=8)


def _next(page: _Page, verdict: Verdict, found: Sequence[ShownGap], report: str) -> None:
    page.plain()
    if report:
        page.plain(f"report   {clean(report)}")
    page.plain(f"next     {_command(verdict, found)}")


def _command(verdict: Verdict, found: Sequence[ShownGap]) -> str:
    if verdict.exit_code == UNDO_FAILED or any(
        fault.injected_at is not None and fault.undone_at is None for fault in verdict.faults
    ):
        return f"chaosrunner heal {verdict.run}"
    recorded = [one.id for one in found if one.id]
    if recorded:
        return f"chaosrunner near-miss show {recorded[0]}"
    if verdict.exit_code == 0:
        return "chaosrunner runs list"
    return f"chaosrunner report {verdict.run} --format html"
