"""The contracts between the core and its plugins. A plugin imports this module, `model`, `errors`, and nothing else
of ours but the one seam that it needs.

One file is one plugin; its kind is the file's name with dashes. A plugin is a class with a docstring that says what
happens, an `example` in YAML, and `Params`, which are found from the generic argument:

    class Params(Parameters):
        delay: Duration

    class NetworkLatency(Fault[Params]):
        ...

Plugins may raise `CannotDoHonestly` (while planning), `FaultFailed`, `UndoFailed`, `NoReading`, `NoAnswer`. Anything
else is caught by the engine, which also limits their time; a plugin never needs to guard itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar, get_args

from chaosrunner.abilities import (
    Files,
    Hold,
    Holders,
    Links,
    LinkSample,
    NetworkEffect,
    Processes,
    Sending,
    ServiceCalls,
    ServiceLogs,
    Sighting,
    StressEffect,
)
from chaosrunner.clock import Clock
from chaosrunner.cluster import (
    ClusterReader,
    Containers,
    Kept,
    LinkEnd,
    Objects,
    PodContainer,
    PodLinks,
    Pods,
    PodState,
    Policies,
    Schedules,
    Workloads,
    WorkloadState,
)
from chaosrunner.model.experiment import Selector
from chaosrunner.model.frozen import JsonObject, Parameters
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.target import Target
from chaosrunner.model.tolerance import Value
from chaosrunner.records.light import dataclass

if TYPE_CHECKING:
    from chaosrunner.http import Http
    from chaosrunner.model.environment import Environment, Guards
    from chaosrunner.model.material import Material, Window
    from chaosrunner.model.news import Notice
    from chaosrunner.model.plan import GuardAnswer, PlannedFault
    from chaosrunner.model.runbook import RunbookSays
    from chaosrunner.model.surroundings import FoundPlatform

__all__ = [
    "Affected",
    "Clock",
    "ClusterReader",
    "Containers",
    "Fault",
    "Files",
    "Hold",
    "Holders",
    "Intended",
    "Item",
    "ItemSeen",
    "Kept",
    "LeftOver",
    "LinkEnd",
    "LinkSample",
    "Links",
    "Messenger",
    "NetworkEffect",
    "Notifier",
    "Objects",
    "Parameters",
    "Platform",
    "Plugin",
    "PodContainer",
    "PodLinks",
    "PodState",
    "Pods",
    "Policies",
    "Probe",
    "ProbeContext",
    "Processes",
    "RunSeen",
    "Runbook",
    "Schedules",
    "Selection",
    "Selector",
    "Sending",
    "ServiceCalls",
    "ServiceLogs",
    "Sighting",
    "Source",
    "StopAsked",
    "StressEffect",
    "Target",
    "TimedProbe",
    "Tracker",
    "TrafficSource",
    "TrafficWindow",
    "Value",
    "WorkloadState",
    "Workloads",
    "cluster_of",
]

P = TypeVar("P", bound=Parameters)
A = TypeVar("A")


class Plugin(Generic[P]):
    """What all plugins share: a kind, parameters, words and an example."""

    kind: ClassVar[str] = ""
    """Set by the catalogue from the file's name."""
    Params: ClassVar[type[Parameters]]
    """Found from the generic argument."""
    example: ClassVar[str] = ""
    """A YAML snippet as it stands in a file, under the key that it belongs to."""
    late: ClassVar[Mapping[str, JsonValue]] = {}
    """Parameters (as files write them, `undo.arguments`) that may be known only when an earlier step has run: neither
    targets nor permissions, strength, time limits nor identity may depend on them. Each with a value of the type that
    it takes, which stands in for it until then; None: any type. Never one that holds a secret, as what is put there is
    kept in the journal."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, Parameters):
                    cls.Params = argument


# ---------------------------------------------------------------------------------------------------------- faults


class Fault(Plugin[P], ABC):
    """One way of breaking one target. An instance is made for each target, and again from the ledger to heal.

    Class attributes say what the core may know; it never asks which fault it is.
    """

    platforms: ClassVar[frozenset[str]]
    """Kinds of platforms it works on."""
    acts_on: ClassVar[frozenset[str]]
    """Kinds of targets: `process`, `link`, `pod`, `node`, …; `nothing` for none."""
    connections_only: ClassVar[frozenset[str]] = frozenset()
    """Platforms on which it acts on connections alone, whatever else it acts on elsewhere."""
    fault_class: ClassVar[str]
    """For the near miss's identity; faults that hurt in the same way share it: `instance-loss`, `dependency-slow`."""
    instant: ClassVar[bool] = False
    """Over at once (a kill): the step has `observe`, not `for`. What it left (a process that is down) may still
    need an undo."""
    looks_again: ClassVar[bool] = False
    """Of a fault that is over at once: `confirm` is asked once more at the end of `observe`, as what was asked for
    takes its time (a pod that is given time to end). Not seen then: it did not happen."""
    undo_version: ClassVar[int] = 1
    """Of the undo data; raise it when its shape changes, and go on reading the old ones."""
    needs: ClassVar[Sequence[str]] = ()
    """Permissions: on Kubernetes `verb resource[.group]` (`create pods/eviction`), elsewhere in words."""
    harder: ClassVar[Mapping[str, Literal["more", "less"]]] = {}
    """Numeric parameters (by field name) with which the fault grows: more `delay` is harder, less `bandwidth` is. A run
    that passes a harder fault counts towards verifying a fix; any other difference in parameters does not."""
    reports: ClassVar[Mapping[str, str]] = {}
    """What `report` tells beside what all faults do: words for later steps (`${steps.ID.WORD}`) with their meaning."""

    def __init__(self, params: P, target: Target, platform: Platform, hold: Hold) -> None:
        self.params = params
        self.target = target
        self.platform = platform
        self.hold = hold

    @classmethod
    def identity(cls, params: P, target: Target) -> dict[str, str]:
        """Parameters that make it another near miss (which DNS name, which path); the dependency is the target's
        own `to`. Never values such as delays."""
        return {}

    @classmethod
    @abstractmethod
    def does(cls, params: P) -> str:
        """What happens to the target, as a sentence with the parameters' values."""

    @classmethod
    @abstractmethod
    def undoes(cls, params: P) -> str:
        """What the undo does, as a sentence; also what cannot be restored."""

    async def check(self) -> None:
        """Asked while planning; reads only. Raises `CannotDoHonestly` with the reason and what would work."""

    @classmethod
    def patience(cls, params: P) -> float:
        """Seconds that `inject`, and the fault until it is seen first, may take beyond the usual, as others take
        theirs: a drain waits for a budget, a program for its end."""
        return 0.0

    async def ready(self) -> None:
        """Called in the run before `prepare`: bring up what will hold the fault, where that takes long (an image is
        pulled, a container started). Puts nothing in force, and what it starts ends by itself: no ledger knows it."""

    @abstractmethod
    async def prepare(self) -> JsonObject:
        """Read what undo and confirm must know (what was there before). Changes nothing. The result is written to
        disk before `inject` is called, and handed to `undo`, possibly by another process much later."""

    @abstractmethod
    async def inject(self) -> None:
        """Act. What holds the fault must end by itself at `hold.deadline` and 5 s after the last heartbeat."""

    @abstractmethod
    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Look whether it is in force, by another path than the injection. Called again and again while it should
        be, and after the undo, when it must answer `seen=False`. For an instant fault: whether it happened."""

    async def report(self, prepared: JsonObject) -> JsonObject:
        """A value for each word of `reports`, for later steps. Asked once, when it was seen in force, and only if a
        later step uses it. Changes nothing; what it tells is kept in the journal."""
        return {}

    async def touched(self) -> int | None:
        """How often something met the fault, chaosrunner's own confirmations not counted; None: cannot be said.
        Asked just before the undo."""
        return None

    @abstractmethod
    async def undo(self, prepared: JsonObject) -> None:
        """Take it back. Idempotent, safe after a half-done inject and without one. Returns when it is gone; raises
        `UndoFailed` with the commands that a person can run."""

    async def afterwards(self, prepared: JsonObject) -> str:
        """Asked once after the undo of a fault that is over at once: how what it hit is now, in words with numbers, for
        the report (`deployment/cart has 2 of 3 ready`). Judges nothing."""
        return ""

    def by_hand(self, prepared: JsonObject) -> Sequence[str]:
        """Commands that take it back without chaosrunner, for the ledger."""
        return ()


# -------------------------------------------------------------------------------------------------------- platforms


@dataclass(frozen=True, slots=True)
class Selection:
    """What a selector found: `all` that match, sorted by id, and why there are none if there are none."""

    candidates: Sequence[Target]
    why_none: str = ""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """A reason to stop the run that only the platform knows of."""

    by: str
    reason: str
    lost: bool = False
    """Whether what takes faults back when the runner dies is gone: without it no fault may stay in force. Otherwise
    somebody halts the run."""


@dataclass(frozen=True, slots=True)
class RunSeen:
    """A run that the platform itself knows of, wherever it was started."""

    run: str
    environment: str
    by: str
    """Who runs it, and where."""


@dataclass(frozen=True, slots=True)
class LeftOver:
    """A fault in force that the platform itself knows of, whoever injected it."""

    hold: str
    run: str
    step: str
    """Of the run's plan, which injected it: the fault's kind, unless the file gives it an id."""
    target: str
    by: str
    """Who ran it, and where."""
    alive: bool
    """Whether its run is under way: then it is no leftover, and must not be touched."""
    by_hand: Sequence[str] = ()
    """Commands that take it back without chaosrunner."""


@dataclass(frozen=True, slots=True)
class Intended:
    """A fault that a plan intends, as a platform's guards are asked about it."""

    fault: PlannedFault
    needs: Sequence[str] = ()
    """The permissions of its plugin."""


