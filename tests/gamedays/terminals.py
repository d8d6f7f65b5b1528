"""Terminals in which people type: pseudo-terminals with a chaosrunner command in each."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

CALL = "from chaosrunner.cli import main; main()"


class Terminal:
    """One person's terminal, with one command in it; closing it is what closing a window is."""

    def __init__(self, folder: Path, who: str, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            # A session of its own, whose terminal this is: so that its end reaches the command as SIGHUP.
            [sys.executable, "-c", f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {CALL}", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            cwd=folder,
            env={**os.environ, "CHAOSRUNNER_WHO": who, "TERM": "xterm", "NO_COLOR": "1"},
        )
        os.close(theirs)
        self.text = ""
        self._at = 0

    def expect(self, pattern: str, within: float = 40.0) -> str:
        """Wait until it is written, from where the last one was; what was written up to it."""
        ends = time.monotonic() + within
        while (found := re.search(pattern, self.text[self._at :])) is None:
            assert time.monotonic() < ends and self._read(), f"no {pattern!r} in\n{self.text[self._at :]}"
        before = self.text[self._at : self._at + found.end()]
        self._at += found.end()
        return before

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], 0.2)[0]:
            return True
        try:
            piece = os.read(self._ours, 65536)
        except OSError:  # Linux says so that the other side is closed
            return False
        self.text += re.sub(r"\x1b\[[\d;?]*[a-zA-Z]|\r", "", piece.decode(errors="replace"))
        return bool(piece)

    def type(self, line: str) -> None:
        os.write(self._ours, f"{line}\n".encode())

    def finished(self, within: float = 30.0) -> int:
        """Read on until the command ends; its exit code."""
        ends = time.monotonic() + within
        while self._read():
            assert time.monotonic() < ends, self.text[-2000:]
        return self.process.wait(within)

    def close(self) -> None:
        """The window is closed; idempotent."""
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def end(self) -> None:
        """Whatever still goes on is ended."""
        self.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
