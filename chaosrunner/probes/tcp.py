"""A probe that connects over TCP."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal

from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.http import is_own, why
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration
from chaosrunner.ports import Parameters, TimedProbe, Value


class Params(Parameters):
    """Where to connect."""

    host: str = Field(min_length=1)
    """Name or address."""
    port: int = Field(ge=1, le=65535)
    """TCP port."""
    read: Literal["latency", "connected"] = "latency"
    """`latency`: seconds until the connection stands, the name's look-up included; `connected`: whether it does
    within `timeout`. Default latency."""
    timeout: Duration = Field(default=5.0, gt=0)
    """Default 5s."""


class Tcp(TimedProbe[Params]):
    """Opens a TCP connection to the system under test and closes it again; nothing is sent.

    Refused, unreachable, no such name, or too late: `latency` is *no answer*, `connected` is false. Where this machine
    itself cannot connect (no file descriptors or ports left), there is *no reading*.
    """

    example = "tcp: {host: 127.0.0.1, port: 5432, read: latency}"

    @classmethod
    def asks(cls, params: Params) -> int | None:
        return params.port

    async def read(self) -> Value:
        where = f"{self.params.host}:{self.params.port}"
        began = self.context.clock.monotonic()
        try:
            async with asyncio.timeout(self.params.timeout):
                _, writer = await asyncio.open_connection(self.params.host, self.params.port)
                taken = self.context.clock.monotonic() - began
        except TimeoutError:
            return self._not(f"{where}: no connection within {self.params.timeout:g} s")
        except (OSError, UnicodeError) as error:
            if is_own(error):
                raise NoReading(f"{where}: {why(error)}") from error
            return self._not(f"{where}: {why(error)}")
        await _hang_up(writer)
        return taken if self.params.read == "latency" else True

    def _not(self, reason: str) -> Value:
        if self.params.read == "connected":
            return False
        raise NoAnswer(reason)


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):  # it was reset meanwhile: it did stand
        await writer.wait_closed()
