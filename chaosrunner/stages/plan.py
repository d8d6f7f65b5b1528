"""plan: Experiment + what is there -> Plan. Reads only; a dry run prints the result and stops."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import field
from typing import Any

from chaosrunner.engine.leash import Leash, Overdue
from chaosrunner.errors import CannotDoHonestly, RedundancyMissing, UsageError
from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import (
    ExpectAlert,
    Experiment,
    FaultStep,
    ReadStep,
    Selector,
    Step,
    TogetherStep,
    WaitStep,
)
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.hypothesis import Hypothesis, Measure
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.passing import OF_FAULTS, NotPassed, known_when, late_uses, stood_in
from chaosrunner.model.plan import (
    GuardAnswer,
    Plan,
    PlannedFault,
    PlannedHypothesis,
    PlannedItem,
    PlannedMeasure,
    PlannedRead,
    Source,
)
from chaosrunner.model.step_values import put_in, uses
from chaosrunner.model.target import Target
from chaosrunner.ports import Fault, Hold, Platform, Probe
from chaosrunner.records.light import dataclass

OBSERVE = 30.0
"""Seconds that a fault which is over at once is observed for, unless the file says otherwise."""
CHECKING = 10.0
"""Seconds that a platform or fault may take to answer while planning."""
BLIND = 15.0
"""Seconds without a reading after which a measure with an abort limit is blind."""

NOTHING = Target(kind="nothing", id="nothing", name="nothing")


@dataclass(frozen=True)
class Intent:
    """What the files say."""

    experiment: Experiment
    hypotheses: Sequence[Hypothesis]
    environment: Environment
    sources: Sequence[Source] = ()
    warnings: Sequence[str] = ()
    command: str = ""
    folder: str = "."
    """Where relative paths of the environment's file start."""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    """What the experiment's parameters are here."""


@dataclass(frozen=True)
class Finding:
    """How plugins are found; the catalogue's functions."""

    fault: Callable[[str], type[Fault[Any]]]
    probe: Callable[[str], type[Probe[Any]]]


async def make_plan(intent: Intent, platform: Platform, finding: Finding, seed: int) -> Plan:
    """Resolve targets, defaults, undo. What cannot be done honestly stands in the plan as a guard's refusal.

    Raises `UsageError` for a selector that the platform does not know, `NotPossibleNow` if it cannot be asked.
    """
    spec = intent.experiment.spec
    resolver = _Resolver(platform, finding, seed, _given_ids(spec.method), intent.environment)
    method = [await resolver.item(step) for step in spec.method]
    return Plan(
        experiment=intent.experiment.metadata.name,
        title=spec.title,
        service=spec.service or intent.experiment.metadata.name,
        owner=spec.owner,
        labels={**{name: str(value) for name, value in intent.parameters.items()}, **intent.experiment.metadata.labels},
        environment=intent.environment,
        folder=intent.folder,
        seed=seed,
        parameters=dict(intent.parameters),
        hypotheses=tuple(_planned(hypothesis, finding) for hypothesis in intent.hypotheses),
        traffic=spec.traffic,
        baseline=spec.baseline,
        method=tuple(method),
        recovery=spec.recovery,
        silence=spec.silence,
        risk=spec.risk,
        remediation=spec.remediation,
        aliases=spec.aliases,
        guards=tuple(resolver.refusals) or (GuardAnswer(guard="faults", go=True, reason="all can be done here"),),
        warnings=(*intent.warnings, *resolver.warnings),
        sources=tuple(intent.sources),
        command=intent.command,
    )


# -------------------------------------------------------------------------------------------------------- measures


def _planned(hypothesis: Hypothesis, finding: Finding) -> PlannedHypothesis:
    measures = tuple(_planned_measure(hypothesis.name, measure, finding) for measure in hypothesis.measures)
    return PlannedHypothesis(name=hypothesis.name, title=hypothesis.title, measures=measures)


