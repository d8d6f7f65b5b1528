"""The register: near misses, their occurrences and history, kept in SQLite (`register.db` of the state folder), by URL
in another database that many share, or in a file of JSON Lines that lies beside the code.

SQLAlchemy takes a while to import, so nothing here imports it before a register is really opened.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from chaosrunner.clock import Clock

if TYPE_CHECKING:
    from chaosrunner.register.near_misses import Register

FILE = "register.db"
SHARED = "CHAOSRUNNER_REGISTER"
"""Names a database URL, or a file that ends in `.jsonl`, in place of the state folder's. A password is better there
than on a command line."""


def register_exists(state: Path) -> bool:
    """Whether this state folder has a register, or one is shared; costs nothing."""
    return shared_register() is not None or (state / FILE).exists()


def shared_register() -> str | None:
    """The URL of the database, or the file, that is used instead of state folders; None: none is."""
    return os.environ.get(SHARED, "").strip() or None


def open_register(where: Path | str, clock: Clock) -> Register:
    """The register of a state folder (made on first use; the shared one where there is one), at a database URL or in a
    file of JSON Lines; a context manager.

    A register of an older chaosrunner is brought up to date. Raises `NotPossibleNow` where it cannot be opened.
    """
    from chaosrunner.register.near_misses import Register

    return Register.open(shared_register() or where if isinstance(where, Path) else where, clock)
