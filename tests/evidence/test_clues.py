"""Causes planted in a service are found among much that has nothing to do with them; where nothing changed nothing is
told."""

from __future__ import annotations

import re

import pytest

from benchmarks.planted import CAUSES, NOW, Planted, simulated
from chaosrunner.judging.clues import clues
from chaosrunner.model.evidence import Clues
from chaosrunner.model.material import Happening, Material, Sampled, Stream, Window

QUICK = (
    "geo is slow",
    "deadlocks",
    "mails are not sent",
    "a bad version",
    "it restarts again and again",
    "memory leaks",
)
WINDOW = Window(usual_from=0.0, baseline=540.0, began=600.0, ended=660.0)


def plain(text: str) -> str:
    return text


def told(cause: Planted | None, seed: int) -> Clues:
    window, material = simulated(cause, seed, usual=300.0, lasts=30.0)
    return clues([material], window, show=10, clean=plain)


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if cause.name in QUICK], ids=lambda cause: cause.name)
def test_the_three_strongest_clues_are_of_the_planted_cause(cause: Planted) -> None:
    found = told(cause, 7).found[:3]
    of_it = [re.search(f"{cause.cause}|{cause.effects}", clue.subject) for clue in found]
    assert found and all(of_it), [clue.says for clue in found]
    assert any(re.search(cause.cause, clue.subject) for clue in found)
    assert all(clue.says.endswith(".") and clue.at is not None and clue.at >= NOW - 5 for clue in found)


@pytest.mark.parametrize("seed", range(4))
def test_where_nothing_changed_nothing_is_told(seed: int) -> None:
    assert [clue.says for clue in told(None, seed).found] == []


def steps(name: str, labels: str = "", *, during: float = 50.0, **more) -> Sampled:
    points = [(at * 5.0, 10.0 + at % 3 if at < 120 else during + at % 3) for at in range(132)]
    return Sampled(name, labels, points, **more)


def made(*series: Sampled, streams=(), happenings=(), **more) -> Clues:
    material = Material("there", series, streams, happenings, looked="all of it")
    return clues([material], WINDOW, **{"show": 10, "clean": plain, **more})


def test_series_of_replicas_that_move_alike_are_one_clue() -> None:
    (clue,) = made(steps("waiting", '{pod="a"}'), steps("waiting", '{pod="b"}', during=90.0)).found
    assert clue.subject == 'waiting{pod="b"}'
    assert clue.alike == 1
    assert "1 more series of its kind moved alike" in clue.says


def test_a_clue_says_its_numbers_its_time_and_no_cause() -> None:
    (clue,) = made(steps("waiting", unit="s")).found
    assert clue.says.startswith("waiting rose from 11 s to 51 s (medians; ")
    assert "at 00:10:00 UTC, 0 s after the fault was injected" in clue.says
    assert (clue.before, clue.during, clue.unit, clue.above) == (11.0, 51.0, "s", 1.0)


def test_the_finding_itself_is_no_evidence_of_it() -> None:
    assert not made(steps("slo/p99"), without=["slo/p99"]).found


def test_a_target_that_is_gone_is_one_clue_for_all_its_series() -> None:
    there = [steps(f"m{n}", during=10.0, owner="job=cart") for n in range(5)]
    gone = [Sampled(f"m{n}", "", steps("x").points[:119], owner="job=checkout") for n in range(5)]
    (clue,) = made(*there, *gone).found
    assert (clue.how, clue.subject, clue.alike) == ("gone", "job=checkout", 4)
    assert clue.says.startswith("5 series of job=checkout ended: the last value came at 00:09:50 UTC, 10 s before")


def test_a_measure_with_holes_is_not_gone() -> None:
    assert not made(Sampled("m", "", steps("x").points[:119], whole=False)).found


def test_a_deploy_a_restart_and_what_came_to_be_are_told() -> None:
    new = [(600.0 + 5 * index, 1.0) for index in range(12)]
    started = [(at, 100.0 if at < 600 else 603.0) for at, _ in steps("x").points]
    found = made(
        Sampled("api_build_info", '{version="2"}', new, says="version"),
        Sampled("process_start_time_seconds", "", started, owner="job=api", says="start"),
        Sampled("errors", '{why="full"}', new),
    ).found
    assert [(clue.what, clue.how) for clue in found] == [
        ("deploy", "happened"),
        ("metric", "new"),
        ("restart", "happened"),
    ]
    assert found[0].says.startswith('api_build_info{version="2"} runs since then, at 00:10:00 UTC')
    assert found[2].says.startswith("job=api was started anew, at 00:10:03 UTC")


def test_happenings_that_come_all_the_time_are_no_news() -> None:
    often = [Happening(at, "pod/a", "pod/a: Unhealthy", key="Unhealthy a") for at in range(0, 660, 30)]
    once = Happening(610.0, "pod/b", "pod/b: OOMKilled", key="OOMKilled b", weight=20.0)
    (clue,) = made(happenings=[*often, once]).found
    assert clue.says == "pod/b: OOMKilled, at 00:10:10 UTC, 10 s after the fault was injected."


def test_metrics_logs_and_happenings_come_in_turns() -> None:
    lines = [(601.0 + index, "ERROR no answer") for index in range(50)]
    found = made(
        steps("one"),
        steps("two"),
        streams=[Stream("log", lines, 0.0)],
        happenings=[Happening(610.0, "run", "another run was under way", what="run")],
    ).found
    assert [clue.what for clue in found] == ["run", "metric", "log", "metric"]


def test_no_more_than_asked_for_are_kept_and_the_rest_is_counted() -> None:
    found = made(*(steps(f"m{n}") for n in range(5)), show=2)
    assert (len(found.found), found.left_out) == (2, 3)


def test_what_cannot_be_known_is_said() -> None:
    few = Sampled("m", "", [(650.0, 1.0)])
    short = Stream("log", [(590.0, "a"), (620.0, "a")], 580.0)
    said = made(few, streams=[short]).unknown
    assert said[0] == "1 of 1 series have fewer than 3 values from while the fault was in force"
    assert said[1] == "1 of 1 series have fewer than 4 values from the time before it, under the same load"
    assert said[2].startswith("the logs are known for 20 s before the fault only")


def test_secrets_are_taken_out_of_all_words() -> None:
    lines = [(601.0 + index, "ERROR bad key s3cr3t") for index in range(50)]
    found = made(
        streams=[Stream("log", lines, 0.0)],
        happenings=[Happening(610.0, "s3cr3t", "pod s3cr3t: Killed")],
        clean=lambda text: text.replace("s3cr3t", "(secret)"),
    )
    assert "s3cr3t" not in str(found.as_json())
    assert "(secret)" in found.found[1].sample
