"""What an experiment is made of beside its own lines: the experiment that it extends, its parameters, and one
combination of its matrix.

`extends: NAME` takes another experiment's `spec`: mappings are merged, everything else replaces what was there, lists
too. `parameters` are filled in where `${name}` stands. `matrix` gives parameters several values; each combination is a
run of its own. All of it happens to nodes, which keep their places: a mistake is told in the file that it was made in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from chaosrunner.errors import ManyRuns, Problem, UsageError
from chaosrunner.files.node import Node, Place, Spot
from chaosrunner.files.parameters import LATER, Filler, remapped
from chaosrunner.files.reader import read
from chaosrunner.files.references import File, Library, NotFound
from chaosrunner.files.validation import nearest, show, validated
from chaosrunner.model.frozen import in_text
from chaosrunner.model.hypothesis import Parameter
from chaosrunner.model.marks import JsonValue
from chaosrunner.records.light import dataclass
from chaosrunner.records.patterns import pattern

KEYS = ("extends", "parameters", "matrix")
MOST_RUNS = 100
"""Combinations of one matrix."""
_NAME = pattern(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
Given = Mapping[str, "JsonValue | Spot"]
"""Values for parameters, by name. Text for a number, or for true or false, is read as YAML reads it. A `Spot` is a
value that stands in a file; any other came from the command."""


@dataclass(frozen=True, slots=True)
class Filled:
    """An experiment with nothing left to fill in."""

    spot: Spot
    """Its document, without `extends`, `parameters` and `matrix`."""
    values: Mapping[str, JsonValue]
    """Of its parameters, those of the matrix too."""
    files: tuple[File, ...]
    """Of the experiments that it extends, the nearest first."""


def reuses(spot: Spot) -> bool:
    """Whether an experiment has anything of this."""
    spec = spot.child("spec")
    return spec is not None and any(name in spec.node.children for name in KEYS)


def filled_in(
    library: Library, file: File, spot: Spot, given: Given, problems: list[Problem], *, by_itself: bool = False
) -> Filled | None:
    """The experiment with these values; None where anything is wrong with how it is put together, which is then in
    `problems`. `by_itself`: nobody runs it, so an example stands for a parameter that has to be given.

    Raises `UsageError` for a value of the command that does not fit, `ManyRuns` for a matrix of which none is chosen.
    """
    before = len(problems)
    whole = extended(library, file, spot, problems)
    if whole is None:
        return None
    spot, files = whole
    spec = spot.child("spec")
    assert spec is not None
    values = _values(spec, given, problems, by_itself=by_itself)
    if len(problems) != before:
        return None
    parts = {str(name): node for name, node in spec.node.children.items() if name not in KEYS}
    if any(name in spec.node.children for name in ("parameters", "matrix")):
        filler = Filler(values, problems, later=True)
        parts = {name: filler.node(spec.file, node) for name, node in parts.items()}
        _unused(spec, filler.used, problems)
    if len(problems) != before:
        return None
    top = {str(name): node for name, node in spot.node.children.items()}
    document = remapped(spot.node, {**top, "spec": remapped(spec.node, parts)})
    return Filled(
        Spot(spot.file, document, spot.path, spot.key), {name: one.value for name, one in values.items()}, files
    )


# --------------------------------------------------------------------------------------------------------- extending


def extended(library: Library, file: File, spot: Spot, problems: list[Problem]) -> tuple[Spot, tuple[File, ...]] | None:
    """The experiment with the `spec` of those that it extends below its own, and their files."""
    chain = [(file, spot)]
    while (place := chain[-1][1].get("spec", "extends")) is not None:
        found = _above(library, chain[-1][0], place, problems)
        if found is None:
            return None
        if any(found[1].node is other.node for _, other in chain):
            names = [*(_name(other) for _, other in chain), _name(found[1])]
            problems.append(place.problem(f"`extends` goes in a circle: {' extends '.join(names)}", rule="extends"))
            return None
        chain.append(found)
    _, base = chain[-1]
    node = base.nearest("spec").node
    home = base.file
    for _, below in reversed(chain[:-1]):
        node = _merged(node, home, below.nearest("spec").node, below.file)
        home = below.file
    top = {str(name): part for name, part in spot.node.children.items()}
    whole = Spot(spot.file, remapped(spot.node, {**top, "spec": node}), spot.path, spot.key)
    return whole, tuple(above for above, _ in chain[1:])


def _above(library: Library, file: File, place: Spot, problems: list[Problem]) -> tuple[File, Spot] | None:
    if not isinstance(place.value, str):
        problems.append(
            place.problem(f"`extends` is {show(place.value)}", "the name or path of an experiment", rule="wrong-type")
        )
        return None
    found = library.refer("Experiment", place.value, [file.path.parent], file)
    if isinstance(found, NotFound):
        problems.append(place.problem(found.message, found.expected, found.nearest, rule="not-found"))
        return None
    its_file, its_spot = found
    spec = its_spot.child("spec")
    if its_file.problems or spec is None or not isinstance(spec.value, dict):
        problems += its_file.problems
        if not its_file.problems:
            said = f"the experiment {_name(its_spot)!r} has no fields in `spec`"
            problems.append((spec or its_spot).problem(said, "an experiment to take over from", rule="extends"))
        return None
    return found


def _name(spot: Spot) -> str:
    name = spot.get("metadata", "name")
    return str(name.value) if name is not None else "(no name)"


def _merged(above: Node, its_file: str, own: Node, own_file: str) -> Node:
    """`own` over `above`: mappings are merged, everything else is replaced."""
    children: dict[str | int, Node] = {}
    keys: dict[str, Place] = {}
    origins: dict[str, str] = {}
    for name, node in above.children.items():
        mine = own.children.get(name)
        if mine is None:
            children[name] = _from(node, its_file)
            keys[str(name)] = above.keys[str(name)]
            origins[str(name)] = (above.origins or {}).get(str(name), its_file)
        else:
            both = isinstance(node.value, dict) and isinstance(mine.value, dict)
            children[name] = _merged(node, node.origin or its_file, mine, mine.origin or own_file) if both else mine
    children |= {name: node for name, node in own.children.items() if name not in children}
    merged = remapped(own, {str(name): node for name, node in children.items()})
    return Node(
        merged.value,
        own.place,
        children,
        {**keys, **own.keys},
        merged.size,
        merged.height,
        origin=own.origin,
        origins={**origins, **(own.origins or {})} or None,
    )


def _from(node: Node, file: str) -> Node:
    if node.origin:
        return node
    return Node(
        node.value,
        node.place,
        node.children,
        node.keys,
        node.size,
        node.height,
        node.written,
        node.raw,
        file,
        node.origins,
        node.via,
    )


# -------------------------------------------------------------------------------------------------------- parameters


def _values(spec: Spot, given: Given, problems: list[Problem], *, by_itself: bool) -> dict[str, Node]:
    declared = _declared(spec, problems)
    lists = axes(spec, problems)
    known = list(dict.fromkeys([*declared, *lists]))
    _known(known, given, problems)
    open_ = [name for name, items in lists.items() if name not in given and len(items) > 1]
    if open_ and not by_itself and not problems:
        raise ManyRuns(f"the experiment has a matrix and stands for many runs: say which {' and '.join(open_)}")
    values: dict[str, Node] = {}
    for name in known:
        parameter = declared.get(name)
        told = given.get(name)
        if told is None and name in lists:
            told = lists[name][0]
        if told is None and parameter is not None:
            told = _left(spec, name, parameter, problems, by_itself)
        node = _checked(name, parameter, told, lists.get(name, ()), problems) if told is not None else None
        if node is not None:
            values[name] = node
    return values


def _declared(spec: Spot, problems: list[Problem]) -> dict[str, Parameter]:
    place = spec.child("parameters")
    if place is None or not isinstance(place.value, dict):
        if place is not None:
            problems.append(
                place.problem(
                    f"`parameters` is {show(place.value)}", "a mapping of names to parameters", rule="wrong-type"
                )
            )
        return {}
    found = {}
    for one in place.items():
        if not _NAME.fullmatch(name := str(one.path[-1])) or name.startswith(LATER):
            expected = f"lower case letters, digits, dots and dashes, not beginning with {LATER}"
            problems.append(one.problem(f"a parameter is named {name!r}", expected, at_key=True, rule="not-a-name"))
            continue
        parameter = validated(Parameter, one, one.value, problems)
        if parameter is not None:
            found[name] = parameter
    return found


def axes(spec: Spot, problems: list[Problem]) -> dict[str, Sequence[Spot]]:
    """The values of each parameter of the matrix."""
    place = spec.child("matrix")
    if place is None or not isinstance(place.value, dict):
        if place is not None:
            problems.append(
                place.problem(
                    f"`matrix` is {show(place.value)}", "a mapping of names to lists of values", rule="wrong-type"
                )
            )
        return {}
    found: dict[str, Sequence[Spot]] = {}
    for one in place.items():
        items = list(one.items()) if isinstance(one.value, list) else []
        wrong = [item for item in items if isinstance(item.value, dict | list) or item.value is None]
        if not items:
            problems.append(
                one.problem(
                    f"`{one.path[-1]}` of the matrix is {show(one.value)}", "a list of values", rule="wrong-type"
                )
            )
        for item in wrong:
            expected = "text, a number, true or false"
            problems.append(item.problem(f"a value of the matrix is {show(item.value)}", expected, rule="wrong-type"))
        texts = [item.value for item in items]
        twice = [item for index, item in enumerate(items) if item.value in texts[:index] and item not in wrong]
        problems += [item.problem(f"{show(item.value)} stands there twice", rule="matrix") for item in twice]
        if items and not wrong:
            found[str(one.path[-1])] = items
    return found


def _known(known: Sequence[str], given: Given, problems: list[Problem]) -> None:
    for name, told in given.items():
        if name in known:
            continue
        near = nearest(name, known)
        message = f"the experiment has no parameter `{name}`"
        expected = "" if near else f"one of {', '.join(known)}" if known else "none: it has no parameters"
        if isinstance(told, Spot):
            problems.append(told.problem(message, expected, near, at_key=True, rule="parameter"))
        else:
            hint = f"did you mean {near!r}?" if near else f"expected {expected}"
            raise UsageError(f"{message}, {hint}")


def _left(spec: Spot, name: str, parameter: Parameter, problems: list[Problem], by_itself: bool) -> Spot | None:
    """What a parameter is where nobody says it."""
    place = spec.nearest("parameters", name)
    if parameter.default is not None:
        return place.nearest("default")
    if by_itself:
        return place.nearest("example")
    problems.append(
        place.problem(
            f"the parameter `{name}` has no value",
            f"`--parameter {name}=…`, `with` where a suite or a game day names it, or a `default`",
            rule="parameter",
        )
    )
    return None


def _checked(
    name: str, parameter: Parameter | None, told: JsonValue | Spot, among: Sequence[Spot], problems: list[Problem]
) -> Node | None:
    """The value as a node that knows where it came from."""
    value = told.value if isinstance(told, Spot) else _read(name, told, parameter, among)
    try:
        value = parameter.checked(value) if parameter is not None else value
    except ValueError as error:
        expected = str(error).removeprefix("expected ").partition(", found")[0]
        if not isinstance(told, Spot):
            raise UsageError(f"the parameter `{name}` is {show(value)}, expected {expected}") from None
        problems.append(told.problem(f"`{name}` is {show(value)}", expected, rule="parameter"))
        return None
    if not isinstance(told, Spot):
        return Node(value, Place(0, 0), written=in_text(value), via=f"${{{name}}}, as the command says")
    part = "the matrix, " if told.path[:2] == ("spec", "matrix") else ""
    part = part or ("the default, " if told.path[-1:] == ("default",) else "")
    via = f"${{{name}}}, {part}{told.file}:{told.node.place.line}"
    written = told.node.written or in_text(value)
    return Node(value, told.node.place, written=written, origin=told.file, via=via)


def _read(name: str, told: JsonValue, parameter: Parameter | None, among: Sequence[Spot]) -> JsonValue:
    """Text from the command line as what it is meant as: a number where a number belongs."""
    if not isinstance(told, str):
        return told
    plain = parameter.type in ("number", "boolean") if parameter is not None else False
    if parameter is None and among:
        plain = not any(isinstance(item.value, str) for item in among)
    documents = read(told.encode(), f"--parameter {name}").documents if plain else []
    value = documents[0].value if documents else told
    return told if isinstance(value, dict | list) else value


def _unused(spec: Spot, used: set[str], problems: list[Problem]) -> None:
    """A name of the matrix that nothing uses would be runs that are all the same."""
    matrix = spec.child("matrix")
    for one in matrix.items() if matrix is not None else ():
        if one.path[-1] not in used:
            problems.append(
                one.problem(
                    f"nothing uses `${{{one.path[-1]}}}`: all runs would be the same", at_key=True, rule="matrix"
                )
            )


# ------------------------------------------------------------------------------------------------------------ matrix


def combinations(library: Library, file: File, spot: Spot, given: Given, problems: list[Problem]) -> list[Given]:
    """What to give an experiment for each of its runs, in the order of the file, the last name going round first; just
    `given` where it has no matrix. Names that are given have that one value."""
    whole = extended(library, file, spot, problems) if reuses(spot) else None
    spec = whole[0].child("spec") if whole is not None else None
    if spec is None or spec.child("matrix") is None:
        return [given]
    lists = {name: items for name, items in axes(spec, problems).items() if name not in given}
    count = 1
    for items in lists.values():
        count *= len(items)
    if count > MOST_RUNS:
        problems.append(
            spec.nearest("matrix").problem(f"the matrix makes {count} runs", f"at most {MOST_RUNS}", rule="matrix")
        )
        return [given]
    return [{**given, **dict(zip(lists, chosen, strict=True))} for chosen in product(*lists.values())]


def each_value(ways: Sequence[Given]) -> Iterator[Given]:
    """So many of the combinations that every value of the matrix occurs, which is enough to look at the file."""
    seen: set[tuple[str, int]] = set()
    for way in ways:
        here = {(name, id(told.node)) for name, told in way.items() if isinstance(told, Spot)}
        if not seen or here - seen:
            seen |= here | {("", 0)}
            yield way
