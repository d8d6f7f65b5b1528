"""`chaosrunner schema`: what editors need to help with files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from chaosrunner.cli import terms

ANSWER = "gate"
"""Not a kind of file: what a gate answers."""


@click.command("schema", short_help="Print the JSON Schema of the files, for editors.")
@click.argument("kind", required=False)
@click.option(
    "--write", "folder", metavar="DIR", help="Write one file for each kind, and one for all, into this folder."
)
def command(kind: str | None, folder: str | None) -> None:
    """Print the JSON Schema of the files, with all plugins that are installed.

    KIND is Experiment, Hypothesis, Environment or Suite; without it the schema fits all of them. In an editor with YAML
    support, the first line of a file names it: `# yaml-language-server: $schema=chaosrunner.json`

    KIND `gate` is the schema of what `chaosrunner gate --json` prints.
    """
    from chaosrunner.errors import UsageError
    from chaosrunner.files.documents import KINDS
    from chaosrunner.files.schema import schema
    from chaosrunner.files.validation import nearest

    if kind == ANSWER and folder is None:
        from chaosrunner.reports.gate_outputs import schema as of_answer

        terms.say_json(of_answer())
        return
    if kind is not None:
        known = {name.lower(): name for name in KINDS}
        if kind.lower() not in known:
            near = nearest(kind, list(KINDS))
            hint = f"did you mean {near!r}?" if near else f"expected one of {', '.join(KINDS)}"
            raise UsageError(f"unknown kind {kind!r}, {hint}")
        kind = known[kind.lower()]
    if folder is None:
        terms.say_json(schema(kind))
        return
    for name in [kind] if kind else [None, *KINDS]:
        path = Path(folder) / f"{(name or 'chaosrunner').lower()}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from None
        terms.say(f"wrote {path}")