@dataclass(frozen=True, slots=True)
class Affected:
    """How much of one thing that has replicas a fault hits."""

    what: str
    """`pods of shop/deployment/cart`, as it stands after `1 of 3`."""
    hit: frozenset[str]
    """Names of those that are hit."""
    of: int
    """How many it has."""


class Platform(ABC):
    """Where targets live. What it can do beyond finding them are *abilities*, asked for by type; a fault that needs
    one that is not there is refused by the plan."""

    kind: ClassVar[str] = ""
    Spec: ClassVar[type[Parameters]]
    """Its settings in the environment file."""
    has_pods: ClassVar[bool] = False
    """Whether it is a cluster, in which chaosrunner itself can run by schedule."""
    any_end: ClassVar[bool] = False
    """Whether a target's `to` may also be a host's name, an address or a network that the environment does not name."""
    follows: ClassVar[bool] = False
    """Whether targets that appear during a fault can be included (`follow: true`)."""
    follows_kinds: ClassVar[frozenset[str]] = frozenset()
    """Kinds of targets for which it can; empty, where `follows`: all."""

    @abstractmethod
    async def find(self, selector: Selector) -> Selection:
        """All targets that match, before `take`. Raises `UsageError` for a selector that this platform does not
        know or a service that the environment does not name; `NotPossibleNow` if it cannot be asked."""

    async def find_for(self, selector: Selector, acts_on: Set[str]) -> Selection:
        """The same for a fault that acts on these kinds of targets: one selector may mean pods to one fault, and their
        workload to another."""
        return await self.find(selector)

    @abstractmethod
    async def gone(self, target: Target) -> str:
        """Empty while this very target is there; otherwise how it went away (`process 4711 exited`)."""

    def ability(self, kind: type[A]) -> A:
        """This platform's implementation of an ability (`Processes`, `Links`, `Holders`).

        Raises `CannotDoHonestly` where it has none.
        """
        from chaosrunner.errors import CannotDoHonestly

        if isinstance(self, kind):
            return self
        raise CannotDoHonestly(f"the {self.kind} platform has no {kind.__name__.lower()}")

    def appearing(
        self, selector: Selector, acts_on: Set[str], besides: Sequence[Target] | None = None
    ) -> AsyncIterator[Target]:
        """Where `follows`: targets that this selector comes to mean, as soon as they can be acted on, each once.
        `besides`: all but these; None: all but those that are there when it is first asked. Goes on until it is closed:
        a connection that breaks is made anew, and what appeared meanwhile is not missed. Raises `NotPossibleNow` where
        it cannot go on."""
        raise NotImplementedError(f"the {self.kind} platform cannot follow")

    @abstractmethod
    async def open(self, run: str, alive: Callable[[], bool]) -> None:
        """Called once before anything else of a run; starts the heartbeat to what will hold its faults. The beat
        comes from outside the event loop and pauses while `alive()` is false: a runner that hangs must not keep its
        faults in force."""

    @abstractmethod
    async def close(self) -> None:
        """End the heartbeat and let go of everything; idempotent."""

    def lease(self, target: Target) -> str:
        """The name under which no two runs may hold this target at once, whatever environment they name it from."""
        return target.id

    async def claim(self, run: str, by: str, targets: Sequence[Target]) -> None:
        """Take the targets where runs from other machines see it, before `open`; `close` lets them go.

        Raises `Busy` with who holds which, from where.
        """
        return

    def seen(self, target: Target, hold: Hold) -> Sighting | None:
        """Whether a hold is in force, where it is one of so many that the platform itself tells instead of the fault's
        `confirm`, which looks at a sample; the words say so. None: the fault looks. No look: asked very often."""
        return None

    def stop_asked(self) -> StopAsked | None:
        """Why the run must stop now, as the platform has come to know; asked several times a second, so no look."""
        return None

    knows_all_runs: ClassVar[bool] = False
    """Whether `runs` tells of every run on this environment, wherever it was started: one that is missing is over."""

    async def runs(self) -> Sequence[RunSeen]:
        """Runs on this environment that live now, as the platform itself knows of them."""
        return ()

    async def halt(self, run: str, by: str, reason: str) -> Sequence[RunSeen]:
        """Ask those of them to stop whose id begins so, which they do by themselves; those that were asked. One that
        died just now may be among them."""
        return ()

    async def left(self, *, thorough: bool = False) -> Sequence[LeftOver]:
        """Faults in force on this environment, as the platform itself knows of them; oldest first. `thorough`: also
        those that take long to look for."""
        return ()

    async def heal(self, left: LeftOver) -> None:
        """Take one of them back. Raises `UndoFailed`, and `Busy` if its run is under way."""
        raise NotImplementedError(f"the {self.kind} platform keeps no ledger")

    async def observe(self, targets: Sequence[Target]) -> Mapping[str, str]:
        """The state of everything that is *not* a target, by service, as comparable words; for spill-over. Asked at the
        end of the baseline, and again after it. A platform may itself compare with what it saw first: then the words
        say what broke since, and are empty where nothing did."""
        return {}

    async def affected(self, fault: PlannedFault) -> Sequence[Affected] | None:
        """What the fault hits of everything that has replicas, for the guard `maxAffected`; None: count the targets
        among all that the selector matched."""
        return None

    async def guards(self, guards: Guards, intended: Sequence[Intended]) -> Sequence[GuardAnswer]:
        """What speaks for and against a run here, before anything is touched; reads only. Raises `NotPossibleNow` if
        it cannot be asked, which refuses."""
        return ()

    async def doctor(
        self, needs: Mapping[str, Sequence[str]], *, deep: bool = False
    ) -> Sequence[tuple[str, bool, str]]:
        """(what was looked at, in order, what was found and what to do about it). `needs`: the permissions of each
        fault that works here. `deep`: also what makes something and removes it again; else nothing is touched."""
        return ()

    async def survey(self) -> FoundPlatform | None:
        """What runs here, for `chaosrunner init`; reads only. None: the platform cannot say. Raises `NotPossibleNow` if
        it cannot be asked."""
        return None


