"""Everything beside the plan that a run takes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol

from chaosrunner.clock import Clock
from chaosrunner.engine.alerting import AlertSource
from chaosrunner.engine.following import Joining
from chaosrunner.engine.means import Limits
from chaosrunner.engine.method import FindFault
from chaosrunner.engine.recorder import Observer
from chaosrunner.engine.silencing import Silences
from chaosrunner.engine.stop import Stop
from chaosrunner.model.experiment import TrafficSpec
from chaosrunner.model.journal import Noted, TrafficSample
from chaosrunner.model.plan import GuardAnswer, PlannedMeasure
from chaosrunner.model.target import Target
from chaosrunner.ports import Platform, Probe, TrafficSource
from chaosrunner.records.light import dataclass
from chaosrunner.store.journal import Journal
from chaosrunner.store.machine import Machine

__all__ = ["AskAgain", "Load", "Probes", "Setting"]


class Load(TrafficSource, Protocol):
    """The load generator, as the engine drives it."""

    async def start(self) -> None:
        """Begin; raises `NotPossibleNow` if it cannot."""

    async def stop(self) -> None:
        """End; idempotent."""


Probes = Sequence[tuple[PlannedMeasure, Probe[Any]]]
AskAgain = Callable[[], Coroutine[Any, Any, Sequence[GuardAnswer]]]
"""Asks those guards that the environment names under `always`."""


@dataclass(frozen=True)
class Setting:
    """Everything beside the plan that a run takes; made by `app`."""

    folder: Path
    """Where the journal goes."""
    platform: Platform
    machine: Machine
    clock: Clock
    stop: Stop
    find_fault: FindFault
    make_probes: Callable[[TrafficSource | None], Probes]
    make_load: Callable[[TrafficSpec, Callable[[TrafficSample], None]], Load]
    observers: Sequence[Observer] = ()
    halt_file: Path | None = None
    limits: Limits = field(default_factory=Limits)
    make_journal: Callable[[Path, Clock], Journal] = Journal
    ask_again: AskAgain | None = None
    """None: no guard says `always`."""
    may_join: Joining | None = None
    """Asks the guards, and the fault itself, about a target that appears under `follow`; None: nobody is asked."""
    alerts: Sequence[AlertSource] = ()
    """Where alerts are watched; the first one's word counts, unless the file says otherwise."""
    silences: Silences | None = None
    """Where silences are made; None: the environment names no Alertmanager."""
    elsewhere: Callable[[], Sequence[Target]] = tuple
    """Targets of other runs that the same command carries out meanwhile: what becomes of them does not spill over."""
    make_probe: Callable[[PlannedMeasure, TrafficSource | None], Probe[Any]] | None = None
    """For a reading between faults; None: the plan has none."""
    find_probe: Callable[[str], type[Probe[Any]]] | None = None
    notes: Callable[[], Sequence[Noted]] = tuple
    """What people said since it was asked last; asked a few times a second, and must be quick."""
