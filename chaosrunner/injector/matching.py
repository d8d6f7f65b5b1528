"""Which traffic a fault acts on: destinations as they are asked for, and as addresses that rules and sockets know.

    {"way": "egress" | "ingress",
     "to": [{"cidr": "10.96.3.4/32", "port": 80, "protocol": "tcp"}, {"host": "api.example", "port": 443}],
     "except": [{"cidr": "10.0.0.7/32"}, {"port": 9090}, {"port": 9100, "own": true}, {"gateway": true}]}

`egress` means connections that this pod opens, `ingress` those that others open to it. `cidr` (or `host`, looked up in
the pod) is always the other end, `port` always the one that is connected to: for ingress the pod's own. No `to` is
everything. What is in `except`, and whatever goes over the loopback device, is never touched. There, `own` is a port of
this pod, whatever the way: connections that others opened to it; `gateway` are the pod's default gateways, where the
node's own questions (the kubelet's probes) come from in most networks.
"""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaosrunner.injector.calls import Message, RequestRefused

__all__ = ["Destination", "Match", "Network"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST_DESTINATIONS = 10_000


@dataclass(frozen=True, slots=True)
class Destination:
    """One entry of `to` or `except`. Neither network nor host: every address. No port: every port."""

    network: Network | None = None
    host: str | None = None
    port: int | None = None
    protocol: str | None = None

    @classmethod
    def read(cls, asked: object) -> Destination:
        """From JSON. Raises `RequestRefused` with what is wrong."""
        if not isinstance(asked, dict):
            raise RequestRefused(f"a destination is an object with cidr or host, port and protocol, not {asked!r:.60}")
        unknown = set(asked) - {"cidr", "host", "port", "protocol"}
        if unknown:
            raise RequestRefused(
                f"unknown field {min(unknown)!r:.60} of a destination; known: cidr, host, port, protocol"
            )
        cidr, host, port, protocol = (asked.get(key) for key in ("cidr", "host", "port", "protocol"))
        if cidr is not None and host is not None:
            raise RequestRefused("a destination has either `cidr` or `host`, not both")
        if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536):
            raise RequestRefused(f"`port` is a number from 1 to 65535, not {port!r:.60}")
        if protocol not in (None, "tcp", "udp"):
            raise RequestRefused(f"`protocol` is tcp or udp, not {protocol!r:.60}")
        if host is not None and not (isinstance(host, str) and 0 < len(host) <= 253):
            raise RequestRefused(f"`host` is a name, not {host!r:.60}")
        return cls(_network(cidr), host, port, protocol)


def _special(asked: object) -> bool:
    return isinstance(asked, dict) and (asked.get("own") is True or asked == {"gateway": True})


def _own_port(asked: Message) -> tuple[int, str | None]:
    read = Destination.read({key: value for key, value in asked.items() if key != "own"})
    if read.port is None or read.network is not None or read.host is not None:
        raise RequestRefused("a port of the pod's own is `port`, `own` and `protocol`, nothing else")
    return read.port, read.protocol


def gateways() -> list[Network]:
    """The default gateways of this network namespace."""
    found: list[Network] = []
    for line in _lines("/proc/net/route")[1:]:
        words = line.split()
        if words[1] == "00000000" and words[2] != "00000000":
            found.append(ipaddress.IPv4Network(int.from_bytes(bytes.fromhex(words[2]), sys.byteorder)))
    for line in _lines("/proc/net/ipv6_route"):
        words = line.split()
        if words[1] == "00" and int(words[4], 16):
            found.append(ipaddress.IPv6Network(int(words[4], 16)))
    return found


def _lines(name: str) -> list[str]:
    try:
        return Path(name).read_text().splitlines()
    except OSError:
        return []


def _network(text: object) -> Network | None:
    if text is None:
        return None
    try:
        return ipaddress.ip_network(str(text), strict=False)
    except ValueError as problem:
        raise RequestRefused(f"`cidr` is a network or an address such as 10.0.0.0/8, not {text!r:.60}") from problem


