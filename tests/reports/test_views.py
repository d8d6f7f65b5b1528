"""What a run shows while it goes on: lines, and the live picture."""

from __future__ import annotations

import io
import itertools

import pytest
from rich.console import Console

from chaosrunner.clock import SystemClock
from chaosrunner.model import journal as j
from chaosrunner.reports.plain import PlainView
from chaosrunner.reports.scene import Scene, Step
from chaosrunner.reports.terminal import LiveView
from tests.reports import journals

GOLDEN = """\
    0.0s · run        checkout-when-payments-is-slow on laptop: Checkout keeps its promise while payments is slow
    0.0s · phase      baseline begins
   10.1s · phase      baseline ends: steady
   10.1s · phase      fault begins
   10.9s ! fault      network-latency on checkout → payments: IN FORCE, seen: round trip 612 ms, was 1 ms
   30.4s ✓ undo       network-latency on checkout → payments: undone and seen gone (finished): round trip 1 ms
   30.5s · phase      fault ends: done
   30.5s · phase      recovery begins
   39.9s · phase      recovery ends: recovered
   40.0s ✓ run        ended: finished"""


def lines_of(entries: list[j.Entry], sum_up: float = 1e9) -> list[str]:
    lines: list[str] = []
    view = PlainView(lines.append, sum_up)
    view.start()
    for entry in entries:
        view.observe(entry)
    view.stop()
    return lines


def test_plain_lines_tell_a_run_one_important_event_a_line() -> None:
    assert "\n".join(lines_of(journals.payments_are_slow())) == GOLDEN


def test_readings_are_summed_up_every_few_seconds_and_never_told_one_by_one() -> None:
    lines = lines_of(journals.payments_are_slow(), sum_up=5.0)
    sums = [line for line in lines if "|" in line]
    assert len(sums) == 7
    assert len(lines) == len(sums) + len(GOLDEN.splitlines())
    assert "5 s of 10 s | p99 44" in sums[0]
    in_fault = next(line for line in sums if line.lstrip().startswith("15.0s"))
    assert "OUTSIDE (at most 164 ms)" in in_fault
    assert in_fault.endswith("in force: network-latency on checkout → payments")


def test_plain_lines_never_hold_control_codes_or_line_breaks() -> None:
    lines = lines_of([*journals.one_of_each()], sum_up=1.0)
    assert len(lines) > 20
    for line in lines:
        assert line.isprintable(), line
        assert "[bold]" in line or "script" not in line, "words from outside are shown as they are"


def picture(entries: list[j.Entry], width: int, height: int = 30) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="truecolor")
    view = LiveView(io.StringIO(), SystemClock(), console)
    for entry in entries:
        view.observe(entry)
    console.print(view.render())
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return written


def text_of(written: str) -> list[str]:
    from rich.text import Text

    return Text.from_ansi(written).plain.splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_the_picture_is_drawn_after_every_type_of_event_at_every_width(width: int) -> None:
    entries = [*journals.one_of_each()]
    for upto in range(len(entries) + 1):
        written = picture(entries[:upto], width)
        assert "\x1b[31m]" not in written
        assert all(len(line) <= width for line in text_of(written))


@pytest.mark.parametrize("height", [10, 16, 24, 50])
def test_the_picture_fits_the_terminal_however_many_measures_there_are(height: int) -> None:
    measures = [journals.P99 | {"key": f"checkout-slo/m{n}", "name": f"m{n}"} for n in range(60)]
    plan = journals.plan(hypotheses=({"name": "checkout-slo", "title": "All", "measures": measures},))
    script = journals.Script().at(0.0, journals.started(plan), j.PhaseBegan(phase="baseline"))
    script.at(1.0, *(journals.reading(f"checkout-slo/m{n}", 1.0, 0.1) for n in range(60)))
    script.at(2.0, journals.reading("checkout-slo/m59", 2.0, 0.9))
    lines = text_of(picture(script.entries, 100, height))
    assert len(lines) <= height
    assert any(line.startswith("m59") and "900 ms" in line for line in lines), "the one outside comes first"
    assert any("more measures, none of them more urgent" in line for line in lines)


def test_the_picture_says_what_is_in_force_and_how_near_the_abort_limit_is() -> None:
    during = [entry for entry in journals.payments_are_slow() if entry.t < 22]
    shown = "\n".join(text_of(picture(during, 140)))
    assert "IN FORCE  network-latency on checkout → payments for" in shown
    assert "round trip 612 ms, was 1 ms" in shown
    assert "at most 164 ms" in shown
    assert "35 %" in shown, "696 ms of 2 s"
    after = "\n".join(text_of(picture(journals.payments_are_slow(), 140)))
    assert "nothing is in force" in after


def test_what_was_injected_and_not_yet_seen_is_not_called_in_force() -> None:
    early = [entry for entry in journals.payments_are_slow() if entry.t < 10.5]
    shown = "\n".join(text_of(picture(early, 140)))
    assert "INJECTED" in shown
    assert "not seen yet" in shown
    assert "IN FORCE" not in shown


def test_no_answer_is_outside_and_no_reading_is_neither() -> None:
    scene = Scene()
    for entry in journals.payments_are_slow():
        scene.take(entry)
    trail = list(scene.dials["checkout-slo/p99"].trail)
    assert Step(None, True, "no answer") in trail
    assert Step(None, False, "no reading") in trail


def test_colours_are_left_out_where_the_user_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    view = LiveView(out, SystemClock(), Console(file=out, width=100, height=30, force_terminal=True))
    for entry in journals.payments_are_slow():
        view.observe(entry)
    view.start()
    view.stop()
    codes = {code.partition("m")[0] for code in out.getvalue().split("\x1b[")[1:] if "m" in code[:8]}
    assert not codes & {"31", "32", "33", "1;31", "90"}
    assert "p99" in out.getvalue()


def test_the_view_draws_while_entries_come_in_and_leaves_the_cursor_as_it_was() -> None:
    out = io.StringIO()
    view = LiveView(out, SystemClock(), Console(file=out, width=100, height=30, force_terminal=True))
    view.start()
    for _, entry in zip(range(3000), itertools.cycle(journals.payments_are_slow()), strict=False):
        view.observe(entry)
    view.stop()
    view.stop()
    assert out.getvalue().count("\x1b[?25h") >= 1, "the cursor is shown again"


def test_a_ctrl_c_that_the_terminal_shows_behind_the_last_line_still_fits() -> None:
    during = [entry for entry in journals.payments_are_slow() if entry.t < 22]
    last = text_of(picture(during, 70))[-1]
    assert last.endswith("…") and len(last) + len("^C") < 70
