"""A private authority that issues certificates for 127.0.0.1 and localhost, with the openssl program."""

from __future__ import annotations

import subprocess
from pathlib import Path


def _openssl(folder: Path, *words: str, text: str = "") -> str:
    done = subprocess.run(["openssl", *words], cwd=folder, input=text, capture_output=True, text=True, check=True)
    return done.stdout


class Authority:
    """`ca.pem` in a folder, and what it issues there: `NAME.pem` and `NAME.key`."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.name = name
        self.certificate = str(folder / f"{name}.pem")
        self._new_key(name)
        _openssl(
            folder,
            *("req", "-x509", "-new", "-key", f"{name}.key", "-out", f"{name}.pem"),
            *("-subj", f"/CN=authority {name}", "-days", "3650"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def _new_key(self, name: str) -> None:
        _openssl(self.folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    def issue(
        self, name: str, *, begins: str = "", ends: str = "", hosts: str = "IP:127.0.0.1,DNS:localhost"
    ) -> tuple[str, str]:
        """Paths of a certificate and its key. `begins` and `ends` as `20260101000000Z`; default: a year from now."""
        self._new_key(name)
        _openssl(self.folder, "req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (self.folder / "index.txt").write_text("")
        (self.folder / "issue.cnf").write_text(
            "[ca]\ndefault_ca=this\n[this]\ndatabase=index.txt\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\n"
            f"rand_serial=yes\n[any]\ncommonName=supplied\n[leaf]\nsubjectAltName={hosts}\n"
            "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
        )
        times = [*(("-startdate", begins) if begins else ()), *(("-enddate", ends) if ends else ("-days", "365"))]
        _openssl(
            self.folder,
            *("ca", "-batch", "-notext", "-config", "issue.cnf", "-extensions", "leaf", *times),
            *("-cert", f"{self.name}.pem", "-keyfile", f"{self.name}.key", "-in", f"{name}.csr", "-out", f"{name}.pem"),
        )
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")

    def lock(self, key: str, locked: str) -> None:
        """A copy of a key behind a pass phrase."""
        _openssl(self.folder, "ec", "-in", key, "-out", locked, "-aes256", "-passout", "pass:something")

    def together(self, name: str, *paths: str) -> str:
        """One file that holds these."""
        (self.folder / name).write_text("".join(Path(path).read_text() for path in paths))
        return str(self.folder / name)
