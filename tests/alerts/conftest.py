"""One watched system for all tests of a file: Prometheus takes seconds to find its targets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.alerts.monitoring import Monitored, monitored


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    with monitored(tmp_path_factory.mktemp("monitored")) as up:
        yield up
