"""What can be done in a cluster alone: abilities as those of `abilities`, of pods, their owners and other objects.

A plugin imports them from `chaosrunner.ports`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from chaosrunner.abilities import Hold, Links, LinkSample, Sighting
from chaosrunner.model.experiment import Selector
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.target import Target
from chaosrunner.records.light import dataclass

if TYPE_CHECKING:
    from chaosrunner.model.plan import GuardAnswer


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """The other end of a link, as clients know it."""

    names: Sequence[str] = ()
    """By which it is looked up; none: by its address."""
    doors: Sequence[tuple[str, int]] = ()
    """Addresses (or a name) and TCP ports where it may answer, in the order in which they are to be tried."""


class PodLinks(Links):
    """Connections of pods, with the injector in the pod itself, where it reaches more than connections."""

    @abstractmethod
    async def end_of(self, target: Target) -> LinkEnd:
        """Where a link leads. Reads only; raises `CannotDoHonestly` where it has no address."""

    @abstractmethod
    async def act(self, target: Target, effect: JsonObject, hold: Hold, *, include_control: bool = False) -> JsonObject:
        """Put an effect in force as the injector takes it, and give what it says about it. `effect` is merged into
        `{kind: traffic, mode, match}`, whose match are the target's connections: `{packets: {…}}`, `{dns: {…}}`,
        `{http: {…}}`, with `kind` or `match` of its own if it has them. Raises `FaultFailed` with the injector's words.
        """

    @abstractmethod
    async def door(self, target: Target) -> tuple[str, int]:
        """A host and a TCP port at which the target's connections can be looked at."""

    @abstractmethod
    async def look(self, target: Target, words: Sequence[str]) -> JsonObject:
        """Any other look from inside the pod, as the injector's `look` program takes and answers it. Raises
        `FaultFailed` when it cannot be made."""


@dataclass(frozen=True, slots=True)
class PodContainer:
    """One of a pod's own containers, as the node last reported it."""

    name: str
    id: str
    """Another one after each restart."""
    running: bool
    restarts: int
    pid_one: bool = True
    """Whether its process is number 1 of its own namespace, which no signal reaches that it has no handler for; false
    where the pod's containers share one namespace."""


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod as the API shows it now."""

    gone: str = ""
    """How this very pod went away; empty: it is there."""
    leaving: bool = False
    """It was told to end."""
    grace: float = 0.0
    """Seconds that it has to end by itself: those it was given, or else those of its own settings."""
    ends_in: float = 0.0
    """Of a pod that was told to end: seconds until its time for that is over, by this machine's clock; negative: it is
    over."""
    node: str = ""
    owner: str = ""
    """What controls it directly (`replicaset/cart-5d9`); empty: nothing does, and it would not come back."""
    containers: Sequence[PodContainer] = ()
    """Its own: no init and no ephemeral containers."""
    mirror: bool = False
    """It comes from a file on its node, not from the API, which cannot end it."""
    scratch: Sequence[str] = ()
    """Its `emptyDir` volumes: what is in them goes with it."""
    kept_out: bool = False
    """It says `chaosrunner.dev/allow: "false"`."""

    @property
    def running(self) -> Sequence[str]:
        """The names of its containers that run."""
        return () if self.gone else tuple(each.name for each in self.containers if each.running)


class Pods(ABC):
    """Pods of a cluster. Every change names the pod's uid, so that another one of the same name is never hit; all of
    them raise `FaultFailed` in words where the API refuses (rights, an admission webhook, a pod that is gone)."""

    @abstractmethod
    async def state(self, target: Target) -> PodState:
        """As the API shows it now."""

    @abstractmethod
    async def delete(self, target: Target, grace: float | None = None) -> None:
        """Delete it. `grace`: seconds to end in; None: its own; 0: its entry goes at once, the node ends it then."""

    @abstractmethod
    async def evict(self, target: Target, grace: float | None = None, *, within: float = 0.0) -> None:
        """Ask for its eviction, for so many seconds again and again while a disruption budget does not allow it.

        Raises `BarrierHeld` if none did by then.
        """

    @abstractmethod
    async def ending(self, target: Target) -> Sighting:
        """Whether it was told to end and does so, as the API shows it: gone, none of its containers runs, or they still
        have time. Not seen: it was not told to, or its containers outlast the time that they had."""

    @abstractmethod
    async def on_nodes(self, names: Sequence[str]) -> Sequence[Target]:
        """The environment's pods on these nodes that have not ended and are not being deleted."""

    @abstractmethod
    async def owner(self, target: Target) -> str:
        """How what keeps the pod is now: `deployment/cart has 2 of 3 ready`; empty: nothing keeps it. Says in words
        where it cannot be read."""


