"""What a gate answers, in the formats that pipelines read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt

from chaosrunner.cli import _outputs, chaosrunner
from chaosrunner.errors import UsageError
from chaosrunner.model.gate import GateAnswer, Passed
from chaosrunner.model.words import Answer, State
from chaosrunner.reports.annotations import command
from chaosrunner.reports.gate_outputs import FORMATS, schema, written
from chaosrunner.stages.report import Review, review
from chaosrunner.stages.report import written as in_format
from chaosrunner.store.journal import write_line
from tests.ci.answers import KNOWN, NASTY, RULES, near_miss, no, run, unknown, yes
from tests.reports import journals

ROOT = Path(__file__).parents[2]
ANSWERS = pytest.mark.parametrize("answer", [no(), yes(), unknown()], ids=["no", "yes", "unknown"])

# ------------------------------------------------------------------------------------------------------------- JUnit

STRING, TIME = re.compile(".*", re.DOTALL), re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")
SUITE = ("group", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url")
GRAMMAR: dict[str, tuple[str, dict[str, re.Pattern[str]], tuple[str, ...]]] = {
    "testsuites": (
        "",
        {"time": TIME, **dict.fromkeys(("name", "tests", "failures", "errors"), STRING)},
        ("testsuite",),
    ),
    "testsuite": (
        "name tests failures errors",
        {"time": TIME, **dict.fromkeys(SUITE, STRING)},
        ("testsuite", "properties", "testcase", "system-out", "system-err"),
    ),
    "properties": ("", {}, ("property",)),
    "property": ("name value", {}, ()),
    "testcase": (
        "name",
        dict.fromkeys(("time", "classname", "group"), STRING),
        ("skipped", "error", "failure", "system-out", "system-err"),
    ),
    **{each: ("", {"type": STRING, "message": STRING}, ()) for each in ("skipped", "error", "failure")},
    "system-out": ("", {}, ()),
}
"""What junit-10.xsd of Jenkins' xunit plugin asks of the elements that are used: required attributes, optional ones
with their patterns, and children. It has no place for anything else. (Held against the file itself by hand.)"""


def conforms(element: ElementTree.Element) -> None:
    required, optional, children = GRAMMAR[element.tag]
    assert {*required.split()} <= {*element.attrib} <= {*required.split(), *optional}, element.attrib
    for name, pattern in optional.items():
        assert pattern.fullmatch(element.get(name, "")), (name, element.get(name))
    for child in element:
        assert child.tag in children, f"{child.tag} in {element.tag}"
        conforms(child)


def cases(answer: GateAnswer) -> dict[str, str]:
    """The case -> what it says."""
    top = ElementTree.fromstring(written(answer, "junit"))
    found = {}
    for case in top.iter("testcase"):
        said = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        assert len(said) <= 1
        found[f"{case.get('classname')}/{case.get('name')}"] = said[0] if said else "passed"
    return found


@ANSWERS
def test_junit_is_of_the_dialect_that_jenkins_and_gitlab_read(answer: GateAnswer) -> None:
    top = ElementTree.fromstring(written(answer, "junit"))
    assert top.tag == "testsuites"
    conforms(top)
    for suite in top:
        tests = suite.findall("testcase")
        assert suite.get("tests") == str(len(tests)) != "0"
        for counted, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert suite.get(counted) == str(sum(case.find(tag) is not None for case in tests))
    assert top.get("tests") == str(len(list(top.iter("testcase"))))


def test_junit_has_a_case_for_each_hypothesis_and_each_rule() -> None:
    assert cases(no()) == {
        "release.payments-slow (delay=300ms, share=0_5)/orders-go-through": "failure",
        "release.payments-slow (delay=300ms, share=0_5)/no-errors": "passed",
        "release.cart-restarts/carts": "skipped",
        "release.zone-gone/run": "error",
        "release.policy/new": "failure",
        "release.policy/undo-failed": "passed",
        "release.policy/inconclusive": "error",
        "release.policy/not-run": "failure",
    }


def test_junit_is_red_exactly_where_the_gate_does_not_say_yes() -> None:
    assert {"failure", "error"}.isdisjoint(cases(yes()).values())
    assert {"failure"}.isdisjoint(cases(unknown()).values()) and "error" in cases(unknown()).values()
    ignored = yes().model_copy(update={"runs": (run(verdict=Answer.INCONCLUSIVE, exit_code=3, hypotheses=()),)})
    assert "error" not in cases(ignored).values() and "skipped" in cases(ignored).values()
    nobody_recorded_it = no(near_misses=(), runs=(run(near_misses=()),), rules=())
    assert cases(nobody_recorded_it)["release.payments-slow (delay=300ms, share=0_5)/orders-go-through"] == "failure"


def test_junit_tells_of_an_undo_that_failed_though_every_hypothesis_held() -> None:
    held = run(exit_code=7, verdict=Answer.HELD, why="network-latency may be in force", hypotheses=run().hypotheses[1:])
    said = cases(no(runs=(held,), rules=(), near_misses=()))
    assert said == {
        "release.payments-slow (delay=300ms, share=0_5)/no-errors": "passed",
        "release.payments-slow (delay=300ms, share=0_5)/run": "failure",
    }


# ------------------------------------------------------------------------------------------------------------- SARIF

TEXT: dict[str, Any] = {"type": "string"}


def thing(required: str = "", **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


MESSAGE = thing("text", text=TEXT)
SARIF = thing(
    "version runs",
    **{"$schema": TEXT},
    version={"const": "2.1.0"},
    runs={
        "type": "array",
        "minItems": 1,
        "items": thing(
            "tool",
            tool=thing(
                "driver",
                driver=thing(
                    "name",
                    name=TEXT,
                    version=TEXT,
                    informationUri=TEXT,
                    rules={
                        "type": "array",
                        "uniqueItems": True,
                        "items": thing("id", id=TEXT, name=TEXT, shortDescription=MESSAGE, helpUri=TEXT),
                    },
                ),
            ),
            columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            automationDetails=thing("", id=TEXT),
            invocations={
                "type": "array",
                "items": thing(
                    "executionSuccessful",
                    executionSuccessful={"type": "boolean"},
                    exitCode={"type": "integer"},
                    exitCodeDescription=TEXT,
                ),
            },
            results={
                "type": "array",
                "items": thing(
                    "message",
                    ruleId=TEXT,
                    ruleIndex={"type": "integer", "minimum": -1},
                    kind={"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]},
                    level={"enum": ["none", "note", "warning", "error"]},
                    message=MESSAGE,
                    fingerprints={"type": "object", "additionalProperties": TEXT},
                    partialFingerprints={"type": "object", "additionalProperties": TEXT},
                    baselineState={"enum": ["new", "unchanged", "updated", "absent"]},
                    suppressions={
                        "type": "array",
                        "uniqueItems": True,
                        "items": thing(
                            "kind",
                            kind={"enum": ["inSource", "external"]},
                            status={"enum": ["accepted", "underReview", "rejected"]},
                            justification=TEXT,
                        ),
                    },
                    locations={
                        "type": "array",
                        "items": thing(
                            logicalLocations={
                                "type": "array",
                                "items": thing("", name=TEXT, kind=TEXT, fullyQualifiedName=TEXT),
                            },
                            physicalLocation=thing(
                                artifactLocation=thing("", uri={"type": "string", "pattern": r"^[^\s<>|\\]+$"}),
                                region=thing("", startLine={"type": "integer", "minimum": 1}),
                            ),
                        ),
                    },
                    workItemUris={"type": "array", "uniqueItems": True, "items": TEXT},
                    properties={"type": "object"},
                ),
            },
        ),
    },
)
"""What the schema of SARIF 2.1.0 asks of the objects that are used. (Held against the file itself by hand.)"""


def results(answer: GateAnswer) -> list[dict[str, Any]]:
    (only,) = json.loads(written(answer, "sarif"))["runs"]
    rules = [rule["id"] for rule in only["tool"]["driver"]["rules"]]
    for each in only["results"]:
        assert rules[each["ruleIndex"]] == each["ruleId"]
        assert (each["kind"] == "fail") == (each["level"] != "none")
    return list(only["results"])


@ANSWERS
def test_sarif_is_as_its_schema_asks(answer: GateAnswer) -> None:
    Draft202012Validator(SARIF).validate(json.loads(written(answer, "sarif")))
    results(answer)


def test_sarif_shows_a_near_miss_where_its_experiment_begins_and_knows_it_again() -> None:
    first, known, inconclusive, not_run = results(no())
    (place,) = first["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "experiments/payments-slow.yaml"
    assert place["physicalLocation"]["region"]["startLine"] == 12
    assert (first["ruleId"], first["level"], first["baselineState"]) == ("chaosrunner/impact", "error", "new")
    assert known["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "experiments/cart%20restarts.yaml"
    assert known["suppressions"][0]["justification"] == "waived until 2026-12-01"
    assert (inconclusive["kind"], not_run["kind"]) == ("open", "fail")
    again = results(no(at=no().at + 9, near_misses=(near_miss(title="in other words", change="known"), KNOWN)))
    for before, after in zip(results(no()), again, strict=True):
        assert before["fingerprints"] == after["fingerprints"]
        assert before["partialFingerprints"] == after["partialFingerprints"]
    marks = [json.dumps(each["partialFingerprints"]) for each in results(no())]
    assert len(set(marks)) == len(marks)


def test_sarif_of_what_was_verified_is_gone() -> None:
    (gone,) = results(yes().model_copy(update={"near_misses": (near_miss(state=State.VERIFIED, says_no=False),)}))
    assert (gone["kind"], gone["level"], gone["baselineState"]) == ("pass", "none", "absent")


# ---------------------------------------------------------------------------------------------------------- Markdown


def rendered(answer: GateAnswer) -> str:
    text: str = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(written(answer, "markdown"))
    return text


def test_markdown_says_yes_or_no_first_and_what_to_do_next() -> None:
    html = rendered(no())
    assert html.index("May not go out: release") < html.index("What to do now") < html.index("NM-2026-0007</strong>")
    assert "<code>chaosrunner near-miss show NM-2026-0007 | less</code>" in html
    assert '<a href="https://github.com/acme/shop/issues/12">#12</a>' in html
    assert "May go out: release" in rendered(yes()) and "It cannot be said" in rendered(unknown())
    assert written(no(), "markdown").startswith("<!-- chaosrunner:gate release -->\n")


def test_markdown_shows_words_from_outside_as_they_are() -> None:
    html = rendered(no(summary=NASTY, rules=(RULES[0].model_copy(update={"why": NASTY}),)))
    shown = "a | b &lt;script&gt;alert(1)&lt;/script&gt; *bold* @everyone #12 `code` %0A::error::x"
    assert html.count(shown) + html.count(shown.replace("a |", "A |")) == 4
    assert "<script" not in html and "<em>" not in html and 'href="x"' not in html
    source = written(no(summary=NASTY), "markdown")
    assert "@everyone" not in source and " #12" not in source, "what GitHub and GitLab would make a mention, or a link"


def test_markdown_links_only_to_the_web() -> None:
    item = near_miss().item
    assert item is not None
    for url in ("javascript:alert(1)", f"file://{Path.cwd()}/remediation/NM-1.md"):
        answer = no(near_misses=(near_miss(item=item.model_copy(update={"url": url})),))
        assert "<a " not in rendered(answer)
        assert "workItemUris" not in written(answer, "sarif")
        assert str(Path.cwd()) not in written(answer, "markdown") + written(answer, "github")


def test_markdown_of_very_many_ends() -> None:
    many = no(near_misses=tuple(near_miss(id=f"NM-2026-{n:04d}") for n in range(2000)))
    assert len(written(many, "markdown")) < 60_000
    assert "and 1950 more" in rendered(many)


# ------------------------------------------------------------------------------------------------------- annotations


def test_annotations_stand_at_the_lines_that_they_are_about() -> None:
    lines = written(no(), "github").splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == ["::error", "::error", "::warning", "::notice"]
    assert lines[1].startswith("::error file=experiments/payments-slow.yaml,line=12,title=NM-2026-0007 (P1%2C new)::")
    assert written(yes(), "github").splitlines()[0].startswith("::notice file=suites/release.yaml,line=1,")


def test_a_workflow_command_stays_one_line_whatever_is_in_it() -> None:
    told = command("error", ("a, b: c%.yaml", 3), "x\n::stop-commands::t, 50 %", "first\r\n::error::second 100%")
    assert told == (
        "::error file=a%2C b%3A c%25.yaml,line=3,title=x%0A%3A%3Astop-commands%3A%3At%2C 50 %25"
        "::first%0A::error::second 100%25"
    )


def test_of_very_many_annotations_the_most_pressing_ten_are_told() -> None:
    many = no(near_misses=tuple(near_miss(id=f"NM-2026-{n:04d}") for n in range(40)))
    assert written(many, "github").count("::error ") == 10


# ------------------------------------------------------------------------------------------------------ JSON, badge


@ANSWERS
def test_the_json_is_as_its_published_schema_says(answer: GateAnswer) -> None:
    published = json.loads((ROOT / "docs/schema/gate-1.json").read_text())
    Draft202012Validator.check_schema(published)
    validator = Draft202012Validator(published)
    validator.validate(json.loads(written(answer, "json")))
    assert list(validator.iter_errors({**json.loads(written(answer, "json")), "passed": "perhaps"}))
    assert published == schema(), "run `make docs`"


def test_the_schema_can_be_asked_for() -> None:
    assert json.loads(CliRunner().invoke(chaosrunner, ["schema", "gate"]).stdout) == schema()


@ANSWERS
def test_a_badge_says_the_answer_in_words(answer: GateAnswer) -> None:
    top = ElementTree.fromstring(written(answer, "badge"))
    said = {Passed.YES: "may go out", Passed.NO: "stopped · 1 open", Passed.UNKNOWN: "unknown"}[answer.passed]
    assert top.get("aria-label") == f"resilience: {said}"
    assert [each.text for each in top.iter("{http://www.w3.org/2000/svg}text")] == ["resilience", said]


# ------------------------------------------------------------------------------------------------------- where it goes


def test_every_format_is_written_where_it_was_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files = [f"{form}={tmp_path / 'new' / form}" for form in FORMATS]
    assert _outputs.deliver(no(), _outputs.parsed(files), as_json=False, environment={}) == 1
    for form in FORMATS:
        assert (tmp_path / "new" / form).read_text() == written(no(), form)
    assert capfd.readouterr().out == written(no(), "text")


@pytest.mark.parametrize(
    ("asked", "as_json", "out", "err"),
    [
        ((), True, "json", ""),
        (("markdown=-",), False, "markdown", ""),
        (("github",), False, "text+github", ""),
        (("github",), True, "json", "github"),
        (("github", "junit=-"), False, "junit", "github"),
    ],
)
def test_standard_output_is_one_thing(
    asked: tuple[str, ...], as_json: bool, out: str, err: str, capfd: pytest.CaptureFixture[str]
) -> None:
    _outputs.deliver(no(), _outputs.parsed(asked), as_json=as_json, environment={})
    said = capfd.readouterr()
    assert said.out == "".join(written(no(), form) for form in out.split("+"))
    assert said.err == (written(no(), err) if err else "")


def test_on_github_the_page_of_the_run_has_the_answer_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "summary.md"
    page.write_text("what was there\n")
    on_github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(page)}
    _outputs.deliver(no(), (), as_json=False, environment=on_github)
    assert page.read_text() == "what was there\n" + written(no(), "markdown")
    _outputs.deliver(no(), (), as_json=False, environment={"GITHUB_STEP_SUMMARY": str(page)})
    assert page.read_text().count("<!-- chaosrunner:gate") == 1
    assert "::error" not in capfd.readouterr().out


def test_an_output_that_cannot_be_written_is_no_yes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")
    outputs = _outputs.parsed((f"junit={tmp_path / 'taken' / 'a.xml'}", f"json={tmp_path / 'a.json'}"))
    assert _outputs.deliver(yes(), outputs, as_json=False, environment={}) == 3
    assert _outputs.deliver(no(), outputs, as_json=False, environment={}) == 1
    assert (tmp_path / "a.json").exists() and "cannot write" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("xml=a.xml", "'xml' is no format, expected one of junit, sarif"),
        ("junit", "where to. --output junit=PATH"),
        ("junit=", "where to. --output junit=PATH"),
        ("json=/", "/ is a folder"),
    ],
)
def test_what_is_no_output_is_said_before_anything_runs(value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _outputs.parsed((value,))


# ---------------------------------------------------------------------------------------------------------- one run


def reviewed(tmp_path: Path, *, broken: bool) -> Review:
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"".join(write_line(entry) for entry in journals.payments_are_slow(broken=broken)))
    return review(journal)


@pytest.mark.parametrize("broken", [True, False])
def test_a_run_by_itself_is_written_for_pipelines_too(tmp_path: Path, broken: bool) -> None:
    seen = reviewed(tmp_path, broken=broken)
    top = ElementTree.fromstring(in_format(seen, "junit", page="report.html"))
    conforms(top)
    names = {case.get("name"): case.find("failure") is not None for case in top.iter("testcase")}
    assert {each.name for each in seen.verdict.hypotheses} <= {*names}
    assert any(names.values()) is broken
    text = in_format(seen, "markdown")
    assert text.startswith("## ❌ broken: " if broken else "## ✅ held: ")
    assert ("(not recorded)" in text) is broken and "may go out" not in text.lower()
