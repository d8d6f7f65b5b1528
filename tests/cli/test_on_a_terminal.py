"""What only a terminal shows."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from chaosrunner.clock import SystemClock
from chaosrunner.register import open_register
from tests.near_misses.world import facts, finding

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


def shown_on_a_terminal(program: str, *arguments: str, **variables: str) -> str:
    """Everything that a program writes to its terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **variables},
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


CALL = "from chaosrunner.cli import main; main()"


def test_near_misses_have_colours_where_they_are_wanted_only(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with open_register(state, SystemClock()) as register:
        register.record(facts(), [finding()])
    words = ("--state", str(state), "near-miss", "list")
    assert "\x1b[" in shown_on_a_terminal(CALL, *words)
    assert "\x1b[" not in shown_on_a_terminal(CALL, *words, NO_COLOR="1")
    assert "\x1b[" not in shown_on_a_terminal(CALL, *words, TERM="dumb")
