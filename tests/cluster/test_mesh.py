"""In front of a service mesh: requests that a pod's sidecar encrypts. Seen by a client that goes through the sidecar.

The sidecars are small programs that do what a mesh's do: the one of `front` opens TLS to `back` for whoever calls it on
the pod's own address, the one of `back` takes TLS and plain connections on the same port (a permissive mesh).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.certificates import Authority
from tests.cluster.lab import BASE, DATAGRAMS, PROGRAM, Object, Space, to_back

OUT, INNER = 15001, 8081
THROUGH_THE_MESH = f"http://127.0.0.1:{OUT}/pay"
SIDECAR = """
import os, select, socket, ssl, sys, tempfile, threading

def carry(one, other):
    ends = (one, other)
    while True:
        waiting = [end for end in ends if getattr(end, "pending", int)()]
        for end in waiting or select.select(ends, (), ())[0]:
            data = end.recv(65536)
            if not data:
                return
            (other if end is one else one).sendall(data)

def outwards(client):
    context = ssl._create_unverified_context()
    return client, context.wrap_socket(socket.create_connection(("back", 80), timeout=5))

def inwards(client):
    if client.recv(1, socket.MSG_PEEK) == b"\\x16":
        with tempfile.NamedTemporaryFile("w") as pem:
            pem.write(os.environ["PEM"])
            pem.flush()
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(pem.name)
        client = context.wrap_socket(client, server_side=True)
    return client, socket.create_connection(("127.0.0.1", INNER), timeout=5)

def serve(client):
    try:
        one, other = way(client)
        with one, other:
            carry(one, other)
    except OSError:
        client.close()

where, way = (("127.0.0.1", OUT), outwards) if sys.argv[1] == "out" else (("", 8080), inwards)
door = socket.create_server(where)
while True:
    threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()
""".replace("INNER", str(INNER)).replace("OUT", str(OUT))


def sidecar(way: str, pem: str = "") -> Object:
    """As meshes put it into a pod since Kubernetes has sidecars."""
    return {
        "name": "istio-proxy",
        "image": BASE,
        "imagePullPolicy": "Never",
        "restartPolicy": "Always",
        "command": ["python3", "-u", "-c", SIDECAR, way],
        "env": [{"name": "PEM", "value": pem}],
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(space: Space, tmp_path_factory: Any) -> AsyncIterator[Space]:
    """`front` calls `back` through both sidecars."""
    folder: Path = tmp_path_factory.mktemp("authority")
    Authority(folder).issue("back")
    pem = (folder / "back.key").read_text() + (folder / "back.pem").read_text()
    inner = {"command": ["python3", "-u", "-c", PROGRAM, str(INNER), str(DATAGRAMS)]}
    await space.deploy("back", container=inner, initContainers=[sidecar("in", pem)])
    await space.deploy("front", initContainers=[sidecar("out")])
    yield space


async def through(mesh: Space) -> Object:
    return await mesh.seen_from("front", THROUGH_THE_MESH)


async def test_requests_that_a_sidecar_encrypts_pass_and_neither_the_plan_nor_the_run_hides_it(mesh: Space) -> None:
    file = mesh.write(to_back("http-fault", "8s", status=503))
    _, planned = await mesh.command("plan", file.name, folder=file.parent)
    assert "is in the mesh of Istio" in planned
    async with mesh.running(file) as run:
        await run.in_force()  # for who asks past the sidecar: this mesh takes plain requests too
        assert (await through(mesh)).get("status") == 200
        code, output = await run.ended()
    assert code == 3, output
    assert "nothing met it" in output, output


async def test_connections_of_a_sidecar_are_lost_like_any(mesh: Space) -> None:
    assert (await through(mesh))["outcome"] == "answered"
    async with mesh.running(mesh.write(to_back("dependency-loss", "8s", mode="refuse"))) as run:
        await run.in_force()
        assert (await through(mesh))["outcome"] != "answered"
        code, output = await run.ended()
    assert code == 0, output
    assert (await through(mesh))["outcome"] == "answered"
