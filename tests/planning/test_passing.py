"""What a step reports in a run is passed on to later steps: never guessed, and never where the plan needs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from chaosrunner.engine.fault_run import FaultRun
from chaosrunner.engine.leash import Leash
from chaosrunner.engine.means import Means
from chaosrunner.engine.recorder import Recorder
from chaosrunner.engine.stop import Stop
from chaosrunner.errors import CannotDoHonestly, NoAnswer, NoReading, UsageError
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.journal import FaultPrepared, StepReported, ValuesPassed
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.passing import NotPassed, Use, part_of, parted, put_in_late, stood_in
from chaosrunner.model.plan import PlannedItem, PlannedRead
from chaosrunner.model.words import Answer, Ending
from chaosrunner.ports import Parameters
from chaosrunner.reports.plan import plan_text
from chaosrunner.secrets import hide
from tests.engine.world import SlowFault, World, fault, journal_without_threads, plan, target
from tests.files.good import WHOLE, problems_of
from tests.planning.test_plan import FAULTS, planned, step
from tests.virtual_time import run_virtually

ANY: Mapping[str, JsonValue] = {"text": "later", "number": 1, "any": None, "undo.arguments": None}


# -- values


@pytest.mark.parametrize(
    ("use", "is_"),
    [
        ("a.value", Use("a", "value")),
        ("a.b.value.x.0", Use("a.b", "value", ("x", "0"))),
        ("nobody.at.all", Use("nobody.at", "all")),
    ],
)
def test_a_use_is_read_by_the_longest_id_that_there_is(use: str, is_: Use) -> None:
    assert parted(use, ["a", "a.b"]) == is_


@pytest.mark.parametrize(
    ("name", "written", "told", "put"),
    [
        ("number", "${steps.a.value}", 503, 503),
        ("text", "n is ${steps.a.value}", 503, "n is 503"),
        ("text", "n is ${steps.a.value}", True, "n is true"),
        ("any", ["${steps.a.value}", 1], {"x": [1]}, [{"x": [1]}, 1]),
        ("undo", {"arguments": {"n": "${steps.a.value}"}}, "x", {"arguments": {"n": "x"}}),
        ("text", "as it is", 1, "as it is"),
    ],
)
def test_a_value_keeps_its_type_unless_it_stands_within_a_text(name: str, written: Any, told: Any, put: object) -> None:
    assert put_in_late(written, lambda use: told, ANY, name) == put


@pytest.mark.parametrize(
    ("name", "written", "told", "said"),
    [
        ("number", "${steps.a.value}", "503", "${steps.a.value} is text, and `number` takes a number"),
        ("number", "${steps.a.value}", True, "is true/false, and `number` takes a number"),
        ("text", "${steps.a.value}", 503, "is a number, and `text` takes text"),
        ("text", "n: ${steps.a.value}", [1], "is a list, which cannot stand within a text"),
        ("text", "n: ${steps.a.value}", None, "is nothing, which cannot stand within a text"),
    ],
)
def test_a_value_of_another_type_is_never_made_to_fit(name: str, written: Any, told: Any, said: str) -> None:
    with pytest.raises(NotPassed) as error:
        put_in_late(written, lambda use: told, ANY, name)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("use", "told", "is_"),
    [
        (Use("a", "value"), {"value": 3}, 3),
        (Use("a", "value", ("x", "1")), {"value": '{"x": [1, 2]}'}, 2),
        (Use("a", "output", ("x",)), {"output": {"x": "y"}}, "y"),
    ],
)
def test_a_part_of_what_was_told_is_found(use: Use, told: JsonObject, is_: object) -> None:
    assert part_of(told, use) == is_


@pytest.mark.parametrize(
    ("use", "told", "said"),
    [
        (Use("a", "value"), {}, "${steps.a.value}: the step a reported no value"),
        (Use("a", "value", ("x",)), {"value": "no json"}, "what was read is no JSON: 'no json'"),
        (Use("a", "value", ("x",)), {"value": "[" * 100_000}, "is no JSON"),
        (Use("a", "value", ("x", "z")), {"value": '{"x": {"y": 1}}'}, "value.x has no 'z'; it has y"),
        (Use("a", "value", ("3",)), {"value": "[1]"}, "value has no '3'; it has 1 items"),
        (Use("a", "value", ("x",)), {"value": "3"}, "value has no 'x': it is a number"),
    ],
)
def test_what_was_not_told_is_an_error_in_words(use: Use, told: JsonObject, said: str) -> None:
    with pytest.raises(NotPassed) as error:
        part_of(told, use)
    assert said in str(error.value)


def test_a_stand_in_has_the_type_that_the_parameter_takes() -> None:
    written: JsonObject = {"number": "${steps.a.value}", "text": "n=${steps.a.value}", "any": "${steps.a.value}"}
    assert stood_in(written, ANY) == {"number": 1, "text": "n=1", "any": "${steps.a.value}"}
    with pytest.raises(NotPassed, match=r"^undo\.module$"):
        stood_in({"undo": {"module": "${steps.a.value}"}}, ANY)


# -- plans


class LateParams(Parameters):
    delay: float = 0.5
    note: str = ""
    status: int = 200


class Noting(SlowFault):
    """Slow, and says something about itself."""

    kind = "noting"
    late: ClassVar[Mapping[str, JsonValue]] = {"note": "later", "status": 503}
    reports: ClassVar[Mapping[str, str]] = {"output": "what it did"}

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.Params = LateParams

    @classmethod
    def does(cls, params: Any) -> str:
        return f"says {params.note}"

    async def check(self) -> None:
        if self.params.note == "impossible":  # type: ignore[attr-defined]
            raise CannotDoHonestly("it cannot say that")

    async def report(self, prepared: JsonObject) -> JsonObject:
        return {"output": {"was": prepared["was"]}, "else": 1}


Noting.Params = LateParams
FAULTS = {**FAULTS, "noting": Noting}
READ = {"id": "first", "read": {"ready": {}}}


def made(*method: Mapping[str, Any]) -> Any:
    return planned(method, faults=FAULTS)


def test_a_plan_shows_what_is_known_only_when_another_step_has_run() -> None:
    note = step("noting", **{"with": {"note": "${steps.first.value} of ${steps.slow.count}", "delay": 2}})
    found = made(READ, step(), note)
    assert found.method[0].read.timeout == 2.5
    told = found.faults[1]
    assert told.later == {"note": "${steps.first.value} of 1"}
    assert told.params == {"note": "1 of 1", "delay": 2}
    assert told.does == "says 1 of 1 (note: known when first has run)"
    text = list(plan_text(found, {}))
    assert "    note, known when first has run: ${steps.first.value} of 1" in text
    assert "  first  ready, within 2.5s" in text


@pytest.mark.parametrize(
    ("first", "with_", "said"),
    [
        (READ, {"delay": "${steps.first.value}"}, "`delay` must be known before the run"),
        (
            step(id="first", take=2),
            {"note": "${steps.first.seen}"},
            "seen is about one target, and the step first has 2",
        ),
        (
            step(id="first"),
            {"note": "${steps.first.output}"},
            "the step first reports no output; it reports seen, since",
        ),
        (READ, {"note": "${steps.frist.value}"}, "names no earlier step"),
    ],
)
def test_a_plan_refuses_what_cannot_be_passed_on(first: Any, with_: Any, said: str) -> None:
    with pytest.raises(UsageError) as error:
        made(first, step("noting", **{"with": with_}))
    assert said in str(error.value)


def test_a_plan_refuses_what_a_fault_in_force_at_the_same_time_would_tell() -> None:
    both = {"together": [step(id="one"), step("noting", id="two", **{"with": {"note": "${steps.one.seen}"}})]}
    with pytest.raises(UsageError, match="the step one is in force at the same time"):
        made(both)


# -- runs


class NotingWorld(World):
    """Its faults are of the kind that takes and gives values."""

    @property
    def fault_plugin(self) -> type[SlowFault]:
        bound = {"__doc__": "Bound.", "system": self.system, "hooks": self.hooks}
        return type("BoundFault", (Noting,), bound | self.fault_methods)


def reading(id: str = "first", **changes: Any) -> PlannedItem:
    return PlannedItem(read=PlannedRead(id=id, probe="fake", timeout=1.0, **changes))


def passing(folder: Path, *before: PlannedItem, later: JsonObject, probe: Any = None) -> NotingWorld:
    noting = fault(id="noting", params={"delay": 0.5, "note": "later", "status": 503}, later=later, lasts="2s")
    return NotingWorld(folder, plan=plan(method=[*before, PlannedItem(faults=(noting,))]), probe=probe)


def said(world: World, kind: type) -> list[Any]:
    return [entry.event for entry in world.entries if isinstance(entry.event, kind)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def reads(world: NotingWorld, value: Any) -> NotingWorld:
    """Only the step's own reading gives this; measures go on as they are."""
    world.step_value = value
    return world


