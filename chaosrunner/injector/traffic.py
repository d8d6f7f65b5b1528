"""Faults on a pod's traffic: the rules, the proxy behind them, and what takes both back.

`Ground` is what all faults of one injector share: the socket to nftables and the door that connections are diverted to.
`Traffic` is one fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import replace

from chaosrunner.injector import nft, sockets, tracked
from chaosrunner.injector import packets as netem
from chaosrunner.injector.calls import Message, RequestRefused
from chaosrunner.injector.divert import OWN_MARK, Diversion, Doors, mark
from chaosrunner.injector.effects import Shaping
from chaosrunner.injector.matching import Network, message, read_all
from chaosrunner.injector.names import NameDoor, NameEffect, Names
from chaosrunner.injector.order import Order, Packets
from chaosrunner.injector.rules import Rules
from chaosrunner.injector.web import WebEffect

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
        self.names = Names()
        self.netem = netem.Netem()
        self.beats: int | None = None
        """The UDP port that heartbeats come to, if any do."""
        self.diverting: set[str] = set()
        """Faults that divert connections."""
        self._nft: nft.Nft | None = None
        self._carrying = False

    @property
    def nft(self) -> nft.Nft:
        """The socket to nftables, made when it is first needed. Raises `RequestRefused`."""
        if self._nft is None:
            self._nft = nft.Nft()
            self.forget_led()  # by an injector before, which may have been killed
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
        does as long as there is a chain for translations, and tracks connections as long as a rule asks for them."""
        if not self._carrying:
            rule = "ct state established accept"
            body = f"chain carry {{\ntype nat hook output priority -150; policy accept;\n{rule}\n}}"
            self.nft.make(self._carry_table, f"run {self.run}: connections that were diverted are carried on", body)
            self._carrying = True

    def divert(self, key: str) -> Doors:
        """The doors for connections, open, for a fault that is about to divert some."""
        doors = self.diversion.open()
        self.carry()
        self.diverting.add(key)
        return doors

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

    def forget_led(self) -> None:
        """Whoever has the port of a question or datagram that was led elsewhere before is not led there too."""
        with contextlib.suppress(OSError):  # without it the kernel forgets after half a minute of silence
            tracked.forget(self.names.ports)

    async def close(self) -> None:
        """Reset what is carried, remove the rules. Idempotent."""
        self.diversion.close()  # while their packets are still translated, so that both ends hear of it
        await asyncio.sleep(0.02)
        self.names.close()
        self.diverting.clear()
        self._settle()
        if self._nft is not None:
            self.forget_led()
            self._nft.close()
            self._nft = None


