"""Pushes what a run came to, and the near misses of its service, to a Prometheus Pushgateway."""

from __future__ import annotations

import base64
from urllib.parse import quote

from chaosrunner.exposition import CONTENT_TYPE, of_near_misses, of_one_run
from chaosrunner.http import Asked, Url, refusal, request_as
from chaosrunner.model.access import Access
from chaosrunner.model.figures import NearMissFigures, RunFigures
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.ports import Notifier


class Params(Access):
    """Which Pushgateway."""

    url: Url
    """Base URL, without `/metrics`."""
    job: str = Field(default="chaosrunner", min_length=1)
    """The label `job` of what is pushed; default chaosrunner."""


class Pushgateway(Notifier[Params]):
    """Replaces two groups of metrics after each run: the last run of this experiment here, and the near misses.

    For runs that nobody scrapes, as in a pipeline. The groups go by experiment and environment, and by service and
    environment class, never by run, so that series do not grow in number. Where `chaosrunner serve` is scraped, it is
    not needed. docs/monitoring.md lists the metrics; counters are not pushed: each process would begin them anew.
    """

    example = """\
notify:
  - pushgateway: {url: "http://pushgateway.monitoring:9091"}
"""

    async def send(self, event: JsonObject) -> None:
        if event["event"] != "run-ended":
            return
        run = RunFigures.model_validate(event["figures"])
        await self._put({"experiment": run.experiment, "environment": run.environment}, of_one_run(run))
        near_misses = event.get("nearMisses")
        if isinstance(near_misses, list):
            found = [NearMissFigures.model_validate(one) for one in near_misses]
            group = {"service": str(event["service"]), "environment_class": str(event["environmentClass"])}
            await self._put(group, of_near_misses(found, float(str(event["at"]))))

    async def _put(self, group: dict[str, str], text: bytes) -> None:
        """Replace a group as a whole: what is not pushed any more is gone."""
        access = self.params
        path = "".join(_part(name, value) for name, value in {"job": self.params.job, **group}.items())
        request = request_as(
            access,
            f"{access.url.rstrip('/')}/metrics{path}",
            method="PUT",
            headers={**access.headers, "Content-Type": CONTENT_TYPE},
            body=text,
            asked=Asked.SERVICE,
            keep=64 * 1024,
            retries=2,
        )
        reply = await self.context.http.send(request)
        if reply.status not in (200, 202):
            raise refusal(reply.status)(
                f"the Pushgateway refused the metrics ({reply.status}): {reply.says() or reply}"
            )


def _part(name: str, value: str) -> str:
    """A label in the path; a value with a slash, or none, is written in base64."""
    if value and "/" not in value:
        return f"/{name}/{quote(value, safe='')}"
    return f"/{name}@base64/{base64.urlsafe_b64encode(value.encode()).decode() or '='}"
