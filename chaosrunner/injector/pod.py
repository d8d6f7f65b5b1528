"""The injector that runs beside a pod's containers, in an ephemeral container, and holds the faults of one run there.

    python -m chaosrunner.injector.pod --run RUN --seconds LIFETIME
    python -m chaosrunner.injector.pod --run RUN --seconds LIFETIME --order JSON --beats udp:PORT:KEY
    python -m chaosrunner.injector.pod --version

It does nothing until it is told to. Requests come as lines of JSON on standard input, answers go as lines of JSON to
standard output; a request's `n` (any JSON value) comes back in its answer:

    {"n": 1, "do": "begin", "id": "R1.slow.0", "run": "R1", "seconds": 60, "effect": {"kind": "traffic", ...}}
    {"n": 1, "ok": true, "again": false, "mode": "proxy", "table": "chaosrunner_…", "owned": true, "established": 2}
    {"n": 2, "do": "nonsense"}
    {"n": 2, "ok": false, "error": "unknown request 'nonsense'; known: …"}

`begin` (with its `seconds`), `beat {run}`, `end {id}` and `holds` are those of `chaosrunner.injector.holds`: no beat
for 5 s, or the deadline, ends a hold; an id has one life. `run` must be the run of the command line. Beside them:

* `begin` also answers what there is to say: `mode` (`proxy`, `netem`, `rules`: by nftables alone), `table` (its name in
  nftables), `owned` (the kernel removes it when this process ends, however that comes about), `established` (open
  connections that matched at the beginning), `broken` (those of them that were broken), `notes` (texts).
* `end {id}` -> `{why, taken_back: true, removed: [...], carried, met, ...}` when it was taken back and seen to be gone.
  An id that this process never held is looked for among what a killed injector left, and removed.
* `met {id}` -> `{met, unit, ...}`: what met it, `unit` being connections, packets, queries or requests. Looks that
  carry the mark 0x6369 are not counted.
* `update {id, to: [...]}` replaces the destinations of a traffic effect in force.
* `left {}` -> `{left: [{table, run, hold, mine}, {netem, mine}]}`: rules, queueing disciplines and devices of ours in
  this network namespace; `mine`: this process holds them. `run` and `hold` are tags (`nft.tag`), not ids.
* `sweep {all}` -> `{removed: [...], failed: {name: why}}` removes what killed injectors of this run left; `all`: of any
  run.
* `stats {}` -> `{pid, version, run, seconds, seconds_left, carried, in_force, faults: {id: …}}`; the first thing that a
  runner should ask for: the container may have said hello long before it was attached to.
* `bye {}` takes everything back, answers, and ends the process with 0.

Lines without `n` are events: `{"event": "ready", "version", "run"}` at the start, `{"event": "ended", "id", "why",
"taken_back", ...}` whenever a hold is over, `{"event": "vanished", "id", "words"}` when the rules of a hold are no
longer there although nobody took them back, `{"event": "over", "why"}` last. A line that is no request (half of one,
after a broken channel) is answered with `ok: false` and otherwise ignored; empty lines are ignored. Channels may break
and come back: only missing beats end a fault. At the end of standard input nothing more can come, so the process ends
as soon as nothing is held any more.

With `--order` it begins by itself with what the JSON says, an object as `begin` takes it, and ends when that is over
(with 3 and a line `{"event": "refused", "error"}` if it cannot begin). With `--beats` heartbeats also come as
datagrams, see `beats`; the first has the usual 5 s too. The port is spared by every fault of this injector.

Effects (`effect` of `begin`); everything but `kind` and what is to be done may be left out:

    {"kind": "traffic", "mode": "auto" | "proxy" | "netem", "established": "keep" | "reset",
     "match": {"way": "egress" | "ingress", "to": [{"cidr" | "host", "port", "protocol"}], "except": [...]},
     "connections": {delay, jitter, bandwidth, loss: refuse | hang | reset, share, seed, reset_after, direction},
     "packets": {loss, corrupt, duplicate, reorder, delay, jitter, rate, partition, direction: out | in | both},
     "dns": {names, answer: nxdomain | servfail | refused | silent | wrong, address, delay, share, seed},
     "http": {path, methods, share, seed, delay, status, body, abort}}
    {"kind": "stress", "what": "cpu" | "memory" | "io" | "disk", ...}        see `load`
    {"kind": "signal", "signal": 15, "container": "<its id>"}                once, see `signals`; nothing to take back

What becomes of connections: `loss: refuse` answers with a reset, `hang` drops packets (rules alone; of open connections
too, and the former breaks them at once where the kernel can). Everything else on `connections` goes through the proxy,
for connections that are opened while the fault is in force; those open at the beginning stay as they are, unless
`loss: reset` or `established: reset` breaks them. When the fault ends, the connections that the proxy carries are
carried on, with nothing done to them, until they close; new ones go direct. When this process ends they are reset. With
`netem` open connections are slowed down too, and setting one up. `packets.direction` is `out` unless said otherwise
(partition: `both`); with `in`, looks around the fault are hit too. `to` of `dns` names name servers, default those of
resolv.conf.

It takes everything back and ends with 0 at the end of its lifetime, on SIGTERM and on SIGINT. When it is killed by
SIGKILL, the kernel removes its rules (`owned`) and diverted connections break.

Standard library only.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # asyncio does without, and starts faster

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Mapping, Sequence

from chaosrunner import __version__
from chaosrunner.injector import beats
from chaosrunner.injector.calls import Message, RequestRefused
from chaosrunner.injector.holds import BEAT_LIMIT, uptime
from chaosrunner.injector.injection import Injector
from chaosrunner.injector.lines import Lines
from chaosrunner.injector.timing import new_loop

__all__ = ["main"]


# ---------------------------------------------------------------------------------------------------------- the program


async def serve(injector: Injector, lines: Lines, given: argparse.Namespace) -> int:
    """The life of an injector: answer until it is over; the exit code."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, injector.finish, signal.Signals(number).name)
    injector.lifetime = given.seconds
    heard = None
    tasks = [loop.create_task(work) for work in (injector.watch(), _until(injector, given.seconds))]
    lines.say({"event": "ready", "version": __version__, "run": injector.run})
    try:
        if given.beats:
            port, key = beats.listening(given.beats)
            heard = beats.Beats(injector.run, key, injector.beat)
            await heard.open(port)
            injector.ground.beats = port
        if given.order:
            said = await injector.begin(json.loads(given.order))
            lines.say({"event": "began", **said})
        tasks.append(loop.create_task(_listen(injector, lines, alone=bool(given.order))))
        await injector.over.wait()
    except (RequestRefused, OSError, ValueError, KeyError) as problem:
        lines.say({"event": "refused", "error": str(problem)})
        injector.finish("refused")
        return 3
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await injector.close()
        if heard is not None:
            heard.close()
        lines.say({"event": "over", "why": injector.why})
        await lines.flush()
    return 0


