"""Faults on a pod's traffic: the rules, the proxy behind them, and what takes both back.

`Ground` is what all faults of one injector share: the socket to nftables and the door that connections are diverted to.
`Traffic` is one fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

from chaosrunner.injector import nft, sockets
from chaosrunner.injector.calls import Message, RequestRefused
from chaosrunner.injector.divert import Diversion
from chaosrunner.injector.effects import Effect, Shaping
from chaosrunner.injector.matching import Match, Network, message, read_all
from chaosrunner.injector.rules import Rules

__all__ = ["Ground", "Traffic"]

LOOK_UP_EVERY = 5.0
"""Seconds between two look-ups of the hosts that a match names."""
KNOWN_FOR = 60.0
"""Seconds that an address of a host still counts after it was last heard: connections and caches outlive answers."""
LOOK_UP_LIMIT = 5.0


class Ground:
    """What the traffic faults of one injector share. `run` names the tables."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.diversion = Diversion(self._settle)
        self.diverting: set[str] = set()
        """Faults that divert connections."""
        self._nft: nft.Nft | None = None
        self._carrying = False

    @property
    def nft(self) -> nft.Nft:
        """The socket to nftables, made when it is first needed. Raises `RequestRefused`."""
        if self._nft is None:
            self._nft = nft.Nft()
        return self._nft

    @property
    def carry_table_in_use(self) -> str | None:
        """The name of the table that keeps translations going, while there is one."""
        return self._carry_table if self._carrying else None

    @property
    def _carry_table(self) -> str:
        return f"{nft.PREFIX}{nft.tag(self.run)}_carry"

    def carry(self) -> None:
        """See to it that the kernel goes on translating diverted connections when no fault has rules any more: it
        does as long as there is any chain for translations, even an empty one."""
        if not self._carrying:
            body = "chain carry {\ntype nat hook output priority -150; policy accept;\n}"
            self.nft.make(self._carry_table, f"run {self.run}: connections that were diverted are carried on", body)
            self._carrying = True

    def _settle(self) -> None:
        if self._carrying and not self.diverting and not self.diversion.in_use:
            self._carrying = False
            with contextlib.suppress(RequestRefused):  # it goes with this process at the latest
                self.nft.remove(self._carry_table)

    def stop_diverting(self, key: str) -> None:
        """This fault diverts no longer; what it diverted is carried on."""
        self.diverting.discard(key)
        self.diversion.end(key)
        self._settle()

    def close(self) -> None:
        """Reset what is carried, remove the rules. Idempotent."""
        self.diversion.close()  # while their packets are still translated, so that both ends hear of it
        self.diverting.clear()
        self._settle()
        if self._nft is not None:
            self._nft.close()
            self._nft = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A traffic effect as it was asked for, checked."""

    mode: str
    match: Match
    connections: Effect | None
    loss: float
    directions: tuple[str, ...]
    partition: bool
    established: str

    @classmethod
    def read(cls, asked: Message) -> _Wanted:
        known = {"kind", "mode", "match", "connections", "packets", "established"}
        for key in asked:
            if key not in known:
                raise RequestRefused(
                    f"unknown field {key!r:.60} of a traffic effect; known: {', '.join(sorted(known))}"
                )
        packets = asked.get("packets") or {}
        connections = asked.get("connections")
        loss = packets.get("loss", 0.0)
        if isinstance(loss, bool) or not isinstance(loss, int | float) or not 0 <= loss <= 1:
            raise RequestRefused(f"`packets.loss` is a share from 0 to 1, not {loss!r:.60}")
        directions = {"both": ("out", "in"), "out": ("out",), "in": ("in",)}.get(packets.get("direction", "both"))
        if directions is None:
            raise RequestRefused(f"`packets.direction` is both, out or in, not {packets.get('direction')!r:.60}")
        established = asked.get("established", "keep")
        if established not in ("keep", "reset"):
            raise RequestRefused(f"`established` is keep or reset, not {established!r:.60}")
        partition = bool(packets.get("partition"))
        if connections is None and not loss and not partition:
            raise RequestRefused("the effect does nothing: give `connections` or `packets`")
        effect = None if connections is None else Effect.read(connections)
        match = Match.read(asked.get("match", {}))
        return cls(asked.get("mode", "auto"), match, effect, float(loss), directions, partition, established)

    @property
    def block(self) -> str | None:
        """What the rules do by themselves, without the proxy."""
        effect = self.connections
        if effect is None or effect.share < 1:
            return None
        if effect.loss == "hang":
            return "drop" if effect.direction == "both" else None
        return "refuse" if effect.loss == "refuse" else None

    @property
    def diverts(self) -> bool:
        """Whether new connections must go through the proxy."""
        return self.connections is not None and self.block is None


class Traffic:
    """One fault on the pod's traffic. Raises `RequestRefused` for what is wrong with the order."""

    def __init__(self, key: str, asked: Message, ground: Ground) -> None:
        self._key = key
        self._ground = ground
        self._wanted = _Wanted.read(asked)
        self._table = nft.table_name(ground.run, key)
        self._shaping: Shaping | None = None
        self._rules: Rules | None = None
        self._seen: dict[str, dict[Network, float]] = {}
        self._looking_up: asyncio.Task[None] | None = None
        self._counted = 0
        self._broken = 0
        self.in_force = False

    @property
    def match(self) -> Match:
        """What it acts on at the moment."""
        return self._wanted.match

    async def begin(self) -> Message:
        """Put it in force; what there is to say about it. Changes nothing when it refuses."""
        wanted, ground = self._wanted, self._ground
        await self._look_up_hosts()
        if wanted.match.hosts and not any(wanted.match.names.values()):
            raise RequestRefused(f"none of the hosts has an address here: {', '.join(sorted(wanted.match.hosts))}")
        doors = None
        if wanted.diverts:
            doors = ground.diversion.open()
            ground.carry()
            ground.diverting.add(self._key)
        lose = 1.0 if wanted.partition else wanted.loss
        directions = ("out", "in") if wanted.partition else wanted.directions
        self._rules = Rules(wanted.match, doors, wanted.block, lose, directions)
        if wanted.connections is not None:
            self._shaping = Shaping(self._key, wanted.connections, ground.diversion.loop)
            ground.diversion.begin(wanted.match, self._shaping)
        try:
            ground.nft.make(self._table, f"run {ground.run} hold {self._key}", self._rules.body())
        except RequestRefused:
            ground.stop_diverting(self._key)
            raise
        self.in_force = True
        said = self._established()
        if wanted.match.hosts:
            self._looking_up = asyncio.get_running_loop().create_task(self._keep_looking_up())
        mode = "proxy" if wanted.diverts else "rules"
        return {"mode": mode, "table": self._table, "owned": ground.nft.owned, **said}

    async def end(self) -> Message:
        """Take it back; idempotent. Raises `RequestRefused` when that cannot be seen to have worked."""
        if self._looking_up is not None:
            self._looking_up.cancel()
            self._looking_up = None
        self._count()
        removed = self._ground.nft.remove(self._table)
        self._ground.stop_diverting(self._key)
        if self._table in self._ground.nft.tables():
            raise RequestRefused(f"the table {self._table} was removed and is still there")
        self.in_force = False
        return {"removed": [self._table] if removed else [], "carried": self._ground.diversion.carried, **self.met()}

    def update(self, to: object) -> Message:
        """Replace the destinations while it is in force. Raises `RequestRefused`."""
        self._wanted.match.to = read_all(to, "to")
        self._renew()
        return {"to": message(self._wanted.match.to)}

    def met(self) -> Message:
        """What met it so far: connections that the proxy carried, and packets that the rules stopped."""
        self._count()
        shaping = self._shaping
        connections = 0 if shaping is None else shaping.met
        unit = "connections" if self._wanted.diverts else "packets"
        answer: Message = {"met": connections + self._broken + self._counted, "unit": unit, "broken": self._broken}
        if shaping is not None and self._wanted.diverts:
            answer |= {"hit": shaping.hit, "spared": shaping.spared}
        return answer

    def there(self) -> bool:
        """Whether its rules are really there."""
        return self._table in self._ground.nft.tables()

    def _count(self) -> None:
        with contextlib.suppress(RequestRefused):  # they are gone: what was counted before stays
            self._counted = self._ground.nft.counters(self._table).get("met", self._counted)

    # -------------------------------------------------------------------------------------- connections that are open

    def _established(self) -> Message:
        """Break those that are to be broken; how many open connections the fault does not reach."""
        wanted = self._wanted
        effect = wanted.connections
        if effect is None:
            return {}
        mine = self._ground.diversion.own_ports()
        way = wanted.match.way == "ingress"
        there = [
            one
            for one in sockets.established()
            if one.incoming == way
            and one.port not in mine
            and wanted.match.covers(one.peer, one.port if way else one.peer_port)
        ]
        if wanted.established == "reset" or (effect.share >= 1 and effect.loss in ("refuse", "reset")):
            self._broken = sum(sockets.destroy(one) for one in there)
            return {"established": len(there), "broken": self._broken}
        return {"established": len(there), "broken": 0}

    # ------------------------------------------------------------------------------------------------------------ hosts

    async def _keep_looking_up(self) -> None:
        while True:
            await asyncio.sleep(LOOK_UP_EVERY)
            before = dict(self._wanted.match.names)
            await self._look_up_hosts()
            if self._wanted.match.names != before:
                self._renew()

    async def _look_up_hosts(self) -> None:
        loop = asyncio.get_running_loop()
        for host in self._wanted.match.hosts:
            known = self._seen.setdefault(host, {})
            with contextlib.suppress(OSError, TimeoutError):  # what was known stays for a while
                async with asyncio.timeout(LOOK_UP_LIMIT):
                    found: list[Any] = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                for *_, address in found:
                    known[ipaddress.ip_network(address[0].partition("%")[0])] = loop.time()
            fresh = {network for network, heard in known.items() if loop.time() - heard < KNOWN_FOR}
            self._wanted.match.names[host] = frozenset(fresh or known)

    def _renew(self) -> None:
        if self.in_force and self._rules is not None:
            self._ground.nft.run(self._rules.renewed(self._table))
            self._ground.diversion.settle()
