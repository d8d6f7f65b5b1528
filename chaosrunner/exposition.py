"""chaosrunner's own metrics, in the text that Prometheus reads. The only importer of prometheus_client.

Labels are names of files and services, words of closed vocabularies, and nothing that grows with every run: no run
ids, no pods, no reasons. Counters count what is kept in the state folder, so they fall when runs are pruned; Prometheus
takes that for a restart, and `increase` goes on.

docs/monitoring.md lists them all; a test holds it against this file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from chaosrunner import __version__
from chaosrunner.model.figures import NearMissFigures, NearMissGroup, RunFigures, grouped
from chaosrunner.records.light import dataclass

CONTENT_TYPE = CONTENT_TYPE_LATEST
_ABORT = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""The promise is one second, plus the cluster's own time."""
_RECOVERY = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_DETECTION = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
AGES = ("under 1 day", "under 7 days", "under 30 days", "under 90 days")
"""What an age below each of `figures.AGE_DAYS` is called."""
OLDER = "90 days and more"
_RUN = ("experiment", "environment")
_MISS = ("service", "environment_class")


@dataclass(frozen=True)
class Figures:
    """Everything that the metrics of a state folder are made of."""

    runs: Sequence[RunFigures] = ()
    near_misses: Sequence[NearMissGroup] | None = ()
    """Those that are not closed, in groups. None: the register cannot be read."""
    closed: Mapping[str, int] = field(default_factory=dict)
    """How many are closed, by state: they only grow in number, so they are counted, not read."""
    now: float = 0.0
    under_way: Mapping[str, int] = field(default_factory=dict)
    """Runs that live, by environment."""
    left: Mapping[str, int] = field(default_factory=dict)
    """Runs that died and were not healed, by environment."""
    unreadable: int = 0


def exposition(figures: Figures) -> bytes:
    """All metrics of a state folder."""
    return _text([*_of_this_process(figures), *_counters(figures.runs), *_last(figures.runs), *_register(figures)])


def of_one_run(run: RunFigures) -> bytes:
    """What is pushed about a run: gauges only, as whoever pushes next starts to count anew."""
    return _text(_last([run]))


def of_near_misses(near_misses: Sequence[NearMissFigures], now: float) -> bytes:
    """What is pushed about the near misses of a service."""
    return _text(_near_misses(grouped(near_misses, now), now))


def _text(metrics: Iterable[Metric]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Ready(list(metrics)))
    return generate_latest(registry)


