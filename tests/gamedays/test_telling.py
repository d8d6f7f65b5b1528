"""People outside are told that a game day goes and that it is over; what pages people is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.app.desk import Desk
from chaosrunner.app.gameday_telling import announce
from chaosrunner.http import Http
from chaosrunner.stages.gameday_file import LoadedDay, load_game_day
from tests.gamedays.test_file import ENVIRONMENT, EXPERIMENT, GOOD
from tests.near_misses.world import SetClock
from tests.news.receivers import RECEIVERS, Receiving

TOLD = ["slack", "splunk-on-call", "statuspage", "teams", "webhook"]
ID = "20270115-080000-bad-day"


def loaded(folder: Path, named: list[dict[str, Any]], of_environment: list[dict[str, Any]]) -> LoadedDay:
    (folder / "shop.yaml").write_text(f"{ENVIRONMENT}  notify: {json.dumps(of_environment)}\n")
    (folder / "nothing.yaml").write_text(EXPERIMENT)
    (folder / "day.yaml").write_text(f"{GOOD}  communications: {{notify: {json.dumps(named)}}}\n")
    return load_game_day("bad-day", folder)


async def told(day: LoadedDay, receiver: Receiving, state: Path) -> list[tuple[str, ...]]:
    async with Http(receiver.clock, environ=receiver.environ) as http:
        desk = Desk(state, receiver.clock, http, lambda words: None)
        before = await announce(day, ID, "before", "A game day goes", "Ask ana.", desk)
        receiver.clock.at += 60
        after = await announce(day, ID, "after", "The game day is over", "Thank you.", desk)
    return [before, after]


@pytest.mark.parametrize("kind", sorted(set(TOLD) & set(RECEIVERS)))
async def test_whoever_the_file_names_is_told_that_it_goes_and_that_it_is_over(kind: str, tmp_path: Path) -> None:
    async with RECEIVERS[kind](SetClock()) as receiver:
        day = loaded(tmp_path, [receiver.call()], [])
        assert await told(day, receiver, tmp_path / "state") == [(f"bad-day/{kind}",)] * 2
        pages_nobody = kind == "splunk-on-call"  # there it is information only
        assert receiver.shown[:1] == ([] if pages_nobody else ["A game day goes"])
        assert not getattr(receiver, "open", {})


@pytest.mark.parametrize(("events", "names"), [(["game-day", "game-day-over"], ["shop/webhook"]), (["found"], [])])
async def test_whom_the_environment_names_is_told_if_that_is_asked_for(
    events: list[str], names: list[str], tmp_path: Path
) -> None:
    async with RECEIVERS["webhook"](SetClock()) as receiver:
        ((kind, params),) = receiver.call().items()
        day = loaded(tmp_path, [], [{kind: {**params, "events": events}}])
        assert await told(day, receiver, tmp_path / "state") == [tuple(names)] * 2
        assert receiver.shown == (["A game day goes", "The game day is over"] if names else [])
