"""What usually helps against a class of faults: short, honest lists. Never a diagnosis: which of them is missing, only
people who know the system can say."""

from __future__ import annotations

from collections.abc import Iterable

_REMEDIES: dict[str, tuple[str, ...]] = {
    "instance-loss": (
        "run at least two instances, on different machines, behind something that notices when one is gone",
        "a health check that takes a dead instance out of rotation within seconds",
        "retries of requests that are safe to repeat, with a budget, so that one lost instance is not seen outside",
        "an orderly end: stop accepting, finish what is in hand, then exit",
    ),
    "instance-hang": (
        "a timeout on every call to it, shorter than the caller's own",
        "a readiness check that fails while it cannot serve, so that traffic goes elsewhere",
        "a limit on requests in hand, so that a slow instance refuses early instead of queueing",
    ),
    "dependency-gone": (
        "a fallback: a default answer, the last known one, or the page without this part",
        "a short connect timeout, and a circuit breaker that stops asking for a while",
        "take the dependency out of the critical path: queue the work and answer now",
        "start without it: a dependency that is down must not keep the service from starting",
    ),
    "dependency-slow": (
        "a timeout on every call, well below the caller's own promise",
        "a circuit breaker or a limit on calls in hand, so that waiting does not take all workers or connections",
        "retries with backoff, jitter and a budget; retries at once multiply the load on what is slow",
        "a fallback or a late answer where the result is not needed at once",
    ),
    "dependency-flaky": (
        "retries of calls that are safe to repeat, with backoff, jitter and a budget",
        "idempotency keys, so that repeating is safe",
        "connection pools that notice broken connections before they are handed out",
    ),
    "capacity": (
        "limits and requests that fit what is used under load, and autoscaling on what really runs short",
        "load shedding: refuse early and cheaply what cannot be served in time",
        "head-room: enough instances that the loss of one does not saturate the others",
        "bounded caches, queues and logs, and an alert well before memory or disk run out",
    ),
    "zone-loss": (
        "instances and data in at least two zones, with enough capacity in each to carry the other's load",
        "clients that leave a zone that does not answer, without waiting for name resolution to change",
    ),
    "name-resolution": (
        "caching of answers, and serving on with the last known ones",
        "short time limits on look-ups, off the path of every request",
    ),
    "extension": (
        "what takes over from the thing that the action hit, and a limit to how long its callers wait for it",
        "a second instance, away from the first, of whatever there is one of",
    ),
}
_ALWAYS = ("an alert on what the users would notice, that fires before they call",)


def usual_remedies(fault_classes: Iterable[str]) -> tuple[str, ...]:
    """What usually helps, for all of these classes, each once; an alert always does."""
    found: dict[str, None] = {}
    for fault_class in fault_classes:
        found |= dict.fromkeys(_REMEDIES.get(fault_class, ()))
    return (*found, *_ALWAYS)
