"""No byte that a whole run leaves behind holds a secret: not when all goes well, and not when everybody who was sent
one answers with it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.loopback import HttpServer, Met, page
from tests.near_misses.world import SetClock
from tests.news.receivers import Hook
from tests.trackers.apis import GithubApi

SECRETS = {
    "SHOP_TOKEN": "shop-token-f6ab21e0c9",
    "PROM_PASSWORD": "prometheus-password-77aa01",
    "ALERT_HEADER": "alertmanager-header-9b1c22",
    "LOKI_TOKEN": "loki-token-1234fe09ab",
    "TRACKER_TOKEN": "the-token-that-nobody-may-see",
    "GRAFANA_TOKEN": "grafana-token-55e0d1c2",
    "PUSH_PASSWORD": "pushgateway-password-3c4d",
    "KEY": "pd0123456789abcdef0123456789abcd",
    "REST": "on-call-key-8f8f-8f8f",
    "PAGE": "statuspage-key-0123456789",
    "SIGN": "whsec_" + base64.b64encode(b"a key to sign with").decode(),
    "HOOK_TOKEN": "webhook-bearer-01ab02cd",
}
"""By the environment variable that has them; the webhooks' URLs come with the server's port."""
HIDDEN_PATHS = ("slack-secret-path-0a1b2c", "teams-secret-path-9z8y7x", "teams-signature-4d5e6f")

FILES = """
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {{name: shop}}
spec:
  platform: {{local: {{services: {{web: {{listens: 9}}}}}}}}
  prometheus: {{url: "{echo}/prom", basic: {{user: chaos, password: {{env: PROM_PASSWORD}}}}}}
  alertmanager: {{url: "{echo}/am", headers: {{X-Key: {{env: ALERT_HEADER}}}}}}
  evidence: {{sources: [{{loki: {{url: "{echo}/loki", query: '{{app="web"}}', bearerToken: {{env: LOKI_TOKEN}}}}}}]}}
  tracker: {{github: {{url: "{tracker}", repository: acme/checkout, token: {{env: TRACKER_TOKEN}}}}}}
  notify:
    - grafana: {{url: "{echo}", bearerToken: {{env: GRAFANA_TOKEN}}}}
    - pushgateway: {{url: "{echo}", basic: {{user: chaos, password: {{env: PUSH_PASSWORD}}}}}}
    - pagerduty-change: {{url: "{echo}", routingKey: {{env: KEY}}}}
    - pagerduty: {{url: "{echo}", routingKey: {{env: KEY}}}}
    - splunk-on-call: {{url: "{echo}", restKey: {{env: REST}}, routingKey: team}}
    - statuspage: {{url: "{echo}", page: p1, allowedPages: [p1], token: {{env: PAGE}}}}
    - slack: {{webhook: {{env: SLACK}}}}
    - teams: {{webhook: {{env: TEAMS}}}}
    - webhook: {{url: "{hook}", secret: {{env: SIGN}}, bearerToken: {{env: HOOK_TOKEN}}}}
---
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {{name: nothing}}
spec:
  title: The shop answers
  environment: shop
  service: web
  hypotheses:
    - name: answers
      title: It does
      measures:
        - name: page
          http: {{url: "{shop}/page", bearerToken: {{env: SHOP_TOKEN}}}}
          tolerance: {{equals: 200}}
          every: 50ms
          timeout: 1s
        - name: words
          http: {{url: "{shop}/page", read: body, bearerToken: {{env: SHOP_TOKEN}}}}
          tolerance: {{matches: "fine"}}
          every: 50ms
          timeout: 1s
  baseline: 300ms
  method: [{{fault: noop, for: 500ms}}]
  recovery: {{within: 1s, holds: 150ms}}
"""


class Shop(HttpServer):
    """Fine for a while, then not; always answers with what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 20
        self.behaviours = _All(self._answer)

    async def _answer(self, met: Met, writer: asyncio.StreamWriter) -> None:
        self.left -= 1
        words = "fine" if self.left > 0 else "broken"
        body = f"{words}, and you sent {met.headers.get('authorization')}"
        writer.write(page(body.encode(), 200 if self.left > 0 else 500))


