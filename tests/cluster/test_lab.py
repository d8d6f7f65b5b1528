"""The stage that the tests of this folder stand on."""

from __future__ import annotations

from tests.cluster.lab import Space


async def test_pods_reach_each_other_by_the_names_of_their_services(shop: Space) -> None:
    seen = await shop.seen_from("front", "http://back/")
    assert (seen["outcome"], seen["status"]) == ("answered", 200)
    assert (await shop.seen_from("outside", "http://nobody-here/"))["outcome"] == "unknown host"
    assert (await shop.seen_from("outside", "http://back:81/"))["outcome"] in ("refused", "silent")


async def test_a_plan_names_the_pods(shop: Space) -> None:
    file = shop.write({"fault": "noop", "for": "1s"})
    code, output = await shop.command("plan", file.name, folder=file.parent)
    assert code == 0, output
