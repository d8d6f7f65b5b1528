"""What Chaos Toolkit does with a file that nobody expects is said before the run; what came of it, afterwards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.interop.toolkit_record import Told, their_exit
from chaosrunner.interop.toolkit_traps import WORDS, traps, ways, what_happened
from tests.chaos_toolkit.cases import (
    BREAK,
    CASES,
    CONTINUOUS,
    IS_WHOLE,
    MEND,
    action,
    control,
    experiment,
    probe,
    process,
    python,
    told,
)

PLAIN = experiment(BREAK, probes=[IS_WHOLE], rollbacks=[MEND])
FAST = {**CONTINUOUS, "fail_fast": True}
FALLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "swallowed": (PLAIN, {}),
    "interrupts-nothing": (PLAIN, FAST),
    "failed-not-deviated": (PLAIN, FAST),
    "probe-fails": (PLAIN, {}),
    "never-reaches": (PLAIN, CONTINUOUS),
    "one-by-one": (PLAIN, CONTINUOUS),
    "hangs": (PLAIN, CONTINUOUS),
    "never": (PLAIN, {"rollbacks_strategy": "never"}),
    "interrupted": (PLAIN, {}),
    "lost-ref": (CASES["a rollback with a ref to nothing"].experiment, {}),
    "nothing-returned": (told(1, {"type": "range", "range": [0, 2]}).experiment, {}),
    "from-to": (told(1, [200, 503]).experiment, {}),
    "ignored": (CASES["a timeout of the activity is ignored"].experiment, {}),
    "shell": (CASES["process with one text runs in a shell"].experiment, {}),
    "exit-0": (PLAIN, {}),
    "not-met": (PLAIN, {}),
    "control": (experiment(BREAK, controls=control("ct_failing")), {}),
    "unknown-variable": (CASES["a variable that nobody names"].experiment, {}),
    "unknown-key": (experiment(BREAK, steady_state={}), {}),
    "continuous": (PLAIN, {"hypothesis_strategy": "continuous"}),
    "written-secret": (CASES["secret in the file"].experiment, {}),
}
"""By the trap: a file that falls into it, and how it is run."""


def named(made: dict[str, Any], options: dict[str, Any]) -> str:
    return "\n".join(traps(made, ways(made, options)))


def test_the_page_explains_every_number() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "chaos-toolkit.md").read_text()
    assert re.findall(r"^\| (\d+) \|", page.partition("## The traps")[2], re.MULTILINE) == [*map(str, range(1, 15))]
    assert {number for number, _ in WORDS.values()} == set(range(1, 14)) - {12}


def words_of(what: str) -> str:
    """The longest piece of its words into which nothing is put."""
    return max(re.split(r"\$?\{+\w+\}+", WORDS[what][1]), key=len)


def test_every_trap_has_a_file_that_falls_into_it() -> None:
    assert set(FALLS) == set(WORDS)


@pytest.mark.parametrize("what", FALLS)
def test_a_trap_is_named_with_its_number_where_a_file_can_fall_into_it(what: str) -> None:
    said = named(*FALLS[what])
    assert words_of(what) in said
    assert f"trap {WORDS[what][0]}: " in said


def test_no_trap_is_named_of_a_file_that_is_free_of_all() -> None:
    assert named(experiment(probe(process("true", timeout=3), name="note")), {}) == ""


def test_strategies_of_the_command_count_before_those_of_the_file() -> None:
    made = {**PLAIN, "runtime": {"rollbacks": {"strategy": "never"}}}
    assert "the rollbacks are never played" in named(made, {})
    assert "the rollbacks are never played" not in named(made, {"rollbacks_strategy": "always"})


def test_a_variable_of_the_command_is_known() -> None:
    made = CASES["a variable that nobody names"].experiment
    assert "nobody" not in named(made, {"var": ["nobody=1"]})


def journal(**more: Any) -> Told:
    made = experiment(action(python("fail"), "act"), probes=[IS_WHOLE], rollbacks=[MEND])
    states = {"before": {"steady_state_met": True}, "during": [], "after": {"steady_state_met": True}}
    entry = {"activity": action(python("fail"), "act"), "status": "succeeded", "output": None}
    mended = {"activity": MEND, "status": "succeeded"}
    plain = {"status": "completed", "deviated": False, "run": [entry], "rollbacks": [mended], "steady_states": states}
    return Told({"experiment": made, **plain, **more})


FAILED = {
    "activity": action(python("fail"), "act"),
    "status": "failed",
    "exception": ["Traceback\n", "ActivityFailed: no"],
}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, []),
        ({"run": [FAILED]}, ["exit 0, although the action act failed: ActivityFailed: no"]),
        (
            {"steady_states": {"before": {"steady_state_met": False}}, "run": []},
            ["exit 0, although the hypothesis was not met before the method, which was not played"],
        ),
        (
            {"steady_states": {"during": [{"steady_state_met": met} for met in (True, False, False)]}},
            ["not deviated for Chaos Toolkit, although 2 of 3 looks during the method were not in tolerance"],
        ),
        ({"rollbacks": []}, ["the rollbacks were not played: what the actions did may still be in force"]),
        (
            {"rollbacks": [{**FAILED, "activity": MEND}]},
            ["exit 0, although the rollback mend failed: ActivityFailed: no"],
        ),
    ],
)
def test_what_their_journal_shows_and_they_do_not_say_is_said(more: dict[str, Any], said: list[str]) -> None:
    found = journal(**more)
    assert what_happened(found, their_exit(found)) == said
