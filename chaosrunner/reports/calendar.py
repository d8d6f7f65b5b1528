"""Dates for calendars, as RFC 5545 has them: one event, which comes once or again and again.

Its UID depends on what it is and nothing else, so that a calendar that reads it again changes the event in place of
adding another. Times that come again are local ones with a VTIMEZONE, as ten o'clock stays ten o'clock in summer; its
changes are listed for ten years from the first event. Lines are folded at 75 octets and end in CR LF.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from chaosrunner.model.cron import Cron
from chaosrunner.records.light import dataclass

_DAYS = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
_YEARS = 10


@dataclass(frozen=True, slots=True)
class Event:
    """What is held, and when."""

    kind: str
    """`suite` or `game-day`."""
    name: str
    environment: str
    title: str
    text: str
    first: float
    """Wall time, epoch seconds, of the next time."""
    lasts: float
    """Seconds."""
    zone: str
    again: Cron | None = None
    """None: once."""

    @property
    def uid(self) -> str:
        """The same for the same suite or game day of the same environment."""
        digest = hashlib.sha256("\n".join((self.kind, self.name, self.environment)).encode()).hexdigest()
        return f"{digest[:32]}@chaosrunner.dev"


def calendar(event: Event, now: float) -> str:
    """The whole file. Raises ValueError for a schedule that no one rule of a calendar can say."""
    return "".join(f"{piece}\r\n" for line in _lines(event, now) for piece in folded(line))


def _lines(event: Event, now: float) -> Iterator[str]:
    zoned = event.again is not None and event.zone != "UTC"
    yield from ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//chaosrunner//chaosrunner//EN", "CALSCALE:GREGORIAN")
    if zoned:
        yield from _zone(event)
    yield "BEGIN:VEVENT"
    yield f"UID:{event.uid}"
    yield f"DTSTAMP:{_utc(now)}"
    if zoned:
        local = datetime.fromtimestamp(event.first, UTC).astimezone(ZoneInfo(event.zone))
        yield f"DTSTART;TZID={event.zone}:{_plain(local)}"
    else:
        yield f"DTSTART:{_utc(event.first)}"
    yield f"DURATION:PT{max(1, round(event.lasts / 60))}M"
    if event.again is not None:
        yield f"RRULE:{rule(event.again)}"
    yield f"SUMMARY:{_text(event.title)}"
    if event.text:
        yield f"DESCRIPTION:{_text(event.text)}"
    yield "CATEGORIES:chaosrunner"
    yield "END:VEVENT"
    yield "END:VCALENDAR"


def rule(cron: Cron) -> str:
    """A schedule as a recurrence rule. Raises ValueError where either of two days is meant: a rule means both."""
    if not cron.any_month_day and not cron.any_week_day:
        raise ValueError(f"the schedule `{cron.text}` names days of the month or of the week; a calendar can have one")
    week = len(cron.week_days) < 7
    month_days = len(cron.month_days) < 31
    frequency = "DAILY" if week == month_days else "MONTHLY" if month_days else "WEEKLY"
    parts = [f"FREQ={frequency}"]
    parts += [f"BYMONTH={_numbers(cron.months)}"] if len(cron.months) < 12 else []
    parts += [f"BYMONTHDAY={_numbers(cron.month_days)}"] if month_days else []
    parts += [f"BYDAY={','.join(_DAYS[day] for day in cron.week_days)}"] if week else []
    parts += [f"BYHOUR={_numbers(cron.hours)}", f"BYMINUTE={_numbers(cron.minutes)}"]
    return ";".join(parts)


def _numbers(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def _zone(event: Event) -> Iterator[str]:
    """The zone's offset at the beginning, and each change from then on."""
    zone = ZoneInfo(event.zone)
    start = datetime.fromtimestamp(event.first, UTC) - timedelta(days=1)
    yield "BEGIN:VTIMEZONE"
    yield f"TZID:{event.zone}"
    yield from _observance(
        start.astimezone(zone), start.astimezone(zone).utcoffset() or timedelta(), ("19700101T000000",)
    )
    changes: dict[tuple[timedelta, timedelta | None, str | None], list[datetime]] = {}
    for moment in _changes(zone, start):
        before, after = (moment - timedelta(minutes=1)).astimezone(zone), moment.astimezone(zone)
        offset = before.utcoffset() or timedelta()
        changes.setdefault((offset, after.utcoffset(), after.tzname()), []).append(moment)
    for (offset, _, _), moments in changes.items():
        told = tuple(_plain(moment + offset) for moment in moments)
        yield from _observance(moments[0].astimezone(zone), offset, told)
    yield "END:VTIMEZONE"


def _observance(local: datetime, before: timedelta, onsets: tuple[str, ...]) -> Iterator[str]:
    kind = "DAYLIGHT" if local.dst() else "STANDARD"
    yield f"BEGIN:{kind}"
    yield f"DTSTART:{onsets[0]}"
    if len(onsets) > 1:
        yield f"RDATE:{','.join(onsets[1:])}"
    yield f"TZOFFSETFROM:{_offset(before)}"
    yield f"TZOFFSETTO:{_offset(local.utcoffset() or timedelta())}"
    yield f"TZNAME:{local.tzname()}"
    yield f"END:{kind}"


def _changes(zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    """The moments (UTC, to the minute) at which the offset changes."""
    day = timedelta(days=1)
    for number in range(366 * _YEARS):
        low, high = start + number * day, start + (number + 1) * day
        if low.astimezone(zone).utcoffset() == high.astimezone(zone).utcoffset():
            continue
        usual = low.astimezone(zone).utcoffset()
        while high - low > timedelta(minutes=1):
            middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
            if middle.astimezone(zone).utcoffset() == usual:
                low = middle
            else:
                high = middle
        yield _to_the_minute(high)


def _to_the_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _offset(value: timedelta) -> str:
    minutes = round(value.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"


def _plain(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}"


def _utc(epoch: float) -> str:
    return f"{_plain(datetime.fromtimestamp(epoch, UTC))}Z"


def _text(words: str) -> str:
    told = words.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    told = told.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n")
    return "".join(letter for letter in told if letter >= " ")


def folded(line: str) -> Iterator[str]:
    """A line in pieces of at most 75 octets, none of which cuts a character; those that go on begin with a space."""
    piece, size = "", 0
    for letter in line:
        octets = len(letter.encode())
        if size + octets > 75:
            yield piece
            piece, size = " ", 1
        piece, size = piece + letter, size + octets
    yield piece
