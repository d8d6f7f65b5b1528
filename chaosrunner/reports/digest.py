"""What became of near misses in some days, as Markdown: for a mail, a channel, a stand-up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosrunner.model.digest import LISTED, Digest
from chaosrunner.model.heard import Heard
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.reports.words import count

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


def digest_markdown(found: Digest) -> str:
    """Chapters that have something in them; one line for each near miss that is listed."""
    lines = [f"# Near misses from {found.since} to {found.today}", ""]
    told = {name: each for name, each in found.chapters.items() if each.count}
    if not told and not found.heard:
        lines += ["Nothing happened, and nothing is waiting.", ""]
    for name, chapter in told.items():
        lines += [f"## {TITLES[name]}: {count(chapter.count, 'near miss', 'near misses')}", ""]
        lines += [_line(each, name) for each in chapter.listed]
        if more := chapter.count - len(chapter.listed):
            lines.append(f"- and {more} more, less urgent")
        lines.append("")
    lines += _heard(found.heard)
    return "\n".join(lines)


def _heard(heard: Sequence[Heard]) -> Iterator[str]:
    if not heard:
        return
    yield f"## Alerts that runs caused: {count(len(heard), 'alert')}"
    yield ""
    for each in heard[:LISTED]:
        yield f"- {plain(each.report.title)} ({each.report.service}, during run {each.run})"
    if (more := len(heard) - LISTED) > 0:
        yield f"- and {more} more"
    yield ""


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
