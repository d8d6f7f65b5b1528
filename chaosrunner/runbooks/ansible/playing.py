"""A runbook that is an Ansible playbook, played by `ansible-playbook`, a process of its own."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from chaosrunner import programs
from chaosrunner.errors import RunbookFailed, UsageError
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration
from chaosrunner.model.runbook import RunbookSays
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Parameters, Runbook
from chaosrunner.runbooks.ansible.events import Event, changed, read_events, said

INSTALL = "pip install 'chaosrunner[ansible]', or put your own ansible-playbook on the PATH"


class Params(Parameters):
    """Which playbook, and on what."""

    playbook: str = Field(min_length=1)
    """Its file."""
    inventory: str | None = None
    """Its file or folder, or hosts with a comma (`web1,web2,`). Default: as Ansible's configuration says."""
    limit: str | None = None
    """Only these hosts or groups of it, as `--limit` takes them."""
    tags: tuple[str, ...] = ()
    """Only tasks with these tags; default: all."""
    vars: JsonObject = {}
    """Extra variables. No secrets: those come as `env`, or from a vault."""
    become: bool = False
    """Whether tasks run as root on the hosts (`--become`); default: as the playbook says."""
    vault_password_file: str | None = None
    """File with the vault's password, or a program that prints it."""
    diff: bool = True
    """Whether what differs is shown line by line. Turn it off where files hold secrets without `no_log`."""
    env: dict[str, str | SecretRef] = {}
    """Variables of the environment added to chaosrunner's own; a value is text, or where a secret is: `{env: NAME}`."""
    folder: str | None = None
    """Where it runs, and whose `ansible.cfg` counts; default: the playbook's folder."""
    timeout: Duration = Field(default=600.0, gt=0)
    """For the check and for applying, each; then it is stopped with everything that it started. Default 10m."""


class Ansible(Runbook[Params]):
    """Plays an Ansible playbook: first in check mode with `--diff`, then for real.

    What would change is read from Ansible's events, not from its exit code. A host out of reach, a task that fails and
    a playbook that meets no host fail the check. Tasks that Ansible does not run while checking (`command`, `shell`)
    are told as unknown. Tasks with `check_mode: false` do run while checking: keep them to reading.
    """

    example = "runbook: {ansible: {playbook: runbooks/timeouts.yaml, inventory: runbooks/hosts.ini, limit: checkout}}"

    @classmethod
    def does(cls, params: Params) -> str:
        on = f" on {params.limit}" if params.limit else ""
        return f"Plays {params.playbook} with Ansible{on}."

    @classmethod
    def files(cls, params: Params) -> Sequence[str]:
        return (params.playbook,)

    async def check(self) -> RunbookSays:
        return await self._play(check=True)

    async def apply(self) -> RunbookSays:
        return await self._play(check=False)

    async def _play(self, *, check: bool) -> RunbookSays:
        params, folder = self.params, self.context.folder
        playbook = programs.place(folder, params.playbook)
        if not playbook.is_file():
            raise UsageError(f"there is no playbook {playbook}")
        tool = programs.found(["ansible-playbook"], INSTALL)
        with tempfile.TemporaryDirectory(prefix="chaosrunner-ansible-") as own:
            events = Path(own) / "events.jsonl"
            events.touch()
            program = programs.Program(
                words=[tool, *self._words(playbook, Path(own), check)],
                folder=programs.place(folder, params.folder) if params.folder else playbook.parent,
                env=self._env(events),
                timeout=params.timeout,
            )
            try:
                ended = await programs.run(program, self.context.clock)
            except RunbookFailed as error:
                raise RunbookFailed(str(error), error.output, () if check else changed(_events(events))) from error
            told = _events(events)
        return said(told, ended.code, ended.output, check=check)

    def _words(self, playbook: Path, own: Path, check: bool) -> list[str]:
        params, folder = self.params, self.context.folder
        words = ["--diff"] if params.diff else []
        words += ["--check"] if check else []
        words += ["--become"] if params.become else []
        if params.inventory is not None:
            hosts = "," in params.inventory
            words += ["--inventory", params.inventory if hosts else str(programs.place(folder, params.inventory))]
        if params.limit is not None:
            words += ["--limit", params.limit]
        if params.tags:
            words += ["--tags", ",".join(params.tags)]
        if params.vars:  # in a file, as arguments can be seen by everybody on the machine
            (own / "vars.json").write_text(json.dumps(params.vars), encoding="utf-8")
            words += ["--extra-vars", f"@{own / 'vars.json'}"]
        if params.vault_password_file is not None:
            words += ["--vault-password-file", str(programs.place(folder, params.vault_password_file))]
        return [*words, "--", str(playbook)]

    def _env(self, events: Path) -> dict[str, str]:
        given = programs.variables(self.params.env, self.context.http.secret)
        ours = str(Path(__file__).parent / "listening")
        theirs = given.get("ANSIBLE_CALLBACK_PLUGINS") or os.environ.get("ANSIBLE_CALLBACK_PLUGINS", "")
        return {
            **_locale(),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_STDOUT_CALLBACK": "default",
            **given,
            "ANSIBLE_CALLBACK_PLUGINS": f"{ours}:{theirs}" if theirs else ours,
            "CHAOSRUNNER_EVENTS": str(events),
        }


def _events(file: Path) -> list[Event]:
    return read_events(file.read_text(encoding="utf-8", errors="replace"))


def _locale() -> dict[str, str]:
    """Ansible refuses to start without UTF-8, which is what a bare environment (cron) has none of."""
    said = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "")
    return {} if "utf" in said.lower() else {"LC_ALL": "C.UTF-8"}
