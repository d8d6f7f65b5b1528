"""The habits that keep the house in order, each as a rule that the sources are held against."""

from __future__ import annotations

import ast

import pytest

from chaosrunner import catalog
from chaosrunner.files.documents import KINDS
from chaosrunner.pages import parameters
from tests.structure.sources import Module, modules, of_the_tests

OWN_PROGRAMS = ("injector/", "traffic/", "demo/", "interop/toolkit_worker.py")
"""Processes of their own, without a clock to be handed."""


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a chain of names; nothing for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


CLOCKS = {
    *("time.time", "time.monotonic", "time.sleep", "time.perf_counter", "time.time_ns", "time.monotonic_ns"),
    *("time.process_time", "datetime.now", "datetime.utcnow", "datetime.datetime.now", "date.today", "asyncio.sleep"),
    *("random.random", "random.Random", "random.choice", "random.sample", "random.uniform", "random.randint"),
    *("uuid.uuid4", "uuid.uuid1"),
}


def test_only_the_clock_asks_for_the_time_sleeps_or_rolls_dice() -> None:
    wrong = []
    for module in modules():
        if module.path == "clock.py" or module.path.startswith(OWN_PROGRAMS):
            continue
        for node in module.nodes(ast.Call):
            assert isinstance(node, ast.Call)
            name = dotted(node.func)
            yields = name == "asyncio.sleep" and [ast.unparse(argument) for argument in node.args] == ["0"]
            seeded = name == "random.Random" and node.args
            if name in CLOCKS and not yields and not seeded:
                wrong.append(f"chaosrunner/{module.path}:{node.lineno} calls {name}")
    assert not wrong, "\n".join(wrong)


CATCHES_ALL = {
    "cli/terms.py": "the outermost wrapper of every command",
    "catalog.py": "a plugin's file may raise anything when it is imported",
    "engine/leash.py": "the one wrapper around plugins: whatever they raise is an event of the run, not its end",
    "engine/recorder.py": "a view that fails must not end a run with a fault in force",
    "interop/toolkit_worker.py": "an extension may raise anything, and the library whatever it trips over",
    "stages/remediate.py": "a tracker may raise anything: the near miss keeps, and is told later",
    "stages/run.py": "whatever happens in a run, it is undone and the journal says so",
}
"""File -> why it may catch everything."""


def handlers() -> list[tuple[Module, ast.ExceptHandler, str]]:
    found = []
    for module in modules():
        for node in module.nodes(ast.ExceptHandler):
            assert isinstance(node, ast.ExceptHandler)
            found.append((module, node, "everything" if node.type is None else ast.unparse(node.type)))
    return found


