"""LitmusChaos's probes as measures of ours. Its five modes are our `during`."""

from __future__ import annotations

import re
import shlex
from typing import Any

from chaosrunner.interop.peer_draft import Draft, Said
from chaosrunner.interop.peer_fields import Fields, seconds
from chaosrunner.interop.toolkit_file import slug
from chaosrunner.model.quantities import write_duration

MODES = {"sot": "start", "eot": "end", "edge": "edge", "continuous": "continuous", "onchaos": "fault"}
"""LitmusChaos's mode, in small letters -> our `during`."""


def measure(draft: Draft, probe: Fields) -> None:
    """Add the measure of a probe, with remarks on what was lost."""
    name, kind, mode = probe.text("name", "probe"), probe.text("type"), probe.text("mode", "SOT")
    inputs = probe.inside(f"{kind}/inputs")
    make = {"httpProbe": _http, "cmdProbe": _command, "k8sProbe": _kubernetes, "promProbe": _prometheus}
    if kind not in make:
        told: Said = draft.about
        draft.note(told, f"The probe {name} ({kind or 'of no type'}) was left out: {_why_not(kind)}.")
        draft.leftovers(told, probe)
        return
    remarks: list[str] = []
    said = make[kind](inputs, remarks)
    made = draft.measure(slug(name, "probe"), said)
    during = MODES.get(mode.lower())
    if during is None:
        remarks.append(f"`mode: {mode}` is none of LitmusChaos's: the measure is read throughout.")
    else:
        made["during"] = during
    _properties(made, probe.inside("runProperties"), remarks)
    if not probe.text("data"):
        probe.take("data")
    if "tolerance" not in made:
        made.pop("abortAt", None)
        remarks.append("The measure has no tolerance: it is read and shown, and nothing is judged by it.")
    for remark in remarks:
        draft.note(made, remark)
    draft.leftovers(made, probe)


def _why_not(kind: str) -> str:
    if kind == "sloProbe":
        return (
            "the objective it asks for is kept by another service; write it as a measure `prometheus-slo`, or import "
            "it from OpenSLO"
        )
    return "there is no such probe here"


def _properties(made: Said, run: Fields, remarks: list[str]) -> None:
    """How often, how long, how many times."""
    interval, polling = seconds(run.take("interval")), seconds(run.take("probePollingInterval"))
    # `interval` is from one retry to the next; from one look to the next it is `probePollingInterval`.
    again = polling if made.get("during") in ("continuous", "fault") else None
    if every := again or interval or polling:
        made["every"] = write_duration(max(every, 0.1))
    if timeout := seconds(run.take("probeTimeout")):
        made["timeout"] = write_duration(timeout)
    attempts = run.number("attempt") or run.number("retry")
    run.take("retry")
    if attempts and attempts > 1:
        made["retries"] = int(min(attempts - 1, 5))
        if attempts > 6:
            remarks.append(f"It was tried {attempts:g} times; here at most 6.")
    if delay := run.take("initialDelay", run.take("initialDelaySeconds")):
        remarks.append(f"`initialDelay: {delay}` was left out: the step's `settle` leaves the first readings unjudged.")
    if str(run.take("stopOnFailure", "")).lower() == "true" and "tolerance" in made:
        made["abortAt"] = made["tolerance"]
        remarks.append("`stopOnFailure` is `abortAt` here: the fault is taken back at once.")
    run.take("verbosity")


def rule(kind: str, criteria: str, value: Any, remarks: list[str]) -> Said | None:
    """A comparator as a tolerance; None: there is none like it."""
    text = str(value).strip()
    if kind in ("string", ""):
        return _words(criteria, text)
    if criteria.lower() in ("oneof", "between"):
        values = [_value(each) for each in _listed(value)]
        if criteria.lower() == "between" and len(values) == 2:
            return {"between": values}
        return {"matches": f"^({'|'.join(re.escape(str(each)) for each in values)})$"} if values else None
    wanted = _value(text)
    if isinstance(wanted, str):
        return None
    if criteria in (">", "<"):
        step = 1 if kind == "int" else 0
        if not step:
            remarks.append(f"`{criteria}` is `{'atLeast' if criteria == '>' else 'atMost'}` here, the limit included.")
        return {"atLeast": wanted + step} if criteria == ">" else {"atMost": wanted - step}
    rules = {"==": "equals", ">=": "atLeast", "<=": "atMost"}
    if criteria in rules:
        return {rules[criteria]: wanted}
    return {"matches": rf"^(?!{re.escape(text)}$)"} if criteria == "!=" else None


def _words(criteria: str, text: str) -> Said | None:
    low = criteria.lower()
    if low in ("equal", "==", "equals"):
        return {"equals": text}
    if low == "oneof":
        return {"matches": f"^({'|'.join(re.escape(str(each)) for each in _listed(text))})$"}
    bare = re.escape(text)
    made = {
        "notequal": rf"^(?!{bare}$)",
        "!=": rf"^(?!{bare}$)",
        "contains": bare,
        "matches": text,
        "notmatches": rf"^(?!(.|\n)*{text})",
    }.get(low)
    try:
        return {"matches": made} if made is not None and re.compile(made) else None
    except re.error:
        return None


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [each.strip().strip("\"'") for each in str(value).strip("[]() ").split(",") if each.strip()]


