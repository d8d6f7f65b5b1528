"""`chaosrunner serve`: answer other programs over HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from chaosrunner.cli import terms


@click.command(short_help="Answer other programs over HTTP: /metrics for Prometheus.")
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
@click.pass_obj
def command(settings: terms.Settings, host: str, port: int, token_file: Path | None) -> None:
    """Serve what the state folder knows, until Ctrl-C or SIGTERM. Changes nothing.

    \b
    GET /metrics   runs, verdicts, abort times, near misses by state and age, for Prometheus
    GET /healthz   whether it answers; the only thing that needs no token
    """
    from chaosrunner.app import serve

    terms.wait_for(serve(settings.state, host, port, token_file, lambda url: terms.say(f"serving {url}/metrics")))
