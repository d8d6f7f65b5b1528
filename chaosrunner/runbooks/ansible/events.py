"""What Ansible's events say: what would change, what a check cannot tell, and what went wrong. Pure.

Ansible's exit code alone says little: a check in which every task was skipped ends with 0, and so does a playbook that
met no host. Observed with ansible-core 2.19; the events are those of its callbacks.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from chaosrunner.errors import RunbookFailed
from chaosrunner.model.runbook import RunbookChange, RunbookSays

Event = dict[str, Any]

_MOST_LINES = 200
"""Of one diff."""
_SHOWN = 300


def read_events(text: str) -> list[Event]:
    """The events of a file of them; a line that was cut off by the end of a process is none."""
    found = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            found.append(event)
    return found


def said(events: Sequence[Event], code: int, output: str, *, check: bool) -> RunbookSays:
    """What a playbook did, or would do. Raises `RunbookFailed` where it did not come to its end, or met nobody."""
    trouble = _trouble(events, code, output, check)
    if trouble:
        raise RunbookFailed(trouble, output, () if check else changed(events))
    return RunbookSays(
        changes=tuple(_changes(events, check)), unknown=tuple(dict.fromkeys(_unknown(events, check))), output=output
    )


def changed(events: Sequence[Event]) -> tuple[str, ...]:
    """What a playbook has changed so far, one line each."""
    return tuple(each.line for each in _changes(events, check=False))


# ------------------------------------------------------------------------------------------------------------- trouble


def _trouble(events: Sequence[Event], code: int, output: str, check: bool) -> str:
    """Why nothing can be made of it; empty: it came to its end."""
    start = next((each for each in events if each["event"] == "start"), None)
    if start is None:
        return f"Ansible did not begin to play (exit code {code}): {_last_words(output)}"
    if bool(start.get("check")) != check:
        mode = "for real, and was to be checked only" if check else "in check mode, and was to be applied"
        return f"Ansible played {mode}: does its configuration say so?"
    away = {each["host"]: _message(each) for each in events if each["event"] == "unreachable"}
    if away:
        hosts = "; ".join(f"{host}: {why}" for host, why in away.items())
        return f"out of reach, so that nothing can be said of it: {hosts}"
    stats = next((each["hosts"] for each in events if each["event"] == "stats"), None)
    # Of a host the last failure ended it; a `rescue` took care of those before.
    failed = {each["host"]: each for each in events if each["event"] == "failed" and not each.get("ignored")}
    if code != 0 or stats is None:
        where = [f"{host}: {each['task']}: {_message(each)}" for host, each in failed.items()]
        return "; ".join(where) or f"Ansible ended with {code}: {_last_words(output)}"
    if not stats:
        return "the playbook met no host: look at its `hosts`, the inventory and the limit"
    return ""


def _message(event: Event) -> str:
    result = event["result"]
    items = [each for each in result.get("results") or [] if each.get("msg")]
    said = [result.get("msg"), *(each.get("msg") for each in items), result.get("stderr"), result.get("module_stderr")]
    words = [" ".join(str(each).split()) for each in said if each and str(each) != "All items completed"]
    return ": ".join(dict.fromkeys(words))[:_SHOWN] or str(result.get("censored") or "it does not say why")


def _last_words(output: str) -> str:
    """The line that says what is wrong, or the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith(("ERROR", "[ERROR"))]
    return (wrong or lines or ["it said nothing"])[-1][:_SHOWN]


# ------------------------------------------------------------------------------------------------------------- changes


def _changes(events: Sequence[Event], check: bool) -> Iterator[RunbookChange]:
    for event in events:
        happened = event["event"] in ("ok", "failed") and event["result"].get("changed")
        if not happened or (check and (event.get("forReal") or event["event"] == "failed")):
            continue
        result = event["result"]
        items = [each for each in result.get("results") or [] if each.get("changed")]
        named = ", ".join(str(each["item"]) for each in items if "item" in each)
        diffs = [_diff(each.get("diff")) for each in [result, *items]]
        yield RunbookChange(
            where=str(event["host"]),
            what=f"{event['task']} ({named[:_SHOWN]})" if named else str(event["task"]),
            diff="\n".join(each for each in diffs if each) or str(result.get("censored") or ""),
        )


def _diff(diff: Any) -> str:
    """As lines of a unified diff; nothing where Ansible shows none."""
    parts = diff if isinstance(diff, list) else [diff]
    lines = [line for each in parts if isinstance(each, dict) for line in _one_diff(each)]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES} more lines"]
    return "\n".join(lines)


def _one_diff(diff: dict[str, Any]) -> list[str]:
    if "prepared" in diff:
        return str(diff["prepared"]).splitlines()
    for side in ("dst_binary", "src_binary"):
        if diff.get(side):
            return ["(a binary file)"]
    for side in ("dst_larger", "src_larger"):
        if diff.get(side):
            return [f"(larger than {diff[side]} bytes)"]
    before, after = _lines(diff.get("before")), _lines(diff.get("after"))
    names = str(diff.get("before_header") or "before"), str(diff.get("after_header") or "after")
    return list(difflib.unified_diff(before, after, *names, lineterm=""))


def _lines(side: Any) -> list[str]:
    if side is None:
        return []
    text = side if isinstance(side, str) else json.dumps(side, indent=2, sort_keys=True, default=str)
    return text.splitlines()


# ------------------------------------------------------------------------------------------------------------- unknown


def _unknown(events: Sequence[Event], check: bool) -> Iterator[str]:
    play = ""
    for event in events:
        kind = event["event"]
        if kind == "play":
            play = str(event["play"])
        elif kind == "no-hosts":
            yield f"the play {play} met no host"
        elif kind == "failed" and event.get("ignored"):
            yield f"{event['host']}: {event['task']} failed, which the playbook ignores: {_message(event)}"
        elif check and kind == "skipped" and _for_checking(event["result"]):
            yield f"{event['host']}: {event['task']} is not run while only checking"
        elif check and kind == "ok" and event.get("forReal") and event["result"].get("changed"):
            yield f"{event['host']}: {event['task']} runs while checking too (check_mode: false), and says it changed"


def _for_checking(result: dict[str, Any]) -> bool:
    """Whether a task was skipped because nothing may be changed, and not because of its own condition."""
    items = result.get("results") or [result]
    return any(not each.get("skip_reason") and not each.get("skipped_reason") for each in items) and not (
        result.get("skip_reason") or result.get("skipped_reason")
    )