class _Ready(Collector):
    """Metrics that are made already."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


# ---------------------------------------------------------------------------------------------------------------- runs


def _of_this_process(figures: Figures) -> Iterator[Metric]:
    build = GaugeMetricFamily("chaosrunner_build_info", "1, with chaosrunner's version.", labels=("version",))
    build.add_metric((__version__,), 1)
    yield build
    for name, words, found in (
        ("runs_under_way", "Runs of this machine that live now.", figures.under_way),
        ("runs_left", "Runs of this machine that died and were not healed.", figures.left),
    ):
        gauge = GaugeMetricFamily(f"chaosrunner_{name}", words, labels=("environment",))
        for environment, count in sorted(found.items()):
            gauge.add_metric((environment,), count)
        yield gauge
    yield GaugeMetricFamily("chaosrunner_runs_unreadable", "Runs with unreadable journals.", value=figures.unreadable)


def _counters(runs: Sequence[RunFigures]) -> Iterator[Metric]:
    ended: Counter[tuple[str, ...]] = Counter((one.experiment, one.environment, one.answer, one.ending) for one in runs)
    yield _counter("runs", "Runs that have ended.", (*_RUN, "answer", "ending"), ended)
    gaps: Counter[tuple[str, ...]] = Counter(
        (one.experiment, one.environment, kind) for one in runs for kind in one.gaps
    )
    yield _counter("gaps", "Gaps that runs showed.", (*_RUN, "kind"), gaps)
    for name, words, count in (
        ("undo_failures", "Faults that could not be taken back.", lambda one: one.undo_failed),
        ("aborts", "Runs that an abort limit ended.", lambda one: int(one.aborted)),
        ("undetected_alerts", "Expected alerts that did not fire in time.", lambda one: one.undetected),
    ):
        # Every experiment has a series, also of nothing: the first failure is then an increase.
        sums: Counter[tuple[str, ...]] = Counter()
        for one in runs:
            sums[one.experiment, one.environment] += count(one)
        yield _counter(name, words, _RUN, sums)
    words = "Seconds from the limit to the last fault undone."
    undone = [((one.environment,), one.undone_after) for one in runs if one.undone_after is not None]
    yield _histogram("abort", words, _ABORT, ("environment",), undone)
    recovered = [((one.environment,), one.recovered_after) for one in runs if one.recovered_after is not None]
    yield _histogram("recovery", "Seconds from the last undo to recovered.", _RECOVERY, ("environment",), recovered)
    seen = [((one.environment, each.source), each.seconds) for one in runs for each in one.detections]
    words = "Seconds from the fault in force to the expected alert firing."
    yield _histogram("detection", words, _DETECTION, ("environment", "source"), seen)


def _counter(name: str, words: str, labels: Sequence[str], counts: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(f"chaosrunner_{name}", words, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _histogram(
    name: str,
    words: str,
    bounds: Sequence[float],
    labels: Sequence[str],
    seen: Sequence[tuple[tuple[str, ...], float]],
) -> Metric:
    family = HistogramMetricFamily(f"chaosrunner_{name}_seconds", words, labels=labels)
    for values in sorted({values for values, _ in seen}):
        mine = [seconds for each, seconds in seen if each == values]
        buckets = [(str(bound), sum(one <= bound for one in mine)) for bound in bounds]
        family.add_metric(values, [*buckets, ("+Inf", len(mine))], sum(mine))
    return family


def _last(runs: Sequence[RunFigures]) -> Iterator[Metric]:
    latest: dict[tuple[str, str], RunFigures] = {}
    for one in sorted(runs, key=lambda each: each.ended):
        latest[one.experiment, one.environment] = one
    for name, words, value in (
        ("timestamp_seconds", "When the last run ended.", lambda one: one.ended),
        ("duration_seconds", "How long the last run took.", lambda one: one.seconds),
        ("exit_code", "The last run's exit code.", lambda one: one.exit_code),
        ("gaps", "Gaps that the last run showed.", lambda one: len(one.gaps)),
        ("abort_seconds", "Until all was undone after an abort.", lambda one: one.undone_after),
        ("recovery_seconds", "Until the system had recovered.", lambda one: one.recovered_after),
    ):
        gauge = GaugeMetricFamily(f"chaosrunner_last_run_{name}", words, labels=_RUN)
        for labels, one in sorted(latest.items()):
            if (found := value(one)) is not None:
                gauge.add_metric(labels, found)
        yield gauge
    slowest = GaugeMetricFamily(
        "chaosrunner_last_run_detection_seconds", "Until the slowest expected alert fired.", labels=(*_RUN, "source")
    )
    for labels, one in sorted(latest.items()):
        for source in sorted({each.source for each in one.detections}):
            took = max(each.seconds for each in one.detections if each.source == source)
            slowest.add_metric((*labels, source), took)
    yield slowest


# --------------------------------------------------------------------------------------------------------- near misses


def _register(figures: Figures) -> Iterator[Metric]:
    up = figures.near_misses is not None
    yield GaugeMetricFamily("chaosrunner_register_up", "Whether the near-miss register can be read.", value=int(up))
    yield from _near_misses(figures.near_misses or (), figures.now)
    closed: dict[tuple[str, ...], float] = {(state,): count for state, count in figures.closed.items()}
    yield _gauge("near_misses_closed", "Near misses with which nobody has anything left to do.", ("state",), closed)


def _near_misses(groups: Sequence[NearMissGroup], now: float) -> Iterator[Metric]:
    each: dict[tuple[str, ...], float] = {_labels(one): one.count for one in groups}
    yield _gauge("near_misses", "Near misses that are not closed.", (*_MISS, "state", "priority"), each)
    ages: Counter[tuple[str, ...]] = Counter()
    for one in groups:
        younger = 0
        for words, below in zip((*AGES, OLDER), (*one.younger, one.count), strict=True):
            ages[one.state, words] += below - younger
            younger = below
    yield _gauge("near_misses_by_age", "Near misses that are not closed, by age.", ("state", "age"), +ages)
    oldest: dict[tuple[str, ...], float] = {_labels(one): max(0.0, now - one.oldest) for one in groups}
    words = "Age of the oldest that is not closed."
    yield _gauge("near_miss_oldest_seconds", words, (*_MISS, "state", "priority"), oldest)
    overdue: Counter[tuple[str, ...]] = Counter()
    for one in groups:
        overdue[one.service, one.environment_class, one.priority] += one.overdue
    yield _gauge("near_misses_overdue", "Near misses whose fix should be ready.", (*_MISS, "priority"), overdue)


def _labels(one: NearMissGroup) -> tuple[str, ...]:
    return one.service, one.environment_class, one.state, one.priority


def _gauge(name: str, words: str, labels: Sequence[str], found: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(f"chaosrunner_{name}", words, labels=labels)
    for values, value in sorted(found.items()):
        family.add_metric(values, value)
    return family