class Traffic:
    """One fault on the pod's traffic. Raises `RequestRefused` for what is wrong with the order."""

    def __init__(self, key: str, asked: Message, ground: Ground) -> None:
        self._key = key
        self._ground = ground
        self._order = order = Order.read(asked)
        self._table = nft.table_name(ground.run, key)
        self._shaping: Shaping | None = None
        self._web = None if order.http is None else WebEffect(key, order.http)
        self._names = None if order.dns is None else NameEffect(key, order.dns, ground.names.resolver.search)
        self._rules = Rules(order.match)
        self._mode = "rules"
        self._seen: dict[str, dict[Network, float]] = {}
        self._looking_up: asyncio.Task[None] | None = None
        self._counted = self._broken = 0
        self.in_force = False

    async def begin(self) -> Message:
        """Put it in force; what there is to say about it. Changes nothing when it refuses."""
        order, ground = self._order, self._ground
        await self._look_up_hosts()
        if order.match.hosts and not any(order.match.names.values()) and order.dns is None:
            raise RequestRefused(f"none of the hosts has an address here: {', '.join(sorted(order.match.hosts))}")
        notes: list[str] = []
        try:
            self._rules = await self._prepare(notes)
            ground.nft.make(self._table, f"run {ground.run} hold {self._key}", self._rules.body())
            self._make_at_devices(notes)
        except (RequestRefused, OSError):
            await self._undo()
            raise
        self.in_force = True
        said = self._established()
        if order.match.hosts:
            self._looking_up = asyncio.get_running_loop().create_task(self._keep_looking_up())
        return {"mode": self._mode, "table": self._table, "owned": ground.nft.owned, **said, "notes": notes}

    async def _prepare(self, notes: list[str]) -> Rules:
        """Everything that rules lead to."""
        order, ground, match = self._order, self._ground, self._order.match
        packets = await self._packets()
        slow = into = None
        if packets is not None and (packets.needs_netem or order.mode == "netem"):
            slow, into = await self._shape_packets(packets)
        loss = 0.0 if packets is None or slow or into else packets.loss
        lose = 1.0 if packets is not None and packets.partition else loss
        doors = None
        if self._web is not None or (order.connections is not None and order.block is None and self._mode != "netem"):
            doors = ground.divert(self._key)
            self._mode = "proxy"
            if self._web is not None:
                ground.diversion.begin_web(match, self._web)
                notes.append("requests on connections that were open before are not reached")
        if order.connections is not None:
            self._shaping = Shaping(self._key, order.connections, ground.diversion.loop)
            ground.diversion.begin(match, self._shaping)
        names = [] if self._names is None else await self._name_doors(notes)
        directions = ("out",) if packets is None else packets.directions
        return Rules(match, doors, order.block, lose, directions, slow, into, names, ground.beats, netem.devices())

    async def _packets(self) -> Packets | None:
        """What is to be done to packets. An effect on connections becomes one on packets where netem is to do it."""
        order = self._order
        slows = order.packets.needs_netem if order.packets else bool(order.connections) and order.block is None
        asks = order.mode == "netem" or (order.mode == "auto" and slows)  # who needs no netem has it not loaded
        there = asks and await self._ground.netem.there()
        if order.mode == "netem" and not there:
            raise RequestRefused("this kernel has no netem (sch_netem)")
        if order.packets is not None:
            if order.packets.needs_netem and not there:
                raise RequestRefused(
                    "corrupt, duplicate, reorder, delay, jitter and rate of packets need netem (sch_netem), which this "
                    "kernel has not; rules alone can lose packets and cut off"
                )
            return order.packets
        if order.connections is None or order.block is not None or not there:
            return None
        packets = order.as_packets()
        if packets is None and order.mode == "netem":
            raise RequestRefused("netem knows packets, not connections: no share of connections, reset or hang")
        return packets

    async def _shape_packets(self, packets: Packets) -> tuple[str | None, str | None]:
        words, shaper = packets.netem(), self._ground.netem
        try:
            slow = await shaper.out(self._key, words) if "out" in packets.directions else None
            into = await shaper.into(f"{self._key} in", words) if "in" in packets.directions else None
        except RequestRefused:
            await shaper.remove(self._key)
            if self._order.mode == "netem" or self._order.packets is not None:
                raise
            return None, None  # `auto`: the proxy does it
        self._mode = "netem"
        return slow, into

    async def _name_doors(self, notes: list[str]) -> Sequence[NameDoor]:
        ground, match = self._ground, self._order.match
        assert self._names is not None
        asked = [str(n.network_address) for one in match.to if (n := one.network) and n.num_addresses == 1]
        servers = asked or ground.names.resolver.servers
        if not servers:
            raise RequestRefused("the pod has no name server in /etc/resolv.conf, and `to` names none")
        doors = await ground.names.doors(servers)
        ground.carry()
        ground.diverting.add(self._key)
        ground.names.begin(self._names)
        self._mode = "proxy"
        notes.append(f"questions to {', '.join(servers)}; other name servers are not touched")
        return doors

    def _make_at_devices(self, notes: list[str]) -> None:
        body = self._rules.device_body()
        if not body:
            return
        try:
            self._ground.nft.make(self._table, f"run {self._ground.run} hold {self._key}", body, "netdev")
        except RequestRefused as problem:
            if self._rules.into:
                raise
            self._rules = replace(self._rules, devices=())
            self._ground.nft.remove(self._table)
            self._ground.nft.make(self._table, f"run {self._ground.run} hold {self._key}", self._rules.body())
            notes.append(f"senders on UDP see EPERM instead of a silent loss: {problem}")

    async def end(self) -> Message:
        """Take it back; idempotent. Raises `RequestRefused` when that cannot be seen to have worked."""
        if self._looking_up is not None:
            self._looking_up.cancel()
            self._looking_up = None
        self._count()
        removed = await self._undo()
        if self._table in self._ground.nft.tables():
            raise RequestRefused(f"the table {self._table} was removed and is still there")
        self.in_force = False
        return {"removed": removed, "carried": self._ground.diversion.carried, **self.met()}

    async def _undo(self) -> list[str]:
        """The rules first: whatever they lead to is then met by nothing new."""
        ground = self._ground
        removed = [self._table] if ground.nft.remove(self._table) else []
        ground.names.end(self._key)
        if self._rules.block == "refuse":
            ground.forget_led()
        ground.stop_diverting(self._key)
        for key in (self._key, f"{self._key} in"):
            await ground.netem.remove(key)
        return removed

    def update(self, to: object) -> Message:
        """Replace the destinations while it is in force. Raises `RequestRefused`."""
        if self._names is not None:
            raise RequestRefused("the name servers of a `dns` effect cannot be replaced")
        self._order.match.to = read_all(to, "to")
        self._renew()
        return {"to": message(self._order.match.to)}

    def met(self) -> Message:
        """What met it so far: what the proxy did something to, and packets that the rules did something to."""
        self._count()
        if self._web is not None:
            web = self._web
            return {"met": web.met, "unit": "requests", "seen": web.seen, "other": web.other}
        if self._names is not None:
            return {"met": self._names.met, "unit": "queries", "seen": self._names.seen}
        shaping, proxied = self._shaping, self._rules.divert is not None
        connections = 0 if shaping is None else shaping.met
        answer: Message = {"met": connections + self._broken + self._counted, "broken": self._broken}
        answer["unit"] = "connections" if proxied else "packets"
        if shaping is not None and proxied:
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
        order, effect = self._order, self._order.connections
        if effect is None and self._web is None:
            return {}
        mine = self._ground.diversion.own_ports()
        there = [one for one in sockets.established() if one.port not in mine and self._covers(one)]
        fatal = effect is not None and effect.share >= 1 and effect.loss in ("refuse", "reset")
        if order.established == "reset" or fatal:
            self._broken = sum(sockets.destroy(one) for one in there)
        return {"established": len(there), "broken": self._broken}

    def _covers(self, one: sockets.Established) -> bool:
        match = self._order.match
        incoming = match.way == "ingress"
        return one.incoming == incoming and match.covers(one.peer, one.port if incoming else one.peer_port)

    # ------------------------------------------------------------------------------------------------------------ hosts

    async def _keep_looking_up(self) -> None:
        while True:
            await asyncio.sleep(LOOK_UP_EVERY)
            before = dict(self._order.match.names)
            await self._look_up_hosts()
            if self._order.match.names != before:
                self._renew()

    async def _look_up_hosts(self) -> None:
        """From sockets that no fault of ours touches: a fault on everything must not blind itself."""
        loop = asyncio.get_running_loop()
        for host in self._order.match.hosts:
            known = self._seen.setdefault(host, {})
            with contextlib.suppress(OSError):  # what was known stays for a while
                look_up = self._ground.names.resolver.look_up
                for address in await loop.run_in_executor(None, look_up, host, _spared, LOOK_UP_LIMIT):
                    known[ipaddress.ip_network(address.partition("%")[0])] = loop.time()
            fresh = {network for network, heard in known.items() if loop.time() - heard < KNOWN_FOR}
            self._order.match.names[host] = frozenset(fresh or known)

    def _renew(self) -> None:
        if self.in_force:
            self._ground.nft.run(self._rules.renewed(self._table))
            self._ground.diversion.settle()


def _spared(made: socket.socket) -> None:
    mark(made, OWN_MARK)