# ---------------------------------------------------------------------------------------------------------- probes


@dataclass(frozen=True, slots=True)
class TrafficWindow:
    """What the load generator saw in a window. Latencies are seconds from when a request was due.

    `answered` and `errors` count the requests that were *decided* in it: answered as expected, or failed, or still open
    so long after they were due as the window lasts. `p50` to `p99` are of the requests due in it.
    """

    seconds: float
    due: int
    answered: int
    errors: int
    p50: float | None
    p95: float | None
    p99: float | None
    """None: not one of them was answered."""
    why: str = ""
    """The most frequent error, in words."""
    late: float = 0.0
    """The share of its requests that the generator itself started late, so that their latencies are partly its own."""


class TrafficSource(Protocol):
    """The run's load generator, for the `traffic` probe."""

    def window(self, seconds: float) -> TrafficWindow:
        """Of the last so many seconds whose requests have all ended or timed out.

        Raises `NoReading` if the generator is not running or fell behind its own schedule.
        """


@dataclass(frozen=True)
class ProbeContext:
    """What a probe may use. One per run, shared by all its measures."""

    clock: Clock
    http: Http
    """The HTTP seam: one pooled client, see `chaosrunner.http`."""
    folder: Path
    """Where relative paths of files start."""
    environment: Environment | None = None
    platform: Platform | None = None
    traffic: TrafficSource | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    state: Path | None = None
    """Where chaosrunner keeps what it knows; None: `.chaosrunner` of the current folder."""


