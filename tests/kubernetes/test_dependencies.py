"""What a dependency is in the network."""

from __future__ import annotations

from typing import Any

import pytest

from chaosrunner.errors import CannotDoHonestly
from chaosrunner.model.outside import is_outside
from chaosrunner.model.target import Target
from chaosrunner.platforms.kubernetes.client import Cluster
from chaosrunner.platforms.kubernetes.dependencies import Dependencies, Dependency, Door
from chaosrunner.platforms.kubernetes.spec import Spec
from tests.kubernetes import shapes
from tests.kubernetes.fake_api import FakeApi
from tests.kubernetes.scene import Object, deploy

SERVICES = {
    "pay": {"workload": "deployment/pay"},
    "stripe": {"host": "api.stripe.com", "port": 443},
    "labelled": {"selector": {"app": "labelled"}},
}


def link(to: str, port: int | None = None, ip: str = "10.1.0.7") -> Target:
    details: dict[str, Any] = {"namespace": "shop", "pod": "cart", "uid": "u", "ip": ip}
    return Target(kind="link", id="l", name="cart -> it", to=to, details=details | ({"port": port} if port else {}))


async def of(cluster: Cluster, to: str, port: int | None = None, ip: str = "10.1.0.7") -> Dependency:
    spec = Spec.model_validate({"namespaces": ["shop"], "services": SERVICES})
    return await Dependencies(cluster, spec).of(link(to, port, ip))


def slices(name: str, addresses: list[str], *ports: Object, kind: str = "IPv4", pod: str = "") -> Object:
    reference = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{kind}".lower(),
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": kind,
        "ports": [{"protocol": "TCP", **port} for port in ports],
        "endpoints": [{"addresses": [each], "conditions": {"ready": False}, **reference} for each in addresses],
    }


def service(name: str, *ports: Object, ips: tuple[str, ...] = ("10.96.0.10",), **more: Any) -> Object:
    made = shapes.service(name)
    made["spec"] |= {"clusterIP": ips[0], "clusterIPs": list(ips), "ports": [{"protocol": "TCP", **p} for p in ports]}
    made["spec"] |= more
    return made


def entry(address: str, port: int, protocol: str = "tcp") -> Object:
    return {"cidr": f"{address}/{128 if ':' in address else 32}", "port": port, "protocol": protocol}


