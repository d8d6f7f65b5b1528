"""Sources bring what there is of a stretch of time, say what they looked at, and what they do not know."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from pydantic import ValidationError

from chaosrunner.errors import NoReading, NotPossibleNow
from chaosrunner.judging.clues import clues
from chaosrunner.model.material import Material, Window
from tests.evidence.conftest import MakeSource
from tests.metrics.prometheus_server import PrometheusServer, every
from tests.metrics.services import serve
from tests.probes.cluster import FakeCluster, Pod


def told(material: Material, window: Window) -> list[str]:
    return [f"{clue.how} {clue.subject}" for clue in clues([material], window, show=20, clean=str).found]


# --------------------------------------------------------------------------------------------------------- log files


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_lines_are_placed_by_their_own_time(source: MakeSource, window: Window, tmp_path: Path) -> None:
    lines = [f"{stamp(window.began - 300 + n)} INFO all is well" for n in range(360)]
    lines += [f"{stamp(window.began + 10 + n)} ERROR no answer" for n in range(20)]
    (tmp_path / "a.log").write_text("\n".join(lines) + "\n")
    material = await source("log-files", paths=["a.log"]).gather(window)
    assert told(material, window) == ["new ERROR no answer"]
    assert material.looked == "380 lines of a.log"
    assert material.streams[0].since == pytest.approx(window.began - 300, abs=0.01)


@pytest.mark.parametrize(
    "form",
    [
        lambda at: f"{at:.3f} ERROR no answer",
        lambda at: f'{{"ts": {at * 1000:.0f}, "level": "error", "msg": "no answer"}}',
        lambda at: datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3] + " ERROR no answer",  # noqa: DTZ006
        lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y/%m/%d %H:%M:%S") + " +0000 ERROR no answer",
    ],
)
async def test_times_are_read_in_many_forms(source: MakeSource, window: Window, tmp_path: Path, form: Any) -> None:
    (tmp_path / "a.log").write_text("".join(f"{form(window.began + 5 + n)}\n" for n in range(9)))
    material = await source("log-files", paths=["a.log"]).gather(window)
    assert [at - window.began for at, _ in material.streams[0].lines] == pytest.approx(range(5, 14), abs=1.01)


async def test_lines_without_a_time_are_placed_by_when_the_file_grew(
    source: MakeSource, window: Window, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    path.write_text("before the run\n" * 10)
    made = source("log-files", paths=["a.log"])
    for at, line in ((window.baseline, "all is well"), (window.began, "no free worker"), (window.ended, "again well")):
        made.note(at)
        with path.open("a") as file:
            file.write(f"{line}\n" * 12)
    material = await made.gather(window)
    times = {line: at for at, line in material.streams[0].lines}
    assert window.baseline <= times["all is well"] < window.began < times["no free worker"] < window.ended
    assert "before the run" not in times
    assert "new no free worker" in told(material, window)


async def test_a_file_that_was_rotated_is_read_under_both_names(
    source: MakeSource, window: Window, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    path.write_text(f"{stamp(window.baseline - 5)} INFO old\n")
    made = source("log-files", paths=["a.log"])
    made.note(window.baseline)
    path.rename(tmp_path / "a.log.1")
    path.write_text(f"{stamp(window.began + 20)} INFO new\n")
    material = await made.gather(window)
    assert [line[-3:] for _, line in material.streams[0].lines] == ["old", "new"]
    (tmp_path / "a.log.1").unlink()
    material = await made.gather(window)
    assert "a.log: it was rotated, and the old file is not there any more: lines are missing" in material.unknown


async def test_what_a_file_does_not_tell_is_said(source: MakeSource, window: Window, tmp_path: Path) -> None:
    (tmp_path / "plain.log").write_text("no time at all\n")
    (tmp_path / "long.log").write_text(f"{stamp(window.began)} a line\n" * 1000)
    made = source("log-files", paths=["plain.log", "gone.log", "long.log"], services=["checkout"], limit="10kB")
    material = await made.gather(window)
    said = "\n".join(material.unknown)
    assert "plain.log: its lines carry no time that is known" in said
    assert "gone.log: No such file or directory" in said
    assert "long.log: only its last 10kB were read" in said
    assert "checkout: no environment says where it runs" in said


# -------------------------------------------------------------------------------------------------------------- loki


class LokiOfLines:
    """`POST /loki/api/v1/query_range`, newest first, as many lines as are asked for."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, dict[str, str], str]] = []
        self.asked: list[dict[str, str]] = []

    def answer(self, met: Any) -> tuple[int, Any, dict[str, str]]:
        form = met.form
        if not form.get("query", "").startswith("{"):
            return 400, "parse error at line 1, col 1: syntax error\n", {}
        if int(form["start"]) >= int(form["end"]):
            return 400, "end timestamp must not be before or equal to start time\n", {}
        self.asked.append(form)
        start, end = int(form["start"]) / 1e9, int(form["end"]) / 1e9
        found = sorted((one for one in self.lines if start <= one[0] < end), key=lambda one: -one[0])
        streams: dict[str, dict[str, Any]] = {}
        for at, labels, line in found[: int(form["limit"])]:
            stream = streams.setdefault(str(labels), {"stream": labels, "values": []})
            stream["values"].append([str(int(at * 1e9)), line])
        data = {"resultType": "streams", "result": list(streams.values()), "stats": {}}
        return 200, {"status": "success", "data": data}, {}


