"""Secrets: files hold references, never values; a value has a type that cannot be printed, logged or serialised."""

from __future__ import annotations

from typing import Any, NoReturn

from chaosrunner.model.frozen import Frozen
from chaosrunner.model.marks import model_validator


class SecretRef(Frozen):
    """Where a secret is: an environment variable, a file, or a key of a Kubernetes Secret."""

    env: str | None = None
    """Name of an environment variable."""
    file: str | None = None
    """Path of a file; a line end at its end is dropped."""
    secret_key_ref: SecretKey | None = None
    """A key of a Kubernetes Secret."""

    @model_validator(mode="before")
    @classmethod
    def _not_the_value(cls, value: Any) -> Any:
        if isinstance(value, str):
            forms = "{env: NAME}, {file: PATH} or {secretKeyRef: {name: NAME, key: KEY}}"
            raise ValueError(f"a secret is never written in a file: expected {forms}")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> SecretRef:
        if sum(place is not None for place in (self.env, self.file, self.secret_key_ref)) != 1:
            raise ValueError("expected exactly one of env, file, secretKeyRef")
        return self

    def __str__(self) -> str:
        if self.env is not None:
            return f"environment variable {self.env}"
        if self.file is not None:
            return f"file {self.file}"
        assert self.secret_key_ref is not None
        return f"key {self.secret_key_ref.key} of secret {self.secret_key_ref.name}"


class SecretKey(Frozen):
    """A key of a Kubernetes Secret in the environment's own namespace."""

    name: str
    """The Secret's name."""
    key: str
    """The key in it."""


class Secret:
    """A secret's value. Only `reveal()` gives it, at the one place that sends it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself; never store or format what this returns."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be serialised")
