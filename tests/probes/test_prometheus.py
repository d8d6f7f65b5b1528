"""The prometheus probe against a server that speaks its API: every trap is no reading with its own reason."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from pydantic import ValidationError

from chaosrunner import catalog
from chaosrunner.errors import NoReading, UsageError
from chaosrunner.model.environment import Environment
from tests import loopback

QUERY = "/api/v1/query"


def vector(*values: Any, labels: list[dict[str, str]] | None = None) -> dict[str, Any]:
    metrics = labels or [{"instance": str(number)} for number in range(len(values))]
    return {
        "resultType": "vector",
        "result": [{"metric": metric, "value": [1e9, value]} for metric, value in zip(metrics, values, strict=True)],
    }


def success(data: Any, **more: Any) -> loopback.Behaviour:
    return loopback.as_json({"status": "success", "data": data, **more})


def counted(**parts: str) -> loopback.Behaviour:
    return success(vector(*parts.values(), labels=[{"chaosrunner": part} for part in parts]))


def forgetful(behaviour: loopback.Behaviour) -> loopback.Behaviour:
    """A Prometheus that heeds `lookback_delta`: within a millisecond there is no sample."""

    async def behave(met: loopback.Met, writer: Any) -> None:
        nothing = met.form["query"] == "count(up)" and met.form.get("lookback_delta") == "1ms"
        await (success(vector()) if nothing else behaviour)(met, writer)

    return behave


@pytest.fixture
def ask(server, probe):
    """Read a query of a server that answers like this."""

    async def read(behaviour: loopback.Behaviour, query: str = "sum(up)", **more: Any) -> Any:
        server.on(QUERY, forgetful(behaviour))
        params = {"query": query} if "ratio" not in more else {}
        return await probe("prometheus", url=server.url(), **params, **more).read()

    return read


@pytest.fixture
def ask_ratio(ask):
    async def read(behaviour: loopback.Behaviour, **more: Any) -> Any:
        ratio = {"bad": 'r{code=~"5.."}', "total": "r", "over": "30s", **more}
        return await ask(behaviour, ratio=ratio)

    return read


@pytest.mark.parametrize(
    "data", [vector("0.25"), {"resultType": "scalar", "result": [1e9, "0.25"]}, vector("2.5e-1", labels=[{}])]
)
async def test_it_reads_one_series_or_a_scalar(ask, data):
    assert await ask(success(data)) == 0.25


async def test_the_query_is_posted_as_a_form_with_its_time_limit_and_how_old_samples_may_be(server, ask):
    await ask(success(vector("1")), 'sum(rate(r{a="b+c"}[1m]))', timeout="3s", maxAge="1m")
    met = server.met[0]
    assert met.method == "POST"
    assert met.headers["content-type"] == "application/x-www-form-urlencoded"
    assert met.form == {"query": 'sum(rate(r{a="b+c"}[1m]))', "timeout": "3000ms", "lookback_delta": "60000ms"}


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (success(vector()), "no data (an empty result)"),
        (success(vector("NaN")), "the value is NaN (0 divided by 0, perhaps)"),
        (success(vector("+Inf")), "the value is +Inf"),
        (success(vector("-Inf")), "the value is -Inf"),
        (success(vector("1", "2")), 'gives 2 series ({instance="0"}, {instance="1"}), expected one: aggregate them'),
        (success(vector(*"12345")), "gives 5 series"),
        (success(vector("soon")), "is not a number"),
        (success({"resultType": "matrix", "result": []}), "gives a matrix, expected one number"),
        (success({"resultType": "string", "result": [1e9, "a"]}), "gives a string, expected one number"),
        (success({"resultType": "vector", "result": [{"metric": {}, "histogram": [1e9, {}]}]}), "a native histogram"),
        (success({"resultType": "vector", "result": [7]}), "expected one number"),
        (success({"resultType": "vector", "result": [{"value": [1]}]}), "is not a number"),
        (success({"resultType": "scalar", "result": None}), "native histogram"),
        (success(vector("1"), warnings=["store a is down"]), "the data may be partial: store a is down"),
        (success(None), "JSON that is not an answer to a query"),
        (loopback.as_json({"hello": "world"}), "JSON that is not an answer to a query"),
        (loopback.as_json([1, 2]), "expected a JSON object"),
        (
            loopback.as_json({"status": "error", "errorType": "bad_data", "error": "unclosed"}, 400),
            "(bad_data): unclosed",
        ),
        (loopback.as_json({"status": "error", "errorType": "execution", "error": "many"}, 422), "(execution): many"),
        (loopback.as_json({"status": "error", "errorType": "timeout", "error": "slow"}, 503), "(timeout): slow"),
        (loopback.as_json({"message": "who are you?"}, 401), "(401): who are you?"),
        (loopback.html(502, "Bad Gateway"), "answered 502 Whatever: expected JSON, found text/html: Bad Gateway"),
        (loopback.html(200, "Please log in"), "found text/html: Please log in"),
        (loopback.raw(loopback.page(b"", 302, Location="/login")), "answered 302 Whatever: expected JSON"),
        (loopback.text("x" * 2_000_000), "answered more than"),
        (loopback.close, "closed without an answer"),
        (loopback.reset, "connection reset"),
        (loopback.hang, "no answer within 0.2 s"),
    ],
)
async def test_what_prometheus_does_not_know_is_no_reading(ask, behaviour, words):
    with pytest.raises(NoReading, match=re.escape(words)) as caught:
        await ask(behaviour, timeout="200ms")
    assert len(str(caught.value)) < 500


async def test_infos_are_no_warnings(ask):
    assert await ask(success(vector("1"), infos=["metric might not be a counter"])) == 1


async def test_prometheus_that_is_down_is_no_reading_and_never_the_systems_silence(probe):
    with pytest.raises(NoReading, match="connection refused"):
        await probe("prometheus", url=f"http://127.0.0.1:{loopback.free_port()}", query="up").read()


# -- plain selectors: with the times of their own samples


def samples(*pairs: tuple[float, str], **labels: str) -> loopback.Behaviour:
    return success({"resultType": "matrix", "result": [{"metric": labels, "values": [list(pair) for pair in pairs]}]})


async def test_a_plain_selector_is_read_from_samples_young_enough(server, ask):
    assert await ask(samples((1.0, "3"), (2.0, "4")), 'queue_depth{app="a[b}"}', maxAge="20s") == 4
    assert server.met[0].form["query"] == 'queue_depth{app="a[b}"}[20000ms]'


def by_query(**answers: loopback.Behaviour) -> loopback.Behaviour:
    async def behave(met, writer):
        await answers["age" if met.form["query"].startswith("time()") else "samples"](met, writer)

    return behave


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (success(vector("214.3")), "the newest sample of up is 214 s old, at most 15 s are allowed"),
        (success(vector()), "no data for up (an empty result)"),
        (loopback.html(502, "Bad Gateway"), "no data for up"),
    ],
)
async def test_a_stale_sample_is_no_reading(server, ask, age, words):
    nothing = success({"resultType": "matrix", "result": []})
    with pytest.raises(NoReading, match=re.escape(words)):
        await ask(by_query(samples=nothing, age=age), "up")
    assert "lookback_delta" not in server.met[1].form


async def test_several_series_of_a_selector_and_histograms_are_no_reading(ask):
    two = {
        "resultType": "matrix",
        "result": [{"metric": {}, "values": [[1, "1"]]}, {"metric": {}, "values": [[1, "1"]]}],
    }
    with pytest.raises(NoReading, match="gives 2 series"):
        await ask(success(two), "up")
    with pytest.raises(NoReading, match="native histogram"):
        await ask(success({"resultType": "matrix", "result": [{"metric": {}, "histograms": [[1, {}]]}]}), "up")
    with pytest.raises(NoReading, match="the value is NaN"):
        await ask(samples((1.0, "NaN")), "up")


async def test_a_prometheus_that_repeats_dead_samples_is_found_out_and_asked_with_a_range(server, probe):
    server.on(QUERY, success(vector("4")))
    with pytest.raises(NoReading, match=r"write last_over_time\(SELECTOR\[15s\]\) for each selector"):
        await probe("prometheus", url=server.url(), query="sum(depth)").read()
    assert await probe("prometheus", url=server.url(), query="sum(last_over_time(depth[15s]))").read() == 4


async def test_whether_it_repeats_is_asked_once(server, ask, probe):
    server.on(QUERY, forgetful(success(vector("4"))))
    reader = probe("prometheus", url=server.url(), query="sum(depth)")
    for _ in range(3):
        assert await reader.read() == 4
    assert [met.form["query"] for met in server.met] == ["sum(depth)", "count(up)", "sum(depth)", "sum(depth)"]


# -- ratios


async def test_a_ratio_is_of_two_counters_at_one_moment(server, ask_ratio):
    assert await ask_ratio(counted(bad="3", total="300")) == 0.01
    assert len(server.met) == 1
    query = server.met[0].form["query"]
    for part, selector in (("bad", 'r{code=~"5.."}'), ("total", "r")):
        assert f'label_replace(sum(increase({selector}[30000ms])), "chaosrunner", "{part}", "", "")' in query
        assert (
            f"min_over_time({selector}[30000ms]) unless present_over_time({selector}[30000ms] offset 30000ms)" in query
        )


@pytest.mark.parametrize(
    ("parts", "ratio"),
    [
        ({"bad": "1", "total": "90", "bad-born": "9", "bad-first": "9", "total-born": "10", "total-first": "10"}, 0.1),
        ({"total": "90", "bad-born": "10", "bad-first": "10", "total-born": "10", "total-first": "10"}, 0.1),
        ({"bad": "10", "total": "100", "total-born": "8"}, 0.1),
        ({"bad": "0", "total": "100", "total-born": "1000"}, 0.0),
        ({"bad": "100", "total": "1000", "bad-born": "5", "total-born": "10"}, 0.1),
    ],
)
async def test_what_a_counter_begins_with_counts_where_it_is_of_this_time(ask_ratio, parts, ratio):
    assert await ask_ratio(counted(**parts)) == pytest.approx(ratio)


@pytest.mark.parametrize(
    "parts",
    [
        {"bad": "0", "total": "100", "bad-born": "1", "total-born": "1"},
        {"bad": "10", "total": "100", "total-born": "100"},
        {"bad": "10", "total": "100", "bad-born": "9", "bad-first": "3", "total-born": "9", "total-first": "3"},
    ],
)
async def test_a_ratio_that_rests_on_events_of_an_unknown_time_is_no_reading(ask_ratio, parts):
    with pytest.raises(NoReading, match="nobody knows when those happened: the ratio is anything from"):
        await ask_ratio(counted(**parts))


# -- ranges


def matrix(*values: str) -> loopback.Behaviour:
    return samples(*((float(at), value) for at, value in enumerate(values)))


RANGE = "/api/v1/query_range"


@pytest.fixture
def ask_over(server, probe):
    async def read(behaviour: loopback.Behaviour, **more: Any) -> Any:
        server.on(RANGE, behaviour)
        server.on(QUERY, forgetful(success(vector("1"))))
        return await probe(
            "prometheus", url=server.url(), query="depth", **{"over": "10s", "step": "1s", **more}
        ).read()

    return read


@pytest.mark.parametrize(
    ("take", "value"),
    [("last", 11), ("mean", 6), ("min", 1), ("max", 11), ("p50", 6), ("p95", 10.5), ("p99", 10.9)],
)
async def test_a_range_is_read_as_one_number(server, ask_over, take, value):
    assert await ask_over(matrix(*map(str, range(1, 12))), take=take) == pytest.approx(value)
    form = server.met[0].form
    assert float(form["end"]) - float(form["start"]) == pytest.approx(10)
    assert (form["step"], form["lookback_delta"]) == ("1.000", "15000ms")


async def test_up_to_a_fifth_of_a_range_may_be_missing(ask_over):
    assert await ask_over(matrix("1", "NaN", *"1111111"[:7], "1", "NaN"), take="max") == 1


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (matrix(*"11111111"), "8 of 11 moments within 10s have a number, at least 80% are needed"),
        (matrix("+Inf", *"11111111", "NaN", "NaN"), "8 of 11 moments"),
        (success({"resultType": "matrix", "result": []}), "no data within 10s"),
        (success({"resultType": "matrix", "result": [{"histograms": []}]}), "native histograms"),
        (success(vector("1")), "gives a vector"),
        (loopback.html(503, "Gone"), "found text/html: Gone"),
    ],
)
async def test_a_range_with_holes_is_no_reading(ask_over, behaviour, words):
    with pytest.raises(NoReading, match=re.escape(words)):
        await ask_over(behaviour, take="mean")


async def test_a_bad_series_that_is_missing_beside_a_live_total_counts_0(ask_ratio):
    assert await ask_ratio(counted(total="300")) == 0


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (counted(), "no data for r over 30s (at least two scrapes are needed)"),
        (counted(bad="3"), "no data for r over 30s"),
        (counted(bad="0", total="0"), "0 events over 30s, at least 100 are needed"),
        (counted(bad="3", total="99.4"), "99.4 events over 30s, at least 100 are needed"),
        (counted(bad="NaN", total="300"), "the value is NaN"),
        (counted(bad="3", total="NaN"), "the value is NaN"),
    ],
)
async def test_a_ratio_without_enough_events_is_no_reading(ask_ratio, behaviour, words):
    with pytest.raises(NoReading, match=re.escape(words)):
        await ask_ratio(behaviour, minimum=100)


async def test_nothing_divided_by_nothing_is_no_reading_even_without_a_minimum(ask_ratio):
    with pytest.raises(NoReading, match="0 events"):
        await ask_ratio(counted(bad="0", total="0"), minimum=0)


# -- who is asked


def environment(**prometheus: Any) -> Environment:
    return Environment.model_validate(
        {
            "apiVersion": "chaosrunner.dev/v1",
            "kind": "Environment",
            "metadata": {"name": "here"},
            "spec": {"platform": {"local": {}}, **({"prometheus": prometheus} if prometheus else {})},
        }
    )


async def test_the_environments_prometheus_is_asked_with_its_token_and_headers(server, context, probe):
    server.on("/prom" + QUERY, forgetful(success(vector("1"))))
    source = {"bearerToken": {"env": "TOKEN"}, "headers": {"X-Scope-OrgID": "shop"}}
    within = dataclasses.replace(context, environment=environment(url=server.url("/prom/"), **source))
    assert await probe("prometheus", within=within, query="sum(up)").read() == 1
    assert server.met[0].headers["authorization"] == "Bearer s3cr3t"
    assert server.met[0].headers["x-scope-orgid"] == "shop"


async def test_a_prometheus_of_its_own_does_not_get_the_environments_token(server, context, probe):
    server.on(QUERY, forgetful(success(vector("1"))))
    source = environment(url="http://127.0.0.1:1", bearerToken={"env": "TOKEN"})
    within = dataclasses.replace(context, environment=source)
    assert await probe("prometheus", within=within, query="sum(up)", url=server.url()).read() == 1
    assert "authorization" not in server.met[0].headers


async def test_without_any_prometheus_it_says_where_one_is_named(context, probe):
    for within in (context, dataclasses.replace(context, environment=environment())):
        with pytest.raises(UsageError, match="expected `url` in the measure or `prometheus` in the environment"):
            await probe("prometheus", within=within, query="up").open()


# -- what the file says


@pytest.mark.parametrize(
    ("params", "lag"),
    [
        ({"query": "up"}, 15),
        ({"query": "up", "maxAge": "60s"}, 60),
        ({"query": "sum(rate(r[30s]))"}, 45),
        ({"query": "sum(rate(r[5m])) / sum(rate(r[1h30m]))"}, 5415),
        ({"query": "max_over_time(rate(r[1m])[10m:30s])"}, 615),
        ({"query": "rate(r[1w])"}, 604815),
        ({"query": 'r{path="[7d]"}'}, 15),
        ({"query": "rate(r[1m] offset 5m)"}, 375),
        ({"query": "rate(r[1m])", "over": "2m", "take": "max"}, 195),
        ({"query": "rate(r[$range])"}, 15),
        ({"ratio": {"bad": "b", "total": "t", "over": "30s"}}, 45),
    ],
)
def test_the_lag_is_the_longest_range_and_the_age_of_samples(params, lag):
    plugin = catalog.find("probes", "prometheus")
    assert plugin.lag(plugin.Params.model_validate(params)) == lag


def test_only_a_ratio_knows_its_unit():
    plugin = catalog.find("probes", "prometheus")
    ratio = plugin.Params.model_validate({"ratio": {"bad": "b", "total": "t", "over": "30s"}})
    query = plugin.Params.model_validate({"query": "up"})
    assert (plugin.unit(ratio), plugin.kind_of(ratio)) == ("ratio", "ratio")
    assert (plugin.unit(query), plugin.kind_of(query)) == (None, None)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "expected one of query and ratio"),
        ({"query": "up", "ratio": {"bad": "b", "total": "t", "over": "30s"}}, "expected one of query and ratio"),
        ({"query": " "}, "expected a PromQL query"),
        ({"ratio": {"bad": "rate(b[1m])", "total": "t", "over": "30s"}}, "expected a selector"),
        ({"ratio": {"bad": "b[30s]", "total": "t", "over": "30s"}}, "expected a selector"),
        ({"ratio": {"bad": "b", "total": "t", "over": "0s"}}, "greater than 0"),
        ({"query": "up", "bearerToken": {"env": "A"}}, "go with url"),
        ({"query": "up", "clientCert": "a.pem"}, "go with url"),
        ({"query": "up", "over": "1m"}, "over needs take"),
        ({"query": "up", "take": "max"}, "go with over"),
        ({"query": "up", "over": "1d", "step": "1s", "take": "max"}, "more than 11000 moments"),
        ({"ratio": {"bad": "b", "total": "t", "over": "30s"}, "over": "1m", "take": "max"}, "a ratio has its own"),
        ({"query": "up", "url": "prometheus:9090"}, "expected a URL"),
    ],
)
def test_a_wrong_parameter_is_refused_in_words(params, words):
    with pytest.raises(ValidationError, match=words):
        catalog.find("probes", "prometheus").Params.model_validate(params)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("up", True),
        ('up{a="b",c=~"d}e"}', True),
        ("up {a='b'}", True),
        ('{__name__="up"}', True),
        ("job:rate:5m", True),
        ("up + 1", False),
        ("up offset 5m", False),
        ("up[5m]", False),
        ("sum(up)", False),
        ('up{a="b"} or vector(0)', False),
        ("1", False),
    ],
)
async def test_only_a_plain_selector_is_asked_for_as_one(server, ask, text, plain):
    answer = samples((1.0, "1")) if plain else success(vector("1"))
    assert await ask(answer, text) == 1
    assert server.met[0].form["query"].endswith("[15000ms]") is plain