@pytest.fixture
def loki(server: Any) -> LokiOfLines:
    fake = LokiOfLines()
    fake.url = serve(server, "/loki/api/v1/query_range", fake.answer)  # type: ignore[attr-defined]
    return fake


async def test_lokis_lines_are_told_by_stream_with_a_link(loki: Any, source: MakeSource, window: Window) -> None:
    for n in range(600):
        loki.lines.append((window.began - 590 + n, {"app": "cart", "pod": f"cart-{n % 2}"}, "INFO all is well"))
    for n in range(30):
        loki.lines.append((window.began + n, {"app": "checkout"}, "ERROR no answer"))
    grafana = {"url": "http://grafana/", "uid": "P1"}
    query = '{namespace="shop"}'
    material = await source("loki", url=loki.url, query=query, grafana=grafana).gather(window)
    found = clues([material], window, show=9, clean=str).found
    assert [clue.subject for clue in found if clue.how == "new"] == ["ERROR no answer"]
    assert found[0].says.startswith("checkout: new: ")
    assert '"expr":"{namespace=\\"shop\\"}"' in unquote(found[0].links[0].url)
    assert [stream.name for stream in material.streams] == ["cart", "checkout"]


async def test_more_lines_than_are_asked_for_are_read_backwards_and_it_is_said(
    loki: Any, source: MakeSource, window: Window
) -> None:
    loki.lines += [(window.began + n / 10, {"app": "cart"}, "INFO all is well") for n in range(-600, 600)]
    material = await source("loki", url=loki.url, query='{a="b"}', limit=100, answers=4).gather(window)
    (stream,) = material.streams
    assert len(loki.asked) == 4
    assert not stream.whole
    assert stream.since == pytest.approx(window.began - 20, abs=0.2)
    assert material.unknown == ["there were too many lines: of the fault only the last 20 s were looked at"]
    assert told(material, window) == []


async def test_loki_that_refuses_is_no_evidence(server: Any, source: MakeSource, window: Window) -> None:
    url = serve(server, "/loki/api/v1/query_range", lambda met: (400, "parse error\n", {}))
    with pytest.raises(NoReading, match="refused the query"):
        await source("loki", url=url, query='{a="b"}').gather(window)
    with pytest.raises(ValidationError, match="expected a log query"):
        source("loki", url=url, query='rate({a="b"}[1m])')


# --------------------------------------------------------------------------------------------------------- Kubernetes


