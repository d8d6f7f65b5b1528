"""What a Chaos Toolkit journal says, in the words of our own: the plan that it amounts to, and the events of its run.

Chaos Toolkit keeps less than we do: whether a fault was in force is its action's word alone, and the hypothesis is
looked at before and after the method unless it was asked to look continuously. So the judge, which goes by our rules,
says *inconclusive* where Chaos Toolkit says *completed*; what it saw broken is broken for both.

* The hypothesis before the method is the baseline: one reading of each probe, whether its tolerance was met. One is too
  few to be judged by; where it was not met, the baseline was not steady, and the method was not started.
* The method, and the hypothesis during and after it, are the fault phase.
* An action is a fault. If it failed, exited with another code than 0, or was answered 400 or more, it was not injected.
* A probe of the method that has a tolerance confirms the actions before it; Chaos Toolkit does not look at it.
* Rollbacks are the undo of all actions. It failed if one of them did, or if there are some and none was played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chaosrunner.interop import toolkit_file as file
from chaosrunner.model import journal as j
from chaosrunner.model.environment import Environment
from chaosrunner.model.experiment import BaselineSpec, RecoverySpec
from chaosrunner.model.plan import Plan, PlannedFault, PlannedHypothesis, PlannedItem, PlannedMeasure, Source
from chaosrunner.model.quantities import write_duration
from chaosrunner.model.target import Target
from chaosrunner.model.tolerance import Rule, Tolerance
from chaosrunner.model.words import Ending, FaultClass, Phase
from chaosrunner.records.light import dataclass

HYPOTHESIS = "steady-state"
_NOWHERE = Target(kind="nothing", id="nothing", name="the system")
"""What an action acts on is in its arguments, in words of its own."""


@dataclass(frozen=True, slots=True)
class Timed:
    """An event, and when it happened."""

    t: float
    """Seconds since the journal's start."""
    event: j.Event


@dataclass(frozen=True, slots=True)
class Told:
    """What there is of a run besides its journal."""

    journal: Mapping[str, Any]
    frequency: float = 1.0
    """Seconds between two looks at the hypothesis while the method goes on."""
    crashed: str = ""
    """What escaped from Chaos Toolkit, or how it was ended; empty: it came to its end."""
    confirmed: Mapping[str, bool] | None = None
    """Of probes of the method that have a tolerance, by their place among its activities: whether it was met."""
    recovery: Sequence[Mapping[str, Any]] | None = None
    """What the hypothesis said after the rollbacks; None: nobody asked."""

    @property
    def experiment(self) -> dict[str, Any]:
        """As it was run."""
        return file.mapping(self.journal.get("experiment"))


def plan_of(told: Told, environment: Environment, folder: str, source: Source | None, command: str = "") -> Plan:
    """The plan that an experiment amounts to."""
    experiment = told.experiment
    ours = file.settings_of_ours(experiment)
    title = str(experiment.get("title") or "an experiment of Chaos Toolkit")
    name = file.slug(title, "chaos-toolkit")
    return Plan(
        experiment=name,
        title=title,
        service=file.slug(ours.get("service") or name, name),
        owner=str(ours["owner"]) if ours.get("owner") else None,
        environment=environment,
        folder=folder,
        seed=0,
        hypotheses=(_hypothesis(told),) if file.listed(file.hypothesis(experiment).get("probes")) else (),
        baseline=BaselineSpec.model_validate({"for": "1ms"}),
        method=tuple(PlannedItem(faults=(fault,)) for fault in _faults(told)),
        recovery=RecoverySpec.model_validate({"within": "60s", "holds": write_duration(2 * told.frequency)}),
        sources=(source,) if source is not None else (),
        command=command,
        warnings=(),
    )


def _names(told: Told) -> list[str]:
    probes = file.listed(file.hypothesis(told.experiment).get("probes"))
    return file.distinct([file.slug(_resolved(told, probe).get("name"), "probe") for probe in probes])


