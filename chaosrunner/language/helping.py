"""Completion and hover: what may stand at a cursor, and what that means, from the same source as the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Literal, NamedTuple, get_args, get_origin

from chaosrunner import catalog
from chaosrunner.files import fields
from chaosrunner.files.documents import API_VERSION, KINDS, name_of
from chaosrunner.files.openslo import Settings
from chaosrunner.files.references import Library
from chaosrunner.files.rules import find
from chaosrunner.glossary import WORDS
from chaosrunner.language.fields_here import ROLES, Here, here
from chaosrunner.language.place import Cursor, cursor
from chaosrunner.language.steps_here import ids_before, words_here
from chaosrunner.model.tolerance import Rule, Tolerance
from chaosrunner.records.patterns import pattern

_WORD = pattern(r"[\w./-]+")
_ASKED = pattern(r"(?<!\$)\$\{[\w-]*$")
_TOP = ("apiVersion", "kind", "metadata", "spec")


class Offer(NamedTuple):
    """One thing that may stand there."""

    label: str
    detail: str
    """A type, or what it is, in a few words."""
    meaning: str
    insert: str
    sort: str = ""


def offers(lines: Sequence[str], line: int, column: int, library: Library | None = None) -> list[Offer]:
    """What may stand before a character; lines and columns count from 0. `library` finds names in other files."""
    if (told := words_here(lines, line, column)) is not None:
        return [Offer(word.label, word.about, word.meaning, word.label) for word in told]
    at = cursor(lines, line, column)
    if line < len(lines) and _ASKED.search(lines[line][:column]):
        found = _parameters(lines, line)
    elif at.key == "sameAs":
        found = (Offer(step, "step", "", step) for step in ids_before(lines, line))
    else:
        found = _values(at, lines, library) if at.key else _keys(at, library)
    return list({offer.label: offer for offer in found if offer.label not in at.beside}.values())


def _parameters(lines: Sequence[str], line: int) -> Iterator[Offer]:
    """What `${` may name: the parameters of the document, and what earlier steps pass on."""
    start = max((number for number in range(line) if lines[number].startswith("---")), default=-1) + 1
    depth = inside = -1
    for text in lines[start:]:
        bare = text.strip()
        indent = len(text) - len(text.lstrip())
        if text.startswith("---"):
            return
        if bare == "parameters:":
            depth, inside = indent, -1
        elif depth >= 0 and bare and not bare.startswith("#"):
            inside = indent if inside < 0 else inside
            if indent <= depth:
                depth = -1
            elif indent == inside and ":" in bare:
                name, _, told = bare.partition(":")
                yield Offer(name, "parameter", told.strip(), name)
    if ids_before(lines, line):
        yield Offer("steps.", "of an earlier step", WORDS["steps"], "steps.")


# ----------------------------------------------------------------------------------------------------------- keys


def _keys(at: Cursor, library: Library | None) -> Iterator[Offer]:
    if not at.path:
        yield from (Offer(name, "", WORDS.get(name, ""), f"{name}: ") for name in _TOP)
        return
    place = here(at)
    if place.role:
        yield from (_plugin(place.role, kind) for kind in catalog.kinds(place.role))
        if place.role != "probes":
            return
    if place.model is None:
        return
    known = fields.known_at(place.model, place.path)
    for number, name in enumerate(known):
        yield _field(place, name, number)
    if any(arm.kind is Tolerance for arm in fields.at(place.model, place.path)) and not set(known) & set(at.beside):
        # a rule for all phases may stand in place of one for each
        rule = Here(Rule, ())
        yield from (_field(rule, name, number) for number, name in enumerate(fields.known_at(Rule, ()), len(known)))
    if at.path[-2:] == ("hypotheses", 0) and not at.beside:
        yield Offer("openslo", "mapping", Settings.__doc__ or "", "openslo:", "2")
        yield from _names("Hypothesis", library)


def _field(place: Here, name: str, number: int) -> Offer:
    kind, meaning, needed = _about(place, name)
    nested = kind.startswith(("mapping", "list")) or name in ROLES
    return Offer(name, f"{kind}, required" if needed else kind, meaning, f"{name}:" if nested else f"{name}: ",
                 f"{0 if needed else 1}{number:03}")  # fmt: skip


def _about(place: Here, name: str) -> tuple[str, str, bool]:
    """(type in words, meaning, whether it must be there)"""
    for arm in fields.at(place.model, place.path) if place.model is not None else ():
        known = fields.fields_of(arm.kind) if hasattr(arm.kind, "model_fields") else {}
        if name in known:
            words = fields.words(fields.annotation_of(known[name]), short=True)
            return words, " ".join(fields.meaning_of(arm.kind, name).split()), known[name].is_required()
    return "", "", False


def _plugin(role: str, kind: str) -> Offer:
    return Offer(kind, role[:-1], _summary(role, kind), f"{kind}: ", "2")


def _summary(role: str, kind: str) -> str:
    """A plugin's first sentences, without importing a stranger."""
    if not catalog.is_own(role, kind):
        return f"An installed plugin. `chaosrunner catalog {role}/{kind}` shows it."
    return " ".join((catalog.find(role, kind).__doc__ or "").split("\n\n")[0].split())


