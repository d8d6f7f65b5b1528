"""A probe that looks at a server's certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from chaosrunner.errors import NoAnswer, NoReading
from chaosrunner.http import is_own, why
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.ports import Parameters, Probe, Value

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_DAY = 86400.0


class Params(Parameters):
    """Whose certificate, and what of it."""

    host: str = Field(min_length=1)
    """Name or address."""
    port: int = Field(default=443, ge=1, le=65535)
    """TCP port; default 443. TLS must begin with the connection."""
    server_name: str | None = None
    """The name that is asked for (SNI) and that the certificate must have; default: `host`."""
    read: Literal["days", "chain"] = "days"
    """`days`: until the server's certificate expires, with fractions; below 0 once it has; whether it is trusted plays
    no part. `chain`: `ok`, or what is wrong with the certificate or its chain, in OpenSSL's words. Default days."""
    ca_file: str | None = None
    """With `read: chain`: a private CA, PEM; the only one that is then trusted."""
    client_cert: str | None = None
    """A certificate of our own for servers that ask for one (mTLS), PEM."""
    client_key: str | None = None
    """Its key, PEM, without a pass phrase; default: it is in `clientCert`."""
    timeout: Duration = Field(default=5.0, gt=0)
    """Until TLS stands; default 5s."""

    @model_validator(mode="after")
    def _fits(self) -> Params:
        if self.ca_file is not None and self.read != "chain":
            raise ValueError("caFile goes with `read: chain`: days are read without trusting anyone")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("clientKey goes with clientCert")
        return self


class TlsExpiry(Probe[Params]):
    """Connects with TLS and reads how many days the server's certificate has left, or whether its chain is in order.

    An expired certificate, another name, a missing intermediate or an authority that is not known are answers: that is
    what is read. Refused, reset, no TLS, no such name, or too late is *no answer*. Where this machine itself cannot
    connect, or the certificate cannot be understood, there is *no reading*.
    """

    example = "tls-expiry: {host: shop.example.com, read: days}"
    answers = True

    _context: ssl.SSLContext | None = None

    @classmethod
    def unit(cls, params: Params) -> str | None:
        return "d" if params.read == "days" else None

    async def open(self) -> None:
        context = self.context.http.trust(self.params)
        if self.params.read == "days":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._context = context

    async def read(self) -> Value:
        if self._context is None:
            await self.open()
        assert self._context is not None
        params, where = self.params, f"{self.params.host}:{self.params.port}"
        try:
            async with asyncio.timeout(params.timeout):
                _, writer = await asyncio.open_connection(
                    params.host, params.port, ssl=self._context, server_hostname=params.server_name or params.host
                )
        except TimeoutError as error:
            raise NoAnswer(f"{where}: no TLS within {params.timeout:g} s") from error
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except (OSError, UnicodeError) as error:
            if is_own(error):
                raise NoReading(f"{where}: {why(error)}") from error
            raise NoAnswer(f"{where}: {why(error)}") from error
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()  # nothing is to be said; a server that never closes must not hold us up
        with suppress(OSError):
            await writer.wait_closed()
        if params.read == "chain":
            return "ok"
        try:
            return (not_after(certificate) - self.context.clock.now()) / _DAY
        except (ValueError, IndexError, TypeError) as error:
            raise NoReading(f"{where}: the certificate cannot be understood: {error}") from error


def not_after(certificate: bytes) -> float:
    """When a certificate (DER) expires, in seconds since the epoch.

    Of RFC 5280, 4.1: the first part of the certificate holds, in this order, a version (or none), serial number,
    algorithm, issuer, and the validity with its two times. Python tells this only of certificates that it trusts.
    """
    ((_, whole),) = _parts(certificate)
    signed = [part for part in _parts(next(_parts(whole))[1]) if part[0] != _VERSION]
    tag, validity = signed[3]
    if tag != _SEQUENCE:
        raise ValueError("its validity is not where it should be")
    kind, text = list(_parts(validity))[1]
    digits = text.decode("ascii")
    if kind == _UTC_TIME:  # two digits of the year: 50 to 99 are of the last century (RFC 5280, 4.1.2.5.1)
        digits = f"{'19' if digits[:2] >= '50' else '20'}{digits}"
    elif kind != _GENERALIZED_TIME:
        raise ValueError("its end is no time")
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of the elements that follow each other in DER."""
    at = 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length >= 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(content[at : at + size], "big"), at + size
        if at + length > len(content):
            raise ValueError("it is cut short")
        yield tag, content[at : at + length]
        at += length