def cluster_of(context: ProbeContext) -> ClusterReader:
    """The cluster that a probe reads. Raises `NoReading` where the environment is none."""
    from chaosrunner.errors import CannotDoHonestly, NoReading

    if context.platform is None:
        raise NoReading("no environment says which cluster is meant")
    try:
        return context.platform.ability(ClusterReader)
    except CannotDoHonestly:
        raise NoReading(f"the environment's platform is {context.platform.kind}, not a cluster") from None


class Probe(Plugin[P], ABC):
    """Reads one value from the live system. An instance is made for each measure of a run."""

    needs_traffic: ClassVar[bool] = False
    """Whether it reads the experiment's own load, so that a file without `traffic` is a mistake."""
    room: ClassVar[Literal["latency", "ratio", "rate"] | None] = None
    """What sort of quantity it reads, where a close call can be told; may depend on the parameters, see `kind_of`."""
    constant: ClassVar[bool] = False
    """Whether it asks nobody, so that no fault can change what it reads."""

    @classmethod
    def bounds(cls, params: P) -> tuple[float | None, float | None]:
        """What every reading lies between, in its unit, where that is sure: a limit beyond it can never fail."""
        kind = cls.kind_of(params)
        return (None, None) if kind is None else (0.0, 1.0 if kind == "ratio" else None)

    @classmethod
    def asks(cls, params: P) -> int | None:
        """The TCP port that it asks, where one service alone answers on it; None: that cannot be told."""
        return None

    @classmethod
    def reads_text(cls, params: P) -> bool:
        """Whether what it reads may be text, in which a later step may look for a part (`${steps.ID.value.a}`)."""
        return cls.unit(params) is None and cls.kind_of(params) is None

    @classmethod
    def promql(cls, params: P) -> Sequence[str]:
        """Which of its parameters (`query`, `ratio.bad`) hold PromQL that `check` is to read."""
        return ()

    def __init__(self, params: P, context: ProbeContext) -> None:
        self.params = params
        self.context = context

    @classmethod
    def unit(cls, params: P) -> str | None:
        """The readings' unit, where the probe knows it."""
        return None

    @classmethod
    def lag(cls, params: P) -> float:
        """How old (seconds) what a reading tells may be; 0: it tells of the moment that it is taken."""
        return 0.0

    @classmethod
    def kind_of(cls, params: P) -> Literal["latency", "ratio", "rate"] | None:
        """What sort of quantity it reads with these parameters; default: `room`."""
        return cls.room

    async def open(self) -> None:
        """Called once before the first reading."""

    @abstractmethod
    async def read(self) -> Value:
        """One reading. Raises `NoAnswer` when the system under test does not answer, which is a reading that meets
        no tolerance, and `NoReading` when the instrument failed. The engine limits its time: a probe of the system
        under test that is cancelled for taking too long gives *no answer* if `answers` is true, else no reading."""

    async def close(self) -> None:
        """Called once after the last reading; idempotent."""

    answers: bool = False
    """Whether it asks the system under test itself (http, tcp), so that running out of time is *no answer*. An instance
    may say otherwise, where something stands between."""


