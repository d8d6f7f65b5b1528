"""The rules of one fault on a pod's traffic, as text for nftables.

One table for each fault. Every chain of ours that hangs in the kernel first lets pass what is never touched (the
loopback device, the injector's own sockets, what `except` names), and then jumps to a chain that holds nothing but the
destinations, so that these can be replaced in one transaction while everything else stays.

What a rule does and counts (counter `met`, packets; chaosrunner's own looks carry a mark and are not counted):

* `divert`   new TCP connections (SYN) go to a door of the injector's proxy. Those that are open already stay as they
             are: the kernel asks for a translation only once in a connection's life.
* `refuse`   TCP is answered with a reset, everything else with "port unreachable", in both directions, so that open
             connections break as soon as they say something.
* `drop`     nothing passes, in both directions.
* `lose`     a share of packets, drawn packet by packet, does not pass.
* `slow`     packets that go out get the priority that leads to a band with netem; those that come in are forwarded to a
             device with netem on it. See `packets`.
* `names`    questions to a name server (port 53) go to the door for look-ups that stands for it.

Dropping what goes out where it is chosen would tell the sender (UDP's `send` fails with EPERM), as no lossy network
does. So it is marked there and dropped at the device, in a second table of the family `netdev`, where the kernel can do
that (Linux 5.16 and later); elsewhere it is dropped where it is chosen.

Without the proxy `divert` leads to a door that nobody opens: such connections would be refused. That is why the table
is owned by the injector's process, and goes with it (see `nft`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaosrunner.injector.divert import LED_MARK, LOOK_MARK, OWN_MARK, Doors
from chaosrunner.injector.matching import Match, Network
from chaosrunner.injector.names import NameDoor

__all__ = ["Rules"]

NEW = "tcp flags & (fin | syn | rst | ack) == syn"
GONE_MARK = 0x636A
"""Firewall mark of packets that are lost on their way out, from where they are chosen to the device."""
CLOSED_PORT = 1
"""A UDP port of the pod's own that nobody listens on (tcpmux knows TCP only). Refusing a datagram where it is sent
would tell the sender EPERM; sent to this port, it is answered as by a host where nobody listens."""
_PARTS = 10_000
"""Shares of packets are drawn in so many parts."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What one fault needs: any of the actions, for what the match names. `body` is a table's, `renewed` replaces its
    destinations."""

    match: Match
    divert: Doors | None = None
    block: str | None = None
    """`refuse` or `drop`: of packets that belong to connections of the match's way."""
    lose: float = 0.0
    """Share of packets that are lost, both ways of `directions`; 1 loses all of them, whoever opened the connection."""
    directions: Sequence[str] = ("out", "in")
    """Which packets `lose` and `slow` act on: those that the pod sends, those that it gets."""
    slow: str | None = None
    """The class of the queueing discipline that packets on their way out are led to, such as `6368:2`."""
    into: str | None = None
    """The device that packets on their way in are forwarded to."""
    names: Sequence[NameDoor] = ()
    beats: int | None = None
    """The port that heartbeats come to, which is never touched."""
    devices: Sequence[str] = ()
    """The pod's network devices; empty where nothing can be done at devices."""

    def body(self) -> str:
        """The inside of the table of the family `inet`."""
        lines = ["counter met { }", "counter diverted { }", *self._marks(), *self._questions()]
        for name, hook, acts in self._sides():
            lines += [f"chain {name}_chosen {{", *self._chosen(name), "}", f"chain {name}_act {{", *acts, "}"]
            lines += [f"chain {name} {{", hook, *self._spared(name), f"jump {name}_chosen", "}"]
        return "\n".join(" ".join(line.split()) for line in lines)

    def device_body(self) -> str:
        """The inside of the table of the family `netdev`; empty if there is nothing to do at devices."""
        lines: list[str] = []
        if self.into:
            lines += ["counter met { }", "chain into_act {", f'counter name met fwd to "{self.into}"', "}"]
            lines += ["chain into_chosen {", *self._chosen("into"), "}"]
        for place, device in enumerate(self.devices):
            if self._vanishes:
                hook = f'type filter hook egress device "{device}" priority 0; policy accept;'
                lines += [f"chain gone_{place} {{", hook, f"meta mark {GONE_MARK:#x} drop", "}"]
            if self.into:
                hook = f'type filter hook ingress device "{device}" priority 0; policy accept;'
                lines += [f"chain into_{place} {{", hook, *self._spared("into"), "jump into_chosen", "}"]
        return "\n".join(" ".join(line.split()) for line in lines)

    @property
    def _vanishes(self) -> bool:
        return bool(self.devices) and (self.block == "drop" or (self.lose > 0 and "out" in self.directions))

    def renewed(self, table: str) -> str:
        """Commands that put the match's destinations of now in place of the old ones, in one transaction."""
        lines = []
        names = [("inet", name) for name, _, _ in self._sides()] + [("netdev", "into")] * bool(self.into)
        for family, name in names:
            lines.append(f"flush chain {family} {table} {name}_chosen")
            lines += [f"add rule {family} {table} {name}_chosen {rule}" for rule in self._chosen(name)]
        return "\n".join([*lines, ""])

    def _questions(self) -> list[str]:
        if not self.names:
            return []
        lines = ["chain names {", "type nat hook output priority -150; policy accept;"]
        lines += ["oif lo accept", f"meta mark {OWN_MARK:#x} accept"]
        for one in self.names:
            family = "ip6" if ":" in one.server else "ip"
            for protocol in ("udp", "tcp"):
                where = f"{family} daddr {one.server} {protocol} dport 53"
                lines.append(f"{where} meta mark {LOOK_MARK:#x} redirect to :{one.look}")
                led = f"ct mark set {LED_MARK:#x} " if protocol == "udp" else ""
                lines.append(f"{where} {led}redirect to :{one.door}")
        return [*lines, "}"]

    def _marks(self) -> list[str]:
        # what our own sockets are answered is known by the mark of its connection
        marks = f"meta mark {{ {OWN_MARK:#x}, {LOOK_MARK:#x} }} ct mark set meta mark"
        return ["chain marks {", "type filter hook output priority -160; policy accept;", marks, "}"]

    # ----------------------------------------------------------------------------------------------- chains and actions

    def _sides(self) -> list[tuple[str, str, list[str]]]:
        """(name, hook, what is done to what was chosen) of each chain."""
        sides = []
        if self.divert is not None:
            hook = "prerouting" if self.match.way == "ingress" else "output"
            sides.append(("divert", f"type nat hook {hook} priority -150; policy accept;", self._to_the_door()))
        if self.block == "refuse" and self.match.way == "egress":
            look, led = f"ct mark {LOOK_MARK:#x}", f"counter name met ct mark set {LED_MARK:#x}"
            acts = [f"{which} meta l4proto udp redirect to :{CLOSED_PORT}" for which in (look, led)]
            sides.append(("unreached", "type nat hook output priority -150; policy accept;", acts))
        for direction, hook in (("out", "output"), ("in", "input")):
            acts = self._acts(direction)
            if acts:
                sides.append((direction, f"type filter hook {hook} priority 0; policy accept;", acts))
        if self.slow is not None:
            acts = _uncounted_and_counted("", f"meta priority set {self.slow} accept")
            sides.append(("slow", "type filter hook postrouting priority 0; policy accept;", acts))
        return sides

    def _to_the_door(self) -> list[str]:
        assert self.divert is not None
        door = self.divert.into if self.match.way == "ingress" else self.divert.out
        look = f"meta l4proto tcp meta mark {LOOK_MARK:#x} redirect to :{self.divert.look}"
        return [look, f"meta l4proto tcp counter name diverted redirect to :{door}"]

    def _acts(self, direction: str) -> list[str]:
        acts: list[str] = []
        if self.block is not None:
            verdicts = [("meta l4proto tcp", "reject with tcp reset"), ("", "reject with icmpx type port-unreachable")]
            for which, verdict in verdicts if self.block == "refuse" else [("", self._drop(direction))]:
                acts += _uncounted_and_counted(which, verdict)
        if self.lose and direction in self.directions:
            drawn = "" if self.lose >= 1 else f"numgen random mod {_PARTS} < {max(1, round(self.lose * _PARTS))}"
            drop = self._drop(direction)
            acts += _drawn(drawn, drop) if drawn else _uncounted_and_counted("", drop)
        return [*acts, "accept"] if acts else []

    def _drop(self, direction: str) -> str:
        return f"meta mark set {GONE_MARK:#x} accept" if direction == "out" and self._vanishes else "drop"

    # ------------------------------------------------------------------------------------------ destinations in a chain

    def _spared(self, name: str) -> list[str]:
        inward = name in ("in", "into") or (name == "divert" and self.match.way == "ingress")
        lines = []
        if name != "into":  # at a device there is neither the loopback one nor a connection's mark
            lines.append(f"{'iif' if inward else 'oif'} lo accept")
            lines.append(f"{'ct' if name == 'in' else 'meta'} mark {OWN_MARK:#x} accept")
        if self.beats is not None and name in ("in", "into"):
            lines.append(f"udp dport {self.beats} accept")
        for own, known in self.match.own:
            side = "d" if inward else "s"
            lines += [f"{protocol} {side}port {own} accept" for protocol in ("tcp", "udp") if known in (None, protocol)]
        for protocol in ("tcp", "udp"):
            for port, networks in self.match.exceptions(protocol).items():
                lines += [f"{where} accept" for where in self._where(name, protocol, port, networks)]
        if self.match.spared:
            everything = self.match.of_any_protocol(spared=True)
            lines += [f"{where} accept" for where in self._where(name, None, None, everything)]
        return lines

    def _chosen(self, name: str) -> list[str]:
        lines = []
        new = f"{NEW} " if name == "divert" else ""
        for protocol in {"divert": ("tcp",), "unreached": ("udp",)}.get(name, ("tcp", "udp")):
            for port, networks in self.match.entries(protocol).items():
                which = new or (self._whose(name) if port is None else "")
                lines += [f"{where} {which}jump {name}_act" for where in self._where(name, protocol, port, networks)]
        if name not in ("divert", "unreached") and self.block is None:
            everything = self.match.of_any_protocol()
            lines += [f"{where} jump {name}_act" for where in self._where(name, None, None, everything)]
        return lines

    def _whose(self, name: str) -> str:
        """Without a port only the kernel knows who opened a connection. It does not know it of those that were open
        before it began to track them, and takes the first packet that it sees for the opener's."""
        if self.block is None or name not in ("out", "in"):
            return ""
        return f"ct direction {'original' if (name == 'out') == (self.match.way == 'egress') else 'reply'} "

    def _where(self, name: str, protocol: str | None, port: int | None, networks: list[Network] | None) -> list[str]:
        """Conditions for packets of this chain: one for each family of addresses."""
        inward = name in ("in", "into") or (name == "divert" and self.match.way == "ingress")
        end = "saddr" if inward else "daddr"
        # the port is the one that is connected to: theirs for egress, our own for ingress
        side = "d" if inward == (self.match.way == "ingress") else "s"
        rest = (
            "" if protocol is None else f"meta l4proto {protocol}" if port is None else f"{protocol} {side}port {port}"
        )
        if networks is None:
            return [rest]
        found = []
        for family, version in (("ip", 4), ("ip6", 6)):
            listed = ", ".join(str(network) for network in networks if network.version == version)
            if listed:
                found.append(f"{family} {end} {{ {listed} }} {rest}")
        return found


def _uncounted_and_counted(condition: str, verdict: str) -> list[str]:
    return [f"ct mark {LOOK_MARK:#x} {condition} {verdict}", f"{condition} counter name met {verdict}"]


def _drawn(condition: str, verdict: str) -> list[str]:
    return [
        f"ct mark {LOOK_MARK:#x} {condition} {verdict}",
        f"ct mark != {LOOK_MARK:#x} {condition} counter name met {verdict}",
    ]
