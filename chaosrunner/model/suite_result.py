"""What a suite is made of once its files are read, and what came of it. Times are wall time, epoch seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from chaosrunner.model.frozen import Frozen, JsonObject
from chaosrunner.model.words import Answer


def labelled(name: str, parameters: Mapping[str, object]) -> str:
    """An experiment with the parameters that it was given: `slow (delay=200ms, share=0.5)`."""
    told = ", ".join(f"{each}={value}" for each, value in parameters.items())
    return f"{name} ({told})" if told else name


class SuiteItem(Frozen):
    """One experiment of a suite with one set of parameters: one run, and its further attempts."""

    experiment: str
    """Its name."""
    title: str = ""
    service: str = ""
    """Whose promise is tested."""
    reference: str
    """What leads to it from the current folder: its path, or its name where a file holds several."""
    environment: str | None = None
    """Name or path; None: the experiment's own."""
    environment_name: str = ""
    environment_class: str = ""
    parameters: JsonObject = {}
    """Sorted by name."""
    after: tuple[str, ...] = ()
    retries: int = 0
    file: str
    """Its file, as seen from the current folder."""
    line: int = 1

    @property
    def label(self) -> str:
        """How lines about it begin: its name, and its parameters if it has any."""
        return labelled(self.experiment, self.parameters)


class ItemResult(Frozen):
    """What came of one item."""

    item: SuiteItem
    runs: tuple[str, ...] = ()
    """Ids of its attempts, oldest first; empty: it did not take place."""
    answer: Answer
    """Broken if an attempt was, otherwise the last one's."""
    exit_code: int
    """As `chaosrunner run` would have answered."""
    why: str
    """One sentence."""
    began: float | None = None
    """Wall time, epoch seconds."""
    seconds: float = 0.0
    """Of all attempts."""


class SuiteResult(Frozen):
    """What came of a suite; kept as `suites/ID/result.json` in the state folder."""

    schema_: Literal["chaosrunner.suite/1"] = "chaosrunner.suite/1"
    id: str
    """Sorts by time."""
    suite: str
    title: str = ""
    file: str = ""
    began: float
    ended: float
    exit_code: int
    stopped: str = ""
    """Why not everything was run; empty: it was."""
    items: tuple[ItemResult, ...] = ()
    """In the suite's order."""
