"""The sums that are kept beside near misses are what counting them anew says: whatever was done, on any day."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model.figures import figures_of_near_miss, grouped
from chaosrunner.model.life_cycle import Change, Party
from chaosrunner.model.near_miss import HistoryEvent, NearMiss, day_of
from chaosrunner.model.report import Report
from chaosrunner.model.stats import Group, Stats
from chaosrunner.model.words import Priority, State, WaivedAs
from chaosrunner.register import open_register, rows, schema
from chaosrunner.register.database import reading
from chaosrunner.register.near_misses import Register, Wanted
from chaosrunner.register.sums import counted_on
from tests.near_misses.world import ONE_RUN, START, SetClock, facts, finding, gap, passing
from tests.register.conftest import Place
from tests.register.test_database import first_schema

DAY = 86400.0


def groups_of(near_misses: Sequence[NearMiss], clock: SetClock) -> dict[str, tuple[float, ...]]:
    """By hand, from records: what `Stats` says of each group."""
    today = day_of(clock.now())
    sorts: dict[str, list[NearMiss]] = {"": [*near_misses]}
    for each in near_misses:
        named = {
            "service": each.service,
            "owner": each.owner or "",
            "kind": each.kind.value,
            "fault": "+".join(each.fault_classes),
            "priority": each.priority.value,
            "state": each.state.value,
        }
        for sort, value in named.items():
            sorts.setdefault(f"{sort} {value}", []).append(each)
    return {name: _figures(several, today) for name, several in sorts.items()}


def _figures(several: Sequence[NearMiss], today: object) -> tuple[float, ...]:
    fixed = [each.fixed_in for each in several if each.fixed_in is not None]
    proven = [each.verified_in for each in several if each.verified_in is not None]
    return (
        len(several),
        sum(not each.closed for each in several),
        sum(each.state is State.FIX_READY for each in several),
        sum(each.state is State.VERIFIED for each in several),
        sum(each.regressions > 0 for each in several),
        sum(each.overdue(today) for each in several),  # type: ignore[arg-type]
        pytest.approx(sum(fixed) / len(fixed)) if fixed else -1,
        pytest.approx(sum(proven) / len(proven)) if proven else -1,
    )


def told(stats: Stats) -> dict[str, tuple[float, ...]]:
    found = {"": _told(stats.total)}
    return found | {f"{sort} {each.value}": _told(each) for sort, groups in stats.by.items() for each in groups}


def _told(group: Group) -> tuple[float, ...]:
    times = (-1 if each is None else each for each in (group.to_fix, group.to_verify))
    counts = (group.found, group.waiting, group.fix_ready, group.verified, group.regressed, group.overdue)
    return (*counts, *times)


def right(register: Register, clock: SetClock, wanted: Wanted | None = None) -> None:
    """Held against counting by hand."""
    chosen = wanted or Wanted(closed=True)
    known, stats = register.list(chosen), register.stats(chosen)
    assert told(stats) == groups_of(known, clock)
    assert stats.outages == sum(each.outage for each in known)
    assert stats.uncovered == sum(not each.closed and not each.covered for each in known)
    if wanted is None:
        events = map(rows.of_event, register.events(0.0, clock.at + 3000 * DAY))
        counted = Counter((each["month"], each["event"]) for each in events if each["event"])
        assert {(each.month, each.event): each.count for each in stats.over_time} == counted
        lists_are_right(register, known, clock)
    here = [
        each
        for each in register.runs()
        if chosen.service in (None, each.service) and chosen.environment_class in (None, each.environment_class)
    ]
    assert {**stats.runs} == Counter(each.answer for each in here)


def lists_are_right(register: Register, known: Sequence[NearMiss], clock: SetClock) -> None:
    """What metrics and digests say of all, held against each one's own word."""
    now, today = clock.now(), day_of(clock.now())
    standing, closed = register.standing()
    expected = grouped([figures_of_near_miss(each, now) for each in known], now)
    assert sorted(map(str, standing)) == sorted(map(str, expected))
    assert {state: count for state, count in closed.items() if count} == Counter(
        each.state.value for each in known if each.closed
    )
    chapters = register.digest(now - 30 * DAY).chapters
    for name, one_of_it in (
        ("overdue", lambda each: each.overdue(today)),
        ("unseen", lambda each: each.unseen(today)),
        ("drafts", lambda each: each.draft),
        ("fixReady", lambda each: each.state is State.FIX_READY),
        ("new", lambda each: any(event.what == "found" for event in lately(register, each, now))),
        ("closed", lambda each: each.state is State.DUPLICATE and ended(lately(register, each, now))),
    ):
        right_ones = [each.id for each in known if one_of_it(each)]
        assert [each.id for each in chapters[name].listed] == right_ones, name
        assert chapters[name].count == len(right_ones)


