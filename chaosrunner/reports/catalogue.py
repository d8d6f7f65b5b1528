"""The catalogue as a Markdown page, `docs/catalogue.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaosrunner.pages import Page

_HEADINGS = {
    "faults": "Faults: ways of breaking something",
    "probes": "Probes: what measures read",
    "platforms": "Platforms: where targets live",
    "trackers": "Trackers: where remediation items go",
    "notifiers": "Notifiers: who is told",
    "sources": "Sources: where evidence comes from",
    "runbooks": "Runbooks: automation that fixes or checks",
}


def markdown(pages: Sequence[Page]) -> str:
    """The whole page. The same plugins give the same text."""
    lines = [
        "# Catalogue",
        "",
        "Made from the plugins themselves by `make docs`; `chaosrunner catalog` shows the same for what is installed.",
    ]
    for role, heading in _HEADINGS.items():
        mine = [page for page in pages if page.role == role]
        if mine:
            lines += ["", f"## {heading}"]
        for page in mine:
            lines += ["", *_plugin(page)]
    return "\n".join(lines) + "\n"


def _plugin(page: Page) -> Iterator[str]:
    yield f"### `{page.kind}`"
    yield ""
    if page.defect:
        yield f"Cannot be used: {page.defect}"
        return
    yield page.summary
    if page.text:
        yield ""
        yield page.text
    if page.facts:
        yield ""
        yield from (f"* {what}: {value}" for what, value in page.facts)
    if page.parameters:
        yield ""
        yield "| field | type | default | meaning |"
        yield "|---|---|---|---|"
        for row in page.parameters:
            default = "required" if row.required else f"`{row.default}`" if row.default else ""
            kind = f"{row.type}, {row.limits}" if row.limits else row.type
            yield f"| `{row.name}` | {_cell(kind)} | {default} | {_cell(row.meaning)} |"
    if page.example:
        yield ""
        yield "```yaml"
        yield page.example
        yield "```"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
