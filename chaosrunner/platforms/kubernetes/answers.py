"""What the API server answers: objects, refusals in its own words, and what came through it from behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaosrunner.errors import NotPossibleNow
from chaosrunner.model.frozen import JsonObject

Object = dict[str, Any]
"""A Kubernetes object as JSON."""
TIMEOUT = 8.0
"""Seconds of one request, unless told otherwise: less than the ten that a plan's look at a target may take."""
_HELD = "FieldManagerConflict"


class ApiError(NotPossibleNow):
    """What the API server answered instead of what was asked for, or that it did not answer (`code` 0)."""

    def __init__(self, asked: str, code: int, message: str, reason: str = "", retry_after: float | None = None) -> None:
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes: Mapping[str, str] = {}
        """By their reasons: what else the server said of why (`DisruptionBudget`)."""
        self.held: Sequence[tuple[str, str]] = ()
        """(field manager, field) of those fields that others hold against a server-side apply."""
        said = f"the API server answers {code}" if code else "the API server cannot be reached"
        super().__init__(f"{asked}: {said}: {message}")

    @property
    def not_found(self) -> bool:
        """There is no such object (any more)."""
        return self.code in (404, 410)

    @property
    def passing(self) -> bool:
        """Whether the same request may well succeed in a moment: overload, a restart, a broken connection."""
        return self.code in (0, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Executed:
    """What a command in a container gave."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back through the API server from behind it, whatever the status."""

    status: int
    reason: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """At most the bytes that were asked for."""
    cut: bool
    """The body is longer."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`, and the object."""

    type: str
    object: Object


def refusal(asked: str, code: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """What an answer with a status of 400 and above says."""
    try:
        status = json.loads(body)
        message, reason = str(status.get("message", "")), str(status.get("reason", ""))
        found = (status.get("details") or {}).get("causes") or ()
        held = [(_manager(each), str(each.get("field", ""))) for each in found if each.get("reason") == _HELD]
        causes = {str(each.get("reason", "")): str(each.get("message", "")) for each in found}
    except (ValueError, AttributeError):
        message, reason, causes, held = body[:200].decode("utf-8", "replace").strip(), "", {}, []
    told = headers.get("Retry-After", "")
    error = ApiError(asked, code, message or "no reason given", reason, float(told) if told.isdigit() else None)
    error.causes, error.held = causes, held
    return error


def _manager(cause: Mapping[str, Any]) -> str:
    """`conflict with "kubectl" using batch/v1`: who is meant."""
    return str(cause.get("message", "")).partition('"')[2].partition('"')[0]


def in_words(error: BaseException, limit: float = TIMEOUT) -> str:
    """Why there was no answer; `limit`: the seconds that it had."""
    if isinstance(error, TimeoutError):
        return f"no answer within {limit:g} s"
    return str(error) or type(error).__name__


def hint(code: int) -> str:
    """What a status of a stream that was refused means; empty: nobody knows."""
    return {403: " (the right is missing)", 404: " (no such pod or container)"}.get(code, "")


def exit_code(status: bytes) -> int:
    """Of the error stream's Status object; -1: the connection ended without one."""
    try:
        read: JsonObject = json.loads(status)
    except ValueError:
        return -1
    if read.get("status") == "Success":
        return 0
    details: Any = read.get("details") or {}
    causes = [each for each in details.get("causes", ()) if each.get("reason") == "ExitCode"]
    return int(causes[0]["message"]) if causes else -1
