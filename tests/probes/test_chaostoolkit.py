"""The chaostoolkit probe: what a function of an extension returns, and that one that hangs is killed.

The functions are those of the extension that the experiments of `tests/chaos_toolkit` call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chaosrunner import catalog
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NoReading
from chaosrunner.http import Http
from chaosrunner.ports import Probe, ProbeContext
from tests.chaos_toolkit.comparing import HERE


@pytest.fixture(autouse=True)
def extension(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("CT_STATE", str(tmp_path))
    monkeypatch.setenv("CT_SECRET", "swordfish-7781")


@pytest.fixture
async def reading(tmp_path: Any) -> AsyncIterator[Any]:
    """Reads once what a function returns."""
    made: list[Probe[Any]] = []
    async with Http(SystemClock(), folder=tmp_path) as http:

        async def read(func: str, probe: Probe[Any] | None = None, **params: Any) -> Any:
            plugin = catalog.find("probes", "chaostoolkit")
            given = plugin.Params.model_validate({"module": "ct_extension", "func": func, **params})
            one = plugin(given, ProbeContext(clock=SystemClock(), http=http, folder=tmp_path))
            made.append(one)
            return await one.read()

        yield read
        for each in made:
            await each.close()


async def test_it_reads_what_lies_in_a_mapping(reading: Any) -> None:
    value = {"n": [4, "<${a}>"]}
    assert await reading("give", arguments={"value": value}, configuration={"a": 7}, path="$.n[1]") == "<7>"


async def test_a_function_is_given_secrets_by_where_they_are(reading: Any) -> None:
    secrets = {"key": {"env": "CT_SECRET"}}
    assert await reading("secret_of", arguments={"name": "key"}, secrets=secrets) == "swordfish-7781"


@pytest.mark.parametrize(
    ("func", "more", "why"),
    [
        ("fail", {}, "RuntimeError: no"),
        ("leave", {"arguments": {"code": 4}}, "its process exited with 4 before it answered"),
        ("hang", {"timeout": "100ms"}, "it did not end within 0.1 s and was killed"),
    ],
)
async def test_what_tells_nothing_is_no_reading(reading: Any, func: str, more: Any, why: str) -> None:
    with pytest.raises(NoReading, match=why):
        await reading(func, **more)
