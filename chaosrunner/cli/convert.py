"""`chaosrunner convert`: a file of another tool in our format."""

from __future__ import annotations

from pathlib import Path

import click

from chaosrunner.cli import terms


@click.command("convert", short_help="Turn a file of Chaos Toolkit into one of chaosrunner's.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="FILE", help="Write there; default: standard output.")
@click.option(
    "-e", "--environment", metavar="NAME", help="The environment that it names; default: a stand-in is written."
)
@terms.json_option
def command(file: Path, output: str | None, environment: str | None, as_json: bool) -> None:
    """Turn FILE, an experiment of Chaos Toolkit (JSON or YAML), into one of chaosrunner's.

    What cannot be translated, or means something else now, stands as comments at the top, and is said on standard
    error. The result passes `chaosrunner check`. The JSON is `{text, remarks}`.
    """
    from chaosrunner.errors import UsageError
    from chaosrunner.interop.toolkit_convert import convert
    from chaosrunner.interop.toolkit_file import is_toolkit_file, read_json_or_yaml
    from chaosrunner.store.kept import write_file

    experiment = read_json_or_yaml(file)
    if not is_toolkit_file(file):
        raise UsageError(f"{file}: expected an experiment of Chaos Toolkit, with a `method` and no `apiVersion`")
    converted = convert(experiment, file.name, environment)
    if as_json:
        terms.say_json({"text": converted.text, "remarks": list(converted.remarks)})
    elif output in (None, "-"):
        terms.write(converted.text)
    else:
        terms.say(str(write_file(Path(str(output)), converted.text)))
    for remark in converted.remarks if not as_json else ():
        terms.warn(remark)
