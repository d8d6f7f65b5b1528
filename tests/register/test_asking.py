"""What commands ask the register for, so that none reads every near miss."""

from __future__ import annotations

from chaosrunner.model.life_cycle import Change
from chaosrunner.model.words import State
from chaosrunner.register import open_register
from chaosrunner.register.items import ItemRecord
from tests.near_misses.world import START, SetClock, facts, finding, gap
from tests.register.conftest import Place


def test_runs_that_are_the_first_or_last_sight_of_what_is_open_are_referred_to(place: Place) -> None:
    with open_register(place("referred"), SetClock()) as register:
        for number in range(4):
            register.record(facts(f"run-{number}", at=START + number), [finding()])
        register.record(facts("other", at=START), [finding(gap(service="cart"))])
        register.change("2", Change(to=State.OBSOLETE, actor="ana", at=START + 9, reason="it is gone"))
        runs = ["run-0", "run-1", "run-3", "other", "never", *(f"more-{number}" for number in range(1200))]
        assert register.referred(runs) == {"run-0", "run-3"}
        assert register.referred(["run-1"]) == register.referred([]) == frozenset()


def test_a_gap_finds_its_near_miss_under_each_name_that_it_had(place: Place) -> None:
    with open_register(place("known"), SetClock()) as register:
        old, new = gap(service="basket"), gap(service="cart")
        register.record(facts("run-1", service="basket"), [finding(old)])
        register.record(facts("run-2", service="cart", aliases=("basket",), at=START + 9), [finding(new)])
        found = [register.of_fingerprint(each.fingerprint) for each in (old, new, gap(service="else"))]
        assert [each and each.id for each in found] == ["NM-2026-0001", "NM-2026-0001", None]


def test_items_that_are_unfinished_are_those_of_one_tracker(place: Place) -> None:
    with open_register(place("items"), SetClock()) as register:
        ids = {}
        for name, tracker in (("named", "github"), ("none", None), ("moved", "github"), ("done", "github")):
            run = facts(name, service=name).model_copy(update={"tracker": tracker})
            (recorded,) = register.record(run, [finding(gap(service=name))])
            ids[recorded.near_miss.id] = name
        by_name = {name: id for id, name in ids.items()}
        register.items.keep(ItemRecord(near_miss=by_name["moved"], tracker="jira", key="J-1"))
        for state in ("open", "closed"):
            register.items.keep(ItemRecord(near_miss=by_name["done"], tracker="github", key="7", state=state))
            if state == "open":
                gone = Change(to=State.OBSOLETE, actor="ana", at=START + 9, reason="it is gone")
                register.change(by_name["done"], gone)

            def left(tracker: str) -> list[str]:
                return [ids[each] for each in register.items.unfinished(tracker, "local")]

            assert left("github") == (["named", "done"] if state == "open" else ["named"])
        assert (left("jira"), left("local"), left("gitlab")) == (["moved"], ["none"], [])
