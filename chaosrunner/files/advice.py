"""What a whole experiment cannot do (mistakes), and what will hardly give the answer that is hoped for (warnings)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from chaosrunner.errors import Problem
from chaosrunner.files import plugins
from chaosrunner.files.measures import CheckedMeasure
from chaosrunner.files.node import Spot
from chaosrunner.files.passing import read_steps
from chaosrunner.files.steps import CheckedStep
from chaosrunner.model.experiment import Experiment
from chaosrunner.model.quantities import write_duration
from chaosrunner.records.light import dataclass


@dataclass(frozen=True, slots=True)
class CheckedHypothesis:
    """A hypothesis of an experiment, with the place where the experiment names it."""

    name: str
    spot: Spot
    measures: tuple[CheckedMeasure, ...]


def impossible(spec: Spot, experiment: Experiment, hypotheses: Sequence[CheckedHypothesis]) -> Iterator[Problem]:
    """Mistakes that only show when several fields are put together."""
    baseline = experiment.spec.baseline
    if baseline.within is not None and baseline.within < baseline.for_:
        least = f"at least {write_duration(baseline.for_)}, which is what it must hold for"
        within = spec.nearest("baseline", "within")
        yield within.problem(f"`within` is {write_duration(baseline.within)}", least, rule="contradiction")
    if experiment.spec.traffic is None:
        for hypothesis in hypotheses:
            yield from _without_load(hypothesis)
        for step in read_steps(spec.nearest("method")):
            for below in step.nearest("read").items():
                if (probe := plugins.own("probes", below.name)) is not None and probe.needs_traffic:
                    said = "this step reads the experiment's own load, and there is none"
                    yield below.problem(said, "`traffic:`", at_key=True, rule="no-traffic")


def _without_load(hypothesis: CheckedHypothesis) -> Iterator[Problem]:
    for one in hypothesis.measures:
        probe = plugins.own("probes", one.measure.probe)
        if probe is not None and probe.needs_traffic:
            name = f"{hypothesis.name}/{one.measure.name}"
            said = f"{name} reads the experiment's own load, and there is none"
            yield hypothesis.spot.problem(said, "`traffic:`", rule="no-traffic")


def advice(
    hypotheses: Sequence[CheckedHypothesis], steps: Sequence[CheckedStep], baseline: float = 30.0
) -> Iterator[Problem]:
    """Warnings about an experiment whose files are right; `baseline` is how long that lasts."""
    for step in steps:
        yield from _settling(step)
        for hypothesis in hypotheses:
            for measure in hypothesis.measures:
                name = f"{hypothesis.name}/{measure.measure.name}"
                yield from _too_short(step, name, measure) or _too_few(step, name, measure, baseline)
    for hypothesis in hypotheses:
        for measure in hypothesis.measures:
            yield from _looks_further(f"{hypothesis.name}/{measure.measure.name}", measure)
    for hypothesis in hypotheses:
        if not any(one.measure.tolerance and one.measure.tolerance.fault for one in hypothesis.measures):
            said = f"nothing of {hypothesis.name} is judged while a fault is in force"
            yield hypothesis.spot.problem(said, rule="never-judged")
    if hypotheses and not any(one.measure.abort_at for hypothesis in hypotheses for one in hypothesis.measures):
        said = "no measure has `abortAt`: nothing would stop this run early"
        yield hypotheses[0].spot.problem(said, rule="no-abort-limit")


def runbook_files(spec: Spot, folder: Path, asked: set[tuple[str, Path]]) -> Iterator[Problem]:
    """Warnings about files of an experiment's runbook that are not there. `folder` is that of the experiment's file;
    what the answer depends on is added to `asked`."""
    place = spec.get("remediation", "runbook")
    for below in place.items() if place is not None and isinstance(place.value, dict) else ():
        plugin = plugins.own("runbooks", below.name)
        params = plugins.parameters("runbooks", below.name, below, [])[1] if plugin is not None else None
        for written in plugin.files(params) if plugin is not None and params is not None else ():
            path = folder.absolute() / Path(written).expanduser()
            asked.add(("file", path))
            if not path.exists():
                said = f"the runbook cannot be played: there is no {written} beside this file"
                yield below.problem(said, rule="no-runbook-file")


def _settling(step: CheckedStep) -> Iterator[Problem]:
    if step.step.settle and step.step.settle >= step.lasts:
        place = step.spot.nearest("settle")
        said = f"`settle` lasts as long as the fault ({write_duration(step.lasts)}): nothing is judged"
        yield place.problem(said, rule="all-settling")


def _too_short(step: CheckedStep, name: str, measure: CheckedMeasure) -> list[Problem]:
    place = step.spot.get("for") or step.spot.get("observe") or step.spot
    lasts = write_duration(step.lasts)
    tolerance = measure.measure.tolerance
    if tolerance is None or tolerance.fault is None:
        return []
    if step.lasts < 2 * measure.lag:
        lag = write_duration(measure.lag)
        more = f", of which its query looks back {write_duration(measure.reach)}" if measure.queries else ""
        told = f"{lasts} is less than twice the lag of {name} ({lag}{more}): it will be inconclusive"
        return [place.problem(told, rule="fault-too-short")]
    if measure.measure.every > step.lasts:
        every = write_duration(measure.measure.every)
        told = f"{name} is read every {every}, and the fault lasts only {lasts}"
        return [place.problem(told, rule="read-too-rarely")]
    return []


def _looks_further(name: str, one: CheckedMeasure) -> Iterator[Problem]:
    """A query that looks back further than the file says: readings of a phase would tell of the one before."""
    lag = one.measure.lag
    if lag is not None and lag < one.reach:
        written, reach = write_duration(lag), write_duration(one.reach)
        place = one.spot.nearest("lag")
        said = f"`lag` of {name} is {written}, and its probe looks back {reach}: phases would mix"
        yield place.problem(said, rule="lag-too-small")


def _too_few(step: CheckedStep, name: str, one: CheckedMeasure, baseline: float) -> Iterator[Problem]:
    """A rank test that will hardly have the readings that it needs."""
    rule = one.measure.tolerance.fault if one.measure.tolerance is not None else None
    if rule is None or rule.like is None:
        return
    from chaosrunner.model.rank_test import Question, needed

    apart = max(one.measure.every, one.lag)
    before = max(1, int(baseline / apart))
    during = max(1, int((step.lasts - (step.step.settle or 0.0) - one.lag) / apart))
    asked = Question(rule.least_effect, rule.detectable, rule.found_with, rule.alarms, rule.side or "either")
    enough = needed(asked, before / (before + during))
    if before + during < sum(enough):
        place = step.spot.get("for") or step.spot.get("observe") or step.spot
        have = f"{during} readings of this fault to compare with {before} of the baseline"
        overlap = ", as each tells of " + write_duration(one.lag) if one.lag > one.measure.every else ""
        told = f"{name} has about {have}{overlap}; for `like baseline` it takes {enough[1]} and {enough[0]}"
        said = f"{told}: only a great difference would show, and nothing else could be said"
        yield place.problem(said, rule="too-few-readings")
