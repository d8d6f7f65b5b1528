"""A service with causes of trouble planted in it, as its metrics and logs show them: a queue of requests that is really
worked off, request by request, in simulated time. The same seed gives the same service.

Requests wait for a worker, look into a cache, ask a database through a pool, and call another service (`geo`) with a
timeout and one retry; some put a mail into a queue. Beside that there is what real systems have: series that wander,
swing, burst or hardly move, and lines that come now and then.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chaosrunner.model.material import Line, Material, Point, Sampled, Stream, Window
from chaosrunner.sources.prometheus import rates

NOW = 1_790_000_000.0
"""When the planted cause begins, wall time."""
SCRAPE = 5.0


@dataclass(frozen=True)
class Service:
    """How it is set up. A cause changes some of it for a while."""

    arrivals: float = 30.0
    workers: int = 16
    hit: float = 0.8
    pool: int = 10
    db: float = 0.008
    db_errors: float = 0.0
    geo: float = 0.012
    geo_errors: float = 0.0
    geo_says: str = "geo answered 503"
    slower: float = 1.0
    mails: float = 12.0
    denied: float = 0.0
    denied_says: str = "token rejected"
    failing: float = 0.0
    failing_says: str = ""
    gc: float = 0.0
    """Seconds of a pause every two seconds."""
    leak: float = 0.0
    """Megabytes a second."""
    restarts: float = 0.0
    """Seconds between restarts; 0: none."""
    version: str = "1.4.2"
    heartbeat: bool = True


@dataclass(frozen=True)
class Planted:
    """One cause, and by what it can be told."""

    name: str
    changes: Mapping[str, object]
    cause: str
    """A regular expression: clues that name it."""
    effects: str = "nothing else"
    """Clues that it brought about."""


REQUESTS = r"^api_(?:request|workers|waiting|responses)|POST /orders|no free worker"
LESS = REQUESTS + r"|^api_(?:cache|geo|db|mail)"
"""Also less of what else requests do."""
CAUSES = (
    Planted("geo is slow", {"geo": 0.3}, r"^api_geo_seconds|geo did not answer", REQUESTS),
    Planted("geo fails", {"geo_errors": 0.4}, r"^api_geo|geo answered", REQUESTS),
    Planted("geo hangs", {"geo": 30.0}, r"^api_geo|geo did not answer", REQUESTS),
    Planted(
        "geo has no name",
        {"geo_errors": 0.9, "geo_says": "lookup geo: no such host"},
        r"^api_geo|no such host",
        REQUESTS,
    ),
    Planted(
        "geo speaks no TLS", {"geo_errors": 0.9, "geo_says": "tls: handshake failure"}, r"^api_geo|handshake", REQUESTS
    ),
    Planted("the database is slow", {"db": 0.15}, r"^api_db|slow query", REQUESTS),
    Planted("the pool is small", {"pool": 1, "db": 0.06}, r"^api_db|pool|slow query", REQUESTS),
    Planted("deadlocks", {"db_errors": 0.3}, r"^api_db|deadlock", REQUESTS),
    Planted("the cache is cold", {"hit": 0.0}, r"^api_cache|^api_db", REQUESTS),
    Planted("workers are gone", {"workers": 1, "slower": 2.0}, r"^api_workers|^api_waiting|no free worker", REQUESTS),
    Planted("mails are not sent", {"mails": 0.0}, r"mail", "nothing else"),
    Planted("the processor is throttled", {"slower": 6.0}, r"_seconds|^api_workers|slow query", REQUESTS),
    Planted("garbage is collected", {"gc": 0.6}, r"gc|^api_request|^api_w", REQUESTS),
    Planted("clients are denied", {"denied": 0.5}, r"401|token rejected", LESS),
    Planted(
        "a bad version",
        {"version": "1.5.0", "failing": 0.3, "failing_says": "panic: nil order"},
        r"build_info|panic|500",
        REQUESTS,
    ),
    Planted(
        "it restarts again and again", {"restarts": 12.0}, r"start|connected to the database|listening on", REQUESTS
    ),
    Planted(
        "the disk is full",
        {"failing": 0.5, "failing_says": "write journal: no space left on device"},
        r"no space|500",
        LESS,
    ),
    Planted("memory leaks", {"leak": 6.0}, r"memory", "nothing else"),
    Planted("twice the requests", {"arrivals": 66.0}, r"^api_request|POST /orders|^api_workers", r"^api_|mail"),
    Planted("no more requests", {"arrivals": 0.0}, r"^api_request|POST /orders|^api_workers", r"^api_|mail|slow query"),
    Planted("the heartbeat stops", {"heartbeat": False}, r"heartbeat", "nothing else"),
)
"""At least twenty, each of another kind."""


@dataclass
class Told:
    """What a simulated time left behind."""

    counters: dict[str, list[Point]] = field(default_factory=dict)
    gauges: dict[str, list[Point]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)


def simulated(
    cause: Planted | None, seed: int, *, usual: float = 600.0, lasts: float = 60.0
) -> tuple[Window, Material]:
    """The material of so many seconds before the cause, and while it lasts; without a cause nothing changes."""
    chance = random.Random(seed)
    told = Told()
    _Run(chance, told, cause, usual, lasts).go()
    series = [*_series(told), *noise(chance, usual, lasts)]
    streams = [
        Stream("api", sorted(told.lines), NOW - usual),
        Stream("worker", sorted(_chatter(chance, usual, lasts)), NOW - usual),
    ]
    window = Window(usual_from=NOW - usual, baseline=NOW - lasts, began=NOW, ended=NOW + lasts)
    return window, Material("planted", series, streams)


def _series(told: Told) -> Iterator[Sampled]:
    for key, points in told.counters.items():
        name, _, labels = key.partition("{")
        since = min(other[0][0] for each, other in told.counters.items() if each.partition("{")[0] == name)
        yield Sampled(name, f"{{{labels}" if labels else "", rates(points, since), unit="/s", owner="api")
    for key, points in told.gauges.items():
        name, _, labels = key.partition("{")
        says = "start" if name.endswith("start_time_seconds") else "version" if name.endswith("_info") else "number"
        yield Sampled(name, f"{{{labels}" if labels else "", points, owner="api", says=says)  # type: ignore[arg-type]


class _Run:
    """Requests one after the other; everything that takes them is free at some time."""

    def __init__(self, chance: random.Random, told: Told, cause: Planted | None, usual: float, lasts: float) -> None:
        self._chance = chance
        self._told = told
        self._usual = Service()
        self._planted = Service() if cause is None else replace(Service(), **cause.changes)  # type: ignore[arg-type]
        self._start, self._end = NOW - usual, NOW + lasts
        self._counts: dict[str, float] = dict.fromkeys(_ALWAYS, 0.0)
        self._workers = [0.0] * self._usual.workers
        self._pool = [0.0] * self._usual.pool
        self._mail, self._memory, self._born, self._pause = 0.0, 300.0, self._start - 4000.0, 0.0
        self._waits: list[tuple[float, float]] = []

    def go(self) -> None:
        at, scraped, beat, ticked = self._start, self._start + 3.0, self._start, self._start
        while at < self._end:
            service = self._service(at)
            at += self._chance.expovariate(service.arrivals) if service.arrivals else 0.2
            while scraped < min(at, self._end):
                self._scrape(scraped)
                scraped += SCRAPE
            while ticked < min(at, self._end):
                self._tick(ticked)
                ticked += 1.0
            while beat < min(at, self._end):
                if self._service(beat).heartbeat:
                    self._say(beat, "INFO heartbeat sent to the registry")
                beat += 5.0
            if service.arrivals and at < self._end:
                self._request(at, service)

    def _service(self, at: float) -> Service:
        return self._planted if at >= NOW else self._usual

    def _say(self, at: float, words: str) -> None:
        self._told.lines.append((at, words))

    def _add(self, key: str, amount: float = 1.0) -> None:
        self._counts[key] = self._counts.get(key, 0.0) + amount

    def _tick(self, at: float) -> None:
        service = self._service(at)
        sent = min(self._mail, service.mails * self._chance.uniform(0.8, 1.2))
        self._mail -= sent
        self._add("api_mails_sent_total", sent)
        if int(sent) and not int(at) % 3:
            self._say(at, f"INFO {int(sent)} mails sent")
        if self._mail > 200 and not int(at) % 4:
            self._say(at, f"WARN mail queue is long: {int(self._mail)}")
        back = 0.0 if service.leak else 0.02 * (self._memory - 300.0)
        self._memory = max(250.0, self._memory + service.leak + self._chance.uniform(-4, 4) - back)
        if service.gc and not int(at) % 2:
            self._pause = at + service.gc
            self._say(at + service.gc, f"WARN gc pause of {service.gc * 1e3:.0f} ms")
            self._add("api_gc_seconds_sum", service.gc)
        elif not int(at) % 7:
            self._add("api_gc_seconds_sum", 0.004 * self._chance.uniform(0.5, 2))
        if service.restarts and int(at - NOW) % int(service.restarts) == 2:
            self._born = at
            self._counts = dict.fromkeys(_ALWAYS, 0.0)
            self._workers = [at + 2.0] * len(self._workers)
            for words in ("INFO starting api 1.4.2", "INFO connected to the database", "INFO listening on :8080"):
                self._say(at, words)

    def _request(self, at: float, service: Service) -> None:
        chance = self._chance
        if len(self._workers) != service.workers:
            self._workers = sorted(self._workers)[: service.workers] + [at] * (service.workers - len(self._workers))
            heapq.heapify(self._workers)
        if len(self._pool) != service.pool:
            self._pool = [at] * service.pool
        begun = max(at, heapq.heappop(self._workers), self._pause if self._pause > at else at)
        if begun - at > 2.0:  # the client has gone
            heapq.heappush(self._workers, begun)
            self._done(at, at + 2.0, 504, "client gave up waiting")
            return
        if begun > at + 0.05 and chance.random() < 0.3:
            self._say(at, f"WARN no free worker for {(begun - at) * 1e3:.0f} ms")
        now, status, says = self._work(begun, service)
        heapq.heappush(self._workers, now)
        self._add("api_workers_seconds_sum", now - begun)
        self._waits.append((at, begun - at))
        self._done(at, now, status, says)

    def _work(self, now: float, service: Service) -> tuple[float, int, str]:
        chance = self._chance
        now += 0.002 * service.slower * chance.lognormvariate(0, 0.4)
        if chance.random() < service.denied:
            return now, 401, service.denied_says
        if chance.random() < service.failing:
            return now, 500, service.failing_says
        hit = chance.random() < service.hit
        self._add(f'api_cache_total{{result="{"hit" if hit else "miss"}"}}')
        if not hit:
            now, failed = self._query(now, service)
            if failed:
                return now, 500, "deadlock detected"
        if chance.random() < 0.5:
            now, failed = self._geo(now, service)
            if failed:
                return now, 502, failed
        if chance.random() < 0.2:
            self._mail += 1
        return now, 200, ""

    def _query(self, now: float, service: Service) -> tuple[float, bool]:
        free = heapq.heappop(self._pool)
        begun = max(now, free)
        took = service.db * service.slower * self._chance.lognormvariate(0, 0.5)
        heapq.heappush(self._pool, begun + took)
        if begun - now > 0.05:
            self._say(now, f"WARN waited {(begun - now) * 1e3:.0f} ms for a connection of the pool")
        if took > 0.06:
            self._say(begun + took, f"WARN slow query took {took * 1e3:.0f} ms")
        self._add("api_db_seconds_sum", begun + took - now)
        self._add("api_db_seconds_count")
        failed = self._chance.random() < service.db_errors
        if failed:
            self._add("api_db_errors_total")
        return begun + took, failed

    def _geo(self, now: float, service: Service) -> tuple[float, str]:
        failed = ""
        for _ in range(2):
            took = min(0.5, service.geo * service.slower * self._chance.lognormvariate(0, 0.3))
            now += took
            self._add("api_geo_seconds_sum", took)
            self._add("api_geo_seconds_count")
            late = took >= 0.5
            failed = "geo did not answer in 500 ms" if late else ""
            if self._chance.random() < service.geo_errors:
                failed = service.geo_says
            if not failed:
                return now, ""
            self._add(f'api_geo_errors_total{{why="{"timeout" if late else "error"}"}}')
        return now, failed

    def _done(self, at: float, now: float, status: int, says: str) -> None:
        self._add(f'api_responses_total{{code="{status}"}}')
        self._add("api_request_seconds_sum", now - at)
        self._add("api_request_seconds_count")
        level, why = ("INFO", "") if status < 500 else ("ERROR", f": {says}")
        why = f": {says}" if status == 401 else why
        order, took = self._chance.randrange(10**6), (now - at) * 1e3
        self._say(now, f"{level} POST /orders/{order} {status} in {took:.0f} ms{why}")

    def _scrape(self, at: float) -> None:
        for key, value in self._counts.items():
            self._told.counters.setdefault(key, []).append((at, value))
        busy = sum(free > at for free in self._workers)
        waiting = sum(1 for came, wait in self._waits if came <= at < came + wait)
        self._waits = [(came, wait) for came, wait in self._waits if came + wait > at]
        gauges = {
            "api_workers_busy": float(busy),
            "api_waiting": float(waiting),
            "api_mail_queue": self._mail,
            "process_resident_memory_bytes": self._memory * 1e6,
            "process_start_time_seconds": self._born,
            f'api_build_info{{version="{self._service(at).version}"}}': 1.0,
        }
        for key, value in gauges.items():
            self._told.gauges.setdefault(key, []).append((at, value))


_ALWAYS = (
    'api_responses_total{code="200"}', "api_request_seconds_sum", "api_request_seconds_count", "api_geo_seconds_sum",
    "api_geo_seconds_count", "api_db_seconds_sum", "api_db_seconds_count", "api_db_errors_total",
    'api_cache_total{result="hit"}', 'api_cache_total{result="miss"}', "api_mails_sent_total", "api_gc_seconds_sum",
    "api_workers_seconds_sum",
)  # fmt: skip


# ------------------------------------------------------------------------------------ what has nothing to do with it

_Made = Callable[[random.Random, float, dict[str, float]], float]


def _noisy(chance: random.Random, at: float, kept: dict[str, float]) -> float:
    return kept["level"] * (1 + kept["spread"] * chance.gauss(0, 1))


def _wandering(chance: random.Random, at: float, kept: dict[str, float]) -> float:
    kept["at"] = kept.get("at", 0.0) + chance.gauss(0, 1)
    return kept["level"] * (1 + 0.05 * kept["spread"] * kept["at"])


def _swinging(chance: random.Random, at: float, kept: dict[str, float]) -> float:
    turn = math.sin(2 * math.pi * at / (40 + 400 * kept["spread"]))
    return kept["level"] * (1 + 0.4 * turn + 0.05 * chance.gauss(0, 1))


def _heavy(chance: random.Random, at: float, kept: dict[str, float]) -> float:
    return kept["level"] * chance.paretovariate(1.5)


def _seldom(chance: random.Random, at: float, kept: dict[str, float]) -> float:
    return float(chance.randrange(1, 5)) if chance.random() < 0.1 else 0.0


def _steady(chance: random.Random, at: float, kept: dict[str, float]) -> float:
    return kept["level"]


def _stepping(chance: random.Random, at: float, kept: dict[str, float]) -> float:
    kept["steps"] = kept.get("steps", 8.0) + (chance.choice((-1, 1)) if chance.random() < 0.1 else 0)
    return max(1.0, kept["steps"])


KINDS: Sequence[_Made] = (_noisy, _wandering, _swinging, _heavy, _seldom, _steady, _stepping)


def noise(chance: random.Random, usual: float, lasts: float, count: int = 70) -> Iterator[Sampled]:
    """So many series of every kind that nothing happens to."""
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        kept = {"level": 10 ** chance.uniform(-2, 6), "spread": chance.uniform(0.02, 0.4)}
        count_of = int((usual + lasts) / SCRAPE)
        times = [NOW - usual + 1.0 + index * SCRAPE for index in range(count_of)]
        name = f"other_{kind.__name__.strip('_')}"
        yield Sampled(name, f'{{n="{number}"}}', [(at, kind(chance, at, kept)) for at in times])


def _chatter(chance: random.Random, usual: float, lasts: float) -> Iterator[Line]:
    """Lines of another program: some always, some every minute, some at random and in bursts."""
    end = NOW + lasts
    at = NOW - usual
    while at < end:
        at += chance.expovariate(3.0)
        yield (
            at,
            f"INFO job {chance.randrange(10**5)} of queue {chance.choice('abc')} done in {chance.randrange(900)} ms",
        )
        if chance.random() < 0.02:
            yield at, f"WARN job {chance.randrange(10**5)} was slow"
        if chance.random() < 0.004:
            for _ in range(chance.randrange(3, 9)):
                yield at, f"INFO rebalancing shard {chance.randrange(99)}"
    at = NOW - usual + chance.uniform(0, 60)
    while at < end:
        for step in ("begins", "reads", "writes", "ends"):
            yield at, f"INFO nightly report {step}"
        at += 60.0
