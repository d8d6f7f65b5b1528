"""A real MariaDB on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.debian import program
from tests.loopback import free_port

PASSWORD = "p:@ss/w0rd %41"


class MariadbServer:
    """One for a module of tests; made without a root password, with a user `boss` who may do everything."""

    def __init__(self) -> None:
        self._program = program("mariadbd", "mariadb-server")
        self.folder = Path(tempfile.mkdtemp(prefix="chaosrunner-mariadb-"))
        self.port = free_port()
        if os.getuid() == 0:
            shutil.chown(self.folder, "mysql", "mysql")
        self._whose = ["--user=mysql"] if os.getuid() == 0 else []
        install = program("mariadb-install-db", "mariadb-server")
        command = [install, "--no-defaults", f"--datadir={self._data}", "--skip-test-db", *self._whose]
        subprocess.run(command, check=True, capture_output=True, cwd="/")
        self._first = self.folder / "first.sql"
        self._first.write_text(
            f"CREATE OR REPLACE USER boss@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO boss@'127.0.0.1';\nCREATE DATABASE IF NOT EXISTS shop;\n"
        )
        self._first.chmod(0o644)
        self.start()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(self._program, "--no-defaults", f"--datadir={self._data}", f"--port={self.port}", *self._whose),
                    *("--bind-address=127.0.0.1", f"--socket={self.folder / 's'}", f"--pid-file={self.folder / 'pid'}"),
                    *(f"--init-file={self._first}", "--skip-name-resolve", "--innodb-buffer-pool-size=8M"),
                ],
                stdout=log,
                stderr=log,
                cwd="/",
            )
        deadline = time.monotonic() + 60
        while "ready for connections" not in (said := (self.folder / "log").read_text()):
            assert self._process.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)

    def remove(self) -> None:
        if self._process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)
