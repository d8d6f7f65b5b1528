"""`remediate NM --check | --apply`: from a gap through its runbook to its verified fix, and everything in between."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chaosrunner.cli import chaosrunner
from chaosrunner.clock import SystemClock
from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model.heard import Heard
from chaosrunner.model.near_miss import HistoryEvent
from chaosrunner.model.pending import PendingApply, pending_apply
from chaosrunner.model.report import Report
from chaosrunner.model.words import State
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Record
from chaosrunner.stages.runbook import Rerun, rerun_of, veiled
from chaosrunner.store.played import PlayedRunbooks
from tests.local_fixtures import machine
from tests.local_stage import until
from tests.near_misses.world import near_miss

__all__ = ["machine"]

ENVIRONMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: here}
spec:
  verification: {runs: 1, days: 1}
  platform: {local: {services: {web: {listens: 4}}}}
  guards: {production: false}
"""
EXPERIMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {name: pages}
spec:
  title: Pages are quick
  environment: here
  service: web
  hypotheses:
    - name: quick
      title: Pages are quick
      measures:
        - name: seconds
          unit: s
          command: {run: [cat, ../limit], read: number}
          every: 100ms
          timeout: 2s
          tolerance: {fault: {atMost: 2s}, recovery: {atMost: 2s}}
  baseline: 300ms
  method: [{fault: noop, for: 600ms}]
  recovery: {within: 700ms, holds: 300ms}
  remediation:
    runbook:
      command:
        check: [sh, -c, 'echo "- $(cat limit)"; echo "password=hunter2 $TOKEN"; test "$(cat limit)" = 1 || exit 2']
        apply: [sh, -c, 'echo 1 >limit; echo $TOKEN']
        folder: ..
        env: {TOKEN: {env: A_TOKEN}}
"""


class World:
    """A project with an experiment that shows a gap for as long as the file `limit` says 9."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.limit = folder / "limit"
        self.limit.write_text("9\n")
        for name, text in (("environments/here.yaml", ENVIRONMENT), ("experiments/pages.yaml", EXPERIMENT)):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        file = self.folder / name
        assert file.read_text().count(old) == 1
        file.write_text(file.read_text().replace(old, new))

    def runbook(self, written: str) -> None:
        """Another one."""
        file = self.folder / "experiments/pages.yaml"
        file.write_text(f"{EXPERIMENT[: EXPERIMENT.index('    runbook:')]}    runbook: {written}\n")

    def call(self, *words: str) -> Result:
        return CliRunner(env={"CHAOSRUNNER_WHO": "ana", "A_TOKEN": "s3cr3t-tok3n"}).invoke(
            chaosrunner, ["--state", "state", *words], catch_exceptions=True
        )

    def refused(self, *words: str) -> ChaosrunnerError:
        error = self.call(*words).exception
        assert isinstance(error, ChaosrunnerError), error
        return error

    @property
    def record(self) -> Record:
        with open_register(self.folder / "state", SystemClock()) as register:
            return register.show("1")

    @property
    def happened(self) -> list[str]:
        return [each.what for each in self.record.history if each.what.startswith("runbook")]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """After a run that showed the gap; tests that change something take a copy."""
    with pytest.MonkeyPatch.context() as patch:
        made = World(tmp_path_factory.mktemp("shown"))
        patch.chdir(made.folder)
        patch.setenv("CHAOSRUNNER_MACHINE", str(made.folder / "machine"))
        said = made.call("run", "pages")
        assert "1 near miss found" in said.output, (said.output, said.exception)
        yield made


