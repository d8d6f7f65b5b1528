"""A source of evidence: what Kubernetes itself tells of its objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chaosrunner.model.marks import JsonValue
from chaosrunner.model.material import Happening, Material, Window
from chaosrunner.ports import Parameters, Source, cluster_of

_OF_A_POD = re.compile(r"(?:-[a-f0-9]{6,10})?-[a-z0-9]{5}$|-\d+$")
_NOTABLE = frozenset({"Killing", "ScalingReplicaSet", "NodeNotReady", "TaintManagerEviction", "Preempted"})
"""Normal events that tell of a change by themselves, or of an end; the others follow from these."""
_DEPLOY, _WARNING, _NORMAL = 30.0, 20.0, 10.0


class Params(Parameters):
    """Where."""

    namespaces: tuple[str, ...] = ()
    """Some of the environment's; default: all of them."""


class KubernetesEventsSource(Source[Params]):
    """Reads the cluster's events: warnings (failed probes, back-offs, out of memory, no room for a pod), pods that are
    killed, and rollouts, from while the fault was in force.

    What happened as often before is left out; what follows from the fault itself (its own target being killed) is not:
    an event does not say why it came. Events are kept for an hour, usually. Rights: `list events`.
    """

    example = """\
sources:
  - kubernetes-events: {namespaces: [shop]}
"""

    async def gather(self, window: Window) -> Material:
        cluster = cluster_of(self.context)
        happened: list[Happening] = []
        count = 0
        namespaces = self.params.namespaces or self._all()
        for namespace in namespaces:
            events = await cluster.events(namespace, "")
            count += len(events)
            happened += [one for event in events if (one := _happening(event)) is not None]
        within = [one for one in happened if window.usual_from <= (one.last or one.at)]
        looked = f"{count} events of {', '.join(namespaces) or 'no namespace'}"
        return Material("Kubernetes", happenings=within, looked=looked)

    def _all(self) -> Sequence[str]:
        environment = self.context.environment
        named: JsonValue = environment.spec.platform.with_.get("namespaces") if environment is not None else None
        return [str(name) for name in named] if isinstance(named, list) else []


def _happening(event: Mapping[str, Any]) -> Happening | None:
    """What an event tells; None for what is no news by itself."""
    warning = event.get("type") == "Warning"
    reason = str(event.get("reason") or "")
    source = f"{event.get('reportingComponent') or ''} {(event.get('source') or {}).get('component') or ''}"
    began = _time(event.get("eventTime")) or _time(event.get("firstTimestamp")) or _time(event.get("lastTimestamp"))
    if "chaosrunner" in source or began is None or not (warning or reason in _NOTABLE):
        return None
    series = event.get("series") or {}
    about = event.get("involvedObject") or event.get("regarding") or {}
    kind, name = str(about.get("kind") or ""), str(about.get("name") or "")
    message = " ".join(str(event.get("message") or event.get("note") or "").split())[:300]
    deploy = reason == "ScalingReplicaSet" and message.startswith("Scaled up") and not _GROWS.search(message)
    return Happening(
        at=began,
        subject=f"{kind.lower()}/{name}",
        says=f"{kind.lower()}/{name}: {reason}: {message}",
        what="deploy" if deploy else "event",
        key=f"{reason} {kind} {_OF_A_POD.sub('', name) if kind == 'Pod' else name}",
        weight=_DEPLOY if deploy else _WARNING if warning else _NORMAL,
        last=_time(series.get("lastObservedTime")) or _time(event.get("lastTimestamp")),
        times=int(series.get("count") or event.get("count") or 1),
    )


_GROWS = re.compile(r" from [1-9]\d* to ")
"""A replica set that was there already: a scaling, no rollout."""


def _time(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None