def raises_again(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def test_everything_is_caught_only_where_it_is_named_and_reasoned() -> None:
    wrong = []
    for module, handler, caught in handlers():
        if caught == "Exception" and module.path not in CATCHES_ALL and not raises_again(handler):
            wrong.append(f"chaosrunner/{module.path}:{handler.lineno} catches Exception")
        if caught == "everything":
            wrong.append(f"chaosrunner/{module.path}:{handler.lineno} has a bare except")
    assert not wrong, "\n".join(wrong)


def test_every_permission_to_catch_everything_is_used() -> None:
    used = {module.path for module, _, caught in handlers() if caught == "Exception"}
    assert set(CATCHES_ALL) <= used


@pytest.mark.parametrize("word", ["BaseException", "CancelledError"])
def test_cancellation_is_never_swallowed(word: str) -> None:
    """A handler that catches it raises again; where a task of one's own was cancelled, `suppress` says so."""
    wrong = [
        f"chaosrunner/{module.path}:{handler.lineno} catches {caught} and does not raise it again"
        for module, handler, caught in handlers()
        if word in caught and not raises_again(handler) and not module.path.startswith(OWN_PROGRAMS)
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_prints_or_exits() -> None:
    wrong = []
    for module in modules():
        if module.part == "cli" or module.path.startswith(OWN_PROGRAMS) or module.path == "__main__.py":
            continue
        for node in module.nodes(ast.Call):
            assert isinstance(node, ast.Call)
            if dotted(node.func) in {"print", "exit", "sys.exit", "os._exit", "quit"}:
                wrong.append(f"chaosrunner/{module.path}:{node.lineno} calls {dotted(node.func)}")
    assert not wrong, "\n".join(wrong)


def test_models_have_no_field_of_any_type() -> None:
    """Raw input of a validator may be anything; what a model holds, and what others are handed, has a type."""
    wrong = []
    for module in modules():
        if module.part != "model":
            continue
        for node in module.nodes(ast.ClassDef):
            assert isinstance(node, ast.ClassDef)
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and "Any" in names(field.annotation):
                    wrong.append(f"chaosrunner/{module.path}:{field.lineno} holds Any")
        for node in module.nodes(ast.FunctionDef):
            assert isinstance(node, ast.FunctionDef)
            typed = [*node.args.args[:-1], *node.args.kwonlyargs]
            if any(argument.annotation and "Any" in names(argument.annotation) for argument in typed):
                wrong.append(f"chaosrunner/{module.path}:{node.lineno} takes Any beside a raw value")
    assert not wrong, "\n".join(wrong)


def names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


PATCHES = {"monkeypatch.setattr", "monkeypatch.delattr", "monkeypatch.setitem", "mocker.patch"}


def test_tests_use_fakes_with_behaviour_and_never_patch() -> None:
    wrong = []
    for module in of_the_tests("mock", *(name.split(".")[1] for name in PATCHES)):
        for line, name in module.imports():
            if "mock" in name.split("."):
                wrong.append(f"tests/{module.path}:{line} imports {name}")
        for node in module.nodes(ast.Attribute):
            assert isinstance(node, ast.Attribute)
            if dotted(node) in PATCHES:
                wrong.append(f"tests/{module.path}:{node.lineno} patches")
    assert not wrong, "\n".join(wrong)


def test_every_public_name_says_what_it_is() -> None:
    wrong = []
    for module in modules():
        if ast.get_docstring(module.tree) is None and module.path != "__main__.py":
            wrong.append(f"chaosrunner/{module.path}")
        for node in module.tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not node.name.startswith("_") and ast.get_docstring(node) is None:
                wrong.append(f"chaosrunner/{module.path}:{node.lineno} {node.name}")
    assert not wrong, "\n".join(wrong)


FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc", "v2"}


def test_no_file_has_a_name_that_says_nothing() -> None:
    wrong = [module.path for module in modules() if FORBIDDEN_NAMES & set(module.path.removesuffix(".py").split("/"))]
    assert not wrong


NAMED = {
    ("stages/cronjobs.py", "command"): "a field of a pod's container",
    ("stages/remediate.py", "local"): "the tracker of an environment that names none",
    ("app/toolkit.py", "local"): "the environment of Chaos Toolkit's files, which have none",
    ("interop/toolkit_record.py", "chaostoolkit"): "what its own activities are called here",
    ("model/words.py", "process"): "a kind of targets, which a probe is called like",
}


def test_the_core_names_no_plugin() -> None:
    """It asks what a plugin can do, never which one it is. Words that are fields of files too are not meant."""
    words = {part for model in KINDS.values() for row in parameters(model) for part in row.name.split(".")}
    kinds = {kind for role in catalog.ROLES for kind in catalog.kinds(role)} - words
    core = {"stages", "engine", "judging", "files", "app", "catalog", "ports", "abilities", "cluster", "model"}
    wrong = []
    for module in modules():
        if module.part not in core:
            continue
        for node in module.nodes(ast.Constant):
            assert isinstance(node, ast.Constant)
            if node.value in kinds and (module.path, node.value) not in NAMED:
                wrong.append(f"chaosrunner/{module.path}:{node.lineno} names the plugin {node.value!r}")
    assert not wrong, "\n".join(wrong)