def kube_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def event(reason: str, at: float, message: str, *, name: str = "cart-7f9c6d5b4-x2x9z", **more: Any) -> dict[str, Any]:
    return {
        "type": "Warning",
        "reason": reason,
        "message": message,
        "firstTimestamp": kube_time(at),
        "lastTimestamp": kube_time(at),
        "involvedObject": {"kind": "Pod", "name": name},
        "count": 1,
        **more,
    }


async def test_kubernetes_events_of_the_fault_are_told(source: MakeSource, window: Window) -> None:
    cluster = FakeCluster()
    scaled = {"type": "Normal", "involvedObject": {"kind": "Deployment", "name": "cart"}}
    cluster.the_events = [
        event("OOMKilling", window.began + 5, "Memory cgroup out of memory"),
        *(
            event("Unhealthy", window.began - 30 * n, "probe failed", name=f"a-7f9c6d5b4-x2x9{chr(100 + n)}")
            for n in range(-1, 20)
        ),
        event("ScalingReplicaSet", window.began + 9, "Scaled up replica set cart-8 from 0 to 1", **scaled),
        event("ScalingReplicaSet", window.began + 9, "Scaled up replica set cart-7 from 2 to 4", **scaled),
        event("Pulled", window.began + 5, "image is there", type="Normal"),
        event("Killing", window.began - 700, "long ago", type="Normal"),
        event("Chaos", window.began + 1, "ours", source={"component": "chaosrunner"}),
    ]
    material = await source("kubernetes-events", platform=cluster, namespaces=["shop"]).gather(window)
    found = clues([material], window, show=9, clean=str).found
    assert [(clue.what, clue.subject) for clue in found] == [
        ("deploy", "deployment/cart"),
        ("event", "pod/cart-7f9c6d5b4-x2x9z"),
    ]
    assert found[1].says.startswith("pod/cart-7f9c6d5b4-x2x9z: OOMKilling: Memory cgroup out of memory, at ")


async def test_the_logs_of_all_replicas_are_read_together(source: MakeSource, window: Window) -> None:
    cluster = FakeCluster()
    for name in ("cart-1", "cart-2"):
        pod = Pod(name)
        cluster.pods_there.append(pod)
        said = [(window.began - 300 + 3 * n, "INFO all is well") for n in range(120)]
        said += [(window.began + 0.5 + 3 * n, "ERROR no answer") for n in range(10)]
        pod.container.log = [(f"{stamp(at)[:-1]}000000Z", line) for at, line in sorted(said)]
    material = await source("pod-logs", platform=cluster, service="cart").gather(window)
    (stream,) = material.streams
    assert told(material, window) == ["new ERROR no answer"]
    assert len(stream.lines) == 260
    assert material.looked == "260 lines of 2 containers in 2 pods"
    assert material.unknown == ["what pods said that are gone by now, if there were any"]


async def test_of_a_log_that_is_too_long_the_fault_comes_first(source: MakeSource, window: Window) -> None:
    cluster = FakeCluster()
    pod = Pod("cart-1")
    cluster.pods_there.append(pod)
    times = [window.began - 600 + n for n in range(660)]
    pod.container.log = [(f"{stamp(at)[:-1]}000000Z", "INFO " + "x" * 20) for at in times]
    material = await source("pod-logs", platform=cluster, service="cart", limit="8kB").gather(window)
    assert material.streams[0].since == pytest.approx(window.began - 60, abs=1.5)
    assert re.search(r"cart-1/\w+ says so much that only its log since .* was read", material.unknown[0])


async def test_a_cluster_that_does_not_answer_is_said(source: MakeSource, window: Window) -> None:
    cluster = FakeCluster()
    cluster.down = True
    with pytest.raises(NotPossibleNow):
        await source("pod-logs", platform=cluster, service="cart").gather(window)
    with pytest.raises(NoReading, match="no environment says which cluster is meant"):
        await source("kubernetes-events").gather(window)


# --------------------------------------------------------------------------------------------------------- Prometheus


