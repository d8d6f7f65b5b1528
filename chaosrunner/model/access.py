"""How a service is spoken to over HTTP: who one is there, whom one trusts, and for how long one waits."""

from __future__ import annotations

from chaosrunner.model.frozen import Parameters
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.model.secret import SecretRef


class Basic(Parameters):
    """Basic authentication."""

    user: str
    """The user's name."""
    password: SecretRef
    """Where the password is."""


class Access(Parameters):
    """What a service asks of its clients; the same fields wherever one is asked."""

    bearer_token: SecretRef | None = None
    """Where the token of `Authorization: Bearer …` is."""
    basic: Basic | None = None
    """`{user, password: {env: NAME}}`."""
    headers: dict[str, str | SecretRef] = {}
    """Extra headers, such as a tenant's id; a value is text, or where a secret is: `{env: API_KEY}`."""
    ca_file: str | None = None
    """A private CA, PEM; the only one that is then trusted."""
    client_cert: str | None = None
    """A certificate of our own for servers that ask for one (mTLS), PEM; with its chain, and with its key if there is
    no `clientKey`."""
    client_key: str | None = None
    """Its key, PEM, without a pass phrase."""
    timeout: Duration = Field(default=10.0, gt=0)
    """Of one request, from connecting to the answer's last byte; default 10s."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Access:
        if self.bearer_token is not None and self.basic is not None:
            raise ValueError("expected one of bearerToken and basic")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("clientKey goes with clientCert")
        return self

    @property
    def pair(self) -> tuple[str, SecretRef] | None:
        """User and password, as a request takes them."""
        return None if self.basic is None else (self.basic.user, self.basic.password)


class Reach(Parameters):
    """How a service that is told things is reached, whoever one is there."""

    ca_file: str | None = None
    """A private CA, PEM; the only one that is then trusted."""
    client_cert: str | None = None
    """A certificate of our own for servers that ask for one (mTLS), PEM, with its key."""
    timeout: Duration = Field(default=10.0, gt=0, le=30.0)
    """Of one request, from connecting to the answer's last byte; default 10s."""
