"""What a Dockerfile copies is there, and reaches the build; the runner's has all that the package is made of."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from chaosrunner import __version__
from tests.structure.sources import ROOT

DOCKERFILES = ("Dockerfile", "k8s/Dockerfile", "experiments/kubernetes/shop/Dockerfile")


def ignored(path: Path) -> bool:
    """By .dockerignore: the last pattern that names the file, or a folder it is in, decides."""
    lines = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines()]
    answer = False
    for line in lines:
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").strip("/")
        names = [path.as_posix(), *(parent.as_posix() for parent in path.parents if parent != Path())]
        patterns = (pattern, pattern.removeprefix("**/"))
        if any(fnmatch.fnmatch(name, each) for name in names for each in patterns):
            answer = not line.startswith("!")
    return answer


def sources(dockerfile: str) -> list[str]:
    copied: list[str] = []
    for line in (ROOT / dockerfile).read_text().splitlines():
        words = line.split()
        if words[:1] == ["COPY"]:
            copied += words[1:-1]
    return copied


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_what_it_copies_is_there_and_not_ignored(dockerfile: str) -> None:
    wanted = sources(dockerfile)
    assert wanted
    for source in wanted:
        found = [path.relative_to(ROOT) for path in ROOT.glob(source)]
        assert found, f"{dockerfile}: there is no {source}"
        assert not [path for path in found if ignored(path)], f"{dockerfile}: {source} does not reach the build"


def test_the_checkout_s_own_files_do_not_reach_the_build() -> None:
    for name in (".git/config", ".venv/bin/python", "tests/conftest.py", "chaosrunner/__pycache__/x.pyc"):
        assert ignored(Path(name)), name


def test_the_runner_is_built_from_everything_that_the_package_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    copied = sources("k8s/Dockerfile")
    assert {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]} <= {*copied}
    patterns = project["tool"]["setuptools"]["package-data"]["chaosrunner"]
    found = [path for pattern in ("**/*.py", *patterns) for path in (ROOT / "chaosrunner").glob(pattern)]
    lost = [path for path in found if "__pycache__" not in path.parts and ignored(path.relative_to(ROOT))]
    assert len(found) > 500 and "chaosrunner" in copied and not lost


def test_the_runner_has_the_drivers_of_what_its_own_files_name() -> None:
    text = (ROOT / "k8s/Dockerfile").read_text()
    installed = re.search(r"\.whl\)\[([a-z,]+)\]", text)
    assert installed is not None
    extras = set(installed[1].split(","))
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras <= known.keys()
    assert "CHAOSRUNNER_REGISTER     # a database" in (ROOT / "docs/ci/argo-rollouts.yaml").read_text()
    assert "postgresql" in extras, "a Job keeps its near misses in a database"


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_nothing_runs_as_root(dockerfile: str) -> None:
    users = re.findall(r"(?m)^USER (.+)$", (ROOT / dockerfile).read_text())
    assert users[-1:] == ["65532:65532"]


def test_every_file_names_the_images_of_this_version() -> None:
    named: dict[str, list[str]] = {}
    for folder in ("k8s", "docs", "experiments"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yaml", ".yml", ".md"):
                for version in re.findall(r"chaosrunner/(?:chaosrunner|injector):([0-9][\w.]*\w)", path.read_text()):
                    named.setdefault(version, []).append(path.name)
    assert {"cronjob.yaml", "deployment.yaml", "argo-rollouts.yaml", "kubernetes.md"} <= {*named.pop(__version__)}
    assert not named


def test_the_recipe_builds_both_images_for_both_platforms_and_finds_the_version() -> None:
    job = yaml.safe_load((ROOT / "docs/ci/image.yml").read_text())["jobs"]["image"]
    assert {each["file"] for each in job["strategy"]["matrix"]["include"]} == {"Dockerfile", "k8s/Dockerfile"}
    (build,) = (step["with"] for step in job["steps"] if "build-push" in step.get("uses", ""))
    assert build["platforms"] == "linux/amd64,linux/arm64"
    (say,) = (step["run"] for step in job["steps"] if step.get("id") == "version")
    said = subprocess.run(
        ["sh", "-c", say.replace('>> "$GITHUB_OUTPUT"', "")], cwd=ROOT, capture_output=True, text=True
    )
    assert said.stdout == f"version={__version__}\n"
