"""The pictures of the after-action report: the whole day, and the readings of one experiment. SVG without scripts, in
the page's colours, so that they look as well on paper as at night."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo

from chaosrunner.model import gameday_log as log
from chaosrunner.model.quantities import show
from chaosrunner.records.light import dataclass
from chaosrunner.reports.after_action import AfterAction, Note, Trial
from chaosrunner.reports.gameday_words import WORD_TONES
from chaosrunner.reports.plot import text
from chaosrunner.reports.scales import time_ticks
from chaosrunner.reports.words import Tone

WIDTH = 1000
_LEFT = 132
_ROW = 26
_PLOT = 92
_LONGEST = 21
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Axis:
    """Wall time along a picture."""

    start: float
    end: float

    def x(self, at: float) -> float:
        """Where a moment is, held inside."""
        share = (at - self.start) / (self.end - self.start or 1.0)
        return round(_LEFT + min(1.0, max(0.0, share)) * (WIDTH - _LEFT - 4), 1)


def _tag(name: str, inner: str = "", **attributes: object) -> str:
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{inner}</{name}>"


def _svg(height: float, label: str, parts: Iterator[str] | Sequence[str]) -> str:
    return (
        f'<svg class="pic" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{text(label)}">'
        f"{''.join(parts)}</svg>"
    )


def clock_time(at: float, zone: tzinfo) -> str:
    """A moment as people of the game day's time zone read it: `10:31:05`."""
    return datetime.fromtimestamp(at, zone).strftime("%H:%M:%S")


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


# ------------------------------------------------------------------------------------------------------------- the day


def day_picture(action: AfterAction, zone: tzinfo) -> str:
    """Experiments, faults, alerts and notes on one scale, from the go to the end."""
    start = action.decided_at or action.began_at
    axis = Axis(start, max(action.ended_at, start + 1.0))
    rows: list[tuple[str, Callable[[float], Iterator[str]]]] = [
        (f"{trial.item}. {trial.title}", lambda y, trial=trial: _trial_bar(trial, axis, y))  # type: ignore[misc]
        for trial in action.trials
    ]
    alerts = [one for trial in action.trials if trial.facts for one in trial.facts.alerts]
    rows.append(("alerts", lambda y: (_triangle(axis.x(one.at), y + _ROW / 2, one.name) for one in alerts)))
    rows.append(("notes", lambda y: (_dot(axis, note, y + _ROW / 2) for note in action.notes)))
    height = len(rows) * _ROW + 22
    parts = [*_ticks(axis, len(rows) * _ROW, zone)]
    for number, (name, draw) in enumerate(rows):
        y = number * _ROW
        parts.append(_tag("line", class_="grid", x1=_LEFT, x2=WIDTH, y1=y + _ROW, y2=y + _ROW))
        parts.append(_tag("text", f"<title>{text(name)}</title>{text(_short(name, _LONGEST))}", x=0, y=y + 17))
        parts += draw(y)
    return _svg(height, "The game day: experiments, faults, alerts and notes over time", parts)


def _trial_bar(trial: Trial, axis: Axis, y: float) -> Iterator[str]:
    began, ended = axis.x(trial.began), axis.x(trial.ended)
    tone = WORD_TONES.get(trial.word, Tone.WARN)
    width = max(3.0, ended - began)
    yield f'<g class="{tone.value}">'
    yield _tag("rect", class_="bar", x=began, y=y + 3, width=round(width, 1), height=_ROW - 7, rx=3)
    yield "</g>"
    for fault in trial.facts.faults if trial.facts is not None else ():
        yield _fault_band(fault, axis, y + 5, _ROW - 11)
    yield f'<g class="{tone.value}">'
    if width > 60:
        yield _tag("text", text(trial.word), class_="bar-t", x=began + 6, y=y + 17)
    elif ended < WIDTH - 90:
        yield _tag("text", text(trial.word), class_="bar-t", x=ended + 5, y=y + 17)
    else:
        yield _tag("text", text(trial.word), class_="bar-t", x=began - 5, y=y + 17, text_anchor="end")
    yield "</g>"


def _fault_band(fault: log.FaultTold, axis: Axis, y: float, height: float) -> str:
    if fault.began is None:
        return ""
    left = axis.x(fault.began)
    right = axis.x(fault.ended) if fault.ended is not None else axis.x(axis.end)
    inner = f"<title>{text(fault.what)}</title>"
    return _tag("rect", inner, class_="fault", x=left, y=y, width=round(max(2.0, right - left), 1), height=height)


