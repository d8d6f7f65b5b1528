"""A probe that looks up a name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.http import is_own, why
from chaosrunner.model.marks import AfterValidator, Field
from chaosrunner.model.quantities import Duration
from chaosrunner.ports import Parameters, TimedProbe, Value

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

_LONGEST = 2000


def _check_server(text: str) -> str:
    _address(text)
    return text


def _address(text: str) -> tuple[str, int]:
    """(address, port) of `10.0.0.10`, `10.0.0.10:5353`, `::1` or `[::1]:5353`."""
    import ipaddress

    address, port = text, "53"
    if text.startswith("[") or text.count(":") == 1:
        address, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "53")
        address = address.strip("[]")
    try:
        ipaddress.ip_address(address)
        if not 1 <= int(port) <= 65535:
            raise ValueError
    except ValueError:
        raise ValueError(f"expected a server's address such as 10.0.0.10 or 127.0.0.1:5353, found {text!r}") from None
    return address, int(port)


def _check_name(text: str) -> str:
    import dns.exception
    import dns.name

    try:
        dns.name.from_text(text)
    except dns.exception.DNSException as error:
        raise ValueError(f"expected a name such as checkout.example.com, found {text!r}: {error}") from None
    return text


class Params(Parameters):
    """What to look up, and where."""

    name: Annotated[str, AfterValidator(_check_name)] = Field(min_length=1)
    """The whole name; no search domains are added."""
    type: Literal["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"] = "A"
    """The type of its records; default A."""
    server: Annotated[str, AfterValidator(_check_server)] | None = None
    """Address of the server to ask, with its port if that is not 53; default: the system's servers, of
    `/etc/resolv.conf`, in their order."""
    tcp: bool = False
    """Ask over TCP at once; default over UDP, and over TCP after an answer that was cut short."""
    read: Literal["latency", "answer", "count"] = "latency"
    """`latency`: seconds until there are records; `answer`: the records as text, sorted, with `, ` between them, or
    `NXDOMAIN` or `NODATA`; `count`: how many there are. Default latency."""
    timeout: Duration = Field(default=5.0, gt=0)
    """For all of it, with its repetitions and further servers; default 5s."""


class Dns(TimedProbe[Params]):
    """Looks a name up with a server, as a resolver does: repeated when nothing comes back, over TCP when cut short.

    Nothing is cached, and the system's hosts file is not read. No such name (NXDOMAIN) and no such records (NODATA) are
    answers for `answer` and `count` (0), and *no answer* for `latency`. A server that fails (SERVFAIL), refuses or is
    silent is *no answer*; where this machine itself cannot ask (no rights, no `/etc/resolv.conf`), there is *no
    reading*.
    """

    example = "dns: {name: checkout.shop.svc.cluster.local, server: 10.96.0.10, read: count, timeout: 2s}"

    _resolver: Resolver | None = None

    async def open(self) -> None:
        import dns.asyncresolver
        import dns.resolver

        if self.params.server is None:
            try:
                self._resolver = dns.asyncresolver.Resolver()
            except (dns.resolver.NoResolverConfiguration, OSError) as error:
                raise NoReading(f"the system names no server: {error}") from error
        else:
            self._resolver = dns.asyncresolver.Resolver(configure=False)
            address, port = _address(self.params.server)
            self._resolver.nameservers = [address]
            self._resolver.port = port

    async def read(self) -> Value:
        import dns.resolver

        if self._resolver is None:
            await self.open()
        assert self._resolver is not None
        params, began = self.params, self.context.clock.monotonic()
        try:
            answer = await self._resolver.resolve(
                params.name, params.type, tcp=params.tcp, lifetime=params.timeout, search=False
            )
        except dns.resolver.NXDOMAIN:
            return self._none("NXDOMAIN", "there is no such name (NXDOMAIN)")
        except dns.resolver.NoAnswer:
            return self._none("NODATA", f"the name has no {params.type} records (NODATA)")
        except dns.resolver.LifetimeTimeout as error:
            self._must_be_theirs(error.kwargs.get("errors", ()))
            raise NoAnswer(f"{self._what}: no answer within {params.timeout:g} s{_last(error)}") from error
        except dns.resolver.NoNameservers as error:
            self._must_be_theirs(error.kwargs.get("errors", ()))
            raise NoAnswer(f"{self._what}: no server gave an answer{_last(error)}") from error
        except dns.resolver.YXDOMAIN as error:
            raise NoAnswer(f"{self._what}: the name became too long (YXDOMAIN)") from error
        taken = self.context.clock.monotonic() - began
        if params.read == "latency":
            return taken
        records = sorted(record.to_text() for record in answer)
        return float(len(records)) if params.read == "count" else ", ".join(records)[:_LONGEST]

    @property
    def _what(self) -> str:
        return f"{self.params.name} {self.params.type}{f' of {self.params.server}' if self.params.server else ''}"

    def _none(self, word: str, words: str) -> Value:
        if self.params.read == "latency":
            raise NoAnswer(f"{self._what}: {words}")
        return 0.0 if self.params.read == "count" else word

    def _must_be_theirs(self, errors: Sequence[tuple[object, ...]]) -> None:
        """Raises `NoReading` where all attempts failed on this machine."""
        failed = list(_raised(errors))
        if failed and len(failed) == len(errors) and all(map(is_own, failed)):
            raise NoReading(f"{self._what}: this machine cannot ask: {why(failed[-1])}")


def _raised(errors: Sequence[tuple[object, ...]]) -> Iterator[BaseException]:
    """The exceptions of dnspython's list of attempts: (server, tcp, port, what went wrong, answer)."""
    for attempt in errors:
        yield from (part for part in attempt if isinstance(part, BaseException))


def _last(error: object) -> str:
    """What the last attempt met, in words."""
    errors = getattr(error, "kwargs", {}).get("errors", ())
    if not errors:
        return ""
    met = errors[-1][3]
    return f": {why(met) if isinstance(met, OSError) else met}"
