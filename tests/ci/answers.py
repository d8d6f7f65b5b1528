"""Answers of gates, with everything in them that an output may have to bear."""

from __future__ import annotations

from datetime import date
from typing import Any

from chaosrunner.model.gate import GateAnswer, GateNearMiss, HypothesisAnswer, Passed, RuleAnswer, RunAnswer
from chaosrunner.model.near_miss import ItemLink
from chaosrunner.model.words import Answer, FindingClass, GapKind, Priority, State

AT = 1_790_000_000.0
NASTY = (
    "a | b <script>alert(1)</script> *bold* @everyone #12 `code` %0A::error::x"
    '\x1b[31m\x00 "quoted" & ünï, 50 %: [l](x)\nnext'
)
"""What a system under test may answer, and a title may hold."""


def near_miss(**changes: Any) -> GateNearMiss:
    good: dict[str, Any] = {
        "id": "NM-2026-0007",
        "title": "checkout: orders-go-through breaks while payments is slow",
        "finding": FindingClass.NEAR_MISS,
        "kind": GapKind.IMPACT,
        "service": "checkout",
        "priority": Priority.P1,
        "state": State.OPEN,
        "owner": "team-checkout",
        "due": date(2026, 10, 5),
        "opened_at": AT - 86400,
        "age": 86400.0,
        "change": "new",
        "shown": True,
        "experiments": ("payments-slow",),
        "fingerprint": "sha256:" + "5a" * 32,
        "says_no": True,
        "item": ItemLink(
            tracker="github", key="#12", url="https://github.com/acme/shop/issues/12", state="open", seen_at=AT
        ),
    }
    return GateNearMiss(**(good | changes))


KNOWN = near_miss(
    id="NM-2026-0002",
    title="cart: a restart loses carts",
    kind=GapKind.NO_RECOVERY,
    service="cart",
    priority=Priority.P3,
    state=State.WAIVED,
    change="known",
    fingerprint="sha256:" + "0b" * 32,
    experiments=("cart-restarts",),
    says_no=False,
    waived_until=date(2026, 12, 1),
    owner=None,
    item=None,
    overdue=True,
)


def run(**changes: Any) -> RunAnswer:
    good: dict[str, Any] = {
        "experiment": "payments-slow",
        "title": "Orders go through while payments is slow",
        "service": "checkout",
        "environment": "staging",
        "parameters": {"delay": "300ms", "share": 0.5},
        "run": "20261122T201500-aaaa",
        "attempts": ("20261122T201500-aaaa",),
        "verdict": Answer.BROKEN,
        "exit_code": 1,
        "why": "orders-go-through broke: p95 was 1.2 s, at most 500 ms",
        "hypotheses": (
            HypothesisAnswer(
                name="orders-go-through",
                title="Orders go through",
                answer=Answer.BROKEN,
                why="p95 was 1.2 s, at most 500 ms",
            ),
            HypothesisAnswer(name="no-errors", title="No errors", answer=Answer.HELD, why="0 of 1200 failed"),
        ),
        "began": AT - 100,
        "seconds": 75.3,
        "report": ".chaosrunner/runs/20261122T201500-aaaa/report.html",
        "near_misses": ("NM-2026-0007",),
        "file": "experiments/payments-slow.yaml",
        "line": 12,
    }
    return RunAnswer(**(good | changes))


RUN_KNOWN = run(
    experiment="cart-restarts",
    title=NASTY,
    service="cart",
    parameters={},
    why="carts broke: 3 of 40 lost",
    hypotheses=(HypothesisAnswer(name="carts", title="Carts stay", answer=Answer.BROKEN, why=NASTY),),
    near_misses=("NM-2026-0002",),
    file="experiments/cart restarts.yaml",
    line=1,
    now=False,
)
RUN_UNKNOWN = run(
    experiment="zone-gone",
    title="A zone goes",
    parameters={},
    run=None,
    attempts=(),
    verdict=Answer.INCONCLUSIVE,
    exit_code=4,
    why="a guard refused: outside of the window Mon-Fri 09:00-16:00",
    hypotheses=(),
    began=None,
    seconds=0.0,
    report=None,
    near_misses=(),
    file="experiments/zone-gone.yaml",
    line=1,
)
RULES = (
    RuleAnswer(
        name="new",
        title="No new near miss is P2 or more urgent",
        answer="fail",
        why="NM-2026-0007 is new and P1",
        near_misses=("NM-2026-0007",),
    ),
    RuleAnswer(name="undo-failed", title="Every fault was taken back", answer="pass", why="everything is taken back"),
    RuleAnswer(
        name="inconclusive", title="Every experiment has a conclusive run", answer="unknown", why="zone-gone: refused"
    ),
    RuleAnswer(
        name="not-run", title="Every experiment was run within 7d", answer="fail", why="zone-gone: no conclusive run"
    ),
)


def no(**changes: Any) -> GateAnswer:
    good: dict[str, Any] = {
        "suite": "release",
        "title": "Before a release",
        "environment": "staging",
        "at": AT,
        "passed": Passed.NO,
        "exit_code": 1,
        "summary": "no: NM-2026-0007 is new and P1",
        "seconds": 151.0,
        "file": "suites/release.yaml",
        "rules": RULES,
        "runs": (run(), RUN_KNOWN, RUN_UNKNOWN),
        "near_misses": (near_miss(), KNOWN),
        "what_to_do": (
            "team-checkout sees to NM-2026-0007: `chaosrunner near-miss show NM-2026-0007 | less`",
            "Run zone-gone within its window",
        ),
    }
    return GateAnswer(**(good | changes))


def yes() -> GateAnswer:
    """With what is known, and let pass."""
    return no(
        passed=Passed.YES,
        exit_code=0,
        summary="yes: 2 experiments, nothing new; 1 known near miss",
        rules=(
            RuleAnswer(name="new", title="No new near miss is P2 or more urgent", answer="pass", why="none is new"),
        ),
        runs=(RUN_KNOWN, run(verdict=Answer.HELD, exit_code=0, hypotheses=run().hypotheses[1:], near_misses=())),
        near_misses=(KNOWN,),
        what_to_do=(),
    )


def unknown() -> GateAnswer:
    return no(
        passed=Passed.UNKNOWN,
        exit_code=3,
        summary="it cannot be said: zone-gone: refused",
        rules=RULES[1:3],
        runs=(RUN_UNKNOWN,),
        near_misses=(),
        what_to_do=(),
    )
