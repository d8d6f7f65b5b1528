"""The register's figures in the OpenMetrics text format, to be pushed or scraped as a file.

https://prometheus.io/docs/specs/om/open_metrics_spec/: families with HELP and TYPE, `# EOF` at the end. Labels are
names of services and words of closed vocabularies, and nothing that grows with every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from chaosrunner.model.stats import Group, Stats

_SORTS = ("service", "owner", "kind", "fault", "priority", "state")
_FIGURES = {
    "found": "Near misses that were found.",
    "waiting": "Near misses that are not closed.",
    "fix_ready": "Near misses with a fix that is to be verified.",
    "verified": "Near misses whose fix was verified.",
    "regressed": "Near misses that came back.",
    "overdue": "Near misses whose fix should be ready.",
}

Sample = tuple[Mapping[str, str], float]


def openmetrics(stats: Stats) -> str:
    """All figures; by service, owner, kind of gap, class of fault, priority and state."""
    return "\n".join([*_families(stats), "# EOF"]) + "\n"


def _families(stats: Stats) -> Iterator[str]:
    for name, words in _FIGURES.items():
        family = f"chaosrunner_register_{name}"
        yield from _gauge(family, words, [({}, float(getattr(stats.total, name)))])
        for sort in _SORTS:
            samples = [({sort: group.value}, float(getattr(group, name))) for group in stats.by.get(sort, ())]
            yield from _gauge(f"{family}_by_{sort}", f"{words[:-1]}, by {sort}.", samples)
    for name, words in (("to_fix", "until a fix was ready"), ("to_verify", "from there until it was verified")):
        yield from _times(f"chaosrunner_register_{name}_seconds", words, getattr(stats, name), stats, name)
    yield from _gauge("chaosrunner_register_outages", "Outages that were recorded.", [({}, float(stats.outages))])
    uncovered = "Near misses that no experiment shows."
    yield from _gauge("chaosrunner_register_uncovered", uncovered, [({}, float(stats.uncovered))])
    runs: list[Sample] = [({"answer": answer}, float(number)) for answer, number in sorted(stats.runs.items())]
    yield from _gauge("chaosrunner_register_runs", "Recorded runs, by answer.", runs)


def _times(family: str, words: str, median: float | None, stats: Stats, name: str) -> Iterator[str]:
    if median is not None:
        yield from _gauge(family, f"Median time {words}.", [({}, median)], unit="seconds")
    groups: Iterable[Group] = stats.by.get("service", ())
    samples: list[Sample] = [
        ({"service": group.value}, value) for group in groups if (value := getattr(group, name)) is not None
    ]
    yield from _gauge(
        f"{family.removesuffix('_seconds')}_by_service_seconds", f"Mean time {words}.", samples, "seconds"
    )


def _gauge(family: str, words: str, samples: Iterable[Sample], unit: str = "") -> Iterator[str]:
    told = [*samples]
    if not told:
        return
    yield f"# TYPE {family} gauge"
    if unit:
        yield f"# UNIT {family} {unit}"
    yield f"# HELP {family} {words}"
    for labels, value in told:
        named = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        yield f"{family}{f'{{{named}}}' if named else ''} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
