"""The after-action report of a game day: read from its log, brought up to date by the register, written to files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from chaosrunner import __version__
from chaosrunner.app.gamedays import DayBook, Shelf
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.model.frozen import json_text
from chaosrunner.model.gameday_log import NearMissTold
from chaosrunner.reports.after_action import AfterAction, after_action
from chaosrunner.store.kept import write_file

if TYPE_CHECKING:
    from chaosrunner.register.near_misses import Register

_ENDINGS = {".html": "html", ".htm": "html", ".md": "markdown", ".markdown": "markdown", ".json": "json"}


def form_of(output: str | None) -> str:
    """The format that a file's name asks for. Raises `UsageError` for an ending that is none."""
    suffix = Path(output or "").suffix.lower()
    if output == "-":
        return "markdown"
    if suffix not in _ENDINGS:
        raise UsageError(f"{output}: no format goes by that ending, expected .html, .md or .json, or --format")
    return _ENDINGS[suffix]


def read(book: DayBook, shelf: Shelf) -> AfterAction:
    """A game day looked back on, with the last one of the same name. Raises `UsageError` for an empty log."""
    earlier = shelf.before(book)
    before = after_action(earlier[0], earlier[1]) if earlier is not None else None
    found = after_action(book.id, book.all(), before)
    if found is None:
        raise UsageError(f"the log of {book.id} does not say what was meant to happen")
    _refresh(found, shelf)
    return found


def _refresh(action: AfterAction, shelf: Shelf) -> None:
    """Near misses as they are now. Where the register cannot be asked, they stay as they were when the item ended."""
    from chaosrunner.register import open_register, register_exists

    if not action.near_misses or not register_exists(shelf.state):
        return
    try:
        with open_register(shelf.state, shelf.clock) as register:
            action.near_misses = [_as_now(one, register) for one in action.near_misses]
    except NotPossibleNow as error:
        shelf.tell(f"near misses are shown as they were on the day: {error}")


def _as_now(one: NearMissTold, register: Register) -> NearMissTold:
    try:
        known = register.get(one.id)
    except UsageError:  # another register's
        return one
    now = {"priority": known.priority.value, "state": known.state.value, "owner": known.owner or ""}
    now |= {"due": known.due.isoformat()}
    if known.item is not None and known.item.url.startswith(("https://", "http://")):
        now |= {"work": known.item.url}
    return one.model_copy(update=now)


def report_text(book: DayBook, shelf: Shelf, form: str) -> str:
    """The report in one format, with a line end."""
    return _text(read(book, shelf), form, shelf)


def write_report(book: DayBook, shelf: Shelf, folder: Path) -> list[Path]:
    """The report as HTML and Markdown, beside the log; their paths. Raises `NotPossibleNow`."""
    action = read(book, shelf)
    names = {"html": "after-action.html", "markdown": "after-action.md"}
    return [write_file(folder / name, _text(action, form, shelf)) for form, name in names.items()]


def _text(action: AfterAction, form: str, shelf: Shelf) -> str:
    if form == "html":
        from chaosrunner.reports.after_action_html import after_action_html

        today = datetime.fromtimestamp(shelf.clock.now(), UTC).date().isoformat()
        return after_action_html(action, today, __version__)
    from chaosrunner.reports.after_action_text import after_action_json, after_action_markdown

    if form == "markdown":
        return after_action_markdown(action)
    return json_text(after_action_json(action))
