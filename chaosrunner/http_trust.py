"""Whom a TLS connection trusts, and who it says that we are. Part of the HTTP seam."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chaosrunner.errors import UsageError

if TYPE_CHECKING:
    import ssl


class Papers(Protocol):
    """What a request, or the settings of a service, say of certificates; paths of PEM files."""

    @property
    def ca_file(self) -> str | None:
        """The only authority that is trusted; None: the machine's own."""

    @property
    def client_cert(self) -> str | None:
        """Ours."""

    @property
    def client_key(self) -> str | None:
        """Its key; None: it is in the same file."""


def trust(folder: Path, environ: Mapping[str, str], papers: Papers) -> ssl.SSLContext:
    """A context for connections. Raises `UsageError` for files that cannot be used."""
    context = _authorities(folder, environ, papers.ca_file)
    if papers.client_cert is not None:
        certificate = folder / Path(papers.client_cert).expanduser()
        key = None if papers.client_key is None else folder / Path(papers.client_key).expanduser()
        _show(context, certificate, key)
    return context


def trust_nobody() -> ssl.SSLContext:
    """For plain HTTP, which needs no authorities: loading them would cost 20 ms."""
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _authorities(folder: Path, environ: Mapping[str, str], ca_file: str | None) -> ssl.SSLContext:
    import ssl

    if ca_file is None:
        context = ssl.create_default_context()  # honours SSL_CERT_FILE and SSL_CERT_DIR
        if not (environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR")):
            import certifi

            context.load_verify_locations(certifi.where())  # for machines without authorities of their own
        return context
    path = folder / Path(ca_file).expanduser()
    try:
        return ssl.create_default_context(cafile=str(path))
    except OSError as error:  # an SSLError is one: the file is there and no PEM
        why = "it holds no certificate (PEM)" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(f"the CA file {path} cannot be used: {why}") from None


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """A key with a pass phrase is refused, where OpenSSL would ask the terminal."""
    import ssl

    places = f"{certificate}" if key is None else f"{certificate} with the key {key}"
    for path in (certificate, key):
        if path is not None and not path.is_file():
            raise UsageError(f"the client certificate {places} cannot be used: there is no file {path}")
    try:
        context.load_cert_chain(certificate, key, password=_no_pass_phrase)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) and error.reason else str(error)
        raise UsageError(f"the client certificate {places} cannot be used: {reason}") from None


def _no_pass_phrase() -> str:
    raise ValueError("its key has a pass phrase, expected one without")
