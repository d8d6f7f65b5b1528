"""Firing alerts, as Prometheus knows them: what the guards ask. A silence in Alertmanager does not hide them here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaosrunner.errors import NotPossibleNow
from chaosrunner.http import Asked, Http, Request
from chaosrunner.model.environment import PrometheusSource
from chaosrunner.records.light import dataclass

_BIGGEST = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PrometheusAlerts:
    """`GET /api/v1/alerts` of a Prometheus."""

    source: PrometheusSource
    http: Http

    async def firing(self) -> Sequence[Mapping[str, str]]:
        """Labels of all alerts that fire now. Raises `NotPossibleNow` where that cannot be read."""
        source = self.source
        reply = await self.http.send(
            Request(
                url=f"{source.url.rstrip('/')}/api/v1/alerts",
                headers=source.headers,
                timeout=source.timeout,
                asked=Asked.SERVICE,
                bearer=source.bearer_token,
                basic=source.pair,
                ca_file=source.ca_file,
                client_cert=source.client_cert,
                client_key=source.client_key,
                keep=_BIGGEST,
                retries=2,
            )
        )
        try:
            found = reply.json()
            if reply.status != 200 or found["status"] != "success":
                raise ValueError(f"HTTP {reply.status}")
            alerts = found["data"]["alerts"]
            return [dict(alert["labels"]) for alert in alerts if alert["state"] == "firing"]
        except (ValueError, KeyError, TypeError) as error:
            raise NotPossibleNow(f"Prometheus did not say which alerts fire: {error}") from None
