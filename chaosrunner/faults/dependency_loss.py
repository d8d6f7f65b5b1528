"""Take a dependency away."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Literal

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Ratio, show
from chaosrunner.network import ConnectionFault
from chaosrunner.ports import LinkSample, NetworkEffect, Parameters, Sighting

_SIGN: dict[str, Literal["refused", "reset", "silent"]] = {"refuse": "refused", "reset": "reset", "hang": "silent"}
"""What a client sees of each mode."""
AT_ONCE = 2
"""Connections of one look at the same time, and never one past the link beside them: the smallest accept queues have
room for two, and a look must not be a load."""
MOST = 30
"""Connections of one look, one pair after the other until one is hit."""
MISSED = 0.003
"""How likely a look meets no connection that is chosen, by chance; a bad look is looked at twice."""
LONGEST = 1.8
"""Seconds after which no further pair is begun. A look has 5 s: this, a last pair that is silent, and one connection
past the link."""


class Params(Parameters):
    """In which way it is gone."""

    mode: Literal["refuse", "hang", "reset"] = "refuse"
    """refuse: as if its process were down; hang: as if its machine were: connections are accepted and never answered;
    reset: as if something between cut every connection; default refuse."""
    share: Ratio = Field(default=1.0, gt=0)
    """Of connections, chosen one by one; default 100%. Less than 18% is refused while planning, since seeing it would
    take too many connections; so is more if the other end answers slowly. Not with refuse."""

    @model_validator(mode="after")
    def _possible(self) -> Params:
        if self.mode == "refuse" and self.share < 1:
            raise ValueError(
                "a share of connections cannot be refused, since a port is open or closed for all: use mode: reset"
            )
        return self


class DependencyLoss(ConnectionFault[Params]):
    """Takes one dependency away from one service, and from nobody else: new connections are refused, never answered or
    reset. Open ones are reset with refuse and reset; with hang nothing more passes on them.

    At the end new connections reach the dependency again; what hung goes on, what was reset stays reset. Whether a
    request that was cut off had been carried out, nobody can tell.
    """

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

    def possible(self) -> None:
        if self._most > MOST:
            raise CannotDoHonestly(
                f"seeing {self._share} of the connections hit would take up to {self._most} connections a look, which "
                f"would be a load of its own; at most {MOST} are made: use `share: {_seen_in(MOST)}` or more"
            )

    async def suits(self) -> None:
        took = []
        for _ in range(2):
            sample = await self.links.sample(self.target)
            if sample.outcome != "answered":
                raise CannotDoHonestly(
                    f"a connection through {self.target.name} is {sample.outcome} already, so that its loss could not "
                    f"be seen; its `to` must run and answer, or end connections that are shut down"
                )
            took.append(sample.seconds)
        in_time = AT_ONCE * (1 + int(LONGEST / min(took)))
        if self._most > in_time:
            raise CannotDoHonestly(
                f"{self.target.name} takes {show(min(took), 's')} to answer, so that a look has time for {in_time} "
                f"connections, and {self._share} of them hit could not be seen: use `share: {_seen_in(in_time)}` or "
                f"more"
            )

    def effect(self) -> NetworkEffect:
        return NetworkEffect(loss=self.params.mode, share=self.params.share, seed=self.hold.seed)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Connects through the link, and past it: an end that is gone itself is not our doing. Ends as soon as it is
        sure."""
        past = await self.links.sample(self.target, around=True)
        if past.outcome != "answered":
            return Sighting(False, f"nothing can be said: the other end itself is {past.outcome}")
        hit, seen = await self._look(past.seconds)
        words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(seen.items()))
        words = f"of {seen.total()} connections through the link: {words}"
        if hit is None:
            return Sighting(False, f"{words}; past it answered")
        if hit.outcome == "silent":
            again = await self.links.sample(self.target, around=True)
            past = again if again.outcome != "answered" or again.seconds > past.seconds else past
        told = f"past it {past.outcome} in {show(past.seconds, 's')}"
        if past.outcome == "answered" and (hit.outcome != "silent" or past.seconds < hit.seconds / 2):
            return Sighting(True, f"{words}; {told}")
        return Sighting(False, f"nothing can be said: {words}, but {told}, so that the other end itself is in trouble")

    async def _look(self, spent: float) -> tuple[LinkSample | None, Counter[str]]:
        """A connection that was hit, if that is what shows the fault, and what became of all."""
        seen: Counter[str] = Counter()
        while seen.total() < self._most and (not seen or spent < LONGEST):
            pair = await asyncio.gather(*(self.links.sample(self.target) for _ in range(AT_ONCE)))
            seen.update(sample.outcome for sample in pair)
            spent += max(sample.seconds for sample in pair)
            hits = [sample for sample in pair if sample.outcome == _SIGN[self.params.mode]]
            if len(hits) == AT_ONCE or (hits and self.params.share < 1):
                return hits[0], seen
        return None, seen

    @property
    def _most(self) -> int:
        """Connections of one look; all are hit if all are to be."""
        share = self.params.share
        return AT_ONCE if share == 1 else max(AT_ONCE, math.ceil(math.log(MISSED) / math.log(1 - share)))

    @property
    def _share(self) -> str:
        return show(self.params.share, "ratio")


def _seen_in(connections: int) -> str:
    """The smallest share, in whole percent, that so many connections show."""
    return f"{math.ceil(100 * (1 - MISSED ** (1 / connections)))}%"