def lately(register: Register, near_miss: NearMiss, now: float) -> list[HistoryEvent]:
    return [each for each in register.show(near_miss.id).history if now - 30 * DAY <= each.at <= now]


def ended(events: Sequence[HistoryEvent]) -> bool:
    return any((each.what, each.after) == ("state", "duplicate") for each in events)


def busy(register: Register, clock: SetClock, dice: random.Random, steps: int) -> None:
    """Everything that changes a near miss, in any order; what is refused is refused."""
    for number in range(steps):
        clock.at += dice.random() * 9 * DAY
        service = dice.choice(("checkout", "cart", "search"))
        shown = finding(gap(service=service, identity={"to": dice.choice(("a", "b"))}))
        near_misses = register.list(Wanted(closed=True))
        id = dice.choice(near_misses).id if near_misses else ""
        try:
            match dice.randrange(7 if id else 1):
                case 0 | 1:
                    register.record(facts(f"run-{number}", at=clock.at, service=service), [shown])
                case 2:
                    outage = dice.random() < 0.5
                    report = Report(title=f"r{number}", service=service, at=clock.at, outage=outage)
                    register.report(report, "ana")
                case 3:
                    register.prioritise(id, dice.choice([None, *Priority]), "ana", "because")
                case 4:
                    register.assign(id, dice.choice(("team-a", "team-b")), "ana")
                case 5:
                    _change(register, clock, id, dice)
                case _:
                    register.wake()
                    run = passing(f"pass-{number}", at=clock.at, verification=ONE_RUN)
                    register.passed(run.model_copy(update={"service": service}))
        except ChaosrunnerError:
            continue


def _change(register: Register, clock: SetClock, id: str, dice: random.Random) -> None:
    wish = Change(
        to=dice.choice([State.FIX_READY, State.FIX_READY, State.TRIAGED, State.WAIVED, State.DUPLICATE, State.OPEN]),
        actor="ana",
        party=Party.PERSON,
        at=clock.at,
        reason="because",
        owner="team-c",
        accepted_by="bob",
        until=day_of(clock.at) + timedelta(days=5),
        change="commit 1",
        waived_as=WaivedAs.ENVIRONMENT_ONLY,
        duplicate_of=dice.choice(register.list(Wanted(closed=True))).id,
    )
    register.change(id, wish)


@pytest.mark.parametrize("seed", (0, 1))
def test_sums_are_what_counting_says_after_anything(place: Place, seed: int) -> None:
    clock, dice = SetClock(), random.Random(seed)
    with open_register(place("sums"), clock) as register:
        for _ in range(2):
            busy(register, clock, dice, 12)
            right(register, clock)
            right(register, clock, Wanted(service="checkout", closed=True))
            right(register, clock, Wanted(owner="team-c", environment_class="demo", closed=True))
        lines = list(register.export())
        for days in (400, -500, 1, 1):
            clock.at += days * DAY
            right(register, clock)
            register.wake()
            right(register, clock)
    with open_register(place("copy"), clock) as copy:
        copy.load(lines)
        right(copy, clock)


def test_what_is_overdue_is_brought_into_the_sums_once_a_day(tmp_path: Path) -> None:
    clock = SetClock()
    with open_register(tmp_path, clock) as register:
        register.record(facts(), [finding()])
        register.wake()
        clock.at += 400 * DAY
        assert register.stats().total.overdue == 1
        register.wake()
        with reading(register._engine) as connection:
            assert counted_on(connection) == day_of(clock.at)
            assert connection.execute(schema.sums.select().where(schema.sums.c.overdue == 1)).all()
        assert register.stats().total.overdue == 1


def test_a_register_of_the_first_schema_is_counted_when_it_is_upgraded(fresh: Place) -> None:
    where, clock = fresh("counted"), SetClock(START + 400 * DAY)
    first_schema(where)
    with open_register(where, clock) as register:
        right(register, clock)
        assert register.stats().total.found == 2
        register.record(facts("run-7", at=clock.at), [finding()])
        right(register, clock)


def test_threads_that_write_while_the_day_changes_leave_right_sums(place: Place) -> None:
    clock, where = SetClock(), place("days")
    with open_register(where, clock) as register:

        def write(name: str) -> None:
            for number in range(6):
                old = facts(f"{name}-{number}", at=START - 200 * DAY)
                register.record(old, [finding(gap(service=f"{name}-{number % 2}"))])

        def turn() -> None:
            for _ in range(6):
                clock.at += 2 * DAY
                register.wake()

        threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(3)] + [threading.Thread(target=turn)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        right(register, clock)
        assert register.stats().total.overdue == 6
