"""Lines that differ only in values are of one sort; sorts are told that come otherwise than usual."""

from __future__ import annotations

import random

import pytest

from chaosrunner.judging.log_changes import dispersion, g2, log_changes
from chaosrunner.judging.templates import Miner, words_of
from chaosrunner.model.material import Stream, Window

WINDOW = Window(usual_from=0.0, baseline=300.0, began=360.0, ended=420.0)


def templates(*lines: str) -> list[str]:
    miner = Miner("log")
    for line in lines:
        miner.add(0.0, line, meant=True)
    return [template.text for template in miner.templates]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2026-11-22T10:51:03.120Z INFO GET /cart 200 in 12ms", "INFO GET /cart <n> in <n>ms"),
        ("10:51:03,120 order 0b7f5a4e-93d0-4b4e-9c39-8ee0ae4a3fd1 placed", "order <uuid> placed"),
        ("connect to 10.1.2.3:5432 failed at 0x7fff2a", "connect to <ip> failed at <hex>"),
        ("commit 4f2a9c1 took 1.5s of 20%", "commit <hex> took <n>s of <n>%"),
        ("1790000000.123 ping", "ping"),
        ('{"level":"error","ts":1790000000,"msg":"no free worker","order":17}', "error no free worker"),
        ('{"order": 17}', '{"order": <n>}'),
        ("{not json 7", "{not json <n>"),
        ("decades of cafe", "decades of cafe"),
        ("", "<*>"),
    ],
)
def test_what_is_plainly_a_value_is_masked(line: str, words: str) -> None:
    assert " ".join(words_of(line)) == words


def test_lines_that_differ_in_names_too_become_one_template() -> None:
    lines = [f"session opened for {name}" for name in ("anna", "bert", "cleo")]
    assert templates(*lines) == ["session opened for <*>"]


def test_lines_of_other_lengths_or_beginnings_stay_apart() -> None:
    assert len(templates("cache is cold", "cache is cold again", "disk is full")) == 3


def test_words_with_digits_do_not_part_lines() -> None:
    assert templates("job a7x of queue b ended", "job c9z of queue b ended") == ["job <*> of queue b ended"]


def every(step: float, words: str, start: float = 0.0, end: float = 420.0) -> list[tuple[float, str]]:
    return [(start + index * step, f"{words} {index}") for index in range(int((end - start) / step))]


def changes(lines: list[tuple[float, str]], **more) -> dict[str, str]:
    stream = Stream("log", sorted(lines), 0.0, **more)
    return {change.template.text: change.how for change in log_changes(stream, WINDOW)}


def test_lines_that_are_new_burst_dropped_or_gone_are_told() -> None:
    lines = [
        *every(1.0, "INFO all is well"),
        *every(2.0, "WARN no answer of payments after", start=380.0),
        *every(6.0, "INFO retry", end=360.0),
        *every(0.5, "INFO retry", start=360.0),
        *every(1.0, "INFO checkout completed", end=360.0),
        *every(10.0, "INFO checkout completed", start=360.0),
        *every(3.0, "INFO heartbeat", end=360.0),
    ]
    assert changes(lines) == {
        "WARN no answer of payments after <n>": "new",
        "INFO retry <n>": "burst",
        "INFO checkout completed <n>": "dropped",
        "INFO heartbeat <n>": "gone",
    }


def test_the_first_new_line_has_its_time_and_rates_are_a_minute() -> None:
    stream = Stream("log", every(2.0, "WARN late", start=380.0), 0.0)
    (change,) = log_changes(stream, WINDOW)
    assert change.at == 380.0
    assert (change.lines, change.usual) == (20, 0)
    assert change.during == pytest.approx(20)


def test_lines_that_became_more_before_the_fault_are_not_of_it() -> None:
    assert changes([*every(6.0, "INFO retry", end=200.0), *every(0.5, "INFO retry", start=200.0)]) == {}
    assert changes([*every(1.0, "INFO ping", end=200.0), *every(30.0, "INFO ping", start=200.0)]) == {}


def test_before_the_runs_own_load_began_nothing_tells_how_often_lines_come() -> None:
    loaded = Window(usual_from=0.0, baseline=300.0, began=360.0, ended=420.0, loaded_from=300.0)
    orders = every(1.0, "INFO order", start=300.0)
    assert changes(orders) == {}
    assert log_changes(Stream("log", orders, 0.0), loaded) == []
    gone = every(1.0, "INFO order", start=300.0, end=360.0)
    assert [change.how for change in log_changes(Stream("log", gone, 0.0), loaded)] == ["gone"]
    known = [*every(10.0, "ERROR late", end=100.0), *every(1.0, "ERROR late", start=360.0)]
    assert [change.how for change in log_changes(Stream("log", known, 0.0), loaded)] == ["burst"]


def test_new_lines_that_tell_of_trouble_come_before_others_that_are_missing() -> None:
    lines = [*every(1.0, "INFO checkout completed", end=360.0), *every(2.5, "ERROR no answer", start=360.0)]
    found = log_changes(Stream("log", sorted(lines), 0.0), WINDOW)
    assert [change.how for change in found] == ["new", "gone"]


def test_fewer_than_five_lines_are_no_clue() -> None:
    assert changes(every(15.0, "ERROR seldom", start=361.0)) == {}


def test_lines_that_all_come_at_once_are_a_clue_only_if_they_tell_of_trouble() -> None:
    assert changes([(400.0, f"INFO shard {n} moved") for n in range(9)]) == {}
    assert changes([(400.0, f"ERROR connection {n} reset") for n in range(9)]) == {"ERROR connection <n> reset": "new"}


def test_a_log_that_is_not_whole_tells_of_no_lines_that_are_missing() -> None:
    lines = every(1.0, "INFO checkout completed", end=365.0)
    assert changes(lines) == {"INFO checkout completed <n>": "dropped"}
    assert changes(lines, whole=False) == {}


@pytest.mark.parametrize("seed", range(10))
def test_lines_that_come_as_ever_are_no_clue(seed: int) -> None:
    chance = random.Random(seed)
    lines = [(chance.uniform(0, 420), f"{chance.choice('abc')} says {chance.random()}") for _ in range(900)]
    assert changes(lines) == {}


def test_g2_is_the_log_likelihood_ratio_of_two_poisson_rates() -> None:
    assert g2(10, 10, 60.0, 60.0) == pytest.approx(0.0)
    assert g2(10, 0, 60.0, 60.0) == pytest.approx(13.863, abs=1e-3)  # 2 · 10 · ln 2


def test_lines_that_come_in_heaps_by_themselves_count_for_less() -> None:
    evenly = [float(at) for at in range(0, 360, 2)]
    heaped = [float(at // 60 * 60) for at in range(0, 360, 2)]
    assert dispersion(evenly, WINDOW, 360.0) == 1.0
    assert dispersion(heaped, WINDOW, 360.0) > 10
