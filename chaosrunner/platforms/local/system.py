"""A local environment as daemons of this machine: starts what it names, says how it is, ends what it started."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from chaosrunner.clock import Clock
from chaosrunner.errors import NotPossibleNow
from chaosrunner.injector import processes
from chaosrunner.injector.calls import ControlError, Message, call_async
from chaosrunner.platforms.local import daemons, finding, sampling
from chaosrunner.platforms.local.daemons import Daemon, DidNotStart
from chaosrunner.platforms.local.machine import daemons_folder, machine_folder, short_name
from chaosrunner.platforms.local.spec import Link, Ready, Service, Spec
from chaosrunner.records.light import asdict, dataclass

Kind = Literal["service", "link"]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Record:
    """The note about a keeper or a proxy that `up` started, in the machine's folder."""

    kind: Kind
    name: str
    pid: int
    started: str
    print: str
    """A digest of its settings, to see that they changed."""
    socket: str

    @property
    def daemon(self) -> Daemon:
        return Daemon(self.pid, self.started)


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service as it is now."""

    name: str
    kept: bool
    """Whether chaosrunner starts it."""
    pids: tuple[int, ...]
    """Of its instances; empty: it is down."""
    since: float | None
    """When chaosrunner started it, epoch seconds."""
    ready: bool | None
    """None: the environment does not say how to tell."""
    restarts: int
    note: str
    """What is wrong, if something is; empty otherwise."""
    log: str

    @property
    def up(self) -> bool:
        return bool(self.pids)


@dataclass(frozen=True, slots=True)
class LinkState:
    """A link as it is now."""

    name: str
    from_service: str
    to_service: str
    listen: str
    connect: str
    pid: int | None
    """Of its proxy; None: it is down."""
    effects: tuple[Message, ...]
    """What is in force on it."""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that the environment names."""

    environment: str
    services: tuple[ServiceState, ...]
    links: tuple[LinkState, ...]

    def as_json(self) -> dict[str, Any]:
        """The stable shape of `local status --json`."""
        return {
            "environment": self.environment,
            "services": [asdict(service) | {"up": service.up} for service in self.services],
            "links": [asdict(link) | {"up": link.pid is not None} for link in self.links],
        }


def _silent(words: str) -> None:
    """For callers that show nothing."""


