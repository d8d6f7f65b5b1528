"""From what was found to an environment, hypotheses and a first set of experiments, as text with the reason
for each. Pure: nothing is read or written here.
"""

# ruff: noqa: E501  a line of a file that is written stands in one line
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from chaosrunner.beginning.first_hypotheses import Promise, promises, taken_over
from chaosrunner.files.written import node_of, scalar, yaml_lines
from chaosrunner.model.quantities import write_duration
from chaosrunner.model.surroundings import FoundPlatform, FoundService, Surroundings
from chaosrunner.records.light import dataclass

MOST_EXPERIMENTS = 12
"""A first set that somebody will read; more are a copy away."""
LINKS_FROM = 28001
"""The first port of this machine that links listen on."""


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be written."""

    path: str
    """From the folder of `environments/`, `hypotheses/` and `experiments/`."""
    text: str
    why: str
    """For people, one line."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would be written."""

    files: tuple[NewFile, ...]
    left_out: tuple[str, ...]
    """What was seen and nothing was written for, each with its reason."""


def proposal(
    found: Surroundings, environment: str, opt_in: str = "", is_free: Callable[[int], bool] = lambda port: True
) -> Proposal:
    """The files. `environment`: its name; `opt_in`: `LABEL=VALUE` that pods must have, on Kubernetes; `is_free`: whether
    a link could listen on a port of this machine."""
    made = promises(found)
    if found.platform is None or not found.platform.services:
        return _without_services(found, made)
    platform = found.platform
    own = list(_kubernetes(platform, opt_in) if platform.kind == "kubernetes" else _local(platform, is_free))
    files = [_environment(found, platform, environment, own)]
    files += [NewFile(f"hypotheses/{one.name}.yaml", one.text, one.why) for one in made if one.text]
    left = [*platform.passed_over, *found.passed_over]
    experiments: list[NewFile] = []
    for service in platform.services:
        mine = [one for one in made if one.service == service.name]
        wanted, why_not = _for(service, platform)
        left += why_not
        experiments += [_experiment(environment, service, mine, idea) for idea in wanted] if mine else []
        if wanted and not mine:
            left.append(f"{service.name}: nothing was found by which to tell whether it is well")
    if len(experiments) > MOST_EXPERIMENTS:
        names = ", ".join(file.path for file in experiments[MOST_EXPERIMENTS:])
        left.append(f"a first set has {MOST_EXPERIMENTS} experiments; not written: {names}")
    left += _nobodys(found, {one.name for one in platform.services})
    return Proposal((*files, *experiments[:MOST_EXPERIMENTS]), tuple(left))


def _without_services(found: Surroundings, made: Sequence[Promise]) -> Proposal:
    """What can be written where nothing is known that something could be done to."""
    files = tuple(NewFile(f"hypotheses/{one.name}.yaml", one.text, one.why) for one in made if one.text)
    where = f"in {found.platform.source} " if found.platform is not None else ""
    what = f"no services were found {where}that something could be done to"
    more = "name where they run, a namespace (--namespace) or a Compose file (--compose)"
    left = [*(found.platform.passed_over if found.platform is not None else ()), *found.passed_over]
    return Proposal(files, (*left, *_nobodys(found, set()), f"an environment and experiments: {what}; {more}"))


def _nobodys(found: Surroundings, names: set[str]) -> Iterator[str]:
    """Objectives that are somebody's who was not found."""
    for one in found.objectives:
        if one.service not in names:
            whose = f"its service {one.service} was not found" if one.service else "it names no service"
            yield f"the objective {one.name}: {whose}; an experiment has it with `{taken_over(one)}`"


# ------------------------------------------------------------------------------------------------------- environment


def _environment(found: Surroundings, platform: FoundPlatform, name: str, own: Sequence[str]) -> NewFile:
    lines = [
        f"# What chaosrunner found in {platform.source}. Nothing that does not stand here is ever touched or asked.",
        "# `chaosrunner doctor " + name + "` says what is missing before anything is tried.",
        "apiVersion: chaosrunner.dev/v1",
        "kind: Environment",
        f"metadata: {{name: {scalar(name)}}}",
        "spec:",
        "  platform:",
        *own,
    ]
    if found.metrics is not None:
        lines += [
            "  prometheus:                          # secrets are only ever named: bearerToken: {env: PROM_TOKEN}",
            f"    url: {scalar(found.metrics.url)}",
            *(f"    {line}" for line in yaml_lines(node_of(dict(found.metrics.access)), "")),
        ]
    lines += [
        "  guards:                              # one that cannot be answered refuses the run",
        *_production(platform, name),
        "    maxAffected: {share: 50%, atLeastOne: true}    # never more than half of what a service has",
        '    # windows: ["Mon-Fri 09:00-16:00 Europe/Berlin"]   # when somebody is there to look',
    ]
    if platform.kind == "kubernetes":
        lines += [
            "    keepLastReplica: true              # what has one replica is not taken away: that is a finding by itself",
            "    keepDisruptionBudgets: true",
        ]
    if found.metrics is not None and found.metrics.alerts:
        lines.append('    # refuseWhileFiring: ["severity=critical"]          # not on top of a real incident')
    what = f"{len(platform.services)} service{'' if len(platform.services) == 1 else 's'} of {platform.source}"
    return NewFile(f"environments/{name}.yaml", "\n".join(lines) + "\n", what)


