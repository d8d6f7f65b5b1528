"""A real cluster for tests: namespaces of their own, a small system in them, and runs of chaosrunner against it.

Set `CHAOSRUNNER_TEST_KUBECONFIG`; the images `lab/base:1` (with python3) and `chaosrunner/injector:test` must be on its
nodes (see `build-image`), and `chaosrunner/chaosrunner:test` for what runs chaosrunner there (`build-runner-image`).
Tests that stop parts of the cluster also need `CLUSTER_TOOLS`, the folder of its `lab` tool.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path

KUBECONFIG = os.environ.get("CHAOSRUNNER_TEST_KUBECONFIG", "")
IMAGE = os.environ.get("CHAOSRUNNER_TEST_IMAGE", "chaosrunner/injector:test")
BASE = os.environ.get("CHAOSRUNNER_TEST_BASE", "lab/base:1")
TOOLS = os.environ.get("CLUSTER_TOOLS", "")
OUTAGES = "chaosrunner-cluster-tests.lock"
PROGRAM = (Path(__file__).parent / "service.py").read_text()
DATAGRAMS = 9000
"""The port on which every service's pods send datagrams back, and the service too."""

STEADY = {
    "name": "the-clock-goes",
    "title": "The machine of the test is there",
    "measures": [
        {
            "name": "true",
            "command": {"run": ["true"], "read": "exitCode"},
            "every": "250ms",
            "tolerance": {"equals": 0},
        }
    ],
}
"""A hypothesis for experiments that are about the fault alone."""


@contextlib.contextmanager
def parts_stopped(*parts: str) -> Iterator[Callable[[], None]]:
    """Stop parts of the cluster (`kube-apiserver`, `kubelet-2`); what is given starts them again, at the latest the end
    does. One at a time on this machine, as it disturbs everybody."""
    if not TOOLS:
        pytest.skip("CLUSTER_TOOLS is not set")
    with (Path(tempfile.gettempdir()) / OUTAGES).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with _stopped(*parts) as start:
            yield start


def kubectl(*words: str, given: str = "") -> str:
    """What it prints; fails with its complaint."""
    command = ["kubectl", "--kubeconfig", KUBECONFIG, *words]
    done = subprocess.run(command, input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def to_back(fault: str, lasts: str, **params: Any) -> Object:
    """A step: the connections of all pods of `front` to `back`."""
    target = {"service": "front", "to": "back", "take": "all"}
    return {"fault": fault, "target": target, "with": params, "for": lasts, "id": "it"}


disturbed = False
"""Whether a part of the cluster was stopped since it was last seen to be well."""


@contextlib.contextmanager
def _stopped(*parts: str) -> Iterator[Callable[[], None]]:
    global disturbed
    tool = str(Path(TOOLS) / "lab")
    stopped = disturbed = True

    def start() -> None:
        nonlocal stopped
        if stopped:
            subprocess.run([tool, "start", *parts], check=True, capture_output=True)
            stopped = False

    try:
        subprocess.run([tool, "stop", *parts], check=True, capture_output=True)
        yield start
    finally:
        start()


Outage = Callable[[], contextlib.AbstractContextManager[Callable[[], None]]]


@contextlib.asynccontextmanager
async def outages_to_itself() -> AsyncIterator[Outage]:
    """From here on no other test stops parts of the cluster, so that a run begins and ends under one's own outage
    alone. What is given stops the API server, as `parts_stopped` does."""
    if not TOOLS:
        pytest.skip("CLUSTER_TOOLS is not set")
    async with _locked(OUTAGES):
        yield lambda: _stopped("kube-apiserver")


@contextlib.asynccontextmanager
async def nodes_to_itself() -> AsyncIterator[None]:
    """For tests that cordon or taint nodes: one module at a time on this machine."""
    async with _locked("chaosrunner-cluster-nodes.lock"):
        yield


@contextlib.asynccontextmanager
async def _locked(name: str) -> AsyncIterator[None]:
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.3)
        yield


