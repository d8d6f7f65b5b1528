"""`chaosrunner completion`: what makes a shell complete commands and names."""

from __future__ import annotations

import click

from chaosrunner.cli import terms

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Print what makes your shell complete commands and names.")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def command(shell: str | None) -> None:
    """Print the script that makes SHELL complete commands, options and names: experiments, environments, runs, near
    misses, services, plugins, rules. Without SHELL: the one that you use.

    \b
    bash   chaosrunner completion bash > ~/.local/share/bash-completion/completions/chaosrunner
    zsh    chaosrunner completion zsh > "${fpath[1]}/_chaosrunner"
    fish   chaosrunner completion fish > ~/.config/fish/completions/chaosrunner.fish
    """
    from click.shell_completion import get_completion_class

    from chaosrunner.cli import chaosrunner
    from chaosrunner.cli._completing import VARIABLE
    from chaosrunner.errors import UsageError

    name = shell or _own()
    found = get_completion_class(name)
    if name not in SHELLS or found is None:
        raise UsageError(f"there is no completion for the shell {name!r}, expected one of {', '.join(SHELLS)}")
    script = found(chaosrunner, {}, "chaosrunner", VARIABLE)
    terms.write(f"{(script.source_template % script.source_vars()).strip()}\n")


def _own() -> str:
    import os
    from pathlib import Path

    return Path(os.environ.get("SHELL", "")).name or "bash"
