"""Programs of Debian's packages that tests start on loopback: real ones, or the test is skipped.

`tools/debian` installs them; `make test` calls it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


def program(name: str, package: str) -> str:
    """Where a program is; the test is skipped where it is not installed."""
    places = [shutil.which(name), *sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True)]
    found = next((place for place in places if place), None)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's package {package}; tools/debian installs it)")
    return found