def _resolved(told: Told, activity: Mapping[str, Any]) -> dict[str, Any]:
    return file.resolved(told.experiment, activity)


def _hypothesis(told: Told) -> PlannedHypothesis:
    met = Rule(equals=True)
    watched = told.recovery is not None
    measures = [
        PlannedMeasure(
            key=f"{HYPOTHESIS}/{name}",
            hypothesis=HYPOTHESIS,
            name=name,
            probe="chaostoolkit",
            tolerance=Tolerance(fault=met, recovery=met if watched else None),
            every=told.frequency,
            timeout=60.0,
            lag=0.0,
        )
        for name in _names(told)
    ]
    title = str(file.hypothesis(told.experiment).get("title") or "the steady state")
    return PlannedHypothesis(name=HYPOTHESIS, title=title, measures=tuple(measures))


def _actions(told: Told) -> list[dict[str, Any]]:
    found = [_resolved(told, each) for each in file.listed(told.experiment.get("method"))]
    return [each for each in found if each.get("type") == "action"]


def _faults(told: Told) -> list[PlannedFault]:
    actions = _actions(told)
    ids = file.distinct([file.slug(each.get("name"), "action") for each in actions])
    undo = [str(each.get("name") or each.get("ref")) for each in file.listed(told.experiment.get("rollbacks"))]
    return [
        PlannedFault(
            id=name,
            fault=name,  # a near miss is told by what was done, not by who did it
            targets=(_NOWHERE,),
            candidates=1,
            lasts=0.0,
            fault_class=FaultClass.EXTENSION,
            identity={"action": file.what_it_does(action)},
            does=f"{action.get('name')}: {file.what_it_does(action)}.",
            undo=f"The file's rollbacks: {', '.join(undo)}." if undo else "The file names no rollbacks.",
        )
        for name, action in zip(ids, actions, strict=True)
    ]


def their_exit(told: Told) -> int:
    """What `chaos run` exits with."""
    fine = told.journal.get("status") == "completed" and not told.journal.get("deviated") and not told.crashed
    return 0 if fine else 1


# ------------------------------------------------------------------------------------------------------------ events


def events_of(told: Told, plan: Plan) -> list[Timed]:
    """What happened, in order, without the first line."""
    return sorted(_Telling(told, plan).all(), key=lambda timed: timed.t)


def began_at(told: Told) -> float:
    """When it began, epoch seconds; 0: its journal does not say."""
    return _moment(told.journal.get("start")) or 0.0


def _moment(text: object) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def injection_failed(entry: Mapping[str, Any]) -> str:
    """Why an action did not do what it should; empty: it did. Its exit code and its HTTP status count, too."""
    if entry.get("status") != "succeeded":
        said = [line.strip() for line in map(str, entry.get("exception") or ()) if line.strip()]
        return (
            said[-1].removeprefix("chaoslib.exceptions.ActivityFailed: ")
            if said
            else f"it ended as {entry.get('status') or 'unfinished'}"
        )
    by = file.provider(file.mapping(entry.get("activity"))).get("type")
    status = file.mapping(entry.get("output")).get("status")
    if by == "process" and isinstance(status, int) and status != 0:
        return f"it exited with {status}"
    if by == "http" and isinstance(status, int) and status >= 400:
        return f"it was answered with {status}"
    return ""


