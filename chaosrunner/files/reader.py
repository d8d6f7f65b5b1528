"""Reads YAML (and JSON, which is YAML) into nodes with places.

The scanner is PyYAML's, in C where it was built; everything that gives meaning is ours: the core schema of YAML 1.2
(`true`, `false`, `null`, integers and floats; `on`, `yes`, `1:30` and dates stay text), no tags of any program, no
merge keys, every key once. References (`&a`, `*a`) work, within bounds, so that no file can eat the memory. Every
mistake is a `Problem`; nothing a file holds raises anything else.

What YAML is: https://yaml.org/spec/1.2.2/#103-core-schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from chaosrunner.errors import Problem
from chaosrunner.files.node import Node, Place, Spot
from chaosrunner.files.scalars import LETTERS, NO_NUMBER, TAG, TAGS, core, fits
from chaosrunner.model.marks import JsonValue
from chaosrunner.records.light import dataclass
from chaosrunner.records.patterns import pattern

if TYPE_CHECKING:
    import yaml

MOST_BYTES = 2 * 2**20
MOST_VALUES = 100_000
"""Of one file, those behind references counted each time."""
MOST_LEVELS = 50
MOST_MISTAKES = 200
"""Of one file as YAML: whoever reads them has long stopped."""

_UNPRINTABLE_ASCII = pattern("[^\t\n\r\x20-\x7e]")
_UNPRINTABLE = pattern("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_new = tuple.__new__
"""Of which a file takes very many: half the time of a `NamedTuple`'s own."""
_NOTHING: Any = MappingProxyType({})
"""What a scalar has below it."""

_WORDS = (
    ("cannot start any token", "this character cannot start a value: a tab as indentation, or text that needs quotes"),
    (
        "mapping values are not allowed",
        "a `key: value` cannot stand here: wrong indentation, or text that needs quotes",
    ),
    ("expected key", "the indentation does not fit the lines before, or a bracket or quote is not closed"),
    ("expected '-' indicator", "the indentation does not fit the list that this stands in"),
    ("expected <block end>", "the indentation does not fit the lines before"),
    ("could not find expected ':'", "this line is no `key: value`"),
    ("unexpected end of stream", "the file ends inside quotes"),
    ("expected ',' or ']'", "a list in brackets is not closed, or a comma is missing"),
    ("expected ',' or '}'", "a mapping in braces is not closed, or a comma is missing"),
    ("expected the node content", "a value is missing here"),
    ("did not find expected node content", "a value is missing here"),
    ("alphabetic or numeric", "after `&` or `*` comes the name of a reference; text that starts so needs quotes"),
    ("escape", "unknown escape in double quotes; in single quotes a backslash is just a backslash"),
    ("<document start>", "one document ended here; a further one starts with a line `---`"),
    ("tag handle", "tags of programs are not supported; text that starts with ! needs quotes"),
)
"""Part of what the scanner says -> what it means for the author of a file."""


@dataclass(slots=True)
class Parsed:
    """The documents of a file, as far as they can be read, and what is wrong with it as YAML."""

    documents: list[Spot] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read(data: bytes, file: str) -> Parsed:
    """All documents of a file; `file` is its name in problems. Never raises for anything that is in the data."""
    parsed = Parsed()
    text = _text(data, file, parsed.problems)
    if text is None:
        return parsed
    builder = _Builder(file, text, parsed)
    try:
        ways = builder.ways()
        for event in _events(text, file, parsed.problems):
            if (way := ways.get(type(event))) is not None:
                way(event)
    except _GiveUp:
        return parsed
    if not parsed.documents and not parsed.problems:
        parsed.problems.append(
            Problem(
                file, 1, 1, "the file is empty", "a document with apiVersion, kind, metadata, spec", rule="empty-file"
            )
        )
    return parsed


class _GiveUp(Exception):
    """The problem is reported, and reading on makes no sense."""


def _text(data: bytes, file: str, problems: list[Problem]) -> str | None:
    if len(data) > MOST_BYTES:
        found = f"the file is too big ({len(data)} bytes)"
        problems.append(Problem(file, 1, 1, found, f"at most {MOST_BYTES // 2**20} MiB", rule="too-big"))
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        place = _place_of(before, len(before))
        found = f"byte 0x{data[error.start]:02x} is not UTF-8 text"
        problems.append(Problem(file, *place, found, "a file in UTF-8", rule="not-text"))
        return None
    if match := (_UNPRINTABLE_ASCII if text.isascii() else _UNPRINTABLE).search(text):
        place = _place_of(text, match.start())
        name = f"U+{ord(match[0]):04X}"
        problems.append(
            Problem(file, *place, f"the character {name} is not allowed in a file", "text", rule="not-text")
        )
        return None
    return text


