"""A control whose end fails: Chaos Toolkit then loses the journal."""

from __future__ import annotations


def cleanup_control() -> None:
    raise RuntimeError("no clean end")