class TimedProbe(Probe[P]):
    """A probe that asks the system itself, and may read how long that took: `read: latency`, in seconds."""

    answers = True

    @classmethod
    def unit(cls, params: P) -> str | None:
        return "s" if _reads_latency(params) else None

    @classmethod
    def kind_of(cls, params: P) -> Literal["latency", "ratio", "rate"] | None:
        return "latency" if _reads_latency(params) else None


def _reads_latency(params: Parameters) -> bool:
    return getattr(params, "read", None) == "latency"


# -------------------------------------------------------------------------------------------------------- trackers


@dataclass(frozen=True, slots=True)
class Item:
    """A remediation item as a tracker is asked to show it."""

    near_miss: str
    """`NM-2026-0042`."""
    fingerprint: str
    """Goes into the item as a marker, so that it is found again and never made twice."""
    title: str
    body: str
    """Markdown: the story, evidence, how to reproduce, what to do."""
    labels: Sequence[str] = ()
    assignee: str | None = None
    due: str | None = None
    """ISO date."""
    priority: str = ""
    """`P1` to `P4`."""


@dataclass(frozen=True, slots=True)
class ItemSeen:
    """An item as it is in the tracker now."""

    key: str
    """The tracker's own name of it: an issue number, a file name."""
    url: str
    state: Literal["open", "closed", "gone"]
    assignee: str | None = None
    given_up: bool = False
    """Closed as something that will not be done: nothing was fixed."""

    @classmethod
    def gone(cls, key: str) -> Self:
        """One that was deleted."""
        return cls(key=key, url="", state="gone")


