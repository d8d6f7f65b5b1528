"""The demo's ground: its files, its shop, and a promise that nothing of it outlives the demo."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from chaosrunner.clock import Clock
from chaosrunner.demo.caretaker import DONE
from chaosrunner.demo.layout import SHIPPED, Layout, free_ports, lay_out, somewhere_else
from chaosrunner.errors import Busy, NotPossibleNow
from chaosrunner.platforms.local.spec import Spec
from chaosrunner.platforms.local.system import LocalSystem
from chaosrunner.stages.load import load_environment

Say = Callable[[str], None]

CLEARING = 20.0
"""Seconds that clearing up after a demo that was killed may take, before the next one gives up."""


class Stage:
    """One demo's shop, up from `open` to `close`. One at a time for each state folder."""

    def __init__(self, state: Path, *, fixed: bool, clock: Clock) -> None:
        self._state = state
        self._fixed = fixed
        self._clock = clock
        self._folder = state / "demo"
        self._lock: int | None = None
        self._caretaker: subprocess.Popen[bytes] | None = None
        self._system: LocalSystem | None = None
        self.layout: Layout

    @property
    def environment(self) -> Path:
        """The environment's file."""
        return self.layout.environment(fixed=self._fixed)

    @property
    def spec(self) -> Spec:
        """The shop's services and links; after `open`."""
        assert self._system is not None
        return self._system.spec

    async def open(self, say: Say) -> None:
        """Write the files, end what an earlier demo left, start the shop, and wait until it serves.

        May be cancelled at any moment; `close` clears up after a half-done one, too. Raises `Busy` while another demo
        uses the folder, `NotPossibleNow` if the shop cannot be started.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        await self._alone()
        for name in ("shop", "shop-fixed"):
            if await self._shop(SHIPPED / "environments" / f"{name}.yaml").down():
                say("the shop of an earlier demo was still up, and was ended")
        self.layout = lay_out(self._folder)
        self._caretaker = self._engage()
        for last in (False, False, True):
            self._system = self._shop(self.environment)
            try:
                await self._system.up()
                return
            except NotPossibleNow:
                await self._system.down()
                if last or not self._moved():
                    raise

    def _moved(self) -> bool:
        """Whether somebody took one of our ports between choosing and using them; then others are chosen."""
        if free_ports(self.layout.moved) == self.layout.moved:
            return False
        self.layout = lay_out(self._folder, prefer=somewhere_else())
        return True

    async def close(self, *, keep: bool = False) -> None:
        """End the shop, unless it is to be kept. Idempotent."""
        if self._system is not None and not keep:
            await self._system.down()
        self._system = None
        if self._caretaker is not None:
            assert self._caretaker.stdin is not None
            self._caretaker.stdin.write(DONE)
            self._caretaker.stdin.close()
            await asyncio.to_thread(self._caretaker.wait)
            self._caretaker = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _alone(self) -> None:
        """Hold the folder. The caretaker holds it too, so that nobody starts a shop that it is about to end."""
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        give_up = self._clock.monotonic() + CLEARING
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._clock.monotonic() >= give_up:
                    raise Busy(f"another demo runs in {self._folder}; wait for it, or use another --state") from None
            await self._clock.sleep(0.2)

    def _shop(self, file: Path) -> LocalSystem:
        """A shop with the settings of a file; its identity is its name and this demo's folder."""
        environment, _, _ = load_environment(str(file.resolve()), file.parent)
        spec = Spec.model_validate(environment.spec.platform.with_)
        return LocalSystem(spec, environment.name, self._folder / "environments", self._clock)

    def _engage(self) -> subprocess.Popen[bytes]:
        assert self._lock is not None
        words = ["-m", "chaosrunner.demo.caretaker", "--state", str(self._state.resolve())]
        return subprocess.Popen(
            [sys.executable, *words, str(self.environment.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(self._lock,),
        )
