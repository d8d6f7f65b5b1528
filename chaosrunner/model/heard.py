"""What is told about a system while a run breaks it on purpose: evidence of that run, and no draft near miss. Pure."""

from __future__ import annotations

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.near_miss import RunFacts
from chaosrunner.model.plan import Plan
from chaosrunner.model.report import Report

QUIET = 300.0
"""Seconds after a run's end in which alerts may still be its doing, at least: they are gathered for minutes before
anybody is told, and rules look back as far."""


CLOCKS = 5.0
"""Seconds by which the time at which something began may be told too early: in whole seconds, by another clock."""


class UnderWay(Frozen):
    """A run that breaks something, or has just ended, as far as others must know of it."""

    run: str
    environment: str
    services: tuple[str, ...]
    """Whose promise it tests, whom it acts on, and who is at the other end of their connections."""
    began: float
    """From when on something may be broken, epoch seconds."""
    until: float
    """When it is over at the latest and the system should have recovered, epoch seconds."""

    def explains(self, report: Report, now: float) -> bool:
        """Whether this run, and nothing else, should have made somebody tell this.

        What began before it, goes on after it (`now`), concerns a service that it left alone, or really hit users is
        none of its doing, or no longer.
        """
        if report.outage or report.environment != self.environment or report.service not in self.services:
            return False
        return self.began - CLOCKS <= (report.at or now) <= self.until and now <= self.until


class Heard(Frozen):
    """One alert, incident or report that a run explains. Never changed."""

    run: str
    at: float
    """When it began, epoch seconds."""
    by: str
    """Who told it: `alertmanager`, …"""
    report: Report
    """What was told."""


def under_way(plan: Plan, run: str, now: float) -> UnderWay:
    """A run that begins now, as far as others must know of it. Nothing is broken before its baseline was seen; and it
    is over at the latest when everything in it took as long as it may, with as much again for the time between."""
    faults = plan.faults
    acting = sum(item.wait for item in plan.method) + sum(each.after + each.lasts for each in faults)
    within = max(plan.baseline.for_, plan.baseline.within or 0.0)
    targets = [target for fault in faults for target in fault.targets]
    touched = [name for target in targets for name in (target.service, target.to) if name]
    return UnderWay(
        run=run,
        environment=plan.environment.name,
        services=tuple(dict.fromkeys((plan.service, *plan.aliases, *touched))),
        began=now + plan.baseline.for_,
        until=now + 2 * (within + acting + plan.recovery.within) + plan.slowest_lag + QUIET,
    )


def ended(facts: RunFacts) -> UnderWay:
    """The same of a run that has ended."""
    touched = [name for fault in facts.conditions.faults for name in (*fault.services, *fault.to)]
    return UnderWay(
        run=facts.run,
        environment=facts.environment,
        services=tuple(dict.fromkeys((facts.service, *facts.aliases, *touched))),
        began=facts.began,
        until=facts.ended + max(QUIET, facts.conditions.recovery_within),
    )
