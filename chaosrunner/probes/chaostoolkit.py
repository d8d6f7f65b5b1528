"""A probe of any Chaos Toolkit extension."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from chaosrunner.errors import NoReading
from chaosrunner.extensions import Extensions, NoWord, revealed
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.json_path import JsonPath, OneValue
from chaosrunner.model.marks import Field, JsonValue
from chaosrunner.model.quantities import Duration
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Parameters, Probe, Value

_LONGEST_TEXT = 10_000


class Params(Parameters):
    """Which function, what it is given, and what to read of what it returns."""

    module: str = Field(min_length=1)
    """The function's module: `chaosk8s.pod.probes`. It must be installed beside chaosrunner."""
    func: str = Field(min_length=1)
    """The function's name: `pods_in_phase`."""
    arguments: JsonObject = {}
    """Its arguments by name, as an experiment of Chaos Toolkit gives them."""
    configuration: JsonObject = {}
    """What it gets as `configuration`, if it takes that; `${name}` in arguments is replaced by it."""
    secrets: dict[str, str | SecretRef] = {}
    """What it gets as `secrets`, if it takes that: text, or where a secret is: `{env: NAME}`."""
    path: JsonPath | None = None
    """Where in what it returns the one value is, such as `$.status`; default: it returns the value itself."""
    timeout: Duration = Field(default=10.0, gt=0)
    """Then its process is killed with everything that it started, and there is no reading. Default 10s."""


class ChaosToolkit(Probe[Params]):
    """Reads what a probe of a Chaos Toolkit extension returns: a number, text, or true/false.

    The function runs in a process of its own, which stays for the next reading. One that raises, takes too long, ends
    its process, or returns something else (nothing, a list, NaN) gives *no reading*: the instrument failed, nobody
    knows about the system. Probes that answer true or false are held with `tolerance: {equals: true}`.
    """

    late: ClassVar[Mapping[str, JsonValue]] = {"arguments": None}
    example = """\
chaostoolkit:
  module: os.path
  func: getsize
  arguments: {filename: /var/lib/shop/orders.db}
"""

    _extensions: Extensions | None = None

    async def open(self) -> None:
        self._path = OneValue(self.params.path) if self.params.path is not None else None
        self._order = {
            "do": "call",
            "module": self.params.module,
            "func": self.params.func,
            "arguments": self.params.arguments,
            "configuration": self.params.configuration,
            "secrets": revealed(self.params.secrets, self.context.folder),
        }
        self._extensions = Extensions(Path(self.context.folder))

    async def read(self) -> Value:
        if self._extensions is None:
            await self.open()
        assert self._extensions is not None
        name = f"{self.params.module}.{self.params.func}"
        try:
            answer = await self._extensions.ask(self._order, self.params.timeout)
        except NoWord as error:
            raise NoReading(f"{name}: {error}") from None
        if "failed" in answer:
            raise NoReading(f"{name}: {answer['failed']}")
        try:
            return self._value(answer["value"])
        except ValueError as error:
            raise NoReading(f"{name}: {error}") from None

    def _value(self, found: Any) -> Value:
        if self._path is not None:
            return self._path.of(found)
        if isinstance(found, bool):
            return found
        if isinstance(found, str) and len(found) <= _LONGEST_TEXT:
            return found
        if isinstance(found, int | float) and math.isfinite(found):
            return float(found)
        kind = {dict: "a mapping (`path` says which value of it)", list: "a list", type(None): "nothing"}
        said = kind.get(type(found), "no finite number" if isinstance(found, float) else "too long a text")
        raise ValueError(f"returned {said}, expected a number, text, or true/false")

    async def close(self) -> None:
        if self._extensions is not None:
            self._extensions.close()
            self._extensions = None
