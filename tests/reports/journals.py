"""Journals of made-up runs, as realistic as real ones: a checkout whose payments become slow, and variations of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from chaosrunner.model import journal as j
from chaosrunner.model.environment import Environment
from chaosrunner.model.gap import Gap
from chaosrunner.model.plan import GuardAnswer, Plan
from chaosrunner.model.target import Target
from chaosrunner.model.verdict import Verdict
from chaosrunner.model.words import Answer

BEGAN = 1_795_344_663.12
RUN = "20261122-105103-4f2a9c"
LINK = Target(
    kind="link",
    id="link:checkout-to-payments",
    name="checkout → payments",
    service="checkout",
    to="payments",
)


def measure(key: str, **more: object) -> dict[str, object]:
    hypothesis, _, name = key.partition("/")
    plain = {"key": key, "hypothesis": hypothesis, "name": name, "probe": "http", "every": "1s", "timeout": "2s"}
    return {**plain, "lag": "0s", **more}


P99 = measure(
    "checkout-slo/p99",
    unit="s",
    room="latency",
    tolerance={
        "baseline": {"atMost": "200ms"},
        "fault": {"atMost": "4x baseline", "floor": "100ms"},
        "recovery": {"atMost": "1.5x baseline", "floor": "60ms"},
    },
    abortAt={"atMost": "2s", "for": "5s"},
)
ERRORS = measure("checkout-slo/error-ratio", unit="ratio", room="ratio", tolerance={"atMost": "1%"})
STATUS = measure("storefront-up/status", tolerance={"equals": 200.0})
MODE = measure("storefront-up/mode")


def plan(**changes: object) -> Plan:
    """The plan of the made-up run; `changes` replace whole fields."""
    environment = {
        "apiVersion": "chaosrunner.dev/v1",
        "kind": "Environment",
        "metadata": {"name": "laptop"},
        "spec": {"platform": {"local": {}}},
    }
    fault = {
        "id": "slow",
        "fault": "network-latency",
        "params": {"delay": "300ms", "jitter": "50ms"},
        "targets": [LINK.as_json()],
        "candidates": 1,
        "lasts": "20s",
        "settle": "3s",
        "faultClass": "dependency-slow",
        "does": "delays what passes between checkout and payments by 300 ms ± 50 ms in each direction",
        "undo": "passes everything on at once again",
    }
    fields: dict[str, object] = {
        "experiment": "checkout-when-payments-is-slow",
        "title": "Checkout keeps its promise while payments is slow",
        "service": "checkout",
        "owner": "team-checkout",
        "environment": Environment.model_validate(environment),
        "seed": 7,
        "hypotheses": (
            {"name": "checkout-slo", "title": "Shoppers can check out", "measures": [P99, ERRORS]},
            {"name": "storefront-up", "title": "The storefront is there", "measures": [STATUS, MODE]},
        ),
        "baseline": {"for": "10s"},
        "method": ({"faults": [fault]},),
        "recovery": {"within": "15s", "holds": "5s"},
        "guards": (
            GuardAnswer(guard="maxAffected", go=True, reason="1 of 1 link is hit, at least one is allowed"),
            GuardAnswer(guard="production", go=True, reason="laptop is not a production system"),
        ),
        "sources": ({"path": "experiments/checkout-when-payments-is-slow.yaml", "sha256": "9f" * 32},),
        "command": "chaosrunner run experiments/checkout-when-payments-is-slow.yaml -e laptop --seed 7",
    }
    return Plan.model_validate(fields | changes)


@dataclass
class Script:
    """Writes a journal entry by entry."""

    entries: list[j.Entry] = field(default_factory=list)

    def at(self, t: float, *events: j.Event) -> Script:
        for event in events:
            self.entries.append(j.Entry(n=len(self.entries) + 1, t=round(t, 6), at=round(BEGAN + t, 3), event=event))
        return self

    def sorted(self) -> list[j.Entry]:
        ordered = sorted(self.entries, key=lambda entry: (entry.t, entry.n))
        return [j.Entry(n=n, t=e.t, at=e.at, event=e.event) for n, e in enumerate(ordered, 1)]


def started(the_plan: Plan, run: str = RUN) -> j.RunStarted:
    return j.RunStarted(
        run=run,
        plan=the_plan,
        who="ana",
        host="workbench",
        pid=4711,
        folder="shop",
        versions={"chaosrunner": "0.1.0", "python": "3.11.9"},
    )


def reading(key: str, t: float, value: object = None, **more: object) -> j.ReadingTaken:
    return j.ReadingTaken.model_validate(
        {"measure": key, "began": round(t - 0.02, 4), "ended": round(t, 4), "value": value, **more}
    )


def baseline_taken(median: float) -> j.BaselineTaken:
    return j.BaselineTaken.model_validate({"measure": "checkout-slo/p99", "median": median, "readings": 10})


def payments_are_slow(*, broken: bool = True, run: str = RUN, seconds: float = 40.0) -> list[j.Entry]:
    """Baseline to 10 s, 300 ms of latency from 10.3 s to 30.4 s, recovered at 33 s; error answers in between."""
    chance = random.Random(run)
    script = Script()
    script.at(0.0, started(plan(), run))
    script.at(0.001, *(j.GuardAnswered(answer=answer) for answer in plan().guards))
    script.at(0.01, j.PhaseBegan(phase="baseline"))
    script.at(10.1, j.PhaseEnded(phase="baseline", because="steady"))
    script.at(10.1, baseline_taken(0.041))
    script.at(10.12, j.PhaseBegan(phase="fault"), j.StepBegan(step="slow", lasts=20.0))
    _fault(script)
    script.at(30.5, j.StepEnded(step="slow"), j.PhaseEnded(phase="fault", because="done"))
    script.at(30.52, j.PhaseBegan(phase="recovery"))
    script.at(seconds - 0.1, j.PhaseEnded(phase="recovery", because="recovered"))
    script.at(seconds, j.RunEnded(ending="finished"))
    for second in range(1, int(seconds)):
        _readings(script, second + chance.random() * 0.2, chance, broken)
    return script.sorted()


def _fault(script: Script) -> None:
    undo = {"link": "checkout-to-payments"}
    prepared = j.FaultPrepared(
        fault="slow/1",
        step="slow",
        kind="network-latency",
        params={"delay": "300ms", "jitter": "50ms"},
        target=LINK,
        deadline=BEGAN + 35,
        undo=undo,
        by_hand=("chaosrunner heal",),
    )
    script.at(10.15, prepared).at(10.2, j.FaultInjected(fault="slow/1"))
    how = "round trip 612 ms, was 1 ms"
    script.at(10.9, j.FaultSeen(fault="slow/1", seen=True, how=how), j.FaultInForce(fault="slow/1"))
    for t in (15.0, 20.0, 25.0, 30.0):
        script.at(t, j.FaultSeen(fault="slow/1", seen=True, how=how))
    script.at(30.2, j.FaultTouched(fault="slow/1", count=1204), j.UndoBegan(fault="slow/1", because="finished"))
    script.at(30.4, j.FaultUndone(fault="slow/1", because="finished", seen_gone=True, how="round trip 1 ms"))


def _readings(script: Script, t: float, chance: random.Random, broken: bool) -> None:
    slow = 10.9 < t < 31.5
    latency = 0.041 + chance.random() * 0.012 + (0.62 + chance.random() * 0.08 if slow and broken else 0.06 * slow)
    if broken and 24 < t < 27:
        script.at(t, reading("checkout-slo/p99", t, no_answer="did not answer within 2 s"))
    elif 17 < t < 18:
        script.at(t, reading("checkout-slo/p99", t, missing="the probe was cut off by its own time limit"))
    else:
        script.at(t, reading("checkout-slo/p99", t, round(latency, 5)))
    errors = (0.03 + chance.random() * 0.05) * (broken and 20 < t < 31.5)
    script.at(t + 0.01, reading("checkout-slo/error-ratio", t + 0.01, round(errors, 5)))
    script.at(t + 0.02, reading("storefront-up/status", t + 0.02, 200.0))
    script.at(t + 0.03, reading("storefront-up/mode", t + 0.03, "fallback" if slow else "normal"))


def _phase(phase: str, answer: str, reason: str, **more: object) -> dict[str, object]:
    return {"phase": phase, "judged": True, "answer": answer, "reason": reason, "readings": 10, **more}


def _p99(broken: bool) -> dict[str, object]:
    answer = Answer.BROKEN if broken else Answer.HELD
    worst, margin = (0.698, -3.256) if broken else (0.112, 0.317)
    because = (
        "698 ms at 21.1 s, at most 4x baseline (164 ms) was allowed, outside for 19.2 s"
        if broken
        else "112 ms at most, 164 ms was allowed"
    )
    usual = {"rule": "at most 200ms", "high": 0.2, "median": 0.041, "least": 0.04, "most": 0.053}
    fault = {
        "rule": "at most 4x baseline",
        "high": 0.164,
        "median": 0.66 if broken else 0.1,
        "least": 0.04,
        "most": worst,
        "worst": worst,
        "worst_at": 21.1,
        "margin": margin,
        "missing": 1,
        "no_answers": 3 * broken,
        "violated_for": 19.2 * broken,
    }
    after = {"rule": "at most 1.5x baseline", "high": 0.0615, "median": 0.044, "least": 0.04, "most": 0.052}
    return {
        "key": "checkout-slo/p99",
        "name": "p99",
        "unit": "s",
        "judged": True,
        "answer": answer,
        "reason": because,
        "baseline": 0.041,
        "phases": [
            _phase("baseline", "held", "53 ms at most", **usual),
            _phase("fault", answer, because, **fault),
            _phase("recovery", "held", "52 ms at most", **after),
        ],
    }


def _errors(broken: bool) -> dict[str, object]:
    answer = Answer.BROKEN if broken else Answer.HELD
    said: dict[str, object] = {"rule": "at most 1%", "high": 0.01, "median": 0.0}
    return {
        "key": "checkout-slo/error-ratio",
        "name": "error-ratio",
        "unit": "ratio",
        "judged": True,
        "answer": answer,
        "reason": "7.6 % at 28.1 s, at most 1 % was allowed" if broken else "no errors",
        "phases": [
            _phase(phase, answer if phase == "fault" else "held", "as allowed", **said)
            for phase in ("baseline", "fault", "recovery")
        ],
    }


def _checkout_slo(broken: bool) -> dict[str, object]:
    p99 = _p99(broken)
    return {
        "name": "checkout-slo",
        "title": "Shoppers can check out",
        "answer": p99["answer"],
        "reason": p99["reason"],
        "closest": "checkout-slo/p99",
        "margin": -3.256 if broken else 0.317,
        "broken_during": ("slow/1",) if broken else (),
        "strength": "1 of 1" if broken else "",
        "measures": [p99, _errors(broken)],
    }


def _storefront_up() -> dict[str, object]:
    plain = {"judged": True, "answer": "held", "reason": "always 200", "phases": []}
    return {
        "name": "storefront-up",
        "title": "The storefront is there",
        "answer": "held",
        "reason": "always 200",
        "measures": [
            {"key": "storefront-up/status", "name": "status", **plain},
            {"key": "storefront-up/mode", "name": "mode", **plain, "judged": False, "reason": "observed only"},
        ],
    }


_SLOW = {
    "fault": "slow/1",
    "step": "slow",
    "kind": "network-latency",
    "target": LINK,
    "injected_at": 10.2,
    "in_force_at": 10.9,
    "undone_at": 30.4,
    "share_in_force": 0.98,
    "touched": 1204,
    "seen_gone": True,
}


def verdict(*, broken: bool = True, run: str = RUN, **changes: object) -> Verdict:
    """What the judge says of `payments_are_slow`."""
    fields: dict[str, object] = {
        "run": run,
        "experiment": "checkout-when-payments-is-slow",
        "answer": Answer.BROKEN if broken else Answer.HELD,
        "ending": "finished",
        "exit_code": 1 if broken else 0,
        "summary": "checkout-slo was broken while payments was slow." if broken else "Every promise was kept.",
        "hypotheses": [_checkout_slo(broken), _storefront_up()],
        "faults": [_SLOW],
        "recovery": {"answer": "held", "seconds": 1.8, "reason": "all measures were inside from 32.2 s on, for 5 s"},
        "seconds": 40.0,
    }
    return Verdict.model_validate(fields | changes)


def impact(**changes: object) -> Gap:
    """The gap that the broken run shows."""
    fields: dict[str, object] = {
        "kind": "impact",
        "finding": "near-miss",
        "title": "checkout-slo breaks while payments is slow for checkout",
        "story": "p99 was 698 ms while payments was slow; at most 164 ms was allowed. It was outside for 19.2 s.",
        "environment_class": "laptop",
        "service": "checkout",
        "fault_classes": ("dependency-slow",),
        "target_services": ("checkout",),
        "hypothesis": "checkout-slo",
        "strength": "1 of 1",
    }
    return Gap.model_validate(fields | changes)


def one_of_each() -> Sequence[j.Entry]:
    """Every type of event once, told or not, with words that try to break out of whatever shows them."""
    evil = "<script>alert(1)</script>[bold]&\x1b[31m"
    script = Script()
    target = Target(kind="process", id="process:x:1", name=evil, service="x")
    script.at(0.0, started(plan(title=evil)))
    events: tuple[j.Event, ...] = (
        j.GuardAnswered(answer=GuardAnswer(guard="windows", go=False, reason=evil)),
        j.PhaseBegan(phase="baseline"),
        reading("checkout-slo/p99", 1.0, 0.04),
        reading("checkout-slo/p99", 1.1, no_answer=evil),
        reading("checkout-slo/p99", 1.2, missing=evil),
        reading("storefront-up/mode", 1.3, evil),
        reading("storefront-up/status", 1.3, True),
        reading("not-in-the-plan/x", 1.3, 1.0),
        baseline_taken(0.04),
        j.PhaseEnded(phase="baseline", because=evil),
        j.PhaseBegan(phase="fault"),
        j.StepBegan(step="slow", lasts=20.0),
        j.FaultPrepared(fault="slow/1", step="slow", kind="process-pause", params={"a": evil}, target=target,
                        deadline=BEGAN + 9, undo={}, by_hand=(evil,)),
        j.FaultInjected(fault="slow/1"),
        j.FaultSeen(fault="slow/1", seen=False, how=evil),
        j.FaultSeen(fault="slow/1", seen=True, how=evil),
        j.FaultInForce(fault="slow/1"),
        j.FaultFailed(fault="slow/1", stage="touched", error=evil),
        j.FaultLost(fault="slow/1", how=evil),
        j.FaultTouched(fault="slow/1", count=None),
        j.TrafficSample(due=50, ok=49, errors=1, p50=0.01, p95=0.02, p99=0.03),
        j.LimitReached(measure="checkout-slo/p99", limit="at most 2s", value=2.5, reading_ended=2.0),
        j.LimitReached(measure="checkout-slo/p99", limit="15s", blind=True),
        j.UndoBegan(fault="slow/1", because="aborted"),
        j.UndoFailed(fault="slow/1", error=evil, attempts=3, commands=(evil,)),
        j.FaultUndone(fault="slow/1", because="heal", seen_gone=False, how=evil),
        j.StepEnded(step="slow"),
        j.StepBegan(step="", lasts=2.0),
        j.StepEnded(step=""),
        j.HaltRequested(by="ana", reason=evil),
        j.Spilled(what="process-gone", service="cart", detail=evil),
        j.AlertRuleSeen(alert=evil, trouble=evil),
        j.AlertsRead(source="prometheus", began=1.0, ended=1.1, trouble=evil),
        j.AlertSeen(source="alertmanager", alert=evil, labels={evil: evil}, state="silenced", after=1.0, ended=2.0),
        j.SilencePrepared(matchers=(evil,), starts_at=BEGAN, ends_at=BEGAN + 60, comment=evil),
        j.SilenceMade(id=evil),
        j.SilenceEnded(trouble=evil),
        j.PluginMisbehaved(plugin="probes/http", error=evil),
        j.Noted(who="ana", text=evil),
        j.Unknown(type="from-the-future"),
        j.PhaseEnded(phase="fault", because="aborted"),
        j.RunEnded(ending="aborted", reason=evil),
    )  # fmt: skip
    for index, event in enumerate(events, 1):
        script.at(index * 0.5, event)
    return script.sorted()
