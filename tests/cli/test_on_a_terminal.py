"""What only a terminal shows."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

DRAW = """
import sys
import threading
from chaosrunner.cli import terms
from chaosrunner.clock import SystemClock
from chaosrunner.reports.terminal import LiveView

class Terminal:
    drawn = threading.Event()

    def __getattr__(self, name):
        return getattr(sys.__stdout__, name)

    def write(self, text):
        written = sys.__stdout__.write(text)
        if "starting" in text:
            self.drawn.set()
        return written

terminal = Terminal()
view = LiveView(terminal, SystemClock())
view.start()
terminal.drawn.wait(30)
terms.warn("the wind is rising")
view.stop()
"""


def shown_on_a_terminal(program: str) -> str:
    """Everything that a program writes to its terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"},
    )
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 4096):
            text += piece
    except OSError:
        pass  # Linux says so that the other side has been closed
    finally:
        os.close(ours)
        process.wait(60)
    return text.decode()


def test_a_warning_gets_a_line_of_its_own_above_the_live_picture() -> None:
    written = shown_on_a_terminal(DRAW)
    line = next(line for line in re.split(r"[\r\n]", written) if "the wind is rising" in line)
    assert re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", line) == "chaosrunner: the wind is rising"
