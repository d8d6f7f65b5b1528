"""A lab for each file; an injector in its pod for each test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.injector_pod.lab import Injector, Lab, lab, why_not

HERE = Path(__file__).parent
_runs = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real sockets between real network namespaces, where there can be some."""
    mine = [item for item in items if item.path.is_relative_to(HERE)]
    reason = why_not() if mine else ""
    for item in mine:
        item.add_marker(pytest.mark.real_time)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def stage() -> Iterator[Lab]:
    with lab() as made:
        yield made


@pytest.fixture
def started(stage: Lab) -> Iterator[Callable[..., Injector]]:
    """Starts injectors in the pod, and ends them."""
    made: list[Injector] = []

    def start(*more: str, run: str = "", beat_limit: float = 5.0) -> Injector:
        one = Injector(stage.pod, run or f"R{next(_runs)}", *more, beat_limit=beat_limit)
        made.append(one)
        return one

    yield start
    for one in made:
        one.close()
    assert "chaosrunner" not in stage.pod.rules(), "an injector left its rules"


@pytest.fixture
def injector(started: Callable[..., Injector]) -> Injector:
    one = started()
    one.keep_alive()
    return one
