"""The logs of game days in a register that many share; of PostgreSQL in `real_time`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from chaosrunner.register.game_days import SharedGameDays
from tests.register.conftest import Place


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