class Echo(HttpServer):
    """Refuses everything, with everything that it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.behaviours = _All(self._answer)

    async def _answer(self, met: Met, writer: asyncio.StreamWriter) -> None:
        sent = {"path": met.path, "headers": met.headers, "body": met.body.decode()}
        said = " ".join([met.path, *met.headers.values(), met.body.decode()])
        writer.write(
            page(json.dumps({"message": said[:150], "error": said, "sent": sent}).encode(), 403, "application/json")
        )


class _All(dict[str, Any]):
    def __init__(self, behaviour: Any) -> None:
        super().__init__()
        self._behaviour = behaviour

    def get(self, key: str, default: Any = None) -> Any:
        return self._behaviour


@dataclass
class Left:
    """Everything that was left behind, by where."""

    places: dict[str, bytes] = field(default_factory=dict)

    def folder(self, folder: Path) -> None:
        for file in folder.rglob("*"):
            if file.is_file():
                self.places[str(file)] = file.read_bytes()

    def asked(self, name: str, met: list[Met]) -> None:
        for number, each in enumerate(met):
            self.places[f"{name} {number}: {each.method} {each.path}"] = each.path.encode() + b"\n" + each.body


def forms(secret: str) -> Iterator[bytes]:
    """A secret as it may be written down."""
    for user in ("", "chaos:"):
        yield base64.b64encode(f"{user}{secret}".encode())
    yield from (secret.encode(), quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode())


async def command(folder: Path, environ: dict[str, str], *words: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chaosrunner", *words),
        cwd=folder,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output


AFTERWARDS = [
    *(["judge", "RUN", "--json"], ["near-miss", "show", "1"], ["near-miss", "export", "register.jsonl"]),
    *(["remediate", "--sync"], ["notify", "--json"]),
]


@pytest.mark.real_time
async def test_no_byte_that_is_left_holds_a_secret(tmp_path: Path, machine: Path) -> None:
    async with Shop() as shop, Echo() as echo, GithubApi(SetClock()) as tracker, Hook(SetClock()) as hook:
        hook.allowed = lambda met: not setattr(hook, "_id", met.headers["webhook-id"])  # type: ignore[method-assign]
        environ = {
            **SECRETS,
            "SLACK": echo.url(f"/services/T0/B0/{HIDDEN_PATHS[0]}"),
            "TEAMS": echo.url(f"/workflows/{HIDDEN_PATHS[1]}?sig={HIDDEN_PATHS[2]}"),
        }
        places = {"echo": echo.url(""), "tracker": tracker.url(""), "hook": hook.url("/hook"), "shop": shop.url("")}
        (tmp_path / "all.yaml").write_text(FILES.format(**{name: url.rstrip("/") for name, url in places.items()}))
        left = Left()
        code, left.places["run"] = await command(tmp_path, environ, "run", "all.yaml", "--plain")
        assert code == 1, left.places["run"].decode()
        assert tracker.one and hook.shown, left.places["run"].decode()
        (run,) = (tmp_path / ".chaosrunner" / "runs").iterdir()
        tracker.token = "another"  # it answers with the one that it was sent
        asked = [[run.name if word == "RUN" else word for word in words] for words in AFTERWARDS]
        for words, (_, output) in zip(
            AFTERWARDS, await asyncio.gather(*(command(tmp_path, environ, *words) for words in asked)), strict=True
        ):
            left.places[" ".join(words)] = output
        left.asked("tracker", tracker.met)
        left.asked("hook", hook.met)
        sent = b"".join(
            str(sorted(each.headers.items())).encode() + each.path.encode() + each.body for each in echo.met
        )
    left.folder(tmp_path)
    left.folder(machine)
    assert b"(secret)" in b"".join(left.places.values()), "nobody answered with a secret: this would prove nothing"
    used = [secret for secret in (*SECRETS.values(), *HIDDEN_PATHS) if any(form in sent for form in forms(secret))]
    assert len(used) >= 9, "hardly anybody was sent a secret: this would prove nothing"
    found = [
        f"{secret} in {place}: …{content[max(0, content.index(form) - 150) : content.index(form) + 60]!r}…"
        for secret in (*SECRETS.values(), *HIDDEN_PATHS)
        for form in forms(secret)
        for place, content in left.places.items()
        if form in content
    ]
    assert not found, "\n".join(found)
