"""From verdicts and plans to near misses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.plan import Plan
from chaosrunner.model.remedies import usual_remedies
from chaosrunner.model.sightings import Sighting
from chaosrunner.model.verdict import Verdict
from chaosrunner.model.words import FindingClass, GapKind, Priority, State
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register
from chaosrunner.stages.detect import detect
from chaosrunner.stages.findings import Findings
from chaosrunner.stages.register import Registered, register
from tests.near_misses.world import START, SetClock, environment, gap, plan, planned_fault, verdict


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def book(tmp_path: Path, clock: SetClock) -> Iterator[Register]:
    with open_register(tmp_path, clock) as opened:
        yield opened


def recorded(book: Register, clock: SetClock, seen: Verdict, what: Plan | None = None) -> Registered:
    clock.at += 60
    return register(Findings(what or plan(), seen, detect(seen, what or plan()), clock.at), book)


def fix(book: Register, clock: SetClock) -> None:
    book.change("1", Change(to=State.FIX_READY, actor="ana", at=clock.at, change="shop repaired"))


ONE_RUN = environment(verification={"runs": 1, "days": 1})


def test_a_broken_hypothesis_becomes_a_near_miss_with_its_evidence(book: Register, clock: SetClock) -> None:
    result = recorded(book, clock, verdict())
    assert [each.sighting for each in result.recorded] == [Sighting.NEW]
    assert result.changed == ("NM-2026-0001",)
    (occurrence,) = book.show("1").occurrences
    (evidence,) = occurrence.evidence
    assert (evidence.measure, evidence.worst, evidence.limit, evidence.baseline) == (
        "orders-go-through/order-p95",
        1.2,
        0.5,
        0.02,
    )
    (fault,) = occurrence.conditions.faults
    assert (fault.kind, fault.services, fault.to, fault.lasts) == (
        "network-latency",
        ("checkout",),
        ("payments",),
        3.0,
    )
    assert occurrence.command == "chaosrunner run experiments/checkout-when-payments-is-slow.yaml --seed 7"


def test_the_tier_of_the_service_is_read_from_the_environment(book: Register, clock: SetClock) -> None:
    near_miss = recorded(book, clock, verdict()).recorded[0].near_miss
    assert (near_miss.scoring.inputs.tier, near_miss.priority) == (1, Priority.P1)


def test_the_whole_loop_found_fixed_verified_and_back(book: Register, clock: SetClock) -> None:
    here = plan(environment=ONE_RUN)
    recorded(book, clock, verdict(), here)
    fix(book, clock)
    result = recorded(book, clock, verdict("run-2", broken=False), here)
    assert [(each.verified, each.counts) for each in result.tried] == [(True, True)]
    assert result.changed == ("NM-2026-0001",)
    again = recorded(book, clock, verdict("run-3"), here)
    assert [each.sighting for each in again.recorded] == [Sighting.REGRESSED]
    assert book.get("1").scoring.inputs.regressions == 1


def test_missing_redundancy_is_an_unsafe_condition_until_the_experiment_runs_and_passes(
    book: Register, clock: SetClock
) -> None:
    alone = {"guard": "keepLastReplica", "go": False, "reason": "it is the only replica", "subject": "checkout"}
    kept = plan(environment=ONE_RUN, guards=[{**alone, "unsafeCondition": True}])
    refused = verdict(broken=False, ending="refused", answer="inconclusive", hypotheses=[], faults=[], exitCode=4)
    near_miss = recorded(book, clock, refused, kept).recorded[0].near_miss
    assert (near_miss.kind, near_miss.finding) == (GapKind.NO_REDUNDANCY, FindingClass.UNSAFE_CONDITION)
    assert (near_miss.title, near_miss.priority) == ("checkout has no redundancy", Priority.P2)
    fix(book, clock)
    again = recorded(book, clock, refused.model_copy(update={"run": "run-2"}), kept)
    assert [each.sighting for each in again.recorded] == [Sighting.FIX_FAILED]
    fix(book, clock)
    (tried,) = recorded(book, clock, verdict("run-3", broken=False), plan(environment=ONE_RUN)).tried
    assert (tried.counts, tried.verified) == (True, True)


def test_recording_a_run_again_says_so_and_changes_nothing(book: Register, clock: SetClock) -> None:
    recorded(book, clock, verdict())
    before = book.show("1")
    result = recorded(book, clock, verdict())
    assert [each.sighting for each in result.recorded] == [Sighting.KNOWN]
    assert result.changed == () and book.show("1") == before


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"inconclusiveBecause": ["network-latency was met by nothing"]}, "met by nothing"),
        ({"answer": "inconclusive"}, "inconclusive"),
        ({"ending": "halted", "endingReason": "halted by ana"}, "the run was halted: halted by ana"),
        ({"ending": None}, "the run was cut off"),
        ({"recovery": None}, "not seen recovered"),
        ({"recovery": {"answer": "inconclusive", "reason": "no readings"}}, "not seen recovered"),
        ({"faults": []}, "inconclusive"),
    ],
)
def test_a_run_that_can_say_nothing_is_no_pass(
    book: Register, clock: SetClock, changes: dict[str, Any], why: str
) -> None:
    here = plan(environment=ONE_RUN)
    recorded(book, clock, verdict(), here)
    fix(book, clock)
    result = recorded(book, clock, verdict("run-2", broken=False, **changes), here)
    (tried,) = result.tried
    assert not tried.counts and why in tried.why
    assert book.get("1").state is State.FIX_READY


def test_a_gap_is_about_the_step_that_was_in_force_when_it_broke(book: Register, clock: SetClock) -> None:
    gone = planned_fault(id="gone", fault="dependency-loss", faultClass="dependency-gone", params={"mode": "refuse"})
    two = plan(method=[{"faults": [planned_fault()]}, {"faults": [gone]}])
    recorded(book, clock, verdict(), two)
    near_miss = book.get("1")
    assert near_miss.fault_classes == ("dependency-slow",)
    assert [each.kind for each in near_miss.conditions.faults] == ["network-latency"]


@pytest.mark.parametrize(
    ("kinds", "other", "stopped_by", "standing"),
    [
        ((GapKind.IMPACT,), (), "fault-ended", 0),
        ((GapKind.IMPACT, GapKind.ABORTED), (), "experiment-abort", 0),
        ((GapKind.NO_RECOVERY,), (), "unknown", 0),
        ((GapKind.CLOSE_CALL,), (), "system-barrier", 1),
        ((GapKind.UNDETECTED,), (), "system-barrier", 1),
        ((GapKind.UNDETECTED,), (GapKind.IMPACT,), "unknown", 0),
        ((GapKind.SPILL_OVER,), (), "unknown", 0),
        ((GapKind.NO_REDUNDANCY,), (), "refusal", 0),
    ],
)
def test_luck_counts_as_no_defence(
    book: Register,
    clock: SetClock,
    kinds: tuple[GapKind, ...],
    other: tuple[GapKind, ...],
    stopped_by: str,
    standing: int,
) -> None:
    gaps = [gap(kind=kinds[0], also=kinds[1:])]
    gaps += [gap(kind=kind, hypothesis="page-is-shown") for kind in other]
    result = register(Findings(plan(), verdict(), gaps, clock.at), book)
    inputs = result.recorded[0].near_miss.scoring.inputs
    assert (inputs.stopped_by, inputs.standing) == (stopped_by, standing)
    assert inputs.undetected is (GapKind.UNDETECTED in kinds)


def test_nobody_alerted_makes_the_runs_other_gaps_more_urgent_too(book: Register, clock: SetClock) -> None:
    silent = gap(kind=GapKind.UNDETECTED, hypothesis=None, subject="PaymentsSlow", finding=FindingClass.NEAR_MISS)
    result = register(Findings(plan(), verdict(), [gap(), silent], clock.at), book)
    assert [each.near_miss.scoring.inputs.undetected for each in result.recorded] == [True, True]


def test_a_declared_error_budget_tells_what_it_would_cost(book: Register, clock: SetClock) -> None:
    budget = {"hypothesis": "orders-go-through", "objective": "99.9%", "window": "30d", "atLeast": "20%"}
    measure = {**plan().measures[0].as_json(), "room": "ratio", "unit": None, "tolerance": {"atMost": "1%"}}
    hypothesis = {"name": "orders-go-through", "title": "Shoppers can buy", "measures": [measure]}
    here = plan(environment=environment(guards={"errorBudget": budget}), hypotheses=[hypothesis])
    seen = verdict().as_json()
    seen["hypotheses"][0]["measures"][0]["phases"][0]["worst"] = 0.2  # type: ignore[index,call-overload]
    seen["hypotheses"][0]["measures"][0]["unit"] = None  # type: ignore[index,call-overload]
    result = recorded(book, clock, Verdict.model_validate(seen), here)
    assert result.recorded[0].near_miss.scoring.inputs.budget == pytest.approx(0.278, abs=0.001)


def test_a_run_that_is_recorded_late_is_recorded_for_when_it_was(book: Register, clock: SetClock) -> None:
    register(Findings(plan(), verdict(), [gap()], START - 5000), book)
    assert book.get("1").first_seen == START - 5000
    assert book.show("1").history[0].at == clock.at


@pytest.mark.parametrize(
    ("params", "counts"),
    [
        ({"delay": "0.6s"}, True),
        ({"delay": "900ms"}, True),
        ({"delay": "300ms"}, False),
        ({"delay": "900ms", "direction": "response"}, False),
    ],
)
def test_a_pass_counts_with_the_same_or_a_harder_fault(
    book: Register, clock: SetClock, params: dict[str, str], counts: bool
) -> None:
    recorded(book, clock, verdict(), plan(environment=ONE_RUN))
    fix(book, clock)
    again = plan(environment=ONE_RUN, method=[{"faults": [planned_fault(params=params)]}])
    (tried,) = recorded(book, clock, verdict("run-2", broken=False), again).tried
    assert (tried.counts, tried.verified) == (counts, counts)


def test_with_less_bandwidth_a_fault_is_harder(book: Register, clock: SetClock) -> None:
    def narrow(rate: str) -> Plan:
        step = planned_fault(fault="network-bandwidth", params={"rate": rate})
        return plan(environment=ONE_RUN, method=[{"faults": [step]}])

    recorded(book, clock, verdict(), narrow("10kB/s"))
    fix(book, clock)
    (wider,) = recorded(book, clock, verdict("run-2", broken=False), narrow("100kB/s")).tried
    assert not wider.counts and "rate is 100000, it was 10000: a weaker fault" in wider.why
    assert recorded(book, clock, verdict("run-3", broken=False), narrow("1kB/s")).tried[0].verified


def test_a_fault_whose_plugin_is_gone_must_be_the_very_same(book: Register, clock: SetClock) -> None:
    def gone(delay: str) -> Plan:
        step = planned_fault(fault="queue-drop", params={"delay": delay})
        return plan(environment=ONE_RUN, method=[{"faults": [step]}])

    recorded(book, clock, verdict(), gone("1s"))
    fix(book, clock)
    assert not recorded(book, clock, verdict("run-2", broken=False), gone("2s")).tried[0].counts
    assert recorded(book, clock, verdict("run-3", broken=False), gone("1s")).tried[0].verified


def test_every_way_in_which_a_fault_grows_is_one_of_its_numbers() -> None:
    for kind in catalog.kinds("faults"):
        fault = catalog.find("faults", kind)
        for name in fault.harder:
            assert name in fault.Params.model_fields, f"{kind}: {name}"


def test_every_class_of_fault_has_its_usual_remedies() -> None:
    classes = {catalog.find("faults", kind).fault_class for kind in catalog.kinds("faults")} - {"nothing"}
    assert all(len(usual_remedies([each])) > 1 for each in classes)
