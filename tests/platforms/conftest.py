"""Every test gets an environment of its own, and leaves nothing behind."""

from tests.local_fixtures import machine, shared, stage

__all__ = ["machine", "shared", "stage"]
