"""The log of a game day: what happened on it and who said what, one JSON object a line. Everything that is shown of it
anywhere, and where it goes on after its facilitator's terminal died, is made from it.

Several people write it, from several machines: an entry has an `id` of its own, so that two copies can be put together.
What becomes of a surprise (`blind`) is written only when it is over.
"""

from __future__ import annotations

from typing import Literal, get_args

from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.gameday import Role, is_same


class _Event(Frozen):
    model_config = {"extra": "ignore"}


class AgendaLine(Frozen):
    """One item of the agenda, as everybody may see it."""

    model_config = {"extra": "ignore"}

    title: str
    """Of a surprise: that it is one."""
    experiment: str = ""
    """Its name; empty: a pause, or a surprise."""
    pause: float | None = None
    """Seconds."""
    blind: bool = False
    mark: str = ""
    """Tells whether the file still says the same here; tells nothing else."""


class Began(_Event):
    """The first line: what is meant to happen."""

    type: Literal["began"] = "began"
    name: str
    title: str
    environment: str
    environment_class: str
    file: str
    agenda: tuple[AgendaLine, ...]
    roles: dict[Role, tuple[str, ...]] = {}
    lasts: float
    time_zone: str = "UTC"
    schema_: int = 1

    def role_of(self, person: str) -> Role | None:
        """The role that the file gives somebody."""
        return next((role for role, named in self.roles.items() if any(is_same(one, person) for one in named)), None)


class Resumed(_Event):
    """Its facilitator has come back, from a terminal that was closed or died; or somebody else leads from now on."""

    type: Literal["resumed"] = "resumed"
    instead_of: str = ""
    """Who led before; empty: the same facilitator."""


class HandOverAsked(_Event):
    """Somebody asks the facilitator to leave the lead to them."""

    type: Literal["hand-over-asked"] = "hand-over-asked"


class HandedOver(_Event):
    """The facilitator leads no more; somebody else may."""

    type: Literal["handed-over"] = "handed-over"


class Joined(_Event):
    """Somebody looks on, or was said to be there."""

    type: Literal["joined"] = "joined"
    person: str
    role: Role | None = None
    here: bool = True


class Checked(_Event):
    """One answer to whether it may go."""

    type: Literal["checked"] = "checked"
    check: str
    go: bool
    reason: str


class Decided(_Event):
    """Go or no-go, for the whole game day; or that it goes on after a stop condition."""

    type: Literal["decided"] = "decided"
    go: bool
    reason: str = ""


class ItemBegan(_Event):
    """An item of the agenda begins; `item` counts from 1, `attempt` too."""

    type: Literal["item-began"] = "item-began"
    item: int
    attempt: int = 1


class RunBegan(_Event):
    """The item's run has a journal from here on."""

    type: Literal["run-began"] = "run-began"
    item: int
    run: str


class Happened(_Event):
    """Something of the run, in words; `when` is its wall time."""

    type: Literal["happened"] = "happened"
    item: int
    when: float
    tone: str
    topic: str
    text: str
    important: bool = True


class FaultTold(Frozen):
    """One fault on one target. Wall times."""

    model_config = {"extra": "ignore"}

    what: str
    """`network-latency on checkout → payments`"""
    began: float | None = None
    """In force."""
    ended: float | None = None
    """Taken back."""


class AlertTold(Frozen):
    """An alert that began to fire while the item lasted. Wall time."""

    model_config = {"extra": "ignore"}

    name: str
    at: float
    expected: bool = False


class HypothesisTold(Frozen):
    """What was promised, and what was seen."""

    model_config = {"extra": "ignore"}

    title: str
    answer: str
    reason: str


class MeasureTold(Frozen):
    """Readings of one measure, thinned out: wall times and values."""

    model_config = {"extra": "ignore"}

    key: str
    unit: str | None = None
    answer: str = ""
    low: float | None = None
    high: float | None = None
    points: tuple[tuple[float, float], ...] = ()
    gaps: tuple[float, ...] = ()
    """When there was no answer."""


class NearMissTold(Frozen):
    """A near miss, as it was when the item ended."""

    model_config = {"extra": "ignore"}

    id: str
    title: str
    story: str = ""
    priority: str = ""
    state: str = ""
    owner: str = ""
    due: str = ""
    work: str = ""
    """Path or URL of what fixes it."""
    news: str = ""
    """new, seen 3 times, regressed."""


