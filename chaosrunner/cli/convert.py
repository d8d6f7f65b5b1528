"""`chaosrunner convert`: a file of another tool in our format."""

from __future__ import annotations

from pathlib import Path

import click

from chaosrunner.cli import terms

PEERS = ("chaos-toolkit", "litmus", "chaos-mesh", "krkn")


@click.command("convert", short_help="Turn a file of another chaos tool into one of chaosrunner's.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="FILE", help="Write there; default: standard output.")
@click.option(
    "-e", "--environment", metavar="NAME", help="The environment that it names; default: a stand-in is written."
)
@click.option("--from", "peer", type=click.Choice(PEERS), help="Which tool's it is; default: found out.")
@terms.json_option
def command(file: Path, output: str | None, environment: str | None, peer: str | None, as_json: bool) -> None:
    """Turn FILE into one of chaosrunner's: an experiment of Chaos Toolkit, a ChaosEngine of LitmusChaos, a resource of
    Chaos Mesh (a Schedule or Workflow, too), or a scenario of Krkn.

    What cannot be translated, or means something else now, stands as comments in its place and at the top, and is said
    on standard error. The result passes `chaosrunner check`. The JSON is `{text, remarks}`.
    """
    from typing import cast

    from chaosrunner.interop.peers import Peer, convert
    from chaosrunner.store.kept import write_file

    converted = convert(file, environment, cast("Peer | None", peer))
    if as_json:
        terms.say_json({"text": converted.text, "remarks": list(converted.remarks)})
    elif output in (None, "-"):
        terms.write(converted.text)
    else:
        terms.say(str(write_file(Path(str(output)), converted.text)))
    for remark in converted.remarks if not as_json else ():
        terms.warn(remark)
