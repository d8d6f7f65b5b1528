"""A plan as text and as JSON: what would be hit, when, what would be read, what the guards say, what undo will do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from chaosrunner.judging.during import phases_read
from chaosrunner.judging.reading import Reading
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.passing import known_when, parted
from chaosrunner.model.plan import Plan, PlannedFault, PlannedItem, PlannedMeasure
from chaosrunner.model.quantities import show, write_duration
from chaosrunner.model.step_values import uses
from chaosrunner.model.words import Phase
from chaosrunner.reports.words import clean, few, value_text

DEFAULT_HOLDS = 5.0


def timeline(plan: Plan) -> list[tuple[float, str]]:
    """(seconds after the start, what happens) if the baseline is steady at once and the system recovers at once."""
    lag = plan.slowest_lag
    t = 0.0
    found = [(t, f"baseline: steady for {write_duration(plan.baseline.for_)}")]
    t += plan.baseline.for_ + lag
    for item in plan.method:
        found += [(t + fault.after, _begins(fault)) for fault in item.faults]
        if item.read is not None:
            found.append((t, f"{item.read.id}: read {item.read.probe}, for later steps"))
        elif not item.faults:
            found.append((t, f"wait {write_duration(item.wait)}"))
        found += [(t + fault.after + fault.lasts, f"undo {fault.id}") for fault in item.faults]
        t += _length(item)
    within = write_duration(plan.recovery.within)
    found.append((t, f"recovery: every judged measure inside again within {within}"))
    holds = plan.recovery.holds if plan.recovery.holds is not None else DEFAULT_HOLDS
    found.append((t + holds + lag, "end, at the earliest"))
    return sorted(found, key=lambda moment: moment[0])


def _begins(fault: PlannedFault) -> str:
    lasts = write_duration(fault.lasts)
    name = fault.fault if fault.id == fault.fault else f"{fault.id}: {fault.fault}"
    return f"{name}, " + (f"observed for {lasts}" if fault.instant else f"in force for {lasts}")


def _length(item: PlannedItem) -> float:
    return max((fault.after + fault.lasts for fault in item.faults), default=item.wait)


def expected_readings(plan: Plan, measure: PlannedMeasure) -> dict[str, int]:
    """How many readings each phase is expected to have."""
    holds = plan.recovery.holds if plan.recovery.holds is not None else max(DEFAULT_HOLDS, 3 * measure.every)
    lengths = {
        Phase.BASELINE: plan.baseline.for_ + plan.slowest_lag,
        Phase.FAULT: sum(_length(item) for item in plan.method),
        Phase.RECOVERY: holds + measure.lag,
    }
    read = phases_read(measure.during)
    return {phase.value: int(length / measure.every) if phase in read else 0 for phase, length in lengths.items()}


def plan_json(plan: Plan, samples: Mapping[str, Reading]) -> JsonObject:
    """The plan as it goes into the journal, with `timeline`, `readings` and `samples`, and `go`: would it run?"""
    return {
        "go": all(answer.go for answer in plan.guards),
        "plan": plan.as_json(),
        "timeline": [{"at": round(at, 3), "what": what} for at, what in timeline(plan)],
        "readings": {measure.key: dict(expected_readings(plan, measure)) for measure in plan.measures},
        "samples": {
            key: {"value": reading.value, "noAnswer": reading.no_answer, "missing": reading.missing}
            for key, reading in samples.items()
        },
    }


def plan_text(plan: Plan, samples: Mapping[str, Reading]) -> Iterator[str]:
    """The plan for people, line by line."""
    yield f"{clean(plan.experiment)}: {clean(plan.title)}"
    yield f"  service {plan.service}, environment {plan.environment.name}, seed {plan.seed}"
    if plan.parameters:
        yield f"  {clean(', '.join(f'{name} {value}' for name, value in plan.parameters.items()))}"
    yield ""
    yield "Timeline, at the earliest"
    yield from (f"  {at:7.1f} s  {what}" for at, what in timeline(plan))
    yield ""
    yield "Faults"
    for fault in plan.faults:
        yield from _fault(plan, fault)
    if reads := [item.read for item in plan.method if item.read is not None]:
        yield ""
        yield "Readings between faults, for later steps"
        for read in reads:
            yield f"  {read.id}  {read.probe}, within {write_duration(read.timeout)}"
            yield from _later(plan, read.later)
    if plan.traffic is not None:
        yield ""
        yield f"Load  {plan.traffic.method} {clean(plan.traffic.url)}, {show(plan.traffic.rate, '/s')}"
    yield ""
    yield "Measures"
    for hypothesis in plan.hypotheses:
        yield f"  {hypothesis.name}: {clean(hypothesis.title)}"
        for measure in hypothesis.measures:
            yield from _measure(plan, measure, samples.get(measure.key))
    yield ""
    yield "Guards"
    for answer in plan.guards:
        yield f"  {'go    ' if answer.go else 'REFUSE'}  {answer.guard}: {clean(answer.reason)}"
    if plan.warnings:
        yield ""
        yield "Warnings"
        yield from (f"  {clean(warning)}" for warning in plan.warnings)


def _fault(plan: Plan, fault: PlannedFault) -> Iterator[str]:
    yield f"  {fault.id}  {fault.does}"
    of = f"of {fault.candidates} that match"
    named = [f"{clean(target.name)} ({clean(target.id)})" for target in fault.targets]
    yield from few([f"    target {number} {of}: {name}" for number, name in enumerate(named, 1)])
    if not fault.targets:
        yield "    no target matches"
    yield from _later(plan, fault.later)
    yield f"    undo: {fault.undo}"
    if fault.expect_alert is not None:
        labels = "".join(f", {key}={value}" for key, value in fault.expect_alert.labels.items())
        within = write_duration(fault.expect_alert.within)
        yield f"    should raise the alert {clean(fault.expect_alert.name)}{clean(labels)} within {within}"


def _later(plan: Plan, later: JsonObject | None) -> Iterator[str]:
    """Parameters that only the run knows, as they are written."""
    steps = {fault.id for fault in plan.faults} | {item.read.id for item in plan.method if item.read is not None}
    for name, value in (later or {}).items():
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        when = known_when([parted(use, steps) for use in uses(value)])
        yield f"    {name}, {when}: {clean(written)}"


def _measure(plan: Plan, measure: PlannedMeasure, reading: Reading | None) -> Iterator[str]:
    counts = expected_readings(plan, measure)
    readings = ", ".join(f"{count} in the {phase}" for phase, count in counts.items() if count)
    often = f"every {write_duration(measure.every)}, about {readings}" if readings else "too rarely for this run"
    yield f"    {measure.name}: {measure.probe} {often}"
    if measure.tolerance is not None:
        rules = {phase: getattr(measure.tolerance, phase.value) for phase in Phase}
        if len({str(rule) for rule in rules.values()}) == 1:
            yield f"      {rules[Phase.FAULT]}"
        else:
            yield from (f"      {phase.value}: {rule}" for phase, rule in rules.items() if rule is not None)
    else:
        yield "      observed only"
    if measure.abort_at is not None:
        yield f"      abort when not {measure.abort_at}"
    if reading is not None:
        yield f"      now: {_now(reading, measure)}"


def _now(reading: Reading, measure: PlannedMeasure) -> str:
    if reading.no_answer is not None:
        return f"no answer ({clean(reading.no_answer)})"
    if reading.missing is not None or reading.value is None:
        return f"no reading ({clean(reading.missing or '')})"
    return value_text(reading.value, measure.unit)
