"""Controls that fail: Chaos Toolkit passes over it."""

from __future__ import annotations

from typing import Any


def before_activity_control(context: Any, **_: Any) -> None:
    raise RuntimeError("the control itself is broken")
