"""A process of its own in which Chaos Toolkit's library runs, and with it whatever extensions do: the only importer of
`chaoslib`.

Started as `python -P -m chaosrunner.interop.toolkit_worker`, it takes one order a line on standard input, as JSON, and
gives one answer a line on what was its standard output. Extensions print to standard error. Its starter limits its
time and kills it, with everything that it started, when an answer does not come.

Orders are `{"do": "call", …}` (one function of an extension) and `{"do": "run", …}` (a whole experiment).
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, TextIO
from uuid import UUID

from chaosrunner.interop.control import RECORDED_BY

LONGEST = 1_000_000
"""Characters of what a function returns that are handed on; more is said to be too long."""
IDLE, IDLE_FOR = 75, 30.0
"""What it exits with when nobody asked it for anything for so many seconds."""
AGAIN = 0.5
"""Seconds after which a Ctrl-C that nobody took note of comes again."""
_HIDDEN = "(secret)"
_SHORTEST_SECRET = 4
"""Characters: shorter secrets are not looked for in what is written, as they occur everywhere."""


def main() -> None:
    """Answer orders until there are no more."""
    answers = _private_output()
    logging.basicConfig(stream=sys.stderr, format="[%(levelname)s] %(message)s", level=logging.INFO)
    while _more(seconds=IDLE_FOR):
        line = sys.stdin.readline()
        if not line:
            return
        order = json.loads(line)
        if order["do"] != "run":
            _end_with_starter()
        answer = run(order) if order["do"] == "run" else call(order)
        answers.write(json.dumps(answer, default=encoded) + "\n")
        answers.flush()


def _more(seconds: float) -> bool:
    """Whether there is an order, or an end of them. Whoever forgot about this process is not burdened by it for long.

    Its starter waits for an answer before it sends more, so nothing of an order is in a buffer of Python's here.
    """
    if select.select([0], [], [], seconds)[0]:
        return True
    sys.exit(IDLE)


@cache
def _end_with_starter() -> None:
    """From now on, end with everything that was started here when the starter dies, whatever is under way: its ledger
    says what is to be taken back, and nothing may act after that. Standard input is a pipe whose other end only the
    starter has, so it hangs up then, however the starter died.

    A whole experiment of Chaos Toolkit goes on to its end, as only that plays its rollbacks.
    """

    def watch() -> None:
        poll = select.poll()
        poll.register(0, 0)  # a hang-up is told without being asked for
        while not any(told & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, told in poll.poll()):
            pass
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="ends with its starter", daemon=True).start()


def _private_output() -> TextIO:
    """What was standard output, for answers alone: what extensions print there goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def encoded(value: object) -> object:
    """What JSON has no word for, as people would write it: nothing that a function returns costs the journal."""
    for word in ("isoformat", "tolist"):
        if callable(convert := getattr(value, word, None)):
            return convert()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


# ------------------------------------------------------------------------------------------------------------- calls


def call(order: Mapping[str, Any]) -> dict[str, Any]:
    """Call one function as an activity of Chaos Toolkit would: `{"value": …}`, or `{"failed": words}`."""
    from chaoslib.exceptions import ActivityFailed, InvalidActivity
    from chaoslib.provider.python import run_python_activity, validate_python_activity

    activity = {
        "type": "action",
        "name": f"{order['module']}.{order['func']}",
        "provider": {
            "type": "python",
            "module": order["module"],
            "func": order["func"],
            "arguments": dict(order.get("arguments", {})),
            "secrets": ["given"],
        },
    }
    try:
        validate_python_activity(activity)
        if order.get("only") == "validate":
            return {"value": None}
        value = run_python_activity(activity, dict(order.get("configuration", {})), {"given": order.get("secrets", {})})
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            return {"failed": f"{activity['name']} is an async function, which Chaos Toolkit never awaits"}
        text = json.dumps(value, default=encoded)
    except (ActivityFailed, InvalidActivity) as error:
        return {"failed": str(error) or type(error).__name__, "invalid": isinstance(error, InvalidActivity)}
    except Exception as error:  # noqa: BLE001  an extension may raise anything, also while it is imported
        return {"failed": f"{type(error).__name__}: {error}"}
    if len(text) > LONGEST:
        return {"failed": f"it returned {len(text)} characters, more than {LONGEST}"}
    return {"value": json.loads(text)}


def perform(provider: dict[str, Any]) -> Any:
    """Do what an activity of any provider does: what files that were converted call. Raises where it failed, and where
    a program exited with another code than 0 or a request was answered with 400 or more."""
    from chaoslib.activity import run_activity
    from chaoslib.exceptions import ActivityFailed

    output = run_activity({"type": "action", "name": "it", "provider": provider}, {}, {})
    status = output.get("status") if isinstance(output, dict) else None
    if provider["type"] == "process" and status:
        raise ActivityFailed(f"it exited with {status}: {str(output.get('stderr')).strip()[-200:]}")
    if provider["type"] == "http" and isinstance(status, int) and status >= 400:
        raise ActivityFailed(f"it was answered with {status}")
    return output


