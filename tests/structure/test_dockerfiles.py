"""What a Dockerfile copies is there, and reaches the build."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

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
