"""`POST /hooks/generic`: reports as JSON, from whatever can send some.

One object, a list of them, or `{"reports": [...]}`; the fields are those of `near-miss report FILE`, and besides `id`
(what arrives twice counts once) and `status` (`resolved` opens nothing). Whoever sends it knows the token, or signs it
as the Standard Webhooks specification says (version 1): `webhook-id`, `webhook-timestamp` (within five minutes) and
`webhook-signature`, `v1,` and the base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

from chaosrunner.errors import UsageError
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.report import Report, WrittenReport
from chaosrunner.serve.asking import Asked, Door, Route
from chaosrunner.serve.told import (
    Needless,
    NotTaken,
    Way,
    bytes_of,
    clean,
    knows_the_token,
    line,
    links,
    mapping,
    moment,
    one_of,
    story,
)
from chaosrunner.serve.told import report as report_of

LATE = 300.0
"""Seconds that what is signed may be old, or ahead."""
_PREFIX = "whsec_"
_OWN = ("id", "status")
_PLACED = frozenset(
    {"title", "service", "story", "happened", "environment", "owner", "links", "tier", "same_as", "labels"}
    | {"experiments"}
)
"""Fields of a report that are cleaned, or follow from the door; the others are taken as they are."""


def _proven(door: Door, asked: Asked, now: float) -> bool:
    signed = bool(door.keys) and _signed(door, asked, now)
    return knows_the_token(door, asked, now) or signed


def _signed(door: Door, asked: Asked, now: float) -> bool:
    id, sent = asked.headers.get("webhook-id", ""), asked.headers.get("webhook-timestamp", "")
    if not id or not sent.isascii() or not sent.isdigit() or abs(now - int(sent[:15])) > LATE:
        return False
    content = bytes_of(f"{id}.{sent}.") + asked.body
    right = [hmac.new(key_of(key.reveal()), content, hashlib.sha256).digest() for key in door.keys]
    expected = [f"v1,{base64.b64encode(each).decode()}" for each in right]
    return one_of(asked.headers.get("webhook-signature", "").split(), expected)


def key_of(secret: str) -> bytes:
    """The key's bytes: behind `whsec_` they are base64. Raises `UsageError`."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise UsageError("the secret of incoming.generic begins with whsec_ and is not base64 behind it") from None


def _reports(body: JsonValue) -> Sequence[JsonValue]:
    if isinstance(body, dict) and isinstance(several := body.get("reports"), list):
        return several
    if isinstance(body, list):
        return body
    if isinstance(body, dict):
        return [body]
    raise UsageError('expected a report, a list of reports, or {"reports": [...]}')


def _read(part: JsonValue, door: Door, asked: Asked, now: float) -> Report:
    told = dict(mapping(part, "the report"))
    id, status = (line(told.pop(name, None), 200) for name in _OWN)
    if status.lower() in ("resolved", "closed", "ok"):
        raise Needless(f"it is {status}")
    written = WrittenReport.model_validate({"service": door.hook.service or "", **told}, by_alias=True, by_name=False)
    if written.environment not in ("", door.environment.name):
        raise NotTaken(f"this is the way to {door.environment.name}, not to {line(written.environment, 100)}")
    plain: dict[str, Any] = {name: getattr(written, name) for name in WrittenReport.model_fields if name not in _PLACED}
    return report_of(
        door,
        title=line(written.title) or "without a title",
        service=line(written.service, 100),
        story=story(clean(written.story)),
        at=moment(written.happened, now),
        owner=line(written.owner, 100) or door.hook.owner,
        tier=written.tier or door.hook.tier,
        links=links(*written.links),
        labels=_lines(written.labels, 60),
        experiments=_lines(written.experiments, 200),
        same_as=f"told|{door.environment.class_name}|{line(written.same_as, 500)}" if written.same_as else "",
        delivery=f"told|{door.environment.name}|{id}" if id else "",
        **plain,
    )


def _lines(texts: Sequence[str], most: int) -> tuple[str, ...]:
    return tuple(filter(None, (line(each, most) for each in texts[:20])))


WAY = Way("generic", _proven, _reports, _read)
ROUTES = (Route("POST", "/hooks/generic", WAY.answer, for_all=True),)
