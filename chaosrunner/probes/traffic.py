"""A probe of what the run's own load generator sees."""

from __future__ import annotations

from typing import Literal

from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration
from chaosrunner.ports import Parameters, Probe, TrafficWindow, Value


class Params(Parameters):
    """What to read of the built-in load."""

    read: Literal["errorRatio", "throughput", "p50", "p95", "p99"]
    """`errorRatio`: the share of requests that failed: another status than `expect`, refused, reset, garbage, past
    the traffic's timeout, or still unanswered after `over`; `throughput`: expected answers a second; `p50`, `p95` and
    `p99`: the seconds from when a request was due within which this share of the requests had their answer. One that
    never gets an answer counts as the traffic's timeout."""
    over: Duration = Field(default=5.0, ge=1, le=300)
    """The window; default 5s."""


class Traffic(Probe[Params]):
    """Reads the run's built-in open-loop load (`traffic:` of the experiment) over the last few seconds.

    When not one of the requests of the window was answered, the latencies are *no answer*. A generator that is not
    running, or that fell behind its own schedule, gives *no reading*: its numbers would be about itself. A quantile
    bears half as many requests that were started late as lie above it (p95: 2.5 %), the others a fifth.
    """

    needs_traffic = True
    example = "traffic: {read: p95, over: 5s}"

    @classmethod
    def unit(cls, params: Params) -> str | None:
        return {"errorRatio": "ratio", "throughput": "/s"}.get(params.read, "s")

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.over

    @classmethod
    def kind_of(cls, params: Params) -> Literal["latency", "ratio", "rate"] | None:
        kinds: dict[str, Literal["ratio", "rate"]] = {"errorRatio": "ratio", "throughput": "rate"}
        return kinds.get(params.read, "latency")

    async def read(self) -> Value:
        if self.context.traffic is None:
            raise NoReading("there is no load to read: the experiment's `traffic` sends it, and only during a run")
        window = self.context.traffic.window(self.params.over)
        if self.params.read == "throughput":
            return window.answered / window.seconds
        if self.params.read == "errorRatio":
            return _error_ratio(window)
        value, rank = {"p50": (window.p50, 0.50), "p95": (window.p95, 0.95), "p99": (window.p99, 0.99)}[
            self.params.read
        ]
        if value is None:
            raise NoAnswer(_silence(window))
        if window.late > (1 - rank) / 2:
            raise NoReading(
                f"the load generator started {window.late:.1%} of its requests late, too many for a "
                f"{self.params.read}: this machine is too busy"
            )
        return value


def _error_ratio(window: TrafficWindow) -> float:
    decided = window.answered + window.errors
    if not decided:
        raise NoAnswer(_silence(window))
    return window.errors / decided


def _silence(window: TrafficWindow) -> str:
    why = f": {window.why}" if window.why else ""
    return f"none of the {window.due} requests of the last {window.seconds:.3g} s was answered{why}"