@pytest.fixture
def world(shown: World, tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    import shutil

    folder = tmp_path / "project"
    shutil.copytree(shown.folder, folder, ignore=shutil.ignore_patterns("machine"))
    monkeypatch.chdir(folder)
    return World(folder)


def test_a_check_says_what_would_change_and_changes_nothing(world: World) -> None:
    said = world.call("remediate", "1", "--check")
    assert said.exit_code == 0
    assert "what would change: 1 change" in said.output and "      - 9" in said.output
    assert "--apply" in said.output and world.limit.read_text() == "9\n"
    assert world.happened == ["runbook checked"] and world.record.near_miss.state is State.OPEN
    assert world.call("remediate", "1", "--check", "--strict").exit_code == 1
    world.limit.write_text("1\n")
    found = json.loads(world.call("remediate", "1", "--check", "--strict", "--json").stdout)
    assert (found["checked"]["drift"], found["checked"]["asWanted"], found["applied"]) == (False, True, None)


def test_secrets_are_neither_shown_nor_kept(world: World) -> None:
    said = world.call("remediate", "1", "--check").output
    kept = "".join(each.read_text() for each in world.folder.glob("state/runbooks/*/*.txt"))
    history = "".join(each.reason for each in world.record.history)
    for text in (said, kept, history):
        assert "s3cr3t" not in text and "hunter2" not in text
    assert "password=(secret)" in kept and "- 9" in kept


def test_what_was_applied_is_on_record_although_its_output_cannot_be_kept(world: World) -> None:
    world.change(
        "experiments/pages.yaml",
        "'echo 1 >limit;",
        "'echo 1 >limit; rm -r state/runbooks/NM*; echo >state/runbooks/NM-2026-0001;",
    )
    error = world.refused("remediate", "1", "--apply")
    assert error.exit_code == 3 and "cannot write state/runbooks/NM-2026-0001" in str(error)
    assert world.happened[-1] == "runbook applied" and world.record.near_miss.state is State.FIX_READY


def test_a_command_with_a_secret_in_its_arguments_is_told_without_it(world: World) -> None:
    world.runbook("{command: {check: ['true'], apply: [deploy, --password=hunter2]}}")
    assert "Runs deploy --password=(secret)" in world.call("remediate", "1", "--check").output
    assert world.call("run", "pages").exit_code == 1
    assert world.record.occurrences[-1].runbook == "Runs deploy --password=(secret)"


def test_applied_it_is_fix_ready_and_the_run_that_follows_verifies_it(world: World) -> None:
    done = world.call("remediate", "1", "--apply", "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert world.limit.read_text() == "1\n"
    assert found["state"] == "fix-ready" and found["applied"]["changes"][0]["what"].startswith("ran sh -c")
    assert found["run"]["exitCode"] == 0 and found["run"]["verification"][0].startswith("NM-2026-0001 is verified")
    near_miss = world.record.near_miss
    assert near_miss.state is State.VERIFIED
    assert near_miss.fixed_by is not None and near_miss.fixed_by.startswith("runbook command: Runs sh -c")
    assert world.happened == ["runbook checked", "runbook begun", "runbook applied", "runbook tried"]
    assert {each.actor for each in world.record.history if each.what.startswith("runbook")} == {"ana"}


def test_with_nothing_to_change_nothing_is_applied_and_it_is_run_again(world: World) -> None:
    world.limit.write_text("1\n")
    done = world.call("remediate", "1", "--apply")
    assert done.exit_code == 0 and "nothing to apply" in done.output
    assert "NM-2026-0001 (open) was not shown; if it is fixed, say" in done.output
    assert world.happened == ["runbook checked"]


def test_a_failed_check_keeps_it_from_being_applied(world: World) -> None:
    world.change("experiments/pages.yaml", "|| exit 2", "|| { echo no idea; exit 1; }")
    error = world.refused("remediate", "1", "--apply")
    assert error.exit_code == 3 and "exited with 1: no idea" in str(error) and "-check.txt" in str(error)
    assert world.limit.read_text() == "9\n" and world.happened == ["runbook check failed"]


def test_a_failed_apply_is_on_record_and_nothing_is_fix_ready(world: World) -> None:
    world.change("experiments/pages.yaml", "echo $TOKEN']", "echo it broke; exit 4']")
    error = world.refused("remediate", "1", "--apply")
    assert error.exit_code == 3 and "exited with 4: it broke; what it had changed by then stays" in str(error)
    assert world.happened == ["runbook checked", "runbook begun", "runbook apply failed"]
    assert world.record.near_miss.state is State.OPEN


def test_production_takes_the_same_two_keys_as_a_run(world: World) -> None:
    world.change("environments/here.yaml", "production: false", "production: true")
    assert world.call("remediate", "1", "--check").exit_code == 0
    for words in ((), ("--i-know-this-is-production",), ("--i-know-this-is-production", "--second", "ana")):
        error = world.refused("remediate", "1", "--apply", *words)
        assert error.exit_code == 4 and "production: this is production" in str(error)
    assert world.limit.read_text() == "9\n" and "runbook begun" not in world.happened
    assert world.call("remediate", "1", "--apply", "--i-know-this-is-production", "--second", "bob").exit_code == 0


def test_no_change_is_made_out_of_hours(world: World) -> None:
    world.change("environments/here.yaml", "{production: false}", "{windows: ['Mon-Sun 00:00-00:00']}")
    assert "windows: outside of" in str(world.refused("remediate", "1", "--apply"))


def test_check_warns_of_a_playbook_that_is_not_there(world: World) -> None:
    world.runbook("{ansible: {playbook: runbooks/limits.yaml}}")
    said = world.call("check")
    assert said.exit_code == 0
    assert "the runbook cannot be played: there is no runbooks/limits.yaml beside this file" in said.output
    assert "there is no playbook" in str(world.refused("remediate", "1", "--check"))
    (world.folder / "experiments/runbooks").mkdir()
    (world.folder / "experiments/runbooks/limits.yaml").write_text("[]\n")
    assert "the runbook cannot be played" not in world.call("check").output


def test_one_without_a_runbook_says_where_it_would_be(world: World) -> None:
    file = world.folder / "experiments/pages.yaml"
    file.write_text(EXPERIMENT[: EXPERIMENT.index("  remediation:")])
    error = world.refused("remediate", "1", "--check")
    assert error.exit_code == 2
    assert "its experiment pages names none: `remediation: {runbook: {…}}` (kinds: ansible, chef," in str(error)
    file.unlink()
    assert "the experiment that shows NM-2026-0001 is not found from here" in str(
        world.refused("remediate", "1", "--check")
    )


def test_a_tool_that_is_not_installed_says_how_to_get_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.runbook("{chef: {local: true}}")
    error = world.refused("remediate", "1", "--check")
    assert error.exit_code == 3 and "cinc-client or chef-client is not installed: install Chef" in str(error)
    assert world.happened == ["runbook check failed"]


def test_two_do_not_play_at_once(world: World) -> None:
    with PlayedRunbooks(world.folder / "state").alone():
        error = world.refused("remediate", "1", "--check")
    assert error.exit_code == 3 and "plays a runbook from this state folder now" in str(error)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("1", "--check", "--apply"), "--apply checks first by itself"),
        (("--check",), "the runbook of which near miss?"),
        (("1", "2", "--check"), "the runbook of which near miss?"),
        (("1", "--check", "--sync"), "--sync is about items"),
        (("1", "--apply", "--strict"), "--strict is about a check"),
        (("1", "--second", "bob"), "--second goes with --check or --apply"),
    ],
)
def test_options_that_do_not_go_together_are_said(shown: World, words: tuple[str, ...], message: str) -> None:
    result = shown.call("remediate", *words)
    assert result.exit_code == 2 and message in result.output


