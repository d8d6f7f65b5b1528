"""Clears up after a demo that was killed: takes its faults back and ends its shop.

    python -m chaosrunner.demo.caretaker --state DIR ENVIRONMENT

A process in a session of its own, beside the demo. It reads standard input, whose other end the demo holds: a line
`done` says that nothing is left to do; the end of it without that line, that the demo is gone. Standard library only.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys

DONE = b"done\n"


def clear_up(state: str, environment: str) -> None:
    """What a person would do: `chaosrunner heal`, then `chaosrunner local down`."""
    for words in (["heal"], ["local", "down", "--force", environment]):
        subprocess.run(
            [sys.executable, "-m", "chaosrunner", "--state", state, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


def main() -> None:
    """Wait for the demo's end, whichever it is."""
    parser = argparse.ArgumentParser(prog="python -m chaosrunner.demo.caretaker")
    parser.add_argument("--state", required=True)
    parser.add_argument("environment")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever ends a demo's processes one by one must not end this one first
    if sys.stdin.buffer.readline() != DONE:
        clear_up(given.state, given.environment)


if __name__ == "__main__":
    main()