# --------------------------------------------------------------------------------------------------------- values


def _values(at: Cursor, lines: Sequence[str], library: Library | None) -> Iterator[Offer]:
    if at.key == "kind" and not at.path:
        yield from (Offer(kind, "kind of document", WORDS.get(kind.lower(), ""), kind) for kind in KINDS)
    elif at.key == "apiVersion" and not at.path:
        yield Offer(API_VERSION, "", "", API_VERSION)
    elif at.key == "fault" and "method" in at.path:
        yield from (Offer(kind, "fault", _summary("faults", kind), kind) for kind in catalog.kinds("faults"))
    elif at.key == "environment" and at.path == ("spec",):
        yield from _names("Environment", library)
    elif ("hypotheses" in at.path and at.key in ("-", "use")) or (at.key == "hypothesis" and at.path[0] == "spec"):
        yield from _names("Hypothesis", library)
    elif at.key == "extends" or (at.key == "experiment" and at.path[0] == "spec"):
        yield from _names("Experiment", library)
    elif at.key in ("service", "to", "link") and at.path[-1:] == ("target",):
        yield from _targets("links" if at.key == "link" else "services", lines, library)
    else:
        yield from _words(at)


def _words(at: Cursor) -> Iterator[Offer]:
    """The words that a field may be."""
    place = here(at)
    for arm in fields.at(place.model, (*place.path, at.key)) if place.model is not None else ():
        kind: Any = arm.kind
        if kind is bool:
            yield from (Offer(word, "", "", word) for word in ("true", "false"))
        elif get_origin(kind) is Literal:
            yield from (Offer(str(word), "", "", str(word)) for word in get_args(kind))
        elif isinstance(kind, type) and issubclass(kind, Enum):
            yield from (Offer(str(one.value), "", "", str(one.value)) for one in kind)


def _names(kind: str, library: Library | None) -> Iterator[Offer]:
    for file, spot in library.every(kind, library.folder) if library is not None else ():
        title = spot.get("spec", "title")
        if name := name_of(spot):
            yield Offer(name, file.source.path, str(title.value) if title is not None else "", name)


def _targets(what: str, lines: Sequence[str], library: Library | None) -> Iterator[Offer]:
    """Services or links of the environment that the file names; of every one, if it names none that is there."""
    wanted = {line.split(":", 1)[1].strip() for line in lines if line.strip().startswith("environment:")}
    found = [spot for _, spot in library.every("Environment", library.folder)] if library is not None else []
    for spot in [one for one in found if name_of(one) in wanted] or found:
        platform = spot.get("spec", "platform")
        for settings in platform.items() if platform is not None else ():
            named = settings.child(what)
            for one in named.items() if named is not None else ():
                yield Offer(one.name, f"{what[:-1]} of {name_of(spot)}", "", one.name)


# ---------------------------------------------------------------------------------------------------------- hover


def meaning(lines: Sequence[str], line: int, column: int, library: Library | None = None) -> str:
    """What the word at a character means, as Markdown; empty: nothing is known of it. `library` finds other files."""
    text = lines[line] if line < len(lines) else ""
    word = next((one for one in _WORD.finditer(text) if one.start() <= column <= one.end()), None)
    if word is None:
        return ""
    rule = find(word[0]) if word[0].upper().startswith("CR") else None
    if rule is not None:
        return f"**{rule.code} {rule.title}**\n\n{rule.why}"
    at = cursor(lines, line, word.end())
    key = text[word.end() :].lstrip().startswith(":")
    if key:
        at = cursor(lines, line, word.start())
        told = _of_key(at, word[0])
        if told:
            return told
    for role in catalog.ROLES:
        if word[0] in catalog.kinds(role) and (key or at.key == "fault"):
            return f"**{word[0]}** ({role[:-1]})\n\n{_summary(role, word[0])}"
    if not key and (told := _of_value(at, word[0], lines, library)):
        return told
    plain = word[0].lower().replace("-", " ")
    return f"**{plain}**\n\n{WORDS[plain]}" if plain in WORDS else ""


def _of_value(at: Cursor, word: str, lines: Sequence[str], library: Library | None) -> str:
    """What is named here: a file's document by its title, a service by its environment."""
    named = _values(at, lines, library) if at.key else _keys(at, library)
    found = next((one for one in named if one.label == word and one.detail and not one.insert.endswith(":")), None)
    return f"**{word}** ({found.detail})\n\n{found.meaning}".rstrip() if found is not None else ""


def _of_key(at: Cursor, name: str) -> str:
    place = here(at)
    if place.role and name in catalog.kinds(place.role):
        return f"**{name}** ({place.role[:-1]})\n\n{_summary(place.role, name)}"
    kind, said, needed = _about(place, name)
    if not kind and not said:
        return ""
    return f"**{name}**: {kind}{', required' if needed else ''}\n\n{said}".rstrip()
