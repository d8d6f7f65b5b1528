"""Where a secret's value comes from. Files hold references; the value is read when it is needed and never shown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from chaosrunner.errors import UsageError
from chaosrunner.model.secret import Secret, SecretRef

_LONGEST = 64 * 1024
_SHORTEST = 4
"""Characters of a secret that is looked for in texts: shorter ones are found in any text."""
_SHORTEST_PART = 8
_LONG_SEGMENT = 16
"""Characters of parts of a secret URL: shorter ones are words such as `services`."""
_resolved: set[str] = set()
HIDDEN = "(secret)"
"""What stands in a text where a secret was."""


def without_secrets(text: str) -> str:
    """The text with every secret taken out that this process has resolved: a system may answer with what it was sent,
    and its answers are kept and shown."""
    for value in sorted(_resolved, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def resolve(ref: SecretRef, folder: Path, environ: Mapping[str, str] | None = None) -> Secret:
    """The value that a reference names; relative files start at `folder`, one line end at a file's end is dropped.

    Raises `UsageError` that names the reference and what is wrong with it, never the value.
    """
    if ref.env is not None:
        value = (os.environ if environ is None else environ).get(ref.env)
        if value is None:
            raise UsageError(f"a secret is missing: the {ref} is not set")
    elif ref.file is not None:
        value = _read(folder / Path(ref.file).expanduser(), ref)
    else:
        raise UsageError(f"the {ref} can only be read by a run inside its cluster: expected env or file here")
    if not value:
        raise UsageError(f"a secret is empty: the {ref} holds nothing")
    if len(value) >= _SHORTEST:
        hide(value)
    return Secret(value)


def hide(value: str) -> None:
    """From now on this is taken out of texts, and so are its parts where it is a URL: a webhook's whole secret is its
    path, and a service that refuses may answer with that alone."""
    _resolved.add(value)
    if "://" not in value:
        return
    try:
        parts = urlsplit(value.strip())
    except ValueError:
        return
    path = parts.path.strip("/")
    long = [path, *(each for each in path.split("/") if len(each) >= _LONG_SEGMENT)]
    query = [found for _, found in parse_qsl(parts.query)]
    for part in (*long, *query, unquote(path), parts.username or "", parts.password or ""):
        if len(part) >= _SHORTEST_PART:
            _resolved.add(part)


def _read(path: Path, ref: SecretRef) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise UsageError(f"a secret cannot be read: the {ref}: {error.strerror}") from None
    if len(content) > _LONGEST:
        raise UsageError(f"the {ref} is no secret: it is longer than {_LONGEST} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise UsageError(f"the {ref} is no secret: it is not text") from None
    return text.removesuffix("\n").removesuffix("\r")
