"""Probes with a real client and real time."""

from __future__ import annotations

from tests.probes.conftest import context, probe, server

__all__ = ["context", "probe", "server"]