async def test_a_service_is_its_addresses_of_all_families_and_what_is_behind_it(api: FakeApi, cluster: Cluster) -> None:
    web, dns = {"name": "web", "port": 80, "targetPort": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}
    api.add(service("pay", web, dns, ips=("10.96.0.10", "fd00::a")))
    api.add(slices("pay", ["10.1.2.3"], {"name": "web", "port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}))
    api.add(slices("pay", ["fd01::3"], {"name": "web", "port": 8080}, kind="IPv6"))
    found = await of(cluster, "pay")
    fronts = [entry(ip, *end) for ip in ("10.96.0.10", "fd00::a") for end in ((80, "tcp"), (53, "udp"))]
    behind = [entry("10.1.2.3", 8080), entry("10.1.2.3", 53, "udp"), entry("fd01::3", 8080)]
    assert sorted(map(str, found.to)) == sorted(map(str, [*fronts, *behind]))
    assert found.doors == (Door("10.96.0.10", 80),), "looks go to a TCP port, by the pod's own family"
    assert (await of(cluster, "pay", ip="fd01::7")).doors == (Door("fd00::a", 80),)
    assert found.names[0] == "pay.shop.svc.cluster.local"


@pytest.mark.parametrize("port", [443, 8443])
async def test_one_port_is_that_port_in_front_and_behind(api: FakeApi, cluster: Cluster, port: int) -> None:
    api.add(service("pay", {"name": "a", "port": 80}, {"name": "b", "port": 443, "targetPort": 8443}))
    api.add(slices("pay", ["10.1.2.3"], {"name": "a", "port": 80}, {"name": "b", "port": 8443}))
    assert (await of(cluster, "pay", port)).to == (entry("10.96.0.10", 443), entry("10.1.2.3", 8443))
    with pytest.raises(CannotDoHonestly, match="has no port 9999"):
        await of(cluster, "pay", 9999)


async def test_a_headless_service_is_what_is_behind_it(api: FakeApi, cluster: Cluster) -> None:
    api.add(service("pay", {"port": 5432}, ips=("None",)))
    api.add(slices("pay", ["10.1.2.3", "10.1.2.4"], {"port": 5432}))
    found = await of(cluster, "pay")
    assert found.to == (entry("10.1.2.3", 5432), entry("10.1.2.4", 5432))
    assert found.doors[0] == Door("10.1.2.3", 5432)


async def test_looks_ask_what_the_readiness_probe_asks(api: FakeApi, cluster: Cluster) -> None:
    pod = shapes.pod("pay-1")
    probe = {"httpGet": {"path": "/healthz", "port": "web"}}
    pod["spec"]["containers"][0] |= {"ports": [{"name": "web", "containerPort": 8080}], "readinessProbe": probe}
    api.add(pod)
    api.add(service("pay", {"name": "x", "port": 80, "targetPort": "web"}))
    api.add(slices("pay", ["10.1.2.3"], {"name": "x", "port": 8080}, pod="pay-1"))
    assert (await of(cluster, "pay")).doors == (Door("10.96.0.10", 80, "/healthz"),)


async def test_the_service_that_selects_the_workloads_pods_is_found(api: FakeApi, cluster: Cluster) -> None:
    deploy(api, "pay", 1)
    workload = api.object("apps/v1", "deployments", "shop", "pay")
    assert workload is not None
    api.change(workload, {"spec": {"template": {"metadata": {"labels": {"app": "pay", "tier": "1"}}}}})
    other = service("payments-v2", {"port": 81})
    other["spec"]["selector"] = {"app": "pay"}
    api.add(other)
    assert (await of(cluster, "pay")).to == (entry("10.96.0.10", 81),)


async def test_pods_that_no_service_leads_to_are_their_addresses(api: FakeApi, cluster: Cluster) -> None:
    api.add(shapes.pod("one", labels={"app": "labelled"}, ip="10.1.5.5"))
    assert (await of(cluster, "labelled", 9000)).to == ({"cidr": "10.1.5.5/32", "port": 9000},)
    assert (await of(cluster, "labelled", 9000)).doors == (Door("10.1.5.5", 9000),)


async def test_a_cluster_without_endpoint_slices_has_endpoints(api: FakeApi, cluster: Cluster) -> None:
    del api.resources["discovery.k8s.io/v1"]
    api.add(service("pay", {"port": 80}))
    subsets = [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 80, "protocol": "TCP"}]}]
    metadata = {"name": "pay", "namespace": "shop"}
    api.add({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets})
    assert entry("10.1.2.3", 80) in (await of(cluster, "pay")).to


@pytest.mark.parametrize(
    ("to", "port", "expected"),
    [
        ("stripe", None, {"host": "api.stripe.com", "port": 443}),
        ("db.example.com", 5432, {"host": "db.example.com", "port": 5432}),
        ("10.20.0.0/16", None, {"cidr": "10.20.0.0/16"}),
        ("192.0.2.7", 443, {"cidr": "192.0.2.7/32", "port": 443}),
        ("2001:db8::1", 443, {"cidr": "2001:db8::1/128", "port": 443}),
    ],
)
async def test_what_is_outside_is_taken_as_it_is(cluster: Cluster, to: str, port: int | None, expected: Object) -> None:
    found = await of(cluster, to, port)
    assert found.to == (expected,)
    assert bool(found.doors) == (to != "10.20.0.0/16"), "nobody knows where in a network something answers"


def test_an_external_name_is_outside() -> None:
    assert is_outside("api.stripe.com") and is_outside("10.0.0.0/8") and is_outside("::1")
    assert not is_outside("payments") and not is_outside("pay ments.x")


async def test_an_external_name_service_leads_to_that_host(api: FakeApi, cluster: Cluster) -> None:
    api.add(service("pay", {"port": 443}, type="ExternalName", externalName="pay.example.com"))
    assert (await of(cluster, "pay", 443)).to == ({"host": "pay.example.com", "port": 443},)


async def test_what_has_no_address_is_refused(cluster: Cluster) -> None:
    with pytest.raises(CannotDoHonestly, match="there is no deployment pay in the namespace shop"):
        await of(cluster, "pay")
