"""The log of a game day: on disk before anything happens, whole after a death, one for several people and machines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chaosrunner.app.gamedays import DayBook, Shelf, halt_day, name_in, new_id
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.model import gameday_log as log
from chaosrunner.model.frozen import JsonObject
from chaosrunner.stages.gameday import stands
from chaosrunner.store.gameday_log import DayLog
from tests.gamedays.logs import Book
from tests.near_misses.world import SetClock


def note(text: str) -> log.NoteTaken:
    return log.NoteTaken(text=text)


def texts(entries: list[log.GameDayEntry]) -> list[str]:
    return [str(entry.event.get("text", entry.event["type"])) for entry in entries]


# --------------------------------------------------------------------------------------------------------------- disk


def test_many_writers_lose_nothing_and_write_nothing_twice(tmp_path: Path) -> None:
    written = [log.GameDayEntry(id=f"{n}", at=float(n), who="x", event=note(f"{n}").as_json()) for n in range(60)]
    logs = [DayLog(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for each in logs:
            for entry in written:
                pool.submit(each.add, [entry])
    found, _ = DayLog(tmp_path).since()
    assert sorted(int(entry.id) for entry in found) == list(range(60))


def test_a_torn_last_line_is_left_out_and_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    book = Book().add(note("whole"))
    DayLog(tmp_path).add(book.entries)
    with (tmp_path / "log.jsonl").open("ab") as file:
        file.write(b'{"id":"torn","at":1')
    assert texts(DayLog(tmp_path).since()[0]) == ["began", "whole"]
    DayLog(tmp_path).add(book.add(note("after")).entries)
    assert texts(DayLog(tmp_path).since()[0]) == ["began", "whole", "after"]
    assert all(line.endswith("}") for line in (tmp_path / "log.jsonl").read_text().splitlines())


def test_a_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    book, found = Book(), DayLog(tmp_path)
    found.add(book.entries)
    first, offset = found.since()
    found.add(book.add(note("more")).entries)
    assert (texts(first), texts(found.since(offset)[0])) == (["began"], ["more"])


# ------------------------------------------------------------------------------------------------- which one is meant


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def shelf(tmp_path: Path, clock: SetClock) -> Shelf:
    return Shelf(tmp_path, clock, lambda words: None)


def begun(shelf: Shelf, clock: SetClock, name: str = "bad", *more: log.Known) -> DayBook:
    clock.at += 60
    book = shelf.new(name)
    began = Book().entries[0].told
    assert isinstance(began, log.Began)
    book.write(began.model_copy(update={"name": name}), *more)
    return book


def test_the_one_under_way_is_meant_or_else_the_newest(shelf: Shelf, clock: SetClock) -> None:
    with pytest.raises(UsageError, match="no game day has begun here"):
        shelf.open(None)
    first = begun(shelf, clock)
    begun(shelf, clock, "other", log.Ended(ending="finished"))
    assert shelf.open(None).id == first.id
    assert name_in(shelf.open("other").id) == name_in(shelf.open("last").id) == "other"
    assert shelf.open(first.id[:12]).id
    with pytest.raises(UsageError, match="there is no game day 'bda', did you mean 'bad'"):
        shelf.open("bda")


def test_only_one_that_is_not_over_is_gone_on_with(shelf: Shelf, clock: SetClock) -> None:
    assert shelf.unfinished("bad") is None
    book = begun(shelf, clock)
    again = shelf.unfinished("bad")
    assert again is not None and again.id == book.id
    book.write(log.Ended(ending="finished"))
    assert shelf.unfinished("bad") is None


def test_a_halt_of_one_that_nobody_leads_is_its_end(shelf: Shelf, clock: SetClock) -> None:
    book = begun(shelf, clock)
    assert book.local is not None
    lock = book.local.lead
    assert lock.take({"who": "ana"})
    halt_day(book, "enough")
    assert (stands(book.all()).halted, stands(book.all()).ended) == (True, None)
    lock.drop()
    halt_day(book, "enough")
    assert stands(book.all()).ended is not None


# ----------------------------------------------------------------------------------------------------- many machines


class Shared:
    """A shared register with a network that can fail."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, JsonObject]] = []
        self.down = False

    def put(self, game_day: str, entries: list[tuple[str, float, JsonObject]]) -> None:
        self._reach()
        known = {id for day, id, _ in self.rows if day == game_day}
        self.rows += [(game_day, id, record) for id, _, record in entries if id not in known]

    def read(self, game_day: str, after: int = 0) -> list[tuple[int, JsonObject]]:
        self._reach()
        found = [(n, record) for n, (day, _, record) in enumerate(self.rows, 1) if day == game_day]
        return [(n, record) for n, record in found if n > after]

    def close(self) -> None:
        pass

    def _reach(self) -> None:
        if self.down:
            raise NotPossibleNow("the database is out of reach")


def two_machines(tmp_path: Path, clock: SetClock, shared: object, told: list[str]) -> tuple[DayBook, DayBook]:
    id = new_id("bad", clock)
    local = DayLog(tmp_path / id)
    here = DayBook(id, local, shared, clock, told.append)  # type: ignore[arg-type]
    there = DayBook(id, None, shared, clock, told.append)  # type: ignore[arg-type]
    return here, there


def test_what_is_written_on_one_machine_is_seen_on_the_other(tmp_path: Path, clock: SetClock) -> None:
    here, there = two_machines(tmp_path, clock, Shared(), [])
    here.write(Book().entries[0].told, note("from here"))
    assert texts(here.news()) == ["began", "from here"]
    assert texts(there.news()) == ["began", "from here"]
    there.write(note("from there"))
    assert texts(here.news()) == ["from there"]
    assert texts(there.news()) == ["from there"]
    assert texts(here.all()) == texts(there.all()) == ["began", "from here", "from there"]


def test_a_shared_register_that_is_out_of_reach_holds_nothing_up_and_hears_of_it_later(
    tmp_path: Path, clock: SetClock
) -> None:
    shared, told = Shared(), list[str]()
    here, there = two_machines(tmp_path, clock, shared, told)
    shared.down = True
    here.write(Book().entries[0].told)
    here.write(note("while it was down"))
    assert texts(here.news()) == ["began", "while it was down"]
    here.exchange()
    assert told == ["whoever follows from another machine waits: the database is out of reach"]
    shared.down = False
    clock.at += 60
    here.news()
    assert texts(there.news()) == ["began", "while it was down"]


def test_game_days_of_this_machine_are_there_while_the_shared_register_is_not(
    tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = begun(Shelf(tmp_path, clock, lambda words: None), clock)
    monkeypatch.setenv("CHAOSRUNNER_REGISTER", f"sqlite:///{tmp_path}/no/such/folder/days.db")
    told: list[str] = []
    shelf = Shelf(tmp_path, clock, told.append)
    assert shelf.open(None).id == book.id
    assert texts(shelf.open("bad").all()) == ["began"]
    assert len(told) == 1 and "out of reach" in told[0]
    with pytest.raises(NotPossibleNow, match="out of reach"):
        Shelf(tmp_path / "elsewhere", clock, told.append).open(None)


def test_whoever_shares_a_register_follows_without_the_folder(
    tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAOSRUNNER_REGISTER", f"sqlite:///{tmp_path}/days.db")
    here = begun(Shelf(tmp_path / "here", clock, print), clock)
    here.news()
    there = Shelf(tmp_path / "there", clock, print).open(None)
    there.write(note("from there"))
    assert texts(there.news()) == ["began", "from there"]
    assert texts(here.news()) == ["from there"]
    for book in (here, there):
        book.close()