class _Telling:
    """Goes through a journal once."""

    def __init__(self, told: Told, plan: Plan) -> None:
        self._told = told
        self._plan = plan
        self._zero = began_at(told)
        self._keys = {measure.name: measure.key for measure in plan.measures}
        self._order = [measure.key for measure in plan.measures]
        self._states = file.mapping(told.journal.get("steady_states"))
        self._run = file.listed(told.journal.get("run"))
        self._rollbacks = file.listed(told.journal.get("rollbacks"))
        self._events: list[Timed] = []
        self._latest = 0.0

    def all(self) -> list[Timed]:
        """Every event, in no order that matters but that of equal times."""
        self._baseline()
        not_met = self._not_met_before()
        if not not_met:
            self._method()
        if self._told.recovery is not None and self._run:
            self._recovery(self._told.recovery)
        self._end(not_met)
        return self._events

    def _at(self, moment: object, otherwise: float | None = None) -> float:
        """Seconds since the start; where the journal does not say: `otherwise`, or the latest that it says."""
        found = _moment(moment)
        if found is not None:
            return max(0.0, found - self._zero)
        return self._latest if otherwise is None else otherwise

    def _put(self, t: float, event: j.Event) -> None:
        self._events.append(Timed(t, event))
        self._latest = max(self._latest, t)

    # ------------------------------------------------------------------------------------------------- hypothesis

    def _baseline(self) -> None:
        before = file.mapping(self._states.get("before"))
        if not before:
            return
        self._put(0.0, j.PhaseBegan(phase=Phase.BASELINE))
        self._readings(before)
        because = "steady" if before.get("steady_state_met") else "not steady"
        self._put(self._latest, j.PhaseEnded(phase=Phase.BASELINE, because=because))

    def _not_met_before(self) -> str:
        """Why the method was not started; empty: it was."""
        before = file.mapping(self._states.get("before"))
        if not before or before.get("steady_state_met") or self._run:
            return ""
        probes = file.listed(before.get("probes"))
        return file.mapping(probes[-1].get("activity")).get("name", "a probe") if probes else "the hypothesis"

    def _readings(self, state: Mapping[str, Any]) -> None:
        for place, entry in enumerate(file.listed(state.get("probes"))):
            if place >= len(self._order):
                return
            began = self._at(entry.get("start"))
            ended = max(began, self._at(entry.get("end"), began))
            self._put(ended, _reading(self._order[place], entry, began, ended))

    # ----------------------------------------------------------------------------------------------------- method

    def _method(self) -> None:
        if not self._run and not self._states.get("after"):
            return
        began = self._at(self._run[0].get("start")) if self._run else self._latest
        self._put(began, j.PhaseBegan(phase=Phase.FAULT))
        injected = self._injections()
        for state in [*file.listed(self._states.get("during")), file.mapping(self._states.get("after"))]:
            self._readings(state)
        self._undo(injected)
        self._put(self._latest, j.PhaseEnded(phase=Phase.FAULT, because="done"))

    def _injections(self) -> list[str]:
        """What has to be taken back: `STEP/N`."""
        waiting = list(self._plan.faults)
        found = []
        for place, entry in enumerate(self._run):
            activity = file.mapping(entry.get("activity"))
            if activity.get("type") != "action" or not waiting:
                continue
            does = file.what_it_does(activity)
            planned = next((one for one in waiting if one.does == f"{activity.get('name')}: {does}."), waiting[0])
            waiting.remove(planned)
            if self._injection(planned, entry, place):
                found.append(f"{planned.id}/1")
        return found

    def _injection(self, planned: PlannedFault, entry: Mapping[str, Any], place: int) -> bool:
        began = self._at(entry.get("start"))
        ended = max(began, self._at(entry.get("end"), began))
        name = f"{planned.id}/1"
        self._put(began, _prepared(planned, name))
        why = injection_failed(entry)
        if why:
            self._put(ended, j.FaultFailed(fault=name, stage="inject", error=why))
            if "status" not in entry:
                return True  # cut short: what it did by then has to be taken back
            self._put(ended, j.FaultUndone(fault=name, because="failed", how="there was nothing to take back"))
            return False
        self._put(ended, j.FaultInjected(fault=name))
        self._put(ended, j.FaultInForce(fault=name))
        confirmed = self._confirmed(place)
        if confirmed is None:
            why = "only its action says that it was in force: no later probe of the method has a tolerance"
            self._put(ended, j.FaultFailed(fault=name, stage="confirm", error=why))
        else:
            probe, met = confirmed
            how = f"the probe {probe} {'met' if met else 'did not meet'} its tolerance"
            self._put(ended, j.FaultSeen(fault=name, seen=met, how=how))
            if not met:
                self._put(ended, j.FaultFailed(fault=name, stage="confirm", error=how))
        return True

    def _confirmed(self, place: int) -> tuple[str, bool] | None:
        """The first probe after it that says what it expects, and whether that was met."""
        looked = {int(key): met for key, met in (self._told.confirmed or {}).items()}
        later = sorted(each for each in looked if place < each < len(self._run))
        if not later:
            return None
        activity = file.mapping(self._run[later[0]].get("activity"))
        return str(activity.get("name")), looked[later[0]]

    # ------------------------------------------------------------------------------------------------- afterwards

    def _undo(self, injected: Sequence[str]) -> None:
        there_are = bool(file.listed(self._told.experiment.get("rollbacks")))
        failed = [each for each in self._rollbacks if injection_failed(each)]
        began = max(self._latest, self._at(self._rollbacks[0].get("start"))) if self._rollbacks else self._latest
        ended = max([began, *(self._at(each.get("end"), began) for each in self._rollbacks)])
        for name in injected:
            self._put(began, j.UndoBegan(fault=name, because="finished"))
            if failed:
                which = file.mapping(failed[0].get("activity")).get("name")
                error = f"the rollback {which} failed: {injection_failed(failed[0])}"
                self._put(ended, j.UndoFailed(fault=name, error=error, attempts=1))
            elif there_are and not self._rollbacks:
                error = "Chaos Toolkit did not play the rollbacks"
                self._put(ended, j.UndoFailed(fault=name, error=error, attempts=0))
            else:
                how = (
                    "by the file's rollbacks"
                    if there_are
                    else "the file names no rollbacks: it ends by itself, or stays"
                )
                self._put(ended, j.FaultUndone(fault=name, because="finished", how=how))

    def _recovery(self, states: Sequence[Mapping[str, Any]]) -> None:
        began = self._latest
        self._put(began, j.PhaseBegan(phase=Phase.RECOVERY))
        for state in states:
            self._readings(state)
        met = bool(states and states[-1].get("steady_state_met"))
        self._put(self._latest, j.PhaseEnded(phase=Phase.RECOVERY, because="recovered" if met else "not recovered"))

    def _end(self, not_met: str) -> None:
        end = max(self._latest, self._at(self._told.journal.get("end"), self._latest))
        status = self._told.journal.get("status")
        failed = next((why for each in self._run if _is_action(each) and (why := injection_failed(each))), "")
        if status == "interrupted":
            self._put(end, j.HaltRequested(by="a signal, or a control of Chaos Toolkit"))
            ending, reason = Ending.HALTED, "interrupted"
        elif not_met:
            ending, reason = Ending.NOT_STEADY, f"{not_met} was not in its tolerance"
        elif self._told.crashed or status == "aborted":
            ending, reason = Ending.FAULT_FAILED, self._told.crashed or "Chaos Toolkit aborted it"
        elif failed:
            ending, reason = Ending.FAULT_FAILED, failed
        else:
            ending, reason = Ending.FINISHED, ""
        self._put(end, j.RunEnded(ending=ending, reason=reason))


def _is_action(entry: Mapping[str, Any]) -> bool:
    return file.mapping(entry.get("activity")).get("type") == "action"


def _prepared(planned: PlannedFault, name: str) -> j.FaultPrepared:
    return j.FaultPrepared(
        fault=name, step=planned.id, kind=planned.fault, params={}, target=_NOWHERE, deadline=0.0, undo={}
    )


def _reading(key: str, entry: Mapping[str, Any], began: float, ended: float) -> j.ReadingTaken:
    if entry.get("status") == "succeeded":
        met = bool(entry.get("tolerance_met"))
        return j.ReadingTaken(measure=key, began=began, ended=ended, value=met)
    why = injection_failed(entry)
    if file.provider(file.mapping(entry.get("activity"))).get("type") == "http":
        return j.ReadingTaken(measure=key, began=began, ended=ended, no_answer=why)
    return j.ReadingTaken(measure=key, began=began, ended=ended, missing=why)
