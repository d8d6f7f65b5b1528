"""The register: near misses, their occurrences and history, kept in SQLite (`register.db` of the state folder) or, by
URL, in another database.

SQLAlchemy takes a while to import, so nothing here imports it before a register is really opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chaosrunner.clock import Clock

if TYPE_CHECKING:
    from chaosrunner.register.near_misses import Register

FILE = "register.db"


def register_exists(state: Path) -> bool:
    """Whether this state folder has a register; costs nothing."""
    return (state / FILE).exists()


def open_register(where: Path | str, clock: Clock) -> Register:
    """The register of a state folder (made on first use) or at a database URL; a context manager.

    A register of an older chaosrunner is brought up to date. Raises `NotPossibleNow` where it cannot be opened.
    """
    from chaosrunner.register.near_misses import Register

    return Register.open(where, clock)