def _planned_measure(hypothesis: str, measure: Measure, finding: Finding) -> PlannedMeasure:
    probe = finding.probe(measure.probe)
    params = probe.Params.model_validate(measure.params)
    lag = probe.lag(params) if measure.lag is None else measure.lag
    blind = max(measure.blind or BLIND, 2 * lag)
    return PlannedMeasure(
        key=f"{hypothesis}/{measure.name}",
        hypothesis=hypothesis,
        name=measure.name,
        probe=measure.probe,
        params=measure.params,
        tolerance=measure.tolerance,
        unit=measure.unit or probe.unit(params),
        room=probe.kind_of(params),
        every=measure.every,
        timeout=_timeout(measure, getattr(params, "timeout", None)),
        retries=measure.retries,
        lag=lag,
        abort_at=measure.abort_at,
        blind=blind,
        during=measure.during,
        when_missing=measure.when_missing,
    )


def _timeout(measure: Measure, own: float | None) -> float:
    """A probe that has a limit of its own gets half a second more, so that it can say itself what was late."""
    if measure.timeout is not None:
        return measure.timeout
    return own + 0.5 if isinstance(own, float) else min(max(measure.every, 1.0), 10.0)


# --------------------------------------------------------------------------------------------------------- targets


def _given_ids(method: Sequence[Step]) -> Set[str]:
    """Ids that the file itself gives to steps. Raises `UsageError` for one that it gives to two."""
    faults = [
        each
        for step in method
        for each in (step.together if isinstance(step, TogetherStep) else (step,))
        if isinstance(each, FaultStep)
    ]
    ids = [step.id for step in faults if step.id is not None]
    ids += [step.id for step in method if isinstance(step, ReadStep)]
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        raise UsageError(f"two steps have the id {twice[0]}")
    return set(ids)