class LocalSystem:
    """The daemons of one environment. Its identity is its name and the folder of its file, whoever asks from where."""

    def __init__(self, spec: Spec, environment: str, folder: Path, clock: Clock, machine: Path | None = None) -> None:
        self.spec = spec
        self.environment = environment
        self.folder = folder.resolve()
        self.clock = clock
        self.machine = machine or machine_folder()
        self.mark = short_name(environment, str(self.folder))
        self._daemons = daemons_folder(self.machine)
        self._own = self._daemons / self.mark

    # -- what the daemons are called

    def socket(self, kind: Kind, name: str) -> Path:
        """The control socket of a service's keeper or a link's proxy."""
        return self._own / f"{short_name(kind, name)}.sock"

    def log(self, kind: Kind, name: str) -> Path:
        """What a service and its keeper, or a proxy, print."""
        return self._own / f"{kind}-{name}.log"

    def _note(self, kind: Kind, name: str) -> Path:
        return self._own / f"{short_name(kind, name)}.json"

    def record(self, kind: Kind, name: str) -> Record | None:
        """Of a daemon that `up` started and that lives; None otherwise."""
        found = _read(self._note(kind, name))
        return found if found is not None and found.daemon.alive else None

    def _records(self) -> Iterator[Record]:
        for note in sorted(self._own.glob("*.json")):
            if (found := _read(note)) is not None:
                yield found

    async def keeper(self, name: str) -> Message | None:
        """What the keeper of a service says; None if there is none that answers."""
        try:
            return await call_async(self.socket("service", name), {"do": "status"}, 2.0)
        except ControlError:
            return None

    def kept_before(self, name: str) -> bool:
        """Whether `up` started it and `down` has not ended it, be its keeper alive or not."""
        return self._note("service", name).exists()

    # -- up

    async def up(self, say: Say = _silent) -> Status:
        """Start what is not running, and wait until everything is ready. Idempotent.

        What runs already is left alone, unless its settings in the file changed. Raises `NotPossibleNow` with every
        reason at once if something cannot be started or does not become ready; the rest stays up.
        """
        async with self._alone():
            await self._clear_old(say)
            await self._nobody_else()
            await _all([self._link_up(name, link, say) for name, link in self.spec.links.items()])
            kept = [(name, service) for name, service in self.spec.services.items() if service.start is not None]
            await _all([self._service_up(name, service, say) for name, service in kept])
            await _all([self._until_ready(name, service, say) for name, service in self.spec.services.items()])
        return await self.status()

    async def start_service(self, name: str) -> None:
        """Start one kept service whose keeper died, without waiting until it is ready."""
        async with self._alone():
            await self._service_up(name, self.spec.services[name], _silent)

    async def _clear_old(self, say: Say) -> None:
        """End what the file does not name any more or names otherwise, and what a dead keeper left behind."""
        wanted = dict(self._wanted())
        for record in self._records():
            key = (record.kind, record.name)
            state = await self.keeper(record.name) if record.kind == "service" else {}
            fits = wanted.get(key) == record.print and record.daemon.alive
            if fits and (record.kind == "link" or (state and (state.get("pid") or state.get("held")))):
                continue
            if record.daemon.alive and wanted.get(key) != record.print:
                say(f"{record.kind} {record.name}: its settings changed, it is started anew")
            await self._end(record)

    async def _nobody_else(self) -> None:
        """Refuse to start beside something that has the address already: it would be taken for ours."""
        taken = []
        for name, service in self.spec.services.items():
            if service.start is None or service.ready is None or self.record("service", name) is not None:
                continue
            if await self._is_ready(service.ready):
                taken.append(
                    f"something else answers at {service.ready} already, so {name} cannot be started; end it, or leave "
                    f"out `start` and say how it is found (listens, pidFile, command)"
                )
        if taken:
            raise NotPossibleNow("\n".join(taken))

    async def _link_up(self, name: str, link: Link, say: Say) -> None:
        if self.record("link", name) is not None:
            return
        log = self._fresh_log("link", name)
        arguments = ["--listen", link.listen, "--connect", link.connect, "--control", str(self.socket("link", name))]
        try:
            daemon = await daemons.start("proxy", arguments=arguments, errors=log)
        except DidNotStart as problem:
            raise NotPossibleNow(f"link {name}: {problem}") from None
        self._write("link", name, daemon)
        say(f"link {name}: {link.listen} -> {link.connect}")

    async def _service_up(self, name: str, service: Service, say: Say) -> None:
        if self.record("service", name) is not None or service.start is None:
            return
        log = self._fresh_log("service", name)
        settings = {
            "control": str(self.socket("service", name)),
            "log": str(log),
            "service": name,
            "print": _print(service),
            "argv": list(service.start),
            "cwd": str(self.folder / (service.cwd or ".")),
            "env": {**os.environ, **service.env, finding.MARK: f"{self.mark}/{name}"},
            "restart": service.restart_after,
        }
        try:
            daemon = await daemons.start("keeper", settings, errors=log)
        except DidNotStart as problem:
            raise NotPossibleNow(f"service {name} cannot be started: {problem}") from None
        self._write("service", name, daemon)
        say(f"service {name}: started")

    def _fresh_log(self, kind: Kind, name: str) -> Path:
        log = self.log(kind, name)
        log.write_bytes(b"")
        return log

    def _write(self, kind: Kind, name: str, daemon: Daemon) -> None:
        printed = dict(self._wanted())[kind, name]
        record = Record(kind, name, daemon.pid, daemon.started, printed, str(self.socket(kind, name)))
        partial = self._note(kind, name).with_suffix(".partial")
        partial.write_text(json.dumps(asdict(record)))
        partial.replace(self._note(kind, name))

    def _wanted(self) -> Iterator[tuple[tuple[str, str], str]]:
        for name, service in self.spec.services.items():
            if service.start is not None:
                yield ("service", name), _print(service)
        for name, link in self.spec.links.items():
            yield ("link", name), _print(link)

    async def _until_ready(self, name: str, service: Service, say: Say) -> None:
        ready = service.ready
        if ready is None:
            return
        give_up = self.clock.monotonic() + ready.within
        while not await self._is_ready(ready):
            if service.start is not None:
                await self._still_running(name)
            if self.clock.monotonic() >= give_up:
                tail = self._tail(name) if service.start is not None else ""
                raise NotPossibleNow(f"service {name} was not ready within {ready.within:g} s: no {ready}{tail}")
            await self.clock.sleep(0.05)
        if service.start is not None:
            await self._still_running(name)
        say(f"service {name}: ready")

    async def _still_running(self, name: str) -> None:
        state = await self.keeper(name)
        if state is None:
            raise NotPossibleNow(f"the keeper of service {name} is gone{self._tail(name)}")
        if state.get("pid") is None and self.spec.services[name].restart_after is None:
            raise NotPossibleNow(f"service {name} {state['last']} before it was ready{self._tail(name)}")

    def _tail(self, name: str) -> str:
        log = self.log("service", name)
        lines = "".join(f"\n    {line}" for line in daemons.last_lines(log, 8))
        return f"; the end of {log}:{lines}" if lines else f"; it printed nothing ({log})"

    async def _is_ready(self, ready: Ready) -> bool:
        host, port = ready.address
        try:
            async with asyncio.timeout(2.0):
                if ready.path is None:
                    return await sampling.accepts(host, port)
                return await sampling.http_status(host, port, ready.path) < 400
        except OSError:  # a timeout too
            return False

    # -- status

    async def status(self) -> Status:
        """How everything is now; changes nothing."""
        services = await asyncio.gather(*(self._service_state(*item) for item in self.spec.services.items()))
        links = await asyncio.gather(*(self._link_state(*item) for item in self.spec.links.items()))
        return Status(self.environment, tuple(services), tuple(links))

    async def _service_state(self, name: str, service: Service) -> ServiceState:
        ready = await self._is_ready(service.ready) if service.ready is not None else None
        kept = service.start is not None
        state = await self.keeper(name) if kept else None
        if state is not None:
            pid = state.get("pid")
            note = "" if pid else f"{state['last']}"
            pids: tuple[int, ...] = (int(pid),) if pid else ()
            log = str(state["log"])
            return ServiceState(name, True, pids, state["since"] if pid else None, ready, state["restarts"], note, log)
        found = await asyncio.to_thread(finding.find, service, self.folder)
        pids = tuple(instance.pid for instance in found.instances)
        return ServiceState(name, kept, pids, None, ready, 0, found.why_none, "")

    async def _link_state(self, name: str, link: Link) -> LinkState:
        record = self.record("link", name)
        effects: tuple[Message, ...] = ()
        if record is not None:
            with suppress(ControlError):
                answer = await call_async(record.socket, {"do": "holds"}, 2.0)
                effects = tuple(held["effect"] | {"run": held["run"]} for held in answer["holds"])
        pid = record.pid if record is not None else None
        return LinkState(name, link.from_, link.to, link.listen, link.connect, pid, effects)

    # -- down

    async def down(self, say: Say = _silent) -> Sequence[str]:
        """End everything that `up` started for this environment, whatever its file says now. Idempotent.

        Returns what was ended. Never touches a process that it did not start. Raises `NotPossibleNow` if something
        could not be ended.
        """
        async with self._alone():
            records = list(self._records())
            ended = [f"{record.kind} {record.name}" for record in records if record.daemon.alive]
            await _all([self._end(record, say) for record in records])
            await self._sweep(self.mark)
        return ended

    async def _end(self, record: Record, say: Say = _silent) -> None:
        """The keeper gives its service 5 s; a proxy ends at once."""
        was_alive = record.daemon.alive
        if not await daemons.end(record.daemon, self.clock, 8.0 if record.kind == "service" else 2.0):
            raise NotPossibleNow(f"{record.kind} {record.name}: process {record.pid} could not be ended")
        if record.kind == "service":
            await self._sweep(f"{self.mark}/{record.name}")
        self._note(record.kind, record.name).unlink(missing_ok=True)
        self.socket(record.kind, record.name).unlink(missing_ok=True)
        if was_alive:
            say(f"{record.kind} {record.name}: ended")

    async def _sweep(self, mark: str) -> None:
        """End what carries the mark and has no keeper any more."""
        for instance in await asyncio.to_thread(finding.marked, mark):
            if instance.pid not in processes.ancestors(os.getpid()):
                await daemons.end(Daemon(instance.pid, instance.started), self.clock, 1.0)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One `up` or `down` of an environment at a time."""
        self._own.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self._daemons / f"{self.mark}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            give_up = self.clock.monotonic() + 60
            while not _locked(lock):
                if self.clock.monotonic() >= give_up:
                    raise NotPossibleNow(f"another `chaosrunner local` has been at work on {self.environment} for 60 s")
                await self.clock.sleep(0.05)
            yield
        finally:
            os.close(lock)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(note: Path) -> Record | None:
    try:
        return Record(**json.loads(note.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _print(settings: Service | Link) -> str:
    return hashlib.sha256(json.dumps(settings.as_json(), sort_keys=True).encode()).hexdigest()[:16]


async def _all(parts: Sequence[Awaitable[None]]) -> None:
    """Do all of them side by side; what failed is reported together, once all have ended."""
    outcomes = await asyncio.gather(*parts, return_exceptions=True)
    problems = [outcome for outcome in outcomes if isinstance(outcome, NotPossibleNow)]
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, NotPossibleNow):
            raise outcome
    if problems:
        raise NotPossibleNow("\n".join(map(str, problems)))
