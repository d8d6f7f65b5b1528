"""What the comparisons need: Chaos Toolkit in an environment of its own, haproxy and wrk from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.measuring import NotMeasured

CHAOS_VENV = Path(__file__).resolve().parents[1] / ".bench-venv"


@cache
def chaos() -> str:
    """The `chaos` command, installed into `.bench-venv` if it is not there yet."""
    command = CHAOS_VENV / "bin" / "chaos"
    if not command.exists():
        print(f"installing Chaos Toolkit into {CHAOS_VENV.name} (once)", file=sys.stderr)
        install = [str(CHAOS_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "chaostoolkit"]
        try:
            subprocess.run([sys.executable, "-m", "venv", str(CHAOS_VENV)], check=True, timeout=120)
            subprocess.run(install, check=True, timeout=600)
        except (subprocess.SubprocessError, OSError) as problem:
            raise NotMeasured(f"Chaos Toolkit cannot be installed: {problem}") from None
    return str(command)


@cache
def chaos_version() -> str:
    """`Chaos Toolkit 1.19.0`"""
    words = [chaos(), "--version"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, cwd=CHAOS_VENV).stdout
    return f"Chaos Toolkit {said.split()[-1]}"


def need(*programs: str) -> None:
    """Programs of Debian's packages of the same names, installed if this is root on a Debian."""
    absent = [program for program in programs if shutil.which(program) is None]
    if not absent:
        return
    by_hand = f"apt-get install {' '.join(absent)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NotMeasured(f"{' and '.join(absent)} not installed (Debian: {by_hand})")
    print(f"installing {' and '.join(absent)} from Debian's packages", file=sys.stderr)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *absent]
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(["apt-get", "update", "-qq"], check=True, timeout=300, env=quiet, stdout=subprocess.DEVNULL)
        subprocess.run(install, check=True, timeout=300, env=quiet, stdout=subprocess.DEVNULL)
    except (subprocess.SubprocessError, OSError) as problem:
        raise NotMeasured(f"{by_hand} failed: {problem}") from None
