"""A register that is a file: what two branches wrote comes together, many processes take turns, nothing is lost."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import Priority, State
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Record, Register, Wanted
from tests.near_misses.world import DAY, ONE_RUN, START, SetClock, facts, finding, gap, passing

OTHER = gap(identity={"to": "inventory"})


def at(file: Path, clock: SetClock | None = None) -> Register:
    return open_register(str(file), clock or SetClock())


def show(register: Register, run: str, *, when: float = START, what=None) -> NearMiss:  # type: ignore[no-untyped-def]
    return register.record(facts(run, at=when), [finding(what)])[0].near_miss


def everything(file: Path) -> list[Record]:
    with at(file) as register:
        return [register.show(each.id) for each in register.list(Wanted(closed=True))]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """With one near miss, seen once."""
    path = tmp_path / "near-misses.jsonl"
    with at(path) as register:
        show(register, "run-1")
    return path


def test_a_file_is_made_by_the_first_change_and_not_by_a_look(tmp_path: Path) -> None:
    path = tmp_path / "new" / "near-misses.jsonl"
    with at(path) as register:
        assert register.list() == [] and not path.exists()
        show(register, "run-1")
    assert path.read_text().startswith('{"type": "register", "format": "chaosrunner.register/1"')
    assert [each.name for each in path.parent.iterdir()] == ["near-misses.jsonl"]


def test_what_is_read_back_and_written_again_is_the_same_to_the_letter(file: Path) -> None:
    with at(file) as register:
        show(register, "run-2", when=START + 5, what=OTHER)
        for _ in range(2):
            register.add_note(register.list()[0].id, "ana", "twice the same, at the same time")
        register.passed(passing("run-3", at=START + 9))
    before, records = file.read_text(), everything(file)
    with at(file) as register:
        register.add_note(records[0].near_miss.id, "ana", "ünïcode\u2028in one line")
    after = file.read_text()
    added = [line for line in after.split("\n") if line not in before.split("\n")]
    assert len(added) == 1 and "ünïcode" in added[0]
    assert set(before.split("\n")) < set(after.split("\n"))
    assert len(everything(file)[0].history) == len(records[0].history) + 1


def test_what_changes_nothing_leaves_the_file_alone(file: Path) -> None:
    before = file.stat()
    with at(file) as register:
        assert register.wake() == []
        show(register, "run-1")
        with pytest.raises(UsageError):
            register.add_note("nothing-like-it", "ana", "words")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_numbers_follow_from_the_fingerprint_and_may_be_shortened(tmp_path: Path) -> None:
    ids = []
    for name, order in (("one", (gap(), OTHER)), ("other", (OTHER, gap()))):
        with at(tmp_path / f"{name}.jsonl") as register:
            ids.append({show(register, f"run-{what.identity['to']}", what=what).id for what in order})
            first = register.list()[0].id
            assert register.get(first.removeprefix("NM-2026-")[:4]).id == first
            assert register.get(first.lower()).id == first
    assert ids[0] == ids[1] and len(ids[0]) == 2


def test_a_link_stays_a_link_and_a_mode_stays_a_mode(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    link = tmp_path / "link.jsonl"
    link.symlink_to(file)
    with at(link) as register:
        show(register, "run-2", what=OTHER)
    assert link.is_symlink() and file.stat().st_mode & 0o777 == 0o640
    assert len(everything(file)) == 2


def test_another_process_changes_it_while_it_is_open(file: Path) -> None:
    with at(file) as one, at(file) as other:
        show(one, "run-2", what=OTHER)
        assert len(other.list()) == 2
        show(other, "run-3", when=START + 1)
        assert {each.occurrences for each in one.list()} == {1, 2}


# --------------------------------------------------------------------------------------------------- what is not right


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"record": {', '"record": [', 1), ":2: not JSON"),
        (lambda text: text + "half a li", r":7: not JSON"),
        (lambda text: text + '{"type": "recipe"}\n', ":7: unknown type 'recipe'"),
        (lambda text: text.replace('"kind": "impact"', '"kind": "sabotage"', 1), ":2: this is no near_miss"),
        (lambda text: "<<<<<<< HEAD\n" + text, ":1: a merge that was left undone: keep the lines of both sides"),
        (lambda text: text.split("\n", 1)[1], ":1: expected an export of the register"),
        (lambda text: text.replace('"type": "near_miss", "id"', '"type": "near_miss", "ID"'), ":2: a near_miss has"),
        (lambda text: without(text, "near_miss"), r":2: the fingerprint of NM-2026-\d+, which has no near_miss line"),
        (lambda text: without(text, "fingerprint"), r":3: an occurrence whose fingerprint has no fingerprint line"),
        (lambda text: text.replace('"schema": "', '"schema": "9', 1), "a newer chaosrunner .*update chaosrunner"),
        (lambda text: text.replace("by-fingerprint", "by-luck"), "numbers is 'by-luck', expected by-fingerprint or"),
    ],
)
def test_a_broken_line_is_said_with_its_place_and_the_file_stays_as_it_is(
    file: Path, change: Callable[[str], str], message: str
) -> None:
    broken = change(file.read_text())
    file.write_text(broken)
    with pytest.raises(NotPossibleNow, match=f"near-misses.jsonl.*{message}"):
        at(file)
    assert file.read_text() == broken


def without(text: str, kind: str) -> str:
    return "".join(line + "\n" for line in text.splitlines() if f'"type": "{kind}"' not in line)


def test_a_file_that_breaks_while_it_is_open_is_not_written_over(file: Path) -> None:
    with at(file) as register:
        file.write_text("dear diary")
        with pytest.raises(NotPossibleNow, match=r"jsonl:1: not JSON"):
            show(register, "run-2")
        assert file.read_text() == "dear diary"


def test_a_folder_where_nothing_may_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(NotPossibleNow, match="cannot be opened"):
        at(tmp_path / "taken" / "near-misses.jsonl")


# ------------------------------------------------------------------------------------------------------- two branches


class Repository:
    """A file, and two branches of it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "near-misses.jsonl"
        with at(self.file) as register:
            show(register, "run-1")
        self.texts = {"main": self.file.read_text()}

    def on(self, branch: str, *steps: Callable[[Register], object]) -> None:
        self.file.write_text(self.texts["main"])
        with at(self.file, SetClock(START + 100)) as register:
            for step in steps:
                step(register)
        self.texts[branch] = self.file.read_text()

    def merged(self) -> list[Record]:
        """As `merge=union` merges them: without the lines that a branch has changed. With them, as where they lie in
        the midst of what the other changed, it must be the same."""
        main, one, other = (self.texts[name].splitlines() for name in ("main", "one", "other"))
        gone = {line for line in main if line not in one or line not in other}
        self.file.write_text("\n".join((*one, *other, *main)) + "\n")
        sloppily = everything(self.file)
        self.file.write_text("\n".join(line for line in (*other, *one) if line not in gone) + "\n")
        records = everything(self.file)
        assert [each.near_miss for each in sloppily] == [each.near_miss for each in records]
        return records


