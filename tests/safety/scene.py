"""A small real system to break: one service behind one link, with its own machine folder, and looks at it from outside
chaosrunner.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.local_stage import free_port

SERVER = """
import asyncio, sys
async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""

ENVIRONMENT = """
apiVersion: chaosrunner.dev/v1
kind: Environment
metadata: {{name: victim}}
spec:
  platform:
    local:
      services:
        web: {{start: [{python}, -S, server.py, "{web}"], ready: {{tcp: "127.0.0.1:{web}"}}}}
        client: {{listens: {nobody}}}
      links:
        client-to-web: {{from: client, to: web, listen: "127.0.0.1:{link}", connect: "127.0.0.1:{web}"}}
"""

LOOKS = 3
STEPS = {
    "latency": "{fault: network-latency, target: {link: client-to-web}, with: {delay: 300ms}, for: 600ms}",
    "long": "{fault: network-latency, target: {link: client-to-web}, with: {delay: 300ms}, for: 30s}",
    "hang": "{fault: dependency-loss, target: {link: client-to-web}, with: {mode: hang}, for: 600ms}",
    "refuse": "{fault: dependency-loss, target: {link: client-to-web}, with: {mode: refuse}, for: 600ms}",
    "pause": "{fault: process-pause, target: {service: web}, for: 600ms}",
    "kill": "{fault: process-kill, target: {service: web}, observe: 600ms}",
    "memory": "{fault: memory-stress, target: {service: web}, with: {size: 8MiB}, for: 600ms}",
}

EXPERIMENT = """
apiVersion: chaosrunner.dev/v1
kind: Experiment
metadata: {{name: {name}}}
spec:
  title: A run that is killed
  environment: environment.yaml
  hypotheses:
    - name: answers
      title: It answers
      measures:
        - name: answers
          tcp: {{host: 127.0.0.1, port: {web}}}
          every: 50ms
          timeout: 1s
  baseline: 200ms
  method: [{step}]
  recovery: {{within: 2s, holds: 100ms}}
"""


class Scene:
    """One folder, one environment, one machine of its own."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self._seen: list[Path] = []
        self.endings: Counter[str] = Counter()
        """How many journals end with which event."""
        self.machine = folder / "m"
        self.state = folder / "state"
        self.web, self.link, nobody = (free_port() for _ in range(3))
        (folder / "server.py").write_text(SERVER)
        (folder / "environment.yaml").write_text(
            ENVIRONMENT.format(web=self.web, link=self.link, nobody=nobody, python=sys.executable)
        )
        for name, step in STEPS.items():
            (folder / f"{name}.yaml").write_text(EXPERIMENT.format(name=f"victim-{name}", web=self.web, step=step))

    async def command(self, *words: str) -> tuple[int, str]:
        """A chaosrunner command: exit code and output."""
        return await self.server.command(self, words)

    async def up(self) -> None:
        code, output = await self.command("check", ".")
        assert code == 0, output
        code, output = await self.command("local", "up", "environment.yaml")
        assert code == 0, output

    async def down(self) -> None:
        code, output = await self.command("local", "down", "environment.yaml")
        assert code == 0, output

    # -- looks from outside

    async def trouble(self) -> str:
        """What is not as it should be, seen as a client of the link; empty: nothing. A busy machine is slow now and
        then, a delayed link each time.
        """
        for _ in range(LOOKS):
            if not (found := await self._look()).startswith("slow"):
                break
        return found

    async def _look(self) -> str:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(1.0):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.link)
                try:
                    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    await reader.readuntil(b"ok")
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            return f"no answer: {error!r}"
        took = time.perf_counter() - began
        return f"slow: {took:.3f} s" if took > 0.25 else ""

    def holders(self) -> list[str]:
        """Command lines of processes that hold a fault of this machine."""
        found = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if "holder" in words and str(self.machine) in words:
                found.append(words)
        return found

    async def clean_within(self, seconds: float) -> float:
        """Wait until nothing is in force any more; how long that took."""
        began = time.monotonic()
        while (trouble := await self.trouble() or " ".join(self.holders())) and time.monotonic() - began < seconds:
            await asyncio.sleep(0.05)
        assert not trouble, f"after {seconds} s still {trouble}"
        return time.monotonic() - began

    def journals(self) -> list[Path]:
        return sorted((self.state / "runs").glob("*/journal.jsonl"))

    def new_journals(self) -> list[Path]:
        """Those that were not asked for before."""
        found = [path for path in self.journals() if path not in self._seen]
        self._seen += found
        return found


class Server:
    """The forking process of `victims`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    @classmethod
    async def start(cls) -> Server:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.safety.victims",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | {"CHAOSRUNNER_BEAT_LIMIT": "2.5"},
            )
        )

    async def command(self, scene: Scene, words: Sequence[str]) -> tuple[int, str]:
        """Exit code and output of a command."""
        output = await self._carry_out(scene, words, None, None)
        text, _, code = output.rpartition("\n")
        return int(code), text

    async def run(self, scene: Scene, experiment: str, *, event: str | None = None, after: float | None = None) -> None:
        """Start a run and wait until its process is gone."""
        await self._carry_out(scene, ["run", f"{experiment}.yaml"], event, after)

    async def _carry_out(self, scene: Scene, words: Sequence[str], event: str | None, after: float | None) -> str:
        output = scene.folder / "output"
        order = {
            "words": ["--state", str(scene.state), *words],
            "folder": str(scene.folder),
            "machine": str(scene.machine),
            "output": str(output),
            "event": event,
            "after": after,
        }
        assert self._process.stdin
        assert self._process.stdout
        async with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            pid = int(await self._process.stdout.readline())
        while _lives(pid):
            await asyncio.sleep(0.02)
        return output.read_text()

    async def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
