"""A real PostgreSQL on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.debian import program
from tests.loopback import free_port

PASSWORD = "p:@ss/w0rd %41"


class PostgresServer:
    """Made, started and stopped without waiting for anything in an event loop; one for a module of tests."""

    def __init__(self, certificate: str = "", key: str = "", connections: int = 10) -> None:
        self._connections = connections
        self._program = program("postgres", "postgresql")
        self._initdb = program("initdb", "postgresql")
        # Not below pytest's own folder, which other users may not enter: PostgreSQL refuses to run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="chaosrunner-postgres-"))
        self._user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        self.port = free_port()
        if self._user:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self._make()
        if certificate:
            self._use_tls(certificate, key)
        self.start()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        command = [
            self._initdb,
            "-D",
            str(self._data),
            "-U",
            "boss",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "-N",
        ]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self._user)

    def _use_tls(self, certificate: str, key: str) -> None:
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            shutil.copy(source, self._data / name)
            (self._data / name).chmod(0o600)
            if self._user:
                shutil.chown(self._data / name, "postgres", "postgres")
        with (self._data / "postgresql.conf").open("a") as file:
            file.write("ssl = on\n")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": str(self._connections),
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [self._program, "-D", str(self._data), "-p", str(self.port), *settings],
                stdout=log,
                stderr=log,
                cwd="/",
                **self._user,
            )
        deadline = time.monotonic() + 30
        while "ready to accept connections" not in self._log():
            assert self._process.poll() is None and time.monotonic() < deadline, self._log()
            time.sleep(0.02)

    def _log(self) -> str:
        return (self.folder / "log").read_text()

    def stop(self, how: int = signal.SIGINT) -> None:
        """Stop it at once: clients are disconnected."""
        self._process.send_signal(how)
        self._process.wait(30)
        (self.folder / "log").write_text("")

    def remove(self) -> None:
        if self._process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)
