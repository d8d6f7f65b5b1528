"""What the demo says."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import click

from chaosrunner.cli._showing import colour
from chaosrunner.model.words import State
from chaosrunner.records.light import dataclass
from chaosrunner.reports.words import SIGNS, Tone, clean, count, headline, lasting

if TYPE_CHECKING:
    from chaosrunner.app import RunReport
    from chaosrunner.demo.acts import Act
    from chaosrunner.demo.layout import Layout
    from chaosrunner.demo.stage import Stage
    from chaosrunner.model.near_miss import NearMiss

_COLOURS = {Tone.GOOD: "green", Tone.BAD: "red", Tone.WARN: "yellow", Tone.INFO: "bright_black"}
_SHOP = """
    shopper -> storefront -> recommendations
                    |------> prices
                    '------> checkout -> inventory
                                 '-----> payments
"""


def _bold(words: str) -> str:
    return click.style(words, bold=True) if colour() else words


def _mark(tone: Tone, words: str = "") -> str:
    shown = f"{SIGNS[tone]} {words}".rstrip()
    return click.style(shown, fg=_COLOURS[tone]) if colour() else shown


def opening(*, fixed: bool) -> str:
    """Before anything is started."""
    which = "the same shop with its weaknesses repaired" if fixed else "a shop with weaknesses that real shops have"
    return f"{_bold('The demo:')} {which}, as six processes of this machine.\n{_SHOP}"


def shop_is_up(stage: Stage, seconds: float) -> str:
    """The shop serves."""
    spec = stage.spec
    moved = f"; its usual ports are taken, so they are moved by {stage.layout.moved}" if stage.layout.moved else ""
    up = f"{count(len(spec.services), 'service')} and {count(len(spec.links), 'link')} up in {lasting(seconds)}{moved}"
    return f"{_mark(Tone.GOOD)} {up}; files in {stage.layout.folder}"


def fixes(named: Sequence[NearMiss]) -> str:
    """Which near misses wait for their verification now."""
    if not named:
        return f"{_mark(Tone.INFO)} no near miss of the shop waits for a fix; `{me()} demo` finds some"
    lines = [f"\n{_bold('The fix is in:')} {count(len(named), 'near miss is', 'near misses are')} fix-ready now"]
    for near_miss in named:
        lines += [f"  {near_miss.id}  {clean(near_miss.title)}", f"                {near_miss.fixed_by}"]
    return "\n".join(lines)


def heading(number: int, of: int, act: Act) -> str:
    """An experiment begins."""
    return f"\n{_bold(f'{number}/{of}  {act.title}')}  ({act.name})"


def outcome(report: RunReport) -> str:
    """How it ended."""
    word, tone = headline(report.verdict)
    lines = [f"{_mark(tone, word)} after {lasting(report.verdict.seconds)}: {clean(report.verdict.summary)}"]
    for found in report.found:
        head = "  ".join(part for part in (found.id, found.priority, found.news) if part)
        lines.append(f"  {head}: {clean(found.gap.title)}")
    lines += [f"  {sentence}" for sentence in report.verified]
    return "\n".join(lines)


def once_more(report: RunReport) -> str:
    """It could not be told how the experiment ended."""
    why = "; ".join(report.verdict.inconclusive_because) or report.verdict.ending_reason or report.verdict.summary
    return f"{_mark(Tone.WARN)} nothing can be told, so once more: {clean(why)}"


def closing(seconds: float, *, kept: bool) -> str:
    """After the shop was ended, or kept."""
    left = "the shop is still up" if kept else "the shop is ended, nothing is left running"
    return f"\nThe demo took {seconds:.0f} s; {left}."


def me() -> str:
    """How this command is called here: by its name if the shell finds it, else by its path."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{sys.executable} -m chaosrunner"
    found = shutil.which(called.name)
    if found is not None and Path(found).resolve() == called.resolve():
        return called.name
    return shown(called)


def shown(path: Path) -> str:
    """A path as it can be typed here."""
    full = path.absolute()
    return str(full.relative_to(Path.cwd())) if full.is_relative_to(Path.cwd()) else str(full)


def _place(item: str) -> str:
    """Where a remediation item is: a file by its path, anything else by its URL."""
    parts = urlsplit(item)
    return shown(Path(unquote(parts.path))) if parts.scheme == "file" else item


