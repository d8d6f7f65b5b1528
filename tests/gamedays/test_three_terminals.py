"""A game day of three people in three terminals, on a real service of this machine, in `real_time`. The facilitator's
terminal is closed in mid-fault: the fault is gone, and the game day goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chaosrunner.app.gamedays import Shelf
from chaosrunner.clock import SystemClock
from chaosrunner.model.journal import Noted
from chaosrunner.store.journal import read_journal
from tests.gamedays.terminals import Terminal
from tests.local_fixtures import machine, stage
from tests.local_stage import Stage, ask, until

__all__ = ["machine", "stage"]

EXPERIMENT = """\
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {{name: {name}}}
spec:
  title: {title}
  environment: stage
  hypotheses:
    - name: one
      title: One is one
      measures: [{{name: one, noop: {{}}, every: 100ms, tolerance: {{equals: 1}}}}]
  baseline: 300ms
  method: [{step}]
  recovery: {{within: 2s, holds: 200ms}}
"""
SLOW = "{fault: network-latency, target: {link: way}, with: {delay: 150ms}, for: 60s}"
NOTHING = "{fault: noop, for: 200ms}"
DAY = """\
apiVersion: chaosrunner.dev/v1
kind: GameDay
metadata: {name: bad-day}
spec:
  title: A bad day
  environment: stage
  roles: {scribe: ben}
  goNoGo: {ask: ["Does support know?"]}
  agenda:
    - {experiment: slow, briefing: Watch the orders.}
    - {experiment: nothing, blind: true, questions: ["Who noticed?"]}
"""

Open = Callable[..., Terminal]


@pytest.fixture
def sit_down(stage: Stage) -> Iterator[Open]:
    """Opens a terminal for somebody; all are closed in the end."""
    opened: list[Terminal] = []

    def opens(who: str, *words: str) -> Terminal:
        opened.append(Terminal(stage.folder, who, "--state", "state", "gameday", *words))
        return opened[-1]

    yield opens
    for terminal in opened:
        terminal.end()


def lay_out(stage: Stage) -> None:
    environment = {"platform": {"local": stage.spec}}
    document = {"apiVersion": "chaosrunner.dev/v1", "kind": "Environment", "metadata": {"name": "stage"}}
    (stage.folder / "stage.json").write_text(json.dumps({**document, "spec": environment}))
    for name, title, step in (("slow", "The way is slow", SLOW), ("nothing", "Nothing at all", NOTHING)):
        (stage.folder / f"{name}.yaml").write_text(EXPERIMENT.format(name=name, title=title, step=step))
    (stage.folder / "day.yaml").write_text(DAY)


async def takes_its_usual_time(port: int) -> bool:
    said, seconds = await ask(port)
    return said not in ("silent", "refused", "reset") and seconds < 0.15


@pytest.mark.real_time
async def test_three_people_hold_a_game_day_and_its_facilitators_terminal_is_closed(
    stage: Stage, sit_down: Open
) -> None:
    platform = stage.platform()
    await platform.system.up()
    lay_out(stage)
    ana, eve = sit_down("ana", "run", "bad-day"), sit_down("eve", "watch")
    ana.expect("Does support know")
    ana.type("y")
    ana.expect("All say go")
    ana.type("g")
    ana.expect("Watch the orders")
    ana.expect("Begin")
    ana.type("b")
    eve.expect("IN FORCE")
    assert not await takes_its_usual_time(stage.link_port)

    ben = sit_down("ben", "note", "orders", "are", "slow")
    assert ben.finished() == 0
    eve.expect("ben: orders are slow")
    ana.expect("orders are slow")
    ana.close()
    await until(lambda: takes_its_usual_time(stage.link_port))
    assert ana.process.wait(20) == 6
    eve.expect("1. The way is slow: HALTED, cut: halted by SIGHUP")

    again = sit_down("ana", "run", "bad-day")
    again.expect("going on: 0 of 2 items are through")
    again.expect("It was broken off")
    again.expect("Once more")
    again.type("s")
    again.expect("Why")
    again.type("we have seen it")
    again.expect("2. Nothing at all .a surprise")
    again.expect("Begin")
    again.type("b")
    again.expect("Who noticed")
    again.type("nobody")
    again.expect("The game day is over")
    assert again.finished() == 0
    followed = eve.expect("2. Nothing at all .it was a surprise.: HELD")
    assert "2. a surprise" in followed and "noop" not in followed.rpartition("2. a surprise")[0]
    eve.expect("the agenda is through")
    assert eve.finished() == 0
    written_down(stage.folder / "state")


def written_down(state: Path) -> None:
    """What the log, the journal and the report say of that game day."""
    (folder,) = (state / "gamedays").iterdir()
    standing = Shelf(state, SystemClock(), print).open("bad-day")
    standing.news()
    assert [each.state for each in standing.standing.items] == ["skipped", "done"]
    cut, _ = sorted((state / "runs").iterdir())
    notes = [entry.event for entry in read_journal(cut / "journal.jsonl") if isinstance(entry.event, Noted)]
    assert [(note.who, note.text) for note in notes] == [("ben", "orders are slow")]
    report = (folder / "after-action.md").read_text()
    assert "by ben, who wrote it down" in report and "**Who noticed?** nobody" in report
