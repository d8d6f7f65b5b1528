"""Krkn's scenarios on the network of pods as steps of ours."""

from __future__ import annotations

from chaosrunner.interop.krkn_targets import pods_of, step_of
from chaosrunner.interop.peer_draft import Draft, Said, left_out, side_by_side
from chaosrunner.interop.peer_fields import Fields, bandwidth, lasts, percent, seconds
from chaosrunner.model.quantities import write_duration
from chaosrunner.records.patterns import pattern


def _time(given: Fields) -> str:
    found = lasts(given.take("test_duration", given.take("duration")), 120.0)
    given.take("wait_duration")
    given.take("duration")
    return found


def _one_pod(target: Said, named: str) -> Said:
    """The target, where a pod is named in place of labels."""
    if not named or named == ".*":
        return target
    return {**{key: value for key, value in target.items() if key != "selector"}, "names": [named]}


def _network_target(draft: Draft, given: Fields, place: Said) -> Said:
    named = given.text("target")
    target = _one_pod(pods_of(draft, given, place, known=bool(named)), named)
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
    target = _network_target(draft, given, place)
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
    elif given.take("ingress") is True:
        draft.note(place, "`ingress: true` was left out: what the pod sends is shaped; aim a step at the callers, too.")
    given.take("egress")
    if not given.many("interfaces"):
        given.take("interfaces")
    # Krkn's newer module adds the units `ms` and `mbit` to bare numbers; what it had before handed them to tc, which
    # reads a bare delay as microseconds and a bare rate as bits.
    newer = name == "pod_network_chaos"
    return _shaped(draft, _Shape(params, newer), target, (time, name), place)


class _Shape:
    """Latency, loss and bandwidth as they come out of a scenario."""

    def __init__(self, params: Fields, newer: bool) -> None:
        latency, rate = params.text("latency"), params.text("bandwidth")
        bare = _NUMBER.fullmatch(latency) is not None
        self.delay = seconds(latency + ("ms" if newer else "us") if bare else latency) or 0.0
        self.rate = bandwidth(rate + ("mbit" if newer else "bit") if _NUMBER.fullmatch(rate) else rate)
        self.loss = max(0.0, params.number("loss") or 0.0)
        self.strange = [f"`bandwidth: {rate}`"] if rate and self.rate is None else []
        if latency and not self.delay and not latency.startswith("0"):
            self.strange.append(f"`latency: {latency}`")


_NUMBER = pattern(r"\d+(\.\d+)?")


def _shaped(draft: Draft, shape: _Shape, target: Said, when: tuple[str, str], place: Said) -> list[Said]:
    time, name = when
    steps: list[Said] = []
    for each in shape.strange:
        draft.note(place, f"{each} is no quantity with a unit that is known here, and was left out.")
    if shape.delay:
        said = {"delay": write_duration(shape.delay), "direction": "request"}
        steps.append(step_of("network-latency", target, said, name=name, **{"for": time}))
    if shape.loss:
        if shape.loss < 1:
            draft.note(
                place,
                f"`loss: {shape.loss:g}` is {shape.loss:g} % to what Krkn hands it to, although comments in "
                f"its examples say that it is a fraction: {percent(shape.loss * 100)} was perhaps meant.",
            )
        steps.append(step_of("network-loss", target, {"share": percent(shape.loss)}, name=name, **{"for": time}))
    if shape.rate:
        said = {"rate": shape.rate, "direction": "request"}
        steps.append(step_of("network-bandwidth", target, said, name=name, **{"for": time}))
    if not steps:
        made = left_out(draft, f"The scenario {name}", "it says nothing of latency, loss or bandwidth", lasts=time)
        return [made | place]
    steps[0] |= place
    for step in steps[1:]:
        step |= {"id": f"{steps[0]['id']}-{step['fault']}", "target": {"sameAs": steps[0]["id"]}}
    return side_by_side([step] for step in steps)
