"""What others tell over HTTP, to draft near misses: who is let in, how much is read, what becomes of each part.

Each way in (Alertmanager, PagerDuty, generic) is a route that says how its senders prove themselves and what their JSON
means. Nothing that arrives is believed further than that: texts are cut and cleaned, links must be links, and what was
told before counts once, however often it is sent.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from chaosrunner.errors import UsageError
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.report import Report
from chaosrunner.model.words import Source
from chaosrunner.records.light import dataclass
from chaosrunner.records.patterns import pattern
from chaosrunner.secrets import without_secrets
from chaosrunner.serve.asking import Answer, Asked, Door, Handler, RouteContext

DEEPEST = 20
"""Levels of lists and objects in each other."""
MOST = 500
"""Alerts, incidents or reports in one request."""
LONGEST_STORY = 4000
"""Characters."""
_LONGEST_LINK = 2000
_AHEAD = 300.0
"""Seconds by which a sender's clock may be ahead."""
_OLDEST = 5 * 365 * 86400.0
"""Seconds before which nothing happened that is told now."""
_CONTROLS = pattern(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What no text needs: control characters, halves of characters, and those that turn the writing's direction."""


class NotTaken(Exception):
    """One part of what was told is not taken; its message says why."""


class Needless(NotTaken):
    """It is right, and opens nothing."""


Proof = Callable[[Door, Asked, float], bool]
"""Whether whoever asks knows what this door asks for. `now`: wall time."""
Parts = Callable[[JsonValue], Sequence[JsonValue]]
"""The alerts, incidents or reports that one request has. Raises `UsageError` for what is none."""
Read = Callable[[JsonValue, Door, Asked, float], Report]
"""One of them as a report. Raises `NotTaken`."""


@dataclass(frozen=True)
class Way:
    """How one kind of sender tells something."""

    kind: str
    proof: Proof
    parts: Parts
    read: Read

    @property
    def answer(self) -> Handler:
        """The route's answer."""

        async def told(asked: Asked, context: RouteContext) -> Answer:
            return await _told(self, asked, context)

        return told


async def _told(way: Way, asked: Asked, context: RouteContext) -> Answer:
    doors = context.doors.get(way.kind, ())
    if not doors:
        return Answer("404: Not Found\n", 404)
    now = context.clock.now()
    open_ = [door for door in doors if way.proof(door, asked, now)]  # each is asked: time says nothing about which
    if not open_:
        return Answer("this sender is not known, or its signature is wrong\n", 401)
    kind = asked.headers.get("Content-Type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return Answer("expected application/json\n", 415)
    door, parts = open_[0], way.parts(parsed(asked.body))
    if len(parts) > MOST:
        raise UsageError(f"expected at most {MOST} at once, found {len(parts)}")
    reports: list[Report] = []
    ignored, refused = [], []
    for number, part in enumerate(parts):
        try:
            reports.append(way.read(part, door, asked, now))
        except Needless as why:
            ignored.append({"n": number, "why": str(why)})
        except (NotTaken, ValueError) as why:
            refused.append({"n": number, "why": _in_a_line(why)})
    recorded, explained = await asyncio.to_thread(_keep, reports, way.kind, context) if reports else ([], [])
    words = {"recorded": recorded, "explained": explained, "ignored": ignored, "refused": refused}
    status = 422 if refused and not reports else 200
    return Answer(json.dumps(words) + "\n", status, "application/json")


_Words = list[dict[str, str]]


def _keep(reports: Sequence[Report], actor: str, context: RouteContext) -> tuple[_Words, _Words]:
    """What was recorded, and what a run explains."""
    from chaosrunner.model.heard import Heard
    from chaosrunner.register import open_register

    with open_register(context.state, context.clock) as register:
        done = [register.told(report, actor) for report in reports]
    recorded = [
        {"nearMiss": each.near_miss.id, "sighting": each.sighting.value} for each in done if not isinstance(each, Heard)
    ]
    explained = [{"title": each.report.title, "seenDuring": each.run} for each in done if isinstance(each, Heard)]
    return recorded, explained


# ------------------------------------------------------------------------------------------------------- who is let in


def knows_the_token(door: Door, asked: Asked, now: float) -> bool:
    """Whether the request has this door's token."""
    given = bytes_of(asked.headers.get("Authorization", ""))
    return door.token is not None and hmac.compare_digest(given, b"Bearer " + bytes_of(door.token.reveal()))


def one_of(given: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether one of the signatures is one of those expected; takes as long whichever it is."""
    found = False
    for signature in given[:20]:
        for right in expected:
            found |= hmac.compare_digest(bytes_of(signature), bytes_of(right))
    return found


def bytes_of(header: str) -> bytes:
    """Also of what is no text."""
    return header.encode(errors="surrogateescape")


# ----------------------------------------------------------------------------------------------------- what is written


def parsed(body: bytes) -> JsonValue:
    """The JSON of a body. Raises `UsageError` for what is none, or lies too deep in itself."""
    try:
        value: JsonValue = json.loads(body.decode(), parse_constant=_no_number)
    except RecursionError:
        raise UsageError(f"expected at most {DEEPEST} levels of lists and objects") from None
    except ValueError as error:
        raise UsageError(f"the body is no JSON: {error}") from None
    layer: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        layer = [each for each in layer if isinstance(each, dict | list)]
        if not layer:
            return value
        layer = [child for each in layer for child in _children(each)]
    raise UsageError(f"expected at most {DEEPEST} levels of lists and objects")


def _children(of: dict[str, Any] | list[Any]) -> list[Any]:
    return list(of.values()) if isinstance(of, dict) else of


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def mapping(value: JsonValue, what: str) -> Mapping[str, JsonValue]:
    """It, which must be an object. Raises `NotTaken`."""
    if not isinstance(value, dict):
        raise NotTaken(f"{what} is no object")
    return value


def line(value: JsonValue, most: int = 300) -> str:
    """One line of text; empty for what is none."""
    text = " ".join(clean(value).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def story(*parts: str) -> str:
    """Paragraphs, as long as a story may be."""
    text = "\n\n".join(part for part in parts if part)
    return text if len(text) <= LONGEST_STORY else f"{text[: LONGEST_STORY - 1]}…"


def clean(value: JsonValue) -> str:
    """Text without what no text needs, and without any secret of ours."""
    return without_secrets(_CONTROLS.sub(" ", value)).strip() if isinstance(value, str) else ""


def links(*values: JsonValue) -> tuple[str, ...]:
    """Those that are links that a browser may open."""
    texts = [clean(value) for value in values]
    good = [text for text in texts if text.startswith(("https://", "http://")) and len(text) <= _LONGEST_LINK]
    return tuple(dict.fromkeys(text for text in good if not any(sign in text for sign in " \n\t<>\"'`")))


def moment(value: JsonValue, now: float) -> float:
    """Epoch seconds of a time as RFC 3339 writes it; 0 where there is none. Raises `NotTaken` for what cannot be."""
    text = line(value, 100)
    if not text or text.startswith("0001-"):  # Go's way to say: none
        return 0.0
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise NotTaken(f"{text!r} is no time") from None
    at = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if not now - _OLDEST < at < now + _AHEAD:
        raise NotTaken(f"{text} is no time at which this happened")
    return min(at, now)


def report(door: Door, title: str, service: str, **more: Any) -> Report:
    """A draft of this door's environment. Raises `NotTaken` where nobody says whose promise it is about."""
    named = door.hook.services.get(service, service) or door.hook.service or ""
    if not named:
        raise NotTaken("it does not say which service it is about, and the environment's file names none")
    spec = door.environment.spec
    usual: dict[str, Any] = {
        "environment": door.environment.name,
        "environment_class": door.environment.class_name,
        "tracker": spec.tracker.kind if spec.tracker else None,
        "due_days": spec.due.days,
        "source": Source.ALERT,
        "owner": door.hook.owner,
        "tier": door.hook.tier,
    }
    given = {name: value for name, value in more.items() if value is not None}
    return Report.model_validate(usual | given | {"title": line(title), "service": line(named, 100)})


def _in_a_line(error: Exception) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        found = error.errors(include_url=False)
        first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
        where = line(".".join(map(str, first["loc"])), 100)
        if first["type"] == "extra_forbidden":
            return f"there is no field {where}"
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    return line(str(error)) or type(error).__name__