def test_what_was_read_reaches_the_fault_and_the_journal_keeps_it(folder: Path) -> None:
    world = reads(passing(folder, reading(), later={"status": "${steps.first.value}"}), 404.0)
    assert world.go().ending is Ending.FINISHED
    assert [event.values for event in said(world, StepReported)] == [{"value": 404, "text": "404"}]
    (passed,) = said(world, ValuesPassed)
    (prepared,) = said(world, FaultPrepared)
    assert passed.params == prepared.params == {"delay": 0.5, "note": "later", "status": 404}


def test_what_a_fault_reports_reaches_a_later_one(folder: Path) -> None:
    first = fault(id="slow", lasts="2s")
    later = {"note": "${steps.slow.seen}, was ${steps.slow.output.was} at ${steps.slow.since}"}
    world = passing(folder, PlannedItem(faults=(first,)), later=later)
    assert world.go().ending is Ending.FINISHED
    (told,) = said(world, StepReported)
    assert set(told.values) == {"seen", "since", "output"}
    assert said(world, ValuesPassed)[0].params["note"] == f"0.6 s, was 0.1 at {told.values['since']}"


@pytest.mark.parametrize(
    ("value", "later", "why"),
    [
        (NoReading("no such table"), {"note": "${steps.first.text}"}, "first: nothing was read: no such table"),
        (NoAnswer("refused"), {"note": "${steps.first.text}"}, "first: nothing was read: refused"),
        ("503", {"status": "${steps.first.value}"}, "is text, and `status` takes a number"),
        (1.5, {"status": "${steps.first.value}"}, "with what was passed on its parameters are wrong: status: "),
        ("impossible", {"note": "${steps.first.value}"}, "with what was passed on: it cannot say that"),
        (
            "is $token",
            {"note": "${steps.first.value}"},
            "has `$token` in it, which would be read as a reference further",
        ),
        ("s3cret-of-the-system", {"note": "${steps.first.value}"}, "holds a secret, which is not passed on"),
    ],
)
def test_what_cannot_be_passed_on_ends_the_run_inconclusive(folder: Path, value: Any, later: Any, why: str) -> None:
    if "s3cret" in str(value):
        hide("s3cret-of-the-system")
    world = reads(passing(folder, reading(), later=later), value)
    outcome = world.go()
    assert outcome.ending is Ending.FAULT_FAILED
    assert why in outcome.reason
    assert world.verdict().answer is Answer.INCONCLUSIVE
    assert world.system.slow == {}
    assert not said(world, FaultPrepared)
    assert "s3cret" not in world.journal.read_text()


