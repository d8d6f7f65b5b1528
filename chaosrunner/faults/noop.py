"""A fault that does nothing."""

from __future__ import annotations

from chaosrunner.model.frozen import JsonObject
from chaosrunner.ports import Fault, Parameters, Sighting


class Params(Parameters):
    """There is nothing to say."""


class Noop(Fault[Params]):
    """Breaks nothing and restores nothing: to try an experiment file from beginning to end without harm, and for
    tests. It counts as in force from its injection to its undo."""

    platforms = frozenset({"local", "kubernetes"})
    acts_on = frozenset({"nothing"})
    fault_class = "nothing"
    example = """\
- fault: noop
  for: 10s
"""

    _in_force = False

    @classmethod
    def does(cls, params: Params) -> str:
        return "Nothing is broken."

    @classmethod
    def undoes(cls, params: Params) -> str:
        return "There is nothing to undo."

    async def prepare(self) -> JsonObject:
        return {}

    async def inject(self) -> None:
        self._in_force = True

    async def confirm(self, prepared: JsonObject) -> Sighting:
        return Sighting(self._in_force, "it is on" if self._in_force else "it is off")

    async def undo(self, prepared: JsonObject) -> None:
        self._in_force = False
