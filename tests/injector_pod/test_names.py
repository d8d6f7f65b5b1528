"""Look-ups of a pod: answered wrongly, late or not at all for the names that are meant, unchanged for all others."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from chaosrunner.injector import dns
from tests.injector_pod.lab import OTHER, Injector, Lab, traffic


def fault(**what: object) -> dict[str, object]:
    return traffic({}, dns=what)


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("answer", ["nxdomain", "servfail", "refused"])
def test_a_name_is_answered_with_an_error_and_others_are_not(
    stage: Lab, injector: Injector, answer: str, tcp: bool
) -> None:
    injector.begin("names", fault(names=["pay.shop.local", "*.example.com"], answer=answer))
    for name in ("pay.shop.local", "PAY.shop.local", "a.b.example.com"):
        assert dns.code(stage.pod.ask(OTHER, name, tcp=tcp)) == dns.CODES[answer]
    told = stage.pod.ask(OTHER, "back.shop.local", tcp=tcp)
    assert dns.addresses(told) == ["10.9.9.9", "10.9.9.10"] if tcp else ["10.9.9.9"]
    answer_met = injector.end("names")
    assert (answer_met["met"], answer_met["unit"]) == (3, "queries")
    assert dns.code(stage.pod.ask(OTHER, "pay.shop.local", tcp=tcp)) == 0


def test_a_short_name_stands_for_the_forms_that_the_pod_searches(stage: Lab, injector: Injector) -> None:
    injector.begin("names", fault(names=["pay"], answer="nxdomain"))
    for name in ("pay", "pay.shop.local", "pay.local"):
        assert dns.code(stage.pod.ask(OTHER, name)) == dns.CODES["nxdomain"]
    assert dns.code(stage.pod.ask(OTHER, "pay.elsewhere")) == 0


def test_a_wrong_answer_gives_the_address_that_was_asked_for_and_can_hardly_be_kept(
    stage: Lab, injector: Injector
) -> None:
    injector.begin("names", fault(answer="wrong", address="192.0.2.7"))
    told = stage.pod.ask(OTHER, "pay.shop.local")
    assert dns.addresses(told) == ["192.0.2.7"]
    assert told[-10:-6] == (dns.TTL).to_bytes(4, "big")
    six = stage.pod.ask(OTHER, "pay.shop.local", dns.AAAA)
    assert (dns.code(six), dns.addresses(six)) == (0, [])


def test_silence_and_delay(stage: Lab, injector: Injector) -> None:
    injector.begin("silent", fault(names=["mute.local"], answer="silent"))
    injector.begin("late", fault(names=["late.local"], delay=0.4))
    with pytest.raises(TimeoutError):
        stage.pod.ask(OTHER, "mute.local", timeout=0.5)
    began = time.monotonic()
    assert dns.addresses(stage.pod.ask(OTHER, "late.local")) == ["10.9.9.9"]
    assert time.monotonic() - began >= 0.4


def test_a_share_of_questions(stage: Lab, injector: Injector) -> None:
    injector.begin("some", fault(answer="servfail", share=0.5, seed=3))
    codes = [dns.code(stage.pod.ask(OTHER, "pay.shop.local")) for _ in range(20)]
    answer = injector.end("some")
    assert answer["met"] == codes.count(2) and 0 < codes.count(2) < 20 and answer["seen"] == 20


def test_questions_with_edns_are_understood_and_answered_with_it(stage: Lab, injector: Injector) -> None:
    injector.begin("names", fault(answer="nxdomain"))
    plain = dns.query("pay.shop.local", dns.A)
    extended = plain[:10] + b"\0\1" + plain[12:] + b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    told = dns.answer(dns.question(extended), 3)
    assert told[11] == 1 and told.endswith(b"\0\0\x29\x04\xd0\0\0\0\0\0\0")
    assert stage.pod.ask(OTHER, "pay.shop.local")[11] == 0


def test_own_look_ups_are_treated_alike_and_not_counted(stage: Lab, injector: Injector) -> None:
    injector.begin("names", fault(answer="nxdomain"))
    assert stage.pod.look("dns", "pay.shop.local")["answer"] == "nxdomain"
    assert stage.pod.look("dns", "pay.shop.local", "--around")["answer"] == "noerror"
    assert injector.met("names") == 0


def test_a_killed_injector_leaves_look_ups_as_they_were(stage: Lab, started: Callable[..., Injector]) -> None:
    injector = started()
    injector.begin("names", fault(answer="nxdomain"))
    injector.process.kill()
    injector.process.wait(5)
    assert dns.code(stage.pod.ask(OTHER, "pay.shop.local")) == 0


def test_many_questions_after_one_another_are_all_answered_by_the_server(stage: Lab, injector: Injector) -> None:
    """From the same port too: what the kernel knows of a port must not lead the forwarder back to itself."""
    injector.begin("names", fault(names=["never.local"], answer="nxdomain"))
    for _ in range(300):
        assert dns.addresses(stage.pod.ask(OTHER, "pay.shop.local", timeout=5)) == ["10.9.9.9"]


@pytest.mark.parametrize("killed", [False, True])
def test_a_port_that_an_injector_before_has_diverted_leads_to_the_one_of_now(
    stage: Lab, started: Callable[..., Injector], killed: bool
) -> None:
    """The kernel remembers for half a minute where it translated questions of a port to."""
    before = started()
    before.begin("names", fault(names=["never.local"], answer="nxdomain"))
    assert dns.addresses(stage.pod.ask(OTHER, "pay.shop.local", source=40404)) == ["10.9.9.9"]
    if killed:
        before.process.kill()
        before.process.wait(5)
    else:
        before.close()
    started().begin("names", fault(names=["never.local"], answer="nxdomain"))
    assert dns.addresses(stage.pod.ask(OTHER, "pay.shop.local", source=40404)) == ["10.9.9.9"]
