"""What makes two gaps the same near miss."""

from __future__ import annotations

from typing import Any

import pytest

from chaosrunner.model.words import GapKind
from tests.near_misses.world import gap


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": {"to": "inventory"}},
        {"service": "cart"},
        {"environment_class": "staging"},
        {"fault_classes": ("dependency-gone",)},
        {"fault_classes": ("cpu", "dependency-slow")},
        {"target_services": ("cart",)},
        {"hypothesis": "page-is-shown"},
        {"kind": GapKind.SPILL_OVER, "hypothesis": None, "subject": "orders-go-through"},
    ],
)
def test_another_near_miss(changes: dict[str, Any]) -> None:
    assert gap(**changes).fingerprint != gap().fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": GapKind.NO_RECOVERY},
        {"kind": GapKind.CLOSE_CALL},
        {"also": (GapKind.ABORTED,)},
        {"title": "another title", "story": "with 7 other numbers", "strength": "2 of 3"},
        {"measures": ({"key": "orders-go-through/order-p95", "rule": "at most 900ms", "worst": 3.0},)},
    ],
)
def test_the_same_near_miss(changes: dict[str, Any]) -> None:
    assert gap(**changes).fingerprint == gap().fingerprint


def test_the_fingerprint_is_the_one_that_registers_already_hold() -> None:
    assert gap().fingerprint == "sha256:51ce6a0a1b6f139c25f8023d7121023537bc94cbf2c13a0693d32a9cb69418d5"


def test_undetected_spill_over_and_undo_failed_each_have_their_own() -> None:
    kinds = (GapKind.UNDETECTED, GapKind.SPILL_OVER, GapKind.UNDO_FAILED)
    found = {gap(kind=kind, hypothesis=None, subject="x").fingerprint for kind in kinds}
    assert len(found) == 3
