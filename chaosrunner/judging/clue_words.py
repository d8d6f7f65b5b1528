"""Clues in plain sentences, with numbers and the time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from chaosrunner.judging.log_changes import LogChange
from chaosrunner.judging.shifts import MOST_Z, Shift
from chaosrunner.model.evidence import Clue, How, What
from chaosrunner.model.material import Sampled, Stream, Window
from chaosrunner.model.quantities import show
from chaosrunner.records.light import dataclass

LONGEST = 200
"""Characters of a template or a sample line that are shown."""


@dataclass(frozen=True, slots=True)
class Words:
    """What all sentences about one stretch of time share."""

    window: Window
    clean: Callable[[str], str]

    def when(self, at: float) -> str:
        """`at 10:51:08 UTC, 1.2 s after the fault was injected`."""
        clock = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")
        after = at - self.window.began
        side = "after" if after >= 0 else "before"
        return f"at {clock}, {_amount(abs(after))} s {side} the fault was injected"

    def quote(self, text: str) -> str:
        """A text from outside, short and without secrets."""
        clean = self.clean(" ".join(text.split()))
        return clean if len(clean) <= LONGEST else f"{clean[: LONGEST - 1]}…"


def _amount(number: float) -> str:
    """Three digits, and never a power of ten: `0.0212`, `5290`."""
    return f"{number:.0f}" if number >= 100 else f"{number:.2g}" if number < 0.1 else f"{number:.3g}"


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines" if count else "no line"


def of_metric(source: str, series: Sampled, moved: Shift, words: Words, *, alike: int) -> Clue:
    """`requests_waiting{…} rose from 0 to 31, …`."""
    how: How = "rose" if moved.z > 0 else "fell"
    subject = f"{series.name}{series.labels}"
    share = f"{(1 + abs(moved.delta)) / 2:.0%}".replace("%", " %")
    side = "above" if moved.z > 0 else "below"
    spreads = f"{_amount(abs(moved.z))} times its usual spread"
    if abs(moved.z) >= MOST_Z:
        spreads = "it hardly moves otherwise"
    others = f"; {alike} more series of its kind moved alike" if alike else ""
    says = (
        f"{subject} {how} from {show(moved.before, series.unit)} to {show(moved.during, series.unit)} (medians; "
        f"{spreads}), first seen {words.when(moved.at)}; its {moved.meant} values lie {side} the {moved.usual} "
        f"from right before in {share} of all pairs{others}."
    )
    return Clue(
        what="metric",
        how=how,
        source=source,
        subject=words.clean(subject),
        says=words.clean(says),
        at=moved.at,
        before=moved.before,
        during=moved.during,
        unit=series.unit,
        strength=abs(moved.z),
        above=moved.delta,
        alike=alike,
        links=series.links(),
    )


def of_series(source: str, series: Sampled, says: str, at: float, *, what: What, how: How) -> Clue:
    """A series whose coming or going says it all."""
    subject = f"{series.name}{series.labels}"
    return Clue(
        what=what,
        how=how,
        source=source,
        subject=subject,
        says=words_of(says),
        at=at,
        strength=MOST_Z,
        links=series.links(),
    )


def words_of(says: str) -> str:
    """One line."""
    return " ".join(says.split())


def gone_of(source: str, owner: str, series: Sequence[Sampled], last: float, words: Words) -> Clue:
    """`nothing more came of checkout:8080: 34 series ended`."""
    first = series[0]
    one = len(series) == 1
    what = f"{first.name}{first.labels} ended" if one else f"{len(series)} series of {owner} ended"
    says = f"{what}: the last value came {words.when(last)}."
    return Clue(
        what="metric",
        how="gone",
        source=source,
        subject=words.clean(f"{first.name}{first.labels}" if one else owner),
        says=words.clean(says),
        at=last,
        strength=float(len(series)) + MOST_Z / 10,
        alike=len(series) - 1,
        links=first.links(),
    )


def of_log(source: str, stream: Stream, change: LogChange, words: Words) -> Clue:
    """`new in checkout.log: "payments did not answer in <n>ms", 212 lines, …`."""
    template = words.quote(change.template.text)
    quiet = words.window.quiet_since(max(stream.since, words.window.loaded_from))
    rates = f"{_lines(change.lines)} in {_amount(words.window.length)} s ({_amount(change.during)} a minute)"
    if change.usual:
        rates += f", {change.usual} in the {_amount(quiet)} s before ({_amount(change.before)} a minute)"
    else:
        rates += f", none in the {_amount(quiet)} s before"
    head = {"new": "new", "burst": "far more often", "dropped": "far less often", "gone": "no longer there"}[change.how]
    last = "the last one" if change.how == "gone" else "the first one"
    at = "" if change.at is None else f"; {last} {words.when(change.at)}"
    return Clue(
        what="log",
        how=change.how,
        source=source,
        subject=template,
        says=f"{stream.name}: {head}: “{template}”: {rates}{at}.",
        at=change.at,
        before=change.before,
        during=change.during,
        unit="lines/min",
        strength=change.g2,
        sample=words.quote(change.template.sample) if change.how in ("new", "burst") else "",
        links=stream.links(),
    )