class _Resolver:
    """Finds the targets of all steps, in the file's order."""

    def __init__(
        self, platform: Platform, finding: Finding, seed: int, given: Set[str], environment: Environment
    ) -> None:
        self._platform = platform
        self._finding = finding
        self._seed = seed
        self._leash = Leash()
        self._by_step: dict[str, tuple[tuple[Target, ...], int]] = {}
        self._unmatched: dict[str, str] = {}
        self._done: set[str] = set()
        """Steps that have ended when the present one begins, readings too."""
        self._reads: set[str] = set()
        self._words: dict[str, Set[str]] = {}
        """What each fault step reports; nothing where its targets come and go."""
        self._kinds: dict[str, int] = {}
        self._given = given
        self._environment = environment
        self.refusals: list[GuardAnswer] = []
        self.warnings: list[str] = []

    async def item(self, step: Step) -> PlannedItem:
        if isinstance(step, WaitStep):
            return PlannedItem(wait=step.wait)
        if isinstance(step, ReadStep):
            read = self._read(step)
            self._reads.add(step.id)
            return PlannedItem(read=read)
        steps = step.together if isinstance(step, TogetherStep) else (step,)
        faults: list[PlannedFault] = []
        for each in steps:
            taken = {target.id for fault in faults for target in fault.targets if target is not NOTHING}
            faults.append(await self._fault(each, taken))
        self._done |= {fault.id for fault in faults}
        return PlannedItem(faults=tuple(faults))

    def _read(self, step: ReadStep) -> PlannedRead:
        probe = self._finding.probe(step.read.kind)
        written, later, _ = self._later(f"step {step.id}", step.read.with_, probe.late)
        params = probe.Params.model_validate(written)
        own = getattr(params, "timeout", None)
        limit = step.timeout or (min(own + 0.5, 60.0) if isinstance(own, float) else CHECKING)
        return PlannedRead(id=step.id, probe=step.read.kind, params=written, later=later, timeout=limit)

    def _later(
        self, where: str, params: JsonObject, late: Mapping[str, JsonValue]
    ) -> tuple[JsonObject, JsonObject | None, str]:
        """Parameters with what is known of targets, and with stand-ins for what only the run will know; those of which
        something is as they are written, and when it is known. Raises `UsageError` where it must be known now."""
        known = self._known
        uses_late = list(late_uses(params, known, self._reads))
        for use in uses_late:
            if use.step in known and use.step not in self._done:
                raise UsageError(f"{where}: the step {use.step} is in force at the same time, and tells nothing before")
            if use.step in known and len(known[use.step]) != 1:
                many = len(known[use.step])
                raise UsageError(f"{where}: {use.word} is about one target, and the step {use.step} has {many}")
            if use.step in known and use.word not in self._words[use.step]:
                told = ", ".join(sorted(self._words[use.step])) or "nothing, as its targets come and go"
                raise UsageError(f"{where}: the step {use.step} reports no {use.word}; it reports {told}")
        texts = {".".join((use.step, use.word, *use.fields)) for use in uses_late}
        written = put_in(params, known, texts)
        assert isinstance(written, dict)
        if not uses_late:
            return written, None, ""
        try:
            stands = {name: stood_in(value, late, name) for name, value in written.items()}
        except NotPassed as path:
            raise UsageError(f"{where}: `{path}` must be known before the run") from None
        later = {name: value for name, value in written.items() if any(uses(value))}
        names = ", ".join(later)
        return stands, later, f"{names}: {known_when(uses_late)}"

    async def _fault(self, step: FaultStep, taken: set[str]) -> PlannedFault:
        plugin = self._finding.fault(step.fault)
        written, later, when = self._later(f"step {step.id or step.fault}", step.with_, plugin.late)
        step = self._with_values(step.model_copy(update={"with_": written}))
        params = plugin.Params.model_validate(step.with_)
        step_id = self._step_id(step)
        targets, candidates = await self._targets(step, step_id, plugin, taken)
        self._by_step[step_id] = targets, candidates
        follows = step.target is not None and step.target.follow
        self._words[step_id] = frozenset() if follows else {*OF_FAULTS, *plugin.reports}
        await self._check(step_id, step, plugin, targets)
        identity: dict[str, str] = {}
        for target in targets:
            identity |= plugin.identity(params, target)
        lasts = (step.observe or OBSERVE) if plugin.instant else (step.for_ or 0.0)
        return PlannedFault(
            id=step_id,
            fault=step.fault,
            params=step.with_,
            later=later,
            selector=step.target,
            targets=targets,
            candidates=candidates,
            unmatched=self._unmatched.get(step_id, ""),
            instant=plugin.instant,
            lasts=lasts,
            settle=step.settle,
            after=step.after,
            expect_alert=step.expect_alert,
            fault_class=plugin.fault_class,
            identity=identity,
            does=f"{plugin.does(params)} ({when})" if when else plugin.does(params),
            undo=plugin.undoes(params),
        )

    def _with_values(self, step: FaultStep) -> FaultStep:
        """Its target with what it says of the targets of earlier steps."""
        if step.target is None or not any(uses(selector := step.target.as_json())):
            return step
        return step.model_copy(update={"target": Selector.model_validate(put_in(selector, self._known))})

    @property
    def _known(self) -> dict[str, tuple[Target, ...]]:
        """The targets of the steps so far."""
        return {name: targets for name, (targets, _) in self._by_step.items()}

    def _step_id(self, step: FaultStep) -> str:
        """The file's id, or the kind, numbered from its second use; never one that the file gives to another step, as
        holds go by it."""
        if step.id is not None:
            return step.id
        while True:
            count = self._kinds[step.fault] = self._kinds.get(step.fault, 0) + 1
            name = step.fault if count == 1 else f"{step.fault}-{count}"
            if name not in self._given:
                return name

    async def _targets(
        self, step: FaultStep, step_id: str, plugin: type[Fault[Any]], taken: set[str]
    ) -> tuple[tuple[Target, ...], int]:
        if "nothing" in plugin.acts_on and step.target is None:
            return (replace_id(NOTHING, step_id),), 1
        if step.target is None:
            raise UsageError(f"step {step_id}: the fault {step.fault} needs a target")
        if step.target.same_as is not None:
            if step.target.same_as not in self._by_step:
                known = ", ".join(self._by_step) or "none"
                raise UsageError(f"step {step_id}: sameAs names no earlier step; known are {known}")
            return self._by_step[step.target.same_as]
        selection = await self._leash.call(self._platform.find_for(step.target, plugin.acts_on), CHECKING)
        free = [target for target in selection.candidates if target.id not in taken]
        chosen = choose(free, step.target.take, seed=self._seed, step=step_id)
        if not chosen:
            self._unmatched[step_id] = why = selection.why_none or "all that match are targets of a fault beside it"
            self.warnings.append(f"step {step_id}: no target matches ({why}); a run would be inconclusive")
        return chosen, len(selection.candidates)

    async def _check(self, step_id: str, step: FaultStep, plugin: type[Fault[Any]], targets: Sequence[Target]) -> None:
        """Note as refusals what this platform, or a target, cannot do honestly."""
        reasons = list(self._misfits(step.target, plugin, targets))
        unsafe: dict[str, str] = {}
        params = plugin.Params.model_validate(step.with_)
        hold = Hold(id=f"plan.{step_id}", run="plan", deadline=0.0, seconds=step.for_ or step.observe or OBSERVE)
        for target in () if reasons else targets:
            try:
                await self._leash.call(plugin(params, target, self._platform, hold).check(), CHECKING)
            except CannotDoHonestly as refusal:
                reasons.append(str(refusal))
                if isinstance(refusal, RedundancyMissing):
                    unsafe[str(refusal)] = refusal.subject or target.service or target.name
            except Overdue:
                reasons.append(f"{target.name}: could not be checked within {CHECKING:g} s")
        if step.expect_alert is not None and (nobody := _nobody_to_ask(step.expect_alert, self._environment)):
            reasons.append(f"expectAlert: {nobody}")
        unique = dict.fromkeys(reasons)
        self.refusals += [
            GuardAnswer(
                guard="faults",
                go=False,
                reason=f"step {step_id}: {reason}",
                unsafe_condition=reason in unsafe,
                subject=unsafe.get(reason, ""),
            )
            for reason in unique
        ]

    def _misfits(self, selector: Selector | None, plugin: type[Fault[Any]], targets: Sequence[Target]) -> Sequence[str]:
        kind = self._platform.kind
        if kind not in plugin.platforms:
            works = ", ".join(sorted(plugin.platforms))
            return [f"the fault {plugin.kind} does not work on the {kind} platform (it does on {works})"]
        if selector is not None and selector.follow and not self._platform.follows:
            return [f"the {kind} platform cannot follow targets that appear later: leave out `follow`"]
        if selector is not None and selector.follow and selector.same_as is not None:
            return ["`follow` stands where the targets are named: give it to the step that `sameAs` names"]
        if selector is not None and selector.follow and self._platform.follows_kinds:
            still = [target for target in targets if target.kind not in self._platform.follows_kinds]
            if still:
                kinds = " or a ".join(sorted(self._platform.follows_kinds))
                return [f"`follow` needs targets that come and go, a {kinds}; {still[0].name} is a {still[0].kind}"]
        wrong = [target for target in targets if target.kind not in plugin.acts_on and target.kind != "nothing"]
        if wrong:
            acts_on = " or a ".join(sorted(plugin.acts_on))
            return [f"the fault {plugin.kind} acts on a {acts_on}, and {wrong[0].name} is a {wrong[0].kind}"]
        return []


