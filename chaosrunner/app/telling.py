"""Tells people and incident tools what is new, through the outbox: after everything is undone and written down, for a
moment only. What could not be told is told by the next command. Nothing here changes a verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from chaosrunner import catalog
from chaosrunner.app.desk import Desk
from chaosrunner.engine.leash import Leash
from chaosrunner.errors import ChaosrunnerError, NotAccepted, NotPossibleNow, OutcomeUnknown, Patience, UsageError
from chaosrunner.model.environment import Environment
from chaosrunner.model.news import Notice, Telling
from chaosrunner.ports import Messenger, Notifier, ProbeContext
from chaosrunner.records.light import dataclass
from chaosrunner.register.near_misses import Register
from chaosrunner.secrets import without_secrets
from chaosrunner.store.outbox import FIRST_PAUSE, Fate, Outbox, Waiting, outbox_exists

TAKES = 15.0
"""Seconds that one receiver has for one notice, its retries included."""
MARKS_PAUSE = 2.0
"""Seconds between the first two attempts at a mark: the run goes on, and has more to mark."""
WITHIN = 10.0
"""Seconds that telling everybody may hold up the end of a command."""


@dataclass(frozen=True)
class Receiver:
    """One entry of `notify:` that is told news."""

    name: str
    """`shop/slack`; of several of one kind the later ones are numbered."""
    messenger: Messenger[Telling]
    first_pause: float = FIRST_PAUSE

    def wants(self, notice: Notice, before: Notice | None) -> bool:
        """Whether it is to be told. `before`: what it was last told of the same near miss."""
        params = self.messenger.params
        if notice.news not in params.events or notice.news in self.messenger.cannot_tell:
            return False
        if notice.over:  # good news only for those who know of the bad
            return before is not None and not before.over
        return notice.priority is None or notice.priority.value <= params.at_least.value


@dataclass(frozen=True)
class Marker:
    """One entry of `notify:` that marks what happens while it happens, or later if it must be."""

    name: str
    messenger: Notifier[Any]
    first_pause: float = MARKS_PAUSE


def markers_of(environment: Environment, context: ProbeContext) -> list[Marker]:
    """Those that the environment names, in its order. Raises `PluginDefect` for a notifier that breaks its contract."""
    found: dict[str, Marker] = {}
    for call in environment.spec.notify:
        plugin: type[Notifier[Any]] = catalog.find("notifiers", call.kind)
        if issubclass(plugin, Messenger):
            continue  # told after the run
        name = _numbered(f"{environment.name}/{call.kind}", found)
        found[name] = Marker(name, plugin(plugin.Params.model_validate(call.with_), context))
    return list(found.values())


def _numbered(first: str, known: Iterable[str]) -> str:
    same = sum(name.partition("#")[0] == first for name in known)
    return f"{first}#{same + 1}" if same else first


def receivers_of(environment: Environment, folder: Path, desk: Desk) -> list[Receiver]:
    """Those that the environment names, in its order. Raises `PluginDefect` for a notifier that breaks its contract."""
    context = ProbeContext(desk.clock, desk.http, folder, environment=environment, state=desk.state)
    found: dict[str, Receiver] = {}
    for call in environment.spec.notify:
        plugin = catalog.find("notifiers", call.kind)
        if not issubclass(plugin, Messenger):
            continue
        kind: type[Messenger[Any]] = plugin
        name = _numbered(f"{environment.name}/{call.kind}", found)
        found[name] = Receiver(name, kind(kind.Params.model_validate(call.with_), context))
    return list(found.values())


def post(notices: Iterable[Notice], receivers: Sequence[Receiver], desk: Desk, *, reword: bool = True) -> None:
    """Keep each notice for those who want it; that it cannot be kept is told. `reword`: one that waits is reworded."""
    if not receivers:
        return
    outbox = Outbox(desk.state, desk.clock)
    try:
        for notice in notices:
            for receiver in receivers:
                last = outbox.last(receiver.name, notice.key)
                if receiver.wants(notice, Notice.model_validate(last) if last else None):
                    event = notice.model_copy(update={"text": without_secrets(notice.text)})
                    outbox.put(receiver.name, notice.id, notice.key, event.as_json(), reword=reword)
    except NotPossibleNow as error:
        desk.tell(f"some news is told to nobody: {error}")


def post_closings(register: Register, receivers: Sequence[Receiver], desk: Desk) -> None:
    """Keep, for those who believe that a near miss is open, that a person closed it meanwhile."""
    if not receivers or not outbox_exists(desk.state):
        return
    from chaosrunner.stages.news import of_closing

    outbox = Outbox(desk.state, desk.clock)
    for receiver in receivers:
        for event in outbox.open_for(receiver.name):
            known = Notice.model_validate(event)
            if not known.near_miss or known.over:
                continue
            with suppress(UsageError):  # another register's: not ours to say
                near_miss = register.get(known.near_miss)
                if near_miss.closed:
                    post([of_closing(near_miss, desk.clock.now())], [receiver], desk)


async def deliver(receivers: Sequence[Receiver | Marker], desk: Desk, within: float = WITHIN) -> int:
    """Tell everybody what waits for them, all at once, each in order; how many notices were told.

    Ends after `within` seconds; what is left then waits for the next command. Raises nothing that a receiver raises.
    """
    if not receivers or not outbox_exists(desk.state):
        return 0
    outbox, leash, told = Outbox(desk.state, desk.clock), Leash(), dict.fromkeys((each.name for each in receivers), 0)
    work = [asyncio.ensure_future(tell_all(each, outbox, leash, desk, told)) for each in receivers]
    _, late = await asyncio.wait(work, timeout=within)
    for task in late:
        task.cancel()
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, ChaosrunnerError):
            desk.tell(f"some news waits: {outcome}")
    if late:
        desk.tell(
            f"telling took longer than {within:g} s: the rest is told by the next command, or `chaosrunner notify`"
        )
    await leash.end(0.1)
    return sum(told.values())


async def tell_all(receiver: Receiver | Marker, outbox: Outbox, leash: Leash, desk: Desk, told: dict[str, int]) -> None:
    """Tell one what waits for it, in order, until it cannot be told more now."""
    while (taken := outbox.take(receiver.name, receiver.messenger.per_minute)) is not None:
        if taken.interrupted and not receiver.messenger.keyed:
            outbox.ended(taken.n, Fate.UNCERTAIN, "whoever was telling it died meanwhile")
            continue
        try:
            asked = await leash.ask(receiver.messenger.send(taken.event), TAKES)
        except asyncio.CancelledError:
            _unheard(outbox, receiver, taken, OutcomeUnknown("there was no more time for an answer"))
            raise
        if asked.error is None:
            outbox.ended(taken.n, Fate.TOLD)
            told[receiver.name] += 1
        elif _unheard(outbox, receiver, taken, asked.error):
            desk.tell(f"{receiver.name} was not told, or not for certain: {without_secrets(asked.trouble)}")
        else:
            desk.tell(f"{receiver.name} is told later: {without_secrets(asked.trouble)}")
            return


def _unheard(outbox: Outbox, receiver: Receiver | Marker, taken: Waiting, error: Exception) -> bool:
    """Write down that it failed; whether that is the end of it."""
    words = without_secrets(str(error) or type(error).__name__)
    sure = isinstance(error, ChaosrunnerError) and not isinstance(error, OutcomeUnknown)
    if not sure and not receiver.messenger.keyed:
        outbox.ended(taken.n, Fate.UNCERTAIN, words)
        return True
    if isinstance(error, NotAccepted):
        outbox.ended(taken.n, Fate.GIVEN_UP, words)
        return True
    after = error.seconds if isinstance(error, Patience) else 0.0
    outbox.again(taken, words, after, receiver.first_pause)
    return False
