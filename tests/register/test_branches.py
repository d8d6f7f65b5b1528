"""Two branches of a register that is a file, each with a life of its own, come together: whatever happened on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import Priority, State
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register, Wanted
from tests.near_misses.world import ONE_RUN, START, SetClock, facts, finding, gap, passing

TO, EXPERIMENTS = ("payments", "inventory", "tax"), ("by-day", "by-night")
WISHES = ("show", "show", "show", "pass", "pass", "merge", "part", "split", "fix", "assign", "urgent", "note")


class Branch:
    """What happens on one branch, by chance; and an account of what was seen."""

    def __init__(self, file: Path, name: str, seed: str, begins: float) -> None:
        self.file = file
        self.seen: set[tuple[str, str]] = set()
        self._name = name
        self._chance = random.Random(seed)
        self._clock = SetClock(begins)

    def live(self, steps: int) -> None:
        with open_register(str(self.file), self._clock) as register:
            for number in range(steps):
                self._clock.at += self._chance.choice((60, 3600, 90_000))
                with suppress(ChaosrunnerError):
                    self._step(register, f"{self._name}-{number}", self._chance.choice(WISHES))

    def _step(self, register: Register, run: str, wish: str) -> None:
        now, ids = self._clock.at, [each.id for each in register.list(Wanted(closed=True))]
        experiment = self._chance.choice(EXPERIMENTS)
        if wish == "show" or not ids:
            what = gap(identity={"to": self._chance.choice(TO)})
            register.record(facts(run, at=now, experiment=experiment), [finding(what)])
            self.seen.add((run, what.fingerprint))
            return
        id, other = self._chance.choice(ids), self._chance.choice(ids)
        match wish:
            case "pass":
                register.passed(passing(run, at=now, experiment=experiment, verification=ONE_RUN))
            case "merge":
                wished = Change(to=State.DUPLICATE, actor="ana", at=now, reason="the same", duplicate_of=other)
                register.change(id, wished)
            case "part":
                register.change(id, Change(to=State.OPEN, actor="ana", at=now, reason="not the same"))
            case "split":
                register.split(id, "experiment", experiment, "ana", "another problem")
            case "fix":
                register.change(id, Change(to=State.FIX_READY, actor="ana", at=now, change="commit 1"))
            case "assign":
                register.assign(id, self._chance.choice(("team-a", "team-b")), "bob")
            case "urgent":
                register.prioritise(id, Priority.P1, "bob", "it hurts")
            case "note":
                register.add_note(id, "bob", f"a word about {run}")


def holds(file: Path, seen: set[tuple[str, str]]) -> list[NearMiss]:
    """Every occurrence is there once, and counted."""
    lying: list[tuple[str, str]] = []
    with open_register(str(file), SetClock()) as register:
        found = register.list(Wanted(closed=True))
        for each in found:
            record = register.show(each.id)
            if each.state is State.DUPLICATE:
                assert each.occurrences == 0
                continue
            assert each.occurrences == len(record.occurrences) > 0
            lying += [(one.run, one.fingerprint) for one in record.occurrences]
    assert sorted(lying) == sorted(seen)
    return found


def put(file: Path, lines: Sequence[str]) -> Path:
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_either_branch_saw_is_lost_and_both_read_the_same(tmp_path: Path, seed: int) -> None:
    file = tmp_path / "near-misses.jsonl"
    main = Branch(file, "main", f"{seed} main", START)
    main.live(5)
    common, texts, seen = file.read_text(), [], set(main.seen)
    for name in ("one", "other"):
        file.write_text(common)
        branch = Branch(file, name, f"{seed} {name}", START + 500_000 + len(name))
        branch.live(6)
        texts.append(file.read_text().splitlines())
        seen |= branch.seen
    one, other = texts
    gone = {line for line in common.splitlines() if line not in one or line not in other}
    merged = holds(put(file, [line for line in (*one, *other) if line not in gone]), seen)
    assert holds(put(file, [line for line in (*other, *one) if line not in gone]), seen) == merged
    assert holds(put(file, [*one, *other, *common.splitlines()]), seen) == merged
    with open_register(str(file), SetClock(START + 9_000_000)) as register:
        register.add_note(merged[0].id, "ana", "written anew")
    assert holds(file, seen) == merged
    written = file.read_text().splitlines()
    assert len(written) == len(set(written))
