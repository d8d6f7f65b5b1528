"""Every rule is broken by something, and every mistake breaks a rule that is written down."""

# ruff: noqa: E501  a case is told in one line
from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from chaosrunner.errors import Problem
from chaosrunner.files.rules import CODES, MISTAKE, RULES, WEAKNESS, find, rule_of
from chaosrunner.reports.rules_page import markdown
from chaosrunner.stages.load import check
from tests.files.good import EXPERIMENT, HYPOTHESIS, WHOLE
from tests.files.mistakes import DOCUMENTS, EXPERIMENTS, HYPOTHESES
from tests.files.reuse_mistakes import MISTAKES as REUSE
from tests.structure.sources import ROOT, modules


def at_mark(text: str) -> tuple[bytes, int, int]:
    """The file without the ‸, and where it stood."""
    before = text[: text.index("‸")]
    return text.replace("‸", "").encode(), before.count("\n") + 1, len(before) - before.rfind("\n")


ONE = "{name: one, noop: , tolerance: {atLeast: 1}}"
NESTED = "[" * 60 + "]" * 60
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)
)
FURTHER: list[tuple[str, bytes, int, int]] = [
    ("not-text", b"title: caf\xe9\n", 1, 11),
    ("not-text", b"title: a\x00b\n", 1, 9),
    ("not-text", "title: x".encode("utf-16"), 1, 1),
    ("not-text", b"a: 1\nb: \x1b[31m\n", 2, 4),
    ("too-big", b"a: " + b"x" * (2 * 2**20), 1, 1),
    ("too-big", f"a: {NESTED}\n".encode(), 1, 53),
    ("too-big", BOMB.encode(), 4, 4),
    ("empty-file", b"", 1, 1),
    ("empty-file", b"# nothing\n---\n", 1, 1),
    ("yaml-feature", b"<<: {a: 1}\n", 1, 1),
    ("yaml-feature", b"a: !!python/object:os.system x\n", 1, 4),
    ("yaml-feature", b"? [a]\n: 1\n", 1, 3),
    ("unknown-anchor", b"a: *b\n", 1, 4),
    ("unknown-anchor", b"a: &a [*a]\n", 1, 8),
    ("not-finite", b"a: .inf\n", 1, 4),
    ("not-finite", b"a: 1e999\n", 1, 4),
    ("not-a-document", b"- a\n", 1, 1),
    ("not-a-document", b"words\n", 1, 1),
    ("given-twice", b"a: 1\nb: 2\na: 3\n", 3, 1),
    ("yaml", b"a: [1\n", 2, 1),
    ("yaml", b"a: 1\n\tb: 2\n", 2, 1),
    ("yaml", b"a: 'x\n", 2, 1),
    ("promql", WHOLE.replace(ONE, "{name: one, prometheus: {query: 'sum(a'}}").encode(), 63, 48),
    ("wrong-platform", WHOLE.replace("fault: noop, for: 10s", "fault: pod-failure, target: {service: checkout}, for: 9s")
     .encode(), 79, 15),
    ("no-traffic", WHOLE.replace(ONE, "{name: one, traffic: {read: p50}}").replace("  traffic: {", "  # {").encode(), 60, 7),
    ("not-found", WHOLE.replace(f"        - {ONE}", f"        - {ONE}\n    - openslo: {{slo: f.yaml}}").encode(), 64, 22),
    ("parameter", WHOLE.replace("    - checkout-slo\n", "    - {use: checkout-slo, with: {a: 1}}\n").encode(), 59, 33),
]  # fmt: skip
REUSED = [(rule, *at_mark(text), said) for rule, text, said in REUSE]
BROKEN = (
    {rule for rule, *_ in REUSED}
    | {one.rule for one in (*DOCUMENTS, *HYPOTHESES, *EXPERIMENTS)}
    | {rule for rule, *_ in FURTHER}
)


def found(folder: Path, data: bytes) -> list[Problem]:
    (folder / "f.yaml").write_bytes(data)
    return list(check(["f.yaml"], folder).problems)


@pytest.mark.parametrize(
    ("rule", "data", "line", "column"), FURTHER, ids=[f"{one[0]} {n}" for n, one in enumerate(FURTHER)]
)
def test_what_is_hardly_a_file_is_told_with_its_place_and_rule(
    rule: str, data: bytes, line: int, column: int, tmp_path: Path
) -> None:
    told = [(one.line, one.column, rule_of(one).name) for one in found(tmp_path, data)]
    assert (line, column, rule) in told, told


@pytest.mark.parametrize(
    ("rule", "data", "line", "column", "said"), REUSED, ids=[f"{one[0]} {n}" for n, one in enumerate(REUSED)]
)
def test_what_takes_over_from_others_is_told_with_its_place_and_rule(
    rule: str, data: bytes, line: int, column: int, said: str, tmp_path: Path
) -> None:
    problems = found(tmp_path, data)
    told = [(one.line, one.column, rule_of(one).name, str(one).partition(": ")[2]) for one in problems]
    assert any(one[:3] == (line, column, rule) and one[3].startswith(said) for one in told), told
    assert {one[:2] for one in told} == {(line, column)}, told


def test_every_problem_names_its_rule() -> None:
    """What names none would be told as another mistake, which nobody can look up."""
    wrong = []
    for module in modules():
        for node in module.nodes(ast.Call):
            assert isinstance(node, ast.Call)
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if name == "problem" and node.args and not any(word.arg == "rule" for word in node.keywords):
                wrong.append(f"chaosrunner/{module.path}:{node.lineno}")
    assert not wrong, wrong


def test_the_corpus_is_large_and_breaks_every_rule_about_mistakes() -> None:
    assert len({one.new for one in (*DOCUMENTS, *HYPOTHESES, *EXPERIMENTS)}) + len(FURTHER) >= 200
    elsewhere = {MISTAKE, "no-environment", "openslo"}  # test_references, test_openslo; the first is for what has none
    assert {name for name, rule in RULES.items() if not rule.warns} - BROKEN - elsewhere == set()


def test_codes_are_unique_in_order_and_of_their_kind() -> None:
    assert len(CODES) == len(RULES)
    assert list(CODES) == sorted(CODES)
    for code, rule in CODES.items():
        assert re.fullmatch(r"CR\d{3}", code)
        assert rule.title[0].isupper() or rule.title[0] == "`"
        assert len(rule.why) > 20
        assert rule.bad != rule.good


def test_every_rule_that_the_code_names_is_known() -> None:
    named = {
        name
        for file in (ROOT / "chaosrunner").rglob("*.py")
        for name in re.findall(r"rule=\"([a-z-]+)\"", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 40
    assert named - set(RULES) == set()


def test_a_problem_that_names_no_rule_has_one_all_the_same() -> None:
    bare = Problem("f.yaml", 1, 1, "something is wrong")
    assert rule_of(bare).name == MISTAKE
    assert rule_of(bare, warning=True).name == WEAKNESS
    assert rule_of(Problem("f.yaml", 1, 1, "unknown field `x`")).code == "CR020"


def test_a_rule_is_found_by_code_and_name() -> None:
    assert find("cr020") is find("unknown-field") is CODES["CR020"]
    assert find("CR777") is None


def test_the_page_of_the_rules_is_what_they_say() -> None:
    assert (ROOT / "docs" / "rules.md").read_text(encoding="utf-8") == markdown(), "call `make docs`"


def test_files_alone_are_right() -> None:
    assert EXPERIMENT in WHOLE
    assert HYPOTHESIS in WHOLE
