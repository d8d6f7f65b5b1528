"""Every plugin is in the catalogue by its file alone, keeps its contract, and shows an example that is right."""

from __future__ import annotations

import pytest

from chaosrunner import catalog, contract
from chaosrunner.pages import Page, page
from tests.structure.sources import PACKAGE

OWN = [(role, kind) for role in catalog.ROLES for kind in catalog.kinds(role) if catalog.is_own(role, kind)]


def test_every_file_of_a_plugin_folder_is_in_the_catalogue() -> None:
    for role in catalog.ROLES:
        entries = [entry for entry in (PACKAGE / role).iterdir() if not entry.name.startswith("_")]
        assert sorted(catalog.kind_of(entry) for entry in entries) == [kind for there, kind in OWN if there == role]


@pytest.mark.parametrize(("role", "kind"), OWN)
def test_every_plugin_keeps_its_contract(role: str, kind: str) -> None:
    plugin = catalog.find(role, kind)
    assert plugin.kind == kind
    assert contract.defects(role, kind, plugin) == []


@pytest.mark.parametrize(("role", "kind"), OWN)
def test_every_plugin_says_what_it_does_and_what_each_field_means(role: str, kind: str) -> None:
    shown: Page = page(role, kind)
    assert shown.summary.endswith(".")
    unsaid = [row.name for row in shown.parameters if not row.meaning and "." not in row.name]
    assert not unsaid
