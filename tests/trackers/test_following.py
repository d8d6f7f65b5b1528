"""What people do with an item counts, and what they write in it stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaosrunner.model.words import Priority, State
from chaosrunner.ports import Item
from chaosrunner.stages.remediate import Step
from chaosrunner.trackers.jira import document
from tests.near_misses.world import SetClock, gap
from tests.trackers.apis import GithubApi, JiraApi, Tracking
from tests.trackers.conftest import APIS, Runner


def words(text: Any) -> str:
    """What an item says, whatever its form."""
    return text if isinstance(text, str) else document.plain(text)


def write_below(kind: str, text: Any, note: str) -> Any:
    if kind != "jira":
        return f"{text}\n{note}\n"
    return {**text, "content": [*text["content"], {"type": "paragraph", "content": [{"type": "text", "text": note}]}]}


async def test_an_item_says_everything(runner: Runner, api: Tracking) -> None:
    done = await runner.fails()
    assert done.step is Step.MADE and done.url.startswith(("https://", "http://"))
    item = api.one
    assert item.title == f"NM-2026-0001: {gap().title}"
    for part in (gap().title, gap().story, "chaosrunner run experiments/checkout-when-payments-is-slow.yaml --seed 7"):
        assert part in words(item.text), part
    assert {"near-miss", "checkout", "dependency-slow"} <= set(item.labels)
    if not isinstance(api, GithubApi):  # which knows no due dates
        assert item.due == runner.near_miss.due.isoformat()


async def test_a_mere_repetition_says_and_changes_nothing(runner: Runner, api: Tracking) -> None:
    await runner.fails()
    before, looks = words(api.one.text), len(api.asked)
    for run in ("run-2", "run-3"):
        assert (await runner.fails(run)).step is Step.UNCHANGED
    await runner.follows()
    assert words(api.one.text) == before and api.one.comments == []
    assert {each.method for each in api.asked[looks:]} == {"GET"}


async def test_closed_is_ready_and_not_verified_and_opened_again_takes_it_back(runner: Runner, api: Tracking) -> None:
    await runner.fails()
    api.one.closed, api.one.why = True, "completed"
    assert (await runner.follows()).near_miss.state is State.FIX_READY
    api.one.closed, api.one.why = False, "reopened"
    assert (await runner.follows()).near_miss.state is State.IN_PROGRESS


async def test_a_run_that_shows_it_again_opens_the_closed_item_with_one_comment(runner: Runner, api: Tracking) -> None:
    await runner.fails()
    api.one.closed, api.one.why = True, "completed"
    await runner.follows()
    await runner.fails("run-2")
    await runner.follows()
    assert not api.one.closed and runner.near_miss.state is State.OPEN
    assert len([said for said in api.said(api.one) if "was to fix it" in said]) == 1


async def test_who_has_it_is_followed(runner: Runner, api: Tracking) -> None:
    await runner.fails()
    api.one.people = ["ana"]
    await runner.follows()
    assert runner.near_miss.item is not None and runner.near_miss.item.assignee == "ana"
    assert "item's assignee" in [each.what for each in runner.register.show("1").history]


async def test_what_people_write_below_stays_and_ours_is_renewed(runner: Runner, api: Tracking, kind: str) -> None:
    await runner.fails()
    api.one.text = write_below(kind, api.one.text, "The timeout is missing in pay.py.")
    runner.register.prioritise("1", Priority.P1, "bob", "many shoppers")
    await runner.follows()
    assert "The timeout is missing in pay.py." in words(api.one.text)
    assert "many shoppers" in words(api.one.text)
    assert words(api.one.text).count(gap().story) == 1
    (said,) = api.said(api.one)
    assert "Priority P2 is now P1." in said


async def test_what_people_changed_of_ours_becomes_theirs(runner: Runner, api: Tracking, kind: str) -> None:
    await runner.fails()
    if kind == "jira":
        api.one.text["content"][0]["content"][0]["text"] = "In short: payments was slow."
    else:
        api.one.text = api.one.text.replace(gap().story, "In short: payments was slow.")
    runner.register.prioritise("1", Priority.P1, "bob", "many shoppers")
    await runner.follows()
    text = words(api.one.text)
    assert "In short: payments was slow." in text and gap().story in text
    assert text.index("many shoppers") < text.index("In short: payments was slow.")


@pytest.mark.parametrize("kind", ["github"])
async def test_an_issue_that_nobody_will_do_is_no_fix_and_is_left_closed(runner: Runner, api: Tracking) -> None:
    await runner.fails()
    api.one.closed, api.one.why = True, "not_planned"
    for _ in range(2):
        done = await runner.follows()
        assert done.near_miss.state is State.OPEN and "waive or reject NM-2026-0001" in done.trouble
        assert api.one.closed and api.one.comments == []
    await runner.fails("run-2")
    assert not api.one.closed


@pytest.mark.parametrize("kind", ["github", "gitlab"])
async def test_a_team_is_who_the_environment_says_it_is(tmp_path: Path, kind: str) -> None:
    for named, expected in (({"team-checkout": "ana"}, ["ana"]), ({"team-checkout": "nobody"}, []), ({}, [])):
        async with APIS[kind](SetClock()) as api:
            runner = Runner(tmp_path / str(len(named) + len(expected)) / str(expected), kind, api, assignees=named)
            assert (await runner.fails()).step is Step.MADE
            assert api.one.people == expected
            await runner.close()


@pytest.mark.parametrize("kind", ["jira"])
async def test_fields_that_a_project_has_not_are_done_without(runner: Runner, api: JiraApi) -> None:
    api.refuses = ("duedate",)
    assert (await runner.fails()).step is Step.MADE
    assert api.one.due is None


@pytest.mark.parametrize("kind", ["jira"])
async def test_a_project_that_demands_more_is_said(runner: Runner, api: JiraApi) -> None:
    api.refuses = ("labels",)
    done = await runner.fails()
    assert done.step is Step.FAILED and "Field 'labels' cannot be set" in done.trouble and api.items == []
    api.refuses = ()
    assert (await runner.follows(after=1)).step is Step.MADE, "it was refused for certain: nobody waits for it"


@pytest.mark.parametrize("kind", ["jira"])
async def test_a_token_that_is_answered_as_nobody_changes_nothing(runner: Runner, api: JiraApi) -> None:
    await runner.fails()
    right, api.token, api.anonymous = api.token, "another", True
    done = await runner.follows()
    assert done.step is Step.FAILED and "is it expired?" in done.trouble
    api.token = right
    await runner.settles()
    assert api.one


async def test_pages_lead_to_no_other_host(runner: Runner, api: Tracking, kind: str) -> None:
    if kind == "jira":
        pytest.skip("its pages are asked for with a token in the body")
    api.url = lambda path="/": f"http://127.0.0.1:1{path}"  # type: ignore[method-assign]
    api.size = 1
    api.clutter(3)
    done = await runner.fails()
    assert done.step is Step.FAILED and "leads to another place" in done.trouble


async def test_a_story_from_outside_cannot_pass_for_another_item(runner: Runner) -> None:
    """A marker in a text that a system under test wrote would make an item another's."""
    other = "<!-- chaosrunner:fp=sha256:feed -->"
    item = Item(near_miss="NM-2026-0009", fingerprint="sha256:beef", title="It breaks", body=f"It said {other}\n")
    await runner.tracker.create(item)
    assert await runner.tracker.find("sha256:feed") is None
    assert await runner.tracker.find("sha256:beef") is not None


def test_markdown_becomes_what_jira_takes() -> None:
    words, rows = "# Head\n\nOne `x` **y** [z](https://z.example)\ntwo\n", "| a | b |\n|---|---|\n| 1 | 2\\|3 |\n"
    made = document.blocks(f"{words}\n{rows}\n    code\n\n- p\n- q\n")
    kinds = [each["type"] for each in made]
    assert kinds == ["heading", "paragraph", "table", "codeBlock", "bulletList"]
    assert [each.get("marks", [{}])[0].get("type") for each in made[1]["content"]] == [
        None, "code", None, "strong", None, "link", None,
    ]  # fmt: skip
    assert [len(row["content"]) for row in made[2]["content"]] == [2, 2]
    assert "2|3" in document.plain({"content": made})
