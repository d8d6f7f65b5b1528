"""The ephemeral container beside a target: what it is made of, why there can be none, and how it fares, read from the
pod alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from chaosrunner.errors import FaultFailed
from chaosrunner.injector.nft import tag
from chaosrunner.platforms.kubernetes.client import ApiError, Object
from chaosrunner.platforms.kubernetes.spec import Injector as Settings

HOPELESS = ("ErrImageNeverPull", "InvalidImageName", "ImagePullBackOff", "CreateContainerConfigError")
"""Reasons for which a container waits that no time heals."""
SIGKILL = 137
"""Exit code of what was killed."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What an injector may do, no more than its faults need: one container for each."""

    network: bool = False
    """NET_ADMIN, over the pod's own network only. Capabilities reach a process of another user than root only through
    its file's, which `allowPrivilegeEscalation: false` shuts off: so it runs as root, with this one capability."""
    beside: str = ""
    """A container of the pod whose processes it sees."""
    signals: bool = False
    """KILL: it signals processes of whatever user, for which it runs as root with this one capability."""
    volume: str = ""
    """A volume of the pod that it writes to."""
    mount: str = field(default="", compare=False)
    """Where that is mounted."""
    user: int | None = field(default=None, compare=False)
    """Who writes to it, where the pod says so."""

    @property
    def suffix(self) -> str:
        """Of its name."""
        more = [each for each in (self.beside, self.volume and f"on-{self.volume}") if each]
        return "-".join(["" if self.network else "-bare", *more])

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What it is given beyond nothing."""
        return (("NET_ADMIN",) if self.network else ()) + (("KILL",) if self.signals else ())


NETWORK = Needs(network=True)


def stem(run: str, needs: Needs) -> str:
    """How the names of a run's injectors begin: `chaosrunner-1a2b3c4d`."""
    return f"chaosrunner-{tag(run)}{needs.suffix}"[:55]


