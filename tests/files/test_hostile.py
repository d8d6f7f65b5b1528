"""Bytes of any sort, and files whose bytes were changed at random: an answer, at once, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaosrunner.cli._check_formats import as_json, github, sarif, text
from chaosrunner.stages.fixing import fixed
from chaosrunner.stages.load import check
from tests.files.good import WHOLE

BYTES = WHOLE.encode()
SETTINGS = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PIECES = [
    *(b"\x00", b"\xff", b"\t", b"{", b"]", b'"', b"'", b"#", b"&a ", b"*a", b"!!x ", b"%", b"|\n", b"? ", b"\r"),
    *(b"\xef\xbb\xbf", b"# chaosrunner: ignore CR101 because x", b"${x}", b"\xc3\xa9", b"---\n", b"9" * 400),
]


def told(folder: Path, data: bytes) -> None:
    """Every way in which `check` answers."""
    (folder / ".git").mkdir(exist_ok=True)
    (folder / "f.yaml").write_bytes(data)
    checked = check(["f.yaml"], folder)
    lines = {"f.yaml": data.decode("utf-8-sig", "replace").split("\n")}
    said = list(text(checked, lines))
    assert said[-1].endswith(")") or "file" in said[-1]
    assert len(list(github(checked, lines))) == len(checked.problems) + len(checked.warnings)
    assert all("\n" not in line for line in github(checked, lines))
    as_json(checked, lines)
    for result in sarif(checked, lines)["runs"][0]["results"]:
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region["endColumn"] > region["startColumn"] >= 1
    assert fixed(["f.yaml"], folder) is not None


@given(st.data())
@SETTINGS
def test_pieces_put_in_anywhere(tmp_path: Path, data: st.DataObject) -> None:
    changed = bytearray(BYTES)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed)))
        changed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(PIECES))
    told(tmp_path, bytes(changed))


@given(st.binary(max_size=200))
@SETTINGS
def test_bytes_of_any_sort(tmp_path: Path, data: bytes) -> None:
    told(tmp_path, data)


@pytest.mark.parametrize(
    "data",
    [
        b"a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b", ".join([b"*%c" % (97 + n)] * 10)) for n in range(20)),
        b"[" * 100_000,
        b"{a: " * 100_000,
        b"- " * 100_000,
        b"a: " + b"x" * (2 * 2**20 - 10),
        b"a: '" + b"''" * 2**19 + b"'",
        b"".join(b"k%d: 1\n" % n for n in range(110_000)),
        b"k: 1\n" * 100_000,
        WHOLE.encode("utf-16"),
        WHOLE.encode("utf-32"),
        ("kind: Experiment\n# " + "chaosrunner: ignore " * 50_000).encode(),
        ("spec: " + "ignore " * 200_000 + "# chaosrunner: ignore " + "a" * 200_000 + " because").encode(),
    ],
    ids=[
        "bomb",
        "brackets",
        "braces",
        "dashes",
        "huge",
        "quotes",
        "keys",
        "twice",
        "utf-16",
        "utf-32",
        "comments",
        "words",
    ],
)
def test_what_is_made_to_hurt_is_answered_in_few_words(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(data)
    checked = check(["f.yaml"], tmp_path)
    assert checked.problems or checked.warnings
    assert len(checked.problems) <= 200
