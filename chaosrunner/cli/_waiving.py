"""`chaosrunner near-miss waive`: waivers from a file that is reviewed like code."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from chaosrunner.cli import terms


@click.command(short_help="Give the waivers that a file says.")
@click.option(
    "--from",
    "file",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="A list of waivers, YAML or JSON; `-` reads standard input.",
)
@click.option("--check", "only_look", is_flag=True, help="Change nothing; only say what would be.")
@terms.json_option
@click.pass_obj
def waive(settings: terms.Settings, file: Path, only_look: bool, as_json: bool) -> None:
    """Give the waivers of a file that lies beside the code and is reviewed like it. Those that stand are left, so it
    can be read before every gate. Exits 1 where one has expired or is refused; the others are given all the same. By
    hand, for one: `near-miss set NM waived`.

    \b
    - nearMiss: NM-2026-0007        (or fingerprint: sha256:...)
      until: 2027-01-31
      acceptedBy: bob
      requestedBy: ana
      reason: replaced in spring
      as: planned-replacement
      controls: [a daily look]
    """
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import UsageError
    from chaosrunner.stages.waiving import read_waivers
    from chaosrunner.stages.waiving import waive as give

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    waivers = read_waivers(data, str(file))
    with words.opened(settings.state) as register:
        done = give(register, waivers, SystemClock(), only_look=only_look)
    if as_json:
        terms.say_json(
            [
                {"where": each.where, "nearMiss": each.near_miss, "fate": each.fate.value, "words": each.words}
                for each in done
            ]
        )
    else:
        for each in done:
            word = "would be waived" if only_look and each.fate.value == "waived" else each.fate.value
            terms.say(f"{each.where}: {each.near_miss} {word}: {each.words}")
        if not done:
            terms.say("the file has no waivers")
    terms.leave(1 if any(each.fate.wrong for each in done) else 0)
