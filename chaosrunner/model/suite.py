"""A suite: experiments that are run together, by a gate or on a schedule."""

from __future__ import annotations

from typing import Any, Literal

from chaosrunner.model.experiment import Metadata
from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.gate_policy import GatePolicy
from chaosrunner.model.marks import Field, JsonValue, field_validator, model_validator
from chaosrunner.model.quantities import Duration

Matrix = dict[str, tuple[JsonValue, ...]]
"""Values by parameter; each combination is a run."""


class SuiteEntry(Frozen):
    """One or several experiments of a suite: by name or path, or all of a folder, or all that have labels."""

    experiment: str | None = None
    """Its name, or the path of its file. An entry that is just a text is this."""
    folder: str | None = None
    """All experiments of the files in this folder (not of those below it), from the suite's file."""
    labels: dict[str, str] = {}
    """All experiments that have all of these labels: of `folder`, or of where names are looked for."""
    environment: str | None = None
    """Instead of the experiment's own and the suite's."""
    with_: JsonObject = {}
    """Values of the experiments' parameters."""
    matrix: Matrix = {}
    """Several values of parameters: each combination is a run of its own."""
    after: tuple[str, ...] = ()
    """Names of experiments of this suite that must be over before these are started."""
    retries: int | None = Field(default=None, ge=0, le=5)
    """Instead of the suite's."""

    @model_validator(mode="before")
    @classmethod
    def _just_named(cls, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | list):
            forms = "the name or path of an experiment, or {experiment: NAME, …}, {folder: PATH} or {labels: {…}}"
            raise ValueError(f"expected {forms}, found {value!r}")
        return {"experiment": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_way(self) -> SuiteEntry:
        several = self.folder is not None or bool(self.labels)
        if (self.experiment is not None) == several:
            raise ValueError("expected `experiment`, or `folder`, `labels` or both of these")
        if empty := [name for name, values in self.matrix.items() if not values]:
            raise ValueError(f"matrix: {empty[0]} has no values, expected at least one")
        return self


class SuiteSpec(Frozen):
    """`spec` of a Suite document."""

    title: str
    """What this suite is to show, as a sentence."""
    description: str = ""
    """Why these experiments."""
    environment: str | None = None
    """Name or path of the environment of all experiments; default: each one's own. `-e` overrides it."""
    experiments: tuple[SuiteEntry, ...] = Field(min_length=1)
    """What is run. What several entries name is run once, where its parameters are the same."""
    with_: JsonObject = {}
    """Values of parameters, for those experiments that have them."""
    matrix: Matrix = {}
    """Several values of parameters, for those experiments that have them."""
    order: Literal["listed", "longest-first"] = "listed"
    """`listed`: of two experiments that overlap, the earlier one is started first; `longest-first`: those that take
    longest first, which takes the least time with `parallel`. Default listed."""
    parallel: int = Field(default=1, ge=1, le=100)
    """How many run at the same time, at most: only such whose blast radii do not overlap. Default 1."""
    budget: Duration | None = Field(default=None, gt=0)
    """How long all of it may take. Nothing is started that would not be over by then; what still runs then is halted
    and taken back. Default: no limit."""
    retries: int = Field(default=0, ge=0, le=5)
    """How often an inconclusive or unsteady experiment is tried again; what an attempt found stays found. Default 0."""
    stop_on_failure: bool = False
    """Whether nothing more is started once a gap was found; what runs then is finished. Default false."""
    gate: GatePolicy = GatePolicy()
    """What `chaosrunner gate` answers by."""
    schedule: str | None = None
    """When `chaosrunner suite schedule` has it run again and again, as in cron: `0 10 * * 1-5`; default: never."""
    time_zone: str = "UTC"
    """Of `schedule`, `Europe/Berlin`; default UTC."""

    @field_validator("schedule")
    @classmethod
    def _like_cron(cls, value: str | None) -> str | None:
        if value is not None:
            from chaosrunner.model.cron import parse_cron

            parse_cron(value)
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        from chaosrunner.model.cron import zone_of

        zone_of(value)
        return value


class Suite(Frozen):
    """A Suite document."""

    api_version: Literal["chaosrunner.dev/v1"]
    kind: Literal["Suite"]
    metadata: Metadata
    spec: SuiteSpec
