"""What all runs and near misses together say: the failure-mode-and-effects sheet, and the case of one near miss."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from chaosrunner.errors import ChaosrunnerError
from chaosrunner.model.environment import Environment
from chaosrunner.model.fmea import FmeaRow, sheet
from chaosrunner.model.near_miss import RunFacts
from chaosrunner.register.near_misses import Record, Register, Wanted
from chaosrunner.reports.review import Case
from chaosrunner.stages.register import facts_of
from chaosrunner.stages.report import review
from chaosrunner.store.runs import Runs


def fmea_rows(
    register: Register | None, state: Path, service: str | None = None, environment: Environment | None = None
) -> list[FmeaRow]:
    """The sheet of all services, or of one. Runs that are in no register yet are read from their journals.

    An environment adds the services that it names: those that nobody tried show as never tried.
    """
    near_misses = register.list(Wanted(closed=True, service=service)) if register else []
    known = list(register.runs()) if register else []
    runs = sorted([*known, *runs_of(state, {each.run for each in known})], key=lambda each: each.ended)
    if service is not None:
        runs = [each for each in runs if each.service == service]
    named = _services(environment) if environment and service is None else [service] if service else []
    return sheet(near_misses, runs, named)


def runs_of(state: Path, besides: Iterable[str], last: int | None = None) -> list[RunFacts]:
    """What the journals of a state folder say of the runs that have ended (or of its `last` so many), but for those
    named. A journal that cannot be read is passed over: it says nothing of what was tried."""
    known, runs, found = set(besides), Runs(state), []
    for run in runs.list()[:last]:
        if run not in known and (facts := _facts(runs.journal(run))) is not None:
            found.append(facts)
    return found


def _facts(journal: Path) -> RunFacts | None:
    try:
        seen = review(journal)
        account = seen.account
        return facts_of(seen.verdict, account.plan, account.began_at + account.seconds) if account.ended else None
    except ChaosrunnerError:
        return None


def _services(environment: Environment) -> list[str]:
    services = environment.spec.platform.with_.get("services")
    return sorted(services) if isinstance(services, dict) else []


def case_of(record: Record, state: Path) -> Case:
    """Everything about one near miss, with the account of the last run that showed it, where its journal is here."""
    near_miss = record.near_miss
    account = None
    journal = Runs(state).journal(near_miss.last_run)
    if journal.is_file():
        try:
            account = review(journal).account
        except ChaosrunnerError:
            account = None  # the review is written all the same, from what the register keeps
    return Case(near_miss, record.occurrences, record.passes, record.history, account)
