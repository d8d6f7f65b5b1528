"""Many processes at one register."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register, Wanted
from tests.near_misses.world import SetClock
from tests.register.conftest import Place

CROWD = """
import gc, os, sys, tempfile, traceback
from pathlib import Path
from chaosrunner.register import near_misses, open_register
from tests.near_misses.world import SetClock, facts, finding, gap, START

def work(name, state, times):
    with open_register(state, SetClock()) as register:
        for number in range(times):
            ours = gap(service=f"s{number % 9}", identity={"to": "payments" if number % 2 else "inventory"})
            gaps = [finding(gap(service="shared")), finding(ours)]
            register.record(facts(f"{name}-{number}", at=START + number), gaps if number % 3 else gaps[::-1])

with tempfile.TemporaryDirectory() as other:
    work("nobody", Path(other), 3)
gc.freeze()
state = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
children = []
for number in range(8):
    child = os.fork()
    if not child:
        try:
            work(f"worker{number}", state, int(sys.argv[2]))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    children.append(child)
print(*children, flush=True)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""
"""Eight processes that came out of one, so that the modules are imported, and statements put into SQL, once (at another
register). They also race to make the register."""


async def crowd(where: Path | str, each: int) -> asyncio.subprocess.Process:
    words = (sys.executable, "-c", CROWD, str(where), str(each))
    return await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)


def whole(register: Register) -> dict[str, int]:
    """Every occurrence is counted once, at the near miss that it belongs to, and has its event; by service."""
    near_misses = register.list(Wanted(closed=True))
    assert sorted(each.id for each in near_misses) == [f"NM-2026-{n:04d}" for n in range(1, len(near_misses) + 1)]
    counts: dict[str, int] = {}
    for each in near_misses:
        record = register.show(each.id)
        assert each.occurrences == len(record.occurrences) == len({seen.run for seen in record.occurrences})
        assert len([event for event in record.history if event.what in ("found", "seen again")]) == each.occurrences
        counts[each.service] = counts.get(each.service, 0) + each.occurrences
    return counts


async def test_eight_processes_record_the_same_gaps_and_none_is_lost_or_doubled(fresh: Place) -> None:
    where = fresh("crowd")
    assert await (await crowd(where, 9)).wait() == 0
    with open_register(where, SetClock()) as register:
        assert whole(register) == {"shared": 8 * 9} | {f"s{n}": 8 for n in range(9)}
        assert register.count() == 1 + 9


async def test_a_process_that_is_killed_takes_nothing_with_it_but_its_own_last_run(fresh: Place) -> None:
    where = fresh("killed")
    process = await crowd(where, 12)
    assert process.stdout is not None
    victim = int((await process.stdout.readline()).split()[3])
    with open_register(where, SetClock()) as register:
        while not any("worker3-" in each.last_run for each in register.list()):
            await asyncio.sleep(0.01)
    os.kill(victim, signal.SIGKILL)
    assert await process.wait() == 1
    with open_register(where, SetClock()) as register:
        counts = whole(register)
        done = {seen.run for seen in register.show("1").occurrences if seen.run.startswith("worker3-")}
        assert counts["shared"] >= 7 * 12 and sum(counts.values()) == 2 * counts["shared"]
        assert len(done) < 12
