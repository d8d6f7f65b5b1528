"""A probe that reads a constant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from chaosrunner.model.marks import JsonValue
from chaosrunner.ports import Parameters, Probe, Value


class Params(Parameters):
    """What it says."""

    value: Value = 1.0
    """Every reading; default 1."""


class Noop(Probe[Params]):
    """Reads the value that it was given and asks nobody: to try an experiment file, and for tests."""

    late: ClassVar[Mapping[str, JsonValue]] = {"value": None}
    example = "noop: {value: 1}"
    constant = True

    @classmethod
    def reads_text(cls, params: Params) -> bool:
        return isinstance(params.value, str)

    async def read(self) -> Value:
        return self.params.value
