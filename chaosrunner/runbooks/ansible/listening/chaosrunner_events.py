"""A callback of Ansible's: writes what happens, one JSON object a line, into the file that CHAOSRUNNER_EVENTS names.

Ansible imports it, in its own process; chaosrunner never does. What counts as a change is decided in `events`; this
only passes on what Ansible tells its callbacks, from which it has taken out what `no_log` hides.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase  # type: ignore[import-not-found,import-untyped,unused-ignore]

DOCUMENTATION = """
    name: chaosrunner_events
    type: notification
    short_description: what happens, as JSON lines
    description: Tells chaosrunner what a playbook changes, or would change.
"""
_TOLD = (
    "changed",
    "skipped",
    "skip_reason",
    "skipped_reason",
    "msg",
    "stderr",
    "module_stderr",
    "exception",
    "diff",
    "censored",
)
_ITEM = ("_ansible_item_label", "item")


class CallbackModule(CallbackBase):  # type: ignore[misc,unused-ignore]
    """Passes events on."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "chaosrunner_events"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        super().__init__()
        place = os.environ.get("CHAOSRUNNER_EVENTS")
        self.disabled = place is None
        self._place = Path(place) if place else None

    def _write(self, event: str, **facts: Any) -> None:
        if self._place is not None:
            with self._place.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"event": event, **facts}, default=str) + "\n")

    def _result(self, event: str, result: Any, **facts: Any) -> None:
        said = getattr(result, "result", None) or result._result
        task = getattr(result, "task", None) or result._task
        host = getattr(result, "host", None) or result._host
        self._write(
            event,
            host=host.get_name(),
            task=task.get_name().strip(),
            forReal=task.check_mode is False,
            result={
                **_told(said),
                "results": [_told(each) | _item(each) for each in said.get("results") or [] if isinstance(each, dict)],
            },
            **facts,
        )

    def v2_playbook_on_start(self, playbook: Any) -> None:
        from ansible import context  # type: ignore[import-not-found,import-untyped,unused-ignore]

        self._write("start", check=bool(context.CLIARGS.get("check")))

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._write("play", play=play.get_name().strip())

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._write("no-hosts")

    def v2_runner_on_ok(self, result: Any) -> None:
        self._result("ok", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._result("skipped", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._result("failed", result, ignored=bool(ignore_errors))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._result("unreachable", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._write("stats", hosts={host: stats.summarize(host) for host in sorted(stats.processed)})


def _told(said: dict[str, Any]) -> dict[str, Any]:
    return {name: said[name] for name in _TOLD if name in said}


def _item(said: dict[str, Any]) -> dict[str, Any]:
    label = next((said[name] for name in _ITEM if name in said), None)
    return {} if label is None else {"item": str(label)[:200]}
