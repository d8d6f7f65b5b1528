"""What runs in the pods of a fake cluster: injectors that keep their holds as the real one does, and the program that
looks, which sees what the holds do."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from chaosrunner import __version__
from chaosrunner.injector.holds import Holds
from tests.kubernetes.fake_api import FakeApi

Message = dict[str, Any]
Where = tuple[str, str, str]
SIGNS = {"refuse": "refused", "hang": "silent", "reset": "reset"}


@dataclass
class InPod:
    """One injector. `effects` are in force; `heard` is every request that it got."""

    run: str
    version: str = __version__
    seconds_left: float = 600.0
    effects: dict[str, Message] = field(default_factory=dict)
    heard: list[Message] = field(default_factory=list)
    deaf: bool = False
    """It reads, and answers nothing."""
    ended: bool = False

    def __post_init__(self) -> None:
        self.holds = Holds(self.effects.__setitem__, lambda key, effect, why: self.effects.pop(key) and None)

    async def answer(self, request: Message) -> Message:
        self.heard.append(request)
        verbs = self.holds.verbs()
        do = request["do"]
        if do in verbs:
            reply: Any = verbs[do](request)
            return {"ok": True, **(await reply if asyncio.iscoroutine(reply) else reply)}
        if do == "stats":
            return {"ok": True, "version": self.version, "run": self.run, "seconds_left": self.seconds_left}
        if do == "update":
            self.effects[request["id"]]["match"]["to"] = request["to"]
            return {"ok": True}
        if do == "sweep":
            return {"ok": True, "removed": [], "failed": {}}
        if do == "met":
            return {"ok": True, "met": 3}
        if do == "bye":
            await self.holds.close()
            self.ended = True
            return {"ok": True}
        return {"ok": False, "error": f"unknown request {do!r}"}

    def did(self, do: str) -> list[Message]:
        """The requests of a sort, in their order."""
        return [request for request in self.heard if request["do"] == do]


class Pods:
    """All pods of a fake cluster that injectors run in."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.injectors: dict[Where, InPod] = {}
        self.streams: dict[web.WebSocketResponse, Where] = {}
        self.looked: list[list[str]] = []
        self.attached = 0
        self.stuck = False
        """The streams of now are dead without a word: nothing comes through any more, not even a close."""
        self.version = __version__
        api.on_attach = self._attach
        api.on_converse = self._look

    @property
    def only(self) -> InPod:
        """The injector, where there is one."""
        (one,) = self.injectors.values()
        return one

    async def break_streams(self) -> None:
        """As a connection that is lost."""
        for stream in list(self.streams):
            await stream.close()

    async def kill(self, container: str, code: int, reason: str) -> None:
        """An injector's container ends, and what it held with it."""
        for where, injector in self.injectors.items():
            if where[2] == container:
                await injector.holds.close()
                pod = self.api.object("v1", "pods", where[0], where[1])
                assert pod is not None
                ended = {"terminated": {"exitCode": code, "reason": reason}}
                status = [{"name": container, "state": ended}]
                self.api.change(pod, {"status": {"ephemeralContainerStatuses": status}})
        await self.break_streams()

    async def _attach(self, namespace: str, pod: str, container: str, stream: web.WebSocketResponse) -> None:
        self.attached += 1
        where = (namespace, pod, container)
        if where not in self.injectors:
            self.injectors[where] = InPod(self._run(where), self.version)

        async def answer(request: Message) -> Message | None:
            told = await self.injectors[where].answer(request)
            return None if self.injectors[where].deaf else told

        await self._talk(where, stream, answer)

    def _run(self, where: Where) -> str:
        pod = self.api.object("v1", "pods", where[0], where[1])
        assert pod is not None
        (container,) = [each for each in pod["spec"]["ephemeralContainers"] if each["name"] == where[2]]
        return str(container["args"][container["args"].index("--run") + 1])

    async def _look(self, namespace: str, pod: str, container: str, stream: web.WebSocketResponse) -> None:
        where = (namespace, pod, container)

        async def answer(request: Message) -> Message:
            self.looked += request["many"]
            return {"ok": True, "looks": [self._seen(words, self.injectors[where]) for words in request["many"]]}

        await self._talk(where, stream, answer)

    def _seen(self, words: list[str], injector: InPod) -> Message:
        losses = [effect.get("connections", {}).get("loss") for effect in injector.effects.values()]
        if losses and "--around" not in words:
            return {"outcome": SIGNS[losses[0]], "seconds": 0.001}
        return {"outcome": "answered", "seconds": 0.002}

    async def _talk(self, where: Where, stream: web.WebSocketResponse, answer: Any) -> None:
        self.streams[stream] = where
        self.stuck = False
        part = b""
        try:
            async for message in stream:
                if self.stuck:
                    await asyncio.sleep(60)
                if message.type != WSMsgType.BINARY:
                    continue
                *lines, part = (part + message.data[1:]).split(b"\n")
                for line in filter(bytes.strip, lines):
                    request = json.loads(line)
                    told = await answer(request)
                    if told is not None:
                        await stream.send_bytes(b"\x01" + json.dumps({"n": request["n"], **told}).encode() + b"\n")
        finally:
            self.streams.pop(stream, None)
