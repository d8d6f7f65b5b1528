"""What a journal says of alerts: detected in time, not detected, or nothing that could be held against anybody.

The fault of these stories is injected at 10.1, in force from 10.2 to 40.2; looks at Prometheus take 10 ms.
"""

from __future__ import annotations

from typing import Any

import pytest

from chaosrunner.model import journal as j
from chaosrunner.model.environment import Environment
from chaosrunner.model.plan import Plan, PlannedItem
from chaosrunner.model.verdict import AlertVerdict
from chaosrunner.model.words import Answer, GapKind
from chaosrunner.stages.detect import detect
from chaosrunner.stages.judge import judge
from tests.judging.journals import Story, fault, one, plan, steps

MANY_RULES = {"rules": 5, "quickest": 3.0}


def watched(**expected: Any) -> Plan:
    """A plan that expects PaymentsSlow within 20 s, in an environment with both sources."""
    good = {"name": "PaymentsSlow", "within": "20s"} | expected
    return with_sources(plan(method=[PlannedItem(faults=(fault(expect_alert=good),))]))


def with_sources(of: Plan, **alerts: Any) -> Plan:
    environment = of.environment.as_json()
    sources = {"prometheus": {"url": "http://p"}, "alertmanager": {"url": "http://a"}, "alerts": alerts}
    environment["spec"] |= sources  # type: ignore[operator]
    return of.model_copy(update={"environment": Environment.model_validate(environment)})


def read(t: float, trouble: str = "", source: Any = "prometheus", **more: Any) -> tuple[float, j.Event]:
    return t, j.AlertsRead(source=source, began=t - 0.01, ended=t, trouble=trouble, **more)


def seen(t: float, state: Any, alert: str = "PaymentsSlow", **more: Any) -> tuple[float, j.Event]:
    """At a look a second after the one that saw it otherwise."""
    return t, j.AlertSeen(
        **({"source": "prometheus", "alert": alert, "state": state, "after": t - 1, "ended": t} | more)
    )


def rule(t: float = 1.0, **more: Any) -> tuple[float, j.Event]:
    return t, j.AlertRuleSeen(**({"alert": "PaymentsSlow", "waits": 0.0, "every": 1.0} | more))


def story(*events: tuple[float, j.Event], of: Plan | None = None) -> Story:
    made = Story(of or watched())
    for t, event in events:
        made.add(t, event)
    return made


WATCHED_ALL = (rule(), read(1.0, **MANY_RULES), read(60.0, **MANY_RULES))


def answer(*events: tuple[float, j.Event], of: Plan | None = None) -> AlertVerdict:
    (found,) = judge(story(*events, of=of).entries()).alerts
    return found


def test_an_alert_that_fires_in_time_is_held_and_its_time_is_known() -> None:
    other = seen(18.0, "firing", source="alertmanager")
    found = answer(*WATCHED_ALL, seen(12.0, "pending"), seen(17.0, "firing", after=16.0), other)
    assert found.answer is Answer.HELD
    assert found.detected_after == found.prometheus_after == pytest.approx(6.8)
    assert found.alertmanager_after == pytest.approx(7.8)
    assert found.exact_to == pytest.approx(1.0)
    verdict = judge(story(*WATCHED_ALL, seen(17.0, "firing")).entries())
    assert verdict.exit_code == 0
    assert verdict.summary.endswith("; detected in 6.8 s.")


def test_the_source_that_the_file_names_is_the_one_whose_word_counts() -> None:
    events = (*WATCHED_ALL, seen(17.0, "firing"), read(1.0, source="alertmanager"), read(60.0, source="alertmanager"))
    found = answer(*events, of=watched(source="alertmanager"))
    assert found.answer is Answer.BROKEN
    assert "whether there is a rule of this name, Alertmanager cannot say" in found.reason


def test_an_alert_that_fires_too_late_or_never_is_a_gap() -> None:
    for events in ((), (seen(35.0, "firing"),)):
        made = story(*WATCHED_ALL, *events)
        verdict = judge(made.entries())
        assert (verdict.alerts[0].answer, verdict.exit_code) == (Answer.BROKEN, 1)
        (gap,) = detect(verdict, made.plan)
        assert (gap.kind, gap.subject, gap.hypothesis) == (GapKind.UNDETECTED, "PaymentsSlow", None)
        assert "the alert PaymentsSlow does not fire in time under network-latency on checkout to payments" in gap.title


