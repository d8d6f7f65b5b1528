"""Regular expressions as files write them."""

from __future__ import annotations

import re
from typing import Annotated

from chaosrunner.model.marks import AfterValidator


def _check(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"expected a regular expression, found {text!r}: {error}") from None
    return text


Expression = Annotated[str, AfterValidator(_check)]
"""One in Python's words."""
