"""`chaosrunner explain`: what a word, an exit code, a plugin's kind or a field of a file means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.pages import Parameter


@click.command("explain", short_help="Say what a word, an exit code or a field means.")
@click.argument("word", nargs=-1, required=True)
@terms.json_option
def command(word: tuple[str, ...], as_json: bool) -> None:
    """Say what WORD means: a word of chaosrunner, an exit code, a plugin's kind, a rule of `check` such as CR020, a
    field such as spec.method.for or prometheus.ratio.minimum, or what a field may say, such as netem."""
    from chaosrunner.errors import UsageError

    wanted = " ".join(word).strip()
    found = [*_glossary(wanted), *_rules(wanted), *_plugins(wanted)]
    of_files = [*_fields(wanted)]
    # what plugins take is looked up where nothing else is meant: all of them are loaded for it
    found += of_files + ([] if found else [*_plugin_fields(wanted)])
    if not found:
        near = _nearest(wanted)
        hint = f"did you mean {near!r}?" if near else "try `chaosrunner catalog`, or a field's name"
        raise UsageError(f"nothing is known of {wanted!r}, {hint}")
    if as_json:
        terms.say_json([{"what": what, "name": name, "meaning": meaning} for what, name, meaning in found])
        return
    for what, name, meaning in found:
        terms.say(f"{name}  ({what})")
        first, _, examples = meaning.partition("\n")
        terms.say(textwrap.fill(first, 108, initial_indent="  ", subsequent_indent="  "))
        if examples:
            terms.say(textwrap.indent(examples, "  "))


def _glossary(wanted: str) -> Iterator[tuple[str, str, str]]:
    from chaosrunner.glossary import EXIT_CODES, WORDS

    plain = wanted.lower().replace("-", " ")
    forms = (plain, plain.removesuffix("s"), plain.removesuffix("es"))
    known = {word.lower().replace("-", " "): word for word in WORDS}
    known |= {form.replace(" ", ""): word for form, word in known.items()}  # `GameDay`, `spillover`
    for word in [known[form] for form in forms if form in known][:1]:
        yield "word", word, WORDS[word]
    number = plain.removeprefix("exit ").removeprefix("code ")
    if number.isdecimal() and int(number) in EXIT_CODES:
        yield "exit code", number, EXIT_CODES[int(number)]


def _rules(wanted: str) -> Iterator[tuple[str, str, str]]:
    from chaosrunner.files.rules import find

    if rule := find(wanted.replace(" ", "-")):
        kind = "warning, a comment may set it aside" if rule.warns else "mistake"
        bad, good = textwrap.indent(rule.bad, "    "), textwrap.indent(rule.good, "    ")
        examples = f"\nnot so:\n{bad}\nbut so:\n{good}"
        yield f"rule {rule.name}, {kind}", rule.code, f"{rule.title}. {rule.why}{examples}"


def _plugins(wanted: str) -> Iterator[tuple[str, str, str]]:
    from chaosrunner import catalog
    from chaosrunner.pages import page

    for role in catalog.ROLES:
        if wanted in catalog.kinds(role):
            shown = page(role, wanted)
            summary = shown.defect or f"{shown.summary} More: chaosrunner catalog {role}/{wanted}"
            yield role[:-1], wanted, summary


def _fields(wanted: str) -> Iterator[tuple[str, str, str]]:
    """Every field of a file with this name, or at the end of this path; and those that may say this."""
    from chaosrunner.files.documents import KINDS
    from chaosrunner.files.openslo import Settings
    from chaosrunner.pages import parameters

    if wanted in ("openslo", "hypotheses.openslo", "spec.hypotheses.openslo"):
        yield "field of Experiment", "spec.hypotheses[].openslo", f"text or mapping. {Settings.__doc__}"
    for row in parameters(Settings):
        if _says(row, wanted, "spec.hypotheses.openslo") == "":
            yield "field of Experiment", f"spec.hypotheses[].openslo.{row.name}", _said(row)
    told = set()  # a measure's fields are met in hypotheses, and in experiments that write one in place
    for kind, model in sorted(KINDS.items(), reverse=True):
        for row in parameters(model):
            what = _says(row, wanted)
            if what is not None and (row.name.rpartition(".")[2], row.meaning) not in told:
                told.add((row.name.rpartition(".")[2], row.meaning))
                yield f"{what}field of {kind}", row.name, _said(row)


def _plugin_fields(wanted: str) -> Iterator[tuple[str, str, str]]:
    """The same of what plugins take; what several say alike is told once."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for role, kind, row in _parameters():
        if (what := _says(row, wanted, kind)) is not None:
            alike.setdefault((what, row.name, _said(row)), []).append(f"{role[:-1]} {kind}")
    for (what, name, meaning), owners in alike.items():
        more = f" and {len(owners) - MOST} more" if len(owners) > MOST else ""
        yield f"{what}parameter of {', '.join(owners[:MOST])}{more}", name, meaning


MOST = 6
"""Plugins that are named where many take the same."""


def _parameters() -> Iterator[tuple[str, str, Parameter]]:
    """(role, kind, row) of everything that plugins take; one that cannot be loaded has nothing."""
    from chaosrunner import catalog
    from chaosrunner.errors import PluginDefect
    from chaosrunner.pages import parameters

    for role in catalog.ROLES:
        for kind in catalog.kinds(role):
            try:
                plugin = catalog.find(role, kind)
            except PluginDefect:
                continue
            for row in parameters(plugin.Params if hasattr(plugin, "Params") else plugin.Spec):
                yield role, kind, row


def _says(row: Parameter, wanted: str, owner: str = "") -> str | None:
    """Empty: it is this field; `a value of the `: the field may say this; None: it has nothing to do with it."""
    wanted = wanted.replace("[]", "").replace(".NAME", "")
    path = row.name.replace("[]", "").replace(".NAME", "")
    whole = f"{owner}.{path}" if owner else path
    if f".{whole}".endswith(f".{wanted}") or (owner and f".{wanted}".endswith(f".{whole}")):
        return ""
    return "a value of the " if wanted in row.type.split(" | ") and " | " in row.type else None


def _said(row: Parameter) -> str:
    needed = "required" if row.required else f"default {row.default}" if row.default else "may be left out"
    return f"{row.type}, {needed}. {row.meaning}"


def _nearest(wanted: str) -> str:
    from chaosrunner import catalog
    from chaosrunner.files.documents import KINDS
    from chaosrunner.files.rules import CODES, RULES
    from chaosrunner.files.validation import nearest
    from chaosrunner.glossary import WORDS
    from chaosrunner.pages import parameters

    plugins = [kind for role in catalog.ROLES for kind in catalog.kinds(role)]
    fields = {row.name.rpartition(".")[2] for model in KINDS.values() for row in parameters(model)}
    fields |= {row.name.rpartition(".")[2] for _, _, row in _parameters()}
    return nearest(wanted, [*WORDS, *plugins, *sorted(fields), *CODES, *RULES])
