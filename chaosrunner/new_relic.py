"""The seam of what speaks with New Relic: which way in there is, and where its NerdGraph (GraphQL) is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from chaosrunner.model.access import Access
from chaosrunner.model.marks import model_validator
from chaosrunner.model.secret import SecretRef
from chaosrunner.urls import Url

__all__ = ["NERDGRAPH", "OfNewRelic"]

NERDGRAPH = "/graphql"
"""Its path."""
_HOSTS = {"us": "https://api.newrelic.com", "eu": "https://api.eu.newrelic.com", "jp": "https://api.jp.newrelic.com"}


class OfNewRelic(Access):
    """Whose key, and where the data is."""

    api_key: SecretRef
    """Where a user key (`NRAK-…`) is."""
    region: Literal["us", "eu", "jp"] = "us"
    """Where the account's data is; default us."""
    url: Url | None = None
    """Instead of `region`: the base URL of a proxy, without `/graphql`."""

    @model_validator(mode="after")
    def _key_is_the_way_in(self) -> OfNewRelic:
        if self.bearer_token is not None or self.basic is not None:
            raise ValueError("New Relic is asked with apiKey, not with bearerToken or basic")
        return self

    @property
    def host(self) -> str:
        """The beginning of all URLs, without a slash at its end."""
        return (self.url or _HOSTS[self.region]).rstrip("/")

    @property
    def key(self) -> Mapping[str, SecretRef]:
        """The header that says who asks."""
        return {"API-Key": self.api_key}
