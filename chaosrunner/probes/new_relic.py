"""A probe that asks New Relic: NRQL through NerdGraph, its GraphQL API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from chaosrunner.http import Exchange
from chaosrunner.instrument import Instrument
from chaosrunner.model.marks import AfterValidator, Field, JsonValue
from chaosrunner.model.quantities import Duration
from chaosrunner.new_relic import NERDGRAPH, OfNewRelic
from chaosrunner.ports import Probe, Value

_SINCE = re.compile(r"\bSINCE\s+(\d+)\s+(SECOND|MINUTE|HOUR|DAY|WEEK)S?\s+AGO\b", re.IGNORECASE)
_SECONDS = {"SECOND": 1.0, "MINUTE": 60.0, "HOUR": 3600.0, "DAY": 86400.0, "WEEK": 604800.0}
_FROM = re.compile(r"\bFROM\s+((?:`[^`]+`|[A-Za-z_][\w:.]*)(?:\s*,\s*(?:`[^`]+`|[A-Za-z_][\w:.]*))*)", re.IGNORECASE)
_STRING = r"'(?:[^'\\]|\\.)*'"
_NOT_VALUES = frozenset({"beginTimeSeconds", "endTimeSeconds", "inspectedCount"})


def _check_query(text: str) -> str:
    bare = re.sub(_STRING, "''", text)
    if not re.search(r"\bSELECT\b", bare, re.IGNORECASE) or _FROM.search(bare) is None:
        raise ValueError(f"expected NRQL such as SELECT count(*) FROM Transaction SINCE 1 minute ago, found {text!r}")
    if _SINCE.search(bare) is None:
        raise ValueError("expected NRQL with `SINCE n minutes ago`: without it, New Relic reads the last hour")
    if word := re.search(r"\b(FACET|TIMESERIES|COMPARE\s+WITH)\b", bare, re.IGNORECASE):
        raise ValueError(f"expected NRQL that gives one number, without {word[1].upper()}")
    return text.strip()


class Params(OfNewRelic):
    """Which account, and what to ask."""

    account: int = Field(ge=1)
    """The account's number."""
    query: Annotated[str, AfterValidator(_check_query)]
    """NRQL that gives one number, with `SINCE n seconds ago` (or minutes, hours, days), and without FACET or
    TIMESERIES."""
    timeout: Duration = Field(default=10.0, gt=0, le=70)
    """Of one query, also New Relic's own limit for it; default 10s, at most 70s."""

    @property
    def since(self) -> float:
        """How far (seconds) the query looks back."""
        found = _SINCE.search(re.sub(_STRING, "''", self.query))
        assert found is not None
        return float(found[1]) * _SECONDS[found[2].upper()]


class NewRelic(Probe[Params]):
    """Reads the one number that an NRQL query gives.

    New Relic is the instrument: where it does not answer, refuses, reports errors inside an answer (its GraphQL does so
    with status 200, also beside partial data), gives several rows or numbers, text, null or nothing, there is *no
    reading*, with that reason. NRQL counts 0 events of a type that does not exist: a reading of 0 is taken only if the
    query's event types had any event within the hour before it.
    """

    example = """new-relic:
  account: 1234567
  query: SELECT percentile(duration, 95) FROM Transaction WHERE appName = 'checkout' SINCE 1 minute ago
  apiKey: {env: NEW_RELIC_API_KEY}
  region: eu"""

    _new_relic: Instrument | None = None
    _exchange: Exchange | None = None

    @classmethod
    def lag(cls, params: Params) -> float:
        return params.since

    async def open(self) -> None:
        self._new_relic = Instrument(self.context.http, "New Relic", self.params.host, self.params)
        self._exchange = self._prepare(self._new_relic, self.params.query)

    async def read(self) -> Value:
        if self._exchange is None:
            await self.open()
        assert self._new_relic is not None and self._exchange is not None
        number = await self._number(self._new_relic, self._exchange)
        if number == 0:
            await self._must_have_events(self._new_relic)
        return number

    async def _must_have_events(self, new_relic: Instrument) -> None:
        found = _FROM.search(re.sub(_STRING, "''", self.params.query))
        assert found is not None
        seconds = round(max(3600.0, self.params.since))
        known = self._prepare(new_relic, f"SELECT count(*) FROM {found[1]} SINCE {seconds} seconds ago")
        if await self._number(new_relic, known) == 0:
            new_relic.fail(
                f"0 of nothing: there is no event of {found[1]} within {seconds} s, so its name is wrong or nothing "
                "reports"
            )

    def _prepare(self, new_relic: Instrument, nrql: str) -> Exchange:
        # A text of JSON is one of GraphQL, too.
        asked = f"nrql(query: {json.dumps(nrql)}, timeout: {max(1, round(self.params.timeout))})"
        body: JsonValue = {"query": f"{{ actor {{ account(id: {self.params.account}) {{ {asked} {{ results }} }} }} }}"}
        return new_relic.prepare(NERDGRAPH, json=body, headers=self.params.key)

    async def _number(self, new_relic: Instrument, exchange: Exchange) -> float:
        answer = await new_relic.ask(exchange)
        if errors := answer.get("errors"):
            messages = [str(one.get("message", one)) if isinstance(one, dict) else str(one) for one in errors]
            new_relic.fail(f"refused the query: {'; '.join(messages)[:300]}")
        try:
            rows = answer["data"]["actor"]["account"]["nrql"]["results"]
            (row,) = rows
            values = list(_values(row))
        except (KeyError, TypeError, ValueError):
            new_relic.fail(_what_came(answer))
        if len(values) != 1:
            names = ", ".join(name for name, _ in values)
            new_relic.fail(f"the query gives {len(values)} values ({names or 'none'}), expected one")
        ((name, value),) = values
        if value is None:
            new_relic.fail(f"{name} is null: the query has no data")
        if isinstance(value, str):
            new_relic.fail(f"{name} is the text {value!r:.60}, expected a number")
        return new_relic.number(value)


def _values(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a row; those of percentiles are one level down."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _values(value, f"{name}.")
        elif name not in _NOT_VALUES:
            yield f"{above}{name}", value


def _what_came(answer: Mapping[str, Any]) -> str:
    data = answer.get("data")
    actor = data.get("actor") if isinstance(data, dict) else None
    account = actor.get("account") if isinstance(actor, dict) else None
    if not isinstance(actor, dict):
        return "answered JSON that is not an answer to a query"
    if account is None:
        return "the account is not there, or the key may not see it (account is null)"
    nrql = account.get("nrql") if isinstance(account, dict) else None
    rows = nrql.get("results") if isinstance(nrql, dict) else None
    if isinstance(rows, list):
        return f"the query gives {len(rows)} rows, expected one" if rows else "the query has no data (no rows)"
    return "the query has no result (partial data)"
