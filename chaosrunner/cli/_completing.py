"""What a shell may complete: experiments, runs, near misses, environments, services, plugins, rules and words.

It is asked while somebody types, so it must answer at once: files are searched for the names of their documents and not
read as YAML, and the register of the folder is asked in SQL, without what it takes to open it for good.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

VARIABLE = "_CHAOSRUNNER_COMPLETE"
"""Set by the shell's script when it asks; the name is click's."""
MOST = 200
Found = Iterator[tuple[str, str]]
"""(what to put there, what it is)"""

_KIND = re.compile(r"""^kind:\s*["']?(\w+)""", re.MULTILINE)
_NAME = re.compile(
    r"""^metadata:\s*(?:\{[^}\n]*?\bname:\s*|\n(?:[ \t]+[^\n]*\n)*?[ \t]+name:\s*)["']?([\w.-]+)""", re.MULTILINE
)
_TITLE = re.compile(r"""^\s+title:\s*["']?([^\n"']+)""", re.MULTILINE)


def fit(command: click.Command) -> None:
    """Give the arguments and options of a command what completes them, by their names; those that have their own keep
    it."""
    for parameter in command.params:
        find = _BY_NAME.get(parameter.name or "")
        own = getattr(parameter, "_custom_shell_complete", None) is not None or isinstance(parameter.type, click.Choice)
        if find is not None and not own:
            setattr(parameter, "shell_complete", _completer(find))  # noqa: B010  an instance's own, as click asks for it
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        fit(inner)


def _completer(find: Callable[[click.Context], Found]) -> Callable[[click.Context, str], list[CompletionItem]]:
    def complete(context: click.Context, incomplete: str) -> list[CompletionItem]:
        found = (CompletionItem(name, help=what or None) for name, what in find(context) if name.startswith(incomplete))
        items = [item for _, item in zip(range(MOST), found, strict=False)]
        return items or ([CompletionItem(incomplete, type="file")] if find in _FILES else [])

    return complete


def _documents(kind: str) -> Found:
    """Names of documents that could be meant in this folder, with their titles."""
    from chaosrunner.files.references import candidates

    seen: set[str] = set()
    for path in candidates(Path.cwd()):
        try:
            text = path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size < 500_000 else ""
        except OSError:
            continue
        for part in re.split(r"(?m)^---", text):
            its_kind, name, title = _KIND.search(part), _NAME.search(part), _TITLE.search(part)
            if its_kind and its_kind[1] == kind and name and name[1] not in seen:
                seen.add(name[1])
                yield name[1], title[1].strip() if title else str(path.name)


def _experiments(_: click.Context) -> Found:
    return _documents("Experiment")


def _environments(_: click.Context) -> Found:
    return _documents("Environment")


def _suites(_: click.Context) -> Found:
    return _documents("Suite")


def _game_days(_: click.Context) -> Found:
    return _documents("GameDay")


def _state(context: click.Context) -> Path:
    return Path(str(context.find_root().params.get("state") or os.environ.get("CHAOSRUNNER_STATE") or ".chaosrunner"))


def _runs(context: click.Context) -> Found:
    from chaosrunner.store.runs import Runs

    known = Runs(_state(context)).list()
    if known:
        yield "last", known[0]
    yield from ((run, "") for run in known)


def _near_misses(context: click.Context) -> Found:
    import sqlite3

    url = os.environ.get("CHAOSRUNNER_REGISTER") or context.find_root().params.get("register")
    if url:
        yield from _shared(str(url))
        return
    path = _state(context) / "register.db"
    if not path.is_file():
        return
    words = "SELECT id, priority, state, service, fault FROM near_miss ORDER BY closed, priority, due LIMIT ?"
    try:
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0.2) as register:
            for number, priority, state, service, fault in register.execute(words, (MOST * 5,)):
                yield str(number), f"{priority} {state}: {service}, {fault}"
    except sqlite3.Error:
        return


def _shared(url: str) -> Found:
    """Of a register that many share: the only case for which it is opened."""
    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import ChaosrunnerError
    from chaosrunner.register import open_register

    try:
        with open_register(url, SystemClock()) as register:
            for one in register.list()[:MOST]:
                yield one.id, f"{one.priority.value} {one.state.value}: {one.title}"
    except ChaosrunnerError:
        return


def _targets(context: click.Context) -> Found:
    """Services and links that environments name."""
    from chaosrunner.files.documents import name_of
    from chaosrunner.files.references import Library

    for _, spot in Library(Path.cwd()).every("Environment", Path.cwd()):
        platform, name = spot.get("spec", "platform"), name_of(spot)
        for settings in platform.items() if platform is not None else ():
            for kind in ("services", "links"):
                named = settings.child(kind)
                for one in named.items() if named is not None else ():
                    yield one.name, f"{kind[:-1]} of {name}"


def _hypotheses(_: click.Context) -> Found:
    return _documents("Hypothesis")


def _faults(context: click.Context) -> Found:
    from chaosrunner import catalog

    if "near-miss" in context.command_path:
        return  # there it is a class of faults
    yield from ((kind, "fault") for kind in catalog.kinds("faults"))


def _kinds(_: click.Context) -> Found:
    from chaosrunner.files.documents import KINDS

    yield from ((kind, "") for kind in KINDS)


def _words(_: click.Context) -> Found:
    from chaosrunner import catalog
    from chaosrunner.files.rules import CODES
    from chaosrunner.glossary import EXIT_CODES, WORDS

    yield from WORDS.items()
    yield from ((kind, role[:-1]) for role in catalog.ROLES for kind in catalog.kinds(role))
    yield from ((rule.code, rule.title) for rule in CODES.values())
    yield from ((str(code), words) for code, words in EXIT_CODES.items())


_BY_NAME: dict[str, Callable[[click.Context], Found]] = {
    "experiment": _experiments,
    "experiments": _experiments,
    "environment": _environments,
    "suite": _suites,
    "game_day": _game_days,
    "run": _runs,
    "a": _runs,
    "b": _runs,
    "near_miss": _near_misses,
    "near_misses": _near_misses,
    "service": _targets,
    "target": _targets,
    "to": _targets,
    "fault": _faults,
    "hypotheses": _hypotheses,
    "kind": _kinds,
    "word": _words,
}
"""By a parameter's name; a new command that calls its parameters so is completed, too."""
_FILES = {_experiments, _environments, _suites, _game_days}
"""Where a path may stand, too."""
