"""Who may tell chaosrunner of alerts and incidents over HTTP, and what is made of them."""

from __future__ import annotations

from chaosrunner.model.alerts import MatcherText
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.secret import SecretRef


class Hook(Frozen):
    """What all ways in have in common."""

    service: str | None = Field(default=None, min_length=1, max_length=100)
    """Whose promise it is about where what arrives does not say; default: such a one is refused."""
    services: dict[str, str] = {}
    """What the sender calls a service -> its name here; others keep theirs."""
    owner: str | None = None
    """The team that sees to it, where what arrives does not say."""
    tier: int | None = Field(default=None, ge=1, le=4)
    """Of the services, 1 the most important; default: not known."""


class AlertmanagerHook(Hook):
    """`POST /hooks/alertmanager`: a receiver of Alertmanager's."""

    token: SecretRef
    """Where the token is that it sends (`http_config: {authorization: {credentials: …}}`)."""
    service_label: str = "service"
    """Label with the service's name; default `service`."""
    owner_label: str = "team"
    """Label with the owner's name; default `team`."""
    identity: tuple[str, ...] = ()
    """Labels that make two alerts of one name and service two near misses, such as `queue`. Never those of pods."""
    only: tuple[MatcherText, ...] = ()
    """Matchers that an alert must meet, such as `severity="page"`; default: all alerts count."""


class PagerdutyHook(Hook):
    """`POST /hooks/pagerduty`: a webhook subscription (version 3) of PagerDuty's."""

    secrets: tuple[SecretRef, ...] = Field(min_length=1, max_length=5)
    """Where its signing secrets are: one, or two while the secret is changed."""


class GenericHook(Hook):
    """`POST /hooks/generic`: reports as `near-miss report` reads them, as JSON."""

    token: SecretRef | None = None
    """Where the token is that senders send."""
    secret: SecretRef | None = None
    """Where the key is that senders sign with (Standard Webhooks); or `token`, or either of the two."""

    @model_validator(mode="after")
    def _one_proof(self) -> GenericHook:
        if self.token is None and self.secret is None:
            raise ValueError("expected token or secret: nobody may tell without one")
        return self


class Incoming(Frozen):
    """What `chaosrunner serve -e ENVIRONMENT` takes from others; what is not named here is not there."""

    alertmanager: AlertmanagerHook | None = None
    """Alerts."""
    pagerduty: PagerdutyHook | None = None
    """Incidents."""
    generic: GenericHook | None = None
    """Whatever can send JSON."""
