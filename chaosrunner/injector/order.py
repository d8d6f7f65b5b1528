"""A traffic effect as it is asked for, checked before anything is done."""

from __future__ import annotations

from dataclasses import dataclass

from chaosrunner.injector.calls import Message, RequestRefused
from chaosrunner.injector.effects import Effect
from chaosrunner.injector.fields import number, only
from chaosrunner.injector.matching import Match

__all__ = ["Order", "Packets"]

_SIDES = {"both": ("out", "in"), "out": ("out",), "in": ("in",)}


@dataclass(frozen=True, slots=True)
class Packets:
    """What is done to single packets. Shares of 1, seconds, bytes a second."""

    loss: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """Share of packets that go at once while the others are delayed."""
    delay: float = 0.0
    jitter: float = 0.0
    rate: float | None = None
    partition: bool = False
    directions: tuple[str, ...] = ("out",)

    @classmethod
    def read(cls, asked: object) -> Packets:
        """From JSON. Raises `RequestRefused`."""
        if not isinstance(asked, dict):
            raise RequestRefused(f"`packets` is an object, not {asked!r:.60}")
        shares = ("loss", "corrupt", "duplicate", "reorder")
        only(asked, {*shares, "delay", "jitter", "rate", "partition", "direction"}, "`packets`")
        partition = asked.get("partition") is True
        directions = _SIDES.get(str(asked.get("direction") or ("both" if partition else "out")))
        if directions is None:
            raise RequestRefused(f"`direction` of packets is both, out or in, not {asked.get('direction')!r:.60}")
        drawn = {key: number(asked, key, 0.0, 1.0) for key in shares}
        times = {key: number(asked, key, 0.0, 3600.0) for key in ("delay", "jitter")}
        rate = number(asked, "rate", 0.0, 1e12) or None
        made = cls(**drawn, **times, rate=rate, partition=partition, directions=directions)
        if made == cls(directions=directions):
            raise RequestRefused(
                "`packets` does nothing: give loss, corrupt, duplicate, reorder, delay, rate or partition"
            )
        if made.reorder and not made.delay:
            raise RequestRefused("`reorder` needs a `delay`: those that are not chosen are overtaken while they wait")
        return made

    @property
    def needs_netem(self) -> bool:
        """Whether rules alone cannot do it."""
        return bool(self.corrupt or self.duplicate or self.reorder or self.delay or self.jitter or self.rate)

    def netem(self) -> list[str]:
        """The words for `tc … netem`, everything but the partition."""
        words = ["limit", "50000"]
        if self.delay or self.jitter:
            words += ["delay", f"{self.delay * 1000:.3f}ms"]
            words += [f"{self.jitter * 1000:.3f}ms"] if self.jitter else []
        for name in ("loss", "corrupt", "duplicate", "reorder"):
            share = getattr(self, name)
            words += [name, f"{share * 100:.4f}%"] if share else []
        return words + (["rate", f"{int(self.rate * 8)}bit"] if self.rate else [])


@dataclass(frozen=True, slots=True)
class Order:
    """A traffic effect."""

    mode: str
    match: Match
    connections: Effect | None
    packets: Packets | None
    dns: Message | None
    http: Message | None
    established: str

    @classmethod
    def read(cls, asked: Message) -> Order:
        """From JSON. Raises `RequestRefused` with what is wrong."""
        only(
            asked, {"kind", "mode", "match", "connections", "packets", "dns", "http", "established"}, "a traffic effect"
        )
        mode, established = asked.get("mode") or "auto", asked.get("established") or "keep"
        if mode not in ("auto", "proxy", "netem"):
            raise RequestRefused(f"`mode` is auto, proxy or netem, not {mode!r:.60}")
        if established not in ("keep", "reset"):
            raise RequestRefused(f"`established` is keep or reset, not {established!r:.60}")
        parts = {key: asked.get(key) for key in ("connections", "packets", "dns", "http")}
        if all(part is None for part in parts.values()):
            raise RequestRefused("the effect does nothing: give connections, packets, dns or http")
        for key, part in parts.items():
            if part is not None and not isinstance(part, dict):
                raise RequestRefused(f"`{key}` is an object, not {part!r:.60}")
        connections, packets = parts["connections"], parts["packets"]
        effect = None if connections is None else Effect.read(connections)
        made = cls(
            mode, Match.read(asked.get("match") or {}), effect, None if packets is None else Packets.read(packets),
            parts["dns"], parts["http"], established,
        )  # fmt: skip
        made._make_sense()
        return made

    def _make_sense(self) -> None:
        protocols = {one.protocol for one in self.match.to}
        if protocols == {"udp"} and (self.http or (self.connections and self.block is None and self.mode == "proxy")):
            raise RequestRefused("the proxy carries TCP only: on UDP it can refuse and hang, not delay or slow down")
        if self.http is not None and self.connections is not None:
            raise RequestRefused("give `connections` or `http`, not both in one effect")
        if self.mode == "proxy" and self.packets is not None and self.packets.needs_netem:
            raise RequestRefused("corrupt, duplicate, reorder, delay, jitter and rate of packets need netem")
        if self.dns is not None and self.match.way == "ingress":
            raise RequestRefused("`dns` is about the questions that this pod asks: `way` is egress")

    @property
    def block(self) -> str | None:
        """What rules alone do to connections: `refuse`, `drop`, or nothing."""
        effect = self.connections
        if effect is None or effect.share < 1:
            return None
        if effect.loss == "hang":
            return "drop" if effect.direction == "both" else None
        return "refuse" if effect.loss == "refuse" else None

    def as_packets(self) -> Packets | None:
        """The effect on connections as one on packets, None where it is not the same: shares of connections, resets and
        hangs are known to a proxy only."""
        effect = self.connections
        if effect is None or effect.share < 1 or effect.reset_after is not None or effect.loss is not None:
            return None
        ways = {"both": "both", "request": "out", "response": "in"}
        if self.match.way == "ingress":
            ways = {"both": "both", "request": "in", "response": "out"}
        directions = _SIDES[ways[effect.direction]]
        return Packets(delay=effect.delay, jitter=effect.jitter, rate=effect.bandwidth, directions=directions)
