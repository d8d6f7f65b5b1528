"""A suite's schedule in a real cluster: applied, read back, left alone where others have changed it, removed."""

from __future__ import annotations

import json
from typing import Any

from chaosrunner.platforms.kubernetes.client import Object, path
from tests.cluster.lab import Space, nothing_left

NAME = "chaosrunner-nightly"


async def test_a_schedule_is_applied_read_back_and_removed(space: Space) -> None:
    await space.make("v1", "serviceaccounts", {"metadata": {"name": "chaosrunner"}})
    file = space.write({"fault": "noop", "for": "1s"}, service="shop")
    suite: Object = {"title": "Every night", "experiments": [file.name]}
    head = {"apiVersion": "chaosrunner.dev/v1", "kind": "Suite", "metadata": {"name": "nightly"}}
    (file.parent / "nightly.yaml").write_text(json.dumps({**head, "spec": suite}))
    cron = path("batch/v1", "cronjobs", space.name, NAME)
    files = path("v1", "configmaps", space.name, NAME)

    async def told(*words: str) -> tuple[int, Any]:
        asked = ("suite", "schedule", "nightly", "--namespace", space.name, *words)
        code, text = await space.command(*asked, folder=file.parent)
        return code, {each["kind"]: each["done"] for each in json.loads(text)["objects"]} if "--json" in words else text

    at_two, at_three = (("--at", f"0 {hour} * * *", "--apply", "--json") for hour in (2, 3))
    assert await told(*at_two) == (0, {"ConfigMap": "created", "CronJob": "created"})
    there = await space.cluster.get(cron)
    assert there["spec"]["schedule"] == "0 2 * * *" and there["spec"]["concurrencyPolicy"] == "Forbid"
    assert (await space.cluster.get(files))["data"]["nightly.yaml"] == (file.parent / "nightly.yaml").read_text()
    assert await told(*at_two) == (0, {"ConfigMap": "unchanged", "CronJob": "unchanged"})
    assert await told(*at_three) == (0, {"ConfigMap": "unchanged", "CronJob": "changed"})

    await space.cluster.patch(cron, {"spec": {"schedule": "0 4 * * *"}})  # by a command of ours: its name is the same
    assert await told(*at_three) == (0, {"ConfigMap": "unchanged", "CronJob": "changed"})
    await space.cluster.patch(cron, {"spec": {"schedule": "0 5 * * *"}}, fieldManager="kubectl-edit")
    code, said = await told("--at", "0 3 * * *", "--apply")
    assert code == 4 and "kubectl-edit holds .spec.schedule" in said
    assert (await space.cluster.get(cron))["spec"]["schedule"] == "0 5 * * *"

    assert await told("--remove", "--json") == (0, {"CronJob": "removed", "ConfigMap": "removed"})

    async def left() -> list[str]:
        return [where for where in (cron, files) if await space.cluster.find(where) is not None]

    await nothing_left(left, 10, "both are gone")
    assert await told("--remove", "--json") == (0, {})
