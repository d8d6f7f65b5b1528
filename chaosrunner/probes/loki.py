"""A probe that asks Loki: the number that a metric query gives, or how many lines match."""

from __future__ import annotations

import re
from typing import Annotated, Any

from chaosrunner.http import Url
from chaosrunner.instrument import Instrument
from chaosrunner.model.access import Access
from chaosrunner.model.marks import AfterValidator, Field, model_validator
from chaosrunner.model.quantities import Duration, parse_duration, write_duration
from chaosrunner.ports import Probe, Value

_STRING = r'"(?:[^"\\]|\\.)*"|`[^`]*`'
_STREAMS = re.compile(rf"\{{(?:[^{{}}\"`]|{_STRING})*\}}")
_RANGE = re.compile(r"\[\s*([0-9a-z]+)\s*\]")


def _check_lines(text: str) -> str:
    found = _STREAMS.match(text.strip())
    if found is None:
        raise ValueError(f'expected a log query such as {{app="checkout"}} |= "panic", found {text!r}')
    if _RANGE.search(re.sub(_STRING, "", text)):
        raise ValueError("expected a log query without a range: `over` says over what time lines are counted")
    return text.strip()


def _check_query(text: str) -> str:
    if not text.strip() or _STREAMS.match(text.strip()):
        raise ValueError(
            'expected a metric query such as sum(rate({app="checkout"}[1m])); a log query goes with `lines`'
        )
    return text.strip()


class Params(Access):
    """What to ask, and whom."""

    url: Url
    """Base URL without `/loki/api`."""
    tenant: str | None = None
    """Sent as `X-Scope-OrgID`."""
    query: Annotated[str, AfterValidator(_check_query)] | None = None
    """A metric query of LogQL whose result is one number: a scalar, or one series."""
    lines: Annotated[str, AfterValidator(_check_lines)] | None = None
    """Instead: a log query, whose lines within `over` are counted."""
    over: Duration | None = Field(default=None, gt=0)
    """With `lines`: the time over which they are counted."""
    alive: Duration = Field(default=600.0, gt=0)
    """With `lines`: none is only 0 if the streams had any line within so long a time; default 10m."""
    delay: Duration = Field(default=5.0, ge=0)
    """How long a line may take until Loki can be asked for it: everything is read as it was so long ago. Default 5s,
    part of the readings' lag."""

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if (self.query is None) == (self.lines is None):
            raise ValueError("expected one of query and lines")
        if (self.lines is None) == (self.over is not None):
            raise ValueError("lines needs over: the time over which they are counted; a query has its own ranges")
        return self

    @property
    def range(self) -> float:
        """How far (seconds) it looks back."""
        if self.over is not None:
            return self.over
        ranges = [0.0]
        for text in _RANGE.findall(re.sub(_STRING, "", self.query or "")):
            try:
                ranges.append(parse_duration(text))
            except ValueError:
                continue  # Loki will say what is wrong with it
        return max(ranges)


class Loki(Probe[Params]):
    """Reads one number from Loki: the result of a metric query, or how many lines a log query finds.

    No matching line is 0 only where the streams themselves (the part in braces) had lines within `alive`: otherwise
    their labels may be wrong, or nothing is collected, and there is *no reading*. So it is where Loki does not answer,
    refuses, warns of partial data, or where a query gives no data, several series, lines instead of a number, NaN or an
    infinity.
    """

    example = """loki:
  url: http://loki.monitoring:3100
  lines: '{app="checkout"} |= "panic"'
  over: 30s"""

    _loki: Instrument | None = None

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.range + params.delay

    async def open(self) -> None:
        self._loki = Instrument(self.context.http, "Loki", self.params.url, self.params)

    async def read(self) -> Value:
        if self._loki is None:
            await self.open()
        assert self._loki is not None
        at = self.context.clock.now() - self.params.delay
        if self.params.lines is None or self.params.over is None:
            assert self.params.query is not None
            number = await self._ask(self._loki, self.params.query, at)
            if number is None:
                self._loki.fail("the query has no data (an empty result)")
            return number
        lines, over = self.params.lines, write_duration(self.params.over)
        return await self._ask(self._loki, f"sum(count_over_time({lines} [{over}]))", at) or await self._none(lines, at)

    async def _none(self, lines: str, at: float) -> float:
        """No line matched: 0 if the streams have lines at all."""
        assert self._loki is not None
        streams = _STREAMS.match(lines)
        assert streams is not None
        alive = write_duration(self.params.alive)
        if not await self._ask(self._loki, f"sum(count_over_time({streams[0]} [{alive}]))", at):
            self._loki.fail(
                f"{streams[0]} had no line at all within {alive}: its labels are wrong, or nothing is collected"
            )
        return 0.0

    async def _ask(self, loki: Instrument, query: str, at: float) -> float | None:
        """The one number; None: an empty result."""
        form = {"query": query, "time": f"{at:.3f}"}
        headers = {} if self.params.tenant is None else {"X-Scope-OrgID": self.params.tenant}
        reply = await loki.send(loki.prepare("/loki/api/v1/query", form=form, headers=headers))
        if reply.status != 200:  # its errors are plain text
            loki.fail(f"refused the query ({reply.status}): {reply.says() or reply}")
        answer = loki.document(reply)
        if answer.get("warnings"):
            loki.fail(f"the data may be partial: {'; '.join(map(str, answer['warnings']))[:300]}")
        data = answer.get("data")
        if answer.get("status") != "success" or not isinstance(data, dict) or "result" not in data:
            loki.fail("answered JSON that is not an answer to a query")
        return _number(loki, data)


def _number(loki: Instrument, data: dict[str, Any]) -> float | None:
    kind, result = data.get("resultType"), data["result"]
    if kind == "streams":
        loki.fail("the query gives lines, expected one number: count them with `lines` and `over`")
    if kind not in ("vector", "scalar") or not isinstance(result, list):
        loki.fail(f"the query gives a {kind}, expected one number")
    try:
        if kind == "scalar":
            return loki.number(result[1])
        if len(result) > 1:
            shown = ", ".join(str(one.get("metric", {})) for one in result[:3]) + (", …" if len(result) > 3 else "")
            loki.fail(f"the query gives {len(result)} series ({shown}), expected one: aggregate them, as by sum")
        return loki.number(result[0]["value"][1]) if result else None
    except (AttributeError, KeyError, TypeError, IndexError):
        loki.fail("answered a sample that is none")
