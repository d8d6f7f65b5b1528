"""A Chaos Toolkit experiment in our own format: YAML that passes `check`, with remarks on what could not be said there.

What our own probes can read is read by them; everything else is carried out by Chaos Toolkit's library, through the
kind `chaostoolkit` of fault and probe, so nothing is lost. Two things are ours and not theirs: a hypothesis is watched
throughout, not only before and after, and a fault names its own undo.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import yaml

from chaosrunner.errors import UsageError
from chaosrunner.interop import toolkit_file as file
from chaosrunner.interop.toolkit_measures import measure_of
from chaosrunner.model.quantities import write_duration
from chaosrunner.records.light import dataclass

LEAST = 10.0
"""Seconds that a converted fault is in force at least: time enough to be seen, and its effect read."""
_WORKER = "chaosrunner.interop.toolkit_worker"
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_UNKNOWN = "environment"


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of a file."""

    text: str
    """YAML, with the remarks as comments above it."""
    remarks: tuple[str, ...]
    """What could not be translated, or means something else now."""


@dataclass(slots=True)
class Names:
    """What `${name}` stands for."""

    constants: dict[str, Any] = field(default_factory=dict)
    """Put in where they are named."""
    secrets: dict[str, Any] = field(default_factory=dict)
    """Where the others come from, as our files write it."""

    def put(self, value: Any) -> Any:
        """The same with the constants in place of their names."""
        if isinstance(value, str):
            whole = _VARIABLE.fullmatch(value)
            if whole is not None and whole[1] in self.constants:
                return self.constants[whole[1]]
            return _VARIABLE.sub(lambda found: str(self.constants.get(found[1], found[0])), value)
        if isinstance(value, dict):
            return {str(key): self.put(each) for key, each in value.items()}
        return [self.put(each) for each in value] if isinstance(value, list) else value

    def needed(self, value: Any) -> dict[str, Any]:
        """The secrets that are named in it."""
        return {name: self.secrets[name] for name in _VARIABLE.findall(str(value)) if name in self.secrets}


def convert(experiment: Mapping[str, Any], origin: str, environment: str | None) -> Converted:
    """Our format of it. `origin` is the file's name; `environment` the one to use, None: one is written beside it.

    Raises `UsageError` for what is no experiment at all.
    """
    if "method" not in experiment and "steady-state-hypothesis" not in experiment:
        raise UsageError(f"{origin}: expected an experiment of Chaos Toolkit, with a `method`")
    made = _Conversion(experiment, environment)
    documents = [*([] if environment else [_environment()]), made.document()]
    remarks = tuple(dict.fromkeys(made.remarks))
    head = [f"# Converted from {origin}, an experiment of Chaos Toolkit.", "#"]
    head += [line for remark in remarks for line in _comment(remark)]
    body = "---\n".join(
        yaml.safe_dump(each, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False)
        for each in documents
    )
    return Converted("\n".join(head) + "\n" + body, remarks)


def _comment(remark: str) -> list[str]:
    """As comment lines of at most 118 characters."""
    lines, line = [], "# *"
    for word in remark.split():
        if len(line) + len(word) > 116:
            lines.append(line)
            line = "#  "
        line += f" {word}"
    return [*lines, line]


def _environment() -> dict[str, Any]:
    return {
        "apiVersion": "chaosrunner.dev/v1",
        "kind": "Environment",
        "metadata": {"name": _UNKNOWN},
        "spec": {"platform": {"local": {"services": {"system": {"listens": 8080}}}}},
    }