def holds(provider: dict[str, Any], tolerance: Any) -> bool:
    """Whether a probe of any provider is in its tolerance, as Chaos Toolkit holds it."""
    from chaoslib.activity import run_activity
    from chaoslib.hypothesis import within_tolerance

    output = run_activity({"type": "probe", "name": "it", "tolerance": None, "provider": provider}, {}, {})
    return bool(within_tolerance(tolerance, output, configuration={}, secrets={}))


# -------------------------------------------------------------------------------------------------------------- runs


def run(order: Mapping[str, Any]) -> dict[str, Any]:
    """Run an experiment as `chaos run` does.

    The answer has `journal` (as far as it came), and where something kept it from its end `invalid` (nothing was
    started) or `crashed`, with words; `confirmed`: for activities of the method that are probes with a tolerance, by
    their place, whether it was met, which Chaos Toolkit itself does not look at; `recovery`: what the hypothesis said
    after the rollbacks, where that was asked for.
    """
    from chaoslib.exceptions import ChaosException

    seen = _Seen()
    os.environ[RECORDED_BY] = "1"
    try:
        experiment, settings, variables = _loaded(order)
    except (ChaosException, OSError, ValueError) as error:
        return {"invalid": str(error) or type(error).__name__}
    except Exception as error:  # noqa: BLE001  the library trips over files of another shape in every way there is
        return {"invalid": f"it cannot be read as an experiment: {type(error).__name__}: {error}"}
    answer: dict[str, Any] = {}
    try:
        journal = _executed(experiment, settings, variables, order, seen)
    except Exception as error:  # noqa: BLE001  what escapes from the library is part of its semantics
        logging.getLogger("chaostoolkit").error("".join(traceback.format_exception_only(error)).strip())
        journal = seen.journal
        answer["crashed"] = f"{type(error).__name__}: {error}"
    answer["confirmed"] = seen.places(journal)
    if "crashed" not in answer and (why := _unwritable(journal)):
        answer["crashed"] = why
    if order.get("recovery") and "crashed" not in answer:
        answer["recovery"] = _watch_recovery(experiment, journal, seen, order)
    if "dry" in journal.get("experiment", {}):
        journal["experiment"]["dry"] = order.get("dry")
    answer["journal"] = journal
    hidden = _without(json.loads(json.dumps(answer, default=encoded)), _leaves(seen.secrets))
    assert isinstance(hidden, dict)
    return hidden


def _unwritable(journal: Mapping[str, Any]) -> str:
    """Why `chaos run` cannot write this journal, and then ends as one that failed; empty: it can."""

    def known(value: object) -> str:
        if isinstance(value, date | Decimal | UUID | Enum):
            return str(value)
        raise TypeError(f"{type(value).__name__} is not JSON")

    try:
        json.dumps(journal, default=known)
    except (TypeError, ValueError) as error:
        return f"Chaos Toolkit cannot write its journal: {error}"
    return ""


