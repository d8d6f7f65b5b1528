"""Runs that are killed: a process that has everything imported and forks one run after the other, each in a process
group of its own, each with its own moment of death.

Reads one JSON object a line: {"words": the command's, "folder", "machine", "output": file, "event": "fault-seen/2" or
null, "after": seconds since its first line or null}. Answers with the process number as soon as the command's process
lives. Its output, and in a last line its exit code, go to the file.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from chaosrunner import catalog
from chaosrunner.app import Order, run_experiment
from chaosrunner.cli import chaosrunner, terms
from chaosrunner.model.journal import Entry


def die() -> None:
    """As the kernel would do it: the whole group, at once."""
    os.killpg(os.getpgrp(), signal.SIGKILL)


def die_after(event: str | None, after: float | None) -> Any:
    """An observer that dies at the given occurrence of an event, or so long after the first."""
    kind, _, number = (event or "").partition("/")
    seen: Counter[str] = Counter()

    def observe(entry: Entry) -> None:
        if after is not None and not seen:
            timer = threading.Timer(after, die)
            timer.daemon = True
            timer.start()
        name = entry.event.type
        seen[name] += 1
        if name == kind and seen[name] == int(number or 1):
            die()

    return observe


def live(order: dict[str, Any]) -> int:
    """One command in this freshly forked process; its exit code, if it lives that long."""
    os.setpgid(0, 0)
    os.chdir(order["folder"])
    os.environ["CHAOSRUNNER_MACHINE"] = order["machine"]
    if order["event"] or order["after"] is not None:
        experiment, state = order["words"][-1], Path(order["words"][1])
        observers = [die_after(order["event"], order["after"])]
        asyncio.run(run_experiment(Order(experiment=experiment, state=state), observers))
        return 0
    sys.argv = ["chaosrunner", *order["words"]]
    return terms.run(chaosrunner)


LATE = (
    *("app.concluding", "cli._check_formats", "cli.check", "cli.heal", "cli.local", "cli.run", "files.excerpts"),
    *("files.rules", "injector.control", "injector.holder", "judging.alerts", "judging.facts", "judging.faults"),
    *("judging.measures", "judging.sentences", "judging.series", "judging.stretches", "judging.tally"),
    *("register.near_misses", "reports.brief", "reports.html", "reports.summary", "stages.checking"),
    *("stages.detect", "stages.judge", "stages.register", "stages.remediate", "stages.report"),
    *("store.checked", "store.kept"),
)


def import_everything() -> None:
    """What a run imports late, so that not every fork has to; none looks for garbage among it either."""
    for role in ("faults", "probes", "platforms", "trackers"):
        for kind in catalog.kinds(role):
            catalog.find(role, kind)
    for module in LATE:
        importlib.import_module(f"chaosrunner.{module}")
    for module in ("concurrent.futures.thread", "encodings.utf_8_sig", "glob", "psutil", "pwd"):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def main() -> None:
    os.nice(10)  # two hundred runs must not take the processors from the tests beside them
    import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sink = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            code = 70
            try:
                code = live(order)
            finally:
                sys.stdout.flush()
                os.write(sink, f"\n{code}".encode())
                os._exit(code)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
