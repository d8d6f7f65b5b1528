"""Draws a scene with `rich`: title, phases, what is in force, measures with sparklines, the last events.

Everything that comes from outside goes in as `Text`, never as markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chaosrunner.model.words import Phase
from chaosrunner.reports.scales import block
from chaosrunner.reports.scene import Dial, Scene, Step
from chaosrunner.reports.words import SIGNS, Tone, clean, lasting, moment, value_text

STYLES = {Tone.GOOD: "green", Tone.BAD: "red", Tone.WARN: "yellow", Tone.INFO: "bright_black"}
_STATES = {"outside": "bold red", "no answer": "bold red", "no reading": "yellow", "inside": "green"}


def picture(scene: Scene, now: float, width: int, height: int) -> RenderableType:
    """The whole picture, fitted to the terminal."""
    if scene.plan is None:
        return Text("starting …", style="bright_black")
    head = [_title(scene, now, width), _phases(scene, now, width), *_in_force(scene, now, width)]
    rooms = max(4, height - len(head) - 5)
    events = min(6, max(2, rooms // 3), len(scene.events))
    rows = max(2, rooms - events)
    return Group(*head, Text(), _measures(scene, width, rows), Text(), *_events(scene, events, width))


def _fit(text: Text, width: int) -> Text:
    """One line, with room for the `^C` that a terminal shows behind it: wrapped, that would shift the picture."""
    text.truncate(max(10, width - 3), overflow="ellipsis")
    text.no_wrap = True
    return text


def _words(text: str) -> str:
    return " ".join(clean(text).split())


def _title(scene: Scene, now: float, width: int) -> Text:
    assert scene.plan is not None
    text = Text.assemble(
        (_words(scene.plan.title), "bold"),
        (f"  {_words(scene.plan.environment.name)} · {moment(now)} · run {scene.run}", "bright_black"),
    )
    return _fit(text, width)


def _phases(scene: Scene, now: float, width: int) -> Text:
    room = max(6, (width - 44) // 3)
    text = Text()
    for phase in Phase:
        expected = scene.expected(phase)
        if phase in scene.done:
            share, style, word = 1.0, "green", "✓"
        elif phase is scene.phase:
            spent = now - scene.phase_began
            share = min(1.0, spent / expected) if expected else 0.0
            style, word = "cyan" if phase is not Phase.FAULT else "yellow", _left(phase, expected - spent)
        else:
            share, style, word = 0.0, "bright_black", ""
        full = round(share * room)
        text.append(f"{phase.value} ", style=style if phase is scene.phase else "bright_black")
        text.append("━" * full, style=style)
        text.append("─" * (room - full), style="grey37")
        text.append(f" {word}  ", style=style)
    return _fit(text, width)


def _left(phase: Phase, seconds: float) -> str:
    if seconds <= 0:
        return "…"
    short = lasting(math.ceil(seconds))
    return f"≤ {short}" if phase is Phase.RECOVERY else f"{short} left"


def _in_force(scene: Scene, now: float, width: int) -> list[Text]:
    if not scene.in_force:
        return [Text("nothing is in force", style="bright_black")]
    lines = []
    held_faults = list(scene.in_force.values())
    for held in held_faults[:4]:
        text = Text()
        text.append(
            " IN FORCE " if held.seen else " INJECTED ", style="bold black on yellow" if held.seen else "yellow"
        )
        text.append(f" {_words(held.name)}", style="bold")
        text.append(f" for {lasting(max(0.0, now - held.since))}", style="yellow")
        text.append(f" · {_words(held.how)}" if held.how else " · not seen yet", style="bright_black")
        lines.append(_fit(text, width))
    if len(held_faults) > 4:
        lines.append(Text(f"and {len(held_faults) - 4} more in force", style="yellow"))
    return lines


def _measures(scene: Scene, width: int, rows: int) -> RenderableType:
    dials = list(scene.dials.values())
    if len(dials) > rows:
        dials = scene.urgent_first()[: rows - 1]
    table = Table(box=None, padding=(0, 1, 0, 0), expand=False, show_edge=False, header_style="bright_black")
    several = len({dial.measure.hypothesis for dial in dials}) > 1 and width >= 90
    names = [dial.measure.key if several else dial.measure.name for dial in dials]
    name_room = min(max([7, *map(len, names)]), max(12, width // 4))
    limit_room = 30 if width >= 110 else 20 if width >= 80 else 0
    spark = max(8, min(80, width - name_room - limit_room - 13 - (8 if width >= 70 else 0) - 5))
    table.add_column("measure", width=name_room, no_wrap=True, overflow="ellipsis")
    table.add_column("last", width=11, no_wrap=True, overflow="ellipsis", justify="right")
    if limit_room:
        table.add_column("tolerance", width=limit_room - 1, no_wrap=True, overflow="ellipsis")
    table.add_column("readings", width=spark, no_wrap=True)
    if width >= 70:
        table.add_column("abort", width=6, no_wrap=True, justify="right")
    for name, dial in zip(names, dials, strict=True):
        cells = [Text(name), _last(dial)]
        if limit_room:
            cells.append(Text(dial.rule.text if dial.rule else "observed", style="bright_black"))
        cells.append(sparkline(list(dial.trail)[-spark:]))
        if width >= 70:
            cells.append(_abort(dial))
        table.add_row(*cells)
    hidden = len(scene.dials) - len(dials)
    if not hidden:
        return table
    return Group(table, Text(f"and {hidden} more measures, none of them more urgent", style="bright_black"))


def _last(dial: Dial) -> Text:
    style = _STATES.get(dial.state, "")
    if dial.state in ("no answer", "no reading"):
        return Text(dial.state, style=style)
    return Text("–" if dial.state == "waiting" else _words(value_text(dial.last, dial.measure.unit)), style=style)


def _abort(dial: Dial) -> Text:
    near = dial.closeness
    if near is None:
        return Text("")
    style = "bold red" if near >= 0.8 else "yellow" if near >= 0.5 else "bright_black"
    return Text(f"{near * 100:.0f} %" if near < 10 else "> 999 %", style=style)


def sparkline(steps: Sequence[Step]) -> Text:
    """Readings as blocks from the lowest to the highest: green inside, red outside; × no answer, ? no reading."""
    values = [step.value for step in steps if step.value is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)
    text = Text()
    for step in steps:
        if step.value is None:
            text.append("×" if step.outside else "?", style="bold red" if step.outside else "yellow")
            continue
        share = (step.value - low) / (high - low) if high > low else 0.0
        text.append(block(share), style="red" if step.outside else "green")
    return text


def _events(scene: Scene, amount: int, width: int) -> list[Text]:
    shown = [(t, told) for t, told in scene.events if told.important][-amount:]
    lines = []
    for t, told in shown:
        text = Text()
        text.append(f"{moment(t):>8} ", style="bright_black")
        text.append(f"{SIGNS[told.tone]} ", style=STYLES[told.tone])
        text.append(_words(told.text), style="" if told.tone is Tone.INFO else STYLES[told.tone])
        lines.append(_fit(text, width))
    return lines