def _production(platform: FoundPlatform, name: str) -> Iterator[str]:
    said = " ".join((name, platform.context, *platform.namespaces)).lower()
    if re.search(r"(?<![a-z])(?:prod|production|prd|live)(?![a-z])", said) and not re.search(
        r"(?:non|pre)[-_ ]?pro?d", said
    ):
        yield "    production: true                   # by its name: every run needs a flag and a second name; false if it is none"
    else:
        yield "    production: false                  # true: every run needs a flag and a second name"


def _kubernetes(platform: FoundPlatform, opt_in: str) -> Iterator[str]:
    yield "    kubernetes:"
    if platform.kubeconfig:
        yield f"      kubeconfig: {scalar(platform.kubeconfig)}"
    if platform.context:
        yield f"      context: {scalar(platform.context)}"
    yield f"      namespaces: [{', '.join(map(scalar, platform.namespaces))}]    # nothing outside is ever touched"
    if platform.uid:
        yield f"      clusterUid: {scalar(platform.uid)}    # a context that leads elsewhere is refused"
    label, _, value = opt_in.partition("=")
    if label:
        yield f"      optIn: {{{scalar(label)}: {_quoted(value)}}}    # only pods that carry this label"
    else:
        yield '      # optIn: {chaosrunner.dev/allow: "true"}    # only pods that carry this label'
    yield "      services:" if platform.services else "      services: {}"
    for one in platform.services:
        space = f"namespace: {one.namespace}, " if len(platform.namespaces) > 1 else ""
        door = f", service: {one.kube_service}" if one.kube_service else ""
        yield f"        {one.name}: {{{space}workload: {one.workload}{door}}}"


def _quoted(value: str) -> str:
    return scalar(value) if scalar(value).startswith('"') else f'"{value}"'


def _local(platform: FoundPlatform, is_free: Callable[[int], bool]) -> Iterator[str]:
    yield "    local:"
    yield "      services:" if platform.services else "      services: {}"
    for one in platform.services:
        yield f"        {one.name}: {{listens: {one.port}}}                # found by its port; chaosrunner did not start it"
    pairs = list(_links(platform, is_free))
    if pairs:
        yield "      # Network faults act on links: proxies that callers are pointed at, in place of the service itself."
        yield "      # Give each caller the address after `listen`, then `chaosrunner local up` starts them. From inside a"
        yield "      # container this machine is host.docker.internal, and a link must listen on an address that it reaches."
        yield "      links:"
        for name, caller, callee, port in pairs:
            ends = f'listen: "127.0.0.1:{port}", connect: "127.0.0.1:{callee.port}"'
            yield f"        {name}: {{from: {caller.name}, to: {callee.name}, {ends}}}"


def _links(
    platform: FoundPlatform, is_free: Callable[[int], bool]
) -> Iterator[tuple[str, FoundService, FoundService, int]]:
    """(name, caller, callee, port to listen on) of every call between two local services."""
    by_name = {one.name: one for one in platform.services}
    taken = {one.port for one in platform.services}
    free = (port for port in range(LINKS_FROM, 65536) if port not in taken and is_free(port))
    for caller in platform.services:
        for name in caller.calls:
            if name in by_name:
                yield f"{caller.name}-to-{name}", caller, by_name[name], next(free)


# ------------------------------------------------------------------------------------------------------- experiments


@dataclass(frozen=True, slots=True)
class _Idea:
    """One way to break something."""

    name: str
    title: str
    why: Sequence[str]
    step: Sequence[str]
    lasting: bool
    """Whether the fault has a `for`."""
    occurrence: int


def _for(service: FoundService, platform: FoundPlatform) -> tuple[list[_Idea], list[str]]:
    name, left, ideas = service.name, list[str](), list[_Idea]()
    if service.kept_out:
        return [], [f'{name}: says chaosrunner.dev/allow: "false"']
    known = {one.name for one in platform.services}
    if platform.kind == "kubernetes" and service.replicas > 1 and not service.workload.startswith("daemonset/"):
        ideas.append(_killed(service))
    elif platform.kind == "kubernetes" and service.replicas == 1:
        left.append(f"{name}: has one replica, so any loss of it is an outage: give it a second one first")
    callees = [one for one in service.calls if one in known]
    ideas += [_slow(service, callee) for callee in callees]
    ideas += [_gone(service, callee) for callee in callees]
    if platform.kind == "kubernetes" and service.workload.startswith("deployment/") and service.replicas > 1:
        ideas.append(_deployed(service))
    if platform.kind == "local" and not callees:
        left.append(f"{name}: calls nothing that was found; a fault on its process would stop what others may need")
    return ideas, left


