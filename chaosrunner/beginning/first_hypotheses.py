"""By what to tell whether a service that was found is well, the nearest to its users first."""

# ruff: noqa: E501  a line of a file that is written stands in one line
from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosrunner.files.written import scalar
from chaosrunner.model.quantities import write_duration
from chaosrunner.model.surroundings import FoundCounter, FoundObjective, FoundService, Surroundings, file_name
from chaosrunner.records.light import dataclass

OVER = 60.0
"""Seconds over which rates are taken: four scrapes at 15 s."""
_SAMPLE = 30.0
"""Seconds that a sample may be old: two scrapes."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A hypothesis about one service."""

    name: str
    service: str
    reference: str
    """How an experiment names it."""
    text: str
    """Its file; empty: it has one already."""
    why: str
    lag: float
    """Seconds that its slowest reading looks back."""


def promises(found: Surroundings) -> list[Promise]:
    """Of every service that was found, and of services that only a Prometheus knows."""
    services = list(found.platform.services) if found.platform is not None else []
    counters = found.metrics.counters if found.metrics is not None else ()
    if not services:
        names = dict.fromkeys(name for counter in counters for name in counter.services)
        recorded = found.metrics.objectives if found.metrics is not None else ()
        names |= dict.fromkeys(one.service for one in recorded if one.service)
        services = [FoundService(name) for name in names]
    made: list[Promise] = []
    for service in services:
        made += _written_down(service, found)
        counter = next((one for one in counters if service.name in one.services), None)
        if counter is not None:
            made.append(_served(service, counter))
        elif (asked := _asked(service, found)) is not None:
            made.append(asked)
        if service.workload:
            made.append(_pods(service))
    return made


def _written_down(service: FoundService, found: Surroundings) -> Iterator[Promise]:
    """Objectives that somebody has written down already."""
    for one in found.objectives:
        if one.service == service.name:
            yield Promise(one.name, service.name, taken_over(one), "", one.file, OVER + 15)
    for one in found.metrics.objectives if found.metrics is not None else ():
        if one.service == service.name and file_name(one.name):
            yield _recorded(service, one)


def taken_over(one: FoundObjective) -> str:
    """How an experiment names an objective of an OpenSLO file."""
    return f"openslo: {{slo: {scalar(one.file)}, name: {scalar(one.name)}, over: 60s}}"


def _recorded(service: FoundService, one: FoundObjective) -> Promise:
    name = file_name(f"{service.name}-{one.name}".removeprefix(f"{service.name}-{service.name}-"))
    name = name if name.startswith(service.name) else f"{service.name}-{name}"
    lines = [
        *_head(name, f"{service.name} keeps the objective that is recorded as {one.name}"),
        "    # Why: this ratio is recorded by a rule of your Prometheus already; alerts and reports go by the same number.",
        "    - name: errors",
        "      prometheus:",
        f"        query: {_single(one.query)}",
        f"        maxAge: {write_duration(2 * _SAMPLE)}",
        "      unit: ratio",
        f"      lag: {write_duration(one.window + 2 * _SAMPLE)}                    # the rule looks back {write_duration(one.window)}",
        "      every: 15s",
        f"      tolerance: {{atMost: {_allowed(one)}}}            # {_told(one)}",
        "      abortAt: {atMost: 20%, for: 30s}",
    ]
    why = f"{service.name}: the error ratio that is recorded already"
    return Promise(name, service.name, name, _file(lines), why, one.window + 2 * _SAMPLE)


def _allowed(one: FoundObjective) -> str:
    """The share of bad events that an objective leaves."""
    return "1%" if one.objective is None else f"{round((1 - one.objective) * 100, 6):g}%"


def _told(one: FoundObjective) -> str:
    return "put your objective here" if one.objective is None else f"the objective: {round(one.objective * 100, 6):g}%"


