"""Makes clues of what the sources of evidence brought: what changed while a fault was in force, the strongest first.
Pure.

Metrics and logs are ranked each by what was found to work (`shifts`, `log_changes`), and then in turns, as their
numbers do not compare: the strongest happening, metric and log line before the second ones. Series of one name that
moved the same way are one clue. Nothing here says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, zip_longest

from chaosrunner.judging import log_changes, shifts
from chaosrunner.judging.clue_words import Words, gone_of, of_log, of_metric, of_series
from chaosrunner.model.evidence import Clue, Clues
from chaosrunner.model.material import Happening, Material, Sampled, Window

AGAIN = 2.0
"""Events of a sort that also came before are news if they come so many times as often."""
SILENT = 3.0
"""A series is gone if nothing came of it for so many of its usual intervals before the stretch's end."""
_LANES = (("run", "fault", "deploy", "restart", "event"), ("metric",), ("log",))
"""Sorts of clues that are ranked by themselves."""
Clean = Callable[[str], str]
"""Takes secrets out of a text."""


def clues(
    materials: Sequence[Material], window: Window, *, show: int, clean: Clean, without: Iterable[str] = ()
) -> Clues:
    """What changed. `without`: names of series that are the finding itself, and so no evidence of it."""
    named = frozenset(without)
    words = Words(window, clean)
    every = sorted(_all(materials, words, named), key=_strongest_then_earliest)
    ranked = [[clue for clue in every if clue.what in lane] for lane in _LANES]
    in_turns = [clue for turn in zip_longest(*ranked) for clue in turn if clue is not None]
    looked = [f"{material.source}: {material.looked}" for material in materials if material.looked]
    unknown = [f"{material.source}: {clean(said)}" for material in materials for said in material.unknown]
    return Clues(
        began=window.began,
        ended=window.ended,
        usual_from=max(window.usual_from, window.loaded_from),
        found=tuple(in_turns[:show]),
        left_out=max(0, len(in_turns) - show),
        looked=tuple(looked),
        unknown=(*unknown, *_little(materials, window)),
    )


def _all(materials: Sequence[Material], words: Words, without: frozenset[str]) -> list[Clue]:
    looked = sum(_is_looked_at(series, without) for each in materials for series in each.series)
    parts = ((_happened(each, words), _moved(each, words, without, looked)) for each in materials)
    return [*chain.from_iterable(chain.from_iterable(parts)), *_said(materials, words)]


def _is_looked_at(series: Sampled, without: frozenset[str]) -> bool:
    return series.says == "number" and series.name not in without


def _strongest_then_earliest(clue: Clue) -> tuple[float, float]:
    """Of clues that are about as strong (within a sixth of each other), the earliest: effects come after their
    causes."""
    return -round(math.log(max(clue.strength, 1.0)) / math.log(1.15)), float("inf") if clue.at is None else clue.at


def _little(materials: Sequence[Material], window: Window) -> Iterator[str]:
    """What cannot be told from so little."""
    series = [one for material in materials for one in material.series if one.says == "number"]
    for fewest, counts, when in (
        (shifts.FEWEST_MEANT, window.is_meant, "while the fault was in force"),
        (shifts.FEWEST_USUAL, window.is_alike, "the time before it, under the same load"),
    ):
        few = sum(sum(counts(at) for at, _ in one.points) < fewest for one in series)
        if few:
            yield f"{few} of {len(series)} series have fewer than {fewest} values from {when}"
    sinces = [stream.since for material in materials for stream in material.streams]
    known = [window.quiet_since(max(since, window.loaded_from)) for since in sinces]
    if known and max(known) < 3 * window.length:
        yield (
            f"the logs are known for {max(known):.0f} s before the fault only: what comes seldom by itself may look new"
        )


# --------------------------------------------------------------------------------------------------------- happenings