class Tracker(Plugin[P], ABC):
    """Where remediation items live. What is not possible raises `NotPossibleNow` or `UsageError`, in words."""

    settles: ClassVar[float] = 0.0
    """Seconds after which `find` sees for certain what was made (search may lag behind). When it is not known whether
    an item was made, it is looked for so long before another is."""

    def __init__(self, params: P, context: ProbeContext) -> None:
        self.params = params
        self.context = context

    @abstractmethod
    async def find(self, fingerprint: str) -> ItemSeen | None:
        """The item with this marker, if there is one; closed ones too; of several the first that was made."""

    @abstractmethod
    async def create(self, item: Item) -> ItemSeen:
        """Make the item. Only called when `find` found none and our own ledger knows of none. Raises `OutcomeUnknown`
        where it may have been made, although nobody said so; every other error says that it was not."""

    @abstractmethod
    async def look(self, key: str) -> ItemSeen:
        """Its state now; `gone` if it was deleted."""

    @abstractmethod
    async def update(
        self, key: str, item: Item, comment: str, *, reopen: bool = False, close: bool = False
    ) -> ItemSeen:
        """Bring the text up to date without losing what people wrote, add the comment (empty: none), reopen or close
        the item if asked; what is asked for and already so is left."""


class Source(Plugin[P], ABC):
    """Where evidence comes from: what a system's metrics, logs or events were like before a fault and while it was in
    force. Asked after the undo, and only where a run found a gap; failing changes no verdict."""

    def __init__(self, params: P, context: ProbeContext) -> None:
        self.params = params
        self.context = context

    def note(self, at: float) -> None:
        """Called during the run where a phase begins, and when the last fault is undone, at this wall time: to note how
        far something has come that cannot be asked for by time. Quick, asks nobody, raises nothing."""
        return

    @abstractmethod
    async def gather(self, window: Window) -> Material:
        """What there is of a stretch of time, and of the time before it, within bounds of its own. Raises `NoReading`,
        `NoAnswer` or `NotPossibleNow` with the reason where there is nothing to be had; whatever is only partly known
        is said in `unknown`."""


