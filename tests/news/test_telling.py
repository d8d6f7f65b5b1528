"""News is kept before it is told, told once whatever happens on the way, in order, and holds up nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chaosrunner.app.desk import Desk
from chaosrunner.app.telling import Receiver, deliver, post, post_closings, receivers_of
from chaosrunner.http import Http
from chaosrunner.model.life_cycle import Change
from chaosrunner.model.news import News, Notice
from chaosrunner.model.words import Priority, RejectedAs, State
from chaosrunner.register import open_register
from chaosrunner.store.outbox import Fate, Outbox
from tests.near_misses.world import SetClock, environment, facts, finding
from tests.news.receivers import AT_MOST_ONCE, RECEIVERS, Receiving

FINGERPRINT = "sha256:0123456789abcdef0123"


def notice(news: News = News.FOUND, run: str = "run-1", **changes: Any) -> Notice:
    good: dict[str, Any] = {
        "news": news,
        "id": f"{run}:{news.value}:{FINGERPRINT}",
        "at": 1_790_000_000.0,
        "headline": "New near miss: NM-2026-0001 P2 of checkout, orders-go-through breaks",
        "text": "order-p95: 1.2 s, at most 500 ms.",
        "run": run,
        "experiment": "checkout-when-payments-is-slow",
        "service": "checkout",
        "environment": "shop",
        "near_miss": "NM-2026-0001",
        "fingerprint": FINGERPRINT,
        "priority": Priority.P2,
        "command": "chaosrunner run checkout-when-payments-is-slow --seed 7",
    }
    return Notice(**(good | changes))


class Office:
    """A state folder, an environment that names who is told, and what was said beside it."""

    def __init__(self, folder: Path, clock: SetClock, environ: dict[str, str], *calls: dict[str, Any]) -> None:
        self.clock = clock
        self.said: list[str] = []
        self.http = Http(clock, environ=environ)
        self.desk = Desk(folder, clock, self.http, self.said.append)
        self.outbox = Outbox(folder, clock)
        self.environment = environment(notify=list(calls))
        self.receivers: list[Receiver] = receivers_of(self.environment, folder, self.desk)

    def post(self, *notices: Notice) -> None:
        post(notices, self.receivers, self.desk)

    async def tell(self, within: float = 10.0) -> int:
        self.clock.at += 1
        return await deliver(self.receivers, self.desk, within)

    async def tell_all(self) -> None:
        """However often that takes."""
        for _ in range(30):
            await self.tell()
            if not any(each.fate is Fate.WAITING for each in self.outbox.posted()):
                return
            self.clock.at += 600
        raise AssertionError(self.said)

    @property
    def fates(self) -> list[Fate]:
        return [each.fate for each in reversed(self.outbox.posted())]


@pytest.fixture(params=sorted(RECEIVERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def receiver(kind: str) -> AsyncIterator[Receiving]:
    async with RECEIVERS[kind](SetClock()) as running:
        yield running


@pytest.fixture
async def office(receiver: Receiving, tmp_path: Path) -> AsyncIterator[Office]:
    ((name, params),) = receiver.call().items()
    made = Office(tmp_path, receiver.clock, receiver.environ, {name: {**params, "timeout": "0.4s"}})
    yield made
    await made.http.aclose()


def method(kind: str) -> str:
    return "POST"


@pytest.mark.parametrize("what", ["", "busy", "down", "unheard", "lost", "slow", "failed"])
async def test_each_is_shown_once_whatever_happens_on_the_way(
    office: Office, receiver: Receiving, kind: str, what: str
) -> None:
    if what:
        receiver.trouble(what)
    if what == "failed" and kind == "slack":
        pytest.skip("a 500 of Slack's says that nothing was posted")
    office.post(notice())
    await office.tell_all()
    await office.tell_all()
    if kind in AT_MOST_ONCE and what in ("unheard", "lost", "slow", "failed"):
        assert office.fates == [Fate.UNCERTAIN]
        assert len(receiver.shown) == (what != "unheard")
        assert "was not told, or not for certain" in office.said[0]
    else:
        assert office.fates == [Fate.TOLD]
        assert receiver.shown == [notice().headline]


async def test_what_opened_one_is_what_closes_it(office: Office, receiver: Receiving) -> None:
    office.post(notice(), notice(News.FIX_FAILED, "run-2", headline="The fix failed"), notice(News.VERIFIED, "run-3"))
    await office.tell_all()
    assert office.fates == [Fate.TOLD] * 3
    assert receiver.shown[0] == notice().headline
    if receiver.shown[1:] != ["The fix failed", notice().headline]:  # channels show every message
        assert "resolved" in receiver.shown[-1]
    assert not getattr(receiver, "open", {})


async def test_good_news_is_for_those_who_heard_the_bad(office: Office, receiver: Receiving) -> None:
    office.post(notice(News.VERIFIED))
    assert await office.tell() == 0 and receiver.shown == []


async def test_a_mere_repetition_and_the_end_of_a_run_are_no_news_unless_asked_for(
    office: Office, receiver: Receiving
) -> None:
    office.post(notice(News.SEEN_AGAIN), notice(News.RUN_ENDED, priority=None))
    assert await office.tell() == 0 and receiver.asked == []


async def test_who_refuses_is_not_asked_again_and_no_secret_is_said(
    office: Office, receiver: Receiving, kind: str
) -> None:
    receiver.valid = False
    office.post(notice())
    await office.tell()
    assert receiver.shown == [] and len(office.said) == 1
    words = office.said[0] + office.outbox.posted()[0].trouble
    for secret in (*receiver.environ.values(), "secret-path", "teams-signature"):
        assert secret not in words
    expected = Fate.WAITING if kind in ("statuspage", "slack") else Fate.GIVEN_UP  # a token may be renewed
    assert office.fates == [expected]


async def test_a_long_patience_is_kept(office: Office, receiver: Receiving) -> None:
    receiver.trouble("busy", times=3)
    office.post(notice())
    await office.tell()
    assert office.fates == [Fate.WAITING] and "told later" in office.said[0]
    asked = len(receiver.asked)
    await office.tell()
    assert len(receiver.asked) == asked
    await office.tell_all()
    assert receiver.shown == [notice().headline]


async def test_a_runner_that_died_while_telling_leaves_it_to_the_next(
    office: Office, receiver: Receiving, kind: str
) -> None:
    office.post(notice())
    taken = office.outbox.take(f"shop/{kind}", 10)
    assert taken is not None
    assert await office.tell() == 0, "another process may still be at it"
    office.clock.at += 61
    await office.tell_all()
    once = kind not in AT_MOST_ONCE
    assert office.fates == [Fate.TOLD if once else Fate.UNCERTAIN]
    assert receiver.shown == ([notice().headline] if once else [])


# ---------------------------------------------------------------------------------------------------- the outbox itself


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[tuple[Office, Receiving]]:
    async with RECEIVERS["webhook"](SetClock()) as running:
        ((name, params),) = running.call().items()
        every = [each.value for each in News]
        made = Office(tmp_path, running.clock, running.environ, {name: {**params, "timeout": "0.4s", "events": every}})
        yield made, running
        await made.http.aclose()


async def test_many_are_told_in_order_and_no_faster_than_allowed(hook: tuple[Office, Receiving]) -> None:
    office, receiver = hook
    every = [notice(News.FOUND, f"run-{n}", fingerprint=f"sha256:{n}", headline=f"number {n}") for n in range(75)]
    every = [each.model_copy(update={"id": f"run-{n}"}) for n, each in enumerate(every)]
    office.post(*every)
    office.receivers[0].messenger.context.clock.at += 0  # type: ignore[attr-defined]
    assert await office.tell() == 60
    assert await office.tell() == 0
    office.clock.at += 60
    assert await office.tell() == 15
    assert receiver.shown == [each.headline for each in every]


async def test_one_that_fails_holds_back_the_later_ones(hook: tuple[Office, Receiving]) -> None:
    office, receiver = hook
    receiver.trouble("down", times=3)
    office.post(notice(), notice(News.VERIFIED, "run-2"))
    await office.tell()
    assert receiver.shown == [] and office.fates == [Fate.WAITING] * 2
    office.clock.at += 60
    await office.tell()
    assert receiver.shown == [notice().headline, "resolved"]


async def test_after_a_day_it_is_no_news_any_more(hook: tuple[Office, Receiving]) -> None:
    office, receiver = hook
    receiver.trouble("down", times=1000)
    office.post(notice())
    for _ in range(40):
        await office.tell()
        office.clock.at += 3600
    assert office.fates == [Fate.GIVEN_UP]
    assert len(receiver.asked) < 120


async def test_two_processes_tell_it_once(hook: tuple[Office, Receiving]) -> None:
    office, receiver = hook
    for number in range(10):
        office.post(notice(News.FOUND, f"run-{number}", headline=f"number {number}"))
    others = [deliver(office.receivers, office.desk) for _ in range(3)]
    await asyncio.gather(*others)
    await office.tell_all()
    assert receiver.shown == [f"number {number}" for number in range(10)]
    assert receiver.count("POST") == 10


async def test_telling_ends_in_time_although_nobody_answers(tmp_path: Path) -> None:
    async with RECEIVERS["webhook"](SetClock()) as receiver:
        receiver.trouble("slow", times=100)
        office = Office(tmp_path, receiver.clock, receiver.environ, receiver.call())
        office.post(notice())
        loop = asyncio.get_running_loop()
        began = loop.time()
        await office.tell(within=0.3)
        assert loop.time() - began < 3
        assert office.fates == [Fate.WAITING] and any("took longer" in words for words in office.said)
        await office.http.aclose()


async def test_priority_decides_who_hears_of_it(tmp_path: Path) -> None:
    async with RECEIVERS["webhook"](SetClock()) as receiver:
        call = {"webhook": {**receiver.call()["webhook"], "atLeast": "P1"}}
        office = Office(tmp_path, receiver.clock, receiver.environ, call)
        office.post(notice())
        office.post(notice(run="run-2", priority=Priority.P1, headline="urgent"))
        office.post(notice(News.UNDO_FAILED, "run-3", priority=None, fingerprint="", headline="still in force"))
        await office.tell()
        assert receiver.shown == ["urgent", "still in force"]
        await office.http.aclose()


async def test_what_a_person_closes_is_told_to_those_who_believe_it_open(hook: tuple[Office, Receiving]) -> None:
    office, receiver = hook
    with open_register(office.desk.state, office.clock) as book:
        (recorded,) = book.record(facts("run-1", at=office.clock.at), [finding()])
        near_miss = recorded.near_miss
        office.post(notice(fingerprint=near_miss.fingerprint))
        post_closings(book, office.receivers, office.desk)
        await office.tell()
        assert receiver.shown == [notice().headline]
        why = {"reason": "by design", "rejected_as": RejectedAs.OUT_OF_SCOPE, "accepted_by": "bob"}
        book.change("1", Change(to=State.REJECTED, actor="ana", at=office.clock.at, **why))  # type: ignore[arg-type]
        for _ in range(2):
            post_closings(book, office.receivers, office.desk)
        await office.tell()
        assert receiver.shown[1:] == ["resolved"]


async def test_a_page_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(ValueError, match="page p2 is not among allowedPages"):
        call = {"statuspage": {"page": "p2", "allowedPages": ["p1"], "token": {"env": "PAGE"}}}
        Office(Path(), SetClock(), {}, call)


async def test_nobody_gets_a_mail_of_a_status_page_unless_told(tmp_path: Path) -> None:
    for notify, mails in ((False, 0), (True, 2)):
        async with RECEIVERS["statuspage"](SetClock()) as page:
            call = {"statuspage": {**page.call()["statuspage"], "notifySubscribers": notify}}
            office = Office(tmp_path / str(notify), page.clock, page.environ, call)
            office.post(notice(), notice(News.VERIFIED, "run-2"))
            await office.tell_all()
            assert page.mails == mails  # type: ignore[attr-defined]
            await office.http.aclose()


async def test_words_of_others_mention_nobody_and_link_nowhere(tmp_path: Path) -> None:
    async with RECEIVERS["slack"](SetClock()) as receiver:
        office = Office(tmp_path, receiver.clock, receiver.environ, receiver.call())
        office.post(notice(text="<!channel> <https://evil.example|click> & more" + "x" * 9000))
        await office.tell()
        sent = json.dumps(receiver.asked[0].body)
        assert "<!channel>" not in sent and "<https" not in sent and "&lt;!channel&gt;" in sent
        await office.http.aclose()


async def test_a_card_fits_however_long_its_story(tmp_path: Path) -> None:
    async with RECEIVERS["teams"](SetClock()) as receiver:
        office = Office(tmp_path, receiver.clock, receiver.environ, receiver.call())
        office.post(notice(text="é" * 60_000))
        await office.tell()
        assert office.fates == [Fate.TOLD]
        await office.http.aclose()


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
async def test_apprise_tells_whom_it_knows(tmp_path: Path) -> None:
    async with RECEIVERS["webhook"](SetClock()) as receiver:
        receiver.allowed = lambda met: True  # type: ignore[method-assign]
        told: list[Any] = []

        def answer(asked: Any) -> Any:
            from tests.trackers.api import Answer

            told.append(asked.body)
            return Answer(200 if receiver.valid else 500)

        receiver.answer = answer  # type: ignore[method-assign]
        environ = {"URL": receiver.url("/x").replace("http://", "json://"), "BAD": "nonsense"}
        office = Office(tmp_path, receiver.clock, environ, {"apprise": {"urls": [{"env": "URL"}]}})
        office.post(notice())
        await office.tell()
        assert office.fates == [Fate.TOLD], office.said
        assert told[0]["title"] == notice().headline
        receiver.valid = False
        office.post(notice(run="run-2"))
        await office.tell_all()
        assert office.fates[1] is Fate.UNCERTAIN and len(told) == 2
        wrong = Office(tmp_path / "wrong", receiver.clock, environ, {"apprise": {"urls": [{"env": "BAD"}]}})
        wrong.post(notice())
        await wrong.tell()
        assert wrong.fates == [Fate.WAITING] and "nonsense" not in wrong.said[0]
        await office.http.aclose()
        await wrong.http.aclose()


async def test_a_secret_that_is_missing_is_waited_for(tmp_path: Path) -> None:
    async with RECEIVERS["pagerduty"](SetClock()) as receiver:
        office = Office(tmp_path, receiver.clock, {}, receiver.call())
        office.post(notice())
        await office.tell()
        assert office.fates == [Fate.WAITING] and "environment variable KEY is not set" in office.said[0]
        again = Office(tmp_path, receiver.clock, receiver.environ, receiver.call())
        await again.tell_all()
        assert again.fates == [Fate.TOLD] and receiver.shown == [notice().headline]
        await office.http.aclose()
        await again.http.aclose()
