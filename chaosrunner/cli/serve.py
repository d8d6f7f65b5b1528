"""`chaosrunner serve`: answer other programs over HTTP, and take in what they report."""

from __future__ import annotations

from pathlib import Path

import click

from chaosrunner.cli import terms


@click.command(short_help="Answer other programs over HTTP: metrics, and hooks for alerts.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; beyond this machine only with a token.",
)
@click.option("--port", default=9464, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option(
    "--token-file",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Who asks must know what stands in it (or in CHAOSRUNNER_SERVE_TOKEN): `Authorization: Bearer TOKEN`.",
)
@click.option(
    "-e",
    "--environment",
    "environments",
    multiple=True,
    metavar="NAME",
    help="Let those report near misses whom its `incoming` names; repeatable.",
)
@click.pass_obj
def command(
    settings: terms.Settings, host: str, port: int, token_file: Path | None, environments: tuple[str, ...]
) -> None:
    """Serve what the state folder knows, until Ctrl-C or SIGTERM; with -e, alerts and incidents become drafts.

    \b
    GET  /metrics              runs, verdicts, abort times, near misses by state and age, for Prometheus
    GET  /healthz              whether it answers; the only thing that anybody may ask
    POST /hooks/alertmanager   alerts that fire
    POST /hooks/pagerduty      incidents that are triggered
    POST /hooks/generic        reports as JSON

    The hooks have a token or a signature of their own, from the environment's file; the others ask for --token-file's.
    """
    from chaosrunner.app import Listening, serve

    where = Listening(host, port, token_file, environments)
    terms.wait_for(serve(settings.state, where, lambda url: terms.say(f"serving {url}")))