async def test_a_signal_stops_it_and_all_that_it_started(world: World) -> None:
    world.change("experiments/pages.yaml", "echo 1 >limit;", "sleep 60 & echo $! >child; touch begun; wait;")
    process = applying()
    await until((world.folder / "begun").exists)
    process.send_signal(signal.SIGTERM)  # SIGINT takes the same way
    _, said = process.communicate(timeout=20)
    assert process.returncode == 6 and b"what it had changed by then stays" in said
    assert world.happened[-1] == "runbook stopped"
    await until(lambda: not running(int((world.folder / "child").read_text())))


def test_an_apply_that_was_killed_is_on_record_and_gone_on_with(world: World) -> None:
    slow = "touch begun; n=0; until test -e go || test $((n=n+1)) -gt 3000; do sleep 0.02; done; echo 1 >limit;"
    world.change("experiments/pages.yaml", "echo 1 >limit;", slow)
    process = applying()
    told = world.folder / "state/runbooks/.running.json"
    try:
        asyncio.run(until(lambda: (world.folder / "begun").exists() and told.exists(), within=60))
    finally:
        process.kill()
        process.communicate()
    busy = world.refused("remediate", "1", "--check")
    assert busy.exit_code == 3 and "still runs (process " in str(busy) and "remediate NM-2026-0001 --apply" in str(busy)
    (world.folder / "go").touch()
    tool = json.loads(told.read_text())["process"]
    asyncio.run(until(lambda: not running(tool), within=60))

    said = world.call("remediate", "1", "--check").output
    assert "an apply of its runbook was begun at 20" in said and "and did not report its end" in said
    assert "what would change: nothing" in said
    assert "did not report its end" in world.call("near-miss", "show", "1").output
    assert not json.loads(world.call("near-miss", "show", "1", "--json").stdout)["pendingApply"]["ended"]
    assert world.happened == ["runbook checked", "runbook begun", "runbook checked"]

    done = world.call("remediate", "1", "--apply")
    assert "and did not report its end" in done.output and "nothing to apply" in done.output
    assert world.happened[3:] == ["runbook checked", "runbook lost", "runbook tried"]
    assert "a check since finds nothing left to change" in (world.record.near_miss.fixed_by or "")
    assert "did not report" not in world.call("remediate", "1", "--check").output


