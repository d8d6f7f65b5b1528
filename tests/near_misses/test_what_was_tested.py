"""Coverage: what was tested against what, how long ago, with what answer; and the score that only passes raise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from chaosrunner.cli import chaosrunner
from chaosrunner.errors import ChaosrunnerError, FileProblems
from chaosrunner.model.environment import Environment
from chaosrunner.model.near_miss import NearMiss, RunFacts
from chaosrunner.model.tested import Asked, Cell, Coverage, NamedService, Standing, coverage
from chaosrunner.model.words import State
from chaosrunner.register import open_register
from chaosrunner.reports.coverage import coverage_markdown, coverage_text
from chaosrunner.stages.coverage import modes_of, read_services, services_of
from tests.near_misses.world import DAY, START, SetClock, conditions, facts, fault, finding, near_miss

MODES = ("dependency-slow", "instance-loss")


def run(day: float, answer: str = "held", /, **changes: Any) -> RunFacts:
    """A run of checkout that slows payments down, so many days after the start."""
    hit = fault(**changes.pop("hit", {}))
    good = {"answer": answer, "conditions": conditions(faults=(hit,))}
    return facts(f"run-{day}-{answer}", at=START + day * DAY, **(good | changes))


def what(
    runs: Sequence[RunFacts], near_misses: Sequence[NearMiss] = (), *, day: float = 10, **changes: Any
) -> Coverage:
    good: dict[str, Any] = {"now": START + day * DAY, "modes": MODES, "services": {}}
    return coverage(runs, near_misses, Asked(**(good | changes)))


def cell(found: Coverage, mode: str = "dependency-slow", service: str = "checkout") -> Cell:
    return next(each for each in found.cells if (each.service, each.mode) == (service, mode))


def test_what_held_lately_is_all_that_counts_as_passed() -> None:
    found = what([run(1)])
    assert cell(found).standing is Standing.HELD and cell(found, "instance-loss").standing is Standing.UNTESTED
    assert found.score == 50.0
    assert found.formula == ("100 × held ÷ all = 100 × 1 ÷ (1 held + 0 gap + 0 expired + 0 inconclusive + 1 untested)")


def test_a_service_that_nobody_tried_lowers_the_score() -> None:
    assert what([run(1)], services={"mail": NamedService()}).score == 25.0


def test_nothing_to_count_has_no_score() -> None:
    assert what([]).score is None


def test_an_old_pass_expires_and_an_old_gap_does_not() -> None:
    found = what([run(0), run(0, "broken", service="cart")], day=100)
    assert cell(found).standing is Standing.EXPIRED and cell(found, service="cart").standing is Standing.GAP
    assert found.score == 0.0


def test_what_expires_next_comes_first() -> None:
    runs = [run(5), run(3, service="cart"), run(50, service="mail")]
    found = what(runs, day=85)
    assert [each.service for each in found.expires_next] == ["cart", "checkout"]
    assert cell(found).expires == START + 95 * DAY


def test_a_later_pass_of_the_same_way_mends_a_gap_and_one_of_another_way_does_not() -> None:
    broke, mended = run(1, "broken"), run(2)
    assert cell(what([mended, broke])).standing is Standing.HELD  # by time, not by order
    other = run(3, hit={"to": ("stripe",)})
    assert cell(what([broke, other])).standing is Standing.GAP
    assert cell(what([broke, other])).why == "1 of 2 ways it was tried broke"


def test_an_answer_is_as_old_as_the_oldest_way_that_it_rests_on() -> None:
    found = cell(what([run(1), run(9, hit={"to": ("stripe",)})]))
    assert (found.answered, found.last_tried, found.runs) == (START + DAY, START + 9 * DAY, 2)


@pytest.mark.parametrize("changes", [{"answer": "inconclusive"}, {"trouble": "it was cut short"}])
def test_a_run_that_says_nothing_counts_for_nothing(changes: dict[str, Any]) -> None:
    found = what([run(1, **changes)])
    assert cell(found).standing is Standing.INCONCLUSIVE and found.score == 0.0
    assert cell(what([run(1), run(2, **changes)])).standing is Standing.HELD  # and takes nothing away


def test_what_broke_stays_broken_however_the_run_ended() -> None:
    assert cell(what([run(1, "broken", trouble="it was aborted")])).standing is Standing.GAP


def test_an_open_near_miss_is_a_gap_though_the_last_run_held() -> None:
    known = near_miss()
    assert cell(what([run(1)], [known])).standing is Standing.GAP
    assert cell(what([run(1)], [known])).near_misses == (known.id,)
    closed = known.model_copy(update={"state": State.VERIFIED})
    assert cell(what([run(1)], [closed])).standing is Standing.HELD
    assert cell(what([], [known])).standing is Standing.GAP


def test_what_cannot_happen_is_not_counted_but_what_was_tried_is() -> None:
    never = {
        "checkout": NamedService(not_applicable={"instance-loss": "it is a page", "dependency-slow": "so we said"})
    }
    found = what([run(1)], services=never)
    assert cell(found, "instance-loss").standing is Standing.NOT_APPLICABLE
    assert cell(found).standing is Standing.HELD and found.score == 100.0


def test_a_mode_that_the_platform_does_not_have_raises_no_score() -> None:
    found = what([run(1, hit={"fault_class": "extension"})])
    assert cell(found, "extension").standing is Standing.HELD and not cell(found, "extension").counted
    assert found.score == 0.0


def test_what_was_only_hit_is_said() -> None:
    found = what([run(1, hit={"services": ("prices",)})])
    assert found.only_hit == ("prices",) and cell(found, service="prices").standing is Standing.UNTESTED


def test_an_earlier_name_is_the_same_service() -> None:
    found = what([run(1, service="old-checkout"), run(2, aliases=("old-checkout",))])
    assert found.services == ("checkout",) and cell(found).runs == 2


def test_by_kind_each_kind_of_fault_is_a_mode() -> None:
    found = what([run(1)], by="kind", modes=("network-latency", "pod-kill"))
    assert cell(found, "network-latency").standing is Standing.HELD and found.score == 50.0


def test_a_fault_that_breaks_nothing_tests_nothing() -> None:
    assert what([run(1, hit={"fault_class": "nothing", "kind": "noop"})]).cells == ()


ANSWERS = st.sampled_from(["held", "broken", "inconclusive"])
RUNS = st.lists(
    st.tuples(st.integers(0, 200), ANSWERS, st.sampled_from(["a", "b"]), st.sampled_from(MODES)), max_size=8
)


@given(RUNS, st.integers(0, 200))
def test_the_score_never_counts_what_did_not_hold(drawn: list[tuple[int, str, str, str]], day: int) -> None:
    runs = [run(at, answer, service=who, hit={"fault_class": mode}) for at, answer, who, mode in drawn if at <= day]
    found = what(runs, day=day, services={"c": NamedService()})
    held = {(each.service, each.mode) for each in found.cells if each.standing is Standing.HELD}
    passed = {(one.service, one.conditions.faults[0].fault_class) for one in runs if one.answer == "held"}
    assert held <= passed and found.counted == len(found.services) * len(MODES)
    assert found.score == round(100 * len(held) / found.counted, 1) < 100  # nobody ever tried c


# -------------------------------------------------------------------------------------------------- modes and services


def test_the_modes_are_those_that_faults_of_the_platform_have() -> None:
    local, cluster = modes_of("local", "class"), modes_of("kubernetes", "class")
    assert "zone-loss" in cluster and "zone-loss" not in local and "nothing" not in local
    assert "pod-kill" in modes_of("kubernetes", "kind") and "pod-kill" not in modes_of("local", "kind")


def test_hosts_outside_have_no_promise_of_ours() -> None:
    services = {"cart": {"workload": "deployment/cart"}, "stripe": {"host": "api.stripe.com"}}
    environment = Environment.model_validate(
        {
            "apiVersion": "chaosrunner.dev/v1",
            "kind": "Environment",
            "metadata": {"name": "staging"},
            "spec": {"platform": {"kubernetes": {"namespaces": ["shop"], "services": services}}},
        }
    )
    assert services_of(environment) == ("cart",)


def test_a_file_of_services_is_a_list_or_says_what_cannot_happen(tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    file.write_text("services: [cart, mail]\n")
    assert list(read_services(file, MODES)) == ["cart", "mail"]
    file.write_text("services:\n  cart:\n  mail: {notApplicable: {instance-loss: sent by others}}\n")
    assert read_services(file, MODES)["mail"].not_applicable == {"instance-loss": "sent by others"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {mail: {notApplicable: {instance-los: x}}}", "1:35: unknown failure mode 'instance-los'"),
        ("services: {mail: {notApplicable: {instance-loss: ''}}}", "expected the reason why it cannot happen"),
        ("services: {mail: {tier: 1}}", "tier"),
        ("service: [mail]", "service"),
    ],
)
def test_a_mistake_in_it_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "services.yaml"
    file.write_text(text)
    with pytest.raises(FileProblems) as wrong:
        read_services(file, MODES)
    assert said in str(wrong.value) and "services.yaml:1:" in str(wrong.value)


# ------------------------------------------------------------------------------------------------------------- as shown


def test_the_text_says_the_score_its_formula_and_what_is_missing() -> None:
    text = coverage_text(what([run(1), run(2, "broken", service="cart")], services={"mail": NamedService()}))
    assert "SERVICE   dependency-slow  instance-loss\ncart      GAP 8d           –\ncheckout  held 9d " in text
    assert "resilience score: 16.7 of 100\n  = 100 × held ÷ all = 100 × 1 ÷ (1 held + 1 gap" in text
    assert "  cart under dependency-slow: it broke (checkout-when-payments-is-slow)" in text
    assert "  mail: all of them" in text and "  checkout: instance-loss" in text


def test_markdown_cannot_be_broken_by_a_name() -> None:
    text = coverage_markdown(what([run(1, service="a|b\n<script>")]))
    (line,) = [line for line in text.splitlines() if line.startswith("| a")]
    assert line == "| a\\|b &lt;script> | held 9d | – |"


def command(state: Path, *words: str) -> Result:
    return CliRunner().invoke(chaosrunner, ["--state", str(state), "coverage", *words])


def test_the_command_answers_from_the_register(tmp_path: Path) -> None:
    clock = SetClock()
    with open_register(tmp_path, clock) as register:
        register.record(run(0, "broken"), [finding()])
    found = json.loads(command(tmp_path, "--json").stdout)
    assert (found["schema"], found["score"], found["services"]) == ("chaosrunner.coverage/1", 0.0, ["checkout"])
    assert {"gap": 1, "held": 0}.items() <= found["counts"].items()
    assert command(tmp_path, "--fail-under", "0").exit_code == 0
    assert command(tmp_path, "--fail-under", "1").exit_code == 1


def test_a_score_that_cannot_be_said_is_below_nothing(tmp_path: Path) -> None:
    assert command(tmp_path, "--fail-under", "1").exit_code == 3


def test_what_runs_is_asked_of_an_environment_only(tmp_path: Path) -> None:
    refused = command(tmp_path, "--discover").exception
    assert isinstance(refused, ChaosrunnerError) and "--discover needs -e" in str(refused)