def _loaded(order: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """The experiment, valid, with the settings and variables that count: what `chaos run` does before it starts."""
    from chaoslib import convert_vars, merge_vars
    from chaoslib.control import load_global_controls
    from chaoslib.experiment import ensure_experiment_is_valid, load_experiment
    from chaoslib.settings import CHAOSTOOLKIT_CONFIG_PATH, load_settings
    from chaoslib.types import Dry

    settings = load_settings(order.get("settings") or CHAOSTOOLKIT_CONFIG_PATH) or {}
    variables = merge_vars(convert_vars(list(order.get("var", ()))), list(order.get("var_file", ())))
    load_global_controls(settings, list(order.get("control_file", ())))
    experiment = load_experiment(order["path"], settings)
    if not order.get("no_validation"):
        ensure_experiment_is_valid(experiment)
    experiment["dry"] = Dry.from_string(order.get("dry"))
    return experiment, settings, variables


def _executed(
    experiment: dict[str, Any], settings: dict[str, Any], variables: Any, order: Mapping[str, Any], seen: _Seen
) -> dict[str, Any]:
    from chaoslib.experiment import run_experiment
    from chaoslib.types import Schedule, Strategy

    hypothesis, rollbacks = _strategies(experiment, settings, order)
    if order.get("rollbacks_only"):
        hypothesis, rollbacks = "skip", "always"
        experiment["method"] = []
    settings["runtime"]["rollbacks"]["strategy"] = rollbacks
    with _insistent(seen):
        journal: dict[str, Any] = run_experiment(
            experiment,
            settings=settings,
            strategy=Strategy.from_string("continuously" if hypothesis == "continously" else hypothesis),
            schedule=Schedule(float(order.get("frequency", 1.0)), bool(order.get("fail_fast"))),
            experiment_vars=variables,
            event_handlers=[seen.handler()],
        )
    return journal


@contextmanager
def _insistent(seen: _Seen) -> Iterator[None]:
    """Lets a Ctrl-C come again where it got lost: Python drops an exception that is raised in a callback of its own,
    such as one of the import system, and the activity would go on to its end."""

    def arrived(number: int, frame: object) -> None:
        if number == signal.SIGALRM and (seen.heard or seen.rolling_back):
            return
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
        raise KeyboardInterrupt

    before = [(number, signal.signal(number, arrived)) for number in (signal.SIGINT, signal.SIGALRM)]
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            signal.signal(number, handler)


def _strategies(experiment: Mapping[str, Any], settings: dict[str, Any], order: Mapping[str, Any]) -> tuple[str, str]:
    """Of the hypothesis and of the rollbacks: the command's, or the experiment's, or the settings', or the default."""
    runtime = settings.setdefault("runtime", {})
    found = []
    for what in ("hypothesis", "rollbacks"):
        runtime.setdefault(what, {}).setdefault("strategy", "default")
        if experiment.get("runtime"):
            runtime[what]["strategy"] = experiment["runtime"].get(what, {}).get("strategy", "default")
        found.append(order.get(f"{what}_strategy") or runtime[what]["strategy"])
    runtime["hypothesis"]["strategy"] = found[0]
    return found[0], found[1]


def _watch_recovery(
    experiment: dict[str, Any], journal: Mapping[str, Any], seen: _Seen, order: Mapping[str, Any]
) -> list[Any]:
    """What the hypothesis says after the rollbacks: until three times in a row it is met, or the time is over."""
    from datetime import UTC, datetime
    from time import monotonic, sleep

    from chaoslib.hypothesis import run_steady_state_hypothesis
    from chaoslib.run import EventHandlerRegistry

    if not journal.get("run") or not (experiment.get("steady-state-hypothesis") or {}).get("probes"):
        return []
    states: list[Any] = []
    until = monotonic() + float(order["recovery"])
    met = 0
    while met < 3 and monotonic() < until:
        began = datetime.now(UTC).isoformat()
        try:
            state = run_steady_state_hypothesis(
                experiment, seen.configuration, seen.secrets, dry=None, event_registry=EventHandlerRegistry()
            )
        except Exception as error:  # noqa: BLE001  see `run`
            state = {"steady_state_met": None, "probes": [], "error": f"{type(error).__name__}: {error}"}
        states.append({**state, "start": began})
        met = met + 1 if state["steady_state_met"] else 0
        if met < 3:
            sleep(float(order.get("frequency", 1.0)))
    return states


class _Seen:
    """What the library says while a run lasts, kept for when it does not reach its end."""

    def __init__(self) -> None:
        self.journal: dict[str, Any] = {}
        self.configuration: dict[str, Any] = {}
        self.secrets: dict[str, Any] = {}
        self.heard = False
        """Whether the library took note of a Ctrl-C."""
        self.rolling_back = False
        self._confirmed: dict[int, bool] = {}
        """By the identity of the activity's entry, whether its tolerance was met."""

    def handler(self) -> Any:
        """What the library tells it to."""
        from chaoslib.run import RunEventHandler

        seen = self

        class Handler(RunEventHandler):  # type: ignore[misc]  # the library has no types
            def started(self, experiment: Any, journal: Any) -> None:
                seen.journal = journal

            def running(
                self, experiment: Any, journal: Any, configuration: Any, secrets: Any, schedule: Any, settings: Any
            ) -> None:
                seen.configuration, seen.secrets = configuration, secrets

            def signal_exit(self) -> None:
                seen.heard = True

            def start_rollbacks(self, experiment: Any) -> None:
                seen.rolling_back = True

            def activity_completed(self, activity: Any, run: Any) -> None:
                seen.look(activity, run)

        return Handler()

    def look(self, activity: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
        """At a probe of the method that says what it expects."""
        in_method = any(entry is each for each in self.journal.get("run", ()))
        if not in_method or activity.get("type") != "probe" or "tolerance" not in activity:
            return
        from chaoslib.hypothesis import within_tolerance

        met = False
        with suppress(Exception):  # a value that it cannot be held against does not meet it
            met = entry.get("status") == "succeeded" and bool(
                within_tolerance(
                    activity["tolerance"], entry["output"], configuration=self.configuration, secrets=self.secrets
                )
            )
        self._confirmed[id(entry)] = met

    def places(self, journal: Mapping[str, Any]) -> dict[str, bool]:
        """The same by the entry's place in the journal."""
        numbered = enumerate(journal.get("run") or ())
        return {str(place): self._confirmed[id(each)] for place, each in numbered if id(each) in self._confirmed}


def _leaves(secrets: object) -> tuple[str, ...]:
    """Every text in the secrets, the longest first."""
    if isinstance(secrets, str):
        return (secrets,) if len(secrets) >= _SHORTEST_SECRET else ()
    inner = secrets.values() if isinstance(secrets, Mapping) else secrets if isinstance(secrets, list) else ()
    return tuple(sorted({leaf for each in inner for leaf in _leaves(each)}, key=len, reverse=True))


def _without(value: object, secrets: tuple[str, ...]) -> object:
    """The same without the secrets in it."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _HIDDEN)
        return value
    if isinstance(value, dict):
        return {key: _without(each, secrets) for key, each in value.items()}
    if isinstance(value, list):
        return [_without(each, secrets) for each in value]
    return value


if __name__ == "__main__":
    main()
