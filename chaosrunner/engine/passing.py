"""What steps of a run pass on to later ones: kept as it is reported, and put into parameters just before these act.

Whatever is missing, of another type, or holds a secret is not passed on, and nothing stands in for it: the step that
needs it has failed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any

from chaosrunner.engine.means import Means
from chaosrunner.judging.reading import Reading
from chaosrunner.model.frozen import JsonObject, complaint
from chaosrunner.model.journal import StepReported, ValuesPassed
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.passing import LONGEST, NotPassed, as_text, part_of, parted, put_in_late
from chaosrunner.model.plan import Plan, PlannedFault, PlannedMeasure, PlannedRead
from chaosrunner.model.step_values import uses
from chaosrunner.model.tolerance import Value
from chaosrunner.ports import Fault, Hold, Plugin, Sighting
from chaosrunner.records.patterns import pattern
from chaosrunner.secrets import HIDDEN, without_secrets

__all__ = ["Passing", "ReadOnce", "nobody_reads"]

ReadOnce = Callable[[PlannedMeasure], Coroutine[Any, Any, Reading]]
"""Takes one reading."""
_REFERENCE = pattern(r"\$(?:[A-Za-z_]+|[{$])")
"""What an extension of Chaos Toolkit would replace by its configuration or a secret."""
_SPARE = 12.0
"""Seconds beside its own limit that a reading may take: its probe is opened and closed."""


async def nobody_reads(measure: PlannedMeasure) -> Reading:
    """For a run without steps that read."""
    return Reading(0.0, 0.0, missing="this run does not read between faults")


class Passing:
    """One for each run."""

    def __init__(self, plan: Plan, means: Means, read: ReadOnce) -> None:
        self._means = means
        self._read = read
        self._steps = {fault.id for fault in plan.faults} | {item.read.id for item in plan.method if item.read}
        later = [fault.later for fault in plan.faults] + [item.read.later for item in plan.method if item.read]
        self._wanted = {parted(use, self._steps).step for each in later if each for use in uses(each)}
        self._told: dict[str, JsonObject] = {}
        self._troubles: dict[str, str] = {}

    # -- reporting

    def hears_of(self, planned: PlannedFault) -> Callable[[Fault[Any], JsonObject, Sighting], Any] | None:
        """What is to be called when the step's fault is seen in force; None: no later step asks about it."""
        if planned.id not in self._wanted:
            return None

        async def heard(fault: Fault[Any], prepared: JsonObject, sighting: Sighting) -> None:
            since = datetime.fromtimestamp(self._means.clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            told = await self._means.leash.ask(fault.report(prepared), self._means.limits.confirm)
            if told.error is not None:
                self._keep(planned.id, {}, f"what it reports is not known: {told.trouble}")
            else:
                more = {word: value for word, value in (told.value or {}).items() if word in fault.reports}
                self._keep(planned.id, {"seen": sighting.how, "since": since, **more})

        return heard

    def _keep(self, step: str, values: JsonObject, trouble: str = "") -> None:
        trouble = trouble or next((why for word, value in values.items() if (why := _unfit(word, value))), "")
        if trouble:
            values, self._troubles[step] = {}, trouble
        self._told[step] = values
        self._means.recorder.record(StepReported(step=step, values=values, trouble=trouble))

    async def read(self, planned: PlannedRead, plugin: Callable[[str], type[Plugin[Any]]]) -> str:
        """Take the reading of a step, and keep it. Why it has none; empty: it has, or the run is stopped."""
        try:
            params = self._put_in(planned.id, planned, plugin(planned.probe) if planned.later else None)
        except NotPassed as error:
            return str(error)
        within = planned.timeout
        measure = PlannedMeasure(
            key=planned.id,
            hypothesis="",
            name=planned.id,
            probe=planned.probe,
            params=params,
            every=within,
            timeout=within,
            lag=0.0,
        )
        taken = await self._means.leash.ask(self._read(measure), within + _SPARE, self._means.stop)
        if taken.cut:
            return ""
        reading = taken.value
        trouble = taken.trouble if reading is None else reading.no_answer or reading.missing or ""
        if reading is not None and reading.value is not None and not trouble:
            value = _number(reading.value)
            self._keep(planned.id, {"value": value, "text": as_text(value)})
        else:
            self._keep(planned.id, {}, trouble or "the probe read nothing")
        return self._troubles.get(planned.id, "")

    # -- using

    async def filled(self, planned: PlannedFault, plugin: type[Fault[Any]]) -> PlannedFault:
        """A step with what the run knows by now, as its plugin takes it. Raises `NotPassed`."""
        if planned.later is None:
            return planned
        params = self._put_in(planned.id, planned, plugin)
        found = planned.model_copy(update={"params": params})
        await self._fits(planned, found, plugin)
        return found

    def _put_in(self, step: str, planned: PlannedFault | PlannedRead, plugin: type[Plugin[Any]] | None) -> JsonObject:
        if planned.later is None or plugin is None:
            return planned.params
        put: JsonObject = {}
        for name, written in planned.later.items():
            put[name] = put_in_late(written, self._ask, plugin.late, name)
        params = {**planned.params, **put}
        try:
            plugin.Params.model_validate(params)
        except ValueError as error:
            raise NotPassed(f"with what was passed on its parameters are wrong: {_first(error)}") from None
        self._means.recorder.record(ValuesPassed(step=step, params=params))
        return params

    def _ask(self, use: str) -> JsonValue:
        one = parted(use, self._steps)
        if one.step in self._troubles:
            raise NotPassed(f"${{steps.{use}}} is not known: {self._troubles[one.step]}")
        if one.step not in self._told:
            raise NotPassed(f"${{steps.{use}}} is not known: the step {one.step} was not seen in force")
        return part_of(self._told[one.step], one)

    async def _fits(self, planned: PlannedFault, found: PlannedFault, plugin: type[Fault[Any]]) -> None:
        """What guards, people and time limits were told of the plan must hold for the step as it is now."""
        before, params = plugin.Params.model_validate(planned.params), plugin.Params.model_validate(found.params)
        for target in planned.targets:
            if plugin.identity(params, target) != plugin.identity(before, target):
                raise NotPassed("with what was passed on it would be another fault than the plan says")
        if plugin.patience(params) != plugin.patience(before):
            raise NotPassed("with what was passed on it would take longer than the plan says")
        hold = Hold(id=f"check.{planned.id}", run=self._means.run, deadline=0.0, seconds=planned.lasts)
        for target in planned.targets:
            asked = plugin(params, target, self._means.platform, hold).check()
            checked = await self._means.leash.ask(asked, self._means.limits.prepare, self._means.stop)
            if checked.error is not None:
                raise NotPassed(f"with what was passed on: {checked.trouble}")


def _number(value: Value) -> Value:
    """A whole number as such: 503 goes into a text as 503."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value


def _unfit(word: str, value: JsonValue) -> str:
    """Why a value is not passed on."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return f"{word} is nothing that JSON can say"
    if len(text) > LONGEST:
        return f"{word} has {len(text)} characters, more than {LONGEST}"
    if (found := next((match for one in _texts(value) if (match := _REFERENCE.search(one))), None)) is not None:
        return f"{word} has `{found[0]}` in it, which would be read as a reference further on"
    if any(HIDDEN in one or without_secrets(one) != one for one in _texts(value)):
        return f"{word} holds a secret, which is not passed on: parameters are kept in the journal and shown"
    return ""


def _texts(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for name, item in value.items() for text in (str(name), *_texts(item))]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return []


def _first(error: ValueError) -> str:
    """The first of pydantic's complaints, without its address."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    return complaint(error.errors(include_url=False, include_input=False)[0])