@dataclass(frozen=True)
class Ending:
    """The demo's last page, and its exit code."""

    state: Path
    layout: Layout
    fixed: bool
    kept: bool

    def exit_code(self, played: Sequence[tuple[Act, RunReport]], near_misses: Sequence[NearMiss]) -> int:
        """0 if everything went as the demo expects."""
        codes = {report.verdict.exit_code for _, report in played}
        for worse in (7, 70):
            if worse in codes:
                return worse
        if self.fixed and 1 in codes:
            return 1
        return 3 if self._unexpected(played, near_misses) else 0

    def _unexpected(self, played: Sequence[tuple[Act, RunReport]], near_misses: Sequence[NearMiss]) -> list[str]:
        odd = []
        for act, report in played:
            expected = 1 if act.expected == "broken" and not self.fixed else 0
            if report.verdict.exit_code != expected or bool(report.found) != bool(expected):
                should = "broken" if expected else "held"
                odd.append(f"{act.name} should have been {should}: {clean(report.verdict.summary)}")
        if self.fixed:
            said = [sentence for _, report in played for sentence in report.verified]
            tried = {each.id: next((one for one in said if one.startswith(each.id)), "") for each in near_misses}
            odd += [tried[each.id] for each in near_misses if not each.closed and tried[each.id]]
        return odd

    def text(self, played: Sequence[tuple[Act, RunReport]], near_misses: Sequence[NearMiss]) -> str:
        """What was found, where it is, and what to try next."""
        lines = [""]
        lines += self._verified(near_misses) if self.fixed else self._found(played)
        held = [act.name for act, report in played if report.verdict.exit_code == 0]
        if held:
            lines += ["", _bold("Held"), *(f"  {_mark(Tone.GOOD)} {name}" for name in held)]
        for odd in self._unexpected(played, near_misses):
            lines.append(f"{_mark(Tone.WARN)} not as it should be: {odd}")
        lines += ["", *self._next(played)]
        return "\n".join(lines)

    def _found(self, played: Sequence[tuple[Act, RunReport]]) -> list[str]:
        found = [(report, one) for _, report in played for one in report.found]
        lines = [_bold(f"{count(len(found), 'near miss', 'near misses')} found")]
        for report, one in found:
            head = "  ".join(part for part in (one.id, one.priority, one.news) if part)
            lines.append(f"  {_mark(Tone.BAD)} {head}  {clean(one.gap.title)}")
            if one.remediation:
                lines.append(f"      to do   {clean(_place(one.remediation))}")
            lines.append(f"      report  {shown(report.html)}")
        return lines

    def _verified(self, near_misses: Sequence[NearMiss]) -> list[str]:
        verified = [each for each in near_misses if each.state is State.VERIFIED]
        if not near_misses:
            return [_bold("Nothing to verify"), f"  `{me()} demo` finds near misses; then run this again"]
        lines = [_bold(f"{len(verified)} of {count(len(near_misses), 'near miss', 'near misses')} verified")]
        for each in near_misses:
            tone = Tone.GOOD if each.state is State.VERIFIED else Tone.WARN
            lines.append(f"  {_mark(tone)} {each.id}  {each.priority.value}  {each.state.value}  {clean(each.title)}")
        return lines

    def _next(self, played: Sequence[tuple[Act, RunReport]]) -> list[str]:
        first = next((one.id for _, report in played for one in report.found if one.id), "")
        broken = next((report for _, report in played if report.found), played[-1][1])
        base = me() if self.state == Path(".chaosrunner") else f"{me()} --state {shown(self.state)}"
        folder = shown(self.layout.folder)
        environment = f"{folder}/environments/{'shop-fixed' if self.fixed else 'shop'}.yaml"
        tries = [
            ("see what happened, in a browser", shown(broken.html)),
            ("what is known, and how urgent it is", f"{base} near-miss list"),
        ]
        if first:
            tries.append(("one of them, with its history", f"{base} near-miss show {first}"))
        if self.fixed:
            tries.append(("break it again: they come back as regressed", f"{base} demo"))
        else:
            tries.append(("repair the shop, and see them verified", f"{base} demo --fixed"))
        if not self.kept:
            tries.append(("start the shop", f"{base} local up {environment}"))
        tries.append(
            ("preview an experiment (or `run` it)", f"{base} plan {shown(self.layout.folder / played[0][0].file)}")
        )
        tries.append(("end the shop", f"{base} local down {environment}"))
        width = max(len(what) for what, _ in tries)
        return [_bold("What to try next"), *(f"  {what:<{width}}  {how}" for what, how in tries)]
