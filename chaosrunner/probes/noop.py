"""A probe that reads a constant."""

from __future__ import annotations

from chaosrunner.ports import Parameters, Probe, Value


class Params(Parameters):
    """What it says."""

    value: Value = 1.0
    """Every reading; default 1."""


class Noop(Probe[Params]):
    """Reads the value that it was given and asks nobody: to try an experiment file, and for tests."""

    example = "noop: {value: 1}"
    constant = True

    async def read(self) -> Value:
        return self.params.value
