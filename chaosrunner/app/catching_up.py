"""What happened to near misses since somebody was last told: from the register's history, so that no command need tell
it, and no runner that died takes it along.

Each receiver is told what happens from the first time that it is named. What was looked at before is looked at again
for a while, as others may have written it late; the outbox tells nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.app.desk import Desk
from chaosrunner.app.telling import Receiver, post, post_closings
from chaosrunner.errors import NotPossibleNow, UsageError
from chaosrunner.model.environment import Environment
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.news import News
from chaosrunner.register.near_misses import Register, Wanted, today
from chaosrunner.stages.history_news import of_history, of_overdue
from chaosrunner.store.outbox import Outbox

OVERLAP = 900.0
"""Seconds by which others' clocks may differ, or their writes be late."""
MOST_OVERDUE = 50
"""Overdue near misses, the most urgent, that are told of at a time."""


def catch_up(register: Register, environment: Environment, receivers: Sequence[Receiver], desk: Desk) -> None:
    """Keep, for those who are to be told, what happened since they were last told, and what is overdue by now."""
    if not receivers:
        return
    register.wake()
    now, outbox = desk.clock.now(), Outbox(desk.state, desk.clock)
    try:
        for receiver in receivers:
            began, until = outbox.followed(receiver.name)
            _happened(register, environment, receiver, desk, max(began, until - OVERLAP))
            outbox.follow(receiver.name, now)
    except NotPossibleNow as error:
        desk.tell(f"some news is told to nobody: {error}")
    _overdue(register, environment, receivers, desk)
    post_closings(register, receivers, desk)


def _happened(register: Register, environment: Environment, receiver: Receiver, desk: Desk, since: float) -> None:
    events = register.events(since)
    if not events:
        return
    known: dict[str, NearMiss] = {}
    for id in dict.fromkeys(event.near_miss for event in events):
        try:
            known[id] = register.get(id)
        except UsageError:  # of a file: it went with a branch
            continue
    runs = {each.run: each for each in register.runs_named(event.run for event in events if event.run)}
    post(of_history(events, known, runs, environment.name), [receiver], desk, reword=False)


def _overdue(register: Register, environment: Environment, receivers: Sequence[Receiver], desk: Desk) -> None:
    if not any(News.OVERDUE in each.messenger.params.events for each in receivers):
        return
    late = Wanted(overdue=today(desk.clock), environment_class=environment.class_name, limit=MOST_OVERDUE)
    found = [each for each in register.list(late) if each.environment == environment.name]
    post((of_overdue(each, desk.clock.now()) for each in found), receivers, desk, reword=False)