class Notifier(Plugin[P], ABC):
    """Tells people or machines what happened. Failing changes no verdict and delays no undo. What could not be told is
    told later, in the order in which it happened and with its own time (`at`), by an instance that may know of nothing
    before; it raises `NotAccepted` for what would be refused again."""

    keyed: ClassVar[bool] = True
    """Whether it may be told again what may have been heard: a mark that is shown twice is less harm than none."""
    per_minute: ClassVar[int] = 600
    """How many it is told in a minute at most; the rest waits."""

    def __init__(self, params: P, context: ProbeContext) -> None:
        self.params = params
        self.context = context

    @abstractmethod
    async def send(self, event: JsonObject) -> None:
        """Deliver one event; raises `NotPossibleNow` to be tried again later."""


class Messenger(Notifier[P], ABC):
    """A notifier of people and incident tools. What it is to tell is kept in an outbox first, and told after the run in
    the order in which it happened; what could not be told is told later. Its parameters are derived from `Telling`."""

    keyed: ClassVar[bool] = False
    """Whether the receiver recognises a repetition by the notice's `id` or `key`. One that does not is never told again
    when it may have heard: at most once; the others at least once, which there is the same as once."""
    cannot_tell: ClassVar[frozenset[str]] = frozenset()
    """News (`run-ended`) that there is no way to tell it."""
    per_minute: ClassVar[int] = 30
    """How many it is told in a minute at most; the rest waits."""

    @abstractmethod
    async def tell(self, notice: Notice) -> None:
        """Deliver one. Raises `OutcomeUnknown` where it may have been heard, `NotPossibleNow` where it was not and may
        be later, `UsageError` where it never will be."""

    async def send(self, event: JsonObject) -> None:
        """The same, of a notice as JSON."""
        from chaosrunner.model.news import Notice

        await self.tell(Notice.model_validate(event))


class Runbook(Plugin[P], ABC):
    """An automation that fixes something, and can say beforehand what it would change. Relative paths start in
    `context.folder`, that of the experiment's file.

    Both calls raise `NotPossibleNow` where the tool is not installed, and `RunbookFailed` where it did not come to its
    end: what could not be asked (a host out of reach) is never told as *nothing would change*. They may be cancelled at
    any moment, and then leave no process behind.
    """

    def __init__(self, params: P, context: ProbeContext) -> None:
        self.params = params
        self.context = context

    @classmethod
    @abstractmethod
    def does(cls, params: P) -> str:
        """One sentence for items and plans: what is played on what, with which tool."""

    @classmethod
    def files(cls, params: P) -> Sequence[str]:
        """Files and folders, as written, without which it cannot be played; `check` looks whether they are there."""
        return ()

    @abstractmethod
    async def check(self) -> RunbookSays:
        """What would change; changes nothing."""

    @abstractmethod
    async def apply(self) -> RunbookSays:
        """Make the change; what was changed."""
