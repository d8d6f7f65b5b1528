"""A source of evidence: log lines that Loki has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from chaosrunner.explore import Explore
from chaosrunner.http import Url
from chaosrunner.instrument import Instrument
from chaosrunner.model.access import Access
from chaosrunner.model.evidence import Link
from chaosrunner.model.marks import AfterValidator, Field
from chaosrunner.model.material import Line, Material, Stream, Window
from chaosrunner.ports import Source

_STRING = r'"(?:[^"\\]|\\.)*"|`[^`]*`'
_STREAMS = re.compile(rf"\{{(?:[^{{}}\"`]|{_STRING})*\}}")
_RANGE = re.compile(r"\[\s*[0-9a-z]+\s*\]")
_LARGEST = 32 * 1024 * 1024
_NAMES = ("app", "service", "service_name", "container", "job")
"""Labels that a stream may be called by, the first that it has."""


def _check_query(text: str) -> str:
    if _STREAMS.match(text.strip()) is None or _RANGE.search(re.sub(_STRING, "", text)):
        raise ValueError(f'expected a log query such as {{namespace="shop"}}, found {text!r}')
    return text.strip()


class Params(Access):
    """What to ask, and whom."""

    url: Url
    """Base URL without `/loki/api`."""
    tenant: str | None = None
    """Sent as `X-Scope-OrgID`."""
    query: Annotated[str, AfterValidator(_check_query)]
    """A log query of LogQL: which lines to look at, `{namespace="shop"}`."""
    limit: int = Field(default=5000, ge=100, le=100_000)
    """Lines of one answer; as many are asked for of the fault, and of the time before it, in several answers. Default
    5000, which is Loki's own most (`max_entries_limit_per_query`)."""
    answers: int = Field(default=6, ge=2, le=50)
    """Answers asked for in all; lines that would take more are left out, the oldest first, and it is said. Default
    6."""
    grafana: Explore | None = None
    """Which Grafana has this Loki, for links into its Explore."""


class LokiSource(Source[Params]):
    """Asks Loki for the lines of a query from while the fault was in force, and then for those before it, backwards,
    until enough is known of what is usual or the bounds are reached.

    Lines are told apart by what their streams are called (`app`, `service`, `container` or `job`). What is not complete
    is said, and rates are counted over the time that is.
    """

    example = """\
sources:
  - loki: {url: "http://loki.monitoring:3100", query: '{namespace="shop"}'}
"""

    async def gather(self, window: Window) -> Material:
        loki = Instrument(self.context.http, "Loki", self.params.url, self.params, limit=_LARGEST)
        lines: dict[str, list[Line]] = {}
        unknown: list[str] = []
        meant = max(1, self.params.answers // 2)
        used, since = await self._backwards(loki, (window.began, window.ended), meant, lines)
        if since > window.began:
            unknown.append(
                f"there were too many lines: of the fault only the last {window.ended - since:.0f} s were looked at"
            )
        _, usual = await self._backwards(loki, (window.usual_from, window.began), self.params.answers - used, lines)
        whole, links = since <= window.began, self._links(window)
        streams = [Stream(name, sorted(found), usual, whole, links) for name, found in sorted(lines.items())]
        count = sum(len(found) for found in lines.values())
        if not count:
            unknown.append(f"{self.params.query} had no line at all: its labels may be wrong")
        known = f"from {window.began - usual:.0f} s before the fault"
        looked = f"{count} lines of {len(streams)} streams of {self.params.query}, {known}"
        return Material(loki.name, streams=streams, looked=looked, unknown=unknown)

    async def _backwards(
        self, loki: Instrument, span: tuple[float, float], most: int, lines: dict[str, list[Line]]
    ) -> tuple[int, float]:
        """Take the lines of a span in, the newest first; how many answers it took, and from when on all are there."""
        start, end = span
        for used in range(1, most + 1):
            found = await self._ask(loki, start, end)
            for name, at, line in found:
                lines.setdefault(name, []).append((at, line))
            if len(found) < self.params.limit:
                return used, start
            end = min(at for _, at, _ in found)
        return most, end

    async def _ask(self, loki: Instrument, start: float, end: float) -> list[tuple[str, float, str]]:
        form = {
            "query": self.params.query,
            "start": str(round(start * 1e9)),
            "end": str(round(end * 1e9)),
            "limit": str(self.params.limit),
            "direction": "backward",
        }
        headers = {} if self.params.tenant is None else {"X-Scope-OrgID": self.params.tenant}
        reply = await loki.send(loki.prepare("/loki/api/v1/query_range", form=form, headers=headers))
        if reply.status != 200:  # its errors are plain text
            loki.fail(f"refused the query ({reply.status}): {reply.says() or reply}")
        data = loki.document(reply).get("data")
        if (
            not isinstance(data, dict)
            or data.get("resultType") != "streams"
            or not isinstance(data.get("result"), list)
        ):
            loki.fail("answered JSON that is no lines")
        try:
            return [
                (_called(stream["stream"]), int(value[0]) / 1e9, str(value[1]))
                for stream in data["result"]
                for value in stream["values"]
            ]
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            loki.fail("answered a line that is none")

    def _links(self, window: Window) -> Any:
        grafana, query = self.params.grafana, self.params.query

        def made() -> tuple[Link, ...]:
            return () if grafana is None else (grafana.link("loki", query, window.began, window.ended),)

        return made


def _called(labels: Mapping[str, Any]) -> str:
    for name in _NAMES:
        if labels.get(name):
            return str(labels[name])
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "a stream without labels"
