"""A control of Chaos Toolkit: what `chaos run` shows becomes near misses and remediation in chaosrunner's register.

    controls:
      - name: chaosrunner
        provider:
          type: python
          module: chaosrunner.interop.control
          arguments: {environment: staging}

`environment` (a name or path) says where remediation goes and who is told; `folder` is where chaosrunner keeps things
(default `.chaosrunner`); `time_limit` is in seconds (default 120). All of them may be left out. Chaos Toolkit's own
verdict and exit code stay what they are, whatever happens here.

The work is done by `chaosrunner record` in a process of its own: nothing of chaosrunner is imported into theirs, and
a control that hangs would keep the experiment from ending.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = ["after_experiment_control", "validate_control"]

RECORDED_BY = "CHAOSRUNNER_RECORDS"
"""Set where chaosrunner runs the experiment itself, and keeps what it shows anyway."""
_KNOWN = ("environment", "folder", "time_limit")
logger = logging.getLogger("chaostoolkit")


def validate_control(control: dict[str, Any]) -> None:
    """Called when the experiment is checked. A word that is not known would be passed over in silence otherwise."""
    given = control.get("provider", {}).get("arguments", {})
    for name in sorted(set(given) - set(_KNOWN)):
        logger.warning("chaosrunner: the control's argument %r is unknown, expected one of %s", name, ", ".join(_KNOWN))


def after_experiment_control(
    context: dict[str, Any],
    state: dict[str, Any] | None = None,
    environment: str | None = None,
    folder: str | None = None,
    time_limit: float = 120.0,
    **given: Any,
) -> None:
    """Called when the experiment has ended, with its journal. Says in Chaos Toolkit's log what was recorded."""
    if state is None or os.environ.get(RECORDED_BY):
        return
    with tempfile.TemporaryDirectory(prefix="chaosrunner-") as passing:
        path = Path(passing, "journal.json")
        path.write_text(json.dumps(state, default=str))
        words = [sys.executable, "-P", "-m", "chaosrunner", *(["--state", folder] if folder else [])]
        words += ["record", str(path), "--json", *(["-e", environment] if environment else [])]
        words += ["--command", again] if (again := _command(sys.argv)) else []
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=time_limit, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            logger.error("chaosrunner: nothing was recorded within %g s", time_limit)
            return
    if done.returncode != 0:
        logger.error("chaosrunner: nothing was recorded: %s", done.stderr.strip()[-400:])
        return
    for line in done.stderr.splitlines():
        logger.warning(line)
    _say(json.loads(done.stdout))


def _command(words: Sequence[str]) -> str:
    """`chaos run FILE`, where that is how Chaos Toolkit was called. Options are left out: they may hold secrets."""
    if Path(words[0]).name != "chaos" or "run" not in words:
        return ""
    after = words[words.index("run") :]
    files = [word for before, word in pairwise(after) if not before.startswith("--") and Path(word).is_file()]
    return f"chaos run {shlex.quote(files[0])}" if files else ""


def _say(found: dict[str, Any]) -> None:
    if not found["nearMisses"]:
        logger.info("chaosrunner: run %s is recorded; no near miss", found["run"])
    for each in found["nearMisses"]:
        logger.warning("chaosrunner: near miss %s, %s: %s", each["id"], each["priority"], each["title"])
