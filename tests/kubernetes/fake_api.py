"""An API server with behaviour, over real HTTP on loopback, as far as chaosrunner uses one. For unit tests.

    async with FakeApi() as api:
        api.add(shapes.namespace("shop"))                       # any object; returns it with uid and resourceVersion
        cluster = api.cluster()                                 # chaosrunner's client, waits cut short
        api.kubeconfig(folder)                                  # or a kubeconfig file for a whole platform
        api.objects("v1", "pods", "shop")                       # what is there now
        api.asked                                               # every request: method, path, query, body

It keeps objects by path with uid, resourceVersion and generation; answers 404, 409 (names, versions, preconditions),
merge, JSON and strategic patches (lists by name), server-side apply (who manages which field: `applied.py`), label and
field selectors, pages (`limit`, `continue`), metadata-only and Table lists, watches with bookmarks; deletes what a
deleted object owned, waits for finalizers; SelfSubjectAccessReview and 403 by `api.deny("create pods/eviction",
"shop")`; evictions against PodDisruptionBudgets (429); `ephemeralcontainers` (which "run" at once: see
`ephemeral_state`), `scale` and `status`; `dryRun=All`; discovery; `exec` and `attach` by `api.on_exec` and
`api.on_attach`.

It can be told to misbehave: `answer(code, …)` for the next requests that match (with Retry-After), `refuse_admission`,
`hang(…)`, `down()` and `up()`, `break_watches()`, `forget()` (watches and page tokens answer 410).
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import json
import re
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from chaosrunner.platforms.kubernetes.client import Cluster
from tests.kubernetes import applied, selectors, shown
from tests.kubernetes.patches import BadPatch, json_patch, merge, strategic
from tests.kubernetes.store import Change, Object, Place, Refusal, Store

RESOURCES: dict[str, dict[str, tuple[str, bool]]] = {
    "v1": {
        "namespaces": ("Namespace", False),
        "nodes": ("Node", False),
        "pods": ("Pod", True),
        "services": ("Service", True),
        "endpoints": ("Endpoints", True),
        "configmaps": ("ConfigMap", True),
        "secrets": ("Secret", True),
        "events": ("Event", True),
        "serviceaccounts": ("ServiceAccount", True),
        "resourcequotas": ("ResourceQuota", True),
    },
    "apps/v1": {
        "deployments": ("Deployment", True),
        "statefulsets": ("StatefulSet", True),
        "daemonsets": ("DaemonSet", True),
        "replicasets": ("ReplicaSet", True),
    },
    "batch/v1": {"jobs": ("Job", True), "cronjobs": ("CronJob", True)},
    "policy/v1": {"poddisruptionbudgets": ("PodDisruptionBudget", True)},
    "autoscaling/v2": {"horizontalpodautoscalers": ("HorizontalPodAutoscaler", True)},
    "coordination.k8s.io/v1": {"leases": ("Lease", True)},
    "discovery.k8s.io/v1": {"endpointslices": ("EndpointSlice", True)},
    "networking.k8s.io/v1": {"networkpolicies": ("NetworkPolicy", True), "ingresses": ("Ingress", True)},
    "rbac.authorization.k8s.io/v1": {
        "roles": ("Role", True),
        "rolebindings": ("RoleBinding", True),
        "clusterroles": ("ClusterRole", False),
        "clusterrolebindings": ("ClusterRoleBinding", False),
    },
    "authorization.k8s.io/v1": {"selfsubjectaccessreviews": ("SelfSubjectAccessReview", False)},
    "apiextensions.k8s.io/v1": {"customresourcedefinitions": ("CustomResourceDefinition", False)},
}
_ON_NAMESPACES = {"status", "finalize"}
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    accept: str
    content_type: str


@dataclass
class _Trouble:
    """What the next requests that match get."""

    method: str
    path: str
    times: int
    refusal: Refusal | None
    """None: no answer at all."""

    def hits(self, asked: Asked) -> bool:
        return self.times > 0 and self.method in ("", asked.method) and re.search(self.path, asked.path) is not None


Attach = Callable[[str, str, str, web.WebSocketResponse], Awaitable[None]]
"""(namespace, pod, container, socket): binary frames, the first byte is the channel (0 in, 1 out, 2 err, 3 status)."""
Exec = Callable[[str, str, str, list[str]], Awaitable[tuple[int, str, str]]]
"""(namespace, pod, container, command) -> (exit code, out, err)."""


class FakeApi:
    """See the top of the file."""

    def __init__(self) -> None:
        self.store = Store()
        self.resources = copy.deepcopy(RESOURCES)
        self.asked: list[Asked] = []
        self.version = "v1.36.0"
        self.clock_ahead = 0.0
        """Seconds that the server's clock is ahead of this machine's."""
        self.ephemeral_state: Callable[[Object], Object | None] = lambda container: {
            "running": {"startedAt": shown.now()}
        }
        """The state of a new ephemeral container; None: it never gets one."""
        self.bookmark_every: float | None = None
        self.longest_page = 1_000_000
        """Objects of one page, whatever is asked for."""
        self.on_list: Callable[[Asked], None] | None = None
        """Called before each list is made."""
        self.on_exec: Exec | None = None
        self.on_attach: Attach | None = None
        self.on_converse: Attach | None = None
        """For `exec` with standard input."""
        self._denied: list[tuple[str, str | None]] = []
        self._troubles: list[_Trouble] = []
        self._tokens: dict[str, tuple[list[Object], str]] = {}
        self._numbers = itertools.count()
        self._watches: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._scratch = contextlib.ExitStack()
        """Folders of its clients' kubeconfigs."""

    # -- life

    async def __aenter__(self) -> FakeApi:
        await self.up()
        for name in ("kube-system", "default"):
            self.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()
        self._scratch.close()

    async def up(self) -> None:
        """Listen, on the same port as before."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._runner, self._port = runner, runner.addresses[0][1]

    async def down(self) -> None:
        """Stop listening and break every connection, as a process that dies does."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        for connection in list(runner.server.connections if runner.server is not None else ()):
            if connection.transport is not None:
                connection.transport.abort()
        self.break_watches()
        await runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def cluster(self) -> Cluster:
        """A client of it whose waits between tries take no time; the test closes it."""

        async def no_wait(_: float) -> None:
            await asyncio.sleep(0)

        folder = self._scratch.enter_context(tempfile.TemporaryDirectory(prefix="fake-api-"))
        return Cluster(kubeconfig=str(self.kubeconfig(Path(folder))), sleep=no_wait)

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig file with one context, `fake`."""
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {"token": "a-token"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        }
        file = folder / "kubeconfig"
        file.write_text(json.dumps(content))
        return file

    # -- what a test sees and sets

    def add(self, body: Object) -> Object:
        """Put an object there, past all rules; as it is kept."""
        namespace = body["metadata"].get("namespace")
        made = copy.deepcopy(self.store.add(self._place_of(body, namespace), body, shown.now()))
        self._wake()
        return made

    def change(self, body: Object, patch: Object) -> Object:
        """Merge into an object that is there, as a controller would; the waking of watches is for `settle`."""
        place = self._place_of(body, body["metadata"].get("namespace"))
        old = self.store.find(place, body["metadata"]["name"])
        made = copy.deepcopy(self.store.put(place, old, merge(old, patch)))
        self._wake()
        return made

    def remove(self, body: Object) -> None:
        """Take an object away, as somebody else would."""
        place = self._place_of(body, body["metadata"].get("namespace"))
        self.store.delete(place, self.store.find(place, body["metadata"]["name"]), {}, shown.now())
        self._wake()

    def objects(self, api: str, resource: str, namespace: str | None = None) -> list[Object]:
        """All that are there, sorted by name."""
        return copy.deepcopy(self.store.all(Place(api, resource, namespace, None, None)))

    def object(self, api: str, resource: str, namespace: str | None, name: str) -> Object | None:
        """One, or None."""
        return copy.deepcopy(self.store.objects.get((api, resource, namespace or "", name)))

    def serve(self, api: str, resource: str, kind: str, *, namespaced: bool = True) -> None:
        """Know a further resource."""
        self.resources.setdefault(api, {})[resource] = (kind, namespaced)

    def deny(self, permission: str, namespace: str | None = None) -> None:
        """Refuse `create pods/eviction` or `patch deployments/scale.apps`, in one namespace or everywhere."""
        self._denied.append((permission, namespace))

    def answer(
        self,
        code: int,
        *,
        method: str = "",
        path: str = "",
        times: int = 1,
        after: float | None = None,
        message: str = "",
        reason: str = "",
    ) -> None:
        """Answer the next requests that match (method, regular expression in the path) with this code."""
        refusal = Refusal(code, message or f"told to answer {code}", reason, after=after)
        self._troubles.append(_Trouble(method, path, times, refusal))

    def refuse_admission(
        self, message: str, *, webhook: str = "policy.example.com", method: str = "", path: str = "", times: int = 1
    ) -> None:
        """As an admission webhook that says no."""
        words = f'admission webhook "{webhook}" denied the request: {message}'
        self._troubles.append(_Trouble(method, path, times, Refusal(400, words, "BadRequest")))

    def hang(self, *, method: str = "", path: str = "", times: int = 1) -> None:
        """Take the next requests that match and never answer."""
        self._troubles.append(_Trouble(method, path, times, None))

    def break_watches(self) -> None:
        """Break the connections of all watches."""
        for watch in self._watches:
            watch.cancel()

    def forget(self) -> None:
        """Forget old changes and page tokens: both answer 410."""
        self.store.oldest = self.store.version
        self._tokens.clear()

    @property
    def watching(self) -> int:
        """How many watches are open."""
        return len(self._watches)

    def requests(self, method: str = "", path: str = "") -> list[Asked]:
        """Those that match, in their order."""
        return [each for each in self.asked if method in ("", each.method) and re.search(path, each.path)]

    # -- requests

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        headers, query = request.headers, dict(request.query)
        asked = Asked(
            request.method, request.path, query, body, headers.get("Accept", ""), headers.get("Content-Type", "")
        )
        self.asked.append(asked)
        try:
            trouble = next((each for each in self._troubles if each.hits(asked)), None)
            if trouble is not None:
                trouble.times -= 1
                if trouble.refusal is None:
                    await asyncio.Event().wait()
                else:
                    raise trouble.refusal
            found = self._discovery(request.path)
            if found is not None:
                return self._says(found)
            place = self._place(request.path)
            self._authorise(asked, place)
            if place.sub in ("exec", "attach"):
                return await self._stream(request, place)
            if query.get("watch") in ("true", "1"):
                return await self._watch(request, place, asked)
            return self._says(*await self._resource(asked, place))
        except Refusal as refusal:
            extra = {} if refusal.after is None else {"Retry-After": f"{refusal.after:g}"}
            return self._says(refusal.status, refusal.code, extra)
        except (BadPatch, selectors.BadSelector) as wrong:
            code = 422 if isinstance(wrong, BadPatch) else 400
            return self._says(Refusal(code, str(wrong)).status, code)

    def _says(self, body: Any, code: int = 200, extra: Mapping[str, str] | None = None) -> web.Response:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=self.clock_ahead), usegmt=True)
        if isinstance(body, str):
            return web.Response(text=body, status=code, headers={"Date": date})
        return web.json_response(body, status=code, headers={"Date": date, **(extra or {})})

    def _discovery(self, path: str) -> Object | str | None:
        if path == "/version":
            major, minor = self.version.lstrip("v").split(".")[:2]
            return {"major": major, "minor": minor, "gitVersion": self.version}
        if path in ("/readyz", "/healthz", "/livez"):
            return "ok"
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = sorted(api for api in self.resources if "/" in api)
            return {"kind": "APIGroupList", "groups": [_group(api) for api in groups]}
        api = path.removeprefix("/apis/").removeprefix("/api/")
        if path.startswith("/api") and api in self.resources:
            known = self.resources[api].items()
            listed = [{"name": name, "kind": kind, "namespaced": inside} for name, (kind, inside) in known]
            return {"kind": "APIResourceList", "groupVersion": api, "resources": listed}
        return None

    def _place(self, path: str) -> Place:
        parts = [part for part in path.split("/") if part]
        core = parts[:1] == ["api"]
        api, rest = ("/".join(parts[1:2]), parts[2:]) if core else ("/".join(parts[1:3]), parts[3:])
        known = self.resources.get(api, {})
        if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in _ON_NAMESPACES:
            namespace, rest = rest[1], rest[2:]
        else:
            namespace = None
        resource, name, sub = (*rest, None, None, None)[:3]
        if resource not in known:
            raise Refusal(404, "the server could not find the requested resource")
        assert resource is not None
        return Place(api, resource, namespace, name, sub)

    def _place_of(self, body: Object, namespace: str | None) -> Place:
        for resource, (kind, namespaced) in self.resources[body["apiVersion"]].items():
            if kind == body["kind"]:
                return Place(body["apiVersion"], resource, namespace if namespaced else None, None, None)
        raise AssertionError(f"{body['kind']} is not known")

    # -- rights

    def may(self, verb: str, resource: str, namespace: str | None) -> bool:
        """Whether nobody denied it."""
        permission = f"{verb} {resource}"
        return not any(denied == permission and where in (None, namespace) for denied, where in self._denied)

    def _authorise(self, asked: Asked, place: Place) -> None:
        reading = "get" if place.name else "watch" if asked.query.get("watch") else "list"
        verb = _VERBS.get(asked.method, reading)
        resource = f"{place.resource}/{place.sub}" if place.sub else place.resource
        full = f"{resource}.{place.group}" if place.group else resource
        if not self.may(verb, full, place.namespace):
            where = f' in the namespace "{place.namespace}"' if place.namespace else " at the cluster scope"
            named = f' "{place.name}"' if place.name else ""
            words = f'User "fake" cannot {verb} resource "{resource}" in API group "{place.group}"{where}'
            raise Refusal(403, f"{place.kindly}{named} is forbidden: {words}")

    def _review(self, body: Object) -> Object:
        asked = body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, [asked["resource"], asked.get("subresource")]))
        full = ".".join(filter(None, [resource, asked.get("group")]))
        allowed = self.may(asked["verb"], full, asked.get("namespace") or None)
        return body | {"status": {"allowed": allowed} | ({} if allowed else {"reason": "no rule allows it"})}

    # -- resources

    async def _resource(self, asked: Asked, place: Place) -> tuple[Any, int]:
        if place.resource == "selfsubjectaccessreviews":
            return self._review(asked.body), 201
        if asked.method == "GET":
            if place.name is None:
                return self._list(asked, place), 200
            if place.sub == "log":
                return str(self.store.find(place).get("status", {}).get("log", "")), 200
            return shown.one(self._seen(place), asked.accept), 200
        dry = asked.query.get("dryRun") == "All"
        before = self.store
        if dry:
            self.store = copy.copy(before)
            self.store.objects, self.store.changes = copy.deepcopy(before.objects), []
            self.store.reactions = []
        try:
            made = self._written(asked, place)
        finally:
            self.store = before
        await self.store.tell()
        return made

    def _seen(self, place: Place) -> Object:
        found = self.store.find(place)
        return shown.scale(found) if place.sub == "scale" else found

    def _written(self, asked: Asked, place: Place) -> tuple[Object, int]:
        if asked.method == "POST" and place.sub == "eviction":
            return self._evict(place, asked.body or {}), 201
        if asked.method == "POST":
            if place.namespace is not None and ("v1", "namespaces", "", place.namespace) not in self.store.objects:
                raise Refusal(404, f'namespaces "{place.namespace}" not found')
            kind = self.resources[place.api][place.resource][0]
            body = {"apiVersion": place.api, "kind": kind} | asked.body
            return self.store.add(place, body, shown.now()), 201
        if asked.method == "DELETE" and place.name is None:
            for each in self._matching(asked, place):
                self.store.delete(place._replace(namespace=each["metadata"].get("namespace")), each, {}, shown.now())
            return {"kind": "Status", "status": "Success"}, 200
        if asked.content_type.startswith("application/apply-patch+yaml"):
            return self._apply(asked, place)
        old = self.store.find(place)
        if asked.method == "DELETE":
            return self.store.delete(place, old, asked.body or {}, shown.now()), 200
        new = asked.body if asked.method == "PUT" else self._patched(asked, self._seen(place))
        if place.sub == "scale":
            spec = old["spec"] | {"replicas": new["spec"]["replicas"]}
            version = {"resourceVersion": (new.get("metadata") or {}).get("resourceVersion")}
            return shown.scale(
                self.store.put(place, old, old | {"spec": spec, "metadata": old["metadata"] | version})
            ), 200
        if place.sub == "status":
            new = old | {"status": new.get("status", {})}
        if place.sub == "ephemeralcontainers":
            new = shown.with_ephemeral(old, new, self.ephemeral_state)
        return self.store.put(place, old, new), 200

    def _apply(self, asked: Asked, place: Place) -> tuple[Object, int]:
        manager = asked.query.get("fieldManager")
        if not manager:
            raise Refusal(400, "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
        old = self.store.objects.get(place.key(place.name or "", place.namespace))
        made = applied.apply(old, asked.body, manager, force=asked.query.get("force") == "true")
        if old is not None:
            return self.store.put(place, old, made), 200
        self._authorise(replace(asked, method="POST"), place)
        if place.namespace is not None and ("v1", "namespaces", "", place.namespace) not in self.store.objects:
            raise Refusal(404, f'namespaces "{place.namespace}" not found')
        return self.store.add(place, made, shown.now()), 201

    def _patched(self, asked: Asked, old: Object) -> Object:
        sort = asked.content_type.split(";")[0]
        if sort == "application/merge-patch+json":
            return dict(merge(old, asked.body))
        if sort == "application/strategic-merge-patch+json":
            return dict(strategic(old, asked.body))
        if sort == "application/json-patch+json":
            return dict(json_patch(old, asked.body))
        raise Refusal(415, f"the body of the request was in an unknown format: {sort}")

    def _evict(self, place: Place, body: Object) -> Object:
        pod = self.store.find(place)
        for found in self.store.all(Place("policy/v1", "poddisruptionbudgets", place.namespace, None, None)):
            chosen = selectors.labels(shown.selector(found["spec"]["selector"]))
            if not chosen(pod["metadata"].get("labels") or {}):
                continue
            name, allowed = found["metadata"]["name"], found["status"]["disruptionsAllowed"]
            if allowed <= 0:
                cause = {
                    "reason": "DisruptionBudget",
                    "message": f"The disruption budget {name} needs more healthy pods",
                }
                words = "Cannot evict pod as it would violate the pod's disruption budget."
                raise Refusal(429, words, details={"causes": [cause]})
            left = found | {"status": found["status"] | {"disruptionsAllowed": allowed - 1}}
            self.store.put(Place("policy/v1", "poddisruptionbudgets", place.namespace, name, None), found, left)
        self.store.delete(place, pod, body.get("deleteOptions") or {}, shown.now())
        return {"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201}

    # -- lists and watches

    def _matching(self, asked: Asked, place: Place) -> list[Object]:
        chosen = _chooser(asked.query)
        return [each for each in self.store.all(place) if chosen(each)]

    def _list(self, asked: Asked, place: Place) -> Object:
        if self.on_list is not None:
            self.on_list(asked)
        limit, token = int(asked.query.get("limit") or 0), asked.query.get("continue")
        limit = min(limit, self.longest_page)
        if token is None:
            rest, version = copy.deepcopy(self._matching(asked, place)), str(self.store.version)
        elif token in self._tokens:
            rest, version = self._tokens.pop(token)
        else:
            raise Refusal(410, "The provided continue parameter is too old to display a consistent list result.")
        page, rest = (rest[:limit], rest[limit:]) if limit else (rest, [])
        metadata: Object = {"resourceVersion": version}
        if rest:
            metadata |= {"continue": f"token-{next(self._numbers)}", "remainingItemCount": len(rest)}
            self._tokens[metadata["continue"]] = rest, version
        kind = self.resources[place.api][place.resource][0]
        return shown.many(place.api, kind, page, metadata, asked.accept, asked.query.get("includeObject", "Metadata"))

    async def _watch(self, request: web.Request, place: Place, asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        seconds = float(asked.query.get("timeoutSeconds") or 3600)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._send_changes(response, place, asked)
        except ConnectionResetError:
            pass
        except asyncio.CancelledError:  # broken: by the test, or by the client's leaving
            if request.transport is not None:
                request.transport.abort()
            raise
        finally:
            self._watches.discard(task)
        return response

    async def _send_changes(self, response: web.StreamResponse, place: Place, asked: Asked) -> None:
        chosen = _chooser(asked.query)
        since = int(asked.query.get("resourceVersion") or self.store.version)

        async def send(type: str, found: Object) -> None:
            line = json.dumps({"type": type, "object": found}) + "\n"
            await response.write(line.encode())

        if since < self.store.oldest:
            await send("ERROR", Refusal(410, f"too old resource version: {since} ({self.store.oldest})").status)
            return
        while True:
            for change in [each for each in self.store.changes if each.version > since]:
                since = change.version
                type = _seen_change(change, place, chosen)
                if type:
                    await send(type, shown.one(change.object, asked.accept))
            try:
                async with asyncio.timeout(self.bookmark_every):
                    async with self.store.changed:
                        while self.store.version <= since:
                            await self.store.changed.wait()
            except TimeoutError:
                kind = self.resources[place.api][place.resource][0]
                mark = {"kind": kind, "apiVersion": place.api, "metadata": {"resourceVersion": str(since)}}
                await send("BOOKMARK", mark)

    def _wake(self) -> None:
        """Tell watches of a change that a test made itself."""
        with contextlib.suppress(RuntimeError):
            task = asyncio.get_running_loop().create_task(self.store.tell())
            self._waking = task

    # -- streams into containers

    async def _stream(self, request: web.Request, place: Place) -> web.StreamResponse:
        self.store.find(place)
        container = request.query.get("container", "")
        namespace, pod = place.namespace or "", place.name or ""
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io", "v4.channel.k8s.io"))
        if place.sub == "exec" and request.query.get("stdin") == "true" and self.on_converse is not None:
            await socket.prepare(request)
            await self.on_converse(namespace, pod, container, socket)
        elif place.sub == "exec" and self.on_exec is not None:
            await socket.prepare(request)
            code, out, err = await self.on_exec(namespace, pod, container, request.query.getall("command"))
            for channel, text in ((1, out), (2, err), (3, json.dumps(shown.exit_status(code)))):
                if text:
                    await socket.send_bytes(bytes([channel]) + text.encode())
        elif place.sub == "attach" and self.on_attach is not None:
            await socket.prepare(request)
            await self.on_attach(namespace, pod, container, socket)
        else:
            raise Refusal(400, f"container {container} is not valid for pod {pod}")
        await socket.close()
        return socket


def _seen_change(change: Change, place: Place, chosen: Callable[[Object], bool]) -> str:
    """What a watch with this selector sees of it; empty: nothing."""
    if change.place != (place.api, place.resource):
        return ""
    metadata = change.object["metadata"]
    if place.namespace not in (None, metadata.get("namespace")) or place.name not in (None, metadata["name"]):
        return ""
    now = change.type != "DELETED" and chosen(change.object)
    before = change.before is not None and chosen(change.before)
    return {(True, True): "MODIFIED", (True, False): "ADDED", (False, True): "DELETED"}.get((now, before), "")


def _chooser(query: Mapping[str, str]) -> Callable[[Object], bool]:
    by_label = selectors.labels(query.get("labelSelector", ""))
    by_field = selectors.fields(query.get("fieldSelector", ""))
    return lambda each: by_label(each["metadata"].get("labels") or {}) and by_field(each)


def _group(api: str) -> Object:
    group, _, version = api.partition("/")
    one = {"groupVersion": api, "version": version}
    return {"name": group, "versions": [one], "preferredVersion": one}


async def _body(request: web.Request) -> Any:
    raw = await request.read() if request.can_read_body else b""
    return json.loads(raw) if raw else None
