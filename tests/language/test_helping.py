"""What an editor is told may stand at a cursor, and what a word means. The cursor is at the ‸."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaosrunner.files.references import Library
from chaosrunner.language.helping import meaning, offers
from tests.files.good import ENVIRONMENT, HYPOTHESIS

HEAD = "apiVersion: chaosrunner.dev/v1\nkind: Experiment\nmetadata: {name: one}\nspec:\n  environment: laptop\n"
STEP = "  method:\n    - id: slow\n      fault: network-latency\n"


def at(text: str) -> tuple[list[str], int, int]:
    before = text[: text.index("‸")]
    return text.replace("‸", "").split("\n"), before.count("\n"), len(before) - before.rfind("\n") - 1


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("files")
    (folder / ".git").mkdir()
    (folder / "environment.yaml").write_text(ENVIRONMENT)
    (folder / "hypothesis.yaml").write_text(HYPOTHESIS)
    (folder / "experiment.yaml").write_text(HEAD.replace("name: one", "name: one-of-many"))
    return Library(folder)


@pytest.mark.parametrize(
    ("text", "there", "absent"),
    [
        ("‸", {"apiVersion", "kind", "metadata", "spec"}, {"method"}),
        ("kind: ‸", {"Experiment", "Hypothesis", "Environment"}, set()),
        (f"{HEAD}  ‸", {"title", "method", "baseline", "recovery"}, {"environment", "delay"}),
        (f"{HEAD}  recovery:\n    ‸", {"within", "holds"}, {"title"}),
        (f"{HEAD}  recovery: {{within: 3s, ‸", {"holds"}, {"within"}),
        (f"{HEAD}{STEP}      ‸", {"target", "with", "for", "settle"}, {"fault", "id", "delay"}),
        (f"{HEAD}{STEP}      with:\n        ‸", {"delay", "jitter"}, {"fault"}),
        (f"{HEAD}{STEP}      with: {{delay: 3s, ‸", {"jitter"}, {"delay"}),
        (f"{HEAD}  method:\n  - fault: net‸\n  - wait: 3s", {"network-latency", "pod-kill"}, {"delay"}),
        (f"{HEAD}  method:\n    - {{fault: ‸", {"network-latency"}, set()),
        (f"{HEAD}{STEP}      target: {{service: ‸", {"checkout", "payments", "postgres"}, {"checkout-to-payments"}),
        (f"{HEAD}{STEP}      target:\n        link: ‸", {"checkout-to-payments"}, {"checkout"}),
        (f"{HEAD}  hypotheses: [‸", {"checkout-slo"}, {"laptop"}),
        (f"{HEAD}  hypotheses:\n    - ‸", {"checkout-slo"}, {"laptop"}),
        (f"{HEAD.replace('laptop', '‸')}", {"laptop"}, {"checkout-slo"}),
        (f"{HEAD}  hypotheses:\n    - name: a\n      measures:\n        - name: b\n          ‸",
         {"http", "prometheus", "tolerance", "every"}, {"name", "title"}),
        (f"{HEAD}  hypotheses:\n    - name: a\n      measures:\n        - name: b\n          http:\n            ‸",
         {"url", "read", "timeout"}, {"http"}),
        (f"{HEAD}  hypotheses:\n    - name: a\n      measures:\n        - {{name: b, http: {{read: ‸",
         {"latency", "status", "body"}, {"url"}),
        (f"{HEAD}  hypotheses:\n    - name: a\n      measures:\n        - name: b\n          during: ‸",
         {"edge", "continuous"}, {"name"}),
        (f"{HEAD}  hypotheses:\n    - name: a\n      measures:\n        - {{name: b, tolerance: {{‸",
         {"atMost", "equals", "baseline", "recovery"}, {"title"}),
        (f"{HEAD}  hypotheses:\n    - name: a\n      measures:\n        - {{tolerance: {{fault: {{like: x}}, ‸",
         {"baseline", "recovery"}, {"atMost", "fault"}),
        (f"{HEAD}{STEP}    - {{fault: noop, target: {{sameAs: ‸", {"slow"}, {"noop"}),
        (f"{HEAD}{STEP}      target:\n        sameAs: ‸", set(), {"slow"}),
        (f"{HEAD}  parameters:\n    delay: {{default: 3s}}\n    # next\n    much:\n      type: ratio\n  title: ${{‸",
         {"delay", "much"}, {"title", "type", "steps."}),
        (f"{HEAD}{STEP}    - fault: dns-fault\n      with: {{address: ${{‸", {"steps."}, {"slow"}),
        (f"{HEAD}  method:\n    - id: one\n      read: {{‸", {"http", "command", "traffic"}, {"wait"}),
        (f"{HEAD}  method:\n    - {{id: one, read: {{http: {{‸", {"url", "path"}, {"timeout-too"}),
        (f"{HEAD}{STEP}    - {{id: a, read: {{}}}}\n    - fault: dns-fault\n      with: {{address: ${{steps.‸",
         {"slow", "a"}, {"dns-fault", "seen"}),
        (f"{HEAD}{STEP}    - {{id: a, read: {{}}}}\n    - fault: dns-fault\n      with: {{address: ${{steps.a.‸",
         {"value", "text"}, {"seen", "slow"}),
        (f"{HEAD}{STEP}    - fault: dns-fault\n      with: {{address: x ${{steps.slow.s‸",
         {"seen", "since", "node"}, {"value"}),
        ("kind: Suite\nspec:\n  experiments:\n    - experiment: ‸", {"one-of-many"}, {"checkout-slo"}),
        ("kind: GameDay\nspec:\n  agenda:\n    - {experiment: ‸", {"one-of-many"}, {"checkout-slo"}),
        (f"{HEAD}  hypotheses:\n    - ‸", {"openslo"}, set()),
        (f"{HEAD}  hypotheses:\n    - openslo: {{slo: a.yaml, ‸", {"name", "over", "maxAge"}, {"slo", "title"}),
        (f"{HEAD}  extends: ‸", {"one-of-many"}, {"checkout-slo"}),
        ("kind: Environment\nspec:\n  guards:\n    errorBudget: {hypothesis: ‸", {"checkout-slo"}, {"one-of-many"}),
        ("kind: Environment\nspec:\n  platform:\n    ‸", {"local", "kubernetes"}, {"class"}),
        ("kind: Environment\nspec:\n  platform:\n    local:\n      ‸", {"services", "links"}, {"class"}),
        ("kind: Environment\nspec:\n  guards:\n    production: ‸", {"true", "false"}, {"class"}),
        ("kind: Environment\nspec:\n  notify:\n    - ‸", {"slack", "pagerduty"}, {"class"}),
        (f"{HEAD}---\nkind: Environment\nspec:\n  ‸", {"platform", "guards"}, {"method"}),
        ("kind: Experiment\nspec: [‸", set(), {"method"}),
        ("kind: Nothing\nspec:\n  ‸", set(), {"method"}),
    ],
)  # fmt: skip
def test_what_may_stand_there_is_offered(text: str, there: set[str], absent: set[str], library: Library) -> None:
    found = {offer.label for offer in offers(*at(text), library)}
    assert there - found == set()
    assert absent & found == set()


def test_an_offer_says_what_it_is_and_means() -> None:
    (delay,) = [offer for offer in offers(*at(f"{HEAD}{STEP}      with:\n        ‸")) if offer.label == "delay"]
    assert "duration" in delay.detail
    assert len(delay.meaning) > 10
    assert delay.insert == "delay: "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}  reco‸very: {{within: 60s}}", "**recovery**: mapping"),
        (f"{HEAD}  recovery: {{wit‸hin: 60s}}", "From the undo"),
        (f"{HEAD}  method:\n    - fault: network-lat‸ency", "**network-latency** (fault)"),
        (f"{HEAD}{STEP}      with: {{del‸ay: 60s}}", "**delay**: duration"),
        (f"{HEAD}  hypotheses:\n    - name: a\n      measures:\n        - ht‸tp: {{}}", "**http** (probe)"),
        ("a: 1  # chaosrunner: ignore CR1‸01 because", "**CR101 Nothing would stop the run early**"),
        ("kind: Experi‸ment", "**Experiment** (kind of document)"),
        ("a: ‸", ""),
        ("x: no-such-wo‸rd", ""),
    ],
)
def test_a_word_is_explained_where_it_stands(text: str, said: str) -> None:
    found = meaning(*at(text))
    assert said in found
    assert bool(said) == bool(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}  hypotheses: [checkout-s‸lo]", "**checkout-slo** ("),
        (f"{HEAD}  hypotheses:\n    - checkout-s‸lo", "Shoppers can check out"),
        (f"{HEAD}  title: x\n  hypotheses: []\n".replace("laptop", "lap‸top"), "**laptop** ("),
        (f"{HEAD}{STEP}      target: {{service: check‸out}}", "**checkout** (service of laptop)"),
        (f"{HEAD}{STEP}      target: {{service: no‸body}}", ""),
    ],
)
def test_a_name_says_what_it_is_of(text: str, said: str, library: Library) -> None:
    found = meaning(*at(text), library)
    assert said in found
    assert bool(said) == bool(found)


def test_every_place_of_a_file_can_be_asked(tmp_path: Path) -> None:
    text = f"{HEAD}{STEP}      with: {{delay: 3s, x: [1, {{a: 'b}}'}}]}}\n#\n- - - a\n  }}]\n\t\n---\n"
    lines = text.split("\n")
    for line in range(len(lines) + 1):
        for column in range(len(lines[line]) + 2 if line < len(lines) else 2):
            offers(lines, line, column)
            meaning(lines, line, column)