def _served(service: FoundService, counter: FoundCounter) -> Promise:
    name = f"{service.name}-serves"
    label = f'{counter.service_label}="{service.name}"'
    grpc = counter.code_label.startswith("grpc")
    bad = f'{counter.code_label}=~"{"Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss" if grpc else "5.."}"'
    lines = [
        *_head(name, f"{service.name} answers its callers, rightly and soon"),
        f"    # Why: {counter.metric} counts what callers of {service.name} got; nothing is nearer to what they notice.",
        "    - name: errors",
        "      prometheus:",
        "        ratio:",
        f"          bad: {_single(f'{counter.metric}{{{label}, {bad}}}')}",
        f"          total: {_single(f'{counter.metric}{{{label}}}')}",
        f"          over: {write_duration(OVER)}                     # at least four scrapes",
        "          minimum: 10                    # fewer requests tell nothing: no reading",
        f"        maxAge: {write_duration(_SAMPLE)}                      # twice the scrape interval",
        "      every: 5s",
        "      tolerance: {atMost: 1%}            # put your objective here",
        "      abortAt: {atMost: 20%, for: 10s}   # worse than this: stop, and take the fault back",
    ]
    if counter.histogram:
        query = f"histogram_quantile(0.95, sum by (le) (rate({counter.histogram}_bucket{{{label}}}[{write_duration(OVER)}])))"
        lines += [
            "    - name: p95",
            f"      prometheus: {{query: {_single(query)}, maxAge: {write_duration(_SAMPLE)}}}",
            "      unit: s",
            "      every: 5s",
            "      tolerance:",
            "        baseline: {atMost: 1s}",
            "        fault: {atMost: 2x baseline, floor: 100ms}",
            "        recovery: {atMost: 1.5x baseline, floor: 100ms}",
        ]
    return Promise(name, service.name, name, _file(lines), f"{service.name}: from {counter.metric}", OVER + _SAMPLE)


def _asked(service: FoundService, found: Surroundings) -> Promise | None:
    """From outside, by its health check or its port."""
    kubernetes = found.platform is not None and found.platform.kind == "kubernetes"
    if kubernetes and not (service.health and service.kube_service):
        return None
    if service.health:
        of = (
            f"service: {service.name}, url: {scalar(service.health)}"
            if kubernetes
            else f"url: {_quoted(service.health)}"
        )
        probe = f"http: {{{of}, read: latency, timeout: 5s}}"
        why = "it has a health check, which is asked as a caller would; better is a page or call that users make"
    elif service.port is not None:
        probe = f"tcp: {{host: 127.0.0.1, port: {service.port}, read: latency, timeout: 5s}}"
        why = "it publishes a port and no health check over HTTP; better is a page or call that users make"
    else:
        return None
    name = f"{service.name}-answers"
    lines = [
        *_head(name, f"{service.name} answers, and soon"),
        f"    # Why: {why}.",
        "    - name: latency",
        f"      {probe}",
        "      every: 1s",
        "      timeout: 6s",
        "      tolerance:                         # no answer meets no tolerance",
        "        baseline: {atMost: 2s}",
        "        fault: {atMost: 4x baseline, floor: 200ms}",
        "        recovery: {atMost: 2x baseline, floor: 200ms}",
        "      abortAt: {atMost: 10s, for: 15s}   # worse than this: stop, and take the fault back",
    ]
    return Promise(name, service.name, name, _file(lines), f"{service.name}: asked from outside", 0.0)


def _pods(service: FoundService) -> Promise:
    name, usual = f"{service.name}-has-pods", service.replicas
    least = max(usual // 2, 1)
    lines = [
        *_head(name, f"{service.name} keeps {least} of its {usual} pods, and gets the others back"),
        "    # Why: the cluster should put right what is lost by itself. It says little about users: a pod that is ready",
        "    # may answer with errors, so never let this stand alone for long.",
        "    - name: ready",
        f"      kubernetes: {{service: {service.name}, read: readyPods}}",
        "      every: 2s",
        "      timeout: 5s",
        f"      tolerance: {{baseline: {{atLeast: {usual}}}, fault: {{atLeast: {least}}}, recovery: {{atLeast: {usual}}}}}",
        "      abortAt: {atLeast: 1, for: 5s}     # nothing is left: stop, and take the fault back",
    ]
    return Promise(name, service.name, name, _file(lines), f"{service.name}: what the cluster says", 0.0)


def _head(name: str, title: str) -> Sequence[str]:
    return [
        "apiVersion: chaosrunner.dev/v1",
        "kind: Hypothesis",
        f"metadata: {{name: {name}}}",
        "spec:",
        f"  title: {scalar(title)}",
        "  measures:",
    ]


def _file(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _single(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(text: str) -> str:
    return scalar(text) if scalar(text).startswith('"') else f'"{text}"'
