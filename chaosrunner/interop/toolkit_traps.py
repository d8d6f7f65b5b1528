"""What Chaos Toolkit does with a file that its author will not expect: said before the run, and what came of it after.

Measured on chaostoolkit-lib 1.44. A trap is only named where this file, run so, can fall into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from chaosrunner.interop import toolkit_file as file
from chaosrunner.interop.toolkit_record import Told, injection_failed
from chaosrunner.records.light import dataclass

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_KEYS = {
    "": "version title description tags contributions extensions configuration secrets controls "
    "steady-state-hypothesis method rollbacks runtime dry",
    "hypothesis": "title probes controls",
    "activity": "type name ref provider tolerance pauses background controls timeout dry",
}
_KNOWN = {place: frozenset(words.split()) for place, words in _KEYS.items()}
_WHILE = ("continuously", "continously", "during-method-only")
"""Strategies that look at the hypothesis while the method goes on."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How a file is to be run: the strategies that count, in Chaos Toolkit's words."""

    hypothesis: str = "default"
    rollbacks: str = "default"
    fail_fast: bool = False
    given: frozenset[str] = frozenset()
    """Names of variables that the command brings."""

    @property
    def during(self) -> bool:
        """Whether the hypothesis is looked at while the method goes on."""
        return self.hypothesis in _WHILE


def ways(experiment: Mapping[str, Any], order: Mapping[str, Any]) -> Ways:
    """The command's words count before the file's."""
    runtime = file.mapping(experiment.get("runtime"))

    def strategy(what: str) -> str:
        said = order.get(f"{what}_strategy") or file.mapping(runtime.get(what)).get("strategy")
        return str(said or "default")

    given = frozenset(str(each).partition("=")[0].partition(":")[0] for each in order.get("var", ()))
    return Ways(strategy("hypothesis"), strategy("rollbacks"), bool(order.get("fail_fast")), given)


WORDS: dict[str, tuple[int, str]] = {
    "swallowed": (1, "SIGTERM during a Python activity is swallowed: the method goes on, and exit 0 (Ctrl-C is not)"),
    "interrupts-nothing": (
        2,
        "--fail-fast interrupts nothing: an activity that has begun, and every pause, goes on to its end",
    ),
    "failed-not-deviated": (
        3,
        "after --fail-fast the rollbacks are not played, as the run counts as failed and not as deviated",
    ),
    "probe-fails": (
        3,
        "when a probe of the hypothesis cannot be run, the rollbacks are not played "
        "(they are with --rollback-strategy always, or --strict)",
    ),
    "never-reaches": (
        4,
        "a deviation during the method never reaches the verdict: exit 0, unless it is still there at the end",
    ),
    "one-by-one": (
        5,
        "the probes run one after the other and stop at the first that fails; the frequency is a pause, not a period",
    ),
    "hangs": (
        6,
        "the probe {name} has no time limit: if it hangs, neither Ctrl-C nor SIGTERM ends the run "
        "(chaosrunner's --time-limit does)",
    ),
    "never": (7, "the rollbacks are never played, as the strategy says"),
    "interrupted": (
        7,
        "after Ctrl-C the rollbacks are not played: what the actions did stays "
        "(not so with --rollback-strategy always, or --strict)",
    ),
    "lost-ref": (
        8,
        "the rollback with the ref {name} names no activity: the run ends without rollbacks and without a journal",
    ),
    "nothing-returned": (
        8,
        "if the probe {name} returns nothing, its tolerance ends the run without rollbacks and without a journal",
    ),
    "from-to": (8, "the tolerance {tolerance} of {name} means from … to …, not one of the two"),
    "ignored": (
        9,
        "the timeout of {name} is ignored: a Python activity has none, and others have it in their `provider`",
    ),
    "shell": (9, "the arguments of {name} are one text: they run in a shell, whose children survive a timeout"),
    "exit-0": (
        10,
        "exit 0 also when an action fails, exits with another code than 0, is answered 503, or finds no target "
        "(--strict: 3)",
    ),
    "not-met": (
        10,
        "exit 0 also when the hypothesis is not met before the method: that is then not played, but the rollbacks are "
        "(--strict: 5)",
    ),
    "control": (11, "an error in a control is passed over in silence; one in its `cleanup_control` loses the journal"),
    "unknown-variable": (
        13,
        "${{{name}}} is named neither in `configuration` nor in `secrets`: it reaches the activity as it is written",
    ),
    "unknown-key": (13, "the key {name} is none of Chaos Toolkit's, which passes over it in silence"),
    "continuous": (13, "the strategy `continuous` crashes Chaos Toolkit: it is `continuously`"),
    "written-secret": (
        13,
        "a secret stands in the file itself, and Chaos Toolkit writes it to its journal and its log "
        "(chaosrunner does not)",
    ),
}
"""Each with its number in `docs/chaos-toolkit.md`. What 12 (two runs in one process) and 14 (the version check stalls)
are about cannot happen here."""

Found = Iterator[tuple[int, str]]


def _say(what: str, **names: object) -> tuple[int, str]:
    number, words = WORDS[what]
    return number, words.format(**names)


def traps(experiment: Mapping[str, Any], how: Ways) -> list[str]:
    """Sentences, each with its number."""
    found = [
        *_of_strategies(experiment, how),
        *_of_rollbacks(experiment, how),
        *_of_activities(experiment),
        *_of_probes(experiment),
        *_of_controls(experiment),
        *_of_words(experiment, how),
    ]
    return [f"trap {number}: {words}" for number, words in sorted(dict.fromkeys(found), key=lambda each: each[0])]


