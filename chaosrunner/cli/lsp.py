"""`chaosrunner lsp`: the language server that editors start."""

from __future__ import annotations

import click


@click.command("lsp", short_help="Help an editor: mistakes as you type, completion, hover, quick fixes.")
@click.option("--stdio", is_flag=True, help="Speak over standard input and output; it always does.")
def command(stdio: bool) -> None:
    """Speak the Language Server Protocol over standard input and output; editors start it, people do not.

    It needs `pip install chaosrunner[editor]`. Nothing is sent anywhere.
    """
    from chaosrunner.errors import UsageError

    try:
        from chaosrunner.language.server import serve
    except ImportError as missing:
        if (missing.name or "").partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        raise UsageError(f"{missing.name} is not installed, expected: pip install chaosrunner[editor]") from None
    serve()
