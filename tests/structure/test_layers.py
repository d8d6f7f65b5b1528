"""Imports point one way, every outside library has its one place, and what is imported is declared."""

from __future__ import annotations

import re
import sys
import tomllib

from chaosrunner import catalog
from tests.structure.sources import ROOT, Module, modules

SEAM = {"http", "http_errors", "http_messages", "http_line", "http_pool", "http_trust", "urls", "secrets"}
"""The one way to HTTP, with what it needs."""
PLUGINS = set(catalog.ROLES)
APART = {"injector", "traffic"}
"""Programs of their own beside a run: the standard library and themselves."""
LAYERS: list[set[str]] = [
    {"records"},
    {"errors", "clock", "glossary", "person"},
    {"model"},
    SEAM,
    {"instrument", "explore", "exposition", "extensions", "services", "marked_text", "uncut"},
    {"prometheus", "new_relic"},
    {"abilities"},
    {"cluster"},
    {"ports"},
    {"needs", "programs", "pod_logs"},
    {"catalog", "alerts", "network", "loads", "objects"},
    {"files", "judging", "store", "register"},
    {"contract"},
    {"engine", "pages"},
    {"reports"},
    {"stages"},
    {"serve", "language"},
    {"interop", "beginning"},
    {"app", "demo"},
    {"cli"},
    {"__main__"},
]
"""Each imports only from those before it, and itself."""

EXCEPTIONS = {
    ("cli/local.py", "platforms"): "`local up` is the local platform's own command",
    ("app", "traffic"): "starts the load generator's process",
    ("engine", "traffic"): "starts the load generator's process",
    ("stages", "traffic"): "starts the load generator's process",
    ("platforms", "injector"): "a platform starts the injector's processes and speaks with them",
    ("demo/stage.py", "platforms"): "puts the shop on this machine's stage, as `local up` does",
    ("traffic", "ports"): "the source that the probe asks is in the runner's process",
    ("traffic/source.py", "clock"): "the source that the probe asks is in the runner's process",
    ("traffic/source.py", "errors"): "the source that the probe asks is in the runner's process",
    ("traffic/source.py", "model"): "the source that the probe asks is in the runner's process",
    ("traffic/source.py", "uncut"): "the source that the probe asks is in the runner's process",
    ("traffic/source.py", "urls"): "the source that the probe asks is in the runner's process",
}
"""(file or part, part that it imports) -> why."""


def own_imports(module: Module) -> list[tuple[int, str]]:
    """(line, part) of ours that a file imports; the package itself is ``."""
    found = []
    for line, name in module.imports():
        words = name.split(".")
        if words[0] == "chaosrunner":
            part = words[1] if len(words) > 1 else ""
            found.append((line, "" if part.startswith("__version") else part))
    return found


def allowed(part: str) -> set[str]:
    if part in PLUGINS:
        seams = {
            "http",
            "exposition",
            "instrument",
            "explore",
            "extensions",
            "needs",
            "network",
            "loads",
            "objects",
            "new_relic",
            "pod_logs",
            "prometheus",
            "services",
            "marked_text",
            "programs",
            "uncut",
        }
        return {"records", "errors", "model", "ports", "clock", part} | seams
    if part in APART:
        return {part}
    if part == "":
        return {part, "ports", "model", "errors"}
    for depth, layer in enumerate(LAYERS):
        if part in layer:
            below = set().union(*LAYERS[:depth])
            return below | (SEAM if part in SEAM else {part})
    raise AssertionError(f"chaosrunner/{part} is new: give it a place in LAYERS")


def test_imports_point_one_way() -> None:
    wrong = []
    for module in modules():
        for line, part in own_imports(module):
            excused = (module.path, part) in EXCEPTIONS or (module.part, part) in EXCEPTIONS
            if part not in allowed(module.part) | {""} and not excused:
                wrong.append(f"chaosrunner/{module.path}:{line} imports chaosrunner.{part}")
    assert not wrong, "\n".join(wrong)


