"""A machine folder of its own for the commands that the pages show."""

from tests.local_fixtures import machine

__all__ = ["machine"]