def _probes(experiment: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [file.resolved(experiment, each) for each in file.listed(file.hypothesis(experiment).get("probes"))]


def _of_strategies(experiment: Mapping[str, Any], how: Ways) -> Found:
    probes = _probes(experiment)
    if how.hypothesis == "continuous":
        yield _say("continuous")
    if not how.during or not probes:
        return
    yield _say("interrupts-nothing" if how.fail_fast else "never-reaches")
    yield _say("one-by-one")
    for probe in probes:
        by = file.provider(probe)
        if by.get("type") == "python" or "timeout" not in by:
            yield _say("hangs", name=probe.get("name"))


def _of_rollbacks(experiment: Mapping[str, Any], how: Ways) -> Found:
    rollbacks = file.listed(experiment.get("rollbacks"))
    if not rollbacks:
        return
    if how.rollbacks == "never":
        yield _say("never")
    if how.rollbacks in ("default", "deviated"):
        yield _say("interrupted")
        if how.fail_fast and how.during:
            yield _say("failed-not-deviated")
    if how.rollbacks == "default" and _probes(experiment):
        yield _say("probe-fails")
    names = {activity.get("name") for _, activity in file.activities(experiment)}
    for each in rollbacks:
        if "ref" in each and each["ref"] not in names:
            yield _say("lost-ref", name=repr(each["ref"]))


def _of_activities(experiment: Mapping[str, Any]) -> Found:
    method = [file.resolved(experiment, each) for each in file.listed(experiment.get("method"))]
    if any(file.provider(each).get("type") == "python" for each in method):
        yield _say("swallowed")
    if any(each.get("type") == "action" for each in method):
        yield _say("exit-0")
    if _probes(experiment):
        yield _say("not-met")
    for _, each in file.activities(experiment):
        by = file.provider(each)
        if "timeout" in each or (by.get("type") == "python" and "timeout" in by):
            yield _say("ignored", name=each.get("name"))
        if by.get("type") == "process" and isinstance(by.get("arguments"), str):
            yield _say("shell", name=each.get("name"))


def _of_probes(experiment: Mapping[str, Any]) -> Found:
    for probe in _probes(experiment):
        tolerance = probe.get("tolerance")
        if file.provider(probe).get("type") != "python":
            continue
        if isinstance(tolerance, list) or file.mapping(tolerance).get("type") in ("range", "regex"):
            yield _say("nothing-returned", name=probe.get("name"))
        if isinstance(tolerance, list) and len(tolerance) == 2:
            yield _say("from-to", name=probe.get("name"), tolerance=tolerance)


def _of_controls(experiment: Mapping[str, Any]) -> Found:
    if experiment.get("controls") or any(each.get("controls") for _, each in file.activities(experiment)):
        yield _say("control")


def _of_words(experiment: Mapping[str, Any], how: Ways) -> Found:
    used = set(_VARIABLE.findall(str([activity for _, activity in file.activities(experiment)])))
    for name in sorted(used - _variables(experiment) - how.given):
        yield _say("unknown-variable", name=name)
    for place, keys in _places(experiment):
        for key in sorted(str(key) for key in set(keys) - _KNOWN[place] if not str(key).startswith("x-")):
            yield _say("unknown-key", name=repr(key))
    if any(isinstance(value, str) for value in _leaves(experiment.get("secrets"))):
        yield _say("written-secret")


def _places(experiment: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    yield "", list(experiment)
    yield "hypothesis", list(file.hypothesis(experiment))
    for _, activity in file.activities(experiment):
        yield "activity", list(activity)


def _variables(experiment: Mapping[str, Any]) -> set[str]:
    secrets = file.mapping(experiment.get("secrets"))
    inner = {str(name) for value in secrets.values() for name in file.mapping(value)}
    return {str(name) for name in file.mapping(experiment.get("configuration"))} | set(map(str, secrets)) | inner


def _leaves(secrets: object) -> Iterator[object]:
    """Those that are no reference to where the secret is."""
    for value in file.mapping(secrets).values():
        if not isinstance(value, dict):
            yield value
        elif value.get("type") not in ("env", "vault"):
            yield from _leaves(value)


def what_happened(told: Told, exit_code: int) -> list[str]:
    """The traps that this run fell into: what Chaos Toolkit does not say of what its own journal shows."""
    journal = told.journal
    states = file.mapping(journal.get("steady_states"))
    runs = file.listed(journal.get("run"))
    said = []
    for entry in runs:
        activity = file.mapping(entry.get("activity"))
        if activity.get("type") == "action" and (why := injection_failed(entry)) and exit_code == 0:
            said.append(f"exit 0, although the action {activity.get('name')} failed: {why}")
    before = file.mapping(states.get("before"))
    if before.get("steady_state_met") is False and exit_code == 0:
        said.append("exit 0, although the hypothesis was not met before the method, which was not played")
    samples = file.listed(states.get("during"))
    bad = [each for each in samples if each.get("steady_state_met") is False]
    if bad and not journal.get("deviated"):
        share = f"{len(bad)} of {len(samples)} looks during the method"
        said.append(f"not deviated for Chaos Toolkit, although {share} were not in tolerance")
    acted = any(file.mapping(each.get("activity")).get("type") == "action" for each in runs)
    if acted and file.listed(told.experiment.get("rollbacks")) and not file.listed(journal.get("rollbacks")):
        said.append("the rollbacks were not played: what the actions did may still be in force")
    for entry in file.listed(journal.get("rollbacks")):
        if (why := injection_failed(entry)) and exit_code == 0:
            name = file.mapping(entry.get("activity")).get("name")
            said.append(f"exit 0, although the rollback {name} failed: {why}")
    return said