def test_a_fault_beside_one_that_is_not_told_is_undone(folder: Path) -> None:
    other = fault(id="other", targets=(target(2),))
    world = passing(folder, reading(), later={"status": "${steps.first.value}"})
    items = world.plan.method
    both = items[1].model_copy(update={"faults": (other, items[1].faults[0].model_copy(update={"after": 1.0}))})
    world.plan = world.plan.model_copy(update={"method": (items[0], both)})
    outcome = reads(world, "no number").go()
    assert outcome.ending is Ending.FAULT_FAILED
    assert "undo shop-2" in world.system.log
    assert world.system.slow == {}


def test_a_fault_that_cannot_report_fails_the_step_that_asks(folder: Path) -> None:
    async def report(self: Any, prepared: JsonObject) -> JsonObject:
        raise RuntimeError("no word")

    world = passing(folder, PlannedItem(faults=(fault(id="slow", lasts="2s"),)), later={"note": "${steps.slow.seen}"})
    world.fault_methods = {"report": report}
    outcome = world.go()
    assert outcome.ending is Ending.FAULT_FAILED
    assert "what it reports is not known: RuntimeError: no word" in outcome.reason
    assert world.system.slow == {}


def test_a_halt_cuts_a_reading_short(folder: Path) -> None:
    world = passing(folder, reading(), later={"note": "${steps.first.text}"})
    world.step_value = "hang"
    world.at = {3.0: lambda world: world.stop.now(Ending.HALTED, "ana", "enough")}
    assert world.go().ending is Ending.HALTED
    assert said(world, StepReported) == []