def seen(run: str, when: float, what=None) -> Callable[[Register], object]:  # type: ignore[no-untyped-def]
    return lambda register: show(register, run, when=when, what=what)


def only(register: Register) -> str:
    return register.list(Wanted(closed=True))[0].id


def fixed(when: float) -> Callable[[Register], object]:
    return lambda register: register.change(
        only(register), Change(to=State.FIX_READY, actor="ana", at=when, change="commit 1")
    )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_what_both_branches_saw_of_one_near_miss_is_counted_together(repository: Repository) -> None:
    repository.on("one", seen("run-2", START + 10), seen("run-3", START + 20))
    repository.on(
        "other", seen("run-4", START + 15), lambda register: register.add_note(only(register), "ana", "a word")
    )
    (record,) = repository.merged()
    assert [each.run for each in record.occurrences] == ["run-1", "run-2", "run-4", "run-3"]
    assert (record.near_miss.occurrences, record.near_miss.seen, record.near_miss.last_run) == (4, 4, "run-3")
    assert [each.reason for each in record.history if each.what == "note"] == ["a word"]
    assert len([each for each in record.history if each.what in ("found", "seen again")]) == 4
    with at(repository.file) as register:
        show(register, "run-5", when=START + 30)
    assert len(repository.file.read_text().split("\n")) == len(set(repository.file.read_text().split("\n")))
    (record,) = everything(repository.file)
    assert record.near_miss.occurrences == len(record.occurrences) == 5