def _triangle(x: float, y: float, name: str) -> str:
    points = f"{x - 5},{y + 5} {x + 5},{y + 5} {x},{y - 5}"
    return _tag("polygon", f"<title>{text(name)}</title>", class_="alert", points=points)


def _dot(axis: Axis, note: Note, y: float) -> str:
    title = f"<title>{text(f'{note.who}: {note.text}')}</title>"
    return _tag("circle", title, class_="note", cx=axis.x(note.at), cy=y, r=5 if note.respond else 4)


def _ticks(axis: Axis, bottom: float, zone: tzinfo) -> Iterator[str]:
    """Round times of the clock below a picture."""
    length = axis.end - axis.start
    step = next((each for each in _STEPS if length / each <= 8), _STEPS[-1])
    offset = datetime.fromtimestamp(axis.start, zone).utcoffset()
    shift = offset.total_seconds() if offset is not None else 0.0
    at = ((axis.start + shift) // step + 1) * step - shift
    while at < axis.end:
        x = axis.x(at)
        words = datetime.fromtimestamp(at, zone).strftime("%H:%M" if step >= 60 else "%H:%M:%S")
        yield _tag("line", class_="grid", x1=x, x2=x, y1=0, y2=bottom)
        if x < WIDTH - 24:
            yield _tag("text", words, x=x, y=bottom + 16, text_anchor="middle", class_="v")
        at += step


# ------------------------------------------------------------------------------------------------------ one experiment


def trial_picture(trial: Trial) -> str:
    """The readings of one experiment, with its faults, alerts and notes; nothing where it came to nothing."""
    facts = trial.facts
    if facts is None:
        return ""
    axis = Axis(facts.began, max(facts.ended, facts.began + 1.0))
    marks = 24 if facts.alerts or trial.notes else 6
    measures = [measure for measure in facts.measures if measure.points]
    bottom = marks + len(measures) * (_PLOT + 14)
    parts: list[str] = []
    for fault in facts.faults:
        parts.append(_fault_band(fault, axis, 0, bottom))
        edges = [at for at in (fault.began, fault.ended) if at is not None]
        parts += [_tag("line", class_="edge", x1=axis.x(at), x2=axis.x(at), y1=0, y2=bottom) for at in edges]
    if facts.alerts or trial.notes:
        parts.append(_tag("text", "alerts, notes", x=0, y=15))
    parts += [_triangle(axis.x(one.at), 11, one.name) for one in facts.alerts]
    parts += [_dot(axis, note, 11) for note in trial.notes if axis.start <= note.at <= axis.end]
    for number, measure in enumerate(measures):
        parts += _measure(measure, axis, marks + number * (_PLOT + 14))
    parts += _seconds(axis, bottom)
    return _svg(bottom + 20, f"Readings of {facts.title} over time", parts)


def _seconds(axis: Axis, bottom: float) -> Iterator[str]:
    yield _tag("line", class_="axis", x1=_LEFT, x2=WIDTH, y1=bottom, y2=bottom)
    for t, words in time_ticks(axis.end - axis.start):
        x = axis.x(axis.start + t)
        anchor = "start" if x < _LEFT + 8 else "end" if x > WIDTH - 20 else "middle"
        yield _tag("text", text(words), x=x, y=bottom + 16, text_anchor=anchor, class_="v")


def _measure(measure: log.MeasureTold, axis: Axis, top: float) -> Iterator[str]:
    values = [value for _, value in measure.points]
    limits = [limit for limit in (measure.low, measure.high) if limit is not None]
    low, high = min([0.0, *values]), max([*values, *limits])
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return round(top + 17 + (1 - (min(high, max(low, value)) - low) / span) * (_PLOT - 19), 1)

    name = measure.key.rpartition("/")[2].replace("-", " ")
    yield _tag("line", class_="axis", x1=_LEFT, x2=WIDTH, y1=top + _PLOT, y2=top + _PLOT)
    yield _tag("text", f"<title>{text(measure.key)}</title>{text(name)}", class_="name", x=0, y=top + 10)
    yield _tag("text", text(show(high, measure.unit)), class_="v", x=_LEFT - 6, y=y(high) + 9, text_anchor="end")
    yield _tag("text", text(show(low, measure.unit)), class_="v", x=_LEFT - 6, y=y(low), text_anchor="end")
    for limit in limits:
        yield _tag("line", class_="limit", x1=_LEFT, x2=WIDTH, y1=y(limit), y2=y(limit))
    points = " ".join(f"{axis.x(at)},{y(value)}" for at, value in measure.points)
    yield _tag("polyline", class_="curve", points=points)
    for at in measure.gaps:
        yield _tag("circle", "<title>no answer</title>", class_="out", cx=axis.x(at), cy=top + 19, r=3)
