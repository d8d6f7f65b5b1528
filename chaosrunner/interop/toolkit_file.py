"""Chaos Toolkit's experiment files, read as what they are: JSON or YAML without a schema of ours.

Nothing is validated here: their own library does that in its own process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from chaosrunner.errors import UsageError

ENDINGS = (".json", ".yaml", ".yml")
"""Those that Chaos Toolkit itself reads."""
_OURS = re.compile(r"^\s*[\"']?apiVersion[\"']?\s*:", re.MULTILINE)
_THEIRS = re.compile(r"^\s*[\"']?(method|steady-state-hypothesis)[\"']?\s*:", re.MULTILINE)
_JSON_START = re.compile(r"\s*[{\[]")


def is_toolkit_file(path: Path) -> bool:
    """Whether a file is a Chaos Toolkit experiment, by its ending and its top keys; quick, and never raises.

    Ours have `apiVersion` at the top, theirs never do.
    """
    if path.suffix.lower() not in ENDINGS:
        return False
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return False
    if path.suffix.lower() == ".json" or _JSON_START.match(text):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return False
        return isinstance(found, dict) and "apiVersion" not in found and _is_theirs(found)
    top = "\n".join(line for line in text.splitlines() if line[:1] not in (" ", "\t", "-", "#"))
    return _OURS.search(top) is None and _THEIRS.search(top) is not None


def _is_theirs(found: Mapping[str, Any]) -> bool:
    return "method" in found or "steady-state-hypothesis" in found


def read_json_or_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a file. Raises `UsageError` where there is none."""
    try:
        text = path.read_text()
        if path.suffix.lower() == ".json":
            found = json.loads(text)
        else:
            found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: is neither JSON nor YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path}: expected a mapping, as Chaos Toolkit writes it")
    return found


# Everything below takes a file that nobody has validated, and passes over what is not of the expected shape.


def mapping(value: object) -> dict[str, Any]:
    """The value if it is a mapping, otherwise an empty one."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def listed(value: object) -> list[dict[str, Any]]:
    """The mappings in a list; nothing for anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def hypothesis(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """Its steady-state hypothesis; empty: none."""
    return mapping(experiment.get("steady-state-hypothesis"))


def activities(experiment: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, activity) of all: `hypothesis`, `method` or `rollbacks`."""
    for probe in listed(hypothesis(experiment).get("probes")):
        yield "hypothesis", probe
    for place in ("method", "rollbacks"):
        for activity in listed(experiment.get(place)):
            yield place, activity


def resolved(experiment: Mapping[str, Any], activity: Mapping[str, Any]) -> dict[str, Any]:
    """The activity that a `ref` names; the activity itself if it is none, or names nothing."""
    if "ref" in activity:
        for _, other in activities(experiment):
            if other.get("name") == activity["ref"] and "ref" not in other:
                return other
    return dict(activity)


def provider(activity: Mapping[str, Any]) -> dict[str, Any]:
    """What carries an activity out."""
    return mapping(activity.get("provider"))


def settings_of_ours(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says to chaosrunner, where Chaos Toolkit lets others say something: the extension `chaosrunner`."""
    for extension in listed(experiment.get("extensions")):
        if extension.get("name") == "chaosrunner":
            return {key: value for key, value in extension.items() if key != "name"}
    return {}


def slug(text: object, otherwise: str) -> str:
    """A stable name of a title: `Checkout holds!` is `checkout-holds`; at most 80 characters."""
    words = re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")[:80].strip("-")
    return words or otherwise


def distinct(names: list[str]) -> list[str]:
    """The same names, the second of two equal ones with a number."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found


def what_it_does(activity: Mapping[str, Any]) -> str:
    """What carries it out, in a few words, without arguments: `chaosk8s.pod.actions.terminate_pods`."""
    by = provider(activity)
    if by.get("type") == "python":
        return f"{by.get('module')}.{by.get('func')}"
    if by.get("type") == "http":
        return f"{by.get('method', 'GET')} {str(by.get('url', '')).partition('?')[0]}"
    return str(by.get("path", activity.get("name", "an activity")))
