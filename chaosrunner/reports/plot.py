"""One plot of the HTML report: a measure over baseline, fault and recovery.

Lines are drawn as SVG, stretched to the page's width; everything with text is laid over it as HTML, so that it stays
readable on a phone. The plot works without scripts; the page's script adds the crosshair.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from chaosrunner.model.quantities import show
from chaosrunner.model.verdict import MeasureVerdict, PhaseVerdict
from chaosrunner.records.light import dataclass
from chaosrunner.reports.account import Account, FaultSpan, Series
from chaosrunner.reports.scales import HIGH, WIDE, Scale, scale_for, time_ticks
from chaosrunner.reports.thinning import Point, thin, thin_marks
from chaosrunner.reports.words import MANY, clean, count, moment

DOTS_UP_TO = 160
"""Lines of more points are drawn without a dot for each."""
_LANES = 6
"""Different words that a plot of texts shows; the rest share the last lane."""


def text(words: object) -> str:
    """Anything, made safe for HTML text and attributes."""
    safe = clean(str(words))
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#x27;")):
        safe = safe.replace(sign, written)
    return safe


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the run with a look of its own, from `start` to `end` in seconds."""

    start: float
    end: float
    look: str
    label: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A limit for a part of the run."""

    start: float
    end: float
    value: float
    look: str
    label: str = ""


def spans(account: Account) -> list[Span]:
    """Phases' borders, windows in which faults were in force, and their settle parts."""
    end = account.seconds
    found = [Span(phase.start, phase.end or end, "phase", phase.phase) for phase in account.phases]
    if len(account.faults) > MANY:
        found += _by_step(account, end)
    for fault in account.faults.values() if len(account.faults) <= MANY else ():
        start = fault.in_force_at if fault.in_force_at is not None else fault.injected_at
        if start is None:
            continue
        stop = min(at for at in (fault.undone_at, fault.lost_at, end) if at is not None)
        found.append(Span(start, max(start, stop), "force", fault.step, f"{fault.kind} on {fault.target.name}"))
        if fault.settle:
            found.append(Span(start, min(stop, start + fault.settle), "settle", fault.step, "settling, not judged"))
    if account.abort_at is not None:
        found.append(Span(account.abort_at, account.abort_at, "abort", "abort limit reached"))
    return found


def _by_step(account: Account, end: float) -> list[Span]:
    """One window for each step and when it began to act, until the last of its targets was free again."""
    windows: dict[str, list[FaultSpan]] = {}
    for fault in account.faults.values():
        if fault.in_force_at is not None or fault.injected_at is not None:
            windows.setdefault(fault.step, []).append(fault)
    found = []
    for step, faults in windows.items():
        starts = [at for each in faults for at in (each.in_force_at, each.injected_at) if at is not None]
        stops = [min(at for at in (each.undone_at, each.lost_at, end) if at is not None) for each in faults]
        start, stop = min(starts), max(*stops, min(starts))
        found.append(Span(start, stop, "force", step, f"{faults[0].kind} on {count(len(faults), 'target')}"))
        if settle := max(each.settle for each in faults):
            found.append(Span(start, min(stop, start + settle), "settle", step, "settling, not judged"))
    return found


