"""Game days in a register that many share, their logs and who leads through them; of PostgreSQL in `real_time`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from chaosrunner.app.gamedays import Shelf
from chaosrunner.app.leading import Leading, Office
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.model.gameday_log import Decided, ItemBegan
from chaosrunner.register.database import reading
from chaosrunner.register.game_days import SharedGameDays
from chaosrunner.stages.gameday import Move, Step
from chaosrunner.stages.gameday_file import load_game_day
from tests.gamedays.test_file import ENVIRONMENT, EXPERIMENT, GOOD
from tests.register.conftest import Databases, Place


def test_what_two_machines_write_is_there_once_and_in_the_order_in_which_it_came(fresh: Place) -> None:
    where = fresh("days.db")
    with SharedGameDays(where) as here, SharedGameDays(where) as there:
        here.put("day-1", [("a", 1.0, {"who": "ana"}), ("b", 2.0, {"who": "ana"})])
        there.put("day-1", [("c", 0.5, {"who": "ben"}), ("a", 1.0, {"who": "ana"})])
        there.put("day-2", [("a", 1.0, {"who": "eve"})])
        found = here.read("day-1")
        assert [record["who"] for _, record in found] == ["ana", "ana", "ben"]
        assert there.read("day-1", after=found[1][0]) == found[2:]
        assert here.list() == ["day-2", "day-1"]


def test_many_who_bring_the_same_at_once_bring_it_once(fresh: Place) -> None:
    where = fresh("crowd.db")
    entries = [(f"e{n}", float(n), {"n": n}) for n in range(30)]
    with SharedGameDays(where) as shared, ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(shared.put, "day", entries[start:]) for start in (0, 10, 20, 0)]:
            done.result()
        assert sorted(str(record["n"]) for _, record in shared.read("day")) == sorted(str(n) for n in range(30))


def test_one_leads_until_it_lets_go_or_its_time_is_over(fresh: Place) -> None:
    where = fresh("lead.db")
    with SharedGameDays(where) as here, SharedGameDays(where) as there:
        assert here.led("day") is None
        with ThreadPoolExecutor(4) as pool:  # all at once
            took = [pool.submit(each.take, "day", f"{n}", f"p{n}", 60.0) for n, each in enumerate([here, there] * 2)]
            leaders = {each.result().token for each in took}
        (token,) = leaders
        assert there.take("day", "x", "ben", 60.0).who == f"p{token}"
        renewed = here.renew("day", token, 30.0)
        assert renewed is not None and renewed.token == token
        led = there.led("day")
        assert led is not None and 25 < led.left <= 30, "by the database's own time"
        here.let_go("day", token)
        assert there.take("day", "x", "ben", 0.0).token == "x", "and that is over at once"
        last = here.renew("day", token, 60.0)
        assert last is not None and (last.who, last.token) == ("ben", "x"), "who has lost it does not take it back"
        here.let_go("day", token)
        assert there.take("day", "y", "eve", 60.0).token == "y"


@pytest.mark.real_time
@pytest.mark.parametrize("ask", [lambda days: days.list(), lambda days: days.take("day", "t", "ana", 60.0)])
def test_a_database_that_says_nothing_is_out_of_reach_until_it_answers_again(
    databases: Databases, ask: Callable[[SharedGameDays], object]
) -> None:
    with SharedGameDays(databases.empty("place"), answers_within=0.3) as days:
        with reading(days._engine) as connection:
            backend = int(connection.execute(sa.text("select pg_backend_pid()")).scalar_one())
        os.kill(backend, signal.SIGSTOP)
        try:
            with pytest.raises(NotPossibleNow, match="timed out"):
                ask(days)
            ask(days)  # on another connection
        finally:
            os.kill(backend, signal.SIGCONT)


@pytest.mark.real_time
async def test_people_on_other_machines_follow_write_and_take_over(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOSRUNNER_REGISTER", databases.empty("place"))
    for name, text in (("shop", ENVIRONMENT), ("nothing", EXPERIMENT), ("day", GOOD)):
        (tmp_path / f"{name}.yaml").write_text(text)

    async def typed(person: str, *words: str) -> tuple[int | None, str]:
        """A command of somebody on a machine of their own."""
        call = [sys.executable, "-m", "chaosrunner", "--state", f"of-{person}", "gameday", *words]
        env = {**os.environ, "CHAOSRUNNER_WHO": person}
        pipes = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.PIPE}
        command = await asyncio.create_subprocess_exec(*call, cwd=tmp_path, env=env, **pipes)  # type: ignore[arg-type]
        said = await command.stdout.read() if command.stdout is not None else b""
        return await command.wait(), said.decode()

    def leading(person: str) -> Leading:
        monkeypatch.setenv("CHAOSRUNNER_WHO", person)
        office = Office(tmp_path / f"of-{person}", SystemClock(), print)
        shelf = office.shelf
        book = shelf.elsewhere("bad-day") or shelf.new("bad-day")
        return Leading(load_game_day("bad-day", tmp_path), book, office)

    ana = leading("ana")
    ana.begin()
    ana.write(Decided(go=True), ItemBegan(item=1))
    assert await typed("ben", "note", "orders are slow") == (0, f"noted in {ana.book.id}\n")
    notes = [(entry.who, entry.event["text"]) for entry in ana.look() if entry.event["type"] == "note"]
    assert notes == [("ben", "orders are slow")]
    code, watched = await typed("eve", "watch", "--once", "--json")
    assert code == 0
    seen = [json.loads(line)["event"]["type"] for line in watched.splitlines()]
    assert seen == ["began", "joined", "decided", "item-began", "note"]
    assert not (tmp_path / "of-ben" / "gamedays").exists() and not (tmp_path / "of-eve" / "gamedays").exists()

    ben = leading("ben")
    with pytest.raises(UsageError, match="ana leads through"):
        ben.begin()
    ana.leave()
    assert ben.begin() and ben.lead.before == "ana" and ben.move() == Move(Step.CUT, 1)
    there = Shelf(tmp_path / "of-ana", SystemClock(), print).open("bad-day")
    there.news()
    assert there.standing.items[0].state == "cut" and there.leader == "ben"
    ben.leave()
    there.close()
