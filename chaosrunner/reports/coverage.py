"""What was tested and what was not, as text for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosrunner.model.tested import DAY, Cell, Coverage, Standing
from chaosrunner.reports.tables import table
from chaosrunner.reports.words import clean, count

MOST = 12
"""Lines of one list in the terminal; JSON has all of them."""
_WORDS = {
    Standing.HELD: "held",
    Standing.GAP: "GAP",
    Standing.EXPIRED: "expired",
    Standing.INCONCLUSIVE: "no answer",
    Standing.UNTESTED: "–",
    Standing.NOT_APPLICABLE: "n/a",
}


def coverage_text(found: Coverage) -> str:
    """A table of services and failure modes, and below it the score, what to look at, and what is missing."""
    if not found.services:
        return "nothing was tried yet, and no services are named: -e ENVIRONMENT or --services FILE\n"
    heads, rows = _grid(found)
    parts = [table(heads, rows), _legend(found), "\n".join(_score(found))]
    parts += ["\n".join([f"{title}:", *(f"  {line}" for line in lines)]) for title, lines in _chapters(found, MOST)]
    parts += [f"note: {note}" for note in found.notes]
    return "\n\n".join(parts) + "\n"


def coverage_markdown(found: Coverage) -> str:
    """The same as Markdown, with nothing left out."""
    heads, rows = _grid(found)
    parts = ["# What was tested", "\n".join(_score(found))]
    if rows:
        lines = [heads, ["---"] * len(heads), *([_cell_safe(cell) for cell in row] for row in rows)]
        parts += ["\n".join(f"| {' | '.join(line)} |" for line in lines), _legend(found)]
    for title, chapter in _chapters(found, None):
        parts.append(
            "\n".join([f"## {title[0].upper()}{title[1:]}", "", *(f"* {_cell_safe(line)}" for line in chapter)])
        )
    parts += [f"Note: {note}" for note in found.notes]
    return "\n\n".join(parts) + "\n"


def _cell_safe(text: str) -> str:
    return clean(text).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _grid(found: Coverage) -> tuple[list[str], list[list[str]]]:
    by = {(cell.service, cell.mode): cell for cell in found.cells}
    modes = list(dict.fromkeys((*found.modes, *(cell.mode for cell in found.cells))))
    if len(modes) > len(found.services) and found.by == "kind":  # a column for each service is narrower then
        rows = [[mode, *(_brief(by.get((one, mode)), found.on) for one in found.services)] for mode in modes]
        return ["FAULT", *found.services], rows
    rows = [[one, *(_brief(by.get((one, mode)), found.on) for mode in modes)] for one in found.services]
    return ["SERVICE", *modes], rows


def _brief(cell: Cell | None, now: float) -> str:
    if cell is None:
        return ""
    aged = f" {_age(cell, now)}" if cell.answered is not None or cell.last_tried is not None else ""
    return f"{_WORDS[cell.standing]}{aged}"


def _age(cell: Cell, now: float) -> str:
    at = cell.answered if cell.answered is not None else cell.last_tried
    return f"{max(0, int((now - (at or now)) // DAY))}d"


def _legend(found: Coverage) -> str:
    return (
        f"held, GAP, … 12d: the answer, and how many days old it is (the oldest it rests on); what held counts for "
        f"{found.valid_days:g} days; –: never tried"
    )


def _score(found: Coverage) -> Iterator[str]:
    if found.score is None:
        yield "resilience score: none, there is nothing to count"
    else:
        yield f"resilience score: {found.score:g} of 100"
    yield f"  = {found.formula}"
    yield "  untested, expired and inconclusive count as not passed, like a gap"


def _chapters(found: Coverage, most: int | None) -> Iterator[tuple[str, list[str]]]:
    """What to look at, each with a title; those that are empty are left out."""
    counted = [cell for cell in found.cells if cell.counted]
    gaps = [_told(cell) for cell in counted if cell.standing is Standing.GAP]
    stale = [_told(cell) for cell in counted if cell.standing in (Standing.EXPIRED, Standing.INCONCLUSIVE)]
    soon = [f"{_named(cell)}: in {_days((cell.expires or 0.0) - found.on)}" for cell in found.expires_next]
    beside = [_told(cell) for cell in found.cells if not cell.counted]
    for title, lines in (
        ("gaps", gaps),
        ("expired, or without an answer", stale),
        (f"expires within {found.soon_days:g} days", soon),
        ("never tried", _missing(found)),
        ("not counted", beside),
        ("acted on, while their own promise was never tested", list(found.only_hit)),
    ):
        if lines:
            yield title, lines if most is None else _cut(lines, most)


def _cut(lines: Sequence[str], most: int) -> list[str]:
    left = len(lines) - most
    return [*lines[:most], f"… and {count(left, 'more', 'more')}: --json has all"] if left > 0 else list(lines)


def _days(seconds: float) -> str:
    return count(max(0, int(seconds // DAY)), "day")


def _named(cell: Cell) -> str:
    return f"{cell.service} under {cell.mode}"


def _told(cell: Cell) -> str:
    by = f" ({', '.join(cell.experiments)})" if cell.experiments else ""
    near_misses = f"; open: {', '.join(cell.near_misses)}" if cell.near_misses and "open:" not in cell.why else ""
    return f"{_named(cell)}: {cell.why}{near_misses}{by}"


def _missing(found: Coverage) -> list[str]:
    lines = []
    for service in found.services:
        mine = [each for each in found.cells if each.service == service and each.counted]
        untested = [each.mode for each in mine if each.standing is Standing.UNTESTED]
        if untested:
            lines.append(f"{service}: {'all of them' if len(untested) == len(mine) else ', '.join(untested)}")
    return lines
