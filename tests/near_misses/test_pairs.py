"""Pairs of runs, and whether they show the same near miss: two problems never merge, and one never splits.

Faults are the real plugins' classes and identities; gaps are what `detect` makes of the runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.model.plan import Plan
from chaosrunner.model.target import Target
from chaosrunner.model.verdict import Verdict
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register
from chaosrunner.stages.detect import detect
from chaosrunner.stages.findings import Findings
from chaosrunner.stages.register import register
from tests.near_misses.world import START, SetClock, environment


@dataclass(frozen=True)
class Hit:
    """One fault, as it was in force on one target."""

    kind: str = "network-latency"
    params: dict[str, Any] = field(default_factory=lambda: {"delay": "300ms"})
    service: str | None = "checkout"
    to: str | None = "payments"
    name: str = "checkout-to-payments"

    @property
    def target(self) -> dict[str, Any]:
        kind = "link" if self.to else "pod"
        whose = {"service": self.service} if self.service else {}
        return {"kind": kind, "id": f"{kind}:{self.name}", "name": self.name, **whose} | (
            {"to": self.to} if self.to else {}
        )

    def planned(self, step: str) -> dict[str, Any]:
        plugin = catalog.find("faults", self.kind)
        params = plugin.Params.model_validate(self.params)
        target = Target.model_validate(self.target)
        return {
            "id": step,
            "fault": self.kind,
            "params": self.params,
            "targets": [self.target],
            "lasts": "3s",
            "faultClass": plugin.fault_class,
            "identity": plugin.identity(params, target),
            "does": "breaks it",
            "undo": "mends it",
        }


def pod(kind: str = "pod-kill", name: str = "cart-7d9f-abcde", service: str = "cart", **params: Any) -> Hit:
    return Hit(kind, params, service, None, name)


@dataclass(frozen=True)
class Run:
    """A run that showed a gap."""

    hits: tuple[Hit, ...] = (Hit(),)
    service: str = "checkout"
    class_: str = "staging"
    environment: str = "staging-eu"
    hypothesis: str = "orders-go-through"
    broken: tuple[str, ...] = ("error-ratio",)
    at_most: str = "1%"
    worst: float = 0.2
    phase: str = "fault"
    aborted: bool = False
    margin: float = -1.0
    labels: tuple[str, ...] = ()
    experiment: str = "checkout-when-payments-is-slow"
    aliases: tuple[str, ...] = ()
    seed: int = 7
    spilled: tuple[str, ...] = ()
    undo_failed: bool = False
    refused: str = ""
    """What a guard refused to take, as nothing could take over."""

    @property
    def plan(self) -> Plan:
        planned = [hit.planned(f"s{n}") for n, hit in enumerate(self.hits)]
        measures = [
            {
                "key": f"{self.hypothesis}/{name}",
                "hypothesis": self.hypothesis,
                "name": name,
                "probe": "traffic",
                "params": {"read": "errorRatio"},
                "tolerance": {"atMost": self.at_most},
                "unit": "ratio",
                "room": "ratio",
                "every": "250ms",
                "timeout": "1s",
                "lag": "0s",
            }
            for name in self.broken
        ]
        given: dict[str, Any] = {
            "experiment": self.experiment,
            "title": "Orders go through",
            "service": self.service,
            "aliases": self.aliases,
            "environment": environment(**{"class": self.class_}).model_copy(
                update={"metadata": environment().metadata.model_copy(update={"name": self.environment})}
            ),
            "seed": self.seed,
            "remediation": {"labels": self.labels},
            "hypotheses": [{"name": self.hypothesis, "title": "Shoppers can buy", "measures": measures}],
            "baseline": "1s",
            "method": [{"faults": planned}],
            "recovery": {"within": "5s"},
        }
        if self.refused:
            no = {"guard": "keepLastReplica", "go": False, "reason": "it is the only one", "subject": self.refused}
            given["guards"] = [no | {"unsafeCondition": True}]
        return Plan.model_validate(given)

    def verdict(self, run: str) -> Verdict:
        held = self.margin > 0
        quiet = bool(self.spilled) or self.undo_failed or bool(self.refused)
        answer = "held" if held or quiet else "broken"
        return Verdict.model_validate(
            {
                "run": run,
                "experiment": self.experiment,
                "answer": answer,
                "ending": "aborted" if self.aborted else "finished",
                "exitCode": 1,
                "summary": "",
                "hypotheses": [] if quiet else [self._hypothesis(answer)],
                "faults": [] if self.refused else [self._fault(n, hit) for n, hit in enumerate(self.hits)],
                "recovery": {"answer": "held", "seconds": 0.4, "reason": "back"},
                "abort": {"measure": f"{self.hypothesis}/{self.broken[0]}", "limit": "20%", "blind": False, "at": 3.0}
                if self.aborted
                else None,
                "spilled": self.spilled,
                "seconds": 10.0,
            }
        )

    def _hypothesis(self, answer: str) -> dict[str, Any]:
        phase = {
            "phase": self.phase,
            "judged": True,
            "answer": answer,
            "reason": f"{self.worst}",
            "rule": f"at most {self.at_most}",
            "readings": 12,
            "worst": self.worst,
            "margin": self.margin,
        }
        measures = [
            {
                "key": f"{self.hypothesis}/{name}",
                "name": name,
                "judged": True,
                "answer": answer,
                "reason": "",
                "phases": [phase],
            }
            for name in self.broken
        ]
        during = [f"s{n}/1" for n in range(len(self.hits))] if answer == "broken" else []
        return {
            "name": self.hypothesis,
            "title": "Shoppers can buy",
            "answer": answer,
            "reason": "",
            "brokenDuring": during,
            "measures": measures,
        }

    def _fault(self, n: int, hit: Hit) -> dict[str, Any]:
        return {
            "fault": f"s{n}/1",
            "step": f"s{n}",
            "kind": hit.kind,
            "target": hit.target,
            "injectedAt": 2.0,
            "inForceAt": 2.1,
            "undoneAt": None if self.undo_failed else 5.1,
            "shareInForce": 1.0,
            "undoFailed": self.undo_failed,
            "trouble": "it would not go" if self.undo_failed else "",
        }


ONE = Run()
CART = Run(hits=(pod(),), service="cart", experiment="cart-survives-a-kill", hypothesis="cart-answers")
DNS = replace(ONE, hits=(Hit("dns-fault", {"answer": "servfail"}),))
HTTP = replace(ONE, hits=(Hit("http-fault", {"path": "/pay", "status": 503}),))
TWO_AT_ONCE = replace(ONE, hits=(Hit(), pod()))
SPILL = replace(ONE, spilled=("search: restarts, 3 of 3 pods",))
STUCK = replace(ONE, undo_failed=True)
ALONE = replace(CART, refused="deployment/cart")

SAME: dict[str, tuple[Run, Run]] = {
    "the same run again": (ONE, ONE),
    "another strength of the fault": (ONE, replace(ONE, hits=(Hit(params={"delay": "900ms", "jitter": "50ms"}),))),
    "another threshold": (ONE, replace(ONE, at_most="5%")),
    "other values": (ONE, replace(ONE, worst=0.9, margin=-7.0)),
    "another seed": (ONE, replace(ONE, seed=99)),
    "edited labels": (ONE, replace(ONE, labels=("sprint-12", "urgent"))),
    "renamed pods": (CART, replace(CART, hits=(pod(name="cart-5b6c-zzzzz"),))),
    "three measures of one hypothesis": (ONE, replace(ONE, broken=("error-ratio", "p95", "throughput"))),
    "another measure of the hypothesis": (ONE, replace(ONE, broken=("p95",))),
    "it did not come back either": (ONE, replace(ONE, phase="recovery")),
    "the abort limit was reached": (ONE, replace(ONE, aborted=True)),
    "a close call, then a break": (replace(ONE, margin=0.05, worst=0.0095), ONE),
    "kill and evict of one service": (CART, replace(CART, hits=(pod("pod-evict"),))),
    "kill and drain of one service": (CART, replace(CART, hits=(pod("node-drain", "node-3"),))),
    "kill of a pod and of its container": (CART, replace(CART, hits=(pod("container-kill"),))),
    "another environment of the class": (ONE, replace(ONE, environment="staging-us")),
    "another experiment with the same fault": (ONE, replace(ONE, experiment="checkout-at-night")),
    "a service that was renamed": (
        ONE,
        replace(ONE, service="orders", hits=(Hit(service="orders"),), aliases=("checkout",)),
    ),
    "concurrent faults in another order": (TWO_AT_ONCE, replace(TWO_AT_ONCE, hits=(pod(), Hit()))),
    "two pods at once, and one": (CART, replace(CART, hits=(pod(), pod(name="cart-7d9f-fghij")))),
    "latency in another direction": (
        ONE,
        replace(ONE, hits=(Hit(params={"delay": "300ms", "direction": "response"}),)),
    ),
    "the same spill-over": (SPILL, replace(SPILL, spilled=("search: restarts, 1 of 3 pods",))),
    "the same fault is stuck again": (STUCK, replace(STUCK, seed=3)),
    "the same lack of redundancy": (ALONE, replace(ALONE, seed=3)),
    "the same name that is not resolved": (DNS, replace(DNS, hits=(Hit("dns-fault", {"answer": "nxdomain"}),))),
    "partition and loss of a dependency": (
        replace(ONE, hits=(Hit("network-partition", {}),)),
        replace(ONE, hits=(Hit("dependency-loss", {"mode": "hang"}),)),
    ),
}
OTHER: dict[str, tuple[Run, Run]] = {
    "two dependencies of one service": (ONE, replace(ONE, hits=(Hit(to="inventory", name="checkout-to-inventory"),))),
    "one dependency of two services": (ONE, replace(ONE, service="cart", hits=(Hit(service="cart"),))),
    "slow and gone": (ONE, replace(ONE, hits=(Hit("network-partition", {}),))),
    "slow and flaky": (ONE, replace(ONE, hits=(Hit("network-loss", {"share": "30%"}),))),
    "killed and paused": (
        replace(CART, hits=(pod("process-kill"),)),
        replace(CART, hits=(pod("process-pause"),)),
    ),
    "another hypothesis": (ONE, replace(ONE, hypothesis="page-is-shown")),
    "another class of environment": (ONE, replace(ONE, class_="load-test")),
    "another service's promise under the same fault": (ONE, replace(ONE, service="shop")),
    "the same fault on another service": (CART, replace(CART, hits=(pod(service="search", name="search-1"),))),
    "one fault, and the same with another beside it": (ONE, TWO_AT_ONCE),
    "a name that is not resolved, and another": (
        replace(DNS, hits=(Hit("dns-fault", {"answer": "servfail", "names": ["a.example"]}, to=None),)),
        replace(DNS, hits=(Hit("dns-fault", {"answer": "servfail", "names": ["b.example"]}, to=None),)),
    ),
    "two paths of one dependency": (HTTP, replace(HTTP, hits=(Hit("http-fault", {"path": "/refund", "status": 503}),))),
    "spill-over on two services": (SPILL, replace(SPILL, spilled=("mail: restarts, 3 of 3 pods",))),
    "spill-over and a break": (ONE, SPILL),
    "a break, and an undo that failed": (ONE, STUCK),
    "two faults that are stuck": (STUCK, replace(STUCK, hits=(Hit("network-partition", {}),))),
    "no redundancy of two things": (ALONE, replace(ALONE, refused="zone eu-1a")),
    "a break, and no redundancy": (CART, ALONE),
    "memory and a slow dependency": (ONE, replace(ONE, hits=(pod("memory-stress", service="checkout", size="64MiB"),))),
    "a rename without an alias": (ONE, replace(ONE, service="orders", hits=(Hit(service="orders"),))),
}


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Register]:
    with open_register(tmp_path, SetClock()) as opened:
        yield opened


def found(book: Register, runs: tuple[Run, ...]) -> list[str]:
    """The ids that the runs lead to, one for each gap."""
    ids = []
    for n, run in enumerate(runs):
        gaps = detect(run.verdict(f"run-{n}"), run.plan)
        assert len(gaps) == 1, gaps
        done = register(Findings(run.plan, run.verdict(f"run-{n}"), gaps, START + 60 * n), book)
        ids += [each.near_miss.id for each in done.recorded]
    return ids


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_one_problem_stays_one(book: Register, pair: tuple[Run, Run]) -> None:
    assert found(book, pair) == ["NM-2026-0001", "NM-2026-0001"]
    assert book.get("1").occurrences == 2


@pytest.mark.parametrize("pair", OTHER.values(), ids=OTHER)
def test_two_problems_stay_two(book: Register, pair: tuple[Run, Run]) -> None:
    assert found(book, pair) == ["NM-2026-0001", "NM-2026-0002"]
