"""What a service of the environment is in the network: the addresses and ports that others reach it by.

A Kubernetes Service is its cluster IPs (all families) and the addresses behind it, since clients reach it by either: a
headless Service has only those, and some networks translate the one into the other before a pod's own rules see it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes import finding
from chaosrunner.platforms.kubernetes.client import ApiError, Cluster, Object, path
from chaosrunner.platforms.kubernetes.spec import Service, Spec, split_workload

SLICES = "discovery.k8s.io/v1"
_PROTOCOLS = {"TCP": "tcp", "UDP": "udp"}


@dataclass(frozen=True, slots=True)
class Door:
    """An address and a TCP port at which a dependency can be looked at, and the path of a GET that it answers."""

    host: str
    port: int
    http: str | None = None


@dataclass(frozen=True)
class Dependency:
    """Where a dependency is now. `to` is what the injector's rules match."""

    to: tuple[dict[str, Any], ...]
    doors: tuple[Door, ...] = ()
    """In the order in which they are to be tried."""
    service: tuple[str, str] | None = None
    """(namespace, name) of the Kubernetes Service whose addresses change."""
    names: tuple[str, ...] = field(default=())
    """By which clients look it up."""


class Dependencies:
    """Asks the cluster. Raises `CannotDoHonestly` for what has no address, `ApiError` if it cannot be asked."""

    def __init__(self, cluster: Cluster, spec: Spec) -> None:
        self._cluster = cluster
        self._spec = spec
        self._has_slices: bool | None = None

    async def of(self, target: Target) -> Dependency:
        """The other end of a link."""
        to, port = str(target.to), target.details.get("port")
        wanted = port if isinstance(port, int) else None
        known = self._spec.services.get(to)
        if known is None:
            return outside(to, wanted)
        if known.host is not None:
            return outside(known.host, wanted or known.port)
        space = self._spec.namespace_of(to)
        service = await self._service(to, known, space)
        if service is None:
            return await self._pods_alone(to, known, space, wanted or known.port)
        return await self._in_cluster(service, wanted or known.port, str(target.details.get("ip") or ""))

    async def doors_of_others(self, target: Target) -> list[Door]:
        """Where a pod's connections can be looked at when all of them are meant: other services of the environment,
        and the cluster's API, which every pod can reach unless a NetworkPolicy forbids it."""
        doors: list[Door] = []
        for name, known in self._spec.services.items():
            if name != target.service and known.host is None:
                with suppress(CannotDoHonestly, ApiError):
                    link = target.model_copy(update={"to": name})
                    doors += (await self.of(link)).doors[:1]
        with suppress(ApiError):
            api = await self._cluster.get(path("v1", "services", "default", "kubernetes"))
            doors += _doors(api, _ports(api, None), str(target.details.get("ip") or ""))
        return doors

    async def changes(self, dependency: Dependency, target: Target) -> AsyncIterator[Dependency]:
        """Where it is, each time that this changes; ends when that cannot be watched."""
        if dependency.service is None or not await self._slices_are_there():
            return
        space, name = dependency.service
        where = path(SLICES, "endpointslices", space)
        label = f"kubernetes.io/service-name={name}"
        listed = await self._cluster.get(where, labelSelector=label)
        yield await self.of(target)
        version = str(listed["metadata"]["resourceVersion"])
        async for change in self._cluster.watch(where, resource_version=version, labelSelector=label):
            if change.type != "BOOKMARK":
                yield await self.of(target)

    # -- Services

    async def _service(self, name: str, known: Service, space: str) -> Object | None:
        """The Kubernetes Service: as the environment names it, of the same name, or the one that selects its pods."""
        found = await self._cluster.find(path("v1", "services", space, known.service or name))
        if found is not None:
            return found
        if known.service is not None:
            raise CannotDoHonestly(f"there is no Service {known.service} in the namespace {space}")
        labels = await self._pod_labels(known, space)
        if not labels:
            return None
        listed = await self._cluster.get(path("v1", "services", space))
        for service in listed.get("items", ()):
            selector = service["spec"].get("selector") or {}
            if selector and selector.items() <= labels.items():
                found = service
                break
        return found

    async def _pod_labels(self, known: Service, space: str) -> Mapping[str, str]:
        if known.selector is not None:
            return known.selector
        if known.workload is None:
            return {}
        kind, name = split_workload(known.workload)
        api, resource = finding.APIS[kind]
        workload = await self._cluster.find(path(api, resource, space, name))
        if workload is None:
            raise CannotDoHonestly(f"there is no {kind} {name} in the namespace {space}")
        labels: Mapping[str, str] = workload["spec"]["template"]["metadata"].get("labels") or {}
        return labels

    async def _in_cluster(self, service: Object, port: int | None, ip: str) -> Dependency:
        space, name = str(service["metadata"]["namespace"]), str(service["metadata"]["name"])
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return outside(str(spec.get("externalName")), port)
        ports = _ports(service, port)
        if not ports:
            raise CannotDoHonestly(f"the Service {space}/{name} has no port {port}" if port else f"{name} has no ports")
        slices = await self._slices(space, name)
        own = [_entry(address, each["port"], each) for address in _addresses(service) for each in ports]
        behind = list(_behind(slices, {str(each.get("name") or "") for each in ports}))
        doors = _doors(service, ports, ip) or _doors_behind(slices, ports, ip)
        http = await self._http(space, slices, ports)
        doors = [Door(door.host, door.port, http.get(door.port)) for door in doors]
        names = (f"{name}.{space}.svc.cluster.local", f"{name}.{space}.svc", f"{name}.{space}")
        return Dependency(tuple(_unique([*own, *behind])), tuple(doors), (space, name), names)

    async def _pods_alone(self, name: str, known: Service, space: str, port: int | None) -> Dependency:
        """Pods that no Service leads to: reached by their addresses."""
        labels = finding.label_selector(await self._pod_labels(known, space))
        if not labels:
            raise CannotDoHonestly(f"the service {name} has no Service in {space}, and no pods: it has no address")
        listed = await self._cluster.get(path("v1", "pods", space), labelSelector=labels)
        ips = [str(each["ip"]) for pod in listed["items"] for each in pod.get("status", {}).get("podIPs") or ()]
        if not ips:
            raise CannotDoHonestly(f"the service {name} has no Service in {space}, and none of its pods has an address")
        doors = (Door(ips[0], port),) if port else ()
        return Dependency(tuple(_entry(each, port) for each in ips), doors)

    # -- endpoints

    async def _slices_are_there(self) -> bool:
        if self._has_slices is None:
            self._has_slices = "endpointslices" in await self._cluster.resources(SLICES)
        return self._has_slices

    async def _slices(self, space: str, name: str) -> list[Object]:
        """EndpointSlices; where a cluster has none, its Endpoints in the same shape."""
        if await self._slices_are_there():
            label = f"kubernetes.io/service-name={name}"
            listed = await self._cluster.get(path(SLICES, "endpointslices", space), labelSelector=label)
            return list(listed.get("items") or ())
        found = await self._cluster.find(path("v1", "endpoints", space, name))
        return [
            {
                "ports": subset.get("ports") or (),
                "endpoints": [
                    {"addresses": [each["ip"]], "targetRef": each.get("targetRef"), "conditions": {"ready": True}}
                    for each in subset.get("addresses") or ()
                ],
            }
            for subset in (found or {}).get("subsets") or ()
        ]

    async def _http(self, space: str, slices: Iterable[Object], ports: Iterable[Object]) -> dict[int, str]:
        """Service port -> path of a GET that its pods answer, by the readiness probe of one of them."""
        reference = next(
            (
                each["targetRef"]
                for slice_ in slices
                for each in slice_.get("endpoints") or ()
                if (each.get("targetRef") or {}).get("kind") == "Pod"
            ),
            None,
        )
        pod = None if reference is None else await self._cluster.find(path("v1", "pods", space, str(reference["name"])))
        if pod is None:
            return {}
        asked: dict[Any, str] = {}
        for each in pod["spec"]["containers"]:
            named = {port.get("name"): port["containerPort"] for port in each.get("ports") or ()}
            for probe in (each.get("livenessProbe"), each.get("readinessProbe")):
                get = (probe or {}).get("httpGet")
                if get and str(get.get("scheme") or "HTTP").upper() == "HTTP" and not get.get("host"):
                    asked[named.get(get["port"], get["port"])] = str(get.get("path") or "/")
            asked |= {name: asked[number] for name, number in named.items() if name and number in asked}
        found = {int(each["port"]): asked.get(each.get("targetPort") or each["port"]) for each in ports}
        direct = {number: http for number, http in asked.items() if isinstance(number, int)}
        return direct | {port: http for port, http in found.items() if http is not None}