def test_killed_between_the_apply_and_its_run_the_next_goes_on_with_the_run(world: World) -> None:
    deadly = world.folder / "tools" / "cat"
    deadly.parent.mkdir()
    deadly.write_text('#!/bin/sh\ntest "$1" = ../limit && kill -9 "$PPID"\nexec /bin/cat "$@"\n')  # the run reads it so
    deadly.chmod(0o755)
    process = applying(PATH=f"{deadly.parent}:{os.environ['PATH']}")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL and world.record.near_miss.state is State.FIX_READY
    with open_register(world.folder / "state", SystemClock()) as register:
        soon = SystemClock().now() + 1
        heard = register.told(Report(title="Slow", service="web", environment="here", at=soon), "alertmanager")
    killed = max(each.name for each in (world.folder / "state" / "runs").iterdir())
    assert isinstance(heard, Heard) and heard.run == killed, "that run said that it was about to break something"
    said = world.call("remediate", "1", "--check").output
    assert "its runbook was applied at 20" in said and "no run has tried it since" in said
    world.limit.write_text("1 \n")  # an apply would write it anew
    done = world.call("remediate", "1", "--apply")
    assert "going on with the run that verifies it" in done.output, (done.output, done.exception)
    assert world.limit.read_text() == "1 \n"
    assert world.happened[-2:] == ["runbook checked", "runbook tried"]


def test_what_is_waived_stays_so_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    from chaosrunner.app.remedying import Remedied
    from chaosrunner.cli._remedying import _say_where_it_leaves

    nothing: Any = None
    for state, said in ((State.WAIVED, "NM-2026-0001 is waived and stays so"), (State.FIX_READY, "")):
        done = Remedied(near_miss(state=state), nothing, pending=PendingApply(by="ana", at=0.0, does="Plays it."))
        _say_where_it_leaves(done)
        assert said in (told := capsys.readouterr().err) and bool(told) is bool(said)


