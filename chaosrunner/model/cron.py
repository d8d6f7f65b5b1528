"""When something is done again and again, as cron says it: five fields, minute, hour, day of the month, month, day of
the week, with lists, ranges, steps and names, as Kubernetes reads them. Pure.

Where both days are restricted either is enough, as in cron. A local time that the change to summer time leaves out does
not come that day; one that comes twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chaosrunner.records.light import dataclass
from chaosrunner.records.patterns import pattern

_PART = pattern(r"(\*|[\dA-Za-z]+(?:-[\dA-Za-z]+)?)(?:/(\d+))?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MOST_DAYS = 366 * 9
"""To look ahead: a 29 February may be eight years away."""


@dataclass(frozen=True, slots=True)
class Cron:
    """The times that one line of cron means."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    month_days: tuple[int, ...]
    months: tuple[int, ...]
    week_days: tuple[int, ...]
    """0 is Sunday."""
    any_month_day: bool
    any_week_day: bool

    def on(self, day: date) -> bool:
        """Whether it comes on this day at all."""
        in_month, in_week = day.day in self.month_days, day.isoweekday() % 7 in self.week_days
        either = self.any_month_day or self.any_week_day
        return day.month in self.months and (in_month and in_week if either else in_month or in_week)

    def after(self, epoch: float, zone: ZoneInfo) -> Iterator[float]:
        """The times after a moment, in order; ends where there is none for years."""
        day = datetime.fromtimestamp(epoch, UTC).astimezone(zone).date()
        last, idle = epoch, 0
        while idle < _MOST_DAYS:
            idle += 1
            if self.on(day):
                for found in sorted(self._of(day, zone)):
                    if found > last:
                        last, idle = found, 0
                        yield found
            day += timedelta(days=1)

    def _of(self, day: date, zone: ZoneInfo) -> Iterator[float]:
        for hour in self.hours:
            for minute in self.minutes:
                local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                back = local.astimezone(UTC).astimezone(zone)
                if (back.hour, back.minute) == (hour, minute):
                    yield local.timestamp()


def parse_cron(text: str) -> Cron:
    """Raises ValueError in words for the author of the file."""
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"expected five fields as in cron, such as `0 10 * * 2`, found {text!r}")
    minute, hour, month_day, month, week_day = fields
    found = Cron(
        text=" ".join(fields),
        minutes=_field(minute, "minute", 0, 59),
        hours=_field(hour, "hour", 0, 23),
        month_days=_field(month_day, "day of the month", 1, 31),
        months=_field(month, "month", 1, 12, _MONTHS),
        week_days=tuple(sorted({day % 7 for day in _field(week_day, "day of the week", 0, 7, _DAYS)})),
        any_month_day=month_day.startswith("*"),
        any_week_day=week_day.startswith("*"),
    )
    if not any(islice(found.after(0.0, ZoneInfo("UTC")), 1)):
        raise ValueError(f"the schedule {text!r} never comes")
    return found


def zone_of(name: str) -> ZoneInfo:
    """Raises ValueError in words for the author of the file."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}, expected one such as Europe/Berlin") from None


def _field(text: str, name: str, least: int, most: int, names: tuple[str, ...] = ()) -> tuple[int, ...]:
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"the {name} is {part!r}, expected a number, `*`, a range or a step, as in cron")
        span, step = match.group(1), int(match.group(2) or 1)
        first, _, last = span.partition("-")
        if span == "*":
            low, high = least, most
        else:
            low = _number(first, name, least, most, names)
            high = _number(last, name, least, most, names) if last else most if match.group(2) else low
        if low > high or step < 1:
            raise ValueError(f"the {name} is {part!r}, expected a range that goes up and a step of at least 1")
        values |= set(range(low, high + 1, step))
    return tuple(sorted(values))


def _number(text: str, name: str, least: int, most: int, names: tuple[str, ...]) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + least
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(f"the {name} is {text!r}, expected {least} to {most}")
    return int(text)
