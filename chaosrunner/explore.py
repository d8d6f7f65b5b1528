"""Links to where people look further: Grafana's Explore, and Prometheus's own page of graphs.

Explore's address is that of Grafana 10 and later (`schemaVersion=1`, `panes`).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from chaosrunner.model.evidence import Link
from chaosrunner.model.frozen import Parameters
from chaosrunner.model.marks import Field
from chaosrunner.urls import Url, redact

AROUND = 0.5
"""How much more than the stretch itself is shown on each side, as a share of it; and at least a minute."""


class Explore(Parameters):
    """Which Grafana has this source."""

    url: Url
    """Grafana's base URL."""
    uid: str = Field(min_length=1)
    """The data source's uid, as its settings page has it in its address."""
    org: int = Field(default=1, ge=1)
    """The organisation's id; default 1."""

    def link(self, kind: str, expr: str, began: float, ended: float) -> Link:
        """To a query in Explore. `kind`: the data source's type, `prometheus` or `loki`."""
        start, end = around(began, ended)
        source = {"type": kind, "uid": self.uid}
        pane = {
            "datasource": self.uid,
            "queries": [{"refId": "A", "datasource": source, "expr": expr}],
            "range": {"from": str(round(start * 1000)), "to": str(round(end * 1000))},
        }
        panes = json.dumps({"chaosrunner": pane}, separators=(",", ":"))
        query = urlencode({"schemaVersion": "1", "panes": panes, "orgId": self.org}, quote_via=quote)
        return Link(name="Grafana", url=f"{self.url.rstrip('/')}/explore?{query}")


def prometheus_graph(url: str, expr: str, began: float, ended: float) -> Link:
    """To a query on Prometheus's own page."""
    start, end = around(began, ended)
    words = {
        "g0.expr": expr,
        "g0.tab": "0",
        "g0.range_input": f"{max(1, round(end - start))}s",
        "g0.end_input": datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d %H:%M:%S"),
    }
    return Link(name="Prometheus", url=f"{redact(url).rstrip('/')}/graph?{urlencode(words, quote_via=quote)}")


def around(began: float, ended: float) -> tuple[float, float]:
    """A stretch of time with some of what was before and after it."""
    more = max(60.0, AROUND * (ended - began))
    return began - more, ended + more
