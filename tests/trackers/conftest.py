"""A register, a tracker of each kind, and the API that it speaks to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.http import Http
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.near_miss import NearMiss
from chaosrunner.model.words import RejectedAs, State, WaivedAs
from chaosrunner.ports import Parameters, ProbeContext, Tracker
from chaosrunner.register import open_register
from chaosrunner.stages.register import Registered
from chaosrunner.stages.remediate import Remediated, follow, open_tracker, remediate
from tests.near_misses.world import ONE_RUN, SetClock, environment, facts, finding, passing
from tests.trackers.api import TOKEN
from tests.trackers.apis import GithubApi, GitlabApi, JiraApi, Tracking

PATIENCE = "0.4s"
"""How long our side waits for an answer: an API that is slow takes longer."""
APIS = {"github": GithubApi, "gitlab": GitlabApi, "jira": JiraApi}


def call(kind: str, url: str, **more: Any) -> dict[str, Any]:
    own = {
        "github": {"repository": "acme/checkout"},
        "gitlab": {"project": "acme/checkout"},
        "jira": {"project": "SHOP", "user": "bot@acme.example"},
    }[kind]
    return {kind: {**own, "url": url, "token": {"env": "TRACKER_TOKEN"}, "timeout": PATIENCE, **more}}


class Runner:
    """One that has a register (perhaps with others), and the tracker."""

    def __init__(self, folder: Path, kind: str, api: Tracking, **more: Any) -> None:
        self.clock, self.api, self.kind = api.clock, api, kind
        self.register = open_register(folder, self.clock)
        self.http = Http(self.clock, environ={"TRACKER_TOKEN": TOKEN})
        context = ProbeContext(clock=self.clock, http=self.http, folder=folder, state=folder)
        named = environment(tracker=call(kind, api.url("").rstrip("/"), **more))
        self.tracker: Tracker[Parameters] = open_tracker(named, context)

    async def fails(self, run: str = "run-1") -> Remediated:
        self.clock.at += 1
        recorded = self.register.record(facts(run, at=self.clock.at, tracker=self.kind), [finding()])
        (done,) = await remediate(Registered(tuple(recorded)), self.register, self.tracker, self.clock)
        return done

    async def passes(self, run: str) -> Remediated:
        self.clock.at += 60
        held = passing(run, at=self.clock.at, verification=ONE_RUN, tracker=self.kind)
        tried = self.register.passed(held)
        (done,) = await remediate(Registered((), tuple(tried)), self.register, self.tracker, self.clock)
        return done

    async def follows(self, after: float = 60.0) -> Remediated:
        self.clock.at += after
        (done,) = await follow(self.register, self.tracker, self.clock, ["NM-2026-0001"])
        return done

    async def settles(self) -> Remediated:
        """Until it is at peace with the tracker, however often that takes."""
        for _ in range(30):
            done = await self.follows()
            if not done.trouble:
                return done
        raise AssertionError(done.trouble)

    def change(self, to: State, **changes: Any) -> None:
        self.clock.at += 1
        good: dict[str, Any] = {"actor": "ana", "reason": "because", "accepted_by": "bob", "change": "commit 1"}
        good |= {"rejected_as": RejectedAs.OUT_OF_SCOPE, "waived_as": WaivedAs.ENVIRONMENT_ONLY}
        self.register.change("1", Change(to=to, at=self.clock.at, **(good | changes)))

    @property
    def near_miss(self) -> NearMiss:
        return self.register.get("1")

    async def close(self) -> None:
        await self.http.aclose()
        self.register.__exit__(None, None, None)


@pytest.fixture(params=sorted(APIS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def api(kind: str) -> AsyncIterator[Tracking]:
    async with APIS[kind](SetClock()) as running:
        yield running


@pytest.fixture
async def runner(tmp_path: Path, kind: str, api: Tracking) -> AsyncIterator[Runner]:
    made = Runner(tmp_path, kind, api)
    yield made
    await made.close()
