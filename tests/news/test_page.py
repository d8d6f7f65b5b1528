"""The page about items and news says what the code does."""

from __future__ import annotations

import re

from chaosrunner import catalog
from chaosrunner.model.news import USUAL, News
from chaosrunner.ports import Messenger
from chaosrunner.store.outbox import Fate
from tests.docs.pages import DOCS, table, text_of

PAGE = DOCS / "items-and-news.md"


def test_every_tracker_is_named() -> None:
    assert sorted(row[0].strip("`") for row in table(PAGE, "tracker")) == catalog.kinds("trackers")


def test_every_news_is_named_with_its_default() -> None:
    said = {row[0].strip("`"): row[2] == "yes" for row in table(PAGE, "news")}
    assert said == {news.value: news in USUAL for news in News}


def test_every_messenger_is_named_with_what_it_does_when_in_doubt() -> None:
    said = {row[0].strip("`"): row[2] == "told again" for row in table(PAGE, "notifier")}
    plugins = {kind: catalog.find("notifiers", kind) for kind in catalog.kinds("notifiers")}
    assert said == {kind: plugin.keyed for kind, plugin in plugins.items() if issubclass(plugin, Messenger)}


def test_every_fate_is_named() -> None:
    assert {fate.value for fate in Fate} <= set(re.findall(r"\*([a-z-]+)\*", text_of(PAGE)))