def _value(text: Any) -> Any:
    try:
        number = float(str(text).strip())
    except ValueError:
        return str(text)
    return int(number) if number.is_integer() else number


def _compared(inputs: Fields, remarks: list[str], otherwise: str = "string") -> tuple[str, Said]:
    """(type, the tolerance if there is one) of a `comparator`. `otherwise`: its type where it says none."""
    given = inputs.inside("comparator")
    kind, criteria, value = given.text("type", otherwise).lower(), given.text("criteria"), given.take("value", "")
    made = rule(kind, criteria, value, remarks)
    if made is None and given:
        remarks.append(f"The comparator {kind} {criteria} {value!r} has no counterpart: say a `tolerance`.")
    return kind, ({"tolerance": made} if made is not None else {})


def _http(inputs: Fields, remarks: list[str]) -> Said:
    asked: Said = {"url": inputs.text("url") or "http://say-which.example/"}
    if str(inputs.take("insecureSkipVerify", "")).lower() == "true":
        remarks.append("`insecureSkipVerify` was left out: name the certificate in `caFile`.")
    if (timeout := inputs.number("responseTimeout")) is not None and timeout > 0:
        asked["timeout"] = write_duration(timeout / 1000)
    method = inputs.inside("method")
    post, get = method.inside("post"), method.inside("get")
    how = post if post else get
    if post:
        asked["method"] = "POST"
        if body := post.text("body"):
            asked["body"] = body
        if kind := post.text("contentType"):
            asked["headers"] = {"Content-Type": kind}
    criteria, code = how.text("criteria", "=="), how.take("responseCode")
    told = how.text("responseBody")
    if told:
        made = rule("string", criteria, told, remarks)
        return {"http": {**asked, "read": "body"}, **({"tolerance": made} if made else {})}
    made = rule("int", criteria, 200 if code is None else code, remarks)
    return {"http": asked, **({"tolerance": made} if made else {})}


def _command(inputs: Fields, remarks: list[str]) -> Said:
    command = inputs.text("command")
    if source := inputs.inside("source"):
        image = source.text("image", "an image")
        remarks.append(
            f"It ran in a pod of its own ({image}): here it runs where chaosrunner does, which must have it."
        )
        for name in source.names():
            if name != "image":
                remarks.append(f"`source.{name}` was left out.")
                source.take(name)
    kind, tolerance = _compared(inputs, remarks)
    read = "number" if kind in ("int", "float") else "stdout"
    return {"command": {"run": ["sh", "-c", command or "true"], "read": read}, **tolerance}


def _prometheus(inputs: Fields, remarks: list[str]) -> Said:
    query, endpoint = inputs.text("query"), inputs.text("endpoint")
    if path := inputs.text("queryPath"):
        remarks.append(f"The query stood in the file {path} of the probe's pod: write it here.")
    _, tolerance = _compared(inputs, remarks, "float")  # a promProbe's comparator needs no type
    asked: Said = {"query": query or "vector(1)", **({"url": endpoint} if endpoint else {})}
    return {"prometheus": asked, **tolerance}


def _kubernetes(inputs: Fields, remarks: list[str]) -> Said:
    resource, space = inputs.text("resource", "pods"), inputs.text("namespace")
    labels, fields = inputs.text("labelSelector"), inputs.text("fieldSelector")
    group, names = inputs.text("group"), inputs.text("resourceNames")
    inputs.take("version")
    operation = inputs.text("operation", "present").lower()
    if operation not in ("present", "absent"):
        remarks.append(f"`operation: {operation}` was left out: a measure changes nothing. Here it looks for presence.")
        inputs.take("data")
    there = operation != "absent"
    if resource in ("pod", "pods") and labels and not fields and not names:
        remarks.append("LitmusChaos looks whether pods are there; here they are counted where they are ready.")
        asked: Said = {"selector": labels, **({"namespace": space} if space else {}), "read": "readyPods"}
        return {"kubernetes": asked, "tolerance": {"atLeast": 1} if there else {"atMost": 0}}
    run = ["kubectl", "get", f"{resource}.{group}" if group else resource, "--ignore-not-found", "-o", "name"]
    run += [each.strip() for each in names.split(",") if each.strip()]
    run += [*(["-n", space] if space else []), *(["-l", labels] if labels else [])]
    run += ["--field-selector", fields] if fields else []
    remarks.append(f"It is asked by `{shlex.join(run[:3])}`, which must be where chaosrunner runs.")
    return {"command": {"run": run, "read": "stdout"}, "tolerance": {"matches": "." if there else "^$"}}
