"""Waivers as a file says them, made to lie beside the code and to be reviewed like code."""

from __future__ import annotations

from datetime import date

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.marks import Field, field_validator, model_validator
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import WaivedAs


class WrittenWaiver(Frozen):
    """One acceptance: of what, by whom, why, until when."""

    near_miss: str = ""
    """Its id (`NM-2026-0042`), or `fingerprint`."""
    fingerprint: str = ""
    """`sha256:…`, the same in every register; or `nearMiss`."""
    until: str
    """The last day: `2027-01-31`."""
    accepted_by: str = Field(min_length=1)
    """Who accepts it: somebody who neither owns it nor asks for it."""
    requested_by: str = Field(min_length=1)
    """Who asks for it."""
    reason: str = Field(min_length=1)
    """Why it may wait."""
    as_: WaivedAs
    """Which kind of reason: `compensating-control`, `planned-replacement`, `accepted-design-limit`,
    `environment-only`."""
    controls: tuple[str, ...] = ()
    """What protects meanwhile."""
    while_: tuple[str, ...] = ()
    """Hypotheses that must hold; a run in which one breaks ends the waiver."""
    restart_due: bool = False
    """Whether the time for the fix begins anew when it ends; default false."""

    @field_validator("until")
    @classmethod
    def _a_date(cls, value: str) -> str:
        try:
            date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"expected a date such as 2027-01-31, found {value!r}") from None
        return value

    @model_validator(mode="after")
    def _one_name(self) -> WrittenWaiver:
        if bool(self.near_miss) == bool(self.fingerprint):
            raise ValueError("expected nearMiss or fingerprint: which one is waived?")
        return self

    @property
    def ends(self) -> date:
        """`until` as a date."""
        return date.fromisoformat(self.until)

    def given_to(self, near_miss: NearMiss) -> bool:
        """Whether this is the waiver that it has."""
        has = near_miss.waiver
        return has is not None and (
            (has.until, has.accepted_by, has.reason, has.justification, has.controls, has.conditions, has.restart_due)
            == (self.ends, self.accepted_by, self.reason, self.as_, self.controls, self.while_, self.restart_due)
        )
