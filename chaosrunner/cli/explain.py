"""`chaosrunner explain`: what a word, an exit code, a plugin's kind or a field of a file means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from chaosrunner.cli import terms


@click.command("explain", short_help="Say what a word, an exit code or a field means.")
@click.argument("word", nargs=-1, required=True)
@terms.json_option
def command(word: tuple[str, ...], as_json: bool) -> None:
    """Say what WORD means: a word of chaosrunner, an exit code, a plugin's kind, a rule of `check` such as CR020, or a
    field such as spec.method.for."""
    from chaosrunner.errors import UsageError

    wanted = " ".join(word).strip()
    found = [*_glossary(wanted), *_rules(wanted), *_plugins(wanted), *_fields(wanted)]
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
    known = {word.replace("-", " "): word for word in WORDS}
    for word in [known[form] for form in forms if form in known][:1]:
        yield "word", word, WORDS[word]
    if wanted.isdecimal() and int(wanted) in EXIT_CODES:
        yield "exit code", wanted, EXIT_CODES[int(wanted)]


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
    """Every field of a file with this name, or at the end of this path."""
    from chaosrunner.files.documents import KINDS
    from chaosrunner.pages import parameters

    wanted = wanted.replace("[]", "")
    told = set()  # a measure's fields are met in hypotheses, and in experiments that write one in place
    for kind, model in sorted(KINDS.items(), reverse=True):
        for row in parameters(model):
            path = row.name.replace("[]", "").replace(".NAME", "")
            if path == wanted or path.endswith(f".{wanted}"):
                if (path.rpartition(".")[2], row.meaning) in told:
                    continue
                told.add((path.rpartition(".")[2], row.meaning))
                needed = "required" if row.required else f"default {row.default}" if row.default else "may be left out"
                yield f"field of {kind}", row.name, f"{row.type}, {needed}. {row.meaning}"


def _nearest(wanted: str) -> str:
    from chaosrunner import catalog
    from chaosrunner.files.documents import KINDS
    from chaosrunner.files.rules import CODES, RULES
    from chaosrunner.files.validation import nearest
    from chaosrunner.glossary import WORDS
    from chaosrunner.pages import parameters

    plugins = [kind for role in catalog.ROLES for kind in catalog.kinds(role)]
    fields = {row.name.rpartition(".")[2] for model in KINDS.values() for row in parameters(model)}
    return nearest(wanted, [*WORDS, *plugins, *sorted(fields), *CODES, *RULES])
