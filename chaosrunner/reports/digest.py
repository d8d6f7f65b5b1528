"""What became of near misses in some days, as Markdown: for a mail, a channel, a stand-up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.near_miss import HistoryEvent, NearMiss
from chaosrunner.model.words import State
from chaosrunner.records.light import dataclass
from chaosrunner.reports.words import count

SOON = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Digest:
    """The near misses of each chapter, the most urgent first."""

    since: date
    today: date
    chapters: dict[str, tuple[NearMiss, ...]]

    def as_json(self) -> JsonObject:
        """The stable shape of `--json`: ids by chapter."""
        ids: JsonObject = {name: [each.id for each in found] for name, found in self.chapters.items()}
        return {"since": self.since.isoformat(), "today": self.today.isoformat(), **ids}


TITLES = {
    "new": "New",
    "regressed": "Came back",
    "fixFailed": "Fixed, and seen again",
    "verified": "Verified",
    "fixReady": "Fixed, to be verified",
    "closed": "Closed otherwise",
    "overdue": "Overdue",
    "unseen": "Urgent, and nobody has looked at them within two working days",
    "dueSoon": "Due within two weeks",
    "waiversEnding": "Waivers that end within two weeks",
    "drafts": "Reported, and nobody has looked at them",
}


def digest(near_misses: Sequence[NearMiss], events: Sequence[HistoryEvent], since: date, today: date) -> Digest:
    """Of all near misses that are not closed or that something happened to, and the events since then."""
    happened: dict[str, set[str]] = {}
    for event in events:
        for chapter in _of_event(event):
            happened.setdefault(chapter, set()).add(event.near_miss)
    waiting = [each for each in near_misses if not each.closed]
    ended = {State.REJECTED, State.DUPLICATE, State.OBSOLETE}
    chapters: dict[str, list[NearMiss]] = {
        "new": [each for each in near_misses if each.id in happened.get("found", ())],
        "regressed": [each for each in near_misses if each.id in happened.get("regressed", ())],
        "fixFailed": [each for each in near_misses if each.id in happened.get("fix-failed", ())],
        "verified": [
            each for each in near_misses if each.id in happened.get("verified", ()) and each.state is State.VERIFIED
        ],
        "fixReady": [each for each in waiting if each.state is State.FIX_READY],
        "closed": [each for each in near_misses if each.state in ended and each.id in happened.get("closed", ())],
        "overdue": [each for each in waiting if each.overdue(today)],
        "unseen": [each for each in waiting if each.unseen(today)],
        "dueSoon": [
            each
            for each in waiting
            if not each.overdue(today) and each.due <= today + SOON and each.overdue(each.due + timedelta(days=1))
        ],
        "waiversEnding": [each for each in waiting if each.waiver and each.waiver.until <= today + SOON],
        "drafts": [each for each in waiting if each.draft],
    }
    order = {
        name: tuple(sorted(found, key=lambda each: (each.priority.value, each.due, each.id)))
        for name, found in chapters.items()
    }
    return Digest(since, today, order)


def _of_event(event: HistoryEvent) -> Iterator[str]:
    if event.what == "found":
        yield "found"
    if event.what == "seen again" and event.after in ("regressed", "fix-failed"):
        yield event.after
    if event.what == "state" and event.after == "verified":
        yield "verified"
    if event.what == "state" and event.after in ("rejected", "duplicate", "obsolete"):
        yield "closed"


def digest_markdown(found: Digest) -> str:
    """Chapters that have something in them; one line for each near miss."""
    lines = [f"# Near misses from {found.since} to {found.today}", ""]
    told = {name: each for name, each in found.chapters.items() if each}
    if not told:
        lines += ["Nothing happened, and nothing is waiting.", ""]
    for name, near_misses in told.items():
        lines += [f"## {TITLES[name]}: {count(len(near_misses), 'near miss', 'near misses')}", ""]
        lines += [_line(each, name) for each in near_misses]
        lines.append("")
    return "\n".join(lines)


def _line(near_miss: NearMiss, chapter: str) -> str:
    more = [near_miss.service, f"owner {near_miss.owner or 'nobody yet'}"]
    if chapter == "waiversEnding" and near_miss.waiver:
        more.append(f"until {near_miss.waiver.until}, accepted by {near_miss.waiver.accepted_by}")
    elif chapter == "fixReady" and near_miss.verification:
        more.append(str(near_miss.verification))
    elif chapter == "closed":
        more.append(f"{near_miss.state.value}: {near_miss.reason}")
    elif not near_miss.closed:
        more.append(f"due {near_miss.due}")
    item = f" [{near_miss.item.key}]({near_miss.item.url})" if near_miss.item and near_miss.item.url else ""
    return f"- **{near_miss.id}** {near_miss.priority}{item} {plain(near_miss.title)} ({', '.join(more)})"


def plain(text: str) -> str:
    """Text from outside on one line, in which Markdown means nothing."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in " ".join(text.split()))
