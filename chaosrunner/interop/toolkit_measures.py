"""A probe of a Chaos Toolkit hypothesis as one of our measures: by our own probes where they read the same, otherwise
by Chaos Toolkit's library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chaosrunner.interop import toolkit_file as file
from chaosrunner.model.quantities import write_duration

_WORKER = "chaosrunner.interop.toolkit_worker"
_VARIABLE = re.compile(r"\$\{\w+\}")
_SIMPLE_PATH = re.compile(r"\$(\.\w+|\[\d+\])+")
Said = dict[str, Any]


def measure_of(probe: Mapping[str, Any], beside: Mapping[str, Any]) -> tuple[Said, str]:
    """Its probe, parameters and tolerance, and a remark if there is one. `beside`: what an extension's function is
    given beside its arguments."""
    by = file.provider(probe)
    tolerance = probe.get("tolerance")
    made = None
    if not _VARIABLE.search(str((by, tolerance))):
        made = {"http": _http, "process": _command}.get(str(by.get("type")), _nothing)(by, tolerance)
    if made is None and by.get("type") == "python":
        made = _python(by, tolerance, beside)
    if made is not None:
        return made, ""
    arguments = {"provider": dict(by), "tolerance": tolerance}
    called = {"module": _WORKER, "func": "holds", "arguments": arguments, **beside}
    remark = "it is read and held by Chaos Toolkit's own library, and only says whether its tolerance was met."
    return {"chaostoolkit": {**called, **_limit(by)}, "tolerance": {"equals": True}}, remark


def _nothing(by: Said, tolerance: Any) -> Said | None:
    return None


def _limit(by: Said) -> Said:
    timeout = by.get("timeout")
    if isinstance(timeout, list) and timeout:
        timeout = timeout[-1]
    if isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout > 0:
        return {"timeout": write_duration(float(timeout))}
    return {}


def _one_of(values: list[Any]) -> Said:
    return {"matches": f"^({'|'.join(str(value) for value in values)})$"}


def _whole(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(type(value) is int for value in values)


def _status(tolerance: Any) -> Said | None:
    """A tolerance that is held against a status or an exit code: there a list of two is one of the two."""
    if type(tolerance) is int:
        return {"equals": tolerance}
    if _whole(tolerance):
        return _one_of(tolerance)
    held = file.mapping(tolerance)
    return _range(held) if held.get("target") == "status" else None


def _range(held: Mapping[str, Any]) -> Said | None:
    bounds = held.get("range")
    if held.get("type") != "range" or not isinstance(bounds, list) or len(bounds) != 2:
        return None
    return {"between": bounds} if all(_number(each) for each in bounds) else None


def _regex(held: Mapping[str, Any]) -> Said | None:
    try:
        re.compile(str(held.get("pattern")))
    except re.error:
        return None
    return {"matches": str(held["pattern"])} if held.get("type") == "regex" and "pattern" in held else None


def _http(by: Said, tolerance: Any) -> Said | None:
    if by.get("arguments") or by.get("verify_tls") is False or by.get("auth") or "secrets" in by:
        return None
    headers = {str(name): str(value) for name, value in file.mapping(by.get("headers")).items()}
    asked: Said = {"url": by.get("url"), **({"headers": headers} if headers else {}), **_limit(by)}
    if (method := str(by.get("method", "GET")).upper()) != "GET":
        asked["method"] = method
    if (rule := _status(tolerance)) is not None:
        return {"http": asked, "tolerance": rule}
    held = file.mapping(tolerance)
    if held.get("target") != "body":
        return None
    if (rule := _regex(held)) is not None:
        return {"http": {**asked, "read": "body"}, "tolerance": rule}
    if (expected := _one_at_a_path(held)) is not None:
        return {"http": {**asked, "read": "json", "path": held["path"]}, "tolerance": {"equals": expected[0]}}
    return None


def _command(by: Said, tolerance: Any) -> Said | None:
    given = by.get("arguments", [])
    if isinstance(given, str):
        run = ["sh", "-c", f"{by.get('path')} {given}"]
    else:
        words = [word for pair in given.items() for word in pair] if isinstance(given, dict) else given
        run = [str(by.get("path")), *(str(each) for each in words if each not in (None, ""))]
    asked = {"run": run, **_limit(by)}
    if (rule := _status(tolerance)) is not None:
        return {"command": asked, "tolerance": rule}
    held = file.mapping(tolerance)
    if held.get("target") == "stdout" and (rule := _regex(held)) is not None:
        return {"command": {**asked, "read": "stdout"}, "tolerance": rule}
    return None


def _python(by: Said, tolerance: Any, beside: Mapping[str, Any]) -> Said | None:
    called: Said = {
        "module": by.get("module"),
        "func": by.get("func"),
        "arguments": file.mapping(by.get("arguments")),
        **beside,
        **_limit(by),
    }
    if not called["arguments"]:
        del called["arguments"]
    held = file.mapping(tolerance)
    if isinstance(tolerance, bool | str) and not _VARIABLE.search(str(tolerance)):
        return {"chaostoolkit": called, "tolerance": {"equals": tolerance}}
    if isinstance(tolerance, list) and len(tolerance) == 2 and all(_number(each) for each in tolerance):
        return {"chaostoolkit": called, "tolerance": {"between": tolerance}}
    if held.get("target"):
        return None
    if (rule := _range(held) or _regex(held)) is not None:
        return {"chaostoolkit": called, "tolerance": rule}
    if (expected := _one_at_a_path(held)) is not None:
        return {"chaostoolkit": {**called, "path": held["path"]}, "tolerance": {"equals": expected[0]}}
    return None


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_at_a_path(held: Mapping[str, Any]) -> list[Any] | None:
    """What one value at a path is expected to be, where both dialects of paths mean the same."""
    if held.get("type") != "jsonpath" or "expect" not in held or not _SIMPLE_PATH.fullmatch(str(held.get("path"))):
        return None
    expected = held["expect"] if isinstance(held["expect"], list) else [held["expect"]]
    return expected if len(expected) == 1 and isinstance(expected[0], bool | str | int | float) else None
