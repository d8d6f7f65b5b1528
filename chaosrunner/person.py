"""Who acts: the one place that says so, as guards and near misses compare people by it."""

from __future__ import annotations

import os
import socket


def who() -> str:
    """`$CHAOSRUNNER_WHO`, or user@host."""
    if named := os.environ.get("CHAOSRUNNER_WHO", "").strip():
        return named
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    """As `getpass.getuser`, which brings all that asking for passwords takes."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if user := os.environ.get(name):
            return user
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except (OSError, KeyError):
        return f"uid-{os.getuid()}"