class _Conversion:
    """One experiment on its way."""

    def __init__(self, experiment: Mapping[str, Any], environment: str | None) -> None:
        self._experiment = experiment
        self._environment = environment
        self.remarks: list[str] = []
        self._names = self._variables()

    def document(self) -> dict[str, Any]:
        """The experiment's document."""
        title = str(self._names.put(self._experiment.get("title")) or "An experiment of Chaos Toolkit")
        ours = file.settings_of_ours(self._experiment)
        name = file.slug(title, "converted")
        if self._environment is None:
            self.remarks.append(
                "Chaos Toolkit knows no environments: the one below is a stand-in. Say there which system this is, "
                "or convert with -e NAME."
            )
        spec: dict[str, Any] = {
            "title": title,
            **({"description": text} if (text := str(self._experiment.get("description") or "")) else {}),
            "service": file.slug(ours.get("service") or name, name),
            **({"owner": str(ours["owner"])} if ours.get("owner") else {}),
            "environment": self._environment or _UNKNOWN,
            "hypotheses": [self._hypothesis()],
            "baseline": "10s",
            "method": self._method(),
            "recovery": {"within": "60s"},
        }
        self._passed_over()
        return {
            "apiVersion": "chaosrunner.dev/v1",
            "kind": "Experiment",
            "metadata": {"name": name},
            "spec": spec,
        }

    # -------------------------------------------------------------------------------------------------- variables

    def _variables(self) -> Names:
        names = Names()
        for name, value in file.mapping(self._experiment.get("configuration")).items():
            kind = file.mapping(value).get("type")
            if kind == "probe":
                self.remarks.append(
                    f"`configuration.{name}` is found out by a probe at the start: ${{{name}}} stays as it is."
                )
            elif kind == "env" and "default" in value:
                names.constants[name] = value["default"]
                self.remarks.append(
                    f"`configuration.{name}` came from {value.get('key')}; its default stands here instead."
                )
            elif kind == "env":
                names.secrets[name] = {"env": str(value.get("key"))}
            else:
                names.constants[name] = value
        self._secrets(file.mapping(self._experiment.get("secrets")), names)
        return names

    def _secrets(self, given: Mapping[str, Any], names: Names) -> None:
        for name, value in given.items():
            kind = file.mapping(value).get("type")
            if kind == "env":
                names.secrets[name] = {"env": str(value.get("key"))}
            elif kind == "vault":
                self.remarks.append(f"The secret {name} lies in Vault: put it into an environment variable or a file.")
                names.secrets[name] = {"env": name.upper()}
            elif isinstance(value, dict):
                self._secrets(value, names)
            else:
                self.remarks.append(
                    f"The secret {name} stood in the file itself; here it is expected in ${name.upper()}."
                )
                names.secrets[name] = {"env": name.upper()}

    # ------------------------------------------------------------------------------------------------- hypothesis

    def _hypothesis(self) -> dict[str, Any]:
        found = file.hypothesis(self._experiment)
        probes = [file.resolved(self._experiment, each) for each in file.listed(found.get("probes"))]
        names = file.distinct([file.slug(probe.get("name"), "probe") for probe in probes])
        measures = []
        for name, probe in zip(names, probes, strict=True):
            put = self._names.put(probe)
            measure, remark = measure_of(put, self._with_secrets(put))
            measures.append({"name": name, **measure, "every": "2s"})
            if remark:
                self.remarks.append(f"The probe {probe.get('name')}: {remark}")
        if not measures:
            self.remarks.append("There is no hypothesis: say what must hold, or nothing can be learnt.")
            measures.append(
                {"name": "nothing-is-known", "noop": {"value": 1}, "tolerance": {"equals": 1}, "every": "2s"}
            )
        title = str(self._names.put(found.get("title")) or "The system is as it should be")
        return {"name": file.slug(title, "steady-state"), "title": title, "measures": measures}

    def _with_secrets(self, activity: Mapping[str, Any]) -> dict[str, Any]:
        """What an extension's function needs to know beside its arguments."""
        by = file.provider(activity)
        given = self._names.needed(by)
        for group in by.get("secrets") or ():
            inner = file.mapping(file.mapping(self._experiment.get("secrets")).get(group))
            given |= {name: self._names.secrets[name] for name in inner if name in self._names.secrets}
        constants = self._names.constants if by.get("type") == "python" else {}
        return {**({"configuration": constants} if constants else {}), **({"secrets": given} if given else {})}

    # ----------------------------------------------------------------------------------------------------- method

    def _method(self) -> list[dict[str, Any]]:
        """All actions, each from when it would have come until the end, as Chaos Toolkit undoes nothing before."""
        timed, end = self._timed()
        undos = self._undos(len(timed))
        steps = []
        for (at, action, confirm), undo in zip(timed, undos, strict=True):
            if undo is None:
                self.remarks.append(
                    f"The action {action.get('name')} was left out: no rollback takes it back, and a fault names its "
                    "undo."
                )
                continue
            after = {"after": write_duration(at)} if at else {}
            lasts = write_duration(max(LEAST, end - at))
            steps.append({**self._fault(action, undo, confirm), "for": lasts, **after})
        if not steps:
            self.remarks.append(
                "Nothing is broken any more: choose a fault in place of `noop` (`chaosrunner catalog`)."
            )
            return [{"fault": "noop", "for": "10s"}]
        names = file.distinct([step["id"] for step in steps])
        steps = [{**step, "id": name} for name, step in zip(names, steps, strict=True)]
        if len(steps) > 1:
            return [{"together": steps}]
        steps[0].pop("after", None)
        return steps

    def _timed(self) -> tuple[list[tuple[float, dict[str, Any], dict[str, Any] | None]], float]:
        """(seconds from the beginning, action, the probe that confirms it), and how long the method takes."""
        now = 0.0
        found: list[tuple[float, dict[str, Any], dict[str, Any] | None]] = []
        for each in file.listed(self._experiment.get("method")):
            activity = file.resolved(self._experiment, each)
            pauses = file.mapping(self._names.put(activity.get("pauses")))
            now += _seconds(pauses.get("before"))
            if activity.get("type") == "action":
                found.append((now, activity, None))
            elif "tolerance" in activity:
                found = [(at, action, confirm or activity) for at, action, confirm in found]
            else:
                self.remarks.append(
                    f"The probe {activity.get('name')} of the method was left out: it says nothing of what is "
                    "expected. With a `tolerance` it would confirm the actions before it."
                )
            now += _seconds(pauses.get("after"))
        return found, now

    def _undos(self, actions: int) -> list[dict[str, Any] | None]:
        """For each action what takes it back: rollbacks in their order, the last one for those that are left."""
        rollbacks = [file.resolved(self._experiment, each) for each in file.listed(self._experiment.get("rollbacks"))]
        if rollbacks and actions and len(rollbacks) != actions:
            self.remarks.append(
                f"There are {len(rollbacks)} rollbacks for {actions} actions: look whether each fault has its own undo."
            )
        if len(rollbacks) > actions:
            names = ", ".join(str(each.get("name")) for each in rollbacks[actions:])
            self.remarks.append(f"Rollbacks without an action of their own were left out: {names}.")
        return [rollbacks[min(place, len(rollbacks) - 1)] if rollbacks else None for place in range(actions)]

    def _fault(self, action: dict[str, Any], undo: dict[str, Any], confirm: dict[str, Any] | None) -> dict[str, Any]:
        given: dict[str, Any] = {**self._call(action), "undo": self._call(undo)}
        if confirm is None:
            self.remarks.append(
                f"Nothing confirms that {action.get('name')} is in force: name a probe under `confirm`, or the run is "
                "inconclusive."
            )
        else:
            put = self._names.put(confirm)
            arguments = {"provider": file.provider(put), "tolerance": put["tolerance"]}
            given["confirm"] = {"module": _WORKER, "func": "holds", "arguments": arguments}
        timeout = _seconds(file.provider(action).get("timeout"))
        secrets: dict[str, Any] = {}
        for each in (action, undo, confirm or {}):
            found = self._with_secrets(self._names.put(each))
            secrets = {**secrets, **found, "secrets": {**secrets.get("secrets", {}), **found.get("secrets", {})}}
        secrets = {key: value for key, value in secrets.items() if value}
        limit = {"timeout": write_duration(min(timeout, 600.0))} if timeout else {}
        return {
            "id": file.slug(action.get("name"), "action"),
            "fault": "chaostoolkit",
            "with": {**given, **secrets, **limit},
        }

    def _call(self, activity: Mapping[str, Any]) -> dict[str, Any]:
        """A function that does what an activity does."""
        by = file.provider(self._names.put(activity))
        if by.get("type") == "python":
            return {"module": by.get("module"), "func": by.get("func"), "arguments": file.mapping(by.get("arguments"))}
        return {"module": _WORKER, "func": "perform", "arguments": {"provider": by}}

    def _passed_over(self) -> None:
        experiment = self._experiment
        if experiment.get("controls") or any(each.get("controls") for _, each in file.activities(experiment)):
            self.remarks.append(
                "Controls were left out: notifiers, guards and trackers of the environment do their work."
            )
        if experiment.get("runtime"):
            self.remarks.append(
                "The strategies of `runtime` mean nothing here: faults are always undone, hypotheses always watched."
            )
        if experiment.get("tags") or experiment.get("contributions"):
            self.remarks.append("Tags and contributions were left out; `metadata.labels` can take them.")


def _seconds(value: object) -> float:
    """A pause or a time limit; 0 for one that is only known later."""
    if isinstance(value, list | tuple) and value:
        value = value[-1]
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0.0
