"""Cut connections to a dependency."""

from __future__ import annotations

import asyncio
import math
import zlib
from collections import Counter

from pydantic import Field

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.quantities import Duration, Ratio, show, write_duration
from chaosrunner.ports import Fault, Links, LinkSample, NetworkEffect, Parameters, Sighting

LONGEST = 2.0
"""Seconds: a look has 5 s, and must outlast what it waits for."""
MARGIN = 0.3
"""Seconds that a look keeps its connections longer than they should live."""


class Params(Parameters):
    """Which connections, and when."""

    after: Duration = Field(default=0.0, ge=0, le=LONGEST)
    """Each connection is reset so long after it was opened, open ones so long after the fault began; default 0s, at
    once; at most 2s."""
    share: Ratio = Field(default=1.0, ge=0.1)
    """Of connections, chosen one by one; default 100%, at least 10%: less could not be seen."""


class ConnectionReset(Fault[Params]):
    """Resets a service's connections to one dependency (TCP RST), open ones too: callers see `connection reset by
    peer` in the middle of what they do.

    At the end new connections live as before. What was reset stays reset; whether a request that was cut off had been
    carried out, nobody can tell.
    """

    platforms = frozenset({"local"})
    acts_on = frozenset({"link"})
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

    @property
    def _links(self) -> Links:
        return self.platform.ability(Links)

    async def check(self) -> None:
        outcome = (await self._stay(around=False)).outcome
        if outcome != "answered":
            raise CannotDoHonestly(
                f"a connection through {self.target.name} that is open for {show(self._stays, 's')} is {outcome} "
                f"already, so that a reset of ours could not be told from it"
            )

    async def prepare(self) -> JsonObject:
        return {}

    async def inject(self) -> None:
        effect = NetworkEffect(reset_after=self.params.after, share=self.params.share, seed=_seed(self.hold.id))
        await self._links.shape(self.target, effect, self.hold)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Keeps connections of our own open for longer than they should live, through the link and past it."""
        looks = [self._stay(around=False) for _ in range(self._count)]
        around, *through = await asyncio.gather(self._stay(around=True), *looks)
        if around.outcome != "answered":
            return Sighting(False, f"nothing can be said: the other end itself is {around.outcome}")
        seen = Counter(sample.outcome for sample in through)
        words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(seen.items()))
        return Sighting(seen["reset"] > 0, f"of {len(through)} connections through the link: {words}")

    @property
    def _stays(self) -> float:
        return self.params.after + MARGIN if self.params.after else 0.0

    @property
    def _count(self) -> int:
        """So many that none is chosen, by chance, in three looks of a thousand; a bad look is looked at twice."""
        return 2 if self.params.share == 1 else math.ceil(math.log(0.003) / math.log(1 - self.params.share))

    async def _stay(self, *, around: bool) -> LinkSample:
        return await self._links.sample(self.target, stay=self._stays, around=around)

    async def touched(self) -> int | None:
        return await self._links.met(self.target, self.hold)

    async def undo(self, prepared: JsonObject) -> None:
        await self._links.release(self.target, self.hold)

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        return (f"chaosrunner heal {self.hold.run}",)


def _seed(hold: str) -> int:
    """The same for the same step of another run: `RUN.STEP.N` without the run."""
    return zlib.crc32(hold.partition(".")[2].encode())
