"""Waivers from a file beside the code: each given once, what is over or refused is told, and hinders no other."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from chaosrunner.clock import SystemClock
from chaosrunner.errors import FileProblems
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import day_of
from chaosrunner.model.words import RejectedAs, State, WaivedAs
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register
from chaosrunner.stages.waiving import Fate, Waived, read_waivers, waive
from tests.near_misses.test_commands import called, state
from tests.near_misses.world import DAY, START, SetClock, facts, finding, gap

__all__ = ["state"]

UNTIL = (day_of(START) + timedelta(days=20)).isoformat()
ONE = f"""
# because the new one comes in spring
- nearMiss: NM-2026-0001
  until: {UNTIL}
  acceptedBy: bob
  requestedBy: ana
  reason: replaced in spring
  as: planned-replacement
  controls: [a daily look]
  while: [page-is-shown]
"""


class Desk:
    """A register with three near misses, and files of waivers."""

    def __init__(self, folder: Path) -> None:
        self.clock = SetClock()
        self.register: Register = open_register(folder, self.clock)
        for service in ("checkout", "cart", "search"):
            run = facts(f"run-{service}", service=service)
            self.register.record(run, [finding(gap(service=service))])

    def read(self, text: str, *, only_look: bool = False) -> list[Waived]:
        waivers = read_waivers(text.encode(), "waivers.yaml")
        return waive(self.register, waivers, self.clock, only_look=only_look)

    def fates(self, text: str) -> list[Fate]:
        return [each.fate for each in self.read(text)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "state")


def test_a_waiver_of_a_file_is_given_with_all_that_it_says_and_once(desk: Desk) -> None:
    assert desk.fates(ONE) == [Fate.WAIVED]
    near_miss = desk.register.get("1")
    waiver = near_miss.waiver
    assert near_miss.state is State.WAIVED and waiver is not None
    assert (waiver.accepted_by, waiver.requested_by, waiver.reason) == ("bob", "ana", "replaced in spring")
    assert (waiver.until.isoformat(), waiver.justification) == (UNTIL, WaivedAs.PLANNED_REPLACEMENT)
    assert (waiver.controls, waiver.conditions) == (("a daily look",), ("page-is-shown",))
    history = desk.register.show("1").history
    assert desk.fates(ONE) == [Fate.STANDS]
    assert desk.register.show("1").history == history
    assert desk.fates(ONE.replace("daily", "hourly")) == [Fate.WAIVED]
    assert desk.register.get("1").waivers == 2


def test_one_that_is_over_is_told_until_somebody_decides_anew(desk: Desk) -> None:
    desk.read(ONE)
    desk.clock.at += 21 * DAY
    (done,) = desk.read(ONE)
    assert done.fate is Fate.EXPIRED and done.fate.wrong
    assert done.words == f"it ended on {UNTIL}, and NM-2026-0001 is open: decide anew"
    assert desk.register.get("1").state is State.OPEN
    later = (day_of(desk.clock.at) + timedelta(days=9)).isoformat()
    assert desk.fates(ONE.replace(UNTIL, later)) == [Fate.WAIVED]


def test_what_is_refused_or_needless_is_told_and_hinders_no_other(desk: Desk) -> None:
    gone = Change(
        to=State.REJECTED,
        actor="ana",
        at=START + 9,
        reason="none",
        accepted_by="bob",
        rejected_as=RejectedAs.OUT_OF_SCOPE,
    )
    desk.register.change("3", gone)
    fingerprint = desk.register.get("2").fingerprint
    text = "".join(
        [
            ONE.replace("acceptedBy: bob", "acceptedBy: team-checkout"),
            ONE.replace("acceptedBy: bob", "acceptedBy: ana"),
            ONE.replace(UNTIL, "2029-01-01"),
            ONE.replace("0001", "0099"),
            ONE.replace("nearMiss: NM-2026-0001", "fingerprint: sha256:none"),
            ONE.replace("0001", "0003"),
            ONE.replace("nearMiss: NM-2026-0001", f"fingerprint: {fingerprint}"),
        ]
    )
    done = desk.read(text)
    assert [each.fate for each in done] == [Fate.REFUSED] * 5 + [Fate.NEEDLESS, Fate.WAIVED]
    assert [each.where for each in done][:2] == ["waivers.yaml:3", "waivers.yaml:13"]
    assert "belongs to team-checkout" in done[0].words and "asks for the waiver" in done[1].words
    assert "there is no near miss" in done[3].words and "fingerprint sha256:none" in done[4].words
    assert "take the waiver out of the file" in done[5].words
    assert [desk.register.get(id).state for id in "12"] == [State.OPEN, State.WAIVED]


def test_looking_changes_nothing(desk: Desk) -> None:
    before = list(desk.register.export())
    done = desk.read(ONE + ONE.replace("acceptedBy: bob", "acceptedBy: ana"), only_look=True)
    assert [each.fate for each in done] == [Fate.WAIVED, Fate.REFUSED]
    assert list(desk.register.export()) == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("nearMiss: NM-2026-0001", "fingerprint: ''", "expected nearMiss or fingerprint"),
        (UNTIL, "soon", "`until` is 'soon', expected a date such as 2027-01-31"),
        ("as: planned-replacement", "as: no-time", "no-time"),
        ("acceptedBy: bob", "acceptedBy: ''", "acceptedBy"),
        ("reason:", "reazon:", "reazon"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(old: str, new: str, said: str) -> None:
    with pytest.raises(FileProblems, match=said) as error:
        read_waivers(ONE.replace(old, new).encode(), "waivers.yaml")
    assert "waivers.yaml:" in str(error.value)


def test_the_command_tells_each_and_says_by_its_exit_code_that_the_file_must_change(state: Path) -> None:
    soon = (day_of(SystemClock().now()) + timedelta(days=9)).isoformat()
    file = state.parent / "waivers.yaml"
    file.write_text(ONE.replace(UNTIL, soon))
    looked = called(state, "near-miss", "waive", "--from", str(file), "--check")
    assert f"NM-2026-0001 would be waived: until {soon}, accepted by bob" in looked.stdout and looked.exit_code == 0
    done = called(state, "near-miss", "waive", "--from", str(file), "--json")
    assert [each["fate"] for each in json.loads(done.stdout)] == ["waived"] and done.exit_code == 0
    file.write_text(ONE.replace("0001", "0002").replace(UNTIL, "2026-01-01"))
    over = called(state, "near-miss", "waive", "--from", str(file))
    assert "NM-2026-0002 expired: it ended on 2026-01-01" in over.stdout and over.exit_code == 1
    file.write_text("- {}")
    wrong = called(state, "near-miss", "waive", "--from", str(file)).exception
    assert isinstance(wrong, FileProblems) and wrong.exit_code == 2