class Plot:
    """One measure's plot."""

    def __init__(self, account: Account, series: Series, verdict: MeasureVerdict | None, columns: int) -> None:
        self.account = account
        self.series = series
        self.verdict = verdict
        self.unit = series.measure.unit
        self.seconds = account.seconds or 1.0
        self.columns = columns
        self.points: list[Point] = thin(series.times, self._amounts(), columns)
        self.levels = self._levels()
        self.scale = self._scale()

    def _amounts(self) -> Sequence[float]:
        if not self.series.textual:
            return self.series.values
        return [min(value, _LANES - 1.0) for value in self.series.values]

    def _levels(self) -> list[Level]:
        if self.series.textual:
            return []
        found = []
        for phase in self.verdict.phases if self.verdict else ():
            for span in self.account.phases:
                if span.phase == phase.phase:
                    found += self._phase_levels(phase, span.start, span.end or self.seconds)
        found += self._abort_levels()
        return found

    def _phase_levels(self, phase: PhaseVerdict, start: float, end: float) -> list[Level]:
        sides = (("high", phase.high, "at most"), ("low", phase.low, "at least"))
        return [
            Level(start, end, value, look, f"{word} {show(value, self.unit)}")
            for look, value, word in sides
            if value is not None and phase.judged
        ]

    def _abort_levels(self) -> list[Level]:
        limit = self.series.measure.abort_at
        if limit is None:
            return []
        baseline = self.account.baselines.get(self.series.measure.key)
        if limit.relative and baseline is None:
            return []
        bounds = limit.bounds(self.unit, baseline)
        return [
            Level(0.0, self.seconds, value, "abort", f"abort at {show(value, self.unit)}")
            for value in bounds
            if value is not None
        ]

    def _scale(self) -> Scale:
        if self.series.textual:
            return Scale(0.0, max(1.0, min(len(self.series.words), _LANES) - 1.0))
        abort = [level.value for level in self.levels if level.look == "abort"]
        limits = [level.value for level in self.levels if level.look != "abort"]
        return scale_for([value for _, value in self.points], limits, abort, self.unit)

    # -- geometry

    def x(self, t: float) -> float:
        """A moment's place, 0 to `WIDE`."""
        return WIDE * min(1.0, max(0.0, t / self.seconds))

    def _percent(self, t: float) -> str:
        return f"{self.x(t) / WIDE * 100:.2f}%"

    def _place(self, start: float, end: float) -> str:
        width = (self.x(end) - self.x(start)) / WIDE * 100
        return f"left:{self._percent(start)};width:{width:.2f}%"

    def outside(self, t: float, value: float) -> bool:
        """Whether a value lies beyond the limit of its phase. For colour only: the verdict is the judge's."""
        for level in self.levels:
            if level.start <= t <= level.end and (
                (level.look == "high" and value > level.value) or (level.look == "low" and value < level.value)
            ):
                return True
        return False

    # -- drawing

    def html(self) -> str:
        """The plot with its axes; the caption is the page's."""
        parts = [self._span(span) for span in spans(self.account)]
        parts += [self._band(level) for level in self.levels]
        parts += [self._level(level) for level in self.levels]
        parts.append(self._drawing())
        parts += self._marks()
        parts.append('<i class="cross"></i>')
        key = text(self.series.measure.key)
        note = '<span class="log">log scale</span>' if self.scale.log else ""
        words = text(self._in_words())
        return (
            f'<div class="plot" data-key="{key}"><div class="ys">{self._y_axis()}</div>'
            f'<div class="area" tabindex="0" role="img" aria-label="{words}">{"".join(parts)}{note}</div>'
            f'<div class="xs">{self._x_axis()}</div></div>'
        )

    def _in_words(self) -> str:
        verdict = self.verdict
        said = f": {verdict.answer.value}, {verdict.reason}" if verdict else ""
        return f"Plot of {self.series.measure.key} over {moment(self.seconds)}{said}"

    def _span(self, span: Span) -> str:
        label = f"<b>{text(span.label)}</b>" if span.look in ("phase", "force", "abort") else ""
        title = f' title="{text(span.title)}"' if span.title else ""
        return f'<i class="{span.look}" style="{self._place(span.start, span.end)}"{title}>{label}</i>'

    def _band(self, level: Level) -> str:
        y = self.scale.y(level.value)
        top, bottom = {"high": (y, HIGH), "low": (0.0, y)}.get(level.look, (0.0, 0.0))
        two_sided = any(other.look == "low" and other.start == level.start for other in self.levels)
        if bottom <= top or level.look == "low" or two_sided:
            return ""
        place = self._place(level.start, level.end)
        return f'<i class="band" style="{place};top:{top:.1f}%;height:{bottom - top:.1f}%"></i>'

    def _level(self, level: Level) -> str:
        beyond = level.value > self.scale.high or level.value < self.scale.low
        arrow = ("↑ " if level.value > self.scale.high else "↓ ") if beyond else ""
        side = " under" if self.scale.y(level.value) < 24 else ""
        look = f"{level.look} level{' beyond' if beyond else ''}{side}"
        place = f"{self._place(level.start, level.end)};top:{self.scale.y(level.value):.1f}%"
        return f'<i class="{look}" style="{place}"><b>{arrow}{text(level.label)}</b></i>'

    def _drawing(self) -> str:
        good, bad = self._dots()
        parts = [f'<path class="line" d="{self._line()}"/>']
        if good:
            parts.append(f'<path class="dots" d="{good}"/>')
        if bad:
            parts.append(f'<path class="dots out" d="{bad}"/>')
        return (
            f'<svg viewBox="0 0 {WIDE:g} {HIGH:g}" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'
        )

    def _line(self) -> str:
        breaks = sorted(t for t, _ in [*self.series.no_answers, *self.series.missing])
        thinned = len(self.points) < len(self.series.times)
        longest = max(3 * self.series.measure.every, 2 * self.seconds / self.columns if thinned else 0.0)
        parts: list[str] = []
        before: float | None = None
        for t, value in self.points:
            y = self.scale.y(value)
            apart = before is None or t - before > longest or bisect_right(breaks, t) != bisect_right(breaks, before)
            if not apart and self.series.textual:
                parts.append(f"H{self.x(t):.1f}V{y:.1f}")
            else:
                parts.append(f"{'M' if apart else 'L'}{self.x(t):.1f} {y:.1f}")
            before = t
        return "".join(parts)

    def _dots(self) -> tuple[str, str]:
        all_of_them = len(self.points) <= min(DOTS_UP_TO, 2 * self.columns)
        good: list[str] = []
        bad: list[str] = []
        for t, value in self.points:
            out = self.outside(t, value)
            if out or all_of_them:
                (bad if out else good).append(f"M{self.x(t):.1f} {self.scale.y(value):.1f}h0")
        return "".join(good), "".join(bad)

    def _marks(self) -> list[str]:
        columns = max(8, self.columns // 2)
        found = []
        for look, word, marks in (
            ("noanswer", "no answer", self.series.no_answers),
            ("missing", "no reading", self.series.missing),
        ):
            for t, why, amount in thin_marks(marks, columns):
                times = f" ({amount} times)" if amount > 1 else ""
                title = text(f"{moment(t)}: {word}{times}: {why}")
                found.append(f'<i class="{look}" style="left:{self._percent(t)}" title="{title}"></i>')
        return found

    def _y_axis(self) -> str:
        if self.series.textual:
            ticks = [(float(index), word) for index, word in enumerate(self.series.words[:_LANES])]
            if len(self.series.words) > _LANES:
                ticks[-1] = (ticks[-1][0], "others")
        else:
            ticks = self.scale.ticks(self.unit)
        return "".join(
            f'<span style="top:{self.scale.y(at):.1f}%" title="{text(word)}">{text(word)}</span>' for at, word in ticks
        )

    def _x_axis(self) -> str:
        return "".join(f'<span style="left:{self._percent(t)}">{word}</span>' for t, word in time_ticks(self.seconds))

    def data(self) -> dict[str, object]:
        """What the crosshair shows, as JSON: points as `t, value, t, value, …`, marks as `[t, why]`."""
        flat = [number for t, value in self.points for number in (round(t, 2), float(f"{value:.4g}"))]
        columns = max(8, self.columns // 2)
        found: dict[str, object] = {"u": self.unit, "p": flat, "e": self.series.measure.every}
        if self.series.textual:
            words = [word[:80] for word in self.series.words]
            found["w"] = words if len(words) <= _LANES else [*words[: _LANES - 1], "others"]
        marks = [
            [round(t, 2), f"{word}: {why[:80]}"]
            for word, all_marks in (("no answer", self.series.no_answers), ("no reading", self.series.missing))
            for t, why, _ in thin_marks(all_marks, columns)
        ]
        return found | ({"m": marks} if marks else {})
