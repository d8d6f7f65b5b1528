"""One new experiment, out of a few answers and the examples that faults bring with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chaosrunner import catalog
from chaosrunner.beginning.first_files import NewFile
from chaosrunner.beginning.writing import create
from chaosrunner.errors import FileProblems, UsageError
from chaosrunner.files import plugins
from chaosrunner.files.documents import name_of
from chaosrunner.files.node import Spot
from chaosrunner.files.reader import read
from chaosrunner.files.references import Library
from chaosrunner.files.validation import nearest
from chaosrunner.files.written import scalar, yaml_lines
from chaosrunner.model.surroundings import file_name
from chaosrunner.stages.load import check

DEFAULT_LASTS = "60s"


class Answers(NamedTuple):
    """What is to be written."""

    environment: str
    fault: str
    service: str = ""
    to: str = ""
    hypotheses: tuple[str, ...] = ()
    name: str = ""
    """Empty: made of the others."""
    title: str = ""


class Choices(NamedTuple):
    """What there is to choose from."""

    environments: dict[str, Spot]
    hypotheses: tuple[str, ...]


def choices(folder: Path) -> Choices:
    """What the files of a folder name."""
    library = Library(folder)
    environments = {name_of(spot): spot for _, spot in library.every("Environment", folder.absolute())}
    hypotheses = {name_of(spot) for _, spot in library.every("Hypothesis", folder.absolute())}
    return Choices({name: spot for name, spot in environments.items() if name}, tuple(sorted(hypotheses - {""})))


def services_of(environment: Spot) -> list[str]:
    """Names that the environment has for what it can act on."""
    platform = environment.get("spec", "platform")
    found = [one for each in (platform.items() if platform is not None else ()) for one in [each.child("services")]]
    return [str(name) for one in found if one is not None for name in one.node.children]


def faults_for(environment: Spot) -> list[str]:
    """Kinds of faults that work on its platform."""
    platform = environment.get("spec", "platform")
    kinds = set(platform.node.children) if platform is not None else set()
    told = {kind: plugins.facts(kind) for kind in catalog.kinds("faults")}
    return [kind for kind, facts in told.items() if facts is None or (facts.platforms & kinds)]


def needs_service(fault: str) -> bool:
    """Whether a fault acts on something of a service."""
    facts = plugins.facts(fault)
    return facts is None or facts.acts_on != {"nothing"}


def needs_to(fault: str, environment: Spot) -> bool:
    """Whether a fault acts on connections to something, and so needs to know to what."""
    platform = environment.get("spec", "platform")
    kinds = set(platform.node.children) if platform is not None else set()
    facts = plugins.facts(fault)
    return facts is not None and (facts.acts_on == {"link"} or bool(facts.connections_only & kinds))


def known_fault(fault: str) -> str:
    """The fault. Raises `UsageError` if there is none of this kind."""
    known = catalog.kinds("faults")
    if fault not in known:
        near = nearest(fault, known)
        hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(known)}"
        raise UsageError(f"unknown fault {fault!r}, {hint}")
    return fault


def new_experiment(answers: Answers) -> NewFile:
    """The file. Raises `UsageError` for a fault that is not known or a name that is none."""
    known_fault(answers.fault)
    subject = answers.service or "the-system"
    name = answers.name or f"{subject}-when-{answers.to}-{answers.fault}".replace("--", "-")
    if file_name(name) != name:
        raise UsageError(f"the name is {name!r}, expected lower case letters, digits and dashes: {file_name(name)!r}")
    if not answers.hypotheses:
        raise UsageError("an experiment needs a hypothesis: what must hold meanwhile")
    title = answers.title or f"{subject} keeps its promise during {answers.fault}" + (
        f" on its way to {answers.to}" if answers.to else ""
    )
    head = [
        "# Why: (what made you think of it: an incident, a near miss, a change)",
        "apiVersion: chaosrunner.dev/v1",
        "kind: Experiment",
        f"metadata: {{name: {name}}}",
        "spec:",
        f"  title: {scalar(title)}",
        *([f"  service: {answers.service}"] if answers.service else []),
        f"  environment: {scalar(answers.environment)}",
        f"  hypotheses: [{', '.join(map(scalar, answers.hypotheses))}]",
        "  baseline: {for: 30s, within: 3m}     # the steady state must be seen before anything is broken",
        "  method:",
    ]
    step = [f"    {'-' if number == 0 else ' '} {line}" for number, line in enumerate(_step(answers))]
    return NewFile(f"experiments/{name}.yaml", "\n".join([*head, *step, "  recovery: {within: 2m}"]) + "\n", title)


def _step(answers: Answers) -> Sequence[str]:
    lines = [f"fault: {answers.fault}"]
    if needs_service(answers.fault):
        to = f", to: {answers.to}" if answers.to else ""
        lines.append(f"target: {{service: {answers.service or 'SERVICE'}{to}, take: 1}}")
    facts = plugins.facts(answers.fault)
    example = _example(answers.fault)
    parameters = example.child("with") if example is not None else None
    if parameters is not None and parameters.node.children:
        lines += ["with:", *(f"  {line}" for line in yaml_lines(parameters.node, parameters.file))]
    if facts is None or not facts.instant:
        lines.append(f"for: {DEFAULT_LASTS}")
    else:
        lines.append(f"observe: {DEFAULT_LASTS}")
    return lines


def _example(fault: str) -> Spot | None:
    """The step that the fault gives as its example."""
    plugin = plugins.own("faults", fault)
    documents = read(str(plugin.example).encode(), fault).documents if plugin is not None else []
    if not documents:
        return None
    first = documents[0].child(0) if isinstance(documents[0].value, list) else documents[0]
    return first if first is not None and first.child("fault") is not None else None


def write_experiment(file: NewFile, folder: Path) -> None:
    """Write it where nothing is, and only if it is in order there. Raises `UsageError`, `FileProblems`."""
    path = folder / file.path
    create(path, file.text, file.path)
    problems = check([file.path], folder).problems
    mine = [problem for problem in problems if problem.file == file.path]
    if mine:
        path.unlink()
        raise FileProblems(mine)
