"""What a terminal shows when a run is over."""

from __future__ import annotations

from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.reports.summary import summary
from tests.reports import journals
from tests.reports.test_html import RECORDED


def test_it_says_the_answer_the_three_things_and_what_to_do_next() -> None:
    text = summary(journals.verdict(), [RECORDED], report="runs/x/report.html")
    for words in (
        " BROKEN  checkout-when-payments-is-slow",
        "✓ The fault was seen in force and met 1 204 times.",
        "✗ 2 hypotheses: 1 held, 1 broken.",
        "✗ checkout-slo broken: 698 ms at 21.1 s",
        "✓ The fault was seen gone, and the system recovered in 1.8 s.",
        "1 near miss found",
        "NM-2026-0042 P2 impact new: checkout-slo breaks while payments is slow for checkout",
        "remediation: remediation/NM-2026-0042.md",
        "report   runs/x/report.html",
        "next     chaosrunner near-miss show NM-2026-0042",
    ):
        assert words in text
    assert len(text.splitlines()) < 30, "one screen"
    assert "\x1b" not in text


def test_the_closest_margin_of_what_held_is_said() -> None:
    text = summary(journals.verdict(broken=False))
    assert "✓ checkout-slo held; closest: p99, 32 % room left" in text
    assert "near miss" not in text


def test_colours_are_only_added_where_they_are_wanted_and_change_no_word() -> None:
    import re

    plain = summary(journals.verdict(), [RECORDED])
    painted = summary(journals.verdict(), [RECORDED], colour=True)
    assert "\x1b[31m" in painted
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == plain


def test_paths_and_commands_are_never_folded() -> None:
    long = "/very/long/" + "folder/" * 20 + "report.html"
    assert f"report   {long}" in summary(journals.verdict(), report=long, width=60).splitlines()


def test_words_fit_the_width() -> None:
    for line in summary(journals.verdict(), [RECORDED], width=60).splitlines():
        assert len(line) <= 60 or line.strip().startswith(("report", "next", "remediation"))


def test_an_undo_that_failed_leads_to_heal() -> None:
    fault = journals.verdict().faults[0].model_copy(update={"undone_at": None, "undo_failed": True, "seen_gone": None})
    text = summary(journals.verdict(exit_code=7, faults=(fault,)), [RECORDED])
    assert "✗ The undo failed: network-latency on checkout → payments may still be in force." in text
    assert text.endswith(f"next     chaosrunner heal {journals.RUN}")


def test_reasons_for_an_inconclusive_answer_are_told() -> None:
    verdict = journals.verdict(
        answer="inconclusive", exit_code=3, inconclusive_because=("41 % of the readings are missing",)
    )
    text = summary(verdict)
    assert " INCONCLUSIVE " in text
    assert "! inconclusive: 41 % of the readings are missing" in text


def test_words_from_outside_cannot_move_the_cursor() -> None:
    gap = ShownGap(journals.impact(title="\x1b[2J\x1b]0;x\x07 gone"), id="NM-1", remediation="\x1b[31mx")
    text = summary(journals.verdict(summary="\x1b[31m\rred"), [gap])
    assert "\x1b" not in text
    assert "\r" not in text