@dataclass(slots=True)
class Match:
    """What a fault acts on. `names` are the addresses that each host has at the moment."""

    way: str = "egress"
    to: Sequence[Destination] = ()
    spared: Sequence[Destination] = ()
    names: dict[str, frozenset[Network]] = field(default_factory=dict)
    own: Sequence[tuple[int, str | None]] = ()
    """Ports of this pod, with their protocol, that are spared."""

    @classmethod
    def read(cls, asked: object) -> Match:
        """From JSON. Raises `RequestRefused` with what is wrong."""
        if not isinstance(asked, dict):
            raise RequestRefused(f"`match` is an object with way, to and except, not {asked!r:.60}")
        unknown = set(asked) - {"way", "to", "except"}
        if unknown:
            raise RequestRefused(f"unknown field {min(unknown)!r:.60} of `match`; known: way, to, except")
        way = asked.get("way", "egress")
        if way not in ("egress", "ingress"):
            raise RequestRefused(f"`way` is egress or ingress, not {way!r:.60}")
        given = asked.get("except")
        listed = given if isinstance(given, list) else []
        own = [_own_port(one) for one in listed if isinstance(one, dict) and one.get("own") is True]
        spared = read_all([one for one in listed if not _special(one)] if listed else given, "except")
        if {"gateway": True} in listed:
            spared += [Destination(network) for network in gateways()]
        if any(destination.host for destination in spared):
            raise RequestRefused("`except` knows cidr, port and protocol, not host")
        return cls(way, read_all(asked.get("to"), "to"), spared, own=own)

    @property
    def hosts(self) -> set[str]:
        """Names that must be looked up."""
        return {destination.host for destination in self.to if destination.host}

    def entries(self, protocol: str) -> Mapping[int | None, list[Network] | None]:
        """Port -> networks, for one protocol, hosts as addresses; None as port is every port, as networks every
        address. A host without an address is left out."""
        if not self.to:
            return {None: None}
        return self._grouped(self.to, protocol)

    def exceptions(self, protocol: str) -> Mapping[int | None, list[Network] | None]:
        """The same of `except`."""
        return self._grouped(self.spared, protocol)

    def of_any_protocol(self, *, spared: bool = False) -> list[Network] | None:
        """Networks of which everything is meant, whatever its port and protocol (also ICMP); None is every address."""
        destinations = self.spared if spared else self.to
        if not destinations and not spared:
            return None
        meant = [one for one in destinations if one.port is None and one.protocol is None]
        return self._grouped(meant, "any").get(None, [])

    def covers(self, address: str, port: int, protocol: str = "tcp") -> bool:
        """Whether this end of a connection is meant."""
        there = ipaddress.ip_address(address.partition("%")[0])
        if self.way == "ingress" and any(port == one and known in (None, protocol) for one, known in self.own):
            return False
        return not _within(self.exceptions(protocol), there, port) and _within(self.entries(protocol), there, port)

    def _grouped(self, destinations: Iterable[Destination], protocol: str) -> dict[int | None, list[Network] | None]:
        found: dict[int | None, list[Network] | None] = {}
        for destination in destinations:
            if destination.protocol not in (None, protocol):
                continue
            networks = self._networks(destination)
            if networks is None:
                found[destination.port] = None
            elif networks and (known := found.setdefault(destination.port, [])) is not None:
                known.extend(networks)
        return {port: None if networks is None else _collapsed(networks) for port, networks in found.items()}

    def _networks(self, destination: Destination) -> list[Network] | None:
        if destination.host:
            return sorted(self.names.get(destination.host, ()), key=str)
        return None if destination.network is None else [destination.network]


def read_all(asked: object, name: str) -> list[Destination]:
    """A list of destinations. Raises `RequestRefused`."""
    if asked is None:
        return []
    if not isinstance(asked, list) or len(asked) > MOST_DESTINATIONS:
        raise RequestRefused(f"`{name}` is a list of at most {MOST_DESTINATIONS} destinations, not {asked!r:.60}")
    return [Destination.read(one) for one in asked]


def _collapsed(networks: Iterable[Network]) -> list[Network]:
    listed = list(networks)
    old = [network for network in listed if isinstance(network, ipaddress.IPv4Network)]
    new = [network for network in listed if isinstance(network, ipaddress.IPv6Network)]
    return [*ipaddress.collapse_addresses(old), *ipaddress.collapse_addresses(new)]


def _within(
    entries: Mapping[int | None, list[Network] | None],
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    port: int,
) -> bool:
    for key in (port, None):
        if key in entries:
            networks = entries[key]
            if networks is None or any(address in network for network in networks):
                return True
    return False


def message(destinations: Iterable[Destination]) -> list[Message]:
    """Back to JSON."""
    return [
        {
            key: value
            for key, value in (
                ("cidr", str(one.network) if one.network else None),
                ("host", one.host),
                ("port", one.port),
                ("protocol", one.protocol),
            )
            if value is not None
        }
        for one in destinations
    ]
