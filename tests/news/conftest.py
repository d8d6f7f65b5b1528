"""Runs in these tests have a machine folder of their own."""

from tests.local_fixtures import machine

__all__ = ["machine"]
