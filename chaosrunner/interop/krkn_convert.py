"""Krkn's scenario files in our own format. They carry no kind: what one is follows from its top keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chaosrunner.errors import UsageError
from chaosrunner.interop import krkn_network
from chaosrunner.interop.krkn_targets import LABEL, nodes_of, pods_of, space_of, step_of
from chaosrunner.interop.peer_draft import Draft, Said, left_out
from chaosrunner.interop.peer_fields import Fields, lasts, percent, size
from chaosrunner.interop.toolkit_file import slug

_POWER = "chaosrunner acts on nodes through the API only: it stops, restarts or crashes none"
_FLOOD = "chaosrunner floods nothing; `traffic` is a load with a rate"
_MACHINES = "virtual machines are no targets here"
_CLOUD = "chaosrunner changes nothing at a cloud"
_NODE_ACTIONS = {
    "node_drain_scenario": "node-drain",
    "node_cordon_scenario": "node-cordon",
}
_IMPOSSIBLE = {
    "time_scenarios": "the clock of processes cannot be shifted from outside; where Chaos Mesh is, see the fault "
    "`chaos-mesh` with a TimeChaos",
    "cluster_shut_down_scenario": _POWER,
    "syn_flood_scenarios": _FLOOD,
    "packet-size": _FLOOD,
    "target-service": _FLOOD,
    "http_load_scenario": "a load is no fault here: `traffic` of an experiment is one, with a rate (`50/1s` is `50/s`)",
    "kubevirt_scenarios": _MACHINES,
    "storage_throttle_scenario": "chaosrunner sets no limits for volumes; `io-stress` makes a disk slow by load",
    "aws_s3_replication_scenarios": _CLOUD,
    "chaos_duration": _CLOUD,
    "managedcluster_scenarios": "clusters that are managed by another one are no targets here",
    "iterations": "a composite names other scenarios: convert those, one by one",
}
"""Top keys of what is known and has no counterpart."""
_HIJACK = "answers of a plan of your own are not served here; http-fault gives a status and a body"


def is_one(document: object) -> bool:
    """Whether a document is a scenario of Krkn (or its configuration)."""
    return "kraken" in document if isinstance(document, dict) and "kraken" in document else _maker(document) is not None


def drafts(documents: Sequence[object], origin: str, remarks: list[str]) -> list[Draft]:
    """One experiment for each document. Raises `UsageError` for what is no scenario."""
    made = []
    for document in documents:
        if isinstance(document, dict) and "kraken" in document:
            raise UsageError("this is Krkn's configuration, which only names scenario files: convert those, one by one")
        maker = _maker(document)
        if maker is None:
            raise UsageError("expected a scenario of Krkn: none of its kinds has these top keys")
        draft = Draft(slug(origin.rpartition(".")[0] or origin, "scenario"), f"Scenario {origin} of Krkn", remarks)
        top = Fields(document if isinstance(document, dict) else {"": document})
        draft.method = maker(draft, top)
        first = next((step for item in draft.method for step in item.get("together", [item]) if "fault" in step), None)
        draft.leftovers(draft.about if first is None else first, top)
        made.append(draft)
    return made


Maker = Callable[[Draft, Fields], list[Said]]


def _maker(document: object) -> Maker | None:
    if isinstance(document, list):
        mappings = [each if isinstance(each, dict) else None for each in document]
        made = [_listed if each is not None and "id" in each else _maker(each) for each in mappings]
        return None if None in made or not made else _listed if set(made) == {_listed} else _each
    if not isinstance(document, dict) or "apiVersion" in document:
        return None
    for key, maker in _MAKERS.items():
        if key in document:
            return maker
    return next((_refused(key) for key in _IMPOSSIBLE if key in document), None)


def _refused(key: str) -> Maker:
    def made(draft: Draft, top: Fields) -> list[Said]:
        return [left_out(draft, f"The scenario `{key}`", _IMPOSSIBLE[key])]

    return made


def _each(draft: Draft, top: Fields) -> list[Said]:
    """A list of scenarios that have no `id`, each under its top key."""
    steps: list[Said] = []
    for each in top.each(""):
        made = next((maker for key, maker in _MAKERS.items() if key in each), None)
        key = next((key for key in _IMPOSSIBLE if key in each), "")
        steps += (made or _refused(key))(draft, each)
    return steps


# ------------------------------------------------------------------------------------------------------- lists by id


def _listed(draft: Draft, top: Fields) -> list[Said]:
    """Scenarios with an `id`: pods, and the network of pods and nodes."""
    steps: list[Said] = []
    for each in top.each(""):
        name = each.text("id")
        given = each.inside("config") if "config" in each else each
        make = {
            "kill-pods": _kill_pods,
            "wait-for-pods": _wait_for_pods,
            "pod_network_outage": krkn_network.outage,
            "pod_egress_shaping": krkn_network.shaping,
            "pod_ingress_shaping": krkn_network.shaping,
            "pod_network_filter": krkn_network.filtered,
            "pod_network_chaos": krkn_network.shaping,
        }.get(name.replace("kill_pods", "kill-pods"))
        if make is None:
            steps.append(left_out(draft, f"The scenario {name}", _unknown(name)))
        else:
            steps += make(draft, given, name)
    return steps


def _unknown(name: str) -> str:
    if name.startswith("node_"):
        return "the network of whole nodes is not touched here: pods of a node can be (`target.node` beside labels)"
    if name.startswith(("vmi_", "kubevirt")):
        return _MACHINES
    return "there is nothing like it here"


def _kill_pods(draft: Draft, given: Fields, name: str) -> list[Said]:
    place: Said = {}
    target = pods_of(draft, given, place, "namespace_pattern")
    take = int(given.number("kill") or given.number("count") or 1)
    within = lasts(given.take("krkn_pod_recovery_time", given.take("expected_recovery_time", 120)))
    if node := given.text("node_label_selector"):
        draft.note(place, f"`node_label_selector` ({node}) was left out: a target names a node or a zone.")
    nodes = given.take("node_names")
    if isinstance(nodes, list) and nodes:
        target["node"] = str(nodes[0])
        if len(nodes) > 1:
            draft.note(place, f"A target is on one node; left out: {', '.join(map(str, nodes[1:]))}.")
    draft.note(
        place,
        f"Krkn failed where the pods were not back within {within}: the stand-in below looks whether they are ready; "
        "`recovery.within` says how soon.",
    )
    return [step_of("pod-kill", {**target, "take": take}, name=name, observe=within) | place]


def _wait_for_pods(draft: Draft, given: Fields, name: str) -> list[Said]:
    target = pods_of(draft, given, draft.about, "namespace_pattern")
    count = int(given.number("count") or given.number("pod_count") or 1)
    given.take("timeout")
    labels = target.get("selector", LABEL)
    asked = {"selector": labels, "namespace": target["namespace"], "read": "readyPods"}
    draft.measure(slug(name, "pods"), {"kubernetes": asked, "tolerance": {"atLeast": count}, "during": "edge"})
    return []


# --------------------------------------------------------------------------------------------------- by their top keys


def _containers_or_namespaces(draft: Draft, top: Fields) -> list[Said]:
    """`scenarios`: containers that are killed, or (service disruption) all that is in a namespace deleted."""
    steps: list[Said] = []
    for each in top.each("scenarios"):
        if "scenario" in each:
            name = each.text("scenario")
            steps.append(left_out(draft, f"The scenario {name}", _unknown(name)))
        else:
            steps += _container(draft, each) if _is_container(each) else _disruption(draft, each)
    return steps


def _is_container(each: Fields) -> bool:
    return any(name in each for name in ("container_name", "pod_names", "action"))


def _container(draft: Draft, given: Fields) -> list[Said]:
    place: Said = {}
    target = pods_of(draft, given, place)
    names = [str(each) for each in given.many("pod_names")]
    if names:
        target = {"namespace": target["namespace"], "names": names}
    container, action = given.text("container_name"), given.text("action", "1")
    known = {"1": "HUP", "15": "TERM", "2": "INT", "3": "QUIT", "6": "ABRT"}
    number = action.removeprefix("kill").strip().lstrip("-") or "15"
    signal = known.get(number, "TERM")
    if number not in known:
        draft.note(place, f"`action: {action}` is TERM here: process 1 does not hear every signal from inside its pod.")
    params = {**({"container": container} if container else {}), "signal": signal}
    name = given.text("name", "container-kill")
    observed = lasts(given.take("expected_recovery_time", 60))
    given.take("retry_wait")
    made = step_of(
        "container-kill", {**target, "take": int(given.number("count") or 1)}, params, name=name, observe=observed
    )
    return [made | place]


def _disruption(draft: Draft, given: Fields) -> list[Said]:
    place: Said = {}
    target = pods_of(draft, given, place)
    draft.note(
        place,
        "Krkn deletes all objects of a namespace, which nothing takes back and chaosrunner never does: here its pods "
        "are killed.",
    )
    for field in ("delete_count", "runs", "sleep"):
        if field in given:
            draft.note(place, f"`{field}` ({given.text(field)}) was left out.")
    return [step_of("pod-kill", {**target, "take": "all"}, name="service-disruption", observe="60s") | place]


def _node_scenarios(draft: Draft, top: Fields) -> list[Said]:
    steps: list[Said] = []
    for each in top.each("node_scenarios"):
        place: Said = {}
        time = lasts(each.take("duration"), 120.0)
        actions = [str(action) for action in each.many("actions")]
        fit = [action for action in actions if action in _NODE_ACTIONS]
        target = nodes_of(draft, each, place) if fit else {}
        for field in (
            "cloud_type",
            "timeout",
            "runs",
            "parallel",
            "kube_check",
            "instance_count",
            "disable_ssl_verification",
        ):
            if field in each and fit:
                draft.note(place, f"`{field}` ({each.text(field)}) was left out.")
        made: list[Said] = []
        for action in actions:
            if action in fit:
                made.append(step_of(_NODE_ACTIONS[action], target, None, name=action, **{"for": time}))
            else:
                made.append(left_out(draft, f"The action {action}", _POWER, lasts=time))
        if made:
            made[0] |= place
        steps += made
    return steps


def _hog(draft: Draft, top: Fields) -> list[Said]:
    place: Said = {}
    kind, time = top.text("hog-type"), lasts(top.take("duration"), 60.0)
    draft.note(
        place,
        "Krkn loads a node from a pod of its own; here the load is in a pod of yours there, and counts towards its "
        f"limits: `{LABEL}` is a stand-in, say which.",
    )
    draft.inside("default")
    target: Said = {"namespace": "default", "selector": LABEL}
    workers = top.number("workers")
    if not workers:
        draft.note(place, "It had as many workers as the node has processors: here it is one, say how many.")
        workers = 1
    params: Said
    if kind == "cpu":
        fault, params = "cpu-stress", {"cores": round(workers * (top.number("cpu-load-percentage") or 100) / 100, 3)}
    elif kind == "memory":
        wanted = top.text("memory-vm-bytes", "256m")
        held = None if "%" in wanted else size(_binary(wanted))
        if held is None:
            draft.note(place, f"The size was {wanted} of the node's memory: `size` is a stand-in.")
        fault, params = "memory-stress", {"size": held or "256MiB"}
    else:
        fault, params = "io-stress", {"folder": top.text("io-target-pod-folder", "/data"), "workers": int(workers)}
    if number := top.number("number-of-nodes"):
        target["take"] = int(number)
    return [step_of(fault, target, params, name=f"{kind}-hog", **{"for": time}) | place]


def _binary(amount: str) -> str:
    """As stress-ng reads it: `1g` is 1024 to the third, `100` are bytes."""
    bare = amount.strip().rstrip("bB")
    return (
        f"{bare}i"
        if bare[-1:].lower() in ("k", "m", "g", "t")
        else f"{float(bare) / 1024:g}Ki"
        if bare.isdigit()
        else bare
    )


def _zone(draft: Draft, top: Fields) -> list[Said]:
    place: Said = {}
    given = top.inside("zone_outage")
    zone, time = given.text("zone"), lasts(given.take("duration"), 120.0)
    draft.note(
        place,
        "Krkn cuts the zone's network at the cloud; here its nodes are cordoned, and the environment's pods there "
        "deleted by force." + ("" if zone else " `say-which` is a stand-in for the zone's name."),
    )
    return [step_of("zone-outage", {"zone": zone or "say-which"}, None, name="zone-outage", **{"for": time}) | place]


def _application(draft: Draft, top: Fields) -> list[Said]:
    place: Said = {}
    given = top.inside("application_outage")
    space, labels = space_of(draft, given.text("namespace"), place), given.pairs("pod_selector")
    words = ",".join(f"{key}={value}" for key, value in labels.items()) or LABEL
    if excluded := given.text("exclude_label"):
        key, equals, value = excluded.partition("=")
        words += f",{key}!={value}" if equals else f",!{key}"
    draft.ready = {"namespace": space, "selector": words}
    block = sorted(str(each).lower() for each in given.many("block", ["Ingress", "Egress"]))
    way = block[0] if len(block) == 1 else "both"
    target = {"namespace": space, "selector": words, "take": "all"}
    time = lasts(given.take("duration"), 60.0)
    return [step_of("network-policy-deny", target, {"direction": way}, name="outage", **{"for": time}) | place]


def _pvc(draft: Draft, top: Fields) -> list[Said]:
    place: Said = {}
    given = top.inside("pvc_scenario")
    share = given.number("fill_percentage") or 50
    target = pods_of(draft, given, place)
    if claim := given.text("pvc_name"):
        draft.note(place, f"The claim {claim} is where it is mounted: say that folder in place of `/data`.")
    params = {"folder": "/data", "leave": percent(max(1.0, 100 - share))}
    return [step_of("disk-fill", target, params, name="pvc", **{"for": lasts(given.take("duration"), 60.0)}) | place]


def _node_network(draft: Draft, top: Fields) -> list[Said]:
    return [left_out(draft, "The scenario `network_chaos`", _unknown("node_network"))]


def _hijack(draft: Draft, top: Fields) -> list[Said]:
    return [left_out(draft, "The service hijacking", _HIJACK)]


_MAKERS: dict[str, Maker] = {
    "scenarios": _containers_or_namespaces,
    "node_scenarios": _node_scenarios,
    "hog-type": _hog,
    "zone_outage": _zone,
    "application_outage": _application,
    "pvc_scenario": _pvc,
    "network_chaos": _node_network,
    "service_target_port": _hijack,
}
"""By the top key that only this kind has."""