class Objects(ABC):
    """Objects of a cluster's API that a fault changes, with a ledger in the cluster and a guardian: whoever dies, what
    was changed is changed back.

    An undo is data: operations that the runner, the guardian, `heal` or a person can carry out. Each is bound to
    objects that still carry the hold's mark, so that what somebody else has changed back or made anew is left alone:

        undo = [objects.back(where, {"spec": {"replicas": 3}}, hold)]           while preparing
        await objects.change(target, hold, [objects.patch(where, {"spec": {"replicas": 0}}, hold)], undo)
        await objects.take_back(hold, undo)

    Paths are those of the API: `/apis/apps/v1/namespaces/shop/deployments/cart`.
    """

    namespaces: Sequence[str] = ()
    """The environment's: nothing outside is ever touched."""

    @abstractmethod
    async def read(self, path: str) -> dict[str, Any] | None:
        """An object; None: there is none. Raises `NotPossibleNow` where it cannot be read."""

    @abstractmethod
    async def items(self, path: str, **query: str) -> Sequence[dict[str, Any]]:
        """A whole list, page by page; `labelSelector`, `fieldSelector`."""

    @abstractmethod
    async def ready(self) -> None:
        """Asked by a fault's `check`: whether there can be a guardian. Raises `CannotDoHonestly` with what to do."""

    @abstractmethod
    async def change(self, target: Target, hold: Hold, do: Sequence[JsonObject], undo: Sequence[JsonObject]) -> None:
        """Write the ledger entry, wait for the guardian's word that it could undo it, then act.

        Raises `FaultFailed`; what was done by then is in the ledger.
        """

    @abstractmethod
    async def take_back(self, hold: Hold, undo: Any, *, last: bool = True) -> None:
        """Carry the undo out and remove the ledger entry; nothing happens if it was done before. While the API server
        does not answer it is tried again. Not `last`: more is to come, and the entry stays. Raises `UndoFailed` with
        the commands."""

    @abstractmethod
    async def seen_until(
        self, path: str, enough: Callable[[dict[str, Any]], bool], seconds: float
    ) -> dict[str, Any] | None:
        """Look at an object until it is as it should be, or gone, or the time is over; as it was seen last. None: it is
        gone."""

    @abstractmethod
    def tag(self, hold: Hold) -> str:
        """Ten characters that are this hold's alone, for names of what it makes."""

    @abstractmethod
    def held(self, found: Mapping[str, Any] | None, hold: Hold) -> bool:
        """Whether an object carries the hold's mark."""

    @abstractmethod
    def patch(self, path: str, body: Mapping[str, Any], hold: Hold, **more: Any) -> JsonObject:
        """The operation that merges a change into an object and marks it. `more`: `uid`; `type` (a strategic merge);
        `with` and `without` (`{pointer, items}`: whole items into and out of a list)."""

    @abstractmethod
    def back(self, path: str, body: Mapping[str, Any], hold: Hold, **more: Any) -> JsonObject:
        """The operation that merges the old values back into an object that still carries the mark, and takes the mark
        off. `more` as for `patch`; also `when`: `[{pointer, equals, body}]`, merged only where it is still as we left
        it."""

    @abstractmethod
    def make(self, path: str, body: Mapping[str, Any], hold: Hold) -> JsonObject:
        """The operation that makes an object, marked, in the list at `path`."""

    @abstractmethod
    def unmake(self, path: str, hold: Hold) -> JsonObject:
        """The operation that deletes such an object."""

    @abstractmethod
    def by_hand(self, undo: Any) -> Sequence[str]:
        """The kubectl commands that do the same."""

    @abstractmethod
    def changed_by(self, found: Mapping[str, Any], field: str) -> str:
        """Who set a field (`spec.replicas`) last and when, as the API keeps account (`managedFields`); empty: nobody is
        on record but chaosrunner."""


class Containers(ABC):
    """Containers of a pod whose processes can be signalled. `name` None: the pod's only one."""

    @abstractmethod
    async def container(self, target: Target, name: str | None) -> PodContainer:
        """As it is now. Raises `CannotDoHonestly` where it has no such container, `FaultFailed` where it is gone."""

    @abstractmethod
    async def check(self, target: Target, name: str | None, number: int) -> None:
        """Asked while planning: whether its process would hear the signal. Reads only; raises `CannotDoHonestly`."""

    @abstractmethod
    async def ready(self, target: Target, name: str, hold: Hold) -> None:
        """Bring up what sends the signal; see `Fault.ready`."""

    @abstractmethod
    async def signal(self, target: Target, name: str, number: int, hold: Hold) -> str:
        """Send it, in words. Raises `FaultFailed` if it was not sent, or would not be heard."""


