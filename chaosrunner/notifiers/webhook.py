"""A signed webhook, for whatever has no notifier of its own: FireHydrant, Blameless, a program of one's own.

Source: the Standard Webhooks specification, version 1: `webhook-id`, `webhook-timestamp` and `webhook-signature`, which
is `v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`. The id is the same when it is sent again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from chaosrunner.errors import UsageError
from chaosrunner.http import Url
from chaosrunner.model.marks import model_validator
from chaosrunner.model.news import Notice, Telling
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Messenger
from chaosrunner.services import Identity, Service

_PREFIX = "whsec_"


class Params(Telling):
    """Where to, and signed with what."""

    url: Url | None = None
    """Where to; or `urlFrom`."""
    url_from: SecretRef | None = None
    """Where the URL is, if it is a secret itself."""
    secret: SecretRef
    """Where the key is that it is signed with; `whsec_` and base64, or the key's own letters."""
    bearer_token: SecretRef | None = None
    """Where a token is that the receiver asks for besides."""
    headers: dict[str, str | SecretRef] = {}
    """Further headers; a value is text, or where a secret is: `{env: API_KEY}`."""

    @model_validator(mode="after")
    def _one_url(self) -> Params:
        if (self.url is None) == (self.url_from is None):
            raise ValueError("expected one of url and urlFrom")
        return self


class Webhook(Messenger[Params]):
    """Posts each piece of news as JSON, signed so that the receiver can tell who sent it and when. The receiver tells a
    repetition by its `webhook-id`; anything but a 2xx is tried again later."""

    example = (
        "notify: [{webhook: {url: https://hooks.example/chaos, secret: {env: HOOK_KEY}, events: [found, verified]}}]"
    )
    keyed = True
    per_minute = 60

    async def tell(self, notice: Notice) -> None:
        http, params = self.context.http, self.params
        identity = Identity(bearer=params.bearer_token, headers=params.headers)
        if params.url_from is not None:
            service = Service.at_secret(http, "the webhook", params.url_from, identity, params)
        else:
            service = Service(http, "the webhook", str(params.url), identity, params)
        body = json.dumps({"schema": "chaosrunner.notice/1", **notice.as_json()}, ensure_ascii=False).encode()
        sent = str(int(self.context.clock.now()))
        signature = sign(_key(http.secret(params.secret).reveal()), notice.id, sent, body)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": sent,
            "webhook-signature": f"v1,{signature}",
        }
        await service.ask("POST", "", body, keyed=True, good=range(200, 300), headers=headers)


def sign(key: bytes, id: str, timestamp: str, body: bytes) -> str:
    """Base64 of the HMAC-SHA256 over `ID.TIMESTAMP.BODY`."""
    signed = f"{id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise UsageError("the webhook's secret begins with whsec_ and is not base64 behind it") from None