def _killed(service: FoundService) -> _Idea:
    name = service.name
    return _Idea(
        f"{name}-when-a-pod-is-killed",
        f"{name} keeps its promise when one of its {service.replicas} pods is killed",
        (
            f"Why: {service.workload} has {service.replicas} replicas, so that one may be lost. Nodes are drained, pods evicted",
            "and processes crash every week; whether callers notice is decided by readiness, retries and connections kept open.",
        ),
        ("fault: pod-kill", f"target: {{service: {name}, take: 1}}"),
        False,
        8,
    )


def _deployed(service: FoundService) -> _Idea:
    name = service.name
    return _Idea(
        f"{name}-when-it-is-deployed",
        f"{name} keeps its promise while it is deployed",
        (
            "Why: a deployment is a fault that a team makes itself, several times a week: every pod is replaced.",
            "It should be the one that is best rehearsed.",
        ),
        ("fault: rollout-restart", f"target: {{service: {name}}}"),
        False,
        10,
    )


def _slow(service: FoundService, callee: str) -> _Idea:
    name = service.name
    return _Idea(
        f"{name}-when-{callee}-is-slow",
        f"{name} keeps its promise while {callee} is slow",
        (
            f"Why: {name} is set up to call {callee}. A dependency that is slow is worse than one that is gone: without a",
            "time limit the caller waits as long, holds a worker while it does, and is soon as slow itself.",
        ),
        ("fault: network-latency", f"target: {{service: {name}, to: {callee}, take: 1}}", "with: {delay: 500ms}"),
        True,
        6,
    )


def _gone(service: FoundService, callee: str) -> _Idea:
    name = service.name
    return _Idea(
        f"{name}-when-{callee}-is-gone",
        f"{name} keeps its promise while {callee} is gone",
        (
            f"Why: {name} is set up to call {callee}. What it does when nothing answers there, an error page or an answer",
            "with a part missing, is a decision; here it is seen whether somebody made it.",
        ),
        ("fault: dependency-loss", f"target: {{service: {name}, to: {callee}, take: 1}}", "with: {mode: refuse}"),
        True,
        5,
    )


PATIENT = 120.0
"""Seconds that the measures of a first experiment may look back: its fault lasts more than twice as long."""


def _too_slow(mine: Sequence[Promise]) -> list[Promise]:
    """Those that look back too far for a first experiment, where others tell how users fare, too."""
    quick = [one for one in mine if one.lag <= PATIENT and not one.name.endswith("-has-pods")]
    return [one for one in mine if one.lag > PATIENT] if quick else []


def _experiment(environment: str, service: FoundService, mine: Sequence[Promise], idea: _Idea) -> NewFile:
    slow = _too_slow(mine)
    judged = [one for one in mine if one not in slow]
    slowest = max((one.lag for one in judged), default=0.0)
    lasts = max(60, 60 * round((2.5 * slowest + 59) // 60))
    baseline = max(30, 30 * round((2 * slowest + 29) // 30))
    time = f"for: {lasts}s" if idea.lasting else f"observe: {lasts}s"
    lines = [
        *(f"# {line}" for line in idea.why),
        "apiVersion: chaosrunner.dev/v1",
        "kind: Experiment",
        f"metadata: {{name: {idea.name}}}",
        "spec:",
        f"  title: {scalar(idea.title)}",
        f"  service: {service.name}",
        "  # owner: team-checkout              # who gets the work if a gap is found",
        f"  environment: {scalar(environment)}",
        "  hypotheses:",
        *(f"    - {one.reference}" for one in judged),
        *(
            f"    # - {one.reference}    # looks back {write_duration(one.lag)}: a fault takes at least twice as long"
            for one in slow
        ),
        f"  baseline: {{for: {baseline}s, within: {5 * baseline}s}}",
        "  method:",
        f"    - {idea.step[0]}",
        *(f"      {line}" for line in idea.step[1:]),
        f"      {time}",
        f"  recovery: {{within: {max(120, lasts)}s}}",
        f"  risk: {{occurrence: {idea.occurrence}}}                # a guess, 1 to 10: how often this happens in production",
    ]
    return NewFile(f"experiments/{idea.name}.yaml", "\n".join(lines) + "\n", idea.title)
