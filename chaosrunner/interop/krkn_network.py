"""Krkn's scenarios on the network of pods as steps of ours."""

from __future__ import annotations

from chaosrunner.interop.krkn_targets import pods_of, step_of
from chaosrunner.interop.peer_draft import Draft, Said, left_out, side_by_side
from chaosrunner.interop.peer_fields import Fields, bandwidth, lasts, percent, seconds
from chaosrunner.model.quantities import write_duration


def _time(given: Fields) -> str:
    found = lasts(given.take("test_duration", given.take("duration")))
    given.take("wait_duration")
    given.take("duration")
    return found


def _network_target(draft: Draft, given: Fields, place: Said) -> Said:
    target = pods_of(draft, given, place)
    for field in ("execution", "execution_type", "kraken_config", "image", "service_account", "taints"):
        if field in given:
            draft.note(place, f"`{field}` ({given.text(field)}) was left out: it is about how Krkn does it.")
    return {**target, "take": int(given.number("instance_count") or 1)}


def outage(draft: Draft, given: Fields, name: str) -> list[Said]:
    """Cut by a policy."""
    place: Said = {}
    target = _network_target(draft, given, place)
    ways = sorted(str(each).lower() for each in given.many("direction", ["ingress", "egress"]))
    way = ways[0] if len(ways) == 1 else "both"
    for field in ("ingress_ports", "egress_ports"):
        ports = given.take(field)
        if ports:
            draft.note(place, f"`{field}` ({ports}) were left out: all ports are cut. dependency-loss takes a port.")
    return [step_of("network-policy-deny", target, {"direction": way}, name=name, **{"for": _time(given)}) | place]


def filtered(draft: Draft, given: Fields, name: str) -> list[Said]:
    """Packets that are dropped on the pod."""
    place: Said = {}
    named = given.text("target")
    target = _network_target(draft, given, place)
    if named:
        target = {**{k: v for k, v in target.items() if k != "selector"}, "names": [named]}
    out, into = given.take("egress", True) is not False, given.take("ingress", True) is not False
    for field in ("ports", "protocols", "interfaces"):
        if found := given.take(field):
            draft.note(place, f"`{field}` ({found}) were left out: every packet is lost. dependency-loss takes a port.")
    way = "both" if out and into else "out" if out else "in"
    return [step_of("network-partition", target, {"direction": way}, name=name, **{"for": _time(given)}) | place]


def shaping(draft: Draft, given: Fields, name: str) -> list[Said]:
    """Latency, loss and bandwidth of what pods send."""
    place: Said = {}
    target, time = _network_target(draft, given, place), _time(given)
    params = given.inside("network_params") if "network_params" in given else given
    if "ingress" in name:
        draft.note(place, "It shaped what comes in; here it is what the pod sends: aim it at the callers instead.")
    return _shaped(draft, params, target, time, name, place)


def _shaped(draft: Draft, params: Fields, target: Said, time: str, name: str, place: Said) -> list[Said]:
    steps: list[Said] = []
    if delay := seconds(params.take("latency")):
        said = {"delay": write_duration(delay), "direction": "request"}
        steps.append(step_of("network-latency", target, said, name=name, **{"for": time}))
    share = params.number("loss")
    if share:
        # `50%` and a bare `0.5` are both written.
        loss = percent(share * 100 if share < 1 else share)
        steps.append(step_of("network-loss", target, {"share": loss}, name=name, **{"for": time}))
    if rate := bandwidth(params.take("bandwidth", "")):
        said = {"rate": rate, "direction": "request"}
        steps.append(step_of("network-bandwidth", target, said, name=name, **{"for": time}))
    if not steps:
        return [left_out(draft, f"The scenario {name}", "it says nothing of latency, loss or bandwidth", lasts=time)]
    steps[0] |= place
    for step in steps[1:]:
        step |= {"id": f"{steps[0]['id']}-{step['fault']}", "target": {"sameAs": steps[0]["id"]}}
    return side_by_side([step] for step in steps)
