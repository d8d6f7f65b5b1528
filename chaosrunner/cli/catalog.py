"""`chaosrunner catalog`: what plugins there are, and what each can do."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.pages import Page


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from chaosrunner.catalog import ROLES, kinds

    return [kind for role in ROLES for kind in kinds(role) if kind.startswith(incomplete)]


@click.command("catalog", short_help="List all plugins (faults, probes, trackers …), or show one.")
@click.argument("kind", required=False, shell_complete=_complete)
@click.option("--markdown", is_flag=True, help="Print the page docs/catalogue.md: chaosrunner's own plugins only.")
@terms.json_option
def command(kind: str | None, markdown: bool, as_json: bool) -> None:
    """List all faults, probes, platforms, trackers, notifiers and runbooks, or show one.

    KIND is a plugin's kind such as network-latency (where two roles have the same: faults/noop), or a role such as
    faults. Every plugin is checked against its contract; exit code 70 if one breaks it.
    """
    from chaosrunner import pages

    found = pages.pages(only_own=markdown) if kind is None else _named(kind)
    if markdown:
        from chaosrunner.reports import catalogue

        terms.write(catalogue.markdown(found))
    elif as_json:
        terms.say_json([pages.as_json(page) for page in found])
    elif kind is None or len({page.role for page in found}) < len(found):
        _list(found)
    else:
        for page in found:
            _show(page)
    if any(page.defect for page in found):
        terms.leave(70)


def _named(word: str) -> list[Page]:
    from chaosrunner import catalog
    from chaosrunner.errors import UsageError
    from chaosrunner.pages import page

    role, _, kind = word.rpartition("/")
    if word in catalog.ROLES:
        return [page(word, one) for one in catalog.kinds(word)]
    roles = [role] if role else list(catalog.ROLES)
    found = [page(one, kind) for one in roles if one in catalog.ROLES and kind in catalog.kinds(one)]
    if not found:
        known = sorted({one for role in catalog.ROLES for one in catalog.kinds(role)})
        near = catalog.nearest(kind, [*known, *catalog.ROLES])
        hint = f"did you mean {near!r}?" if near else "`chaosrunner catalog` lists what there is"
        raise UsageError(f"there is no plugin {word!r}, {hint}")
    return found


def _list(pages: list[Page]) -> None:
    width = max((len(page.kind) for page in pages), default=0)
    role = ""
    for page in pages:
        if page.role != role:
            role = page.role
            terms.say(f"{role}:")
        shown = f"DEFECT: {page.defect}" if page.defect else textwrap.shorten(page.summary, 160, placeholder=" …")
        terms.say(f"  {page.kind:<{width}}  {shown}")


def _show(page: Page) -> None:
    terms.say(f"{page.kind}  ({page.role[:-1]})")
    if page.defect:
        terms.say(f"  DEFECT: {page.defect}")
        return
    terms.say(_wrapped(page.summary))
    for paragraph in page.text.split("\n\n") if page.text else ():
        terms.say()
        terms.say(_wrapped(paragraph))
    if page.facts:
        terms.say()
    for what, value in page.facts:
        terms.say(f"  {what}: {value}")
    _parameters(page)
    if page.example:
        terms.say("\n  example:")
        terms.say(textwrap.indent(page.example, "    "))


def _parameters(page: Page) -> None:
    if not page.parameters:
        terms.say("\n  no parameters")
        return
    terms.say("\n  parameters:")
    for row in page.parameters:
        words = f"{row.type}, {row.limits}" if row.limits else row.type
        kind: Any = f"{words}, required" if row.required else words
        default = f", default {row.default}" if row.default else ""
        terms.say(f"    {row.name}: {kind}{default}")
        if row.meaning:
            terms.say(textwrap.fill(row.meaning, 108, initial_indent=" " * 8, subsequent_indent=" " * 8))


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 108, initial_indent="  ", subsequent_indent="  ")
