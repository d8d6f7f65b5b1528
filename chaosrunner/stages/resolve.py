"""resolve: an experiment as it will be run, in one file, with where each of its values came from. Reads files only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chaosrunner.files.node import Node, Place, Spot, dotted
from chaosrunner.files.node import Path as Path_
from chaosrunner.files.parameters import remapped
from chaosrunner.files.reuse import Given
from chaosrunner.files.written import node_of, whence, yaml_lines
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import JsonValue
from chaosrunner.model.quantities import write_duration
from chaosrunner.records.light import dataclass
from chaosrunner.stages.load import Loaded, load_experiment


@dataclass(frozen=True, slots=True)
class Resolved:
    """An experiment with everything put in."""

    node: Node
    """Its document; every node knows where it came from."""
    home: str
    """The experiment's own file."""
    parameters: JsonObject

    def as_yaml(self) -> str:
        """The document as YAML that can be checked and run, with comments."""
        values = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        head = [f"# Resolved from {self.home}: what has no comment stands there."]
        head += [f"# Parameters: {values}"] if values else []
        return "\n".join([*head, *yaml_lines(self.node, self.home)])

    def as_json(self) -> JsonObject:
        """The document, and of each value that does not stand in the experiment's own file where it came from."""
        origins: JsonObject = {dotted(path): told for path, told in _origins(self.node, self.home, self.home, ())}
        return {"file": self.home, "parameters": self.parameters, "experiment": self.node.value, "from": origins}


def resolve(reference: str, environment: str | None, folder: Path, parameters: Given | None = None) -> Resolved:
    """One run of an experiment. Raises what `load_experiment` raises."""
    loaded = load_experiment(reference, environment, folder, parameters)
    spot = loaded.spot
    assert spot is not None
    spec = spot.child("spec")
    assert spec is not None
    parts = {str(name): node for name, node in spec.node.children.items()}
    if environment is not None:
        parts["environment"] = node_of(environment, "-e")
    parts["hypotheses"] = _hypotheses(spec, loaded)
    for name, value in _defaults(loaded).items():
        parts.setdefault(name, node_of(value, "the default"))
    top = {str(name): node for name, node in spot.node.children.items()}
    whole = remapped(spot.node, {**top, "spec": remapped(spec.node, parts)})
    return Resolved(whole, spot.file, dict(loaded.parameters))


def _defaults(loaded: Loaded) -> JsonObject:
    """Those that decide what a run does, where the file leaves them out."""
    spec = loaded.experiment.spec
    return {
        "service": spec.service or loaded.experiment.metadata.name,
        "baseline": {"for": write_duration(spec.baseline.for_)},
        "recovery": {"within": write_duration(spec.recovery.within)},
    }


def _hypotheses(spec: Spot, loaded: Loaded) -> Node:
    """Each written out in place; one of another format stays a reference to its file."""
    listed = spec.nearest("hypotheses")
    items: list[Node] = []
    for place, written, hypothesis in zip(listed.items(), loaded.written, loaded.hypotheses, strict=True):
        if written is None or written.path == place.path:
            items.append(place.node)
            continue
        reference = f"the hypothesis {_called(place)}, {written.file}"
        kept = {str(name): node for name, node in written.node.children.items() if name != "parameters"}
        parts = {"name": node_of(hypothesis.name, reference), **kept}
        value: JsonValue = {name: node.value for name, node in parts.items()}
        children: dict[str | int, Node] = {name: node for name, node in parts.items()}
        items.append(Node(value, written.node.place, children, written.node.keys, origin=written.file))
    values: list[JsonValue] = [item.value for item in items]
    return Node(values, Place(listed.node.place.line, listed.node.place.column), dict(enumerate(items)))


def _called(place: Spot) -> str:
    """How an experiment refers to a hypothesis."""
    use = place.child("use")
    return str(use.value if use is not None else place.value)


def _origins(node: Node, file: str, home: str, path: Path_) -> Iterator[tuple[Path_, str]]:
    file = node.origin or file
    if node.children:
        for name, child in node.children.items():
            yield from _origins(child, file, home, (*path, name))
    elif told := whence(node, file, home):
        yield path, told
