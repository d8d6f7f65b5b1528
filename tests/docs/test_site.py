"""The pages as a site: its navigation is docs/README.md, links lead to what the site has, and nothing of it comes from
elsewhere when it is read. The whole is built with warnings as errors (`real_time`: it takes seconds)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from chaosrunner.cli import _commands_page
from chaosrunner.reports import files_page
from tests.docs.pages import DOCS, README, ROOT, text_of

pytest.importorskip("mkdocs")
SITE = DOCS / "site"
TAKEN = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*>")
ONLY_NAMED = re.compile(r"\brel=\"?(?:canonical|prev|next)\b")
ELSEWHERE = re.compile(r"\b(?:src|href)=\"?(?:https?:)?//")
"""Of what a browser asks for by itself."""
UNREAD = re.compile(r"<p>(?:[^<]*\n)?(?:[*#|] |\d\. )")
"""Markdown that was meant as a list, a block or a table and is shown as text."""


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = spec_from_file_location("chaosrunner_site_hooks", SITE / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_navigation(tabs: list[dict[str, list[dict[str, str]]]]) -> set[str]:
    return {path for tab in tabs for entries in tab.values() for entry in entries for path in entry.values()}


def test_every_page_is_in_the_navigation_once(hooks: ModuleType) -> None:
    tabs = hooks.navigation(text_of(DOCS / "README.md"))
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert in_navigation(tabs) == pages | {"index.md", "pages.md", "changes/README.md"}
    assert all(entries for tab in tabs for entries in tab.values())


def test_a_page_below_no_heading_is_a_mistake(hooks: ModuleType) -> None:
    from mkdocs.exceptions import PluginError

    with pytest.raises(PluginError, match="Lost stands below no heading"):
        hooks.navigation("# Pages\n\n* [Lost](lost.md): nowhere\n")


def test_links_lead_to_where_the_site_has_it(hooks: ModuleType) -> None:
    code = "\n```text\n](docs/x)\n```\n"
    said = "[a](docs/gates.md#a-suite) [b](LICENSE) [c](https://example.org/x) [d](docs/README.md)"
    made = "[a](gates.md#a-suite) [b](LICENSE) [c](https://example.org/x) [d](pages.md)"
    assert hooks.rewritten(said + code, "") == made + code
    assert hooks.rewritten("[a](../action.yml) [b](ci/gitlab.yml) [c](#x)", "docs") == (
        "[a](action.yml) [b](ci/gitlab.yml) [c](#x)"
    )
    assert {"action.yml", "LICENSE", "changes/README.md"} <= hooks.outside()


def test_code_is_shown_as_it_is_typed(hooks: ModuleType) -> None:
    assert hooks.with_bars("| `a\\|b` | c\\|d |\n`a\\|b`") == "| `a|b` | c\\|d |\n`a\\|b`"
    assert hooks.unbroken("run --json") == 'run <span class="whole">--json</span>'
    assert hooks.unbroken("spec.hypotheses[].parameters.NAME") == "spec.<wbr>hypotheses[].<wbr>parameters.<wbr>NAME"
    assert hooks.unbroken("[always|on-deviation|never-at-all]") == "[always|<wbr>on-deviation|<wbr>never-at-all]"


@pytest.mark.parametrize(
    ("page", "made"), [("commands.md", _commands_page.markdown), ("files.md", files_page.markdown)]
)
def test_a_page_that_is_made_from_the_code_is_what_the_code_makes(page: str, made: object) -> None:
    assert callable(made)
    assert text_of(DOCS / page) == made(), "call `make docs`"


def test_every_command_and_its_options_are_on_the_page() -> None:
    page = text_of(DOCS / "commands.md")
    run = page.split("## `chaosrunner run`")[1].split("\n## ")[0]
    assert "| `--parameter NAME=VALUE` |" in run
    assert "### `chaosrunner near-miss waive`" in page
    assert "--help" not in page.split("## Options of every command")[1]


@pytest.mark.real_time
def test_the_site_is_built_without_a_warning_and_asks_nobody_for_anything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-f", SITE / "mkdocs.yml"]
    built = subprocess.run(
        [*command, "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list(tmp_path.glob("**/index.html"))
    assert len(pages) == len(list(DOCS.glob("*.md"))) + 2  # the README and the fragments' page; docs/README.md is one
    for page in [*pages, tmp_path / "404.html"]:
        taken = [tag for tag in TAKEN.findall(page.read_text(encoding="utf-8")) if not ONLY_NAMED.search(tag)]
        assert len(taken) > 3
        assert not [tag for tag in taken if ELSEWHERE.search(tag)], page.relative_to(tmp_path)
        shown = re.sub(r"<(pre|code)\b.*?</\1>", "…", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert UNREAD.findall(shown) == [], page.relative_to(tmp_path)
    for sheet in tmp_path.glob("**/*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8"))
    assert (tmp_path / "search" / "search_index.json").is_file()
    assert (tmp_path / "schema" / "experiment.json").is_file()
    assert text_of(README).splitlines()[0].removeprefix("# ") in (tmp_path / "index.html").read_text(encoding="utf-8")