def test_between_two_looks_it_may_have_been_in_time_or_not() -> None:
    found = answer(*WATCHED_ALL, seen(30.5, "firing", after=29.5))
    assert found.answer is Answer.INCONCLUSIVE
    assert "between 19.3 s and 20.3 s" in found.reason


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((*WATCHED_ALL, seen(2.0, "firing")), "it already fired before the fault was injected"),
        ((*WATCHED_ALL, seen(2.0, "pending"), seen(15.0, "firing")), "it was pending already"),
        ((*WATCHED_ALL, seen(10.5, "firing", after=9.5)), "within 1 s of the injection: before or after it?"),
        ((rule(trouble="there is no rule"), *WATCHED_ALL[1:]), "Prometheus cannot say: there is no rule"),
        ((rule(waits=300.0), *WATCHED_ALL[1:]), "its rule waits for 5m before it fires (`for`)"),
        ((), "Prometheus did not answer: it was never asked"),
        ((rule(), read(1.0, "refused")), "Prometheus did not answer: refused"),
        ((rule(), read(1.0), read(20.0)), "the run ended before the 20 s were over"),
        (
            (rule(), read(1.0), read(14.0), read(15.0, "refused"), read(21.0), read(60.0)),
            "Prometheus did not say for 6.99 s of the 20 s that count",
        ),
        ((*WATCHED_ALL, rule(15.0, trouble="late"), rule(22.0)), "Prometheus did not say for 7 s of the 20 s"),
    ],
)
def test_what_says_nothing_is_inconclusive(events: Any, words: str) -> None:
    found = answer(*events)
    assert found.answer is Answer.INCONCLUSIVE
    assert words in found.reason
    verdict = judge(story(*events).entries())
    assert verdict.exit_code == 3
    assert any(words in reason for reason in verdict.inconclusive_because)


def test_a_short_hole_hides_no_alert() -> None:
    events = (rule(), read(1.0), read(14.0), read(15.0, "refused"), read(17.0), read(60.0))
    assert answer(*events).answer is Answer.BROKEN


def test_other_labels_are_another_alert() -> None:
    expected = watched(labels={"service": "payments"})
    other = seen(17.0, "firing", labels={"service": "cart"})
    assert answer(*WATCHED_ALL, other, of=expected).answer is Answer.BROKEN
    mine = seen(18.0, "firing", labels={"service": "payments", "severity": "page"})
    assert answer(*WATCHED_ALL, other, mine, of=expected).answer is Answer.HELD


def test_a_silence_hides_nothing_and_is_told() -> None:
    found = answer(*WATCHED_ALL, seen(17.0, "firing"), seen(17.5, "silenced", source="alertmanager"))
    assert (found.answer, found.silenced) == (Answer.HELD, True)


def test_an_alert_that_went_away_before_may_fire_again() -> None:
    assert answer(*WATCHED_ALL, seen(2.0, "firing"), seen(6.0, "gone"), seen(17.0, "firing")).answer is Answer.HELD


# -- nobody was told


def broken(*events: tuple[float, j.Event], **alerts: Any) -> Any:
    made = one(steps((20.0, 30.0, 0.5)))
    made.plan = with_sources(made.plan, **alerts)
    made.events = [(0.0, j.RunStarted(**{**made.events[0][1].as_json(), "plan": made.plan})), *made.events[1:]]  # type: ignore[arg-type]
    for t, event in events:
        made.add(t, event)
    verdict = judge(made.entries())
    return verdict, [gap for gap in detect(verdict, made.plan) if gap.kind is GapKind.UNDETECTED]


LOOKS = (read(1.0, **MANY_RULES), read(60.0, **MANY_RULES))


def test_a_hypothesis_that_breaks_with_nobody_told_is_a_gap_of_its_own() -> None:
    verdict, gaps = broken(*LOOKS, seen(1.0, "firing", "Watchdog", after=None))
    assert verdict.unnoticed == ("slo",)
    assert [gap.subject for gap in gaps] == ["slo"]
    assert "nobody is alerted when slo breaks" in gaps[0].title


@pytest.mark.parametrize("state", ["firing", "pending"])
def test_any_alert_that_begins_tells_somebody(state: str) -> None:
    verdict, gaps = broken(*LOOKS, seen(25.0, state, "Whatever"))
    assert (verdict.noticed, verdict.unnoticed, gaps) == (("slo",), (), [])


@pytest.mark.parametrize(
    "events",
    [
        (),
        (read(1.0, rules=0), read(60.0, rules=0)),
        (read(1.0, rules=2, quickest=330.0), read(60.0, rules=2, quickest=330.0)),
        (read(1.0, source="alertmanager"), read(60.0, source="alertmanager")),
        (read(1.0, **MANY_RULES), read(12.0, "refused")),
    ],
    ids=["not asked", "no rules", "only patient rules", "only Alertmanager", "Prometheus down"],
)
def test_where_no_rule_could_have_fired_nothing_is_said(events: Any) -> None:
    verdict, gaps = broken(*events)
    assert (verdict.noticed, verdict.unnoticed, gaps) == ((), (), [])


def test_an_environment_may_not_want_to_know() -> None:
    assert broken(*LOOKS, unnoticed=False)[1] == []