async def eventually(look: Callable[[], Awaitable[Any]], within: float, what: str, every: float = 0.2) -> Any:
    """The first true answer of `look`; fails with `what` after so many seconds. Failures to ask count as no."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + within
    last: Any = None
    while loop.time() < give_up:
        try:
            last = await look()
        except ApiError as error:
            last = error
        else:
            if last:
                return last
        await asyncio.sleep(every)
    pytest.fail(f"not within {within:g} s: {what}; last seen: {last!r}")


class Still(list[Any]):
    """What is still there: no answer yet, and shown if there never is one."""

    def __bool__(self) -> bool:
        return False


async def nothing_left(look: Callable[[], Awaitable[Iterable[Any]]], within: float, what: str) -> None:
    """Until `look` finds nothing more; fails with what it still finds."""

    async def none() -> Any:
        return Still(found) if (found := list(await look())) else True

    await eventually(none, within, what)


@dataclass
class Space:
    """A namespace with a small system: services of deployments, and `outside`, a pod that only looks."""

    name: str
    folder: Path
    cluster: Cluster = field(default_factory=lambda: Cluster(kubeconfig=KUBECONFIG))
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    number: int = 0

    # -- what is there

    async def deploy(self, name: str, replicas: int = 1, port: int = 8080, *, within: float = 60, **pod: Any) -> None:
        """A Deployment of the program of `service.py` with a Service of the same name on port 80, ready when done;
        more of the pod's spec by keyword."""
        labels = {"app": name}
        container: dict[str, Any] = {
            "name": "main",
            "image": BASE,
            "imagePullPolicy": "Never",
            "command": ["python3", "-u", "-c", PROGRAM, str(port), str(DATAGRAMS)],
            "ports": [{"containerPort": port}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": port}, "periodSeconds": 1, "timeoutSeconds": 1},
        } | pod.pop("container", {})
        spec = {"terminationGracePeriodSeconds": 1, "containers": [container], **pod}
        await self.make(
            "apps/v1",
            "deployments",
            {
                "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": spec},
                },
            },
        )
        ports: list[Object] = [{"name": "web", "port": 80, "targetPort": port}]
        ports += [{"name": "datagrams", "port": DATAGRAMS, "targetPort": DATAGRAMS, "protocol": "UDP"}]
        await self.make("v1", "services", {"metadata": {"name": name}, "spec": {"selector": labels, "ports": ports}})
        self.services[name] = {"workload": f"deployment/{name}", "service": name}
        await eventually(lambda: self._ready(name, replicas), within, f"{name} is ready")

    async def make(self, api: str, resource: str, body: Object) -> Object:
        """Make an object in this namespace."""
        return await self.cluster.create(path(api, resource, self.name), body)

    async def _ready(self, name: str, replicas: int) -> bool:
        found = await self.cluster.get(path("apps/v1", "deployments", self.name, name))
        return bool(found.get("status", {}).get("readyReplicas", 0) >= replicas)

    async def pods(self, name: str) -> list[Object]:
        """Pods of a service that are not being deleted, by name."""
        found = await self.cluster.get(path("v1", "pods", self.name), labelSelector=f"app={name}")
        items = [item for item in found["items"] if "deletionTimestamp" not in item["metadata"]]
        return sorted(items, key=lambda item: str(item["metadata"]["name"]))

    # -- seen from outside of chaosrunner

    async def inside(self, pod: str, *command: str, container: str = "main", within: float = 15.0) -> str:
        """What a command in a pod prints."""
        done = await self.cluster.execute(self.name, pod, container, command, within=within)
        assert done.code == 0, done
        return done.out

    async def seen_from(self, service: str, url: str, limit: float = 2.0, index: int = 0) -> dict[str, Any]:
        """How a URL looks from inside a pod of a service: `outcome`, `seconds`, `status`, on a new connection."""
        pods = await self.pods(service)
        program = PROGRAM.partition('if __name__ == "__main__":')[0]
        code = f"{program}\nprint(json.dumps(call({url!r}, {limit!r})))"
        seen: dict[str, Any] = json.loads(await self.inside(pods[index]["metadata"]["name"], "python3", "-c", code))
        return seen

    # -- chaosrunner

    def environment(self, **more: Any) -> Object:
        """The environment document for this namespace."""
        kubernetes = {
            "kubeconfig": KUBECONFIG,
            "namespaces": [self.name],
            "injector": {"image": IMAGE, "pullPolicy": "Never"},
            "services": self.services,
        } | more.pop("kubernetes", {})
        guards = {"maxAffected": {"share": "100%"}} | more.pop("guards", {})
        spec = {"platform": {"kubernetes": kubernetes}, "guards": guards, **more}
        return {"apiVersion": "chaosrunner.dev/v1", "kind": "Environment", "metadata": {"name": "lab"}, "spec": spec}

    def write(self, *method: Object, environment: Object | None = None, **spec: Any) -> Path:
        """An experiment file with its environment, in a folder of its own; with a hypothesis that means nothing unless
        one is given."""
        self.number += 1
        folder = self.folder / f"files-{self.number}"
        folder.mkdir()
        experiment = {
            "apiVersion": "chaosrunner.dev/v1",
            "kind": "Experiment",
            "metadata": {"name": f"experiment-{self.number}"},
            "spec": {"title": "A test", "environment": "lab", "hypotheses": [STEADY], "method": list(method)}
            | {"baseline": {"for": "1s"}, "recovery": {"within": "20s", "holds": "1s"}}
            | spec,
        }
        text = yaml.safe_dump_all([experiment, environment or self.environment()], sort_keys=False)
        (folder / "experiment.yaml").write_text(text)
        return folder / "experiment.yaml"

    def variables(self, machine: str = "machine") -> dict[str, str]:
        """The variables of a chaosrunner process, on a machine of this name."""
        short = Path(tempfile.gettempdir()) / f"crc-{self.name[-6:]}-{machine}"
        short.mkdir(exist_ok=True)
        return {**os.environ, "CHAOSRUNNER_MACHINE": str(short)}

    async def command(self, *words: str, folder: Path, machine: str = "machine") -> tuple[int, str]:
        """Exit code and whole output of a chaosrunner command."""
        process = await self._start(words, folder, machine)
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def heal(self) -> None:
        """Take back what a test that was cut short has left: nodes are used by others, too."""
        file = self.write({"fault": "noop", "for": "1s"})
        await self.command("heal", "-e", file.name, folder=file.parent)

    @contextlib.asynccontextmanager
    async def running(self, file: Path, machine: str = "machine") -> AsyncIterator[Run]:
        """A run of an experiment in a process group of its own, which is killed at the end if it still lives."""
        process = await self._start(("run", file.name, "--plain"), file.parent, machine)
        try:
            yield Run(process, file)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):  # it has just ended
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    async def _start(self, words: tuple[str, ...], folder: Path, machine: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chaosrunner", *words),
            cwd=folder,
            env=self.variables(machine),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )


