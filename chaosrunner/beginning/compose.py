"""Reads of a Compose file what `chaosrunner init` needs: services, the ports that they have on this machine, and what
depends on what. The format: https://github.com/compose-spec/compose-spec/blob/main/spec.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from chaosrunner.errors import FileProblems
from chaosrunner.files.reader import read
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.surroundings import FoundPlatform, FoundService, file_name

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def compose(data: bytes, file: str) -> FoundPlatform:
    """The services of a Compose file that are reached by a port of this machine. Raises `FileProblems` where it is no
    YAML or has no services."""
    parsed = read(data, file)
    if parsed.problems:
        raise FileProblems(parsed.problems)
    spot = parsed.documents[0]
    listed = spot.child("services")
    if listed is None or not isinstance(listed.value, dict):
        raise FileProblems([spot.problem("this is no Compose file", "a mapping `services`")])
    found: list[FoundService] = []
    passed_over: list[str] = []
    names = {str(name): file_name(str(name)) for name in listed.value}
    for name, body in listed.value.items():
        service = body if isinstance(body, dict) else {}
        port = next(_published(service.get("ports")), None)
        if port is None:
            passed_over.append(f"{name} publishes no port on this machine")
            continue
        calls = sorted({names[other] for other in _depends(service.get("depends_on")) if other in names})
        found.append(FoundService(names[str(name)], port=port[0], calls=tuple(calls), health=_health(service, *port)))
    return FoundPlatform("local", tuple(found), source=file, passed_over=tuple(passed_over))


def _published(ports: JsonValue) -> Iterator[tuple[int, int]]:
    """(port of this machine, port of the container)"""
    for each in ports if isinstance(ports, list) else ():
        if isinstance(each, dict):
            pair = (each.get("published"), each.get("target"))
            if each.get("protocol", "tcp") == "tcp" and all(str(one).isdecimal() for one in pair):
                yield int(str(pair[0])), int(str(pair[1]))
            continue
        match = re.fullmatch(r"(?:.*:)?(\d+):(\d+)(?:/tcp)?", _filled(str(each)))
        if match is not None:
            yield int(match[1]), int(match[2])


def _filled(text: str) -> str:
    """With the defaults of its variables: `${PORT:-8080}:80`."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", text)


def _depends(value: JsonValue) -> list[str]:
    if isinstance(value, dict):
        return list(value)
    return [str(one) for one in value] if isinstance(value, list) else []


def _health(service: dict[str, Any], outside: int, inside: int) -> str:
    """The URL of its health check, as it is on this machine; of a check over HTTP on the published port only."""
    check = service.get("healthcheck")
    asked = check.get("test") if isinstance(check, dict) else None
    text = " ".join(map(str, asked)) if isinstance(asked, list) else str(asked or "")
    match = re.search(r"http://[^\s'\"|;]+", text)
    parts = urlsplit(match[0]) if match is not None else None
    try:
        same = parts is not None and (parts.port or 80) == inside
    except ValueError:
        return ""
    return f"http://127.0.0.1:{outside}{parts.path or '/'}" if parts is not None and same else ""