def test_what_of_an_apply_is_left_to_be_done_follows_from_the_history() -> None:
    def left(*happened: tuple[str, str]) -> str | None:
        events = [
            HistoryEvent(near_miss="1", at=n, actor="ana", what=what, before=more, after=more, reason="Plays it; all.")
            for n, (what, more) in enumerate(happened)
        ]
        found = pending_apply(events)
        assert found is None or found.does == "Plays it; all."
        return None if found is None else found.changed or "unknown"

    begun, applied = ("runbook begun", ""), ("runbook applied", "1 change")
    assert left() is None and left(("found", "open")) is None
    assert left(begun) == left(applied, begun, ("note", "")) == "unknown"
    assert left(begun, applied) == left(begun, applied, ("state", "open"), ("runbook checked", "nothing")) == "1 change"
    assert left(begun, applied, ("state", "fix-ready")) is None, "somebody took the fix back"
    assert left(begun, ("state", "fix-ready")) == "unknown"
    for end in (("runbook apply failed", ""), ("runbook lost", ""), ("runbook stopped", "while it was applied")):
        assert left(begun, end) is None
    assert left(begun, ("runbook stopped", "while it was checked")) == "unknown"


def applying(**more: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "chaosrunner", "--state", "state", "remediate", "1", "--apply"]
    env = {**os.environ, "A_TOKEN": "s3cr3t-tok3n", **more}
    return subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_command_of_a_run_is_read_as_it_was_given() -> None:
    assert rerun_of("chaosrunner run a/b.yaml -e 'my env' --parameter x=1=2 --parameter y= --seed 7") == Rerun(
        "a/b.yaml", "my env", (("x", "1=2"), ("y", "")), 7
    )
    assert rerun_of("chaosrunner near-miss report") is None and rerun_of("") is None


def test_of_a_private_key_nothing_is_left() -> None:
    key = "+-----BEGIN RSA PRIVATE KEY-----\n+MIIabc\n+def\n+-----END RSA PRIVATE KEY-----\n+rest"
    assert veiled(key).split("\n")[1:] == ["(secret)", "+rest"] and "MII" not in veiled(key)


def test_the_item_has_the_runbook_and_how_it_went(shown: World) -> None:
    (item,) = (shown.folder / "state" / "remediation").glob("NM-*")
    text = item.read_text()
    assert "    chaosrunner remediate NM-2026-0001 --check\n    chaosrunner remediate NM-2026-0001 --apply\n" in text
    assert "## Runbook\n\nRuns sh -c 'echo 1 >limit; echo $TOKEN'.\n" in text
    plot = text.partition("```text\n")[2].partition("```")[0].splitlines()
    assert plot[0].startswith("9 s │") and plot[4].startswith("2 s ┼") and plot[4].endswith("limit")
    assert plot[-1].split() == ["baseline", "fault", "recovery"]


def test_in_jira_the_plot_is_a_block_of_code_and_near_miss_show_names_the_runbook(shown: World) -> None:
    from chaosrunner.trackers.jira.document import blocks

    (item,) = (shown.folder / "state" / "remediation").glob("NM-*")
    codes = [str(each["content"][0]["text"]) for each in blocks(item.read_text()) if each["type"] == "codeBlock"]
    assert any("2 s ┼" in code and code.endswith("recovery") for code in codes)
    assert "chaosrunner remediate NM-2026-0001 --check\nchaosrunner remediate NM-2026-0001 --apply" in codes
    page = shown.call("near-miss", "show", "1").output
    assert "Mend it\n  chaosrunner remediate NM-2026-0001 --check\n  Runs sh -c" in page


def test_any_other_shape_is_drawn_too() -> None:
    from chaosrunner.model.course import Course, Stretch
    from chaosrunner.model.words import Phase
    from chaosrunner.reports.course import drawn

    def lines(*values: float | None, **more: Any) -> list[str]:
        stretch = Stretch(phase=Phase.FAULT, seconds=1.0, values=values, silent=more.pop("silent", ()))
        return list(drawn(Course(stretches=(stretch,)), **({"limit": None, "unit": None} | more)))

    assert lines(None, None) == []
    assert lines(0.0, 0.0)[-2] == "0 │▁▁"
    high = lines(1.0, 6.0, None, silent=(2,))
    assert high[0] == "6 │ █×" and high[5] == "0 │██" and high[-1].endswith("×: no answer")
    assert lines(0.1, limit=100.0)[0].endswith("┼┄  limit")
