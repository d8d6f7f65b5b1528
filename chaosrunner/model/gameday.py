"""A game day: people break something together on purpose, at a time that all know, and write down what they learn."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from chaosrunner.model.experiment import Metadata, Silence
from chaosrunner.model.frozen import Call, Frozen, JsonObject
from chaosrunner.model.marks import Field, field_validator, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.records.patterns import pattern

_CRON = pattern(r"[\d*/,A-Za-z-]+(?: +[\d*/,A-Za-z-]+){4}")
_DATE = "a date with a time, such as 2026-12-01T10:00"


class Role(StrEnum):
    """What somebody does on a game day."""

    FACILITATOR = "facilitator"
    SCRIBE = "scribe"
    ON_CALL = "on-call"
    OBSERVERS = "observers"

    @property
    def of_one(self) -> str:
        """What one person is."""
        return "observer" if self is Role.OBSERVERS else self.value


class Roles(Frozen):
    """Who does what. People are named as `$CHAOSRUNNER_WHO` names them, or by their user's name."""

    facilitator: str | None = None
    """Who leads through it, in `chaosrunner gameday run`."""
    scribe: str | None = None
    """Who writes down what is seen, with `chaosrunner gameday note`."""
    on_call: tuple[str, ...] = ()
    """Who answers alerts, as on any other day."""
    observers: tuple[str, ...] = ()
    """Who looks on, with `chaosrunner gameday watch`; people or teams."""

    def of(self, role: Role) -> tuple[str, ...]:
        """Those that have a role."""
        one = {Role.FACILITATOR: self.facilitator, Role.SCRIBE: self.scribe}
        if role in one:
            return (one[role],) if one[role] else ()  # type: ignore[return-value]
        return self.on_call if role is Role.ON_CALL else self.observers


def is_same(named: str, person: str) -> bool:
    """Whether a name of a file means this person: `ana` is `ana@laptop`, and `@ana` is, too."""
    wanted, there = named.strip().lstrip("@").lower(), person.strip().lstrip("@").lower()
    return bool(wanted) and (wanted == there or wanted == there.partition("@")[0])


class GoNoGo(Frozen):
    """What is asked before anything is broken."""

    guards: bool = True
    """Whether the guards of each experiment of the agenda are asked; default true."""
    steady_state: bool = True
    """Whether one reading of each measure of each experiment must be inside its tolerance for the baseline. Measures of
    an experiment's own load are left to its baseline. Default true."""
    alerts: tuple[str, ...] = ()
    """Alerts by label, `severity=critical`, that may not fire; beside those of the environment's refuseWhileFiring."""
    incidents: bool = True
    """Whether an open incident of this environment's class in the register forbids it; default true."""
    present: tuple[Role, ...] = (Role.FACILITATOR, Role.ON_CALL)
    """Roles of which somebody must be there, where they are given to anybody: facilitator, scribe, on-call, observers;
    default: facilitator and on-call."""
    ask: tuple[str, ...] = ()
    """Questions to those in the room, each answered with yes: `Does support know?`"""


class AgendaItem(Frozen):
    """One item of the agenda: an experiment, or a pause."""

    experiment: str | None = None
    """Name or path of the experiment. One with a matrix is an item for each of its combinations."""
    with_: JsonObject = {}
    """Values of the experiment's parameters; one that its matrix has is not varied."""
    pause: Duration | None = None
    """How long nothing is done; the facilitator may go on earlier, or later."""
    title: str = ""
    """What it is called; default: the experiment's title. Of a surprise it is shown when it is over."""
    briefing: str = ""
    """What the facilitator says before it begins. Of a surprise only the facilitator sees it."""
    questions: tuple[str, ...] = ()
    """What is asked afterwards; the answers stand in the report."""
    blind: bool = False
    """Whether it is a surprise: nobody but the facilitator is shown what it is until it is over. Default false."""

    @model_validator(mode="after")
    def _one_of_two(self) -> AgendaItem:
        if (self.experiment is None) == (self.pause is None):
            raise ValueError("expected one of experiment and pause")
        if self.pause is not None and (self.blind or self.questions or self.with_):
            raise ValueError("a pause has no questions and no parameters, and is no surprise")
        return self


