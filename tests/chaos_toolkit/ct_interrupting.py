"""A control that ends the run."""

from __future__ import annotations

from typing import Any

from chaoslib.exceptions import InterruptExecution


def before_activity_control(context: Any, **_: Any) -> None:
    if context["name"] == "never begun":
        raise InterruptExecution("a control says no")
