"""A target: one concrete thing that a fault acts on."""

from __future__ import annotations

from chaosrunner.model.frozen import Frozen, JsonObject


class Target(Frozen):
    """What a selector found. `id` is its identity on the platform, and the key of leases and of `sameAs`."""

    kind: str
    """What sort of thing: `process`, `link`, `pod`, …, `nothing`."""
    id: str
    """Unique on the platform at this moment: `process:checkout:4711`, `link:checkout-to-payments`."""
    name: str
    """For people."""
    service: str | None = None
    """The environment's service that it belongs to."""
    to: str | None = None
    """For connections: the service at their other end."""
    details: JsonObject = {}
    """What the platform needs to find it again and to tell that it is still the same one (pid and start time)."""
