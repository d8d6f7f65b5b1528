"""What people read of alerts: in plans, in a run's three statements, and while it goes on."""

from __future__ import annotations

import pytest

from chaosrunner.judging.reading import Reading
from chaosrunner.model import journal as j
from chaosrunner.reports.narrator import Narrator
from chaosrunner.reports.plan import plan_text
from chaosrunner.reports.summary import summary
from chaosrunner.reports.words import Tone, statements
from chaosrunner.stages.judge import judge
from tests.judging.journals import Story
from tests.judging.test_alerts import WATCHED_ALL, broken, seen, story, watched


def test_a_plan_says_what_should_be_raised() -> None:
    samples: dict[str, Reading] = {}
    lines = list(plan_text(watched(labels={"severity": "page"}), samples))
    assert "    should raise the alert PaymentsSlow, severity=page within 20s" in lines


def test_a_report_says_what_fired_and_what_did_not() -> None:
    _, fired, _ = statements(judge(story(*WATCHED_ALL, seen(17.0, "silenced", source="alertmanager")).entries()))
    assert (fired.tone, fired.says) == (Tone.BAD, "“slo is kept” held; 1 alert did not fire in time.")
    assert fired.details[-1].startswith("alert PaymentsSlow DID NOT FIRE IN TIME: it did not fire within 20 s")
    _, told, _ = statements(judge(story(*WATCHED_ALL, seen(17.0, "firing")).entries()))
    assert told.tone is Tone.GOOD
    assert told.details[-1].startswith("alert PaymentsSlow fired: Prometheus saw it fire 6.8 s after")
    late = judge(story(*WATCHED_ALL).entries())
    assert "    ✗ alert PaymentsSlow DID NOT FIRE IN TIME: it did not fire within 20 s" in summary(late)
    verdict, _ = broken(*(event for event in WATCHED_ALL if not isinstance(event[1], j.AlertRuleSeen)))
    assert statements(verdict)[1].details[-1] == "slo broke and no alert began to fire: nobody would have been told"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (seen(17.0, "firing", labels={"a": "b"})[1], "Prometheus: PaymentsSlow (a=b) FIRES"),
        (seen(17.0, "silenced", source="alertmanager")[1], "Alertmanager: PaymentsSlow fires, silenced"),
        (seen(17.0, "gone")[1], "Prometheus: PaymentsSlow fires no more"),
        (
            j.AlertsRead(source="prometheus", began=1.0, ended=2.0, trouble="HTTP 503"),
            "Prometheus does not say which alerts fire: HTTP 503",
        ),
        (j.SilenceEnded(ids=("1",)), "the silence is ended"),
        (j.SilenceEnded(trouble="refused"), "a silence may still be there: refused"),
    ],
)
def test_a_run_tells_of_alerts_as_they_come(event: j.Event, words: str) -> None:
    entry = Story().entries()[0]
    told = Narrator().tell(j.Entry(n=entry.n, t=entry.t, at=entry.at, event=event))
    assert told is not None and told.text == words
