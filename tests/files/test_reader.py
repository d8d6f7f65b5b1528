"""YAML is read with the core schema of 1.2, with the place of everything, and nothing in a file can hurt."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosrunner.files.node import Place
from chaosrunner.files.reader import MOST_BYTES, read


def value_of(text: str) -> object:
    parsed = read(text.encode(), "f.yaml")
    assert not parsed.problems, [str(problem) for problem in parsed.problems]
    (document,) = parsed.documents
    return document.value


SCALARS: list[tuple[str, object]] = [
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("on", "on"),
    ("off", "off"),
    ("yes", "yes"),
    ("No", "No"),
    ("y", "y"),
    ("1:30", "1:30"),
    ("2026-11-22", "2026-11-22"),
    ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
    ("1_000", "1_000"),
    ("12", 12),
    ("-7", -7),
    ("+7", 7),
    ("007", 7),
    ("0o17", 15),
    ("0x1F", 31),
    ("0b11", "0b11"),
    ("1.5", 1.5),
    (".5", 0.5),
    ("1.", 1.0),
    ("1e3", 1000.0),
    ("-1.5E-3", -0.0015),
    ("1.2.3", "1.2.3"),
    ("50%", "50%"),
    ("30s", "30s"),
    ("'12'", "12"),
    ('"true"', "true"),
    ("!!str 12", "12"),
    ("!!int '12'", 12),
    ("! 12", "12"),
    ("<<", "<<"),
    ("=", "="),
    ("|-\n  two\n  lines", "two\nlines"),
    (">-\n  one\n  line", "one line"),
]


@pytest.mark.parametrize(("written", "meant"), SCALARS, ids=[repr(written) for written, _ in SCALARS])
def test_scalars_mean_what_the_core_schema_of_yaml_1_2_says(written: str, meant: object) -> None:
    value = value_of(f"a: {written}\n")
    assert isinstance(value, dict)
    assert value["a"] == meant
    assert type(value["a"]) is type(meant)


def test_keys_are_always_text() -> None:
    assert value_of("on: 1\n200: 2\ntrue: 3\n1.0: 4\n") == {"on": 1, "200": 2, "true": 3, "1.0": 4}


def test_json_is_read_too() -> None:
    shape = {"a": [1, 2.5, None, True, "x\ty", "ä\u2028", {}], "b": {"c": []}}
    assert value_of(json.dumps(shape, indent="\t")) == shape


def test_every_key_and_value_has_its_place() -> None:
    (spot,) = read(b"a: 1\nb:\n  - x\n  - {c: [1, 22]}\n", "f.yaml").documents
    deep = spot.get("b", 1, "c", 1)
    assert deep is not None
    assert deep.node.place == Place(4, 13)
    assert deep.path == ("b", 1, "c", 1)
    c = spot.get("b", 1, "c")
    assert c is not None
    assert c.key == Place(4, 6)


def test_columns_count_characters_not_bytes() -> None:
    (spot,) = read('{ä: "öü", b: 1}'.encode(), "f.yaml").documents
    b = spot.get("b")
    assert b is not None
    assert b.key == Place(1, 11)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    parsed = read(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "f.yaml")
    assert [spot.value for spot in parsed.documents] == [{"a": 1, "b": 2}]
    b = parsed.documents[0].get("b")
    assert b is not None
    assert b.key == Place(2, 1)


def test_a_file_may_hold_several_documents() -> None:
    parsed = read(b"---\na: 1\n---\n---\nb: 2\n...\n", "f.yaml")
    assert [spot.value for spot in parsed.documents] == [{"a": 1}, {"b": 2}]
    assert not parsed.problems


def test_references_are_followed() -> None:
    assert value_of("a: &x {k: [1]}\nb: *x\nc: [*x, *x]\n") == {
        "a": {"k": [1]},
        "b": {"k": [1]},
        "c": [{"k": [1]}, {"k": [1]}],
    }


def test_an_anchor_does_not_outlive_its_document() -> None:
    (problem,) = read(b"a: &x 1\n---\nb: *x\n", "f.yaml").problems
    assert (problem.line, problem.column) == (3, 4)


BROKEN = [
    ("a: 1\n\x00", 2, 1, "U+0000"),
    ("a: \x1b[31m", 1, 4, "U+001B"),
    ("a: 1\n\tb: 2\n", 2, 1, "tab"),
    ("a:\n\t- 1\n", 2, 1, "tab"),
    ("a: @b", 1, 4, "needs quotes"),
    ("a: `b`", 1, 4, "needs quotes"),
    ("a: b: c", 1, 5, "cannot stand here"),
    ("a: 1\n  b: 2", 2, 4, "cannot stand here"),
    ("a:\n  - 1\n b: 2", 3, 2, "indentation"),
    ("a: [1, 2\nb: 3", 2, 2, "not closed"),
    ("a: {b: 1\nc: [", 2, 2, "not closed"),
    ("a: 'x", 1, 6, "ends inside quotes"),
    ('a: "\\q"', 1, 5, "escape"),
    ("a: 1\njust text\nb: 2", 3, 1, "`key: value`"),
    ("a: *nowhere", 1, 4, "*nowhere refers to nothing"),
    ("a: &x [*x]", 1, 8, "*x refers to what it stands in"),
    ("a: 1\nb: 2\na: 3", 3, 1, "`a` is given twice, first in line 1"),
    ("{a: 1, a: 2}", 1, 8, "`a` is given twice"),
    ("x: &b {k: 1}\na:\n  <<: *b\n  c: 1", 3, 3, "merge keys"),
    ("a: !secret x", 1, 4, "the tag !secret"),
    ("a: !!python/object/apply:os.system [ls]", 1, 4, "the tag !!python/object/apply:os.system"),
    ("a: !!binary aGk=", 1, 4, "the tag !!binary"),
    ("a: !!int x", 1, 4, "is no int"),
    ("a: !!seq {}", 1, 4, "a mapping is no seq"),
    ("a: .inf", 1, 4, ".inf is no number that can be used"),
    ("a: .nan", 1, 4, ".nan is no number"),
    ("a: 1e999", 1, 4, "1e999 is no number"),
    ("a: {{ value }}", 1, 5, "cannot be a key"),
    ("? [1, 2]\n: 3", 1, 3, "a list cannot be a key"),
    ("{a: 1, '': 2}", 1, 8, "a key is empty"),
    ("%FOO\n", 1, 5, "not YAML"),
    ("", 1, 1, "the file is empty"),
    ("# nothing\n", 1, 1, "the file is empty"),
    ("---\n---\n", 1, 1, "the file is empty"),
    ("a: 1\n... x", 2, 5, "---"),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), BROKEN, ids=[repr(row[0]) for row in BROKEN])
def test_what_is_no_yaml_is_one_problem_at_its_place(text: str, line: int, column: int, part: str) -> None:
    (problem,) = read(text.encode(), "f.yaml").problems
    assert part in problem.message
    assert (problem.line, problem.column) == (line, column)


def test_bytes_that_are_no_utf_8_are_shown_where_they_are() -> None:
    (problem,) = read("ä: 1\nbö: ".encode() + b"\xff\n", "f.yaml").problems
    assert (problem.line, problem.column) == (2, 5)
    assert "0xff is not UTF-8" in problem.message


def test_documents_before_a_broken_one_are_still_there() -> None:
    parsed = read(b"a: 1\n---\nb: [\n", "f.yaml")
    assert [spot.value for spot in parsed.documents] == [{"a": 1}]
    assert len(parsed.problems) == 1


def test_several_mistakes_are_all_found() -> None:
    problems = read(b"a: !x 1\nb: .inf\nb: 2\nc: *d\n", "f.yaml").problems
    assert [problem.line for problem in problems] == [1, 2, 3, 4]


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        items = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{items}]")
    return "\n".join(lines)


def test_references_that_multiply_are_refused() -> None:
    (problem,) = read(bomb(12).encode(), "f.yaml").problems
    assert "too many values" in problem.message
    assert problem.line < 6


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 50_000, "&a [" * 60_000])
def test_depth_is_bounded(text: str) -> None:
    (problem,) = read(text.encode(), "f.yaml").problems
    assert "too deep" in problem.message


def test_depth_through_references_is_bounded_too() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [[[[[[[[[*a{n - 1}]]]]]]]]]" for n in range(1, 8)]
    (problem,) = read("\n".join(lines).encode(), "f.yaml").problems
    assert "too deep" in problem.message


def test_a_huge_file_is_refused() -> None:
    (problem,) = read(b"a" * (MOST_BYTES + 1), "f.yaml").problems
    assert "too big" in problem.message


@pytest.mark.parametrize("digits", [301, 5000, 100_000])
def test_a_number_of_hundreds_of_digits_is_a_mistake(digits: int) -> None:
    (problem,) = read(f"a: {'9' * digits}".encode(), "f.yaml").problems
    assert "is no number that can be used" in problem.message
    assert len(problem.message) < 100


# fmt: off
FRAGMENTS = st.sampled_from([
    "a", "b: ", "- ", "\n", "  ", "\t", "{", "}", "[", "]", ",", ": ", "&x ", "*x", "!t ", "!!int ", "'", "\"",
    ">", "\\", "#", "%", "---\n", "...\n", "? ", "<<: ", "\u0000", "\ufeff", "é", "🙂", "1", ".inf", "~",
    "\r", "@", "|", "\u2028",
])
# fmt: on


@given(st.lists(FRAGMENTS, max_size=40).map("".join))
@settings(max_examples=150, deadline=None)
def test_no_text_whatever_raises(text: str) -> None:
    parsed = read(text.encode(), "f.yaml")
    assert parsed.documents or parsed.problems
    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + text.count("\u2028") + 1
    for problem in parsed.problems:
        assert 1 <= problem.line <= lines + 1
        assert problem.column >= 1
        assert "yaml" not in problem.message.lower() or "not YAML" in problem.message


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_bytes_whatever_raise(data: bytes) -> None:
    parsed = read(data, "f.yaml")
    assert parsed.documents or parsed.problems


@pytest.mark.parametrize("break_", ["\n", "\n\n", "\u2028", "\x85"])
def test_plain_text_over_lines_is_kept_as_it_stands(break_: str) -> None:
    (document,) = read(f"a: b{break_}  c\nd: 1\n".encode(), "f.yaml").documents
    assert document.nearest("a").node.raw == f"b{break_}  c"
    assert document.nearest("d").node.raw == ""


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz_-", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text("abcxyz_-", min_size=1), JSON_VALUES, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_what_json_writes_is_read_back(shape: dict[str, object]) -> None:
    assert value_of(json.dumps(shape, ensure_ascii=False)) == shape
