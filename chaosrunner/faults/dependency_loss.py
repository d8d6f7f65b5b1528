"""Take a dependency away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Ratio, show
from chaosrunner.network import ConnectionFault, looks_to_see, share_seen_in
from chaosrunner.ports import LinkSample, NetworkEffect, Parameters, PodLinks, Sighting

_SIGN: dict[str, Literal["refused", "reset", "silent"]] = {"refuse": "refused", "reset": "reset", "hang": "silent"}
"""What a client sees of each mode."""
AT_ONCE = 2
"""Connections of one look at the same time, and never one past the link beside them: the smallest accept queues have
room for two, and a look must not be a load."""
MOST = 30
"""Connections of one look, one pair after the other until one is hit."""
LONGEST = 1.8
"""Seconds after which no further pair is begun. A look has 5 s: this, a last pair that is silent, and one connection
past the link."""


NO_DNS: Final = "no-dns"
A_NAME = "kubernetes.default.svc"
"""What is looked up where all names are lost: every cluster has it."""


class Params(Parameters):
    """In which way it is gone."""

    mode: Literal["refuse", "hang", "reset", "no-dns"] = "refuse"
    """refuse: as if its process were down; hang: as if its machine were: connections are never answered, where a proxy
    carries them after they were accepted; reset: as if something between cut every connection; no-dns: there is no such
    name (on Kubernetes); default refuse."""
    share: Ratio = Field(default=1.0, gt=0)
    """Of connections, chosen one by one; default 100%. Less than 18% is refused while planning, since seeing it would
    take too many connections; so is more if the other end answers slowly. Not with refuse and no-dns."""

    @model_validator(mode="after")
    def _possible(self) -> Params:
        if self.mode == "refuse" and self.share < 1:
            raise ValueError(
                "a share of connections cannot be refused, since a port is open or closed for all: use mode: reset"
            )
        if self.mode == NO_DNS and self.share < 1:
            raise ValueError("names are lost for all connections: use the fault dns-fault for a share of the questions")
        return self


class DependencyLoss(ConnectionFault[Params]):
    """Takes one dependency away from one service, and from nobody else: new connections are refused, never answered or
    reset. Open ones are reset with refuse and reset; with hang nothing more passes on them. With no-dns its names are
    unknown; connections that are open, and clients that keep an address, notice nothing.

    The dependency is a service of the environment, all its addresses and ports or one of them; on Kubernetes `to` may
    also be a host's name, an address or a network such as 10.20.0.0/16, with a `port`. For a pod without `to` it is
    everything that it connects to.

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
        if params.mode == NO_DNS:
            return "Questions for its names are answered that there is no such name; open connections go on."
        which = "Connections" if params.share == 1 else f"{show(params.share, 'ratio')} of the connections"
        what = {"refuse": "are refused", "hang": "are never answered", "reset": "are reset"}
        return f"{which} {what[params.mode]}; open ones {'hang' if params.mode == 'hang' else 'are reset'} too."

    @classmethod
    def undoes(cls, params: Params) -> str:
        if params.mode == NO_DNS:
            return "Its names are known again; a client that keeps answers may take a second longer."
        rest = "what hung goes on" if params.mode == "hang" else "what was reset stays reset"
        return f"New connections reach the other end again; {rest}."

    def possible(self) -> None:
        if self.params.mode == NO_DNS and not isinstance(self.links, PodLinks):
            raise CannotDoHonestly(f"{self.target.name} is reached by its address, so that no name of it can be lost")
        if self._most > MOST:
            raise CannotDoHonestly(
                f"seeing {self._share} of the connections hit would take up to {self._most} connections a look, which "
                f"would be a load of its own; at most {MOST} are made: use `share: {share_seen_in(MOST)}` or more"
            )

    async def suits(self) -> None:
        if self.params.mode == NO_DNS:
            seen = await self._looked_up(await self._name())
            if seen.get("answer") != "noerror":
                raise CannotDoHonestly(f"{await self._name()} is answered {seen.get('answer')} already")
            return
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
                f"connections, and {self._share} of them hit could not be seen: "
                f"use `share: {share_seen_in(in_time)}` or more"
            )

    def effect(self) -> NetworkEffect:
        assert self.params.mode != NO_DNS
        return NetworkEffect(loss=self.params.mode, share=self.params.share, seed=self.hold.seed)

    async def before(self) -> JsonObject:
        return {"name": await self._name()} if self.params.mode == NO_DNS else {}

    async def inject(self) -> None:
        if self.params.mode != NO_DNS:
            await super().inject()
            return
        asked: JsonObject = {"names": list(await self._names()), "answer": "nxdomain"}
        await self.platform.ability(PodLinks).act(self.target, {"dns": asked, "match": {"way": "egress"}}, self.hold)

    async def _names(self) -> Sequence[str]:
        """Of the dependency; none: all names there are."""
        if self.target.kind != "link":
            return ()
        names = (await self.platform.ability(PodLinks).end_of(self.target)).names
        if not names:
            raise CannotDoHonestly(f"{self.target.to} is reached by its address, so that no name of it can be lost")
        return names

    async def _name(self) -> str:
        return next((name for name in await self._names() if "*" not in name), A_NAME)

    async def _looked_up(self, name: str, *more: str) -> JsonObject:
        return await self.platform.ability(PodLinks).look(self.target, ["dns", name, *more])

    async def _confirm_by_name(self, name: str) -> Sighting:
        through, around = await asyncio.gather(self._looked_up(name), self._looked_up(name, "--around"))
        words = f"{name} is answered {through.get('answer')}, past the fault {around.get('answer')}"
        return Sighting(through.get("answer") == "nxdomain" and around.get("answer") == "noerror", words)

    async def confirm(self, prepared: JsonObject) -> Sighting:
        """Connects through the link, and past it: an end that is gone itself is not our doing. Ends as soon as it is
        sure. With no-dns it asks for the name, and past the fault."""
        if self.params.mode == NO_DNS:
            return await self._confirm_by_name(str(prepared.get("name")))
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
        return max(AT_ONCE, looks_to_see(self.params.share))

    @property
    def _share(self) -> str:
        return show(self.params.share, "ratio")