def _happened(material: Material, words: Words) -> Iterator[Clue]:
    window = words.window
    inside: dict[str, list[Happening]] = {}
    for one in material.happenings:
        if any(window.is_meant(at) for at in (one.at, one.last) if at is not None):
            inside.setdefault(one.key or one.says, []).append(one)
    for key, these in inside.items():
        before = sum(one.times for one in material.happenings if one.key == key and window.is_usual(one.at))
        now = sum(one.times for one in these)
        quiet = window.quiet_since(window.usual_from)
        if before and quiet and now / window.length <= AGAIN * before / quiet:
            continue
        first = min(these, key=lambda one: one.at)
        times = f" ({now} times)" if now > 1 else ""
        usual = f"; {before} times before it" if before else ""
        yield Clue(
            what=first.what,
            how=first.how,
            source=material.source,
            subject=words.clean(first.subject),
            says=f"{words.clean(first.says)}{times}, {words.when(first.at)}{usual}.",
            at=first.at,
            strength=first.weight,
            alike=len(these) - 1,
        )


# ------------------------------------------------------------------------------------------------------------- series


def _moved(material: Material, words: Words, without: frozenset[str], looked: int) -> Iterator[Clue]:
    found: dict[tuple[str, str, str], list[tuple[float, Sampled, shifts.Shift]]] = {}
    for series in material.series:
        if not _is_looked_at(series, without):
            continue
        moved = shifts.shift(series, words.window, looked)
        if moved is not None:
            key = (series.name, series.kin, "rose" if moved.z > 0 else "fell")
            found.setdefault(key, []).append((abs(moved.z), series, moved))
    for these in found.values():
        _, series, moved = max(these, key=lambda one: one[0])
        yield of_metric(material.source, series, moved, words, alike=len(these) - 1)
    yield from _began_again(material, words)
    yield from _came(material, words)
    yield from _went(material, words)


def _began_again(material: Material, words: Words) -> Iterator[Clue]:
    """What started anew, by its own word of when it started."""
    for series in material.series:
        if series.says == "start":
            starts = [value for _, value in series.points if words.window.is_meant(value)]
            if starts:
                says = f"{series.owner or series.labels} was started anew, {words.when(starts[-1])}."
                yield of_series(material.source, series, says, starts[-1], what="restart", how="happened")


def _came(material: Material, words: Words) -> Iterator[Clue]:
    """Series that came to be, told together by name. A version's first value is a deploy."""
    window = words.window
    new: dict[str, list[tuple[float, Sampled]]] = {}
    for series in material.series:
        times = [at for at, _ in series.points]
        if (
            series.whole
            and times
            and window.is_meant(times[0])
            and len(times) >= shifts.FEWEST_MEANT
            and series.says != "start"
        ):
            new.setdefault(series.name, []).append((times[0], series))
    for name, these in new.items():
        at, series = min(these, key=lambda one: one[0])
        deploy = series.says == "version"
        verb = "runs since then" if deploy else "came to be"
        says = f"{name}{series.labels} {verb}, {words.when(at)}; it was not there before."
        strength = shifts.MOST_Z if deploy else shifts.LEAST_Z
        clue = of_series(
            material.source,
            series,
            says,
            at,
            what="deploy" if deploy else "metric",
            how="happened" if deploy else "new",
        )
        yield clue.model_copy(update={"strength": strength, "alike": len(these) - 1})


def _went(material: Material, words: Words) -> Iterator[Clue]:
    """Series that are gone, told together by what they came from."""
    gone: dict[str, list[tuple[float, Sampled]]] = {}
    for series in material.series:
        last = _last_of(series, words.window)
        if last is not None:
            gone.setdefault(series.owner or series.name, []).append((last, series))
    for owner, these in gone.items():
        yield gone_of(material.source, owner, [series for _, series in these], max(at for at, _ in these), words)


def _last_of(series: Sampled, window: Window) -> float | None:
    """When a series that is gone was last seen; None: it is not gone."""
    times = [at for at, _ in series.points if at <= window.ended]
    usual = [at for at in times if window.is_usual(at)]
    if len(usual) < 2 * shifts.FEWEST_USUAL or not series.whole:
        return None
    interval = (usual[-1] - usual[0]) / (len(usual) - 1)
    recent = usual[-1] >= window.began - SILENT * interval
    silent = window.ended - times[-1] > max(SILENT * interval, window.length / 2)
    return times[-1] if recent and silent else None


# --------------------------------------------------------------------------------------------------------------- logs


def _said(materials: Sequence[Material], words: Words) -> Iterator[Clue]:
    logs = [(each.source, log_changes.Log(stream, words.window)) for each in materials for stream in each.streams]
    looked = sum(len(log.templates) for _, log in logs)
    for source, log in logs:
        yield from (of_log(source, log.stream, change, words) for change in log.changes(looked))