class Facts(Frozen):
    """What a run came to: all that the report needs, so that it can be made where the journal is not."""

    model_config = {"extra": "ignore"}

    experiment: str
    parameters: JsonObject = {}
    """Values of the experiment's parameters."""
    title: str
    service: str = ""
    owner: str = ""
    word: str
    """HELD, BROKEN, …"""
    answer: str
    exit_code: int
    ending: str = ""
    ending_reason: str = ""
    summary: str
    began: float
    ended: float
    faults: tuple[FaultTold, ...] = ()
    alerts: tuple[AlertTold, ...] = ()
    alerts_read: bool = False
    """Whether anything was there that could have said that an alert fires."""
    hypotheses: tuple[HypothesisTold, ...] = ()
    measures: tuple[MeasureTold, ...] = ()
    recovered_after: float | None = None
    """Seconds from the last undo to the system being back; None: it did not come back, or that cannot be said."""
    recovery: str = ""
    aborted: bool = False
    incident: bool = False
    """Whether something that was not a target broke."""
    near_misses: tuple[NearMissTold, ...] = ()
    report: str = ""
    """Where the run's own report is."""


class ItemEnded(_Event):
    """An item is over; `facts` where a run came to something. `cut`: it was broken off with its facilitator's terminal,
    or ended before there was a run."""

    type: Literal["item-ended"] = "item-ended"
    item: int
    attempt: int = 1
    facts: Facts | None = None
    cut: bool = False
    reason: str = ""
    """Why there are no facts."""
    title: str = ""
    """Of a surprise that is over: what it is called."""


class ItemSkipped(_Event):
    """The facilitator left an item out."""

    type: Literal["item-skipped"] = "item-skipped"
    item: int
    reason: str = ""


class Answered(_Event):
    """An answer to a question; empty: nobody had one."""

    type: Literal["answered"] = "answered"
    item: int
    question: int
    """Counts from 1."""
    asked: str
    answer: str


class Paused(_Event):
    """Nothing goes on until somebody says so."""

    type: Literal["paused"] = "paused"
    reason: str = ""


class WentOn(_Event):
    """The pause is over."""

    type: Literal["went-on"] = "went-on"


class NoteTaken(_Event):
    """What somebody saw, thought or did. `respond`: from now on somebody is on it."""

    type: Literal["note"] = "note"
    text: str
    respond: bool = False


class HaltAsked(_Event):
    """Somebody asked that everything be stopped and taken back at once."""

    type: Literal["halt-asked"] = "halt-asked"
    reason: str = ""


class StopReached(_Event):
    """A condition under which it should stop is met."""

    type: Literal["stop-reached"] = "stop-reached"
    condition: str
    text: str


class Announced(_Event):
    """What was told to people outside."""

    type: Literal["announced"] = "announced"
    when: Literal["before", "during", "after"]
    to: tuple[str, ...]
    text: str


class SilenceOrdered(_Event):
    """Written before a silence is made: what is needed to find and to end it."""

    type: Literal["silence-ordered"] = "silence-ordered"
    order: JsonObject


class SilenceOver(_Event):
    """The silence was ended, or `trouble` says why that is not known."""

    type: Literal["silence-over"] = "silence-over"
    trouble: str = ""


class Ended(_Event):
    """The last line."""

    type: Literal["ended"] = "ended"
    ending: Literal["finished", "no-go", "halted", "stopped", "broken-off"]
    reason: str = ""


class Unknown(_Event):
    """A line of a newer version."""

    type: str


Known = (
    Began
    | Resumed
    | HandOverAsked
    | HandedOver
    | Joined
    | Checked
    | Decided
    | ItemBegan
    | RunBegan
    | Happened
    | ItemEnded
    | ItemSkipped
    | Answered
    | Paused
    | WentOn
    | NoteTaken
    | HaltAsked
    | StopReached
    | Announced
    | SilenceOrdered
    | SilenceOver
    | Ended
)
"""Every event that this version writes."""
GameDayEvent = Known | Unknown
_KINDS: dict[str, type[Known]] = {str(event.model_default("type")): event for event in get_args(Known)}


class GameDayEntry(Frozen):
    """One line of the log."""

    id: str
    """Its own, wherever it was written."""
    at: float
    """Wall time, epoch seconds."""
    who: str
    event: JsonObject
    """As `told` reads it."""

    @property
    def told(self) -> GameDayEvent:
        """The event itself. Raises ValueError for a line that is damaged."""
        kind = str(self.event.get("type", ""))
        if kind not in _KINDS:
            return Unknown(type=kind)
        return _KINDS[kind].model_validate(self.event)
