"""A dependency that a pod reaches by IPv6: lost for the one pod, and there again afterwards.

The cluster's own addresses are of IPv4; the pods here give themselves one more each, and see each other on their node.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cluster.lab import BASE, PROGRAM, Object, Space, eventually

ADDRESSES = {"six": "fd00:c0a5::1", "front": "fd00:c0a5::2", "outside": "fd00:c0a5::3"}
SIX = f"http://[{ADDRESSES['six']}]:8080/"
SERVE = f"""{PROGRAM.partition('if __name__ == "__main__":')[0]}
class Both(ThreadingHTTPServer):
    address_family = socket.AF_INET6
Both(("::", 8080), Answer).serve_forever()
"""


def with_address(mine: str) -> Object:
    """A container that gives its pod one more address."""
    words = f'ip -6 addr add {mine}/64 dev eth0 nodad && exec python3 -u -c "$0"'
    may = {"capabilities": {"add": ["NET_ADMIN"]}, "runAsUser": 0}
    return {"image": BASE, "command": ["sh", "-c", words, SERVE], "securityContext": may}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def six(space: Space) -> AsyncIterator[Space]:
    """`front` and `outside` call `six` by its address."""
    for name, mine in ADDRESSES.items():
        near = {"kubernetes.io/hostname": "node-2"}
        await space.deploy(name, container=with_address(mine), nodeSelector=near)
    space.services["by-six"] = {"host": ADDRESSES["six"], "port": 8080}
    await eventually(lambda: reaches(space, "front"), 10, "pods of one node see each other")
    yield space


async def outcome(space: Space, service: str) -> str:
    return str((await space.seen_from(service, SIX))["outcome"])


async def reaches(space: Space, service: str) -> bool:
    return await outcome(space, service) == "answered"


@pytest.mark.parametrize("to", ["by-six", f"{ADDRESSES['six']}/128"])
@pytest.mark.parametrize(("how", "seen"), [("refuse", "refused"), ("hang", "silent")])
async def test_it_is_lost_for_one_pod_alone(six: Space, to: str, how: str, seen: str) -> None:
    target = {"service": "front", "to": to, "port": 8080}
    step = {"fault": "dependency-loss", "target": target, "with": {"mode": how}, "for": "6s", "id": "it"}
    async with six.running(six.write(step)) as run:
        await run.in_force()
        assert await outcome(six, "front") == seen
        assert await reaches(six, "outside")
        code, output = await run.ended()
    assert code == 0, output
    assert await reaches(six, "front")