class Policies(ABC):
    """What a NetworkPolicy cannot say by itself, and whether one works: a cluster may have none who enforces them."""

    @abstractmethod
    async def others_than(self, target: Target) -> Sequence[JsonObject]:
        """Peers, as a policy's rule takes them, that are everything but the other end of a `link`. Raises
        `CannotDoHonestly` where that cannot be said."""

    @abstractmethod
    async def ready(self) -> None:
        """Bring up what knocks; see `Fault.ready`."""

    @abstractmethod
    async def knock(self, target: Target) -> LinkSample:
        """What becomes of a TCP connection to the pod from a pod of our own in the cluster, the guardian's. Any outcome
        but silence means that it got there. Raises `FaultFailed` when it cannot be made."""


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """A workload as the API shows it now."""

    gone: str = ""
    """How this very workload went away; empty: it is there."""
    wanted: int = 0
    updated: int = 0
    """Pods of its newest revision."""
    ready: int = 0
    settled: bool = False
    """All that are wanted are of the newest revision and ready, and the controller has seen the latest change."""
    why_no_rollout: str = ""
    """Why a changed template would not bring new pods (paused, `OnDelete`); empty: it would."""


class Workloads(ABC):
    """What runs pods: deployments, stateful sets, daemon sets."""

    @abstractmethod
    async def state(self, target: Target) -> WorkloadState:
        """As the API shows it now."""

    @abstractmethod
    async def restart(self, target: Target, mark: str) -> None:
        """Begin a rollout as kubectl does: the template says `restartedAt: mark`. Raises `FaultFailed`."""

    @abstractmethod
    async def marked(self, target: Target, mark: str) -> int:
        """How many of its pods have the mark in their annotations."""


class ClusterReader(ABC):
    """What a cluster's API says, as the JSON that it sends. Reads only, and in the environment's namespaces only.

    Everything raises `NotPossibleNow` with the API server's words where it does not answer or refuses, and `UsageError`
    for a service, workload, namespace or kind that the environment or the cluster does not know.
    """

    @abstractmethod
    async def pods(self, selector: Selector, most: int) -> Sequence[JsonObject]:
        """All pods that a selector means, whatever their state, without chaosrunner's own. Raises `UsageError` if there
        are more than `most`, and `NoAnswer` where the workload or Service that is named is not there."""

    @abstractmethod
    async def workload(self, selector: Selector) -> JsonObject | None:
        """The workload that a selector means; None: it is not there."""

    @abstractmethod
    async def object(
        self, kind: str, name: str, *, api: str | None = None, namespace: str | None = None
    ) -> JsonObject | None:
        """An object by kind (`Deployment`), group and version (`apps/v1`; may be left out for Kubernetes' own kinds)
        and name; None: it is not there. Secrets are refused."""

    @abstractmethod
    async def events(self, namespace: str, reason: str) -> Sequence[JsonObject]:
        """The events of a namespace with this reason (empty: any) that the cluster still keeps, for an hour usually."""

    @abstractmethod
    async def log(
        self, namespace: str, pod: str, container: str, *, after: str, previous: bool, limit: int
    ) -> str | None:
        """At most `limit` bytes of a container's log from the second of `after` (a time as the log has it; empty: all
        that is kept), each line with its time before it. `previous`: of the instance before its last restart. None:
        there is no such log (not started yet, or no longer kept)."""

    @abstractmethod
    async def last_time(self, namespace: str, pod: str, container: str) -> str:
        """The time of the last line of a container's log; empty: it has none."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of one object of a schedule."""

    kind: str
    """`CronJob`."""
    name: str
    """`NAMESPACE/NAME`."""
    done: Literal["created", "changed", "unchanged", "removed"]


class Schedules(ABC):
    """Objects of a cluster that have chaosrunner run by itself, each with the label `LABEL`."""

    LABEL: ClassVar[str] = "chaosrunner.dev/schedule"
    """`suite.NAME` or `game-day.NAME`: whose schedule it is."""

    @abstractmethod
    async def may_keep(self, objects: Sequence[JsonObject]) -> Sequence[GuardAnswer]:
        """What speaks for and against having these there; reads only. Raises `NotPossibleNow` if it cannot be asked."""

    @abstractmethod
    async def keep(self, objects: Sequence[JsonObject]) -> Sequence[Kept]:
        """Have them there as they are given. Raises `Refused`, with nothing changed, where one is somebody else's, or
        where the cluster does not take it."""

    @abstractmethod
    async def may_remove(self, namespace: str) -> Sequence[GuardAnswer]:
        """What speaks for and against removing schedules there; otherwise the same."""

    @abstractmethod
    async def remove(self, schedule: str, namespace: str) -> Sequence[Kept]:
        """Remove all that `LABEL` says to be of this schedule, what runs of it included: that is halted, and takes its
        faults back. Empty: there was nothing."""
