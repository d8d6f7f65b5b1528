"""Who acts: the one place that says so, as guards and near misses compare people by it."""

from __future__ import annotations

import os
import socket


def who() -> str:
    """`$CHAOSRUNNER_WHO`, or user@host."""
    if named := os.environ.get("CHAOSRUNNER_WHO", "").strip():
        return named
    import getpass

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"