async def _until(injector: Injector, seconds: float) -> None:
    ends = uptime() + seconds
    while (left := ends - uptime()) > 0:  # noqa: ASYNC110 - this clock goes on while the machine sleeps, timers do not
        await asyncio.sleep(min(1.0, left))
    injector.finish("lifetime")


async def _listen(injector: Injector, lines: Lines, *, alone: bool) -> None:
    """Answer requests until there can be none, and until nothing is held. `alone`: it began by itself, and is over as
    soon as that is, whoever may still listen."""
    working: set[asyncio.Task[None]] = set()

    async def answer() -> None:
        async for request in lines:
            task = asyncio.get_running_loop().create_task(_reply(injector, lines, request))
            working.add(task)
            task.add_done_callback(working.discard)

    answering = asyncio.get_running_loop().create_task(answer())
    try:
        if not alone:
            await answering
        while not injector.idle or working:  # noqa: ASYNC110 - holds end by many ways, and this ends everything
            await asyncio.sleep(0.1)
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
    injector.finish("nothing is held any more" if alone else "end of input")


async def _reply(injector: Injector, lines: Lines, request: Message | str) -> None:
    if isinstance(request, str):
        lines.say({"ok": False, "error": request})
        return
    number: Mapping[str, object] = {"n": request["n"]} if "n" in request else {}
    lines.say({**number, **await injector.answer(request)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until it is over; the exit code."""
    parser = argparse.ArgumentParser(prog="chaosrunner.injector.pod", description="Holds one run's faults in a pod.")
    parser.add_argument("--run", required=True, help="the run that it works for")
    parser.add_argument("--seconds", required=True, type=float, help="its lifetime")
    parser.add_argument("--order", metavar="JSON", help="what it begins with by itself")
    parser.add_argument("--beats", metavar="udp:PORT:KEY", help="where heartbeats come as datagrams")
    parser.add_argument("--version", action="version", version=__version__)
    given = parser.parse_args(arguments)
    limit = min(BEAT_LIMIT, float(os.environ.get("CHAOSRUNNER_BEAT_LIMIT") or BEAT_LIMIT))  # shorter in tests

    async def life() -> int:
        lines = Lines(0, 1)
        return await serve(Injector(given.run, lines, beat_limit=limit), lines, given)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(life())


if __name__ == "__main__":
    sys.exit(main())
