"""waiving: a file of waivers -> near misses that may wait. The file is the law, and the register follows it: what the
register has of it is left, so that it can be read before every gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from chaosrunner.clock import Clock
from chaosrunner.errors import Refused, UsageError
from chaosrunner.files.listed import listed
from chaosrunner.model.life_cycle import Change, transition
from chaosrunner.model.near_miss import NearMiss, day_of
from chaosrunner.model.waivers import WrittenWaiver
from chaosrunner.model.words import State
from chaosrunner.records.light import dataclass
from chaosrunner.register.near_misses import Register

_DONE_WITH = (State.VERIFIED, State.REJECTED, State.DUPLICATE, State.OBSOLETE, State.FIX_READY)


class Fate(StrEnum):
    """What became of one waiver."""

    WAIVED = "waived"
    STANDS = "stands"
    """It was given before."""
    NEEDLESS = "needless"
    """Nothing is left to waive."""
    EXPIRED = "expired"
    REFUSED = "refused"

    @property
    def wrong(self) -> bool:
        """Whether somebody must change the file."""
        return self in (Fate.EXPIRED, Fate.REFUSED)


@dataclass(frozen=True, slots=True)
class Waived:
    """One waiver of a file, and what became of it."""

    where: str
    """`waivers.yaml:3`."""
    waiver: WrittenWaiver
    fate: Fate
    near_miss: str
    """Its id, as far as it is known."""
    words: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A waiver, and where it stands."""

    where: str
    waiver: WrittenWaiver


def read_waivers(data: bytes, file: str) -> tuple[Placed, ...]:
    """The waivers of a YAML or JSON file, which is a list. Raises `FileProblems` with every mistake and its place."""
    return tuple(Placed(f"{spot.file}:{spot.node.place.line}", one) for spot, one in listed(WrittenWaiver, data, file))


def waive(register: Register, waivers: Sequence[Placed], clock: Clock, *, only_look: bool = False) -> list[Waived]:
    """Give each waiver that is not given yet, and say what became of each. One that is refused hinders no other.

    `only_look`: nothing is changed; what would be refused is told all the same.
    """
    if not only_look:
        register.wake()
    return [_one(register, placed, clock, only_look=only_look) for placed in waivers]


def _one(register: Register, placed: Placed, clock: Clock, *, only_look: bool) -> Waived:
    waiver = placed.waiver
    named = waiver.near_miss or waiver.fingerprint

    def fate(which: Fate, words: str, id: str = named) -> Waived:
        return Waived(placed.where, waiver, which, id, words)

    try:
        near_miss = _meant(register, waiver)
    except UsageError as error:
        return fate(Fate.REFUSED, str(error))
    if near_miss.state in _DONE_WITH:
        return fate(Fate.NEEDLESS, f"it is {near_miss.state}: take the waiver out of the file", near_miss.id)
    if waiver.ends < day_of(clock.now()):
        said = f"it ended on {waiver.until}, and {near_miss.id} is {near_miss.state}: decide anew"
        return fate(Fate.EXPIRED, said, near_miss.id)
    if waiver.given_to(near_miss):
        return fate(Fate.STANDS, f"until {waiver.until}, accepted by {waiver.accepted_by}", near_miss.id)
    change = Change(
        to=State.WAIVED,
        actor=waiver.requested_by,
        at=clock.now(),
        reason=waiver.reason,
        accepted_by=waiver.accepted_by,
        until=waiver.ends,
        waived_as=waiver.as_,
        controls=waiver.controls,
        conditions=waiver.while_,
        restart_due=waiver.restart_due,
    )
    try:
        if only_look:
            transition(near_miss, change)
        else:
            register.change(near_miss.id, change)
    except (UsageError, Refused) as error:
        return fate(Fate.REFUSED, str(error), near_miss.id)
    return fate(Fate.WAIVED, f"until {waiver.until}, accepted by {waiver.accepted_by}", near_miss.id)


def _meant(register: Register, waiver: WrittenWaiver) -> NearMiss:
    if waiver.near_miss:
        return register.get(waiver.near_miss)
    found = register.of_fingerprint(waiver.fingerprint)
    if found is None:
        raise UsageError(f"there is no near miss with the fingerprint {waiver.fingerprint}")
    return found
