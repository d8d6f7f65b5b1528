"""What says no, what cannot be told, and what passes: each rule of a gate on given facts."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from chaosrunner.judging.gate import answer, record_baseline
from chaosrunner.judging.gate_facts import Material, Seen, change_of, held_against
from chaosrunner.model.gate import GateAnswer, HypothesisAnswer, Passed, RunAnswer
from chaosrunner.model.gate_policy import GatePolicy
from chaosrunner.model.near_miss import NearMiss, Override, Waiver
from chaosrunner.model.words import Answer, FindingClass, Priority, State
from chaosrunner.records.light import replace
from chaosrunner.reports.gate import text
from tests.near_misses.world import DAY, START, near_miss

EXPERIMENT = "checkout-when-payments-is-slow"


def ran(verdict: Answer = Answer.HELD, code: int = 0, **changes: Any) -> RunAnswer:
    told: dict[str, Any] = {
        "experiment": EXPERIMENT,
        "title": "Orders go through",
        "service": "checkout",
        "environment": "shop",
        "run": "run-9",
        "attempts": ("run-9",),
        "verdict": verdict,
        "exit_code": code,
        "why": "every hypothesis held" if not code else "something else",
        "began": START + DAY,
    }
    return RunAnswer(**(told | changes))


def of(priority: str, **changes: Any) -> NearMiss:
    override = Override(priority=Priority(priority), by="ana", at=START, reason="as it is")
    return near_miss(override=override, **changes)


BROKE = ran(Answer.BROKEN, 1, near_misses=("NM-2026-0001",), why="orders-go-through broke")


def asked(*seen: Seen, runs: tuple[RunAnswer, ...] = (ran(),), **policy: Any) -> GateAnswer:
    return answer(material(*seen, runs=runs, **policy))


def material(
    *seen: Seen, runs: tuple[RunAnswer, ...] = (ran(),), at: float = START + 2 * DAY, **policy: Any
) -> Material:
    return Material(
        suite="release",
        title="The shop keeps its promises",
        file="suites/release.yaml",
        environment="shop",
        policy=GatePolicy.model_validate(policy),
        at=at,
        runs=runs,
        seen=held_against(seen, runs),
    )


def why(given: GateAnswer, rule: str) -> tuple[str, str]:
    return next((each.answer, each.why) for each in given.rules if each.name == rule)


def test_with_nothing_found_a_release_goes_out() -> None:
    given = asked()
    assert (given.passed, given.exit_code) == (Passed.YES, 0)
    assert given.summary == "yes: 1 experiment, nothing new"
    assert {each.answer for each in given.rules} == {"pass"}


@pytest.mark.parametrize(("priority", "code"), [("P1", 1), ("P2", 1), ("P3", 0), ("P4", 0)])
def test_a_new_near_miss_of_p1_or_p2_says_no(priority: str, code: int) -> None:
    given = asked(Seen(of(priority), "new"), runs=(BROKE,))
    assert given.exit_code == code
    assert given.near_misses[0].says_no == bool(code)


def test_a_known_one_is_shown_with_its_age_and_passes() -> None:
    given = asked(Seen(of("P1", state=State.TRIAGED, owner="team-checkout"), "known"), runs=(BROKE,))
    assert (given.passed, given.exit_code) == (Passed.YES, 0)
    (shown,) = given.near_misses
    assert (shown.age, shown.shown, shown.says_no, shown.owner) == (2 * DAY, True, False, "team-checkout")
    assert "2 days old" in text(given) and "1 known near miss" in given.summary


def test_one_that_came_back_says_no_and_a_policy_can_ask_for_any() -> None:
    assert asked(Seen(of("P2"), "regressed"), runs=(BROKE,)).exit_code == 1
    assert asked(Seen(of("P4"), "regressed"), runs=(BROKE,)).exit_code == 0
    assert asked(Seen(of("P4"), "regressed"), runs=(BROKE,), regressed="P4").exit_code == 1
    assert asked(Seen(of("P1"), "new"), runs=(BROKE,), new="none").exit_code == 0


def test_what_this_release_does_not_show_any_more_is_not_held_against_it() -> None:
    given = asked(Seen(of("P1"), "new"))
    assert given.exit_code == 0 and given.near_misses[0].gone
    assert "near-miss set ID fix-ready" in given.what_to_do[-1]
    not_tried = asked(Seen(of("P1"), "new"), runs=(ran(experiment="another"),))
    assert not_tried.exit_code == 1
    before = asked(Seen(of("P1"), "new"), runs=(ran(began=START - DAY),))
    assert before.exit_code == 1
    inconclusive = asked(Seen(of("P1"), "new"), runs=(ran(Answer.INCONCLUSIVE, 3),))
    assert inconclusive.exit_code == 1


def test_a_run_that_broke_elsewhere_still_clears_what_held() -> None:
    held = HypothesisAnswer(name="orders-go-through", title="Orders", answer=Answer.HELD, why="it held")
    elsewhere = ran(Answer.BROKEN, 1, hypotheses=(held,), near_misses=("NM-2026-0002",))
    assert asked(Seen(of("P1"), "new"), runs=(elsewhere,)).near_misses[0].gone
    broken_off = ran(Answer.BROKEN, 1, near_misses=("NM-2026-0002",))
    assert not asked(Seen(of("P1"), "new"), runs=(broken_off,)).near_misses[0].gone


def test_one_set_of_parameters_does_not_stand_for_another_that_could_not_be_tried() -> None:
    other = ran(Answer.INCONCLUSIVE, 3, parameters={"delay": "3s"})
    given = asked(Seen(of("P1"), "new"), runs=(ran(parameters={"delay": "1s"}), other), inconclusive="ignore")
    assert given.exit_code == 1 and not given.near_misses[0].gone


def test_a_waived_one_passes_until_its_waiver_ends() -> None:
    waiver = Waiver(accepted_by="ben", until=date(2026, 9, 30), reason="until the move", given_at=START)
    waived = of("P1", state=State.WAIVED, waiver=waiver)
    given = asked(Seen(waived, "known"), runs=(BROKE,))
    assert given.exit_code == 0 and given.near_misses[0].waived_until == date(2026, 9, 30)
    known = Seen(of("P3", id="NM-2026-0002", state=State.TRIAGED), "known")
    assert asked(Seen(waived, "known"), known, runs=(BROKE,)).summary.endswith("; 1 known near miss, 1 waived")
    ended = Seen(waived, "known", waiver_ended="the waiver of ben ended on 2026-09-30")
    given = asked(ended, runs=(BROKE,))
    assert given.exit_code == 1 and why(given, "expired-waiver")[1].endswith("the waiver of ben ended on 2026-09-30")
    assert asked(ended, runs=(BROKE,), expired_waivers=False).exit_code == 0


def test_an_incident_says_no_until_its_fix_is_ready() -> None:
    incident = of("P4", finding=FindingClass.INCIDENT, state=State.TRIAGED)
    assert why(asked(Seen(incident, "known"), runs=(BROKE,)), "incident")[0] == "fail"
    ready = incident.model_copy(update={"state": State.FIX_READY})
    assert asked(Seen(ready, "known"), runs=()).exit_code == 0
    assert asked(Seen(ready, "known"), runs=(BROKE,)).exit_code == 1
    assert asked(Seen(incident, "known"), runs=(BROKE,), incidents=False).exit_code == 0


def test_an_inconclusive_run_is_no_yes() -> None:
    silent = ran(Answer.INCONCLUSIVE, 4, run=None, why="refused: outside of the window")
    given = asked(runs=(ran(), silent))
    assert (given.passed, given.exit_code) == (Passed.UNKNOWN, 3)
    assert "outside of the window" in given.summary and "CANNOT BE SAID" in text(given)
    assert asked(runs=(silent,), inconclusive="no").exit_code == 1
    assert asked(runs=(silent,), inconclusive="ignore").exit_code == 0


def test_a_no_outweighs_what_cannot_be_said() -> None:
    given = asked(Seen(of("P1"), "new"), runs=(BROKE, ran(Answer.INCONCLUSIVE, 3, experiment="other")))
    assert (given.passed, given.exit_code) == (Passed.NO, 1)


def test_an_undo_that_failed_says_no_by_its_own_code_and_what_to_do_first() -> None:
    given = asked(runs=(ran(Answer.BROKEN, 7, why="the delay is still there"), ran(Answer.BROKEN, 70)))
    assert (given.passed, given.exit_code) == (Passed.NO, 7)
    assert given.what_to_do[0].endswith("`chaosrunner heal run-9`")
    assert asked(runs=(ran(Answer.INCONCLUSIVE, 70),)).exit_code == 70


def test_what_broke_and_is_not_in_the_register_cannot_be_judged() -> None:
    given = asked(runs=(ran(Answer.BROKEN, 1),))
    assert (given.exit_code, why(given, "new")[0]) == (3, "unknown")


def test_an_overdue_fix_says_no_where_the_policy_asks() -> None:
    late = Seen(of("P2", state=State.TRIAGED, due=date(2026, 1, 1)), "known")
    assert asked(late, runs=(BROKE,)).exit_code == 0
    given = asked(late, runs=(BROKE,), overdue="P2")
    assert given.exit_code == 1 and why(given, "overdue")[1].endswith("its fix was due on 2026-01-01")


def test_an_experiment_that_was_not_run_for_too_long_says_no() -> None:
    def last(at: float | None) -> GateAnswer:
        return answer(replace(material(notRunFor="5d"), last_conclusive={EXPERIMENT: at}))

    assert last(START).exit_code == 0
    assert why(last(START - 4 * DAY), "not-run")[0] == "fail"
    assert why(last(None), "not-run")[1] == f"{EXPERIMENT}: no conclusive run of it is known"


def test_with_a_baseline_only_what_is_worse_than_it_says_no() -> None:
    before = material(Seen(of("P2"), "new"), runs=(BROKE,))
    baseline = record_baseline(before, "ana")
    assert [entry.id for entry in baseline.near_misses] == ["NM-2026-0001"]

    def now(*seen: Seen) -> GateAnswer:
        return answer(replace(material(*seen, runs=(BROKE,)), baseline=baseline))

    assert now(Seen(of("P2"), "new")).exit_code == 0
    assert now(Seen(of("P2"), "regressed")).exit_code == 0
    assert why(now(Seen(of("P1"), "known")), "ratchet")[0] == "fail"
    other = near_miss(id="NM-2026-0002", fingerprints={"nm/1": "sha256:other"})
    assert now(Seen(of("P2"), "new"), Seen(other, "known")).exit_code == 1


def test_it_is_new_until_somebody_takes_it_on_if_a_gate_found_it() -> None:
    assert change_of(near_miss(), found_by_a_gate=True) == "new"
    assert change_of(near_miss(), found_by_a_gate=False) == "known"
    assert change_of(near_miss(triaged_at=START), found_by_a_gate=True) == "known"
    assert change_of(near_miss(state=State.TRIAGED), found_by_a_gate=True) == "known"
    assert change_of(near_miss(regressions=1), found_by_a_gate=False) == "regressed"


def test_what_to_do_can_be_typed_as_it_stands_and_is_said_once() -> None:
    one = asked(Seen(of("P1", owner="team-checkout"), "new"), runs=(BROKE,)).what_to_do
    assert one[-1].endswith("`chaosrunner near-miss set NM-2026-0001 triaged --owner team-checkout`")
    nobody = asked(Seen(of("P1"), "new"), runs=(BROKE,)).what_to_do
    assert "--owner TEAM" in nobody[-1] or "--owner team" in nobody[-1]
    more = [
        Seen(of("P1", id=f"NM-2026-000{n}"), change)
        for n, change in ((1, "new"), (2, "new"), (3, "regressed"), (4, "regressed"))
    ]
    how = [words for words in asked(*more, runs=(BROKE,)).what_to_do if words.startswith("To take")]
    assert len(how) == 1 and "near-miss set ID triaged --owner TEAM" in how[0]


def test_the_answer_fits_on_a_screen_and_says_who_owns_what_and_what_to_do() -> None:
    many = [Seen(of("P1", id=f"NM-2026-{number:04}", owner="team-checkout"), "new") for number in range(1, 40)]
    given = asked(*many, runs=(BROKE, *(ran(experiment=f"e{number}") for number in range(40))))
    shown = text(given)
    assert shown.startswith("NO  release on shop: ")
    assert len(shown.splitlines()) < 80 and max(map(len, shown.splitlines())) <= 110
    assert "team-checkout" in shown and "near-miss set ID triaged" in given.what_to_do[-1]
    assert "and 27 more: --json has all of them" in shown
