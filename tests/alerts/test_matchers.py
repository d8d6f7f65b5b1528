"""Matchers of silences: what is understood, and that nobody can silence everything by accident."""

from __future__ import annotations

import pytest

from chaosrunner.model.alerts import naming, narrow, parse_matcher
from chaosrunner.stages.load import check
from tests.files.test_examples import EXPERIMENT


@pytest.mark.parametrize(
    ("text", "written", "takes"),
    [
        ('service="checkout"', 'service="checkout"', "checkout"),
        ("service=checkout", 'service="checkout"', "checkout"),
        (' pod =~ "checkout-.*" ', 'pod=~"checkout-.*"', "checkout-7f"),
        ('path="a \\"b\\" \\\\c"', 'path="a \\"b\\" \\\\c"', 'a "b" \\c'),
        ('host=~"10\\\\.0\\\\.0\\\\.1"', 'host=~"10\\\\.0\\\\.0\\\\.1"', "10.0.0.1"),
    ],
)
def test_a_matcher_is_read_as_alertmanager_reads_it(text: str, written: str, takes: str) -> None:
    matcher = parse_matcher(text)
    assert str(matcher) == written
    assert str(parse_matcher(written)) == written
    assert matcher.takes(takes)


def test_a_matcher_is_about_a_labels_whole_value() -> None:
    assert not parse_matcher('service=~"check"').matches({"service": "checkout"})
    assert parse_matcher('service!="cart"').matches({"service": "checkout"})
    assert parse_matcher('service!="cart"').matches({})


@pytest.mark.parametrize("text", ["", "checkout", 'service=="a"', 'service="a', '1a="b"', 'service=~"("'])
def test_what_is_no_matcher_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a matcher|regular expression"):
        parse_matcher(text)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ['service=""'],
        ['service!="cart"'],
        ['service=~".*"'],
        ['service=~".+"'],
        ['service=~"[a-z]+"'],
        ['service=~"|checkout"'],
        ['service=~"checkout|.+"'],
        ['service=~"(checkout|(.*))"'],
        ['service=~"(?i).*"'],
        ['service!~"cart"', 'severity=~".+"'],
    ],
)
def test_matchers_that_would_silence_everything_are_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="would silence alerts that have nothing to do with this experiment"):
        narrow(texts)


@pytest.mark.parametrize(
    "text", ['service="a"', 'service=~"checkout|cart"', 'service=~"^(checkout|cart)$"', "pod=~a.*"]
)
def test_matchers_that_say_which_alerts_are_meant_are_not(text: str) -> None:
    assert narrow([text, 'severity!="none"'])


def test_the_blast_radius_must_be_named() -> None:
    assert naming(['severity="page"', 'service=~"checkout|cart"'], ["checkout"])
    assert not naming(['severity="page"'], ["checkout"])
    assert not naming(['service!="checkout"'], ["checkout"])


def test_check_says_where_a_silence_is_too_wide(tmp_path) -> None:
    method = "    - {fault: noop, for: 1s}\n"
    (tmp_path / "wide.yaml").write_text(f"{EXPERIMENT}{method}  silence: {{matchers: ['severity=~\".+\"']}}\n")
    (problem,) = check(["wide.yaml"], tmp_path).problems
    assert (problem.line, problem.path) == (13, "spec.silence")
    assert "would silence alerts that have nothing to do with this experiment" in problem.message
    (tmp_path / "wide.yaml").write_text(f"{EXPERIMENT}{method}  silence: {{matchers: []}}\n")
    assert [one.path for one in check(["wide.yaml"], tmp_path).problems] == ["spec.silence.matchers"]