def outside(to: str, port: int | None) -> Dependency:
    """An address, a network or a name that is no service of the cluster."""
    rest: dict[str, Any] = {"port": port} if port is not None else {}
    try:
        network = ipaddress.ip_network(to, strict=False)
    except ValueError:
        doors = (Door(to, port),) if port is not None else ()
        return Dependency(({"host": to, **rest},), doors, names=(to,))
    one = network.num_addresses == 1 and port is not None
    doors = (Door(str(network.network_address), port),) if one and port is not None else ()
    return Dependency(({"cidr": str(network), **rest},), doors)


def _entry(address: str, port: int | None, of: Object | None = None) -> dict[str, Any]:
    """One destination. `of`: the port as the Service has it, for its protocol."""
    bits = 128 if ":" in address else 32
    protocol = _PROTOCOLS.get(str((of or {}).get("protocol") or "TCP"))
    entry: dict[str, Any] = {"cidr": f"{address}/{bits}"}
    entry |= {"port": port} if port is not None else {}
    return entry | ({"protocol": protocol} if of is not None else {})


def _ports(service: Object, port: int | None) -> list[Object]:
    """The Service's ports that are meant: all, or those of this number, in front or behind."""
    ports = [each for each in service["spec"].get("ports") or () if str(each.get("protocol") or "TCP") in _PROTOCOLS]
    return [each for each in ports if port is None or port in (each["port"], each.get("targetPort"))]


