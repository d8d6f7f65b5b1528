"""What is mechanical is put right in the file's own text; everything else of the file stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.stages.fixing import fixed
from chaosrunner.stages.load import check
from tests.files.good import WHOLE

MECHANICAL = [
    ("production: false", 'production: "no"', "production: false"),
    ("production: false", "production: yes", "production: true"),
    ("retries: 1", 'retries: "1"', "retries: 1"),
    ("retries: 1", "retrys: 1", "retries: 1"),
    ("every: 500ms", "every: 5 sec  # often", "every: 5s  # often"),
    ("every: 500ms", 'every: "500 millis"', "every: 500ms"),
    ("for: 60s", "for: 2 minutes", "for: 2m"),
    ("labels: {team: shop}", "labels: {team: 7}", 'labels: {team: "7"}'),
    ("during: edge", "during: 'Edge'", "during: 'edge'"),
    ("share: 50%, at", "share: 50 percent, at", "share: 50%, at"),
    ("kind: Environment", "kind: Enviroment", "kind: Environment"),
    ("fault: network-latency", "fault: network_latency", "fault: network-latency"),
    ("with: {delay: 300ms,", "with: {Delay: 300ms,", "with: {delay: 300ms,"),
    ("- checkout-slo", "- chekout-slo", "- checkout-slo"),
    ("{sameAs: slow}", "{sameas: slow}", "{sameAs: slow}"),
]
LEFT = [("every: 500ms", "every: 500"), ("during: edge", "during: never"), ("fault: network-latency", "fault: slow")]


@pytest.mark.parametrize(("good", "bad", "better"), MECHANICAL, ids=[one[1] for one in MECHANICAL])
def test_what_is_mechanical_is_put_right_and_nothing_else_changes(
    good: str, bad: str, better: str, tmp_path: Path
) -> None:
    text = "# why\n" + WHOLE.replace(good, bad)
    assert WHOLE.count(good) == 1
    (tmp_path / "f.yaml").write_bytes(text.replace("\n", "\r\n").encode() if "edge" in good else text.encode())
    assert fixed(["f.yaml"], tmp_path)
    after = (tmp_path / "f.yaml").read_bytes().decode()
    assert after.replace("\r\n", "\n") == "# why\n" + WHOLE.replace(good, better)
    assert check(["f.yaml"], tmp_path).problems == ()


@pytest.mark.parametrize(("good", "bad"), LEFT, ids=[bad for _, bad in LEFT])
def test_what_could_be_meant_in_two_ways_is_left_to_people(good: str, bad: str, tmp_path: Path) -> None:
    text = WHOLE.replace(good, bad)
    (tmp_path / "f.yaml").write_text(text)
    assert fixed(["f.yaml"], tmp_path) == []
    assert (tmp_path / "f.yaml").read_text() == text


def test_what_a_misspelt_kind_hid_is_put_right_too(tmp_path: Path) -> None:
    text = WHOLE.replace("fault: network-latency", "fault: network-latncy").replace("delay: 300ms", "dely: 300ms")
    (tmp_path / "f.yaml").write_text(text)
    assert len(fixed(["f.yaml"], tmp_path)) == 2
    assert (tmp_path / "f.yaml").read_text() == WHOLE


def test_a_comment_that_is_not_needed_goes(tmp_path: Path) -> None:
    comment = "# chaosrunner: ignore CR101 because it is short"
    text = WHOLE.replace("    - checkout-slo\n", f"    {comment}\n    - checkout-slo  {comment}\n")
    (tmp_path / "f.yaml").write_text(text)
    fixed(["f.yaml"], tmp_path)
    assert (tmp_path / "f.yaml").read_text() == WHOLE


def test_a_fix_after_which_the_file_cannot_be_read_is_not_made(tmp_path: Path) -> None:
    text = WHOLE.replace("      retries: 1", "      retries: 1\n      retrys: 2")
    (tmp_path / "f.yaml").write_text(text)
    assert fixed(["f.yaml"], tmp_path) == []
    assert (tmp_path / "f.yaml").read_text() == text
