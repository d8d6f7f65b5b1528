"""Planning: targets by seed, steps together on different targets, what cannot be done honestly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from chaosrunner.errors import CannotDoHonestly, RedundancyMissing, UsageError
from chaosrunner.model.experiment import Experiment, Selector
from chaosrunner.model.hypothesis import Hypothesis
from chaosrunner.model.plan import Plan
from chaosrunner.model.target import Target
from chaosrunner.ports import Parameters, Platform, Probe, Selection, Value
from chaosrunner.stages.plan import Finding, Intent, choose, make_plan
from tests.engine.world import ENVIRONMENT, FakePlatform, SlowFault, System, target
from tests.virtual_time import run_virtually


class Farm(FakePlatform):
    """Has so many processes of each service; touches nothing."""

    kind = "fake"

    def __init__(self, count: int) -> None:
        super().__init__(System())
        self.count = count

    async def find(self, selector: Selector) -> Selection:
        if selector.service == "nobody":
            return Selection((), "service nobody is not running")
        return Selection([target(number) for number in range(1, self.count + 1)])


class Kill(SlowFault):
    """Over at once."""

    kind = "kill"
    instant = True


class Elsewhere(SlowFault):
    """Works on another platform only."""

    kind = "elsewhere"
    platforms = frozenset({"moon"})


class Impossible(SlowFault):
    """Says honestly that it cannot."""

    kind = "impossible"

    async def check(self) -> None:
        raise CannotDoHonestly(f"{self.target.name} ignores the signal; use another one")


class Alone(SlowFault):
    """Finds nothing that could take over."""

    kind = "alone"

    async def check(self) -> None:
        raise RedundancyMissing("there is only one zone", "zones")


class LinkOnly(SlowFault):
    """Acts on links."""

    kind = "link-only"
    acts_on = frozenset({"link"})


class ProbeParams(Parameters):
    timeout: float = 2.0


class Ready(Probe[ProbeParams]):
    """Reads seconds that are four seconds old."""

    @classmethod
    def unit(cls, params: ProbeParams) -> str | None:
        return "s"

    @classmethod
    def lag(cls, params: ProbeParams) -> float:
        return 4.0

    async def read(self) -> Value:
        return 1.0


FAULTS: Mapping[str, type[SlowFault]] = {
    "slow": SlowFault,
    "kill": Kill,
    "elsewhere": Elsewhere,
    "impossible": Impossible,
    "alone": Alone,
    "link-only": LinkOnly,
}
for name, plugin in FAULTS.items():
    plugin.kind = name


def planned(
    method: Sequence[Mapping[str, Any]],
    *,
    count: int = 10,
    seed: int = 1,
    platform: Platform | None = None,
    faults: Mapping[str, type[SlowFault]] = FAULTS,
) -> Plan:
    hypothesis = {"name": "slo", "title": "It works", "measures": [{"name": "age", "ready": {}}]}
    experiment = Experiment.model_validate(
        {
            "apiVersion": "chaosrunner.dev/v1",
            "kind": "Experiment",
            "metadata": {"name": "planned"},
            "spec": {"title": "A plan", "hypotheses": [hypothesis], "method": list(method)},
        }
    )
    intent = Intent(experiment, [Hypothesis.model_validate(hypothesis)], ENVIRONMENT)
    finding = Finding(fault=lambda kind: faults[kind], probe=lambda kind: Ready)
    return run_virtually(make_plan(intent, platform or Farm(count), finding, seed))


def step(fault: str = "slow", take: int | str = 1, **changes: Any) -> dict[str, Any]:
    lasting: dict[str, Any] = {"for": "10s"} if fault != "kill" else {}
    return {"fault": fault, "target": {"service": "shop", "take": take}, **lasting, **changes}


def names(plan: Plan, number: int = 0) -> list[str]:
    return [target.id for target in plan.faults[number].targets]


# -- choosing


def test_the_same_seed_picks_the_same_targets() -> None:
    assert names(planned([step(take=3)], seed=7)) == names(planned([step(take=3)], seed=7))


def test_another_seed_picks_others() -> None:
    assert len({tuple(names(planned([step(take=3)], seed=seed))) for seed in range(20)}) > 5


def test_two_steps_of_one_seed_do_not_have_to_pick_the_same() -> None:
    picks = {(names(found)[0], names(found, 1)[0]) for found in (planned([step(), step()], seed=s) for s in range(20))}
    assert any(first != second for first, second in picks)


@pytest.mark.parametrize(
    ("take", "of", "count"),
    [
        (1, 10, 1),
        (3, 10, 3),
        (30, 10, 10),
        ("all", 10, 10),
        ("50%", 10, 5),
        ("35%", 10, 3),
        ("1%", 10, 1),
        ("70%", 10, 7),
    ],
)
def test_take_is_a_count_or_a_share_rounded_down_to_at_least_one(take: int | str, of: int, count: int) -> None:
    chosen = choose([target(number) for number in range(of)], take, seed=1, step="x")
    assert len(chosen) == len({each.id for each in chosen}) == count


def test_the_order_in_which_the_platform_lists_them_does_not_matter() -> None:
    listed = [target(number) for number in range(10)]
    assert choose(listed, 3, seed=5, step="x") == choose(listed[::-1], 3, seed=5, step="x")


def test_faults_together_act_on_different_targets() -> None:
    for seed in range(20):
        found = planned([{"together": [step(take=2), step(take=2)]}], count=4, seed=seed)
        assert len({*names(found), *names(found, 1)}) == 4


def test_same_as_reuses_the_targets_of_another_step() -> None:
    again = step(target={"sameAs": "first"})
    found = planned([step(take=2, id="first"), again], count=4)
    assert names(found) == names(found, 1)
    assert [fault.candidates for fault in found.faults] == [4, 4], "two of four are half of them, by either name"


def test_same_as_must_name_an_earlier_step() -> None:
    with pytest.raises(UsageError, match="sameAs names no earlier step; known are none"):
        planned([step(target={"sameAs": "later"})])


def test_no_match_is_a_warning_and_a_plan_without_targets() -> None:
    found = planned([step(target={"service": "nobody"})])
    assert names(found) == []
    assert "service nobody is not running" in found.warnings[0]
    assert found.faults[0].no_target == "no target matched: service nobody is not running"


# -- defaults


def test_steps_without_an_id_have_their_faults_name_numbered() -> None:
    assert [fault.id for fault in planned([step(), step(), step("kill"), step(id="mine")]).faults] == [
        "slow",
        "slow-2",
        "kill",
        "mine",
    ]


def test_a_steps_default_id_is_never_one_that_the_file_gives_to_another() -> None:
    assert [fault.id for fault in planned([step(), step(), step(id="slow"), step(id="slow-3")]).faults] == [
        "slow-2",
        "slow-4",
        "slow",
        "slow-3",
    ]


def test_two_steps_with_one_id_are_refused() -> None:
    with pytest.raises(UsageError, match="two steps have the id mine"):
        planned([step(id="mine"), {"together": [step(), step(id="mine")]}])


def test_a_fault_that_is_over_at_once_is_observed_for_thirty_seconds() -> None:
    assert planned([step("kill")]).faults[0].lasts == 30
    assert planned([step("kill", observe="5s")]).faults[0].lasts == 5


def test_a_measures_defaults_come_from_its_probe() -> None:
    measure = planned([step()]).measures[0]
    assert (measure.unit, measure.lag, measure.timeout) == ("s", 4.0, 2.5)
    assert measure.blind == 15.0


# -- honesty


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("elsewhere", "the fault elsewhere does not work on the fake platform (it does on moon)"),
        ("impossible", "ignores the signal; use another one"),
        ("link-only", "the fault link-only acts on a link, and shop-"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(fault: str, reason: str) -> None:
    refusals = [answer for answer in planned([step(fault)]).guards if not answer.go]
    assert len(refusals) == 1
    assert reason in refusals[0].reason


class Rigid(Farm):
    """Cannot tell what appears."""

    follows = False


class OfNodes(Farm):
    """Can tell it of nodes alone."""

    follows_kinds = frozenset({"node"})


FOLLOW = {"service": "shop", "follow": True}


def test_following_is_possible_where_the_platform_can() -> None:
    assert planned([step(target=FOLLOW)]).guards[0].go


@pytest.mark.parametrize(
    ("farm", "reason"),
    [(Rigid(3), "cannot follow targets that appear later"), (OfNodes(3), "needs targets that come and go, a node")],
)
def test_following_is_refused_where_the_platform_cannot(farm: Farm, reason: str) -> None:
    assert reason in planned([step(target=FOLLOW)], platform=farm).guards[0].reason


def test_following_stands_where_the_targets_are_named() -> None:
    found = planned([step(id="first"), step(target={"sameAs": "first", "follow": True})])
    assert "give it to the step that `sameAs` names" in found.guards[0].reason


def test_redundancy_that_is_missing_is_an_unsafe_condition() -> None:
    (refusal,) = [answer for answer in planned([step("alone")]).guards if not answer.go]
    assert (refusal.unsafe_condition, refusal.subject) == (True, "zones")


def test_an_expected_alert_that_nobody_can_see_is_refused() -> None:
    found = planned([step(expectAlert={"name": "Slow", "within": "5s"})])
    assert "the environment names neither a Prometheus nor an Alertmanager" in found.guards[0].reason


def test_planning_touches_nothing() -> None:
    farm = Farm(3)
    planned([step(take="all"), step("kill")], platform=farm)
    assert farm.system.log == []
    assert farm.opened == 0


def test_the_plan_can_be_written_and_read_again() -> None:
    found = planned([step(take=2), {"wait": "3s"}, {"together": [step(), step("kill", after="1s")]}])
    assert Plan.model_validate(found.as_json()) == found


def test_a_target_keeps_what_the_platform_said_of_it() -> None:
    assert isinstance(planned([step()]).faults[0].targets[0], Target)
