"""LitmusChaos's experiments as steps of ours, by their names, from their environment variables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from chaosrunner.interop.peer_draft import DURATION, Draft, Said, left_out
from chaosrunner.interop.peer_fields import bandwidth, percent, seconds, shown, size
from chaosrunner.interop.toolkit_file import slug
from chaosrunner.model.quantities import write_duration

MOST_KILLS = 6
USUAL: dict[str, dict[str, str]] = {
    "pod-delete": {"TOTAL_CHAOS_DURATION": "15", "CHAOS_INTERVAL": "5", "FORCE": "true"},
    "container-kill": {"TOTAL_CHAOS_DURATION": "20", "CHAOS_INTERVAL": "10"},
    "pod-io-stress": {"TOTAL_CHAOS_DURATION": "120", "NUMBER_OF_WORKERS": "4"},
}
"""What the ChaosExperiments of LitmusChaos's hub say where the engine says nothing, as far as it differs from one to
another. Source: faults/kubernetes/*/fault.yaml in https://github.com/litmuschaos/chaos-charts (2026)."""
LASTS = "60"
"""TOTAL_CHAOS_DURATION of all others there."""
"""Steps that a kill which came back again and again is written out as."""


class Given:
    """An experiment's variables, which of them were asked for, and what its steps have in common."""

    def __init__(self, draft: Draft, name: str, variables: Said, target: Said) -> None:
        self.draft, self.name = draft, name
        self.remarks: list[str] = []
        self._variables, self._asked, self._target = variables, set[str](), target
        self._supposed: set[str] = set()

    def take(self, name: str, otherwise: str = "") -> str:
        """A variable's text; what is empty is as good as absent, and is what the ChaosExperiment usually says."""
        self._asked.add(name)
        found = self._variables.get(name)
        if found not in (None, ""):
            return str(found).strip()
        usual = USUAL.get(self.name, {}).get(name, LASTS if name == "TOTAL_CHAOS_DURATION" else "")
        if usual and name not in self._supposed:
            self._supposed.add(name)
            self.remarks.append(
                f"{name} is not in the file: {usual} is taken, as the ChaosExperiment {self.name} of LitmusChaos's hub "
                "says it. If yours says otherwise, put it into the file."
            )
        return usual or otherwise

    @property
    def nothing(self) -> list[Said]:
        """The step for a strength of zero."""
        return [left_out(self.draft, f"The experiment {self.name}", "its strength is 0, so that nothing happened")]

    def number(self, name: str, otherwise: float = 0.0) -> float:
        """A variable that is a number."""
        try:
            return float(self.take(name).removesuffix("%") or otherwise)
        except ValueError:
            self.remarks.append(f"{name} ({self.take(name)}) is no number here: {otherwise:g} is taken.")
            return otherwise

    def left(self) -> Iterator[tuple[str, str]]:
        """(name, value) of what nobody asked for, empty ones left out."""
        for name, value in self._variables.items():
            if name not in self._asked and value not in (None, ""):
                yield name, shown(value)

    @property
    def lasts(self) -> float:
        """TOTAL_CHAOS_DURATION, in seconds."""
        return seconds(self.take("TOTAL_CHAOS_DURATION")) or DURATION

    def target(self) -> Said:
        """The engine's, with what of it is hit."""
        names = [each.strip() for each in self.take("TARGET_PODS").split(",") if each.strip()]
        share = self.number("PODS_AFFECTED_PERC")
        made = {**self._target, **({"names": names} if names else {})}
        if node := self.take("NODE_LABEL"):
            self.remarks.append(f"NODE_LABEL ({node}) was left out: a target names a node or a zone.")
        return {**made, "take": "all" if names or share >= 100 else percent(share) if share else 1}

    def step(self, fault: str, params: Said | None = None, *, target: Said | None = None) -> Said:
        """One that lasts."""
        made: Said = {"id": slug(self.name, "step"), "fault": fault, "target": target or self.target()}
        return {**made, **({"with": params} if params else {}), "for": write_duration(self.lasts)}

    def service(self, name: str) -> str:
        """The engine's target as a service, whose connections can be meant."""
        if "workload" in self._target:
            said = {"namespace": self._target["namespace"], "workload": self._target["workload"]}
        else:
            pairs = [each.partition("=") for each in str(self._target.get("selector", "say=which")).split(",")]
            labels = {key.strip(): value.strip() for key, equals, value in pairs if equals and key[-1:] not in "!="}
            said = {"namespace": self._target["namespace"], "selector": labels or {"say": "which-pods"}}
        named = said.get("selector", {}).get("app") or str(said.get("workload", "")).partition("/")[2]
        return self.draft.service(slug(named or name, name), said)


def _pod_delete(given: Given) -> list[Said]:
    params: Said = {"force": True} if given.take("FORCE").lower() == "true" else {}
    return _again(given, "pod-kill", params)


def _container_kill(given: Given) -> list[Said]:
    params: Said = {"container": name} if (name := given.take("TARGET_CONTAINER")) else {}
    signal = given.take("SIGNAL", "SIGKILL").removeprefix("SIG")
    if signal in ("INT", "QUIT", "HUP", "ABRT", "SEGV", "TERM"):
        params["signal"] = signal
    else:
        given.remarks.append(
            f"The signal {signal} is TERM here: process 1 of a container does not hear a KILL from inside the pod."
        )
    return _again(given, "container-kill", params)


def _again(given: Given, fault: str, params: Said) -> list[Said]:
    """A kill, again after every CHAOS_INTERVAL until TOTAL_CHAOS_DURATION is over."""
    interval = seconds(given.take("CHAOS_INTERVAL")) or given.lasts
    times = max(1, int(given.lasts / interval))
    if given.take("RANDOMNESS").lower() == "true":
        given.remarks.append("RANDOMNESS was left out: kills are evenly spread.")
    if times > MOST_KILLS:
        given.remarks.append(f"It came {times} times; here {MOST_KILLS} times.")
    step: Said = {"id": slug(given.name, "step"), "fault": fault, "target": given.target()}
    step |= {**({"with": params} if params else {}), "observe": write_duration(interval)}
    return [{**step, "target": dict(step["target"])} for _ in range(min(times, MOST_KILLS))]


def _cpu(given: Given) -> list[Said]:
    cores, load = given.number("CPU_CORES", 1), given.number("CPU_LOAD", 100)
    if not cores:
        given.remarks.append("CPU_CORES 0 meant as many as there are: `cores` is a stand-in.")
    given.take("TARGET_CONTAINER")
    return [given.step("cpu-stress", {"cores": round((cores or 1) * (load or 100) / 100, 3)})]


def _memory(given: Given) -> list[Said]:
    if given.take("NUMBER_OF_WORKERS", "1") != "1":
        given.remarks.append("NUMBER_OF_WORKERS was left out: one holds all the memory.")
    given.take("TARGET_CONTAINER")
    return [given.step("memory-stress", {"size": size(given.take("MEMORY_CONSUMPTION", "500")) or "500MiB"})]


def _io(given: Given) -> list[Said]:
    folder = given.take("VOLUME_MOUNT_PATH")
    if not folder:
        given.remarks.append("The folder that is written to is a stand-in: name one that the pod mounts.")
    for name in ("FILESYSTEM_UTILIZATION_PERCENTAGE", "FILESYSTEM_UTILIZATION_BYTES"):
        if value := given.take(name):
            given.remarks.append(
                f"{name} ({value}) was left out: io-stress takes 64 MiB for each worker; see disk-fill."
            )
    return [
        given.step("io-stress", {"folder": folder or "/data", "workers": int(given.number("NUMBER_OF_WORKERS", 4))})
    ]


def _disk(given: Given) -> list[Said]:
    given.remarks.append("LitmusChaos fills the pod's ephemeral storage; here it is the disk of `folder`: say which.")
    given.take("TARGET_CONTAINER")
    if held := given.number("EPHEMERAL_STORAGE_MEBIBYTES"):
        return [given.step("disk-fill", {"folder": "/tmp", "size": f"{held:g}MiB"})]
    share = given.number("FILL_PERCENTAGE", 80)
    if share >= 100:
        given.remarks.append("FILL_PERCENTAGE was of the pod's own limit; here 1% of the disk is left.")
    return [given.step("disk-fill", {"folder": "/tmp", "leave": percent(max(1.0, 100 - share))})]


def _to(given: Given) -> Said:
    """The target, with its dependency where one is named."""
    target = given.target()
    hosts = [each.strip() for each in given.take("DESTINATION_HOSTS").split(",") if each.strip()]
    hosts += [each.strip() for each in given.take("DESTINATION_IPS").split(",") if each.strip()]
    if len(hosts) > 1:
        given.remarks.append(f"A target has one dependency; left out: {', '.join(hosts[1:])}.")
    if not hosts:
        return target
    to = given.draft.service(slug(hosts[0].partition("|")[0], "outside"), {"host": hosts[0].partition("|")[0]})
    return {"service": given.service("caller"), "to": to, "take": target["take"]}


def _latency(given: Given) -> list[Said]:
    delay, jitter = given.number("NETWORK_LATENCY", 2000), given.number("JITTER")
    given.take("NETWORK_INTERFACE")
    if not delay:
        return given.nothing
    params = {"delay": write_duration(delay / 1000), "direction": "request"}
    params |= {"jitter": write_duration(min(jitter, delay) / 1000)} if jitter else {}
    given.remarks.append(
        "LitmusChaos delays every packet that the pod sends; `direction: request` delays what the pod sends on "
        "connections that it opens."
    )
    return [given.step("network-latency", params, target=_to(given))]


def _share_of(fault: str, variable: str, otherwise: float) -> Callable[[Given], list[Said]]:
    def made(given: Given) -> list[Said]:
        share = given.number(variable, otherwise)
        if not share:
            return given.nothing
        given.take("NETWORK_INTERFACE")
        return [given.step(fault, {"share": percent(share)}, target=_to(given))]

    return made


def _rate(given: Given) -> list[Said]:
    given.take("NETWORK_INTERFACE")
    for name in ("BURST", "LIMIT", "PEAK_RATE", "MIN_BURST"):
        if value := given.take(name):
            given.remarks.append(f"{name} ({value}) was left out: queues are chaosrunner's own.")
    rate = bandwidth(given.take("NETWORK_BANDWIDTH", "1mbit")) or "125kB/s"
    return [given.step("network-bandwidth", {"rate": rate, "direction": "request"}, target=_to(given))]


def _partition(given: Given) -> list[Said]:
    ways = {"all": "both", "ingress": "ingress", "egress": "egress"}
    params = {"direction": ways.get(given.take("POLICY_TYPES", "all").lower(), "both")}
    target = given.target()
    if hosts := given.take("DESTINATION_HOSTS") or given.take("DESTINATION_IPS"):
        given.remarks.append(f"Only {hosts} were out of reach; here everything is: see dependency-loss for one.")
    given.take("DESTINATION_IPS")
    return [given.step("network-policy-deny", params, target=target)]


def _dns(given: Given) -> list[Said]:
    names = _names(given.take("TARGET_HOSTNAMES"))
    if given.take("MATCH_SCHEME", "exact") == "substring":
        names = [f"*{name}*" for name in names]
    params: Said = {"answer": "nxdomain", **({"names": names} if names else {})}
    given.take("CHAOS_TYPE")
    return [given.step("dns-fault", params)]


def _spoof(given: Given) -> list[Said]:
    told = given.take("SPOOF_MAP", "{}")
    try:
        names = [str(name) for name in json.loads(told)]
    except (ValueError, TypeError):
        names = []
    given.remarks.append(f"The names were sent elsewhere ({told}); here they get 192.0.2.1: an `address` can be said.")
    return [given.step("dns-fault", {"answer": "wrong", **({"names": names} if names else {})})]


def _names(text: str) -> list[str]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        found = text.split(",")
    return [str(each).strip() for each in found] if isinstance(found, list) else []


def _web(what: Callable[[Given], Said]) -> Callable[[Given], list[Said]]:
    """A fault on requests: theirs is at the server, ours at one caller's connections."""

    def made(given: Given) -> list[Said]:
        params, port = what(given), given.number("TARGET_SERVICE_PORT", 80)
        for name in ("PROXY_PORT", "NETWORK_INTERFACE"):
            given.take(name)
        share = given.number("TOXICITY", 100)
        if not share or not any(params.values()):
            return given.nothing
        params |= {"share": percent(share)} if share < 100 else {}
        given.target()
        to, space = given.service("server"), given.draft.namespaces[0]
        given.draft.services[to]["service"] = to
        me = given.draft.service("say-which-caller", {"namespace": space, "selector": {"say": "which-pods"}})
        given.remarks.append(
            f"LitmusChaos changes what the server's pods answer to everybody; here it is one caller's requests to it: "
            f"say in the environment who {me} is, and which Kubernetes Service {to} is."
        )
        return [given.step("http-fault", params, target={"service": me, "to": to, "port": int(port)})]

    return made


def _web_latency(given: Given) -> Said:
    delay = given.number("LATENCY", 2000)
    return {"delay": write_duration(delay / 1000)} if delay else {}


def _web_status(given: Given) -> Said:
    codes = [each.strip() for each in given.take("STATUS_CODE").split(",") if each.strip()]
    if not codes:
        given.remarks.append("STATUS_CODE was not said: LitmusChaos takes a status by chance, here it is 500.")
    if len(codes) > 1:
        given.remarks.append(f"One status is answered; left out: {', '.join(codes[1:])}.")
    body = given.take("RESPONSE_BODY")
    if given.take("MODIFY_RESPONSE_BODY", "true").lower() == "false":
        given.remarks.append(
            "MODIFY_RESPONSE_BODY: false kept the server's body; here it is not asked, and there is none."
        )
        body = ""
    status = int(codes[0]) if codes and codes[0].isdigit() else 500
    return {"status": status, **({"body": body} if body else {})}


def _web_reset(given: Given) -> Said:
    after = given.number("RESET_TIMEOUT")
    return {"abort": True, **({"delay": write_duration(after / 1000)} if after else {})}


def _on_node(fault: str) -> Callable[[Given], list[Said]]:
    def made(given: Given) -> list[Said]:
        params: Said = {}
        if fault == "node-taint":
            pair, _, effect = given.take("TAINTS", "chaosrunner.dev/taint:NoSchedule").partition(":")
            key, _, value = pair.partition("=")
            effects = ("NoSchedule", "PreferNoSchedule", "NoExecute")
            if len(key) < 2:
                given.remarks.append(f"The taint's key {key!r} is too short for chaosrunner: this is a stand-in.")
                key = "chaosrunner.dev/taint"
            params = {"key": key, **({"value": value} if value else {})}
            params["effect"] = effect if effect in effects else "NoSchedule"
        node = given.take("TARGET_NODE") or given.take("TARGET_NODES").partition(",")[0]
        if not node:
            given.remarks.append("No node was named: the target is the node of one of the pods.")
        target = {"node": node} if node else {"nodeOf": {k: v for k, v in given.target().items() if k != "take"}}
        return [given.step(fault, params, target=target)]

    return made


def _autoscaler(given: Given) -> list[Said]:
    target = given.target()
    where: Said = {key: target[key] for key in ("namespace", "workload") if key in target}
    if "workload" not in where:
        given.remarks.append("The workload that is scaled was found by labels: its name is a stand-in.")
        where["workload"] = "deployment/say-which"
    return [given.step("scale", {"to": int(given.number("REPLICA_COUNT", 5))}, target=where)]


FAULTS: dict[str, Callable[[Given], list[Said]]] = {
    "pod-delete": _pod_delete,
    "container-kill": _container_kill,
    "pod-cpu-hog": _cpu,
    "pod-cpu-hog-exec": _cpu,
    "pod-memory-hog": _memory,
    "pod-memory-hog-exec": _memory,
    "pod-io-stress": _io,
    "disk-fill": _disk,
    "pod-network-latency": _latency,
    "pod-network-loss": _share_of("network-loss", "NETWORK_PACKET_LOSS_PERCENTAGE", 100),
    "pod-network-corruption": _share_of("network-corrupt", "NETWORK_PACKET_CORRUPTION_PERCENTAGE", 100),
    "pod-network-duplication": _share_of("network-duplicate", "NETWORK_PACKET_DUPLICATION_PERCENTAGE", 100),
    "pod-network-rate-limit": _rate,
    "pod-network-partition": _partition,
    "pod-dns-error": _dns,
    "pod-dns-spoof": _spoof,
    "pod-http-latency": _web(_web_latency),
    "pod-http-status-code": _web(_web_status),
    "pod-http-reset-peer": _web(_web_reset),
    "pod-autoscaler": _autoscaler,
    "node-drain": _on_node("node-drain"),
    "node-taint": _on_node("node-taint"),
}
_NODE = "chaosrunner acts on nodes through the API only, and never stops or loads one; see node-drain and zone-outage"
_BODY = "answers are not rewritten here; http-fault can give a status and a body of its own"
LEFT_OUT: dict[str, str] = {
    **dict.fromkeys(("node-cpu-hog", "node-memory-hog", "node-io-stress", "node-restart", "node-poweroff"), _NODE),
    **dict.fromkeys(("kubelet-service-kill", "docker-service-kill"), _NODE),
    **dict.fromkeys(("pod-http-modify-body", "pod-http-modify-header"), _BODY),
}
"""Experiments that are known, and why they have no counterpart."""
