"""A real environment of its own for the faults."""

from tests.local_fixtures import machine, shared, stage
from tests.probes.conftest import context

__all__ = ["context", "machine", "shared", "stage"]
