"""Take a dependency away."""

from __future__ import annotations

import asyncio
import math
import zlib
from collections import Counter
from typing import Literal

from pydantic import Field, model_validator

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.quantities import Ratio, show
from chaosrunner.ports import Fault, Links, NetworkEffect, Parameters, Sighting

_SIGN: dict[str, Literal["refused", "reset", "silent"]] = {"refuse": "refused", "reset": "reset", "hang": "silent"}
"""What a client sees of each mode."""


class Params(Parameters):
    """In which way it is gone."""

    mode: Literal["refuse", "hang", "reset"] = "refuse"
    """refuse: as if its process were down; hang: as if its machine were: connections are accepted and never answered;
    reset: as if something between cut every connection; default refuse."""
    share: Ratio = Field(default=1.0, ge=0.1)
    """Of connections, chosen one by one; default 100%, at least 10%: less could not be seen. Not with refuse."""

    @model_validator(mode="after")
    def _possible(self) -> Params:
        if self.mode == "refuse" and self.share < 1:
            raise ValueError(
                "a share of connections cannot be refused, since a port is open or closed for all: use mode: reset"
            )
        return self


class DependencyLoss(Fault[Params]):
    """Takes one dependency away from one service, and from nobody else: new connections are refused, never answered or
    reset. Open ones are reset with refuse and reset; with hang nothing more passes on them.

    At the end new connections reach the dependency again; what hung goes on, what was reset stays reset. Whether a
    request that was cut off had been carried out, nobody can tell.
    """

    platforms = frozenset({"local"})
    acts_on = frozenset({"link"})
    fault_class = "dependency-gone"
    example = """\
- fault: dependency-loss
  target: {service: checkout, to: payments}
  with: {mode: hang}
  for: 30s
"""

    @classmethod
    def does(cls, params: Params) -> str:
        which = "Connections" if params.share == 1 else f"{show(params.share, 'ratio')} of the connections"
        what = {"refuse": "are refused", "hang": "are accepted and never answered", "reset": "are reset"}
        return f"{which} {what[params.mode]}; open ones {'hang' if params.mode == 'hang' else 'are reset'} too."

    @classmethod
    def undoes(cls, params: Params) -> str:
        rest = "what hung goes on" if params.mode == "hang" else "what was reset stays reset"
        return f"New connections reach the other end again; {rest}."

    @property
    def _links(self) -> Links:
        return self.platform.ability(Links)

    async def check(self) -> None:
        outcome = (await self._links.sample(self.target)).outcome
        if outcome != "answered":
            raise CannotDoHonestly(
                f"a connection through {self.target.name} is {outcome} already, so that its loss could not be seen; "
                f"its `to` must run and answer, or end connections that are shut down"
            )

    async def prepare(self) -> JsonObject:
        return {}

    async def inject(self) -> None:
        effect = NetworkEffect(loss=self.params.mode, share=self.params.share, seed=_seed(self.hold.id))
        await self._links.shape(self.target, effect, self.hold)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Connects through the link, and past it: an end that is gone itself is not our doing."""
        looks = [self._links.sample(self.target) for _ in range(self._count)]
        around, *through = await asyncio.gather(self._links.sample(self.target, around=True), *looks)
        if around.outcome != "answered":
            return Sighting(False, f"nothing can be said: the other end itself is {around.outcome}")
        seen = Counter(sample.outcome for sample in through)
        words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(seen.items()))
        hit = seen[_SIGN[self.params.mode]]
        enough = hit == len(through) if self.params.share == 1 else hit > 0
        return Sighting(enough, f"of {len(through)} connections through the link: {words}; past it answered")

    @property
    def _count(self) -> int:
        """So many that none is chosen, by chance, in three looks of a thousand; a bad look is looked at twice."""
        return 2 if self.params.share == 1 else math.ceil(math.log(0.003) / math.log(1 - self.params.share))

    async def touched(self) -> int | None:
        return await self._links.met(self.target, self.hold)

    async def undo(self, prepared: JsonObject) -> None:
        await self._links.release(self.target, self.hold)

    def by_hand(self, prepared: JsonObject) -> tuple[str, ...]:
        return (f"chaosrunner heal {self.hold.run}",)


def _seed(hold: str) -> int:
    """The same for the same step of another run: `RUN.STEP.N` without the run."""
    return zlib.crc32(hold.partition(".")[2].encode())