def _nobody_to_ask(expected: ExpectAlert, environment: Environment) -> str:
    """Why the expectation could never be judged; empty: it can."""
    spec = environment.spec
    if expected.source is None and spec.prometheus is None and spec.alertmanager is None:
        return "the environment names neither a Prometheus nor an Alertmanager, so nobody says whether it fires"
    if expected.source is not None and getattr(spec, expected.source) is None:
        return f"the environment names no {expected.source.capitalize()}, which should say whether it fires"
    return ""


def replace_id(target: Target, step: str) -> Target:
    """The target that is nothing, by the step that acts on it."""
    return target.model_copy(update={"id": f"nothing:{step}"})


def choose(candidates: Sequence[Target], take: int | str, *, seed: int, step: str) -> tuple[Target, ...]:
    """`take` of the candidates, by the seed: the same seed on the same system picks the same ones, in the same order.

    A share is rounded down, to at least one; `all` and too high a count take what is there.
    """
    ordered = sorted(candidates, key=lambda target: (target.service or "", target.name, target.id))
    if take == "all" or not ordered:
        return tuple(ordered)
    count = take if isinstance(take, int) else _share(take, len(ordered))
    from random import Random

    picked = Random(f"{seed}:{step}").sample(range(len(ordered)), min(count, len(ordered)))
    return tuple(ordered[index] for index in sorted(picked))


def _share(take: str, of: int) -> int:
    return max(1, math.floor(of * float(take.rstrip("%")) / 100 + 1e-9))
