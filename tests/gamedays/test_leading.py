"""The facilitator's part without a terminal: who leads, what is gone on with, what is silenced."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.app.leading import Leading, Office
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.model import gameday_log as log
from chaosrunner.stages.gameday import Move, Step
from chaosrunner.stages.gameday_file import load_game_day
from tests import loopback
from tests.gamedays.test_file import ENVIRONMENT, EXPERIMENT, GOOD
from tests.near_misses.world import SetClock

SILENCE = "  communications: {silence: {matchers: ['service=\"shop\"']}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(ENVIRONMENT)
    (tmp_path / "nothing.yaml").write_text(EXPERIMENT)
    (tmp_path / "day.yaml").write_text(GOOD)
    return tmp_path


def leading(folder: Path) -> Leading:
    """As `gameday run` begins it, or goes on with it."""
    loaded = load_game_day("bad-day", folder)
    office = Office(folder / "state", SetClock(), lambda words: None)
    return Leading(loaded, office.shelf.unfinished("bad-day") or office.shelf.new("bad-day"), office)


def test_only_one_leads_at_a_time(folder: Path) -> None:
    first, second = leading(folder), None
    assert first.begin() is False
    second = leading(folder)
    with pytest.raises(UsageError, match=r"leads through .*bad-day in another terminal"):
        second.begin()
    first.leave()
    assert second.begin() is True
    second.leave()


def test_what_was_begun_and_not_ended_is_cut_when_it_goes_on(folder: Path) -> None:
    first = leading(folder)
    first.begin()
    first.write(log.Decided(go=True), log.ItemBegan(item=1))
    first.leave()
    second = leading(folder)
    assert second.begin() is True
    assert second.move() == Move(Step.CUT, 1)
    second.leave()


def test_an_agenda_that_changed_meanwhile_is_not_gone_on_with(folder: Path) -> None:
    first = leading(folder)
    first.begin()
    first.leave()
    (folder / "day.yaml").write_text(GOOD.replace("{pause: 5m}", "{pause: 6m}"))
    second = leading(folder)
    with pytest.raises(UsageError, match=r"the agenda has changed since .*, in item 2"):
        second.begin()
    second.leave()


async def test_where_nobody_can_say_what_fires_it_should_stop(folder: Path) -> None:
    (folder / "shop.yaml").write_text(f'{ENVIRONMENT}  alertmanager: {{url: "http://127.0.0.1:9"}}\n')
    (folder / "day.yaml").write_text(f"{GOOD}  stopWhen: {{firing: [Page]}}\n")
    first = leading(folder)
    first.begin()
    met = await first.stop_after(log.ItemEnded(item=1))
    assert met is not None and met.condition == "firing" and met.text.startswith("what fires cannot be read: ")
    assert first.standing.stop == met
    first.leave()


async def test_a_silence_is_on_disk_before_it_is_made_and_ended_by_what_it_is_found_by(folder: Path) -> None:
    async with loopback.HttpServer() as server:
        (folder / "shop.yaml").write_text(f'{ENVIRONMENT}  alertmanager: {{url: "{server.url("").rstrip("/")}"}}\n')
        (folder / "day.yaml").write_text(GOOD + SILENCE)
        first = leading(folder)
        first.begin()
        server.on("/api/v2/silences", loopback.html(503, "Service Unavailable"))
        with pytest.raises(NotPossibleNow, match="the silence cannot be made"):
            await first.silence()
        assert first.standing.silence is not None, "it may have been made all the same"
        first.leave()

        second = leading(folder)
        second.begin()
        comment = str(second.standing.silence.order["comment"]) if second.standing.silence else ""
        assert comment == f"chaosrunner game day {second.book.id}"
        found: dict[str, object] = {
            "id": "s1",
            "comment": comment,
            "createdBy": "chaosrunner",
            "endsAt": "2026-10-01T12:00:00.000Z",
        }
        found |= {"status": {"state": "active"}}
        server.on("/api/v2/silences", loopback.as_json([found]))
        server.on("/api/v2/silence/s1", loopback.as_json({}))
        await second.end_silence()
        assert second.standing.silence is None
        server.on("/api/v2/silences", loopback.as_json({"silenceID": "s2"}))
        await second.silence()
        assert second.standing.silence is not None
        second.leave()
