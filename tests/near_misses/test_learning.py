"""What a register says as a whole: figures, the failure-mode sheet, digests, reviews, exports."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from chaosrunner.model.description import Description
from chaosrunner.model.digest import Digest
from chaosrunner.model.fmea import NEVER, FmeaRow, sheet
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import Barrier, Factor, day_of
from chaosrunner.model.report import Report
from chaosrunner.model.words import FaultClass, GapKind, Priority, State, WaivedAs
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register, Wanted
from chaosrunner.reports.digest import digest_markdown
from chaosrunner.reports.fmea import fmea_csv, fmea_text, fmea_xlsx
from chaosrunner.reports.openmetrics import openmetrics
from chaosrunner.reports.review import Case, review_markdown
from chaosrunner.reports.sarif import sarif
from chaosrunner.reports.statistics import stats_text
from tests.near_misses.world import DAY, ONE_RUN, START, SetClock, facts, finding, gap, near_miss, passing
from tests.register.conftest import Place, databases, place  # with PostgreSQL: real_time

__all__ = ["databases", "place"]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def register(place: Place, clock: SetClock) -> Iterator[Register]:
    """One verified and come back, one waived, one open and overdue, one reported outage."""
    with open_register(place("state"), clock) as opened:
        fill(opened, clock)
        yield opened


def at(clock: SetClock, day: float) -> float:
    clock.at = START + day * DAY
    return clock.at


def fill(register: Register, clock: SetClock) -> None:
    register.record(facts(at=at(clock, 0)), [finding()])
    register.change("1", Change(to=State.FIX_READY, actor="ana", at=at(clock, 2), change="commit 1"))
    register.passed(passing("run-2", at=at(clock, 5), answer="held", verification=ONE_RUN))
    register.record(passing("run-2", at=at(clock, 5), answer="held"), [])
    register.record(facts("run-3", at=at(clock, 40), answer="broken"), [finding()])
    other = gap(service="cart", kind=GapKind.NO_RECOVERY, fault_classes=("instance-loss",), identity={})
    register.record(facts("run-4", at=at(clock, 41), answer="broken", service="cart", owner=None), [finding(other)])
    late = gap(service="search", identity={"to": "index"})
    register.record(facts("run-5", at=at(clock, -90), service="search", owner="team-search"), [finding(late)])
    wish: dict[str, Any] = {"accepted_by": "bob", "until": day_of(START + 50 * DAY), "controls": ("a daily look",)}
    waived = Change(to=State.WAIVED, actor="ana", at=at(clock, 42), reason="known", **wish)
    register.change("2", waived.model_copy(update={"waived_as": WaivedAs.PLANNED_REPLACEMENT}))
    register.report(Report(title="Nobody could pay", service="checkout", outage=True, at=at(clock, 43)))
    clock.at = START + 45 * DAY


def test_figures_say_what_was_found_fixed_verified_and_came_back(register: Register) -> None:
    stats = register.stats()
    total = stats.total
    assert (total.found, total.waiting, total.verified, total.regressed, total.overdue) == (4, 4, 0, 1, 1)
    assert (stats.to_fix, stats.to_verify) == (2 * DAY, 3 * DAY)
    assert {each.value: each.found for each in stats.by["service"]} == {"checkout": 2, "cart": 1, "search": 1}
    assert {each.value: each.found for each in stats.by["owner"]} == {"team-checkout": 1, "": 2, "team-search": 1}
    assert {each.value: each.found for each in stats.by["fault"]} == {"dependency-slow": 2, "instance-loss": 1, "": 1}
    assert {each.value: each.found for each in stats.by["state"]} == {"open": 3, "waived": 1}
    assert (stats.outages, stats.near_misses, stats.per_outage, stats.uncovered) == (1, 3, 3.0, 1)
    assert stats.runs == {"held": 1, "broken": 2, "": 2} and stats.per_hundred_runs == 100.0
    months = {(each.month, each.event): each.count for each in stats.over_time}
    assert months["2026-09", "found"] == 1 and months["2026-10", "regressed"] == 1
    assert months["2026-09", "verified"] == 1
    assert sum(each.count for each in stats.over_time if each.event == "found") == 4


def test_figures_of_one_service_are_of_that_service_only(register: Register) -> None:
    stats = register.stats(Wanted(service="search", closed=True))
    assert (stats.total.found, stats.total.overdue, stats.to_fix, stats.outages) == (1, 1, None, 0)
    assert [(each.event, each.count) for each in stats.over_time] == [("found", 1)]


def test_figures_of_nothing_are_nothing(tmp_path: Path) -> None:
    with open_register(tmp_path, SetClock()) as empty:
        stats = empty.stats()
    assert (stats.total.found, stats.to_fix, stats.per_outage, stats.per_hundred_runs) == (0, None, None, None)
    assert "0 near misses found" in "\n".join(stats_text(stats))


def test_the_figures_are_told_with_what_they_mean(register: Register) -> None:
    text = "\n".join(stats_text(register.stats()))
    assert "3 near misses found: 4 not closed" in text
    assert "until a fix is ready: 2 days (median); from there until verified: 3 days" in text
    assert "1 outage recorded: 3 near misses for each" in text
    assert "More near misses usually means more testing" in text


def test_the_figures_are_openmetrics(register: Register) -> None:
    families = {each.name: each for each in text_string_to_metric_families(openmetrics(register.stats()))}
    waiting = {
        each.labels["service"]: each.value for each in families["chaosrunner_register_waiting_by_service"].samples
    }
    assert waiting == {"checkout": 2.0, "cart": 1.0, "search": 1.0}
    assert families["chaosrunner_register_to_fix_seconds"].samples[0].value == 2 * DAY


# ----------------------------------------------------------------------------------------------------------- the sheet


def rows(register: Register) -> list[FmeaRow]:
    return sheet(register.list(Wanted(closed=True)), register.runs(), ["mail"])


def test_the_sheet_has_what_was_tried_and_what_never_was(register: Register) -> None:
    found = rows(register)
    cart = [row for row in found if row.service == "cart"]
    (known,) = [row for row in cart if row.near_miss]
    assert (known.result, known.severity, known.proximity, known.priority) == ("gap", "S3", "C1", "P2")
    assert known.action == "waived until 2026-11-10: known" and known.state == "waived"
    assert {row.mode for row in found if row.service == "mail"} == {*FaultClass} - {"nothing", "extension"}
    assert all(row.result == NEVER for row in found if row.service == "mail")
    never = [row.mode for row in cart if row.result == NEVER]
    assert "instance-loss" not in never and "zone-loss" in never


def test_a_mode_that_held_is_on_the_sheet_without_a_near_miss() -> None:
    runs = [
        passing("run-1", at=START, answer="held"),
        passing("run-2", at=START + DAY, answer="", trouble="no readings"),
    ]
    (tried,) = [row for row in sheet([], runs) if row.result != NEVER]
    assert (tried.mode, tried.result, tried.runs) == ("dependency-slow to payments on checkout", "held", 2)
    assert tried.last_tried == day_of(START + DAY)


def test_the_sheet_as_text_and_csv(register: Register) -> None:
    text = "\n".join(fmea_text(rows(register)))
    assert "cart: 2 failure modes tried" in text and "never tried: capacity" in text
    table = list(csv.DictReader(io.StringIO(fmea_csv(rows(register)))))
    assert len(table) == len(rows(register))
    assert next(each for each in table if each["near miss"] == "NM-2026-0002")["action"].startswith("waived until")


def test_text_that_a_spreadsheet_would_carry_out_is_made_harmless() -> None:
    row = FmeaRow(service="=HYPERLINK(1)", mode="@x", result="gap", effect="-1+cmd|' /C calc'!A0")
    (told,) = list(csv.reader(io.StringIO(fmea_csv([row]))))[1:]
    assert told[:2] == ["'=HYPERLINK(1)", "'@x"] and "'-1+cmd|' /C calc'!A0" in told


def test_the_workbook_opens_with_a_sheet_for_each_service(register: Register) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(io.BytesIO(fmea_xlsx(rows(register))))
    assert book.sheetnames == ["cart", "checkout", "mail", "search"]
    cart = book["cart"]
    heads = [cell.value for cell in cart[1]]
    first = dict(zip(heads, [cell.value for cell in cart[2]], strict=True))
    assert (first["near miss"], first["priority"], first["runs"]) == ("NM-2026-0002", "P2", 1)
    assert first["due"].date() == date(2026, 12, 1) and cart[1][0].font.b and cart.freeze_panes == "A2"


def test_a_workbook_holds_any_text() -> None:
    odd = FmeaRow(service="a/b[c]:*?" + "x" * 40, mode="<&>\x00\x1b\ud800 ünï 𝄞", result="gap", runs=3)
    same = FmeaRow(service="A/b[c]:*?" + "x" * 40, mode="y", result="gap")
    with zipfile.ZipFile(io.BytesIO(fmea_xlsx([odd, same]))) as archive:
        for name in archive.namelist():
            ElementTree.fromstring(archive.read(name))
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        names = [each.get("name") or "" for each in book.iter() if each.tag.endswith("}sheet")]
    assert all(len(name) <= 31 for name in names) and len({name.lower() for name in names}) == 2


# ---------------------------------------------------------------------------------------------------- digest and review


def test_a_digest_has_what_happened_and_what_waits(register: Register) -> None:
    since = START + 39 * DAY
    found = register.digest(since)
    told = {name: [each.id for each in chapter.listed] for name, chapter in found.chapters.items() if chapter.count}
    assert [found.chapters[name].count for name in told] == [len(ids) for ids in told.values()]
    assert told == {
        "new": ["NM-2026-0002", "NM-2026-0004"],
        "regressed": ["NM-2026-0001"],
        "overdue": ["NM-2026-0003"],
        "unseen": ["NM-2026-0001", "NM-2026-0003"],
        "dueSoon": ["NM-2026-0001"],
        "waiversEnding": ["NM-2026-0002"],
        "drafts": ["NM-2026-0004"],
    }
    text = digest_markdown(found)
    assert "## Came back: 1 near miss" in text and "until 2026-11-10, accepted by bob" in text


def test_a_digest_of_nothing_says_so() -> None:
    assert "Nothing happened, and nothing is waiting." in digest_markdown(
        Digest(date(2026, 1, 1), date(2026, 1, 8), {})
    )


def test_a_review_is_filled_in_and_names_nobody(register: Register) -> None:
    barrier, factor = Barrier(name="retry", state="absent"), Factor(factor="no timeout", basis="observed")
    register.describe("1", Description(barriers=(barrier,), factors=(factor,)), "ana-the-engineer", "seen")
    record = register.show("1")
    text = review_markdown(Case(record.near_miss, record.occurrences, record.passes, record.history))
    for part in (
        "# Review of NM-2026-0001: checkout: orders-go-through breaks",
        "| orders-go-through/order-p95 (fault) | at most 500ms | 1.2 s | 20 ms | 2.5 s |",
        "It ended because the fault was taken back; in production it would have lasted.",
        "retry was absent",
        "no timeout (seen: seen)" if factor.evidence else "no timeout (seen)",
        "Injected on purpose: dependency-slow",
        "_To be said by those who know the system._",
        "chaosrunner run experiments/checkout-when-payments-is-slow.yaml --seed 7",
    ):
        assert part in text
    assert "ana-the-engineer" not in text and "root cause" not in text.lower()


# ---------------------------------------------------------------------------------------------------------------- SARIF


def result(**changes: Any) -> dict[str, Any]:
    report: Any = sarif([near_miss(**changes)], where="experiments/a.yaml")
    (found,) = report["runs"][0]["results"]
    rules = report["runs"][0]["tool"]["driver"]["rules"]
    assert rules[found["ruleIndex"]]["id"] == found["ruleId"]
    return dict(found)


def test_a_near_miss_is_a_result_with_fingerprints_that_last() -> None:
    open_ = result()
    assert open_["fingerprints"] == {"chaosrunner/nm/1": gap().fingerprint}
    assert (open_["kind"], open_["level"], open_["baselineState"]) == ("fail", "error", "unchanged")
    assert open_["suppressions"] == []
    assert result(state=State.VERIFIED)["baselineState"] == "absent"
    assert result(regressions=1)["baselineState"] == "updated"
    mild = result(scoring=near_miss().scoring.model_copy(update={"priority": Priority.P4}))
    assert mild["level"] == "note"


def test_a_waiver_is_a_suppression_with_its_reason() -> None:
    until = day_of(START) + timedelta(days=5)
    waiver = {"accepted_by": "bob", "until": until, "reason": "replaced in spring", "given_at": START}
    (told,) = result(state=State.WAIVED, waiver=_waiver(waiver))["suppressions"]
    assert told["status"] == "accepted" and "by bob: replaced in spring" in told["justification"]
    (rejected,) = result(state=State.REJECTED, reason="not ours")["suppressions"]
    assert rejected["justification"] == "rejected: not ours"


def _waiver(fields: dict[str, Any]) -> Any:
    from chaosrunner.model.near_miss import Waiver

    return Waiver.model_validate(fields)


def test_results_without_a_file_still_say_what_they_are_about() -> None:
    report: Any = sarif([near_miss(scoring=near_miss().scoring, title="x")])
    (location,) = report["runs"][0]["results"][0]["locations"]
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "demo/checkout/orders-go-through"
    assert "physicalLocation" not in location