def test_git_merges_it_as_its_attributes_say(repository: Repository, tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=ana", "-c", "user.email=ana@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    repository.on("one", seen("run-2", START + 10))
    repository.on("other", seen("run-4", START + 15), seen("run-5", START + 16, OTHER))
    (tmp_path / ".gitattributes").write_text("near-misses.jsonl merge=union\n")
    git("init", "-q", "-b", "main")
    for branch in ("main", "one", "other"):
        git("checkout", "-q", "-B", branch, *(() if branch == "main" else ("main",)))
        repository.file.write_text(repository.texts[branch])
        git("add", "-A")
        git("commit", "-q", "-m", branch)
    git("merge", "-q", "-m", "together", "one")
    records = everything(repository.file)
    assert sorted(len(each.occurrences) for each in records) == [1, 3]
    assert [each.near_miss for each in records] == [each.near_miss for each in repository.merged()]


def test_gaps_that_two_branches_found_apart_are_two_near_misses(repository: Repository) -> None:
    repository.on("one", seen("run-2", START + 10, OTHER))
    repository.on("other", seen("run-3", START + 20, gap(service="cart")))
    records = repository.merged()
    assert {each.near_miss.service for each in records} == {"checkout", "cart"} and len(records) == 3
    assert [len(each.occurrences) for each in records] == [1, 1, 1]


def test_the_same_gap_found_on_two_branches_is_one_near_miss(repository: Repository) -> None:
    repository.on("one", seen("run-2", START + 10, OTHER))
    repository.on("other", seen("run-3", START + 20, OTHER))
    records = repository.merged()
    assert sorted(each.near_miss.occurrences for each in records) == [1, 2]
    assert sorted(len(each.occurrences) for each in records) == [1, 2]


def test_the_same_gap_under_two_ids_is_the_one_that_was_found_first(repository: Repository) -> None:
    new_year = START + 120 * DAY
    repository.on("one", seen("run-2", new_year, OTHER))
    repository.on("other", seen("run-3", START + 20, OTHER))
    records = repository.merged()
    (record,) = (each for each in records if each.near_miss.identity == OTHER.identity)
    assert record.near_miss.id.startswith("NM-2026-") and len(records) == 2
    assert [each.run for each in record.occurrences] == ["run-3", "run-2"]
    assert {each.near_miss for each in record.occurrences} == {record.near_miss.id}
    (told,) = (each for each in record.history if each.what == "found twice")
    assert told.before.startswith("NM-2027-") and told.after == record.near_miss.id


def test_what_one_branch_verified_and_the_other_saw_later_came_back(repository: Repository) -> None:
    repository.on(
        "one",
        fixed(START + 10),
        lambda register: register.passed(passing("run-2", at=START + 50, verification=ONE_RUN)),
        lambda register: verified(register),
    )
    repository.on("other", seen("run-3", START + 90))
    (record,) = repository.merged()
    assert (record.near_miss.state, record.near_miss.regressions) == (State.OPEN, 1)
    assert record.near_miss.reason == "run run-3 showed it again after it was verified"
    assert [each.run for each in record.passes] == ["run-2"] and len(record.occurrences) == 2


def verified(register: Register) -> None:
    assert register.get(only(register)).state is State.VERIFIED


def test_what_one_branch_saw_before_the_other_verified_it_stays_verified(repository: Repository) -> None:
    repository.on(
        "one",
        fixed(START + 30),
        lambda register: register.passed(passing("run-2", at=START + 50, verification=ONE_RUN)),
    )
    repository.on("other", seen("run-3", START + 20))
    (record,) = repository.merged()
    assert (record.near_miss.state, record.near_miss.occurrences) == (State.VERIFIED, 2)


def test_a_fix_that_another_branch_showed_to_fail_is_not_ready(repository: Repository) -> None:
    repository.on("one", fixed(START + 30))
    repository.on("other", seen("run-3", START + 40))
    (record,) = repository.merged()
    assert (record.near_miss.state, record.near_miss.attempts) == (State.OPEN, 1)
    (event,) = (each for each in record.history if (each.what, each.after) == ("state", "open"))
    assert (event.run, "was to fix it" in event.reason) == ("run-3", True)


def test_what_people_said_on_either_branch_stands(repository: Repository) -> None:
    repository.on(
        "one",
        seen("run-2", START + 10),
        lambda register: register.prioritise(only(register), Priority.P1, "ana", "it hurts"),
    )
    repository.on(
        "other",
        lambda register: register.assign(only(register), "team-payments", "bob"),
        lambda register: register.link(only(register), ["by-night"], "bob"),
    )
    (record,) = repository.merged()
    near_miss = record.near_miss
    assert (near_miss.owner, near_miss.priority, near_miss.links) == ("team-payments", Priority.P1, ("by-night",))
    assert near_miss.occurrences == 2


def test_an_occurrence_of_what_the_other_branch_merged_goes_to_the_original(repository: Repository) -> None:
    def merge(register: Register) -> None:
        first = only(register)
        second = show(register, "run-2", when=START + 5, what=OTHER).id
        wish = Change(to=State.DUPLICATE, actor="ana", at=START + 9, reason="the same", duplicate_of=first)
        register.change(second, wish)

    repository.on("one", merge)
    repository.on("other", seen("run-3", START + 20, OTHER))
    records = repository.merged()
    (whole,) = (each for each in records if each.near_miss.state is not State.DUPLICATE)
    assert [each.run for each in whole.occurrences] == ["run-1", "run-2", "run-3"]
    assert whole.near_miss.occurrences == 3


def test_a_file_of_which_a_person_kept_one_sides_records_counts_all_occurrences(file: Path) -> None:
    ours = file.read_text()
    with at(file) as register:
        show(register, "run-2", when=START + 10)
    theirs = file.read_text()
    kept = [line for line in theirs.splitlines() if '"type": "near_miss"' not in line]
    old = next(line for line in ours.splitlines() if '"type": "near_miss"' in line)
    file.write_text("\n".join((*kept, old)) + "\n")
    (record,) = everything(file)
    assert record.near_miss.occurrences == len(record.occurrences) == 2 and record.near_miss.last_run == "run-2"


def test_two_near_misses_with_one_counted_number_are_told_apart_by_a_person(tmp_path: Path) -> None:
    texts = []
    for name, what in (("one", gap()), ("other", OTHER)):
        path = tmp_path / f"{name}.jsonl"
        header = {"type": "register", "format": "chaosrunner.register/1", "numbers": "counted"}
        path.write_text(json.dumps(header) + "\n")
        with at(path) as register:
            assert show(register, f"run-{name}", what=what).id == "NM-2026-0001"
        texts.append(path.read_text())
    both = tmp_path / "both.jsonl"
    both.write_text("".join(texts))
    with pytest.raises(NotPossibleNow, match=r"jsonl:9: NM-2026-0001 is another near miss in line 2"):
        at(both)


def test_what_comes_together_does_not_depend_on_whose_lines_come_first(repository: Repository) -> None:
    repository.on("one", seen("run-2", START + 10), fixed(START + 30))
    repository.on("other", seen("run-4", START + 40), seen("run-5", START + 41, OTHER))
    texts = [repository.texts["one"], repository.texts["other"]]
    found = []
    for name, text in (("ab", texts[0] + texts[1]), ("ba", texts[1] + texts[0])):
        path = repository.file.with_name(f"{name}.jsonl")
        path.write_text(text)
        found.append(
            [(each.near_miss, {one.run: one for one in each.occurrences}, each.passes) for each in everything(path)]
        )
    assert found[0] == found[1]


# ------------------------------------------------------------------------------------------------------ many processes

WORK = """
import os, sys
from chaosrunner.register import near_misses, open_register
from tests.near_misses.world import SetClock, facts, finding, gap, START

def work(name):
    with open_register(sys.argv[1], SetClock()) as register:
        for number in range(4):
            gaps = [finding(), finding(gap(service=name))]
            register.record(facts(f"{name}-{number}", at=START + number), gaps)

children = []
for number in range(3):
    child = os.fork()
    if not child:
        work(f"worker{number}")
        os._exit(0)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


async def test_processes_take_turns_and_none_loses_what_another_wrote(file: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WORK, str(file))
    assert await process.wait() == 0
    records = everything(file)
    assert sorted(each.near_miss.occurrences for each in records) == [4, 4, 4, 13]
    assert [each.name for each in file.parent.iterdir()] == ["near-misses.jsonl"]
