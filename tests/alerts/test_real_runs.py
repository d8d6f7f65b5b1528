"""Alerts as part of an experiment, against a real Prometheus and a real Alertmanager.

Each run leaves the system as it was: what one does to Prometheus is undone before the next.
"""

from __future__ import annotations

import os
import signal
import textwrap
import time

import pytest

from chaosrunner.model.words import Answer
from tests.alerts.monitoring import Monitored, fires, wait, wait_beside

pytestmark = pytest.mark.real_time

SILENCE = "  silence: {matchers: ['service=\"front\"', 'severity=~\"page|ticket\"']}"


def slow(alert: str, within: str = "2s", lasts: str = "1500ms", **more: str) -> str:
    """A step that makes calls slow, and the alert that it should raise."""
    also = "".join(f", {key}: {value}" for key, value in more.items())
    return f"""\
    - id: {alert.lower()}
      fault: network-latency
      target: {{link: front-to-back}}
      with: {{delay: 300ms}}
      for: {lasts}
      expectAlert: {{name: {alert}, within: {within}{also}}}
"""


def quiet(system: Monitored) -> None:
    """Nothing of an earlier run fires any more."""
    wait(lambda: not fires(system.prometheus, "CallsAreSlow"), 10, "CallsAreSlow still fires")


def test_the_time_to_detect_is_measured_while_a_silence_keeps_people_asleep(system: Monitored) -> None:
    quiet(system)
    run = system.begin("run", system.experiment("detected", slow("CallsAreSlow"), SILENCE), "--plain")
    wait_beside(run, lambda: system.of("silence-made"), "no silence was made")
    (silence,) = system.silences()
    assert silence["createdBy"] == "chaosrunner"
    assert system.journal()[0]["run"] in silence["comment"]
    assert [one["name"] for one in silence["matchers"]] == ["service", "severity"]
    wait(lambda: system.routed("CallsAreSlow"), 10, "Alertmanager does not have it")
    (routed,) = system.routed("CallsAreSlow")
    assert routed["status"] == {"inhibitedBy": [], "silencedBy": [silence["id"]], "state": "suppressed"}
    output = run.communicate(timeout=30)[0].decode()
    assert run.returncode == 0, output
    assert system.silences() == []
    found = system.alerts()["CallsAreSlow"]
    assert (found.answer, found.source, found.silenced) == (Answer.HELD, "prometheus", True)
    assert found.detected_after is not None and 0 <= found.detected_after <= 2
    assert found.alertmanager_after is not None
    assert "detected in" in output and "fires, silenced" in output
    (order,) = system.of("silence-prepared")
    assert order["endsAt"] - order["at"] <= 1.5 + 5 + 0.3 + 2 + 600


def test_of_alerts_that_do_not_fire_only_those_that_could_have_are_gaps(system: Monitored) -> None:
    quiet(system)
    nothing = "    - {{fault: noop, id: {0}, for: 900ms, expectAlert: {{name: {1}, within: 800ms}}}}\n"
    others = [nothing.format(*one) for one in (("a", "CallsAreVerySlow"), ("b", "CallsAreSlwo"), ("c", "Watchdog"))]
    together = textwrap.indent("".join([slow("Patient", "800ms", "900ms"), *others]), "    ")
    code, output = system.command("run", system.experiment("undetected", f"    - together:\n{together}"), "--plain")
    assert code == 1, output
    found = system.alerts()
    assert {name: one.answer.value for name, one in found.items()} == {
        "CallsAreVerySlow": "broken",
        "CallsAreSlwo": "inconclusive",
        "Watchdog": "inconclusive",
        "Patient": "inconclusive",
    }
    assert "its rule waits for 1h before it fires" in found["Patient"].reason
    assert found["CallsAreSlwo"].reason == "Prometheus cannot say: there is no alerting rule of this name"
    assert found["Watchdog"].reason == "it already fired before the fault was injected"
    assert "front: the alert CallsAreVerySlow does not fire in time under noop" in " ".join(output.split())


def test_a_silence_of_a_run_that_was_killed_is_found_and_ended(system: Monitored) -> None:
    quiet(system)
    run = system.begin("run", system.experiment("killed", slow("CallsAreSlow", lasts="30s"), SILENCE), "--plain")
    wait_beside(run, lambda: system.of("fault-in-force"), "no fault came into force")
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert len(system.silences()) == 1
    code, output = system.command("heal")
    assert code == 0, output
    assert "ended the silence" in output
    assert system.silences() == []
    assert system.of("silence-ended")[0]["trouble"] == ""
    code, output = system.command("heal")
    assert "nothing to heal" in output


def test_the_next_run_ends_the_silence_of_one_that_died_before_it_heard_its_id(system: Monitored) -> None:
    quiet(system)
    experiment = system.experiment("killed-early", slow("CallsAreSlow", lasts="30s"), SILENCE)
    system.alertmanager.hang()
    try:
        run = system.begin("run", experiment, "--plain")
        wait_beside(run, lambda: "killed-early" in str(system.of("silence-prepared")), "no order")
        # The request waits in Alertmanager's socket: it will be carried out although nobody is there any more.
        time.sleep(0.3)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    finally:
        system.alertmanager.go_on()
    assert not system.of("silence-made")
    wait(system.silences, 5, "Alertmanager did not make it")
    code, output = system.command("run", system.experiment("next", slow("CallsAreSlow")), "--plain")
    assert code == 0, output
    assert "ended the silence" in output
    assert system.silences() == []


def test_what_prometheus_did_not_see_is_not_held_against_the_system(system: Monitored) -> None:
    quiet(system)
    run = system.begin(
        "run", system.experiment("hanging", slow("CallsAreVerySlow", lasts="2s", within="2s")), "--plain"
    )
    wait_beside(run, lambda: system.of("fault-in-force"), "no fault came into force")
    system.prometheus.hang()
    try:
        output = run.communicate(timeout=30)[0].decode()
    finally:
        system.prometheus.go_on()
    assert run.returncode == 3, output
    assert "Prometheus does not say which alerts fire" in output
    assert "Prometheus did not say for" in system.alerts()["CallsAreVerySlow"].reason


def test_a_prometheus_that_is_restarted_meanwhile_still_sees_the_alert(system: Monitored) -> None:
    quiet(system)
    run = system.begin(
        "run", system.experiment("restarted", slow("CallsAreSlow", lasts="9s", within="15s", labels="{service: front}"))
    )
    wait_beside(run, lambda: system.of("baseline-taken") or system.of("phase-ended"), "the baseline is not over")
    system.prometheus.stop()
    wait_beside(run, lambda: system.of("fault-in-force"), "no fault came into force")
    system.prometheus.start()
    output = run.communicate(timeout=40)[0].decode()
    assert run.returncode == 0, output
    found = system.alerts()["CallsAreSlow"]
    assert found.answer is Answer.HELD
    assert found.detected_after is not None and found.detected_after > 1, (
        "Prometheus needs five seconds to find its targets again"
    )