def shop(now: float) -> dict[str, list[tuple[float, float]]]:
    """A fault from 60 s ago until now, among series that nothing happens to."""
    times = every(5, 660, 0, now)

    def at(usual: float, fault: float) -> list[tuple[float, float]]:
        return [(t, fault if t > now - 58 else usual) for t in times]

    def counted(usual: float, fault: float) -> list[tuple[float, float]]:
        total, found = 0.0, []
        for t in times:
            total += 5 * (fault if t > now - 58 else usual)
            found.append((t, total))
        return found

    new = [(t, 20.0 * n) for n, t in enumerate((t for t in times if t > now - 50), 1)]
    return {
        'waiting{app="shop",job="checkout",instance="a:1"}': at(2, 60),
        'http_requests_total{app="shop",job="checkout",instance="a:1",code="200"}': counted(50, 5),
        'http_requests_total{app="shop",job="checkout",instance="a:1",code="503"}': new,
        'steady_total{app="shop",job="checkout",instance="a:1"}': counted(7, 7),
        'process_start_time_seconds{app="shop",job="prices",instance="b:1"}': at(now - 5000, now - 30),
        'api_build_info{app="shop",job="prices",instance="b:1",version="2"}': [(t, 1.0) for t in times if t > now - 40],
        'waiting{app="other",job="checkout",instance="c:1"}': at(2, 90),
        **{f'many{{app="shop",job="x",n="{n}"}}': at(1, 1) for n in range(30)},
    }


@pytest.fixture
async def prometheus(tmp_path: Path, window: Window) -> Any:
    async with PrometheusServer(tmp_path, history=shop(window.ended)) as running:
        yield running


@pytest.mark.real_time
async def test_what_prometheus_scraped_is_discovered_by_label(
    prometheus: Any, source: MakeSource, window: Window
) -> None:
    material = await source("prometheus", url=prometheus.url, discover='{app="shop"}', most=20).gather(window)
    found = told(material, window)
    where = 'app="shop",instance="a:1",job="checkout"'
    assert set(found) == {
        'happened api_build_info{app="shop",instance="b:1",job="prices",version="2"}',
        'happened process_start_time_seconds{app="shop",instance="b:1",job="prices"}',
        f"rose waiting{{{where}}}",
        'rose http_requests_total{app="shop",code="503",instance="a:1",job="checkout"}',
        'fell http_requests_total{app="shop",code="200",instance="a:1",job="checkout"}',
    }
    assert material.unknown == ["not looked at, as there are too many series: many (30 series)"]


@pytest.mark.real_time
async def test_queries_are_asked_by_name_with_links(prometheus: Any, source: MakeSource, window: Window) -> None:
    queries = {"waiting": 'sum(waiting{app="shop"})', "wrong": "sum(("}
    grafana = {"url": "http://grafana", "uid": "P1"}
    material = await source("prometheus", url=prometheus.url, queries=queries, grafana=grafana).gather(window)
    (clue,) = clues([material], window, show=9, clean=str).found
    assert clue.subject == "waiting"
    assert (clue.before, clue.during) == (2.0, 60.0)
    assert material.unknown[0].startswith("wrong: ")
    explore, graph = clue.links
    asked = parse_qs(urlsplit(graph.url).query)
    assert asked["g0.expr"] == ['sum(waiting{app="shop"})']
    assert urlsplit(graph.url).path == "/graph"
    assert "sum(waiting" in unquote(explore.url) and explore.url.startswith("http://grafana/explore?schemaVersion=1")


@pytest.mark.real_time
async def test_labels_that_nothing_has_are_said(prometheus: Any, source: MakeSource, window: Window) -> None:
    material = await source("prometheus", url=prometheus.url, discover='{app="shpo"}').gather(window)
    assert material.unknown == ['no series has {app="shpo"}']
    with pytest.raises(ValidationError, match="expected labels such as"):
        source("prometheus", url=prometheus.url, discover="waiting")
    with pytest.raises(ValidationError, match="expected queries, or discover, or both"):
        source("prometheus", url=prometheus.url)
