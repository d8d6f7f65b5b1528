"""Regular expressions that are compiled when they are first used: most commands use few of those that are declared."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Pattern:
    def __init__(self, text: Any, flags: int) -> None:
        self.text = text
        self.flags = flags
        self._made: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = re.compile(self.text, self.flags)
        found = getattr(self._made, name)
        self.__dict__[name] = found  # the next time it is not asked for here
        return found


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As `re.compile`, but a mistake in it shows when it is first used."""
    return cast("re.Pattern[AnyStr]", _Pattern(text, flags))
