"""Puts the demo's files into a folder where they can be run: the shop's environments, hypotheses and experiments.

The files are written as they are, but for two things that a machine may need otherwise: the Python that the shop is
started with, and the ports, which are all moved by the same amount where one of them is taken.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sys
from pathlib import Path

from chaosrunner.errors import NotPossibleNow
from chaosrunner.records.light import dataclass

FOLDERS = ("environments", "experiments", "hypotheses")
PORTS = (*range(17001, 17007), *range(18001, 18006))
"""All that the files mention, services first. Below the range that Linux and macOS hand out for outgoing connections,
so that nothing takes one between the look and the start."""
STEP = 10
"""How far the ports are moved at a time."""
FURTHEST = 900

SHIPPED = Path(__file__).parent / "files"

_PORT = re.compile("|".join(rf"\b{port}\b" for port in PORTS))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files are."""

    folder: Path
    moved: int
    """What was added to each port; usually 0."""
    experiments: tuple[Path, ...]
    """In the order of their names."""

    def environment(self, *, fixed: bool) -> Path:
        """The file of the shop as it is, or of the repaired one."""
        return self.folder / "environments" / ("shop-fixed.yaml" if fixed else "shop.yaml")


def lay_out(folder: Path, prefer: int | None = None) -> Layout:
    """Write the files into `folder`, over those of an earlier demo.

    The ports of the earlier demo are used again if they are free, so that its runs can be compared with the next
    ones; or those moved by `prefer`. Raises `NotPossibleNow` where no free ports are found.
    """
    moved = free_ports(_moved_before(folder) if prefer is None else prefer)
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for old in (folder / name).glob("*.yaml"):
            old.unlink()
        for file in (SHIPPED / name).glob("*.yaml"):
            text = here(file.read_text(encoding="utf-8"), moved)
            (folder / name / file.name).write_text(text, encoding="utf-8")
    return Layout(folder, moved, tuple(sorted((folder / "experiments").glob("*.yaml"))))


def here(text: str, moved: int) -> str:
    """A file's text with this Python, and with its ports moved."""
    text = text.replace("[python3,", f"[{json.dumps(sys.executable)},")
    return _PORT.sub(lambda found: str(int(found[0]) + moved), text)


def somewhere_else() -> int:
    """How far to move the ports so that several demos which start at once do not all move to the same place."""
    return os.getpid() * 7 % (FURTHEST // STEP) * STEP


def free_ports(first: int = 0) -> int:
    """How far the ports must be moved so that all of them are free; `first` is tried first, then 0."""
    moved: int
    for moved in (first, *range(0, FURTHEST, STEP)):
        if all(_is_free(port + moved) for port in PORTS):
            return moved
    last = FURTHEST - STEP
    raise NotPossibleNow(
        f"no free ports for the shop: tried {PORTS[0]} to {PORTS[-1] + last} on 127.0.0.1 and found some taken in each "
        "range; an earlier shop is ended by `chaosrunner local down`"
    )


def _moved_before(folder: Path) -> int:
    try:
        found = re.search(r'--port, "(\d{5})"', (folder / "environments" / "shop.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return 0
    moved = int(found[1]) - PORTS[0] if found else 0
    return moved if 0 <= moved < FURTHEST and moved % STEP == 0 else 0


def _is_free(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
