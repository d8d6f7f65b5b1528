"""What the pages say is so: links lead somewhere, tables are the code's, files are right, no machine is told of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from chaosrunner import errors, glossary
from chaosrunner.model.words import Answer, Ending, GapKind, State
from chaosrunner.stages.judge import exit_code
from chaosrunner.stages.load import check
from tests.docs.pages import DOCS, FRAGMENTS, PAGES, README, ROOT, fenced, files, links, name_of, prose, table, text_of

ADDING = DOCS / "adding.md"
"""Its files name plugins of its own; tests/adding tries them."""
WITH_FILES = [page for page in PAGES if page != ADDING and any(name.endswith(".yaml") for name in files(page))]
EXIT_CODE_PAGES = [README, DOCS / "exit-codes.md"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_or_a_heading(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{name_of(page)} links to {link}"
        assert target.is_relative_to(ROOT)
        if heading:
            known = re.findall(r"^#+ (.+)$", prose(target), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in known]


def test_the_index_names_every_page() -> None:
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= set(links(DOCS / "README.md"))


def test_every_picture_is_shown_and_small() -> None:
    for picture in (DOCS / "images").iterdir():
        assert any(picture.name in text_of(page) for page in PAGES)
        assert picture.stat().st_size <= 450_000


@pytest.mark.parametrize("page", [*PAGES, *FRAGMENTS], ids=name_of)
def test_nothing_tells_of_the_machine_that_it_was_written_on(page: Path) -> None:
    assert not re.findall(r"(?<![\w.])/(?:work|home|root|Users|tmp|private)/\S*", text_of(page))


def shortened(meaning: str) -> str:
    """What is said of an exit code without what belongs to commands that are planned."""
    return re.sub(r"; for `gate`.*", "", meaning).strip().rstrip(".").replace("--strict", "`--strict`").lower()


@pytest.mark.parametrize("page", EXIT_CODE_PAGES, ids=name_of)
def test_the_exit_codes_are_the_codes(page: Path) -> None:
    said = {int(row[0]): row[1].lower() for row in table(page, "code")}
    assert list(said) == sorted(glossary.EXIT_CODES)
    for code, meaning in glossary.EXIT_CODES.items():
        assert said[code].startswith(shortened(meaning))


def test_no_failure_has_an_exit_code_that_is_not_explained() -> None:
    kinds = [errors.ChaosrunnerError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.exit_code for kind in kinds} <= set(glossary.EXIT_CODES)


def test_the_order_of_exit_codes_is_the_judges() -> None:
    order = re.search(r"the first of ([\d, ]+) counts", text_of(DOCS / "exit-codes.md"))
    assert order is not None
    said = [int(code) for code in order[1].split(",")]
    assert sorted(said) == sorted(set(glossary.EXIT_CODES) - {2})
    codes = {
        exit_code(answer, ending, undo_failed=failed, gap=gap)
        for answer in Answer
        for ending in Ending
        for failed in (False, True)
        for gap in (False, True)
    }
    assert codes <= set(said)
    for ending in Ending:
        for answer in Answer:
            with_gap = exit_code(answer, ending, undo_failed=False, gap=True)
            without = exit_code(answer, ending, undo_failed=False, gap=False)
            assert with_gap == min(without, 1, key=said.index)
            assert exit_code(answer, ending, undo_failed=True, gap=True) == said[0]


def test_the_states_of_a_near_miss_are_named() -> None:
    page = text_of(DOCS / "near-misses.md")
    shown = re.search(r"^    (open ->.*)$", page, re.MULTILINE)
    assert shown is not None
    assert set(shown[1].split(" -> ")) <= {state.value for state in State}


def test_every_kind_of_gap_is_explained() -> None:
    explained = {row[0].replace(" ", "-") for row in table(DOCS / "near-misses.md", "gap")}
    assert explained == {kind.value for kind in GapKind}


@pytest.mark.parametrize("page", WITH_FILES, ids=name_of)
def test_the_files_of_a_page_are_right(page: Path, tmp_path: Path) -> None:
    for name, text in files(page).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    checked = check([str(tmp_path)], tmp_path)
    assert checked.files
    assert not checked.problems
    assert not checked.warnings


def test_every_whole_document_is_in_a_file_that_is_checked() -> None:
    for page in PAGES:
        for block in fenced(page):
            if block.language == "yaml" and "apiVersion:" in block.text and page != ADDING:
                assert block.file, f"a document of {name_of(page)} has no `# path.yaml` in its first line"
                yaml.safe_load(block.text)


def test_a_mistake_in_a_file_of_a_page_is_noticed(tmp_path: Path) -> None:
    for name, text in files(DOCS / "your-own-system.md").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("{atMost: 1%}", "{atmost: 1%}"))
    (problem,) = check([str(tmp_path / "hypotheses")], tmp_path).problems
    told = str(problem).replace(f"{tmp_path}/", "").replace("`atmost`", "'atmost'")
    assert told in text_of(DOCS / "your-own-system.md")


def test_the_readme_shows_commands_of_the_how_to_only() -> None:
    how_to = text_of(DOCS / "your-own-system.md")
    block = text_of(README).split("## From here to your own system")[1].split("##")[0]
    for line in re.findall(r"^ {4}(chaosrunner .*?)(?: *#.*)?$", block, re.MULTILINE):
        assert line in how_to
