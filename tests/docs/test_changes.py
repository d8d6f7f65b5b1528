"""Changelog fragments: named as they are collected, one sentence each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import FRAGMENTS, name_of, text_of

SENTENCE = re.compile(r"[A-Z`](?:(?!\. [A-Z`]).)*\.")


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=name_of)
def test_it_is_named_for_what_it_is_about_and_the_kind_of_change(fragment: Path) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*\.(added|changed|fixed|removed)\.md", fragment.name)


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=name_of)
def test_it_is_one_sentence(fragment: Path) -> None:
    assert SENTENCE.fullmatch(" ".join(text_of(fragment).split()))


@pytest.mark.parametrize("text", ["No full stop", "Two. Sentences.", "small.", ""])
def test_what_is_not_one_sentence_is_noticed(text: str) -> None:
    assert not SENTENCE.fullmatch(text)