def _addresses(service: Object) -> list[str]:
    balancer = service.get("status", {}).get("loadBalancer") or {}
    ips = [*_cluster_ips(service), *(service["spec"].get("externalIPs") or ())]
    return [str(each) for each in (*ips, *(each.get("ip") for each in balancer.get("ingress") or ())) if each]


def _cluster_ips(service: Object) -> list[str]:
    spec = service["spec"]
    return [str(each) for each in spec.get("clusterIPs") or [spec.get("clusterIP")] if each and each != "None"]


def _behind(slices: Iterable[Object], names: set[str]) -> Iterable[dict[str, Any]]:
    """The addresses behind a Service, ready or not: open connections outlive readiness."""
    for each in slices:
        for port in each.get("ports") or ():
            if str(port.get("name") or "") not in names or port.get("port") is None:
                continue
            for endpoint in each.get("endpoints") or ():
                for address in endpoint.get("addresses") or ():
                    if each.get("addressType") == "FQDN":
                        yield {"host": address, "port": port["port"]}
                    else:
                        yield _entry(address, port["port"], port)


def _doors(service: Object, ports: Iterable[Object], ip: str) -> list[Door]:
    """Cluster IPs of the pod's own family, at TCP ports."""
    cluster = _cluster_ips(service)
    fit = [each for each in cluster if (":" in each) == (":" in ip)] or cluster
    return [Door(fit[0], each["port"]) for each in ports if fit and str(each.get("protocol") or "TCP") == "TCP"]


def _doors_behind(slices: Iterable[Object], ports: Iterable[Object], ip: str) -> list[Door]:
    names = {str(each.get("name") or "") for each in ports if str(each.get("protocol") or "TCP") == "TCP"}
    entries = [each for each in _behind(slices, names) if "cidr" in each]
    fit = [each for each in entries if (":" in each["cidr"]) == (":" in ip)]
    return [Door(each["cidr"].partition("/")[0], each["port"]) for each in fit[:3]]


def _unique(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({tuple(sorted(each.items(), key=str)): each for each in entries}.values())
