"""Cut connections to a dependency."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration, Ratio, show, write_duration
from chaosrunner.network import ConnectionFault, looks_to_see, share_seen_in
from chaosrunner.ports import LinkSample, NetworkEffect, Parameters, Sighting

LONGEST = 2.0
"""Seconds: a look has 5 s, and must outlast what it waits for."""
MARGIN = 0.25
"""Seconds that a look keeps its connections longer than they should live."""
AT_ONCE = 4
"""Connections of one look at the same time, of which the first goes past the link: a look must not be a load."""
MOST = 30
"""Connections of one look, one group after the other until one is reset."""
LOOK = 2.9
"""Seconds for all groups. A look has 5 s, but people wait for the one after the undo, which must go to its end."""


class Params(Parameters):
    """Which connections, and when."""

    after: Duration = Field(default=0.0, ge=0, le=LONGEST)
    """Each connection is reset so long after it was opened, open ones so long after the fault began; default 0s, at
    once; at most 2s."""
    share: Ratio = Field(default=1.0, gt=0)
    """Of connections, chosen one by one; default 100%. Less than 18% is refused while planning, since seeing it would
    take too many connections; so is more if the connections live long or the other end answers slowly."""


class ConnectionReset(ConnectionFault[Params]):
    """Resets a service's connections to one dependency (TCP RST), open ones too: callers see `connection reset by
    peer` in the middle of what they do.

    At the end new connections live as before. What was reset stays reset; whether a request that was cut off had been
    carried out, nobody can tell.
    """

    fault_class = "dependency-flaky"
    harder = {"share": "more"}
    example = """\
- fault: connection-reset
  target: {service: checkout, to: payments}
  with: {after: 200ms, share: 30%}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        which = "All" if params.share == 1 else f"{show(params.share, 'ratio')} of the"
        when = f"{write_duration(params.after)} after it was opened" if params.after else "as soon as it is opened"
        return f"{which} connections are reset, each {when}; open ones too."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "New connections live as before; those that were reset stay reset."

    def possible(self) -> None:
        if self._most > MOST:
            raise CannotDoHonestly(
                f"seeing {self._share} of the connections reset would take up to {self._most} connections a look, "
                f"which would be a load of its own; at most {MOST} are made: use `share: {share_seen_in(MOST)}` or more"
            )

    async def suits(self) -> None:
        if await self._one_at_a_time():
            raise CannotDoHonestly(
                f"the other end of {self.target.name} serves one connection at a time, so that looking, which keeps "
                f"connections open for {show(self._stays, 's')}, would hold up all others: use `after: 0s`"
            )
        sample = await self._stay(around=False)
        if sample.outcome != "answered":
            raise CannotDoHonestly(
                f"a connection through {self.target.name} that is open for {show(self._stays, 's')} is "
                f"{sample.outcome} already, so that a reset of ours could not be told from it"
            )
        in_time = AT_ONCE * max(1, int(LOOK / sample.seconds)) - 1
        if self._most > in_time:
            shorter = ", or a shorter `after`" if self.params.after else ""
            raise CannotDoHonestly(
                f"one connection takes {show(sample.seconds, 's')} to look at, so that a look has time for {in_time}, "
                f"and {self._share} of them reset could not be seen: use `share: {share_seen_in(in_time)}` or "
                f"more{shorter}"
            )

    async def _one_at_a_time(self) -> bool:
        """Whether others are served only when a connection of ours, open and idle, is done. The one past the link is
        open at once, the other one, which is announced first, comes after it."""
        if not self._stays:
            return False
        ours, other = await asyncio.gather(self._stay(around=True), self.links.sample(self.target))
        answered = ours.outcome == other.outcome == "answered"
        return answered and other.seconds > 0.8 * self._stays and ours.seconds - self._stays < other.seconds / 2

    def effect(self) -> NetworkEffect:
        return NetworkEffect(reset_after=self.params.after, share=self.params.share, seed=self.hold.seed)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Keeps connections of our own open for longer than they should live, through the link and past it, until one
        is reset."""
        around, *through = await asyncio.gather(self._stay(around=True), *self._group(AT_ONCE - 1))
        seen = Counter(sample.outcome for sample in through)
        took = spent = max(sample.seconds for sample in (around, *through))
        while around.outcome == "answered" and not seen["reset"] and seen.total() < self._most and spent + took <= LOOK:
            through = await asyncio.gather(*self._group(AT_ONCE))
            seen.update(sample.outcome for sample in through)
            took = max(sample.seconds for sample in through)
            spent += took
        if around.outcome != "answered":
            return Sighting(False, f"nothing can be said: the other end itself is {around.outcome}")
        words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(seen.items()))
        words = f"of {seen.total()} connections through the link: {words}; past it answered"
        return Sighting(seen["reset"] > 0, words)

    def _group(self, most: int) -> list[Coroutine[Any, Any, LinkSample]]:
        return [self._stay(around=False) for _ in range(min(most, self._most))]

    @property
    def _stays(self) -> float:
        return self.params.after + MARGIN if self.params.after else 0.0

    @property
    def _most(self) -> int:
        """Connections of one look."""
        return looks_to_see(self.params.share)

    @property
    def _share(self) -> str:
        return show(self.params.share, "ratio")

    async def _stay(self, *, around: bool) -> LinkSample:
        return await self.links.sample(self.target, stay=self._stays, around=around)
