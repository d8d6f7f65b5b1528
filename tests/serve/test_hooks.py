"""Alerts, incidents and reports that others send: who is let in, what becomes a draft, what counts once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.app.serving import doors_of
from chaosrunner.clock import SystemClock
from chaosrunner.errors import FileProblems, UsageError
from chaosrunner.model.heard import UnderWay
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.register import open_register
from chaosrunner.register.near_misses import Register, Wanted
from chaosrunner.serve.asking import Answer, Asked, Door, Route, RouteContext
from chaosrunner.serve.routes import all_routes
from tests.alerts.monitoring import Service, wait
from tests.debian import program
from tests.loopback import free_port
from tests.near_misses.world import START, SetClock
from tests.serve.test_command import serving_process
from tests.serve.test_server import ask as ask_server
from tests.serve.test_server import context, post, serving

ENVIRONMENT = """
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {name: shop}
spec:
  class: staging
  platform: {local: {services: {front: {listens: 1}}}}
  incoming:
    alertmanager:
      token: {file: am}
      identity: [queue]
      only: ["severity!=info"]
      services: {front-end: front}
    pagerduty: {secrets: [{file: old}, {file: new}], service: everything}
    generic: {token: {file: token}, secret: {file: key}, owner: sre}
"""
SECRETS = {
    "am": "s3cret-am",
    "old": "s3cret-old",
    "new": "s3cret-new",
    "token": "s3cret-t",
    "key": "whsec_c2VjcmV0LWtleQ==",
}


def stamp(epoch: float) -> str:
    from chaosrunner.clock import iso

    return iso(epoch)


def alert(name: str = "CallsAreSlow", **changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": name, "service": "front", "severity": "page", "pod": "front-6f7"},
        "annotations": {"summary": "Calls take long", "runbook_url": "https://run.example/slow"},
        "startsAt": stamp(START - 60),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": "f1",
    } | changes


def incident(kind: str = "incident.triggered", event: str = "E1", **changes: Any) -> dict[str, Any]:
    data = {
        "id": "P1",
        "incident_key": "disk-full",
        "number": 7,
        "title": "The disk is full",
        "service": {"summary": "Orders"},
        "teams": [{"summary": "team-orders"}],
        "assignees": [{"summary": "Ana Doe"}],
        "urgency": "high",
        "html_url": "https://acme.pagerduty.com/incidents/P1",
    }
    return {"event": {"id": event, "event_type": kind, "occurred_at": stamp(START), "data": data | changes}}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(ENVIRONMENT)
    for name, value in SECRETS.items():
        (tmp_path / name).write_text(value + "\n")
    return tmp_path


class Hooks:
    """The routes with their doors, and the register behind them."""

    def __init__(self, folder: Path, doors: dict[str, list[Door]]) -> None:
        self.clock = SetClock()
        plain = context(folder)
        self.context = RouteContext(folder / "state", self.clock, plain.figures, doors)
        self.routes: dict[str, Route] = {route.path: route for route in all_routes()}

    async def send(self, kind: str, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = Asked("POST", f"/hooks/{kind}", {}, named, raw)
        answer: Answer = await self.routes[asked.path].answer(asked, self.context)
        text = answer.body if isinstance(answer.body, str) else answer.body.decode()
        return answer.status, json.loads(text) if text.startswith("{") else {"said": text}

    async def alerts(self, *alerts: object, token: str = "s3cret-am") -> tuple[int, dict[str, Any]]:
        return await self.send("alertmanager", {"version": "4", "alerts": alerts}, Authorization=f"Bearer {token}")

    async def pagerduty(self, body: object, *secrets: str, more: Sequence[str] = ()) -> tuple[int, dict[str, Any]]:
        raw = json.dumps(body).encode()
        signed = [f"v1={hmac.new(each.encode(), raw, hashlib.sha256).hexdigest()}" for each in secrets]
        return await self.send("pagerduty", raw, X_PagerDuty_Signature=",".join([*more, *signed]))

    async def told(self, body: object) -> tuple[int, dict[str, Any]]:
        return await self.send("generic", body, Authorization="Bearer s3cret-t")

    def register(self) -> Register:
        return open_register(self.context.state, self.clock)

    def near_misses(self) -> list[NearMiss]:
        with self.register() as register:
            return register.list(Wanted(closed=True))


@pytest.fixture
def hooks(files: Path) -> Hooks:
    return Hooks(files, doors_of(["shop.yaml"], files))


async def test_an_alert_that_fires_becomes_a_draft_of_its_environment(hooks: Hooks) -> None:
    status, said = await hooks.alerts(alert(labels={"alertname": "Slow", "service": "front-end", "team": "web"}))
    assert (status, said["recorded"]) == (200, [{"nearMiss": "NM-2026-0001", "sighting": "new"}])
    with hooks.register() as register:
        record = register.show("1")
    near_miss = record.near_miss
    assert near_miss.title == "Alert Slow: Calls take long"
    assert (near_miss.service, near_miss.owner, near_miss.environment_class) == ("front", "web", "staging")
    assert near_miss.draft and near_miss.source == "alert" and near_miss.detected_by == "alert"
    assert near_miss.first_seen == START - 60
    assert record.occurrences[0].links == ("https://run.example/slow", "http://prometheus.example/graph")
    assert [event.actor for event in record.history] == ["alertmanager"]


async def test_an_alert_counts_once_however_often_it_is_told_and_again_when_it_fires_again(hooks: Hooks) -> None:
    await hooks.alerts(alert())
    assert (await hooks.alerts(alert(annotations={})))[1]["recorded"][0]["sighting"] == "known"
    assert (await hooks.alerts(alert(status="resolved")))[1]["recorded"] == []
    again = alert(startsAt=stamp(START), fingerprint="f2", labels=alert()["labels"] | {"pod": "front-9x"})
    assert (await hooks.alerts(again))[1]["recorded"][0]["sighting"] == "seen-again"
    (near_miss,) = hooks.near_misses()
    assert near_miss.occurrences == 2


async def test_an_alert_that_a_run_causes_is_evidence_of_that_run_and_no_draft(hooks: Hooks) -> None:
    with hooks.register() as register:
        register.announce(
            UnderWay(run="run-1", environment="shop", services=("front",), began=START - 90, until=START + 60)
        )
    status, said = await hooks.alerts(alert(), alert(labels={"alertname": "Slow", "service": "back"}))
    assert (status, [each["sighting"] for each in said["recorded"]]) == (200, ["new"])
    assert said["explained"] == [{"title": "Alert CallsAreSlow: Calls take long", "seenDuring": "run-1"}]
    hooks.clock.at = START + 61
    assert (await hooks.alerts(alert()))[1]["recorded"][0]["sighting"] == "new", "it goes on"


async def test_alerts_of_other_names_services_and_named_labels_are_others(hooks: Hooks) -> None:
    labels = alert()["labels"]
    others = [
        alert("Other"),
        alert(labels=labels | {"service": "back"}),
        alert(labels=labels | {"queue": "mails"}, fingerprint="f3"),
    ]
    await hooks.alerts(alert(), *others)
    assert len(hooks.near_misses()) == 4


async def test_what_opens_nothing_is_told_and_opens_nothing(hooks: Hooks) -> None:
    calm = alert(labels={"alertname": "Calm", "service": "front", "severity": "info"})
    ours = alert("ChaosrunnerNearMissOverdue")
    status, said = await hooks.alerts(alert(status="resolved"), calm, ours)
    assert status == 200 and said["recorded"] == said["refused"] == []
    assert [each["why"] for each in said["ignored"]] == [
        "CallsAreSlow is resolved, and does not fire",
        'Calm does not meet severity!="info"',
        "ChaosrunnerNearMissOverdue is about chaosrunner itself",
    ]
    assert not (hooks.context.state / "register.db").exists()


async def test_a_batch_that_is_partly_bad_is_taken_as_far_as_it_is_good(hooks: Hooks) -> None:
    bad: list[object] = [
        7,
        alert(labels={"alertname": "NoService"}),
        alert(labels={"service": "front"}),
        alert(startsAt="yesterday"),
        alert(startsAt="9999-01-01T00:00:00Z"),
        alert(annotations=[1]),
    ]
    status, said = await hooks.alerts(*bad, alert())
    assert status == 200 and len(said["recorded"]) == 1
    assert [(each["n"], each["why"]) for each in said["refused"]] == [
        (0, "the alert is no object"),
        (1, "it does not say which service it is about, and the environment's file names none"),
        (2, "the alert has no label alertname"),
        (3, "'yesterday' is no time"),
        (4, "9999-01-01T00:00:00Z is no time at which this happened"),
        (5, "`annotations` is no object"),
    ]
    assert (await hooks.alerts(*bad))[0] == 422


async def test_an_incident_becomes_a_draft_and_names_nobody(hooks: Hooks) -> None:
    assert (await hooks.pagerduty(incident(), "s3cret-new"))[1]["recorded"][0]["sighting"] == "new"
    with hooks.register() as register:
        record = register.show("1")
        everything = "\n".join(register.export())
    assert record.near_miss.title == "Incident #7: The disk is full"
    assert (record.near_miss.service, record.near_miss.owner) == ("Orders", "team-orders")
    assert record.occurrences[0].links == ("https://acme.pagerduty.com/incidents/P1",)
    assert "Ana Doe" not in everything


async def test_only_what_opens_an_incident_counts_and_each_time_once(hooks: Hooks) -> None:
    for kind in ("incident.acknowledged", "incident.resolved", "incident.annotated", "pagey.ping"):
        assert (await hooks.pagerduty(incident(kind), "s3cret-new"))[1]["recorded"] == []
    ours = incident(incident_key="chaosrunner:nm:0123456789abcdef")
    assert (await hooks.pagerduty(ours, "s3cret-new"))[1]["ignored"][0][
        "why"
    ] == "chaosrunner opened this incident itself"
    sightings = [
        (await hooks.pagerduty(each, "s3cret-old"))[1]["recorded"][0]["sighting"]
        for each in (
            incident(),
            incident(event="E2"),
            incident("incident.reopened", event="E3"),
            incident("incident.reopened", event="E3"),
            incident(id="P2", number=8, event="E4"),
            incident(id="P3", incident_key=None, event="E5"),
        )
    ]
    assert sightings == ["new", "known", "seen-again", "known", "seen-again", "new"]


async def test_a_report_of_anything_that_sends_json_becomes_a_draft(hooks: Hooks) -> None:
    good = {
        "id": "inc-9",
        "title": "Backups <b>stopped</b>\u0000\u202e",
        "service": "store",
        "happened": stamp(START - 3600),
        "failureMode": "data-loss",
        "outage": True,
        "links": ["https://wiki.example/9", "javascript:alert(1)", 'https://x.example/" onload='],
        "experiments": ["backups-go-on"],
    }
    status, said = await hooks.told({"reports": [good, {"id": "inc-9", **good}, {"title": "x"}, {"titel": "x"}]})
    assert status == 200
    assert [each["sighting"] for each in said["recorded"]] == ["new", "known"]
    assert [(each["n"], each["why"]) for each in said["refused"]] == [
        (2, "service: String should have at least 1 character"),
        (3, "there is no field titel"),
    ]
    with hooks.register() as register:
        record = register.show("1")
    near_miss = record.near_miss
    assert near_miss.title == "Backups <b>stopped</b>"
    assert (near_miss.outage, near_miss.owner, near_miss.failure_mode) == (True, "sre", "data-loss")
    assert near_miss.links == ("backups-go-on",) and record.occurrences[0].links == ("https://wiki.example/9",)
    assert (await hooks.told({"title": "y", "service": "s", "status": "resolved"}))[1]["recorded"] == []


async def test_a_report_in_the_same_words_counts_once_and_reaches_no_other_environment(hooks: Hooks) -> None:
    words = {"title": "Something", "service": "store"}
    assert (await hooks.told(words))[1]["recorded"][0]["sighting"] == "new"
    hooks.clock.at += 3600
    assert (await hooks.told([words]))[1]["recorded"][0]["sighting"] == "known"
    refused = (await hooks.told(words | {"environment": "../production"}))[1]["refused"]
    assert refused[0]["why"] == "this is the way to shop, not to ../production"


async def test_a_signed_report_is_taken_while_it_is_fresh(hooks: Hooks) -> None:
    body = json.dumps({"title": "Signed", "service": "store"}).encode()

    async def send(key: bytes = b"secret-key", sent: float = START, signed: bytes = body) -> int:
        content = f"m1.{sent:.0f}.".encode() + signed
        signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        headers = {"webhook_id": "m1", "webhook_timestamp": f"{sent:.0f}", "webhook_signature": f"v2,x v1,{signature}"}
        return (await hooks.send("generic", body, **headers))[0]

    assert await send() == 200
    assert await send(sent=START - 200) == 200
    assert await send(sent=START - 301) == 401
    assert await send(sent=START + 301) == 401
    assert await send(key=b"other") == 401
    assert await send(signed=body + b" ") == 401


@pytest.mark.parametrize("token", ["", "s3cret-a", "s3cret-amm", "S3CRET-AM", "\udcff", "s3cret-t"])
async def test_nobody_is_let_in_by_another_token(hooks: Hooks, token: str) -> None:
    assert (await hooks.alerts(alert(), token=token))[0] == 401
    assert (await hooks.send("generic", {}, Authorization="Bearer s3cret-am"))[0] == 401
    assert (await hooks.send("alertmanager", {"alerts": [alert()]}, Authorization="Basic s3cret-am"))[0] == 401
    assert (await hooks.send("alertmanager", {"alerts": [alert()]}))[0] == 401
    assert not (hooks.context.state / "register.db").exists()


async def test_an_incident_with_a_wrong_signature_or_another_body_is_not_believed(hooks: Hooks) -> None:
    assert (await hooks.pagerduty(incident(), "wrong"))[0] == 401
    assert (await hooks.pagerduty(incident()))[0] == 401
    assert (await hooks.pagerduty(incident(), more=["v1=", "v0=x", "\udcff"]))[0] == 401
    raw = json.dumps(incident()).encode()
    right = hmac.new(b"s3cret-new", raw, hashlib.sha256).hexdigest()
    assert (await hooks.send("pagerduty", raw + b" ", X_PagerDuty_Signature=f"v1={right}"))[0] == 401
    assert (await hooks.pagerduty(incident(), "wrong", "s3cret-new"))[0] == 200


async def test_each_environment_is_told_by_those_who_know_its_secret(files: Path) -> None:
    other = ENVIRONMENT.replace("name: shop", "name: bank").replace("class: staging", "class: bank")
    (files / "bank.yaml").write_text(other.replace("{file: am}", "{file: other}"))
    (files / "other").write_text("s3cret-bank")
    hooks = Hooks(files, doors_of(["shop.yaml", "bank.yaml"], files))
    await hooks.alerts(alert())
    await hooks.alerts(alert(), token="s3cret-bank")
    assert sorted(each.environment_class for each in hooks.near_misses()) == ["bank", "staging"]


async def test_where_nothing_is_configured_nothing_is_there(files: Path) -> None:
    hooks = Hooks(files, {})
    assert (await hooks.alerts(alert()))[0] == 404
    assert (await hooks.pagerduty(incident(), "s3cret-new"))[0] == 404
    assert (await hooks.told({"title": "x", "service": "y"}))[0] == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "at most 20 levels"),
        (b"[" * 21 + b"]" * 21, "at most 20 levels"),
        (b'{"alerts": [NaN]}', "NaN is no JSON number"),
        (b'{"alerts": ' + b"9" * 9000 + b"}", "no JSON"),
        (b'{"alerts": {}}', "with a list `alerts`"),
        (b'{"alerts": [' + b",".join([b"1"] * 501) + b"]}", "at most 500 at once, found 501"),
    ],
)
async def test_what_is_no_such_json_is_refused(hooks: Hooks, body: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        await hooks.send("alertmanager", body, Authorization="Bearer s3cret-am")


async def test_long_and_wild_texts_are_cut_and_cleaned(hooks: Hooks) -> None:
    wild = "a\u0000b\ud800\n" * 5000
    labels = {"alertname": wild, "service": wild, "severity": "page", "s3cret": "s3cret-am"}
    status, said = await hooks.alerts(alert(labels=labels, annotations={"summary": wild, "description": wild}))
    assert status == 200, said
    (near_miss,) = hooks.near_misses()
    assert len(near_miss.title) <= 300 and "\x00" not in near_miss.title
    with hooks.register() as register:
        assert len(register.show("1").occurrences[0].story) <= 4000
        assert "s3cret-am" not in "\n".join(register.export())


async def test_the_server_keeps_the_hooks_in_its_bounds(files: Path) -> None:
    doors = doors_of(["shop.yaml"], files)
    known = "Authorization: Bearer s3cret-am"
    async with serving(files, token="of-the-server", doors=doors) as port:
        good = json.dumps({"alerts": [alert(startsAt=None)]})
        assert (await ask_server(port, post("/hooks/alertmanager", good, known))).startswith("HTTP/1.1 200")
        assert (await ask_server(port, post("/hooks/alertmanager", good))).startswith("HTTP/1.1 401")
        assert (await ask_server(port, post("/hooks/alertmanager", "x" * 300_000, known))).startswith("HTTP/1.1 413")
        answer = await ask_server(port, post("/hooks/alertmanager", good, known, "Content-Type: text/html"))
        assert answer.startswith("HTTP/1.1 415")
        assert (await ask_server(port, post("/hooks/alertmanager", "[]", known))).startswith("HTTP/1.1 400")


def test_an_environment_that_lets_nobody_in_and_secrets_that_are_not_there_are_said(files: Path) -> None:
    (files / "none.yaml").write_text(ENVIRONMENT.partition("  incoming:")[0])
    with pytest.raises(UsageError, match="the environment shop has no `incoming`"):
        doors_of(["none.yaml"], files)
    (files / "am").unlink()
    with pytest.raises(UsageError, match="a secret cannot be read: the file am"):
        doors_of(["shop.yaml"], files)
    (files / "open.yaml").write_text(ENVIRONMENT.replace("{token: {file: token}, secret: {file: key}, ", "{"))
    with pytest.raises(FileProblems, match="nobody may tell without one"):
        doors_of(["open.yaml"], files)


# --------------------------------------------------------------------------------------------- the real Alertmanager

RECEIVER = """
route: {{receiver: chaosrunner, group_wait: 0s, group_interval: 1s, repeat_interval: 1s, group_by: [alertname]}}
receivers:
  - name: chaosrunner
    webhook_configs:
      - url: {url}
        http_config: {{authorization: {{credentials: s3cret-am}}}}
