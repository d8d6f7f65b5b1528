"""As whom `chaosrunner init` asks a Prometheus. Secrets are only ever named: the references are used while it is asked,
and the same references stand in the environment that is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from chaosrunner.errors import UsageError
from chaosrunner.http import check_url
from chaosrunner.model.environment import PrometheusSource
from chaosrunner.model.marks import JsonValue

TOKEN, USER, PASSWORD, CA = "PROM_TOKEN", "PROM_USER", "PROM_PASSWORD", "PROM_CA_FILE"
"""Environment variables that count where nothing was said."""
_PATHS = ("caFile", "clientCert", "clientKey")


class Credentials(NamedTuple):
    """What was said; secrets as `env:NAME` or `file:PATH`, files as paths from the current folder."""

    token: str = ""
    user: str = ""
    password: str = ""
    ca: str = ""
    cert: str = ""
    key: str = ""
    headers: tuple[str, ...] = ()
    """`NAME=VALUE`; a value may be a reference to a secret."""


def access(said: Credentials, environ: Mapping[str, str]) -> dict[str, JsonValue]:
    """As environments take it, paths from the current folder. What was not said is taken from the environment variables
    above, where they are set. Raises `UsageError` for what is no reference; what stood there is not repeated."""
    if not said.token and not said.user:
        if environ.get(TOKEN):
            said = said._replace(token=f"env:{TOKEN}")
        elif environ.get(USER) and environ.get(PASSWORD):
            said = said._replace(user=environ[USER], password=said.password or f"env:{PASSWORD}")
    if said.token and said.user:
        raise UsageError("expected one of --prometheus-token and --prometheus-user, not both")
    if said.key and not said.cert:
        raise UsageError("--prometheus-key: expected --prometheus-cert with it")
    made: dict[str, JsonValue] = {}
    if said.token:
        made["bearerToken"] = _reference(said.token, "--prometheus-token")
    if said.user:
        made["basic"] = {"user": said.user, "password": _password(said)}
    elif said.password:
        raise UsageError("--prometheus-password: expected --prometheus-user with it")
    if said.headers:
        made["headers"] = {name: value for name, value in map(_header, said.headers)}
    files = {"caFile": said.ca or environ.get(CA, ""), "clientCert": said.cert, "clientKey": said.key}
    return made | {name: path for name, path in files.items() if path}


def source(url: str, given: Mapping[str, JsonValue]) -> PrometheusSource:
    """Whom to ask. Raises `UsageError` where the URL is wrong."""
    try:
        return PrometheusSource.model_validate({"url": check_url(url), **given})
    except ValueError as error:
        raise UsageError(f"--prometheus: {error}") from None


def from_there(given: Mapping[str, JsonValue], here: Path, there: Path) -> dict[str, JsonValue]:
    """The same with its relative paths as a file in the folder `there` names them."""

    def moved(value: JsonValue) -> JsonValue:
        if isinstance(value, dict) and "file" in value:
            return {"file": _moved(str(value["file"]), here, there)}
        return value

    made: dict[str, JsonValue] = {}
    for name, value in given.items():
        if name in _PATHS:
            made[name] = _moved(str(value), here, there)
        elif name == "bearerToken":
            made[name] = moved(value)
        else:
            made[name] = {key: moved(one) for key, one in value.items()} if isinstance(value, dict) else value
    return made


def _moved(path: str, here: Path, there: Path) -> str:
    return path if Path(path).expanduser().is_absolute() else os.path.relpath(here / path, there)


def _password(said: Credentials) -> JsonValue:
    if not said.password:
        raise UsageError("--prometheus-user: expected --prometheus-password with it: env:NAME or file:PATH")
    return _reference(said.password, "--prometheus-password")


def _reference(text: str, option: str) -> JsonValue:
    kind, _, where = text.partition(":")
    if kind == "env" and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", where):
        return {"env": where}
    if kind == "file" and where:
        return {"file": where}
    raise UsageError(f"{option}: expected where the secret is, env:NAME or file:PATH, and never the secret itself")


def _header(text: str) -> tuple[str, JsonValue]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise UsageError("--prometheus-header: expected NAME=VALUE, such as X-Scope-OrgID=shop")
    return name, _reference(value, "--prometheus-header") if value.startswith(("env:", "file:")) else value