def test_no_plugin_imports_another() -> None:
    wrong = []
    for module in modules():
        if module.part not in PLUGINS or module.path == f"{module.part}/__init__.py":
            continue
        mine = ".".join(["chaosrunner", *module.path.removesuffix(".py").split("/")[:2]])
        for line, name in module.imports():
            role = ".".join(name.split(".")[:2])
            if role in {f"chaosrunner.{part}" for part in PLUGINS} and not f"{name}.".startswith(f"{mine}."):
                wrong.append(f"chaosrunner/{module.path}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


OUTSIDE: dict[str, tuple[str, ...]] = {
    "ansible": ("runbooks/ansible/listening/",),  # which only Ansible imports, in its own process
    "lsprotocol": ("language/server.py",),
    "pygls": ("language/server.py",),
    "aiohttp": ("platforms/kubernetes/client.py", "platforms/kubernetes/connecting.py", "serve/server.py"),
    "alembic": ("register/",),
    "anyio": ("http",),
    "apprise": ("notifiers/apprise.py",),
    "certifi": ("http",),
    "chaoslib": ("interop/toolkit_worker.py",),
    "click": ("cli/",),
    "dns": ("probes/dns.py",),
    "h2": ("probes/grpc_health.py",),
    "httpcore": ("http",),
    "httpx": ("http",),
    "jsonpath": ("model/json_path.py",),
    "jsonschema": ("files/",),
    "msgspec": ("platforms/kubernetes/tables.py",),
    "kubernetes": ("platforms/kubernetes/connecting.py",),
    "promql_parser": ("files/",),
    "prometheus_client": ("exposition.py",),
    "psutil": ("platforms/local/", "probes/process.py", "programs.py"),
    "pydantic": ("",),
    "pydantic_core": ("",),
    "rich": ("reports/", "cli/"),
    "sqlalchemy": ("register/", "probes/sql.py"),
    "tenacity": ("http", "platforms/kubernetes/client.py"),
    "yaml": ("files/", "interop/", "trackers/local.py", "runbooks/puppet.py", "platforms/kubernetes/connecting.py"),
}
"""Outside library -> the beginnings of the paths that may import it."""
DISTRIBUTIONS = {
    "ansible": "ansible-core",
    "chaoslib": "chaostoolkit-lib",
    "prometheus_client": "prometheus-client",
    "dns": "dnspython",
    "yaml": "pyyaml",
    "promql_parser": "promql-parser",
    "jsonpath": "python-jsonpath",
    "pydantic_core": "pydantic",
}
"""Where a library's package has another name, or comes with one whose version fixes it."""


def outside_imports() -> list[tuple[Module, int, str]]:
    return [
        (module, line, top)
        for module in modules()
        for line, name in module.imports()
        if (top := name.split(".")[0]) not in sys.stdlib_module_names and top != "chaosrunner"
    ]


def test_every_outside_library_is_imported_in_its_one_place() -> None:
    wrong = []
    for module, line, library in outside_imports():
        places = OUTSIDE.get(library, ())
        apart = module.part in APART or module.path.startswith("demo/shop/")
        if apart or not any(module.path.startswith(place) for place in places):
            wrong.append(f"chaosrunner/{module.path}:{line} imports {library}, which belongs in {places or 'no file'}")
    assert not wrong, "\n".join(wrong)


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    optional = {name_of(text) for extra, texts in extras.items() if extra != "dev" for text in texts}
    declared = {name_of(text) for text in project["dependencies"]}
    imported = {DISTRIBUTIONS.get(library, library) for _, _, library in outside_imports()}
    assert declared == imported - optional


def name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_-]", requirement)[0].lower()


def test_the_shop_of_the_demo_knows_nothing_of_chaosrunner() -> None:
    wrong = [
        f"chaosrunner/{module.path}:{line} imports {name}"
        for module in modules()
        if module.path.startswith("demo/shop/")
        for line, name in module.imports()
        if name.startswith("chaosrunner") and not name.startswith("chaosrunner.demo.shop")
    ]
    assert not wrong, "\n".join(wrong)


QUICK = {"click", "chaosrunner"}
SLOW_OF_THE_STANDARD_LIBRARY = {"asyncio", "email", "http", "importlib.metadata", "multiprocessing", "unittest", "xml"}


def test_a_commands_file_imports_only_click_and_the_terms_at_its_top() -> None:
    wrong = []
    for module in modules():
        if module.part != "cli" or module.path.startswith("cli/_"):  # those with _ are imported by a running command
            continue
        for line, name in module.imports(only_top=True):
            top = name.split(".")[0]
            ours = top == "chaosrunner" and not re.match(r"chaosrunner\.(cli\.|cli$|__version__)", name)
            slow = top in SLOW_OF_THE_STANDARD_LIBRARY or name.startswith("importlib.metadata")
            if ours or slow or top not in QUICK | sys.stdlib_module_names:
                wrong.append(f"chaosrunner/{module.path}:{line} imports {name} at its top")
    assert not wrong, "\n".join(wrong)
