"""The parent of one service: starts it, restarts it by its policy, and keeps it down while a fault holds it down.

    python -m chaosrunner.injector.keeper < settings.json

The settings are one JSON object on standard input; the answer one line on standard output, `ready` or what is wrong:

    {"control": "/…/k.sock", "log": "/…/checkout.log", "service": "checkout", "print": "…",
     "argv": ["python3", "checkout.py"], "cwd": "/…", "env": {…}, "restart": null | seconds}

Requests on its socket, beside those of every hold: `kill {id, run, seconds, signal}` kills the service; while that hold
lasts nothing is done beyond the restart policy, and when it ends (asked to, at its deadline, or 5 s after the last
heartbeat) the service is started if it is down. `status {}` tells what there is.

The service dies with its keeper (Linux: by the kernel; elsewhere whoever takes the environment down finds it). SIGTERM
ends both. Standard library only.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # asyncio does without, and starts faster

import asyncio
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from chaosrunner.injector import processes
from chaosrunner.injector.control import Control, Holds, Message, RequestRefused, Why
from chaosrunner.injector.holder import beat_limit, say

GRACE = 5.0
"""Seconds that a service has after SIGTERM before SIGKILL, when its keeper ends."""


class Keeper:
    """One service and its policy."""

    def __init__(self, settings: Message) -> None:
        self._settings = settings
        self._restart: float | None = settings.get("restart")
        self._process: subprocess.Popen[bytes] | None = None
        self._log = Path(settings["log"])
        self._timer: asyncio.TimerHandle | None = None
        self._struck = False
        """A fault killed it and nobody has started it since."""
        self._ending = False
        self._starts = 0
        self._since = 0.0
        self._last = ""
        self._held: set[str] = set()
        self.holds = Holds(self._strike, self._over, beat_limit=beat_limit())

    def verbs(self) -> dict[str, Any]:
        """For `Control`."""
        return {**self.holds.verbs(), "kill": self._kill, "status": self._status}

    # -- the service

    @property
    def _up(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def start(self) -> None:
        """Start it unless it is up or everything ends. Raises OSError if there is no such program."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._up or self._ending:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._settings["argv"],
                cwd=self._settings["cwd"],
                env=self._settings["env"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=processes.die_with_parent(),  # there are no threads here
            )
        self._struck = False
        self._starts += 1
        self._since = time.time()

    def _note(self, words: str) -> None:
        with suppress(OSError), self._log.open("a") as log:
            log.write(f"[chaosrunner keeper] {self._settings['service']}: {words}\n")

    def children_changed(self) -> None:
        """Collect what has died; orphans of the service are ours too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._process is not None and pid == self._process.pid:
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self._gone(self._process)

    def _gone(self, process: subprocess.Popen[bytes]) -> None:
        code = process.returncode
        self._last = f"exited with {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        self._note(f"process {process.pid} {self._last}")
        self._clear(process.pid)
        if self._ending:
            return
        if self._struck and not self._held:
            self._try_to_start()  # it took longer to die than the fault lasted
        elif self._restart is not None:
            self._timer = asyncio.get_running_loop().call_later(self._restart, self._try_to_start)

    def _try_to_start(self) -> None:
        try:
            self.start()
        except OSError as problem:
            self._last = f"cannot be started: {problem}"
            self._note(self._last)
            if self._restart is not None:
                self._timer = asyncio.get_running_loop().call_later(max(1.0, self._restart), self._try_to_start)

    def _clear(self, group: int) -> None:
        """Nothing that the service left behind may stand in the way of the next one."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        for seen in processes.family(os.getpid())[1:]:
            processes.send(seen.pid, seen.started, signal.SIGKILL)

    # -- holds

    async def _kill(self, request: Message) -> Message:
        number = request.get("signal", int(signal.SIGKILL))
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < signal.NSIG:
            raise RequestRefused(f"`signal` is a signal's number, not {number!r:.60}")
        return await self.holds.begin({**request, "effect": {"signal": number}})

    def _strike(self, key: str, effect: Message) -> None:
        number = int(effect.get("signal", signal.SIGKILL))
        if not self._up or self._process is None:
            raise RequestRefused(f"{self._settings['service']} is not up: {self._last or 'never started'}")
        self._held.add(key)
        self._struck = True
        self._note(f"{key} sends {signal.Signals(number).name} to process {self._process.pid}")
        self._process.send_signal(number)

    def _over(self, key: str, effect: Message, why: Why) -> None:
        self._held.discard(key)
        if not self._held and not self._up:
            self._note(f"{key} is over ({why})")
            self._try_to_start()

    def _status(self, request: Message) -> Message:
        up = self._up and self._process is not None
        return {
            "service": self._settings["service"],
            "print": self._settings["print"],
            "keeper": os.getpid(),
            "pid": self._process.pid if up and self._process is not None else None,
            "started": processes.started(self._process.pid) if up and self._process is not None else "",
            "since": self._since,
            "restarts": max(0, self._starts - 1),
            "last": self._last,
            "held": sorted(self._held),
            "log": str(self._log),
        }

    # -- the end

    async def end(self) -> None:
        """Stop the service, by force if need be, and everything that it left behind."""
        self._ending = True
        await self.holds.close()
        if self._timer is not None:
            self._timer.cancel()
        process = self._process
        if process is None or not self._up:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
            os.killpg(process.pid, signal.SIGCONT)  # what is stopped cannot end
        give_up = time.monotonic() + GRACE
        while self._up and time.monotonic() < give_up:
            await asyncio.sleep(0.01)
            self.children_changed()
        self._clear(process.pid)
        self.children_changed()


async def keep(settings: Message) -> None:
    """The life of a keeper."""
    processes.adopt_orphans()
    keeper = Keeper(settings)
    control = Control(settings["control"], keeper.verbs())
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    loop.add_signal_handler(signal.SIGCHLD, keeper.children_changed)
    await control.open()
    try:
        keeper.start()
        say("ready")
        await over.wait()
    finally:
        await keeper.end()
        await control.close()


def main() -> None:
    """Read the settings, keep the service until SIGTERM."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = json.loads(sys.stdin.read())
    try:
        asyncio.run(keep(settings))
    except OSError as problem:
        named = f"{problem.filename}: " if problem.filename is not None else ""
        say(f"{named}{problem.strerror}" if problem.strerror else str(problem))
        sys.exit(1)
    except (KeyError, TypeError, ValueError) as problem:
        say(f"not settings: {problem!r}")
        sys.exit(1)


if __name__ == "__main__":
    main()