class StopWhen(Frozen):
    """What ends the game day before its agenda does. An undo that failed always does."""

    broken: bool = False
    """A hypothesis broke; default false: that is what game days are for."""
    aborted: bool = False
    """An experiment reached one of its abort limits; default false."""
    incident: bool = True
    """An effect left what was meant to be hit; default true."""
    firing: tuple[str, ...] = ()
    """Alerts by label, `severity=critical`, that fire after an experiment has recovered."""
    after: Duration | None = Field(default=None, gt=0)
    """Nothing new is begun so long after the go; default: no limit."""


class Communications(Frozen):
    """What is said to whom."""

    before: str = ""
    """Told when the game day goes: what will happen, and whom to ask."""
    during: str = ""
    """Told when each experiment begins, before its title. Of a surprise only this is told. Empty: nothing is."""
    after: str = ""
    """Told when it is over, before what was found."""
    notify: tuple[Call, ...] = ()
    """Who is told, a notifier each; beside those of the environment's `notify` whose `events` name game-day and
    game-day-over. What pages people cannot be among them."""
    silence: Silence | None = None
    """Alerts that Alertmanager keeps from people for the whole game day; default: none, as being alerted is part of
    it."""


class GameDaySpec(Frozen):
    """`spec` of a GameDay document."""

    title: str
    """What it is about, in a sentence."""
    environment: str
    """Name or path of the environment; overrides those of the experiments."""
    date: str | None = None
    """When it is held, `2026-12-01T10:00`, in `timeZone`; or `schedule`."""
    schedule: str | None = None
    """When it is held again and again, as in cron: `0 10 * * 2`; or `date`."""
    time_zone: str = "UTC"
    """Of `date` and `schedule`, `Europe/Berlin`; default UTC."""
    lasts: Duration = Field(default=7200.0, gt=0)
    """How long it is meant to take; default 2h."""
    roles: Roles = Roles()
    """Who does what."""
    go_no_go: GoNoGo = GoNoGo()
    """What is asked before anything is broken."""
    communications: Communications = Communications()
    """What is said to whom."""
    agenda: tuple[AgendaItem, ...] = Field(min_length=1)
    """Experiments and pauses, in their order."""
    stop_when: StopWhen = StopWhen()
    """What ends it before its agenda does."""

    @field_validator("date")
    @classmethod
    def _a_date(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"expected {_DATE}, found {value!r}") from None
        if "T" not in value and " " not in value:
            raise ValueError(f"expected {_DATE}, found {value!r}")
        if found.tzinfo is not None:
            raise ValueError(f"expected {_DATE}, without an offset: timeZone says that")
        return value

    @field_validator("schedule")
    @classmethod
    def _like_cron(cls, value: str | None) -> str | None:
        if value is not None and _CRON.fullmatch(value) is None:
            raise ValueError(f"expected five fields as in cron, such as `0 10 * * 2`, found {value!r}")
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"unknown time zone {value!r}, expected one such as Europe/Berlin") from None
        return value

    @model_validator(mode="after")
    def _one_time(self) -> GameDaySpec:
        if self.date is not None and self.schedule is not None:
            raise ValueError("expected one of date and schedule")
        return self

    @property
    def when(self) -> str:
        """When it is held, for people; empty: nobody said so."""
        if self.date is not None:
            return f"{self.date.replace('T', ' ')} {self.time_zone}"
        return f"as cron `{self.schedule}` says, {self.time_zone}" if self.schedule is not None else ""


class GameDay(Frozen):
    """A GameDay document."""

    api_version: Literal["chaosrunner.dev/v1"]
    kind: Literal["GameDay"]
    metadata: Metadata
    spec: GameDaySpec

    @property
    def name(self) -> str:
        """`metadata.name`."""
        return self.metadata.name
