"""The local platform's links: shaped by their proxies, and looked at as a client would."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from chaosrunner.errors import FaultFailed, UndoFailed
from chaosrunner.injector.calls import ControlError, NobodyThere, call_async
from chaosrunner.model.target import Target
from chaosrunner.platforms.local import sampling
from chaosrunner.platforms.local.ground import Ground, beginning, link_of
from chaosrunner.platforms.local.spec import Link, split_address
from chaosrunner.ports import Hold, Links, LinkSample, NetworkEffect
from chaosrunner.records.light import asdict

SILENT_AFTER = 1.4
"""Seconds without an answer that count as silence, on a link that carries no delay of ours. More than the second after
which TCP asks again (RFC 6298): a full accept queue drops a request to connect, and that is no silence."""
SILENT_AT_MOST = 3.0
"""The same with a delay of ours: one look has 5 s, and whoever waits longer learns nothing more."""


class LocalLinks(Ground, Links):
    """A target is one link of the environment, carried by a proxy that `local up` started."""

    _delays: dict[str, float]
    """Seconds of delay that this object has put on links, by target: looks must wait longer there."""

    async def shape(self, target: Target, effect: NetworkEffect, hold: Hold) -> None:
        socket = _proxy_socket(target)
        self.reach(socket)
        self._delays[target.id] = effect.delay + effect.jitter
        given = {key: value for key, value in asdict(effect).items() if value is not None}
        del given["include_control"]  # nothing watches over a link
        try:
            await call_async(socket, beginning(hold.id, hold.run, hold.seconds, do="begin", effect=given), 5.0)
        except NobodyThere:
            raise FaultFailed(f"the proxy of {target.name} is gone; `chaosrunner local up` starts it again") from None
        except ControlError as problem:
            raise FaultFailed(f"the proxy of {target.name} did not do it: {problem}") from problem

    async def release(self, target: Target, hold: Hold) -> None:
        socket = _proxy_socket(target)
        self._delays.pop(target.id, None)
        try:
            await call_async(socket, {"do": "end", "id": hold.id}, 5.0)
        except NobodyThere:
            pass  # the proxy is gone, and its effects with it
        except ControlError as problem:
            name, _ = link_of(target)
            raise UndoFailed(
                f"the proxy of {target.name} did not answer: {problem}", self._proxy_by_hand(name)
            ) from problem
        finally:
            self.leave(socket)

    def _proxy_by_hand(self, name: str) -> list[str]:
        record = self.system.record("link", name)
        up = f"chaosrunner local up {self.system.environment}"
        return [f"kill -KILL {record.pid}", up] if record is not None else [up]

    async def met(self, target: Target, hold: Hold) -> int | None:
        try:
            answer = await call_async(_proxy_socket(target), {"do": "met", "id": hold.id}, 1.0)
        except ControlError:
            return None
        count = answer.get("met")
        return count if isinstance(count, int) else None

    async def sample(self, target: Target, payload: int = 0, *, stay: float = 0.0, around: bool = False) -> LinkSample:
        _, link = link_of(target)
        path = self._path(target, link, around=around)
        silent_after = min(SILENT_AT_MOST, SILENT_AFTER + 2.2 * self._delays.get(target.id, 0.0))
        if payload:
            return await sampling.push(path, self.clock, SILENT_AT_MOST, payload)
        return await sampling.sample(path, self.clock, silent_after, stay)

    def _path(self, target: Target, link: Link, *, around: bool) -> sampling.Path:
        host, port = split_address(link.connect if around else link.listen)
        ready = self.system.spec.services[link.to].ready if link.to in self.system.spec.services else None
        http = None
        if ready is not None and ready.path is not None and _same(ready.address, split_address(link.connect)):
            http = ready.path
        socket = _proxy_socket(target)

        async def announce(own: int) -> None:
            with suppress(ControlError):  # a proxy that is stuck or gone: the sample will show it
                await call_async(socket, {"do": "own", "port": own}, 0.5)

        return sampling.Path(host, port, http, None if around else announce)


def _same(one: tuple[str, int], other: tuple[str, int]) -> bool:
    plain = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1"}
    return (plain.get(one[0], one[0]), one[1]) == (plain.get(other[0], other[0]), other[1])


def _proxy_socket(target: Target) -> Path:
    link_of(target)
    return Path(str(target.details.get("proxy")))
