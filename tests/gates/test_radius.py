"""What an experiment touches: what must not be in force beside it."""

from __future__ import annotations

from typing import Any

from chaosrunner.model.plan import Plan
from chaosrunner.stages.suite import expected_seconds, radius_of
from tests.near_misses.world import plan, planned_fault, target


def on(fault_target: dict[str, Any], **changes: Any) -> Plan:
    return plan(method=[{"faults": [planned_fault(targets=[fault_target])]}], **changes)


def elsewhere(**changes: Any) -> Plan:
    """Of another service, that reads something else."""
    other = plan().hypotheses[0].measures[0].model_copy(update={"probe": "http", "params": {"url": "http://cart/"}})
    hypothesis = plan().hypotheses[0].model_copy(update={"measures": (other,)})
    return on(target() | changes, service="cart").model_copy(update={"hypotheses": (hypothesis,)})


APART = {"id": "link:cart-to-stock", "name": "cart-to-stock", "service": "cart", "to": "stock"}


def test_two_that_share_a_service_overlap_whether_it_is_hit_called_or_promised() -> None:
    assert not radius_of(plan()).overlaps(radius_of(elsewhere(**APART)))
    assert radius_of(plan()).overlaps(radius_of(elsewhere(**(APART | {"service": "payments"}))))
    assert radius_of(plan()).overlaps(radius_of(elsewhere(**(APART | {"to": "checkout"}))))
    assert radius_of(plan()).overlaps(radius_of(elsewhere(**(APART | {"id": "link:checkout-to-payments"}))))


def test_two_that_read_the_same_overlap_as_neither_could_say_whose_doing_it_was() -> None:
    same = elsewhere(**APART).model_copy(update={"hypotheses": plan().hypotheses, "experiment": "another"})
    assert not radius_of(same).overlaps(radius_of(plan())), "the load of each is its own"
    reads = elsewhere(**APART)
    other = on(target(), service="checkout").model_copy(update={"hypotheses": reads.hypotheses})
    assert radius_of(reads).overlaps(radius_of(other))


def test_a_node_is_in_the_way_of_its_whole_environment() -> None:
    node = {"kind": "node", "id": "node:a", "name": "a"}
    assert radius_of(elsewhere(**(APART | node))).overlaps(radius_of(plan()))


def test_what_acts_on_nothing_is_in_nobodys_way() -> None:
    nothing = {"kind": "nothing", "id": "nothing:noop", "name": "nothing", "service": None, "to": None}
    one, other = elsewhere(**nothing), on(target() | nothing, service="checkout")
    assert not radius_of(one).overlaps(radius_of(other))


def test_a_run_is_expected_to_take_its_baseline_its_method_and_a_recovery() -> None:
    assert expected_seconds(plan()) == 1 + 3 + 1
