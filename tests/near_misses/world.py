"""A service `checkout` whose promise `orders-go-through` breaks while `payments` is slow; and a clock that is set."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from chaosrunner.model.environment import Environment, Verification
from chaosrunner.model.gap import Gap
from chaosrunner.model.near_miss import Conditions, Evidence, Expectation, FaultCondition, Found, NearMiss, RunFacts
from chaosrunner.model.plan import Plan
from chaosrunner.model.priority import ScoreInputs, score
from chaosrunner.model.sightings import found
from chaosrunner.model.tolerance import Tolerance
from chaosrunner.model.verdict import Verdict
from chaosrunner.model.words import FindingClass, GapKind, Phase

START = 1_790_000_000.0
DAY = 86400.0


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self, at: float = START) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        await asyncio.sleep(0)


def gap(**changes: Any) -> Gap:
    good: dict[str, Any] = {
        "kind": GapKind.IMPACT,
        "finding": FindingClass.NEAR_MISS,
        "title": "checkout: orders-go-through breaks under network-latency on checkout to payments",
        "story": "network-latency was in force. order-p95: 1.2 s, at most 500 ms.",
        "environment_class": "demo",
        "service": "checkout",
        "fault_classes": ("dependency-slow",),
        "identity": {"to": "payments"},
        "target_services": ("checkout",),
        "hypothesis": "orders-go-through",
        "strength": "1 of 1",
    }
    return Gap(**(good | changes))


def fault(**changes: Any) -> FaultCondition:
    good: dict[str, Any] = {
        "kind": "network-latency",
        "fault_class": "dependency-slow",
        "services": ("checkout",),
        "to": ("payments",),
        "params": {"direction": "both"},
        "harder": {"delay": 0.6},
        "lasts": 3.0,
    }
    return FaultCondition(**(good | changes))


def expectation(at_most: str = "500ms", **changes: Any) -> Expectation:
    good: dict[str, Any] = {
        "measure": "orders-go-through/order-p95",
        "probe": "traffic",
        "params": {"read": "p95", "over": "500ms"},
        "tolerance": Tolerance.model_validate({"atMost": at_most}),
        "unit": "s",
    }
    return Expectation(**(good | changes))


def conditions(**changes: Any) -> Conditions:
    good: dict[str, Any] = {
        "environment": "shop",
        "faults": (fault(),),
        "expectations": (expectation(),),
        "recovery_within": 5.0,
        "recovery_holds": 1.0,
    }
    return Conditions(**(good | changes))


def inputs(**changes: Any) -> ScoreInputs:
    good: dict[str, Any] = {
        "finding": FindingClass.NEAR_MISS,
        "kinds": (GapKind.IMPACT,),
        "stopped_by": "fault-ended",
    }
    return ScoreInputs(**(good | changes))


def finding(what: Gap | None = None, *, under: Conditions | None = None, scored: ScoreInputs | None = None) -> Found:
    evidence = Evidence(
        measure="orders-go-through/order-p95",
        phase=Phase.FAULT,
        rule="at most 500ms",
        limit=0.5,
        worst=1.2,
        baseline=0.02,
        unit="s",
        violated_for=2.5,
    )
    return Found(
        gap=what or gap(), evidence=(evidence,), conditions=under or conditions(), scoring=score(scored or inputs())
    )


def facts(run: str = "run-1", *, at: float = START, **changes: Any) -> RunFacts:
    good: dict[str, Any] = {
        "run": run,
        "began": at - 10,
        "ended": at,
        "experiment": "checkout-when-payments-is-slow",
        "title": "Orders go through while payments is slow",
        "environment": "shop",
        "environment_class": "demo",
        "service": "checkout",
        "owner": "team-checkout",
        "seed": 7,
        "command": "chaosrunner run experiments/checkout-when-payments-is-slow.yaml --seed 7",
        "conditions": conditions(),
    }
    return RunFacts(**(good | changes))


def passing(run: str, *, at: float, **changes: Any) -> RunFacts:
    """A run of the same experiment that held."""
    return facts(run, at=at, **({"held": ("orders-go-through",)} | changes))


ONE_RUN = Verification(runs=1, days=1)


def near_miss(**changes: Any) -> NearMiss:
    return found("NM-2026-0001", facts(), finding()).model_copy(update=changes)


def environment(**spec: Any) -> Environment:
    return Environment.model_validate(
        {
            "apiVersion": "chaosrunner.dev/v1",
            "kind": "Environment",
            "metadata": {"name": "shop"},
            "spec": {"class": "demo", "platform": {"local": {"services": {"checkout": {"tier": 1}}}}} | spec,
        }
    )


def plan(**changes: Any) -> Plan:
    good: dict[str, Any] = {
        "experiment": "checkout-when-payments-is-slow",
        "title": "Orders go through while payments is slow",
        "service": "checkout",
        "owner": "team-checkout",
        "environment": environment(),
        "seed": 7,
        "command": "chaosrunner run experiments/checkout-when-payments-is-slow.yaml --seed 7",
        "hypotheses": [
            {
                "name": "orders-go-through",
                "title": "Shoppers can buy",
                "measures": [
                    {
                        "key": "orders-go-through/order-p95",
                        "hypothesis": "orders-go-through",
                        "name": "order-p95",
                        "probe": "traffic",
                        "params": {"read": "p95"},
                        "tolerance": {"atMost": "500ms"},
                        "unit": "s",
                        "room": "latency",
                        "every": "250ms",
                        "timeout": "1s",
                        "lag": "0s",
                    }
                ],
            }
        ],
        "baseline": "1s",
        "method": [{"faults": [planned_fault()]}],
        "recovery": {"within": "5s", "holds": "1s"},
    }
    return Plan.model_validate(good | changes)


def planned_fault(**changes: Any) -> Mapping[str, Any]:
    good: dict[str, Any] = {
        "id": "slow",
        "fault": "network-latency",
        "params": {"delay": "600ms"},
        "targets": [target()],
        "lasts": "3s",
        "faultClass": "dependency-slow",
        "does": "delays",
        "undo": "ends the delay",
    }
    return good | changes


def target() -> dict[str, Any]:
    return {
        "kind": "link",
        "id": "link:checkout-to-payments",
        "name": "checkout-to-payments",
        "service": "checkout",
        "to": "payments",
    }


def verdict(run: str = "run-1", *, broken: bool = True, **changes: Any) -> Verdict:
    answer = "broken" if broken else "held"
    phase = {
        "phase": "fault",
        "judged": True,
        "answer": answer,
        "reason": "1.2 s, at most 500 ms" if broken else "220 ms, at most 500 ms",
        "rule": "at most 500ms",
        "high": 0.5,
        "readings": 12,
        "worst": 1.2 if broken else 0.22,
        "margin": -1.4 if broken else 0.56,
    }
    measure = {
        "key": "orders-go-through/order-p95",
        "name": "order-p95",
        "unit": "s",
        "judged": True,
        "answer": answer,
        "reason": phase["reason"],
        "baseline": 0.02,
        "phases": [phase],
    }
    good: dict[str, Any] = {
        "run": run,
        "experiment": "checkout-when-payments-is-slow",
        "answer": answer,
        "ending": "finished",
        "exitCode": 1 if broken else 0,
        "summary": "orders-go-through broke" if broken else "all held",
        "hypotheses": [
            {
                "name": "orders-go-through",
                "title": "Shoppers can buy",
                "answer": answer,
                "reason": phase["reason"],
                "closest": measure["key"],
                "margin": phase["margin"],
                "brokenDuring": ["slow/1"] if broken else [],
                "strength": "1 of 1" if broken else "",
                "measures": [measure],
            }
        ],
        "faults": [
            {
                "fault": "slow/1",
                "step": "slow",
                "kind": "network-latency",
                "target": target(),
                "injectedAt": 2.0,
                "inForceAt": 2.1,
                "undoneAt": 5.1,
                "shareInForce": 1.0,
                "touched": 40,
                "seenGone": True,
            }
        ],
        "recovery": {"answer": "held", "seconds": 0.4, "reason": "back after 0.4 s"},
        "seconds": 10.0,
    }
    return Verdict.model_validate(good | changes)
