"""Probes with a real client and real time."""

from __future__ import annotations

from tests.probes.conftest import context, environ, probe, server

__all__ = ["context", "environ", "probe", "server"]
