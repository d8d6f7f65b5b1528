"""An extension of Chaos Toolkit as people write them: what the experiments of these tests call, there and here."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def give(value: Any = None) -> Any:
    """What it is given."""
    return value


def add(a: int, b: int = 1) -> int:
    return a + b


def fail(message: str = "no") -> None:
    raise RuntimeError(message)


def is_positive(value: float) -> bool:
    return value > 0


def breaks(value: Any) -> bool:
    raise ValueError(f"{value!r} cannot be judged")


def secret_of(name: str, secrets: dict[str, Any] | None = None) -> Any:
    """One of the secrets that the activity was given."""
    return (secrets or {}).get(name)


def configured(name: str, configuration: dict[str, Any] | None = None) -> Any:
    return (configuration or {}).get(name)


def put(file: str) -> str:
    """Break something: a file is there."""
    Path(os.environ["CT_STATE"], file).write_text("broken")
    return file


def take_away(file: str, after: float = 0.0) -> None:
    time.sleep(after)
    Path(os.environ["CT_STATE"], file).unlink(missing_ok=True)


def is_there(file: str) -> bool:
    return Path(os.environ["CT_STATE"], file).exists()


def appears_broken_later(file: str, looks: int) -> bool:
    """True for so many looks, then false."""
    counter = Path(os.environ["CT_STATE"], f"{file}.looks")
    seen = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(seen))
    return seen <= looks


def rest(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def send_itself(name: str) -> None:
    """A signal, as a person or a system would send it meanwhile."""
    os.kill(os.getpid(), getattr(signal, name))
    time.sleep(0.05)


def not_for_json() -> set[int]:
    return {1}


async def never_awaited() -> None:
    """Chaos Toolkit calls it and does not wait for it."""


def nan() -> float:
    return float("nan")


def hang() -> None:
    time.sleep(600)


def hangs_on() -> None:
    """Loses the first Ctrl-C, as Python itself does in a callback of its own."""
    try:
        hang()
    except KeyboardInterrupt:
        hang()


def prints(text: str) -> str:
    sys.stdout.write(text)
    sys.stdout.flush()
    return text


def leave(code: int) -> None:
    os._exit(code)
