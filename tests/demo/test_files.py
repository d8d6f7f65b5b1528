"""The shipped files are right, are the same ones in the repository and in the package, and fit any machine."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chaosrunner.demo.layout import FOLDERS, PORTS, SHIPPED, STEP, free_ports, here, lay_out
from chaosrunner.stages.load import check, load_experiment

REPOSITORY = Path(__file__).parents[2]
EXPERIMENTS = sorted(path.name for path in (SHIPPED / "experiments").iterdir())


def test_there_are_at_least_five_experiments() -> None:
    assert len(EXPERIMENTS) >= 5


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("environment", ["shop", "shop-fixed"])
def test_an_experiment_loads_without_a_warning(name: str, environment: str) -> None:
    path = SHIPPED / "environments" / f"{environment}.yaml"
    loaded = load_experiment(str(SHIPPED / "experiments" / name), str(path), SHIPPED)
    assert loaded.experiment.metadata.name == name.removesuffix(".yaml")
    assert loaded.environment.class_name == "demo"
    assert not loaded.warnings


def test_all_shipped_files_are_right() -> None:
    checked = check([str(SHIPPED)], SHIPPED)
    assert not checked.problems and not checked.warnings


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_repositorys_files_are_the_packages(folder: str) -> None:
    shipped = {path.name for path in (SHIPPED / folder).iterdir()}
    for name in shipped:
        assert (REPOSITORY / folder / name).read_bytes() == (SHIPPED / folder / name).read_bytes(), (
            f"{folder}/{name} must be the file that the demo runs: a link to chaosrunner/demo/files/{folder}/{name}"
        )


def test_the_repaired_shop_differs_by_its_repairs_only() -> None:
    weak, fixed = (
        yaml.safe_load((SHIPPED / "environments" / f"{name}.yaml").read_text()) for name in ("shop", "shop-fixed")
    )
    assert fixed["metadata"]["name"] == "shop-fixed"
    fixed["metadata"]["name"] = "shop"
    services = fixed["spec"]["platform"]["local"]["services"]
    repaired = [name for name, service in services.items() if service["start"][-1] == "--fixed"]
    for name in repaired:
        services[name]["start"].pop()
    assert repaired == ["storefront", "checkout"]
    assert fixed == weak


def test_the_files_mention_no_port_that_the_demo_does_not_know() -> None:
    mentioned: set[int] = set()
    for path in SHIPPED.rglob("*.yaml"):
        mentioned |= {int(found) for found in re.findall(r"\b1[78]\d{3}\b", path.read_text())}
        assert not set(re.findall(r"127\.0\.0\.1:(?!1[78])\d+", path.read_text()))
    assert mentioned == set(PORTS)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of the shop that somebody else has."""
    with socket.socket() as somebody:
        somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = PORTS[3] + free_ports()
        somebody.bind(("127.0.0.1", port))
        somebody.listen()
        yield port


def test_where_a_port_is_taken_all_are_moved(taken: int, tmp_path: Path) -> None:
    layout = lay_out(tmp_path)
    assert layout.moved > taken - PORTS[3]
    assert str(taken) not in layout.environment(fixed=False).read_text()
    assert f"127.0.0.1:{PORTS[0] + layout.moved}/" in layout.experiments[-1].read_text()


def test_the_ports_of_the_earlier_demo_are_used_again(taken: int, tmp_path: Path) -> None:
    moved = lay_out(tmp_path).moved
    assert lay_out(tmp_path).moved == moved
    (tmp_path / "environments" / "shop.yaml").write_text("nonsense")
    assert lay_out(tmp_path).moved == moved, "0 is taken still"


def test_moved_files_still_load(taken: int, tmp_path: Path) -> None:
    layout = lay_out(tmp_path)
    for path in layout.experiments:
        load_experiment(str(path), None, tmp_path)
        load_experiment(str(path), str(layout.environment(fixed=True)), tmp_path)


def test_a_move_keeps_ports_apart() -> None:
    moved = [int(here(str(port), STEP)) for port in PORTS]
    assert len(set(moved)) == len(PORTS) and not set(moved) & set(PORTS)


def test_laid_out_files_are_the_shipped_ones_but_for_python_and_ports(tmp_path: Path) -> None:
    layout = lay_out(tmp_path)
    for path in SHIPPED.rglob("*.yaml"):
        laid = (tmp_path / path.relative_to(SHIPPED)).read_text()
        assert laid == here(path.read_text(), layout.moved)
        assert path.read_text() == here(path.read_text(), 0).replace(f'"{sys.executable}"', "python3")


def test_laying_out_again_clears_what_an_older_version_left(tmp_path: Path) -> None:
    left = tmp_path / "experiments" / "old.yaml"
    left.parent.mkdir(parents=True)
    left.write_text("nonsense")
    assert left not in lay_out(tmp_path).experiments
    assert not left.exists()