def next_name(pod: Object, run: str, needs: Needs) -> str:
    """A name that no container of the pod has had."""
    taken = {str(each["name"]) for each in pod["spec"].get("ephemeralContainers") or ()}
    first = stem(run, needs)
    names = [first, *(f"{first}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def container(name: str, run: str, seconds: float, needs: Needs, settings: Settings) -> Object:
    """The container as the API takes it."""
    security: dict[str, Any] = {
        "capabilities": {"drop": ["ALL"]} | ({"add": list(needs.capabilities)} if needs.capabilities else {}),
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    security |= {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False} if needs.capabilities else {}
    security |= {"runAsUser": needs.user} if needs.user is not None and not needs.capabilities else {}
    mounts = [{"name": needs.volume, "mountPath": needs.mount}] if needs.volume else []
    made: Object = {
        "name": name,
        "image": settings.image_name,
        "imagePullPolicy": settings.pull_policy,
        "command": ["python3", "-m", "chaosrunner.injector.pod"],
        "args": ["--run", run, "--seconds", f"{seconds:g}"],
        "stdin": True,
        "stdinOnce": False,
        "tty": False,
        "securityContext": security,
    } | ({"volumeMounts": mounts} if mounts else {})
    return made | ({"targetContainerName": needs.beside} if needs.beside else {})


def why_not(pod: Object, needs: Needs) -> str:
    """Why there can be no injector beside this pod; empty: nothing speaks against it."""
    spec = pod["spec"]
    system = (spec.get("os") or {}).get("name") or (spec.get("nodeSelector") or {}).get("kubernetes.io/os") or "linux"
    if system != "linux":
        return f"it runs on {system}, and the injector needs Linux"
    if needs.network and spec.get("hostNetwork"):
        return "it uses its node's network (hostNetwork), so that rules there would act on the whole node"
    if "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {}):
        return "it is a static pod of its node, which takes no ephemeral containers"
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return "it has ended"
    return ""


def refused(error: ApiError) -> str:
    """The API server's refusal, with what to do about it."""
    said = error.message
    if "PodSecurity" in said or "violates" in said:
        return f"a policy forbids the injector's ephemeral container: {said}"
    if "admission webhook" in said:
        return f"an admission webhook refuses the injector's ephemeral container: {said}"
    if error.code in (401, 403):
        return f"the right to start the injector is missing (patch pods/ephemeralcontainers): {said}"
    return f"the injector's ephemeral container was refused: {said}"


def control(pod: Object) -> tuple[Object, ...]:
    """What watches over a pod, as exceptions of a match: its node, where the kubelet's probes come from, and the ports
    that metrics are read from: `prometheus.io/port`, and container ports whose name speaks of metrics."""
    status = pod.get("status", {})
    ips = [str(each["ip"]) for each in status.get("hostIPs") or ()] or [str(status.get("hostIP") or "")]
    node: list[Object] = [{"cidr": f"{each}/{128 if ':' in each else 32}"} for each in ips if each]
    annotated = str((pod["metadata"].get("annotations") or {}).get("prometheus.io/port") or "")
    ports = {int(annotated)} if annotated.isdigit() else set()
    for each in pod["spec"].get("containers") or ():
        for port in each.get("ports") or ():
            if any(word in str(port.get("name") or "") for word in ("metrics", "prom")):
                ports.add(int(port["containerPort"]))
    return (*node, {"gateway": True}, *({"port": port, "own": True} for port in sorted(ports)))


def _status(pod: Object, name: str) -> Object:
    statuses = pod.get("status", {}).get("ephemeralContainerStatuses") or ()
    return next((each.get("state") or {} for each in statuses if each["name"] == name), {})


def progress(pod: Object, name: str, image: str) -> tuple[Literal["runs", "waits"], str]:
    """Whether it runs by now, and what it waits for. Raises `FaultFailed` when it never will."""
    where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    state = _status(pod, name)
    if "running" in state:
        return "runs", ""
    if "terminated" in state:
        raise FaultFailed(f"{where}: the injector ended as soon as it was started: {_ended(state['terminated'])}")
    if "deletionTimestamp" in pod["metadata"]:
        raise FaultFailed(f"{where} is being deleted")
    waiting = state.get("waiting") or {}
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    words = f"{reason}: {message}" if message else reason
    if reason in HOPELESS and "pull" in reason.lower():
        raise FaultFailed(f"{where}: the injector's image {image} cannot be had: {words}")
    if reason in HOPELESS:
        raise FaultFailed(f"{where}: the injector cannot be started: {words}")
    return "waits", words


def death(pod: Object, name: str) -> str:
    """How it died; empty: it runs, or nobody has heard otherwise."""
    where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    state = _status(pod, name)
    if "terminated" in state:
        return f"the injector in {where} is gone: {_ended(state['terminated'])}"
    return ""


def living(pod: Object, run: str, needs: Needs) -> tuple[str, bool]:
    """(the name of a run's injector that runs, whether one was killed or failed and may have left something)"""
    first = stem(run, needs)
    names = [str(each["name"]) for each in pod["spec"].get("ephemeralContainers") or ()]
    killed = False
    for name in reversed([each for each in names if each == first or _numbered(each, first)]):
        state = _status(pod, name)
        if "running" in state:
            return name, False
        killed = killed or state.get("terminated", {}).get("exitCode", 0) != 0
    return "", killed


def _numbered(name: str, first: str) -> bool:
    before, _, number = name.rpartition("-")
    return before == first and number.isdigit() and len(number) < 8  # a run's tag is no number of ours


def _ended(state: Object) -> str:
    code, reason = state.get("exitCode"), str(state.get("reason") or "")
    if reason == "OOMKilled":
        return "killed because the pod ran out of memory (OOMKilled)"
    if code == SIGKILL:
        return f"killed (exit code {code}, {reason})"
    message = str(state.get("message") or "").strip()
    return f"exit code {code}, {reason}" + (f": {message[-300:]}" if message else "")
