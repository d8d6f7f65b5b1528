"""Schedules applied to a cluster: created, changed, left as they are, refused where a guard or somebody else says so,
and removed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.app.applying import Done, Keys, apply_schedule, remove_schedule, suite_places
from chaosrunner.app.covering import CoverageOrder, covered
from chaosrunner.app.scheduling import Planned, Wishes, suite_schedule
from chaosrunner.clock import SystemClock
from chaosrunner.errors import NotPossibleNow, Refused, UsageError
from chaosrunner.model.marks import JsonValue
from chaosrunner.stages.suite import LoadedSuite, load_suite
from tests.gamedays.test_file import EXPERIMENT, GOOD
from tests.gates.pipelines import HEAD, command, experiment, suite
from tests.kubernetes import applied, scene, shapes
from tests.kubernetes.fake_api import FakeApi

SPACE, NAME = "chaosrunner", "chaosrunner-release"
TWO = Keys(second="ben@example", production_confirmed=True)
Object = dict[str, Any]


class World:
    """A folder with a suite whose environment is in the fake cluster, which has what `k8s/` makes."""

    def __init__(self, api: FakeApi, folder: Path) -> None:
        self.api, self.folder = api, folder
        api.add(shapes.namespace(SPACE))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": SPACE, "namespace": SPACE}}
        self.account = api.add(account)
        api.kubeconfig(folder)
        (folder / "one.yaml").write_text(experiment("one"))
        (folder / "release.yaml").write_text(suite("one.yaml"))
        self.environment()

    def environment(self, name: str = "quick", *, spec: Object | None = None, **settings: Any) -> None:
        kubernetes = {"namespaces": ["shop"], "kubeconfig": "kubeconfig", **settings}
        written = {"class": "quick", "platform": {"kubernetes": kubernetes}, **(spec or {})}
        head = f"{HEAD}\nkind: Environment\nmetadata: {{name: {name}}}\n"
        (self.folder / f"{name}.yaml").write_text(f"{head}spec: {json.dumps(written)}\n")

    @property
    def loaded(self) -> LoadedSuite:
        return load_suite("release", None, self.folder)

    def planned(self, at: str = "0 10 * * 1-5", **wishes: Any) -> Planned:
        return suite_schedule(self.loaded, Wishes(at=at, **wishes), self.folder, SystemClock().now())

    async def apply(self, keys: Keys = Keys(), **wishes: Any) -> Done:  # noqa: B008  it is frozen
        places = suite_places(self.loaded, self.folder)
        return await apply_schedule(self.planned(**wishes), places, keys, SystemClock())

    async def remove(self, schedule: str = "suite.release") -> Done:
        return await remove_schedule(schedule, SPACE, suite_places(self.loaded, self.folder), SystemClock())

    def cron(self) -> Object:
        found = self.api.object("batch/v1", "cronjobs", SPACE, NAME)
        assert found is not None
        return found

    def add_cron(self, manager: str, *, labels: Object | None = None, **spec: JsonValue) -> None:
        """As somebody has made or changed it: with other values for these fields, which are theirs."""
        made = self.planned().manifests()[1]
        body: Object = {**made, "metadata": {**made["metadata"], **({} if labels is None else {"labels": labels})}}  # type: ignore[dict-item]
        body["spec"] = {**made["spec"], **spec}  # type: ignore[dict-item]
        self.api.add(applied.managed(body, manager))

    @property
    def writes(self) -> list[str]:
        """What was asked for that could have changed something."""
        found = [each for each in self.api.asked if each.method != "GET" and "accessreviews" not in each.path]
        return [f"{each.method} {each.path.rpartition('/')[2]}" for each in found if "dryRun" not in each.query]


@pytest.fixture
def world(api: FakeApi, tmp_path: Path) -> World:
    return World(api, tmp_path)


def done(found: Done) -> list[tuple[str, str]]:
    assert not found.refusals
    return [(each.kind, each.done) for each in found.objects]


def refused(found: Done) -> str:
    (why,) = found.refusals
    assert not found.objects
    return why


async def test_what_is_applied_is_what_is_printed(world: World) -> None:
    found = await world.apply()
    assert done(found) == [("ConfigMap", "created"), ("CronJob", "created")]
    assert found.objects[1].name == f"{SPACE}/{NAME}"
    files, cron = world.planned().manifests()
    there = world.cron()
    assert there["spec"] == cron["spec"] and there["metadata"]["labels"]["chaosrunner.dev/schedule"] == "suite.release"
    kept = world.api.object("v1", "configmaps", SPACE, NAME)
    assert kept is not None and kept["data"] == files["data"]
    assert [entry["manager"] for entry in there["metadata"]["managedFields"]] == ["chaosrunner"]


async def test_applied_again_it_is_left_or_changed_where_it_differs(world: World) -> None:
    await world.apply()
    assert done(await world.apply()) == [("ConfigMap", "unchanged"), ("CronJob", "unchanged")]
    assert done(await world.apply(at="0 11 * * *")) == [("ConfigMap", "unchanged"), ("CronJob", "changed")]
    assert world.cron()["spec"]["schedule"] == "0 11 * * *"
    (world.folder / "one.yaml").write_text(experiment("one", lasts="80ms"))
    assert done(await world.apply(at="0 11 * * *")) == [("ConfigMap", "changed"), ("CronJob", "unchanged")]


async def test_a_file_that_is_used_no_more_goes(world: World) -> None:
    (world.folder / "two.yaml").write_text(experiment("two"))
    (world.folder / "release.yaml").write_text(suite("one.yaml", "two.yaml"))
    await world.apply()
    (world.folder / "release.yaml").write_text(suite("one.yaml"))
    await world.apply()
    (files,) = world.api.objects("v1", "configmaps", SPACE)
    assert sorted(files["data"]) == ["one.yaml", "quick.yaml", "release.yaml"]


async def test_what_others_set_beside_ours_stays(world: World) -> None:
    await world.apply()
    world.api.change(world.cron(), {"spec": {"suspend": True}, "metadata": {"annotations": {"team": "cart"}}})
    assert done(await world.apply())[1] == ("CronJob", "unchanged")
    assert world.cron()["spec"]["suspend"] is True and world.cron()["metadata"]["annotations"] == {"team": "cart"}


async def test_a_field_that_somebody_else_holds_is_not_taken_from_them(world: World) -> None:
    world.add_cron("kubectl-edit", schedule="30 3 * * *")
    with pytest.raises(
        Refused, match=r"the CronJob chaosrunner/chaosrunner-release was .* kubectl-edit holds \.spec\.sch"
    ):
        await world.apply()
    assert world.cron()["spec"]["schedule"] == "30 3 * * *"
    assert world.writes == [] and not world.api.objects("v1", "configmaps", SPACE)


async def test_a_field_that_another_command_of_ours_holds_is_taken(world: World) -> None:
    world.add_cron("chaosrunner", schedule="30 3 * * *")
    assert done(await world.apply())[1] == ("CronJob", "changed")
    assert world.cron()["spec"]["schedule"] == "0 10 * * 1-5"
    forced = [each.path.rpartition("/")[2] for each in world.api.asked if each.query.get("force") == "true"]
    assert forced == [NAME, NAME]  # tried first, then done; the ConfigMap is not forced


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"app": "mine"}, "is there already, and not chaosrunner's"),
        (
            {"app.kubernetes.io/managed-by": "chaosrunner", "chaosrunner.dev/schedule": "game-day.release"},
            "is the schedule of game-day.release, and this is suite.release",
        ),
    ],
)
async def test_what_has_the_name_and_is_something_else_is_left_alone(labels: Object, why: str, world: World) -> None:
    world.add_cron("chaosrunner", labels=labels)
    with pytest.raises(Refused, match=why):
        await world.apply()
    assert world.writes == []


async def test_another_cluster_is_not_touched(world: World) -> None:
    world.environment(clusterUid="another")
    assert "clusterUid: the environment is the cluster another" in refused(await world.apply())
    assert "clusterUid: the environment is the cluster another" in refused(await world.remove())
    assert world.writes == []


async def test_namespaces_that_are_not_there_are_said(world: World) -> None:
    world.environment(namespaces=["shop", "shpo"])
    assert refused(await world.apply()) == "quick: namespaces: there is no namespace shpo"
    world.environment()
    assert "there is no namespace chaos for the CronJob" in refused(await world.apply(namespace="chaos"))
    world.api.remove(world.account)
    assert "has no ServiceAccount chaosrunner" in refused(await world.apply())
    assert world.writes == []


async def test_production_takes_two(world: World) -> None:
    world.environment(spec={"guards": {"production": True}})
    assert "production: this is production: say --i-know" in refused(await world.apply())
    assert "must name somebody else" in refused(await world.apply(Keys(production_confirmed=True)))
    assert world.writes == []
    assert done(await world.apply(TWO)) == [("ConfigMap", "created"), ("CronJob", "created")]
    assert len(done(await world.remove())) == 2  # what takes chaos away needs nobody else


@pytest.mark.parametrize("permission", ["create cronjobs.batch", "patch cronjobs.batch", "patch configmaps"])
async def test_a_missing_right_is_known_before_anything_is_touched(permission: str, world: World) -> None:
    world.api.deny(permission, SPACE)
    why = refused(await world.apply())
    assert f"rights: missing in the namespace chaosrunner: {permission} (a Role there grants it" in why
    assert world.writes == []


async def test_what_the_cluster_does_not_take_changes_nothing(world: World) -> None:
    world.api.refuse_admission("no CronJobs on Sundays", path="cronjobs", method="PATCH")
    with pytest.raises(
        Refused, match=r"does not take the CronJob chaosrunner/chaosrunner-release: .*no CronJobs on Sun"
    ):
        await world.apply()
    assert world.writes == [] and not world.api.objects("v1", "configmaps", SPACE)


async def test_what_was_done_before_it_failed_is_said(world: World) -> None:
    def fail(change: str, found: Object) -> None:  # when the ConfigMap is made, after both were tried
        if found["kind"] == "ConfigMap":
            world.api.answer(409, path="cronjobs", message="etcd is elsewhere")

    world.api.store.reactions.append(fail)
    with pytest.raises(
        NotPossibleNow, match=r"elsewhere.*before that: ConfigMap chaosrunner/chaosrunner-release created; call"
    ):
        await world.apply()


async def test_a_cluster_that_does_not_answer_is_no_refusal(world: World) -> None:
    await world.api.down()
    for asked in (world.apply(), world.remove()):
        with pytest.raises(NotPossibleNow, match="cannot be reached"):
            await asked


async def test_a_schedule_is_removed_and_nothing_else(world: World) -> None:
    await world.apply()
    world.api.add(shapes.namespace("other"))
    stranger = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "experiments", "namespace": SPACE}}
    world.api.add(stranger)
    assert done(await world.remove("suite.releases")) == []
    assert done(await world.remove()) == [("CronJob", "removed"), ("ConfigMap", "removed")]
    assert [each["metadata"]["name"] for each in world.api.objects("v1", "configmaps", SPACE)] == ["experiments"]
    assert not world.api.objects("batch/v1", "cronjobs", SPACE) and done(await world.remove()) == []
    asked = world.api.requests("DELETE", "cronjobs")[0].body
    assert asked["propagationPolicy"] == "Background" and asked["preconditions"]["uid"]


async def test_environments_that_are_reached_differently_are_two_schedules(world: World) -> None:
    world.environment("other", context="fake")
    (world.folder / "two.yaml").write_text(experiment("two").replace("environment: quick", "environment: other"))
    (world.folder / "release.yaml").write_text(suite("one.yaml", "two.yaml"))
    with pytest.raises(UsageError, match="quick, other are reached by different contexts"):
        await world.apply()


async def test_the_command_says_what_it_did(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world.folder)

    async def told(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(command, "suite", "schedule", "release", "--at", "0 10 * * 1-5", *words)
        return code or 0, capsys.readouterr().out

    files, cron = (f"{kind} {SPACE}/{NAME}" for kind in ("ConfigMap", "CronJob"))
    assert await told("--apply") == (0, f"{files} created\n{cron} created\n")
    code, text = await told("--apply", "--json")
    found = json.loads(text)
    assert code == 0 and found["go"] is True and found["schedule"] == "suite.release" and found["coming"]
    assert found["objects"][1] == {"kind": "CronJob", "name": f"{SPACE}/{NAME}", "done": "unchanged"}
    world.environment(clusterUid="another")
    code, text = await told("--apply", "--json")
    assert code == 4 and json.loads(text)["go"] is False and json.loads(text)["objects"] == []
    assert await told("--apply") == (4, "")
    world.environment()
    assert await told("--remove") == (0, f"{cron} removed\n{files} removed\n")
    assert await told("--remove") == (0, f"the namespace {SPACE} has no schedule of suite.release\n")
    assert (await told("--remove", "--apply"))[0] == (await told("--apply", "-f", "ical"))[0] == 2


async def test_that_of_a_game_day_can_be_removed_when_the_day_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(world.folder)
    world.environment("shop")
    (world.folder / "nothing.yaml").write_text(EXPERIMENT)
    day = world.folder / "day.yaml"

    async def told(*words: str) -> int:
        return await asyncio.to_thread(command, "gameday", "schedule", "bad-day", *words) or 0

    day.write_text(f"{GOOD}  date: 2999-07-01T10:00\n")
    assert await told("--apply") == 0
    (cron,) = world.api.objects("batch/v1", "cronjobs", SPACE)
    assert cron["metadata"]["labels"]["chaosrunner.dev/schedule"] == "game-day.bad-day"
    day.write_text(f"{GOOD}  date: 2026-01-01T10:00\n")
    assert await told("--apply") == 2 and await told("--remove") == 0
    assert not world.api.objects("batch/v1", "cronjobs", SPACE)
    assert "CronJob chaosrunner/chaosrunner-bad-day removed" in capsys.readouterr().out


# ---------------------------------------------------------- what runs, and was never tested


async def test_services_that_run_and_are_named_nowhere_are_seen_as_untested(world: World) -> None:
    for name in ("cart", "payments"):
        scene.deploy(world.api, name)
    scene.deploy(world.api, "billing", annotations={"chaosrunner.dev/allow": "false"})
    world.environment(services={"till": {"workload": "deployment/payments"}, "paper": {"workload": "deployment/paper"}})
    order = CoverageOrder(world.folder / "state", environment="quick", folder=world.folder)
    clock = SystemClock()
    named = await covered(order, clock)
    assert sorted(named.services) == ["paper", "till"]
    found = await covered(CoverageOrder(order.state, "quick", discover=True, folder=world.folder), clock)
    assert sorted(found.services) == ["cart", "paper", "till"]
    assert "found running, and not named in the environment: cart" in found.notes