"""


@pytest.fixture
def alertmanager(tmp_path: Path, files: Path) -> Iterator[tuple[Service, Path]]:
    with serving_process(tmp_path, "-e", str(files / "shop.yaml")) as (process, metrics):
        assert process.stdout
        hooks = [process.stdout.readline().removeprefix("serving ").strip() for _ in range(3)]
        assert hooks == [
            metrics.replace("metrics", f"hooks/{each}") for each in ("alertmanager", "pagerduty", "generic")
        ]
        folder, port = tmp_path / "alertmanager", free_port()
        folder.mkdir()
        (folder / "alertmanager.yml").write_text(RECEIVER.format(url=hooks[0]))
        words = [
            program("prometheus-alertmanager", "prometheus-alertmanager"),
            f"--config.file={folder}/alertmanager.yml",
        ]
        words += [
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        service = Service(folder, words, f"http://127.0.0.1:{port}")
        try:
            service.start()
            yield service, tmp_path / "state"
        finally:
            service.stop()


@pytest.mark.real_time
def test_what_a_real_alertmanager_tells_again_and_again_is_one_draft(alertmanager: tuple[Service, Path]) -> None:
    service, state = alertmanager
    fire = [{"labels": {"alertname": "Real", "service": "front", "pod": pod}} for pod in ("a", "b")]
    request = urllib.request.Request(
        f"{service.url}/api/v2/alerts", json.dumps(fire).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=5).close()

    def sent() -> float:
        with urllib.request.urlopen(f"{service.url}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        counted = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[:1] != "#"}
        assert not counted.get('alertmanager_notifications_failed_total{integration="webhook"}')
        return counted.get('alertmanager_notifications_total{integration="webhook"}', 0.0)

    wait(lambda: sent() >= 2, 15, "it was not told twice")
    with open_register(state, SystemClock()) as register:
        (near_miss,) = register.list(Wanted(closed=True))
    assert (near_miss.title, near_miss.service, near_miss.occurrences) == ("Alert Real fired", "front", 2)
