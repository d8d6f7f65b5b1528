"""The line to one injector: requests and answers as lines of JSON over the API's attach stream, which may break at any
time and is made again.

Every request to an injector is harmless twice (`begin` and `end` go by the hold's id), so what was not answered when
the stream broke is asked again on the next one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from chaosrunner.clock import Clock
from chaosrunner.errors import FaultFailed
from chaosrunner.platforms.kubernetes.client import ApiError, Channel

Message = dict[str, Any]

PATIENCE = 2.0
"""Seconds without an answer to any beat after which a stream counts as broken: well under the five that an injector
holds without beats, so that one that died without a word is made again in time."""
AGAIN_AFTER = 0.05
AGAIN_AT_MOST = 0.5
"""Seconds between two tries to attach."""


class InjectorDied(FaultFailed):
    """The injector, or its whole pod, is not there any more; the words say how it went."""


class InjectorRefused(FaultFailed):
    """The injector says no; the words are its own."""


class Talk:
    """A conversation with one injector, attached again whenever its stream breaks, until `close` or its death.

    `attach` opens a stream; `fate` is asked when that failed or a stream ended: empty words while the injector runs (or
    nobody can tell), otherwise how it died. `hear` gets what it says by itself; `who` it is stands in messages;
    `greet` is called for each new stream.
    """

    def __init__(
        self,
        attach: Callable[[], AbstractAsyncContextManager[Channel]],
        fate: Callable[[], Awaitable[str]],
        clock: Clock,
        hear: Callable[[Message], None] = lambda event: None,
        who: str = "the injector",
        greet: Callable[[], None] = lambda: None,
    ) -> None:
        self._attach = attach
        self._fate = fate
        self._clock = clock
        self._hear = hear
        self._who = who
        self._greet = greet
        self._first = secrets.randbits(30) << 20  # answers to another process are not ours
        self._numbers = itertools.count(self._first)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._channel: Channel | None = None
        self._changed = asyncio.Event()
        self._drop = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None
        self._since = clock.monotonic()
        self.died = ""
        """How it died; empty: it did not, as far as is known."""
        self.trouble = ""
        """Why there was no stream the last time."""
        self._heard_at = clock.monotonic()
        self._keeping = asyncio.ensure_future(self._keep())

    @property
    def silence(self) -> float:
        """Seconds since it last answered anything."""
        return self._clock.monotonic() - self._heard_at

    async def ask(self, request: Message, within: float) -> Message:
        """Its answer. Raises `InjectorRefused`, `InjectorDied`, and `FaultFailed` when there is none in time."""
        number = next(self._numbers)
        line = json.dumps({"n": number, **request}).encode() + b"\n"
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(within):
                while not answer.done():
                    await self._say(line, answer)
        except TimeoutError:
            why = f" ({self.trouble})" if self.trouble else ""
            raise FaultFailed(f"{self._who} did not answer within {within:g} s{why}") from None
        finally:
            self._waiting.pop(number, None)
        told = answer.result()
        if told.get("ok") is not True:
            raise InjectorRefused(str(told.get("error") or told))
        return told

    async def _say(self, line: bytes, answer: asyncio.Future[Message]) -> None:
        """Send it as soon as there is a stream, and wait for the answer, or for that stream's end."""
        if self.died:
            raise InjectorDied(self.died)
        channel, changed = self._channel, self._changed
        if channel is not None:
            try:
                await channel.send(line)
            except ApiError as error:
                self.trouble = str(error)
                self._drop.set()
        change = asyncio.ensure_future(changed.wait())
        waiting: set[asyncio.Future[Any]] = {answer, change}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            change.cancel()

    def beat(self, run: str) -> None:
        """Tell it that the runner lives; returns at once. When none is answered any more, its stream is made again."""
        if self._channel is None:
            return
        if min(self.silence, self._clock.monotonic() - self._since) > PATIENCE:
            self._drop.set()
        elif self._beating is None or self._beating.done():
            self._beating = asyncio.ensure_future(self._beat(self._channel, run))

    async def _beat(self, channel: Channel, run: str) -> None:
        line = json.dumps({"n": next(self._numbers), "do": "beat", "run": run}).encode() + b"\n"
        try:
            await channel.send(line)
        except ApiError as error:
            self.trouble = str(error)
            self._drop.set()

    async def close(self) -> None:
        """No more beats, no more stream; idempotent. The injector goes on for as long as it does without."""
        tasks = [task for task in (self._beating, self._keeping) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._over("the runner has hung up")

    # -- underneath

    async def _keep(self) -> None:
        pause = AGAIN_AFTER
        while True:
            try:
                async with self._attach() as channel:
                    self._set(channel)
                    pause = AGAIN_AFTER
                    await self._listen(channel)
            except ApiError as error:
                self.trouble = str(error)
            finally:
                self._set(None)
            if died := await self._how_it_died():
                self._over(died)
                return
            await self._clock.sleep(pause)
            pause = min(2 * pause, AGAIN_AT_MOST)

    async def _how_it_died(self) -> str:
        try:
            return await self._fate()
        except ApiError as error:
            self.trouble = str(error)
            return ""

    async def _listen(self, channel: Channel) -> None:
        """Until the stream ends, or somebody found it to be dead."""
        await channel.send(b"\n")  # half a line may be left of the stream before
        self._greet()
        self._drop.clear()
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._lines(channel))]
        tasks.append(asyncio.ensure_future(self._drop.wait()))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _lines(self, channel: Channel) -> None:
        part = b""
        async for number, data in channel:
            if number == 3:
                self.trouble = data.decode("utf-8", "replace")[:300]
            if number != 1:
                continue
            *lines, part = (part + data).split(b"\n")
            for line in lines:
                self._heard(line)

    def _heard(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return  # the end of a line that began before we listened
        if not isinstance(message, dict):
            return
        number = message.get("n")
        if number is None:
            if "event" in message:
                self._hear(message)
            return
        if not isinstance(number, int) or not self._first <= number < self._first + (1 << 20):
            return
        self._heard_at = self._clock.monotonic()
        answer = self._waiting.get(number)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def _set(self, channel: Channel | None) -> None:
        self._channel = channel
        self._since = self._clock.monotonic()
        self._changed.set()
        self._changed = asyncio.Event()

    def _over(self, why: str) -> None:
        self.died = self.died or why
        self._set(None)