def _place_of(text: str, index: int) -> Place:
    before = text[:index]
    return Place(before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)


def _events(text: str, file: str, problems: list[Problem]) -> Iterator[yaml.Event]:
    import yaml

    scanner = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        loader = scanner(text)
        while (event := loader.get_event()) is not None:
            yield event
            if type(event) is yaml.StreamEndEvent:
                return
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        problems.append(Problem(file, *place, _explain(error), rule="yaml"))
    except (yaml.YAMLError, ValueError) as error:
        problems.append(Problem(file, 1, 1, f"this is not YAML: {' '.join(str(error).split())}", rule="yaml"))


def _explain(error: yaml.MarkedYAMLError) -> str:
    said = " ".join(f"{error.problem or ''} {error.context or ''}".split())
    for part, words in _WORDS:
        if part in said:
            return words
    return f"this is not YAML: {said}"


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    node: Node
    anchor: str | None
    mapping: bool
    key: tuple[str, Place] | None = None
    """Of a mapping: the key whose value comes next."""
    drop: bool = False
    """Of a mapping: the value that comes next has no usable key."""


class _Builder:
    """Builds nodes of events. Its own stack, so that depth costs no recursion."""

    def __init__(self, file: str, text: str, parsed: Parsed) -> None:
        self.file = file
        self.text = text
        self.parsed = parsed
        self.stack: list[_Open] = []
        self.anchors: dict[str, Node | None] = {}
        self.values = 0

    def ways(self) -> Mapping[type[yaml.Event], Callable[[Any], None]]:
        """What to do with each kind of event; others mean nothing."""
        import yaml

        return {
            yaml.DocumentStartEvent: self._begin,
            yaml.ScalarEvent: self._scalar,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingStartEvent: self._start_mapping,
            yaml.SequenceEndEvent: self._end,
            yaml.MappingEndEvent: self._end,
            yaml.AliasEvent: self._alias,
        }

    def _begin(self, _: yaml.Event) -> None:
        self.anchors = {}

    def _report(self, place: Place, message: str, expected: str = "", *, rule: str) -> None:
        self.parsed.problems.append(Problem(self.file, *place, message, expected, rule=rule))
        if len(self.parsed.problems) >= MOST_MISTAKES:
            raise _GiveUp

    def _count(self, node: Node) -> None:
        self.values += node.size
        if self.values > MOST_VALUES:
            many = f"the file holds too many values, references included; {MOST_VALUES} is the most"
            self._report(node.place, many, rule="too-big")
            raise _GiveUp
        if len(self.stack) + node.height > MOST_LEVELS:
            self._report(node.place, f"too deep: {MOST_LEVELS} levels is the most", rule="too-big")
            raise _GiveUp

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        """Most of what a file holds: keys, and values without tags and names, go the short way."""
        text: str = event.value
        if not self.stack or event.anchor is not None or event.tag is not None:
            self._any_scalar(event, text)
            return
        top = self.stack[-1]
        mark: Any = event.start_mark
        place = _new(Place, (mark.line + 1, mark.column + 1))
        if top.key is None and top.mapping and not top.drop:
            if text and text != "<<" and text not in top.node.keys:
                top.key = (text, place)
            elif text and text != "<<":
                self._key(top, text, place)
            else:
                self._any_scalar(event, text)
            return
        value: Any = text
        if event.implicit[0] and text[:1] not in LETTERS and (value := core(text)) is NO_NUMBER:
            value = self._value(event, place, True)
        # what is folded holds a space or a break
        whole = not event.style and text.isascii() and " " not in text and "\n" not in text
        self._put(Node(value, place, _NOTHING, _NOTHING, 1, 1, text, "" if whole else self._raw(event)))

    def _any_scalar(self, event: yaml.ScalarEvent, text: str) -> None:
        place = _place(event)
        plain = bool(event.implicit[0]) and event.tag is None
        expects_key = self._expects_key()
        if expects_key and text and text != "<<" and event.anchor is None:
            self._key(self.stack[-1], text, place)
            return
        value = text if expects_key else self._value(event, place, plain)
        node = Node(value, place, written=text, raw=self._raw(event))
        if event.anchor:
            self.anchors[event.anchor] = node
        if expects_key and plain and text == "<<":
            self._report(place, "merge keys (`<<`) are not supported", "the fields written out", rule="yaml-feature")
            self.stack[-1].drop = True
            return
        self._put(node)

    def _raw(self, event: yaml.ScalarEvent) -> str:
        start, end = event.start_mark, event.end_mark
        if start is None or end is None or (not event.style and start.line == end.line):
            return ""
        return self.text[start.index : end.index]

    def _value(self, event: yaml.ScalarEvent, place: Place, plain: bool) -> JsonValue:
        text: str = event.value
        if event.tag is not None and not self._known_tag(event.tag, place):
            return text
        if not plain and (event.tag is None or event.tag in ("!", f"{TAG}str")):
            return text
        value = core(text)
        if value is NO_NUMBER:
            found = f"{text[:40]} is no number that can be used"
            self._report(place, found, "a finite number, or text in quotes", rule="not-finite")
            return None
        if event.tag is not None and not fits(value, event.tag):
            self._report(place, f"{text[:40]!r} is no {event.tag.removeprefix(TAG)}", rule="yaml-feature")
        return value  # type: ignore[return-value]  # the marker was dealt with above

    def _known_tag(self, tag: str, place: Place) -> bool:
        if tag in TAGS or tag == "!":
            return True
        shown = f"!!{tag.removeprefix(TAG)}" if tag.startswith(TAG) else tag
        expected = "plain values; text that starts with ! in quotes"
        self._report(place, f"the tag {shown[:60]} is not supported", expected, rule="yaml-feature")
        return False

    def _start_mapping(self, event: yaml.CollectionStartEvent) -> None:
        self._start(event, mapping=True)

    def _start(self, event: yaml.CollectionStartEvent, mapping: bool = False) -> None:
        place = _place(event)
        if event.tag is not None and self._known_tag(event.tag, place):
            wanted = f"{TAG}{'map' if mapping else 'seq'}"
            if event.tag not in (wanted, "!"):
                found = f"a {'mapping' if mapping else 'list'} is no {event.tag.removeprefix(TAG)}"
                self._report(place, found, rule="yaml-feature")
        node = Node({} if mapping else [], place)
        self._count(node)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.stack.append(_Open(node, event.anchor, mapping))

    def _end(self, _: yaml.Event) -> None:
        done = self.stack.pop()
        self.values -= done.node.size  # its parts were counted as they came; it is counted as a whole when put
        if done.anchor:
            self.anchors[done.anchor] = done.node
        if self._expects_key():
            found = f"a {_what(done.node)} cannot be a key"
            self._report(done.node.place, found, "text; `{{…}}` needs quotes", rule="yaml-feature")
            self.stack[-1].drop = True
            return
        self._put(done.node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        place = _place(event)
        name = str(event.anchor)
        node = self.anchors.get(name)
        if node is None:
            trouble = "refers to what it stands in" if name in self.anchors else "refers to nothing before it"
            self._report(place, f"*{name} {trouble}", f"&{name} at a value further up", rule="unknown-anchor")
            node = Node(None, place)
        if self._expects_key() and node.children:
            self._report(place, f"a {_what(node)} cannot be a key", "text", rule="yaml-feature")
            self.stack[-1].drop = True
            return
        self._put(node)

    def _expects_key(self) -> bool:
        if not self.stack:
            return False
        top = self.stack[-1]
        return top.mapping and top.key is None and not top.drop

    def _put(self, node: Node) -> None:
        """A finished node goes where it belongs: a key, a value, an item, or the document."""
        if not self.stack:
            self._count(node)
            if node.value is not None:
                self.parsed.documents.append(Spot(self.file, node))
            return
        top = self.stack[-1]
        key = top.key
        if top.mapping and key is None and not top.drop:
            self._key(top, node.written, node.place)
            return
        self._count(node)
        if top.drop:
            top.drop = False
            return
        parent = top.node
        value: Any = parent.value
        if key is not None:
            name, place = key
            parent.keys[name] = place
            value[name] = node.value
            parent.children[name] = node
            top.key = None
        else:
            parent.children[len(value)] = node
            value.append(node.value)
        parent.size += node.size
        if node.height >= parent.height:
            parent.height = node.height + 1

    def _key(self, top: _Open, name: str, place: Place) -> None:
        if not name:
            self._report(place, "a key is empty", "a name before the colon", rule="yaml-feature")
            top.drop = True
        elif name in top.node.keys:
            first = top.node.keys[name].line
            self._report(place, f"`{name}` is given twice, first in line {first}", rule="given-twice")
            top.drop = True
        else:
            top.key = (name, place)


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return _new(Place, (mark.line + 1, mark.column + 1)) if mark else Place(1, 1)


def _what(node: Node) -> str:
    return "mapping" if isinstance(node.value, dict) else "list"