@dataclass
class Run:
    """A run under way."""

    process: asyncio.subprocess.Process
    file: Path
    said: list[str] = field(default_factory=list)

    async def until(self, words: str, within: float = 60.0) -> str:
        """The first line of its output with these words; fails with all of its output if it ends without."""
        assert self.process.stdout is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while line := (await self.process.stdout.readline()).decode():
                    self.said.append(line)
                    if words in line:
                        return line
        raise AssertionError(f"it never said {words!r}, in {within:g} s:\n{''.join(self.said)}")

    async def in_force(self, within: float = 60.0) -> None:
        """Until it says that a fault is in force."""
        await self.until("IN FORCE", within)

    async def kill(self) -> None:
        """SIGKILL to its whole process group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def ended(self, within: float = 60.0) -> tuple[int, str]:
        """Exit code, and all that it said."""
        async with asyncio.timeout(within):
            rest, _ = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, "".join(self.said) + rest.decode()

    @property
    def journal(self) -> list[Object]:
        """The events so far."""
        (path,) = (self.file.parent / ".chaosrunner" / "runs").glob("*/journal.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()]


async def settled(space: Space) -> None:
    """After an outage: until every node is ready, and controllers, scheduler and nodes do again what they are asked to.
    After several outages in a row they come back to the API server more and more rarely, up to a minute apart."""
    global disturbed
    if not disturbed:
        return
    await eventually(lambda: _nodes_ready(space), 120, "all nodes are ready")
    labels = {"app": "settled"}
    container = {"name": "main", "image": BASE, "imagePullPolicy": "Never", "command": ["sleep", "inf"]}
    pod = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    name = f"settled-{secrets.token_hex(3)}"
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    await space.make("apps/v1", "deployments", {"metadata": {"name": name}, "spec": spec})
    await eventually(lambda: space._ready(name, 1), 180, "the controllers follow again")
    await space.cluster.delete(path("apps/v1", "deployments", space.name, name))
    await nothing_left(lambda: space.pods("settled"), 120, "the controllers take away again")
    disturbed = False


async def _nodes_ready(space: Space) -> bool:
    nodes = (await space.cluster.get(path("v1", "nodes")))["items"]
    ready = [
        condition["status"]
        for each in nodes
        for condition in each["status"].get("conditions") or ()
        if condition["type"] == "Ready"
    ]
    return len(ready) == len(nodes) and set(ready) == {"True"}


async def made_space(folder: Path, label: str) -> Space:
    """A new namespace."""
    space = Space(f"cr-{label}-{secrets.token_hex(3)}", folder)
    body = {"metadata": {"name": space.name, "labels": {"chaosrunner-test": "true"}}}
    await space.cluster.create("/api/v1/namespaces", body)
    try:  # the controllers need some time after the API server was away
        await eventually(lambda: _has_account(space), 180, "the namespace has its service account")
    except BaseException:
        await remove(space)
        raise
    return space


async def _has_account(space: Space) -> Object:
    return await space.cluster.get(path("v1", "serviceaccounts", space.name, "default"))


async def remove(space: Space) -> None:
    """Delete the namespace, without waiting for its end."""
    with contextlib.suppress(ApiError):
        await space.cluster.delete(f"/api/v1/namespaces/{space.name}")
    await space.cluster.close()
