"""What MkDocs is told in Python, so that the site needs no second list of pages and no second text of anything.

* The front page is the repository's README.md, *All pages* is docs/README.md.
* The navigation is docs/README.md: each of its headings is a tab, each link below it a page.
* What a page links to outside docs/ (`../action.yml`) stands in the site under its path in the repository.
* The JSON Schemas, which editors can be pointed at, are written into `schema/` from the code.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from chaosrunner.files.documents import KINDS
from chaosrunner.files.schema import schema

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ASSETS = Path(__file__).parent / "assets"
FRONT, INDEX = "index.md", "pages.md"
_ENTRY = re.compile(r"^\* \[([^\]]+)\]\(([^)#\s]+)\)")
_LINK = re.compile(r"(\]\()([^)\s#]+)")
_CODE = re.compile(r"`[^`\n]+`")
_SHOWN = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
LONG = 28
"""Characters of a name that may have to be broken to fit into a column."""


def navigation(index: str) -> list[dict[str, object]]:
    """The tabs and their pages, from the headings and links of the index.

    Raises PluginError for a link that stands below no heading.
    """
    tabs: list[dict[str, object]] = [{"Overview": [{"In short": FRONT}, {"All pages": INDEX}]}]
    for line in index.splitlines():
        if line.startswith("## "):
            tabs.append({line.removeprefix("## "): []})
        elif found := _ENTRY.match(line):
            (pages,) = tabs[-1].values()
            if len(tabs) == 1 or not isinstance(pages, list):
                raise PluginError(f"docs/README.md: {found[1]} stands below no heading")
            pages.append({found[1]: in_site(found[2], "docs")})
    return tabs


def in_site(link: str, folder: str) -> str:
    """Where a link of a file in a folder of the repository leads to in the site."""
    if re.match(r"[a-z]+:|#", link):
        return link
    path = posixpath.normpath(posixpath.join(folder, link))
    if path == "docs/README.md":
        return INDEX
    return path.removeprefix("docs/")


def rewritten(text: str, folder: str) -> str:
    """A page with its links as they are in the site; code is left as it is."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [_LINK.sub(lambda found: found[1] + in_site(found[2], folder), part) for part in parts[::2]]
    return "".join(parts)


def with_bars(text: str) -> str:
    """Code in the rows of tables: GitHub wants its bars escaped, Python's Markdown shows the backslashes."""
    return "\n".join(
        _CODE.sub(lambda found: found[0].replace("\\|", "|"), line) if line.startswith("|") else line
        for line in text.split("\n")
    )


def outside() -> set[str]:
    """Paths, from the repository's root, of what pages link to outside docs/."""
    pages = [("docs", page) for page in DOCS.glob("*.md")] + [("", ROOT / "README.md")]
    found = set()
    for folder, page in pages:
        for _, link in _LINK.findall(page.read_text(encoding="utf-8")):
            path = in_site(link, folder)
            if not (DOCS / path).exists() and (ROOT / path).is_file():
                found.add(path)
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give it the navigation."""
    config.nav = navigation((DOCS / "README.md").read_text(encoding="utf-8"))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what docs/ does not hold itself."""
    made: dict[str, str] = {
        FRONT: rewritten((ROOT / "README.md").read_text(encoding="utf-8"), ""),
        INDEX: (DOCS / "README.md").read_text(encoding="utf-8"),
    }
    made |= {path: (ROOT / path).read_text(encoding="utf-8") for path in outside()}
    made |= {f"assets/{each.name}": each.read_text(encoding="utf-8") for each in ASSETS.iterdir()}
    for kind in [None, *KINDS]:
        made[f"schema/{(kind or 'chaosrunner').lower()}.json"] = json.dumps(schema(kind), ensure_ascii=False)
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links out of docs/ lead to what the site has of it, and tables be tables."""
    source = page.file.src_uri
    if source != FRONT:
        markdown = rewritten(markdown, posixpath.dirname(source) or "docs")
    return with_bars(markdown)


def unbroken(code: str) -> str:
    """Code within a sentence or a table: `--json` is never broken after its dashes, what is long only after a dot or
    a bar."""
    words = []
    for word in code.split(" "):
        if len(word) > LONG and re.search(r"[.|]", word):
            words.append(re.sub(r"([.|])", r"\1<wbr>", word))
        else:
            words.append(f'<span class="whole">{word}</span>' if "-" in word else word)
    return " ".join(words)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Say where code that is not a block may be broken."""
    parts = re.split(r"(<pre.*?</pre>)", html, flags=re.DOTALL)
    parts[::2] = [_SHOWN.sub(lambda found: unbroken(found[0]), part) for part in parts[::2]]
    return "".join(parts)
