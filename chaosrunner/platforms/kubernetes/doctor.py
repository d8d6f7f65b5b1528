"""Whether a cluster is ready for chaosrunner: reached, new enough, with the rights, the image and the policies that
faults need. Reads and dry runs only; `deep` starts one pod with the injector's image and removes it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from chaosrunner import __version__
from chaosrunner.clock import Clock
from chaosrunner.errors import NotPossibleNow
from chaosrunner.injector.operations import BY_NAME
from chaosrunner.model.quantities import show
from chaosrunner.platforms.kubernetes import beside, rights
from chaosrunner.platforms.kubernetes.beside import Needs
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.finding import MANAGED_BY, Finder, PodQuery
from chaosrunner.platforms.kubernetes.guardian import RIGHTS
from chaosrunner.platforms.kubernetes.guards import ClusterGuards
from chaosrunner.platforms.kubernetes.spec import Spec

Check = tuple[str, bool, str]
"""What was looked at, in order, what was found and what to do about it."""
OLDEST = (1, 30)
"""Of the API server: what chaosrunner is made for."""
SKEW = 5.0
"""Seconds that this machine's clock and the cluster's may differ: deadlines of faults are wall time."""
ENGINES = {"kyverno.io": "Kyverno", "constraints.gatekeeper.sh": "Gatekeeper", "policies.kubewarden.io": "Kubewarden"}
ENFORCED = "pod-security.kubernetes.io/enforce"
LOOK_EVERY = 0.5


class ClusterDoctor:
    """Looks at one environment's cluster."""

    def __init__(self, spec: Spec, cluster: Cluster, finder: Finder, clock: Clock) -> None:
        self._spec = spec
        self._cluster = cluster
        self._finder = finder
        self._clock = clock

    async def looked(self, needs: Mapping[str, Sequence[str]], deep: bool) -> Sequence[Check]:
        """Everything, in a fixed order; where the API server cannot be reached, that alone."""
        first = await self._server()
        if not first[0][1]:
            return first
        every: list[tuple[str, Callable[[], Awaitable[Sequence[Check]]]]] = [
            ("environment", self._environment),
            ("rights", lambda: self._rights(needs)),
            ("ephemeral containers", self._ephemeral),
            ("injector image", self._image),
            ("guardian", self._guardian),
            ("policies", self._policies),
        ]
        every += [("injector image, started", self._started)] if deep else []
        found = list(first)
        for name, look in every:
            try:
                found += await look()
            except NotPossibleNow as error:
                found.append((name, False, f"cannot be told: {error}"))
        return found

    # -- the server

    async def _server(self) -> list[Check]:
        before = self._clock.now()
        try:
            version, told = await self._cluster.version()
        except ApiError as error:
            return [("API server", False, str(error))]
        parts = re.match(r"v?(\d+)\.(\d+)", version)
        old = parts is None or (int(parts[1]), int(parts[2])) < OLDEST
        least = ".".join(map(str, OLDEST))
        checks = [
            ("API server", not old, f"{version}{f': older than {least}, which faults in pods need' if old else ''}")
        ]
        if told is not None:
            # The header counts whole seconds: half a one is nobody's fault.
            skew = told + 0.5 - (before + self._clock.now()) / 2
            word = "ahead of" if skew > 0 else "behind"
            fine = abs(skew) <= SKEW
            said = (
                "as this machine's" if fine else f"{show(abs(skew), 's')} {word} this machine's: set one of them right"
            )
            checks.append(("cluster's clock", fine, said))
        return checks

    async def _environment(self) -> list[Check]:
        answers = await ClusterGuards(self._spec, self._cluster, self._finder).about_the_environment()
        return [(answer.guard, answer.go, answer.reason) for answer in answers]

    # -- rights

    async def _rights(self, needs: Mapping[str, Sequence[str]]) -> list[Check]:
        spaces, ledger = self._spec.namespaces, [self._spec.ledger_namespace]
        runner = RIGHTS["runner"]
        always = rights.everywhere((*rights.LOOKING, *runner.targets), spaces) | rights.everywhere(
            runner.ledger, ledger
        )
        reading = rights.everywhere(rights.READING, spaces)
        of_fault = {kind: rights.everywhere(needed, spaces) for kind, needed in sorted(needs.items())}
        asked = always.union(reading, *of_fault.values())
        lacking = set(await rights.missing(self._cluster, asked))
        planning = sorted(lacking & always, key=str)
        checks = [
            ("rights to plan and run", not planning, f"missing {rights.words(planning)}" if planning else "there")
        ]
        if blind := sorted(reading & lacking, key=str):
            checks.append(("rights of probes", True, f"some cannot read: missing {rights.words(blind)}"))
        able = [kind for kind, needed in of_fault.items() if not needed & lacking]
        if able:
            checks.append((f"rights for {len(able)} faults", True, ", ".join(able)))
        for kind, needed in of_fault.items():
            if gone := sorted(needed & lacking, key=str):
                # Faults on nodes need a ClusterRole; to go without it is a choice.
                choice = all(one.namespace is None for one in gone)
                said = f"not with these rights: missing {rights.words(gone)}"
                checks.append((f"rights for {kind}", choice, said))
        return checks

    # -- what runs in pods

    async def _ephemeral(self) -> list[Check]:
        """Ask the API server to put the injector beside a pod of each namespace, without doing it."""
        checks: list[Check] = []
        for space in self._spec.namespaces:
            pods = [pod for pod in await self._finder.pods(PodQuery(space)) if not pod.why_not]
            if not pods:
                checks.append((f"ephemeral containers in {space}", True, "no pod runs there to try it with"))
                continue
            pod = await self._cluster.get(path("v1", "pods", space, pods[0].name))
            network, plain = [await self._tried(pod, needs) for needs in (Needs(network=True), Needs())]
            if network and not plain:
                said = f"network faults cannot be done there: {network}"
            else:
                said = (
                    plain
                    or f"allowed, with NET_ADMIN for network faults too (tried without doing it on {pods[0].name})"
                )
            checks.append((f"ephemeral containers in {space}", not network, said))
        return checks

    async def _tried(self, pod: Object, needs: Needs) -> str:
        """Why there can be no injector beside this pod; empty: the API server would take it."""
        if why := beside.why_not(pod, needs):
            return why
        metadata = pod["metadata"]
        name = beside.next_name(pod, "doctor", needs)
        body = {"spec": {"ephemeralContainers": [beside.container(name, "doctor", 60, needs, self._spec.injector)]}}
        where = path("v1", "pods", metadata["namespace"], metadata["name"], "ephemeralcontainers")
        try:
            await self._cluster.patch(where, body, BY_NAME, again=True, dryRun="All")
        except ApiError as error:
            if error.passing:
                raise
            return beside.refused(error)
        return ""

    async def _image(self) -> list[Check]:
        settings = self._spec.injector
        image, tag = settings.image_name, settings.image_name.rpartition(":")[2]
        told = re.fullmatch(r"v?(\d+\.\d+\S*)", tag)
        if told is not None and told[1] != __version__:
            return [("injector image", False, f"{image} is not of this version, {__version__}: use the same of both")]
        said, fine = f"{image}; whether it can be pulled, `--deep` tells", True
        for space in self._spec.namespaces:
            if failed := await self._not_pulled(space, image):
                said, fine = f"{image} could not be pulled lately: {failed}", False
        secret = settings.pull_secret
        if secret is not None and (
            without := [each for each in self._spec.namespaces if not await self._there(each, secret)]
        ):
            said, fine = f"there is no pull secret {secret} in {', '.join(without)}", False
        return [("injector image", fine, said)]

    async def _not_pulled(self, space: str, image: str) -> str:
        try:
            found = await self._cluster.get(path("v1", "events", space), fieldSelector="reason=Failed", limit=200)
        except ApiError as error:
            if error.passing:
                raise
            return ""  # events are a hint; who may not read them is told by `--deep`
        said = [str(each.get("message", "")) for each in found.get("items") or ()]
        return next((words for words in said if image in words and "pull" in words), "")

    async def _there(self, space: str, secret: str) -> bool:
        try:
            await self._cluster.get(path("v1", "secrets", space, secret))
        except ApiError as error:
            if error.passing:
                raise
            return not error.not_found  # who may not read secrets cannot tell
        return True

    async def _guardian(self) -> list[Check]:
        space, name = self._spec.ledger_namespace, self._spec.guardian.service_account
        try:
            await self._cluster.get(path("v1", "serviceaccounts", space, name))
        except ApiError as error:
            if not error.not_found:
                raise
            said = f"{space} has no service account {name}, so that faults in the cluster's API are refused: see k8s/"
            return [("guardian", False, said)]
        return [("guardian", True, f"service account {name} in {space}, {self._spec.guardian.mode}")]

    async def _policies(self) -> list[Check]:
        groups = (await self._cluster.get("/apis")).get("groups") or ()
        engines = [ENGINES[each["name"]] for each in groups if each["name"] in ENGINES]
        levels = []
        for space in self._spec.namespaces:
            labels = (await self._cluster.get(path("v1", "namespaces", None, space)))["metadata"].get("labels") or {}
            levels += [f"{space} enforces {labels[ENFORCED]}"] if ENFORCED in labels else []
        said = "; ".join([*engines, *levels]) or "no policy engine, no enforced pod security"
        return [
            ("policies", True, f"{said} (the dry runs above asked them)"),
            (
                "netem in the kernel",
                True,
                "each pod's injector tells at the fault; where it is not, `auto` takes the proxy",
            ),
        ]

    # -- deep

    async def _started(self) -> list[Check]:
        """Start a pod with the image, hear its version, remove it."""
        name, space = "injector image, started", self._spec.namespaces[0]
        made = await self._cluster.create(path("v1", "pods", space), self._pod())
        where = path("v1", "pods", space, made["metadata"]["name"])
        try:
            pod, trouble = await self._ended(where)
            if trouble:
                return [(name, False, trouble)]
            said = (await self._cluster.text(f"{where}/log")).strip()
        finally:
            await self._cluster.delete(where, {"gracePeriodSeconds": 0})
        version = said.split()[-1] if said else "nothing"
        node = pod["spec"].get("nodeName", "a node")
        if version != __version__:
            return [(name, False, f"it says version {version}, and this is {__version__}: use the same of both")]
        return [(name, True, f"version {version}, on {node}")]

    async def _ended(self, where: str) -> tuple[Object, str]:
        """The pod, and why it did not run; empty: it did."""
        limit = self._spec.injector.start_within
        ends = self._clock.monotonic() + limit
        while True:
            pod = await self._cluster.get(where)
            status = pod.get("status", {})
            if status.get("phase") == "Succeeded":
                return pod, ""
            states = [each.get("state") or {} for each in status.get("containerStatuses") or ()]
            waiting: Object = next((each["waiting"] for each in states if "waiting" in each), {})
            words = f"{waiting.get('reason', status.get('phase', 'Pending'))}: {waiting.get('message', '')}".rstrip(
                ": "
            )
            if status.get("phase") == "Failed" or waiting.get("reason") in beside.HOPELESS:
                return pod, f"the image {self._spec.injector.image_name} does not run: {words}"
            if self._clock.monotonic() > ends:
                return (
                    pod,
                    f"a pod with {self._spec.injector.image_name} did not run within {show(limit, 's')}: {words}",
                )
            await self._clock.sleep(LOOK_EVERY)

    def _pod(self) -> Object:
        settings = self._spec.injector
        container = {
            "name": "injector",
            "image": settings.image_name,
            "imagePullPolicy": settings.pull_policy,
            "command": ["python3", "-m", "chaosrunner.injector.pod", "--version"],
            "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        spec: Object = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [container],
        }
        spec |= {"imagePullSecrets": [{"name": settings.pull_secret}]} if settings.pull_secret else {}
        return {
            "metadata": {"generateName": "chaosrunner-doctor-", "labels": {MANAGED_BY: "chaosrunner"}},
            "spec": spec,
        }
