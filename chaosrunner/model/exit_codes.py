"""What exit codes say where one alone does not: which of several counts.

0 held · 1 a gap · 2 wrong order or files · 3 inconclusive · 4 refused · 5 not steady · 6 halted · 7 an undo failed ·
70 a defect of chaosrunner's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

UNDO_FAILED: Final = 7
DEFECT: Final = 70
WORST_FIRST = (UNDO_FAILED, DEFECT, 1, 6, 5, 4, 3, 2, 0)


def gravest(codes: Iterable[int]) -> int:
    """The one that counts for several runs together; 0 of none."""
    return min(codes, key=WORST_FIRST.index, default=0)
