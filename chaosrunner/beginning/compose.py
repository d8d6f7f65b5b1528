"""Reads of a Compose file what `chaosrunner init` needs: services, the ports that they have on this machine, and what
depends on what. The format: https://github.com/compose-spec/compose-spec/blob/main/spec.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from chaosrunner.errors import FileProblems
from chaosrunner.files.reader import read
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.surroundings import FoundPlatform, FoundService, file_name

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def compose(data: bytes, file: str, variables: Mapping[str, str] = MappingProxyType({})) -> FoundPlatform:
    """The services of a Compose file that are reached by a port of this machine. `variables`: what `${NAME}` in it
    stands for. Raises `FileProblems` where it is no YAML or has no services."""
    parsed = read(data, file)
    if parsed.problems:
        raise FileProblems(parsed.problems)
    spot = parsed.documents[0]
    listed = spot.child("services")
    if listed is None or not isinstance(listed.value, dict):
        raise FileProblems([spot.problem("this is no Compose file", "a mapping `services`", rule="not-a-document")])
    found: list[FoundService] = []
    passed_over: list[str] = []
    names = {str(name): file_name(str(name)) for name in listed.value}
    for name, body in listed.value.items():
        service = body if isinstance(body, dict) else {}
        ports = list(_ports(service.get("ports"), variables))
        port = next((one for one in ports if isinstance(one, tuple)), None)
        if port is None:
            why = next((one for one in ports if isinstance(one, str)), "publishes no port on this machine")
            passed_over.append(f"{name} {why}")
            continue
        others = {*_depends(service.get("depends_on")), *_named(service.get("environment"), variables, names)}
        calls = sorted({names[other] for other in others if other in names and other != name})
        found.append(FoundService(names[str(name)], port=port[0], calls=tuple(calls), health=_health(service, *port)))
    return FoundPlatform("local", tuple(found), source=file, passed_over=tuple(passed_over))


def settings(folder: Path) -> dict[str, str]:
    """What stands in the `.env` beside a Compose file."""
    try:
        lines = (folder / ".env").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#")]
    return {name.removeprefix("export ").strip(): value.strip().strip("'\"") for name, value in pairs}


_PORT = re.compile(r"(?:(?P<host>\[[^]]*\]|[\d.]+|localhost):)?(?P<out>\d+)(?:-\d+)?:(?P<into>\d+)(?:-\d+)?(?:/tcp)?")
_HERE = ("", "0.0.0.0", "localhost", "::")
"""Addresses on which 127.0.0.1 is answered."""


def _ports(ports: JsonValue, variables: Mapping[str, str]) -> Iterator[tuple[int, int] | str]:
    """(port of this machine, port of the container); or why one cannot be used. Of a range it is the first."""
    for each in ports if isinstance(ports, list) else ():
        if isinstance(each, dict):
            if each.get("protocol", "tcp") != "tcp":
                continue
            host, out, into = (
                _filled(str(each.get(key) or ""), variables) for key in ("host_ip", "published", "target")
            )
            text = f"{f'{host}:' if host else ''}{out}:{into}" if out else into
        else:
            text = _filled(str(each), variables)
        match = _PORT.fullmatch(text)
        if match is None:
            if re.fullmatch(r"\d+(?:/tcp)?", text):
                yield f"publishes {text} under a port that changes: give it one, such as `{text}:{text}`"
            elif "$" in text:
                yield f"publishes a port that depends on a variable without a value: {text}"
            continue
        host = (match["host"] or "").strip("[]")
        if host in _HERE or host.startswith("127."):
            yield int(match["out"]), int(match["into"])
        else:
            yield f"publishes its port on {host} only"


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """With the values of its variables, or their defaults: `${PORT:-8080}:80`."""

    def value(match: re.Match[str]) -> str:
        name, rule, default = match[1] or match[2], match[3] or "", match[4] or ""
        kept = variables.get(name, "")
        if kept or (name in variables and not rule.startswith(":")):
            return kept
        return default if rule.endswith("-") else match[0]

    return re.sub(r"\$(?:(\w+)|\{(\w+)(?:(:?[-?+])([^}]*))?\})", value, text)


def _named(given: JsonValue, variables: Mapping[str, str], names: Mapping[str, str]) -> Iterator[str]:
    """The services whose names stand as hosts in a service's settings: `http://api:8080`, `db:5432`."""
    values = given.values() if isinstance(given, dict) else given if isinstance(given, list) else ()
    for value in values:
        text = _filled(str(value), variables)
        for host in re.findall(r"(?://(?:[^@/\s]*@)?|(?:^|[\s,=]))([A-Za-z0-9_-]+)(?=[:/]|$)", text):
            if host in names and (
                f"//{host}" in text or f"@{host}" in text or re.search(rf"{re.escape(host)}:\d", text)
            ):
                yield host


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