def test_a_fault_is_healed_with_what_was_passed_on(folder: Path) -> None:
    world = reads(passing(folder, reading(), later={"note": "${steps.first.value}"}), "what is to be undone")
    world.go()
    (entry,) = said(world, FaultPrepared)
    planned = world.plan.faults[0]
    assert planned.params["note"] == "later"

    async def healed() -> FaultRun:
        stop = Stop()
        recorder = Recorder(journal_without_threads(folder / "healed.jsonl", world.clock), stop, [])
        means = Means("run", world.platform, recorder, stop, Leash(), world.clock)
        return FaultRun.from_ledger(world.fault_plugin, planned, entry, means)

    assert run_virtually(healed()).planned.params["note"] == "what is to be undone"


# -- files


def told(tmp_path: Path, steps: str) -> list[str]:
    before, _, after = WHOLE.partition("  method:\n")
    rest = after[after.index("  recovery:") :]
    return [str(one) for one in problems_of(tmp_path, f"{before}  method:\n{steps}{rest}")]


LATER = """\
    - {id: leader, read: {http: {url: "http://127.0.0.1:7001/leader", read: body}}}
    - {id: paused, fault: process-pause, target: {service: payments}, for: 30s}
    - id: last
      fault: http-fault
      target: {service: checkout, to: payments}
      with: {status: "${steps.leader.value.code}", body: "${steps.paused.seen} ${steps.leader.text}"}
      for: 30s
"""


def test_check_lets_pass_what_can_be_passed_on(tmp_path: Path) -> None:
    found = told(tmp_path, LATER)
    assert not [one for one in found if "steps." in one], found


def test_check_takes_what_the_plan_will_know_of_targets_for_any_value_that_fits(tmp_path: Path) -> None:
    wrong = "{fault: dns-fault, target: {service: checkout, to: payments}, for: 9s, with: {answer: wrong, address: X}}"
    first = "    - {id: first, fault: process-kill, target: {service: payments}}\n"
    for address, mistakes in (('"${steps.first.ip}"', 0), ("nowhere", 1)):
        found = told(tmp_path, f"{first}    - {wrong.replace('X', address)}\n")
        assert sum("`address`" in one for one in found) == mistakes, found


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ('"${steps.leader.value.code}"', '"${steps.leder.value}"', "names no earlier step, did you mean 'leader'?"),
        ('"${steps.leader.value.code}"', '"${steps.last.seen}"', "`${steps.last.seen}` names no earlier step"),
        ('"${steps.leader.value.code}"', '"${steps.paused.value}"', "nothing is known by that word"),
        ("read: body", "read: status", "what this step reads is no text with parts"),
        (
            "status:",
            'delay: "${steps.leader.value}", status:',
            "`delay` of `http-fault` must be known when the plan is",
        ),
        ("service: payments}, for: 30s", 'service: payments}, for: "${steps.leader.value}"', "`for` must be known"),
        ("service: payments}", 'service: "${steps.leader.value}"}', "`target` must be known when the plan is made"),
        ("service: payments}", "service: payments, take: 2}", "is about one target, and the step 'paused' takes 2"),
        ("id: paused", "id: leader", "the id 'leader' is taken by the step in line"),
        ("http: {", "htp: {", "unknown probe `htp`, did you mean 'http'?"),
        ("id: leader, read", "read", "item 1 of `method` has no `id`"),
    ],
)
def test_check_says_what_cannot_be_passed_on(change: str, to: str, said: str, tmp_path: Path) -> None:
    assert change in LATER
    found = told(tmp_path, LATER.replace(change, to, 1))
    assert any(said in one for one in found), found
