"""What a command was asked to do, and the plan with everything that is needed to carry it out."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaosrunner import catalog
from chaosrunner.clock import Clock, SystemClock, new_seed
from chaosrunner.engine.silencing import Silences
from chaosrunner.files.node import Spot
from chaosrunner.files.references import Library
from chaosrunner.http import Http
from chaosrunner.judging.reading import Reading
from chaosrunner.model.environment import Environment
from chaosrunner.model.frozen import in_text
from chaosrunner.model.plan import GuardAnswer, Plan, PlannedFault, PlannedMeasure
from chaosrunner.model.target import Target
from chaosrunner.person import who
from chaosrunner.ports import Platform, Probe, ProbeContext, TrafficSource
from chaosrunner.records.light import dataclass, replace
from chaosrunner.stages.guard import Alerts, Circumstances, ask, ask_again
from chaosrunner.stages.joining import Asked, may_join
from chaosrunner.stages.load import Loaded, load_experiment
from chaosrunner.stages.plan import Finding, Intent, make_plan
from chaosrunner.stages.sample import sample

if TYPE_CHECKING:
    from chaosrunner.alerts import Alertmanager, PrometheusAlerts
    from chaosrunner.files.reuse import Given


@dataclass(frozen=True)
class Order:
    """What a command was asked to run, and how."""

    experiment: str
    """Name or path."""
    environment: str | None = None
    """Instead of the experiment's own."""
    seed: int | None = None
    """None: a new one."""
    second: str = ""
    production_confirmed: bool = False
    halt_file: Path | None = None
    folder: Path = field(default_factory=Path)
    """Where references start."""
    state: Path = Path(".chaosrunner")
    gate: str | None = None
    """The suite whose gate asks for it; None: none does."""
    library: Library | None = None
    """Files as they were read before; None: they are read now."""
    parameters: Given = field(default_factory=dict)
    """Values for the experiment's parameters, by name; `stages.variants` tells those of each run of a matrix."""


def make_platform(environment: Environment, folder: Path, clock: Clock) -> Platform:
    """The platform that an environment names. Raises `UsageError` for an unknown one."""
    call = environment.spec.platform
    plugin = catalog.find("platforms", call.kind)
    made: Platform = plugin(plugin.Spec.model_validate(call.with_), environment.name, folder, clock)
    return made


FINDING = Finding(
    fault=lambda kind: catalog.find("faults", kind),
    probe=lambda kind: catalog.find("probes", kind),
)


@dataclass(frozen=True)
class Prepared:
    """A plan with what is needed to carry it out."""

    order: Order
    loaded: Loaded
    plan: Plan
    platform: Platform
    http: Http
    clock: Clock
    circumstances: Circumstances

    def context(self, load: TrafficSource | None = None) -> ProbeContext:
        """What probes may use."""
        return ProbeContext(
            clock=self.clock,
            http=self.http,
            folder=Path(self.plan.folder),
            environment=self.plan.environment,
            platform=self.platform,
            traffic=load,
        )

    async def ask_again(self) -> Sequence[GuardAnswer]:
        """The guards that hold during the run, asked now."""
        return await ask_again(self.plan, replace(self.circumstances, now=self.clock.now()))

    async def may_join(self, planned: PlannedFault, in_force: Sequence[Target], new: Target) -> str:
        """About a target that appeared: why it must be left alone; empty: it may be acted on."""
        asked = Asked(FINDING.fault(planned.fault), self.platform, self.circumstances)
        return await may_join(self.plan, planned, in_force, new, asked)

    def probes(self, load: TrafficSource | None) -> list[tuple[PlannedMeasure, Probe[Any]]]:
        """One probe for each measure of the plan."""
        context = self.context(load)
        return [(measure, _probe(measure, context)) for measure in self.plan.measures]

    def probe(self, measure: PlannedMeasure, load: TrafficSource | None) -> Probe[Any]:
        """For one reading."""
        return _probe(measure, self.context(load))


def _probe(measure: PlannedMeasure, context: ProbeContext) -> Probe[Any]:
    plugin = catalog.find("probes", measure.probe)
    probe: Probe[Any] = plugin(plugin.Params.model_validate(measure.params), context)
    return probe


@asynccontextmanager
async def prepared(order: Order, clock: Clock | None = None) -> AsyncIterator[Prepared]:
    """Load, plan and ask the guards. Touches nothing; a refusal stands in `plan.guards`.

    Raises `FileProblems` and `UsageError` for what the files or the command say, `NotPossibleNow` where the platform
    cannot be asked.
    """
    clock = clock or SystemClock()
    loaded = load_experiment(order.experiment, order.environment, order.folder, order.parameters, order.library)
    folder = loaded.environment_path.parent
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(Http(clock, folder=folder))
        platform = make_platform(loaded.environment, folder, clock)
        stack.push_async_callback(platform.close)
        seed = new_seed() if order.seed is None else order.seed
        intent = Intent(
            experiment=loaded.experiment,
            hypotheses=loaded.hypotheses,
            environment=loaded.environment,
            sources=loaded.sources,
            warnings=loaded.warnings,
            command=_command(order, seed),
            folder=str(folder.resolve()),
            parameters=loaded.parameters,
        )
        plan = await make_plan(intent, platform, FINDING, seed)
        circumstances = Circumstances(
            now=clock.now(),
            who=who(),
            second=order.second,
            production_confirmed=order.production_confirmed,
            alerts=_alerts(loaded.environment, http),
            platform=platform,
            needs=lambda kind: FINDING.fault(kind).needs,
        )
        answers = await ask(plan, circumstances)
        plan = plan.model_copy(update={"guards": (*plan.guards, *answers), "gate": order.gate})
        yield Prepared(order, loaded, plan, platform, http, clock, circumstances)


def _command(order: Order, seed: int) -> str:
    words = ["chaosrunner", "run", order.experiment]
    words += ["-e", order.environment] if order.environment else []
    for name, told in order.parameters.items():
        value = told.value if isinstance(told, Spot) else told
        words += ["--parameter", f"{name}={in_text(value)}"]
    return shlex.join([*words, "--seed", str(seed)])


def _alerts(environment: Environment, http: Http) -> Alerts | None:
    found = alert_sources(environment, http)
    return found[0] if found else None


def alert_sources(environment: Environment, http: Http) -> Sequence[PrometheusAlerts | Alertmanager]:
    """Where an environment's alerts can be read, whose word counts first."""
    spec = environment.spec
    if spec.prometheus is None and spec.alertmanager is None:
        return ()
    from chaosrunner.alerts import source_of

    return source_of(spec.prometheus, spec.alertmanager, http)


def silences_of(environment: Environment, http: Http) -> Silences | None:
    """Where an environment's silences are made; None: it names no Alertmanager."""
    if environment.spec.alertmanager is None:
        return None
    from chaosrunner.alerts import Alertmanager

    return Alertmanager(environment.spec.alertmanager, http)


async def plan_experiment(order: Order, *, read: bool = True) -> tuple[Plan, dict[str, Reading]]:
    """The plan, and one reading of each measure (none of those that need the run's own load)."""
    async with prepared(order) as ready:
        probes = ready.probes(None) if read else []
        try:
            return ready.plan, await sample(probes, ready.clock)
        finally:
            await ready.platform.close()
