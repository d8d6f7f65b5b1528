"""A runbook that is a run of Chef Infra Client, or of Cinc Client, which is the same without Chef's licence.

Written from their documented behaviour and the shape of their `doc` output; chaosrunner has not been run against a real
one. Chef itself warns of why-run: it assumes that earlier resources did what they would have done, and guards
(`only_if`, `not_if`) run for real.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from chaosrunner import programs
from chaosrunner.errors import RunbookFailed, UsageError
from chaosrunner.model.frozen import JsonObject
from chaosrunner.model.marks import Field
from chaosrunner.model.quantities import Duration
from chaosrunner.model.runbook import RunbookChange, RunbookSays
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Parameters, Runbook

INSTALL = "install Chef Infra Client, or Cinc Client from https://cinc.sh"
_SHOWN = 300
_RESOURCE = re.compile(r"^(?P<indent>\s*)\* (?P<name>\S+\[.*\] action \S+)(?P<rest>.*)$")
_FINISHED = re.compile(
    r"^\S.* finished, (?P<updated>\d+)/(?P<total>\d+) resources (?P<how>would have been updated|updated)"
)
_FAILED = re.compile(r"^\S.* failed\. \d+ resources ")
_ASSUMED = re.compile(r"assum", re.IGNORECASE)
_NOT_SUPPORTED = re.compile(r"why-?run not supported", re.IGNORECASE)


class Params(Parameters):
    """What is converged."""

    runlist: str | None = None
    """The run list (`recipe[limits]`) instead of the node's own (`--override-runlist`)."""
    local: bool = False
    """Whether cookbooks are in a folder here and no Chef server takes part (`--local-mode`)."""
    folder: str | None = None
    """Where it runs: in local mode the folder with `cookbooks/`. Default: the experiment's folder."""
    config: str | None = None
    """Its configuration file; default: its own (`/etc/chef/client.rb`)."""
    attributes: JsonObject = {}
    """Attributes of the node (`--json-attributes`). No secrets."""
    env: dict[str, str | SecretRef] = {}
    """Variables of the environment added to chaosrunner's own; a value is text, or where a secret is: `{env: NAME}`."""
    timeout: Duration = Field(default=900.0, gt=0)
    """For the check and for applying, each; then it is stopped with everything that it started. Default 15m."""


class Chef(Runbook[Params]):
    """Converges this machine with `chef-client` or `cinc-client`: first with `--why-run`, then for real.

    What would change is read from the output, resource by resource, and held against the number that it ends with. What
    why-run assumes, or cannot ask of a resource, is told as unknown. It is written from the documented behaviour, and
    was not tried against a real one: look at what `--check` says before you rely on it.
    """

    example = "runbook: {chef: {local: true, folder: runbooks/chef, runlist: 'recipe[limits]'}}"

    @classmethod
    def does(cls, params: Params) -> str:
        return f"Converges {params.runlist or 'the run list of the node'} with Chef."

    @classmethod
    def files(cls, params: Params) -> Sequence[str]:
        return (params.folder,) if params.folder else ()

    async def check(self) -> RunbookSays:
        return await self._run(check=True)

    async def apply(self) -> RunbookSays:
        return await self._run(check=False)

    async def _run(self, *, check: bool) -> RunbookSays:
        params, start = self.params, self.context.folder
        folder = programs.place(start, params.folder)
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
        tool = programs.found(["cinc-client", "chef-client"], INSTALL)
        words = [tool, "--format", "doc", "--no-color", "--force-formatter", "--no-fork", "--once"]
        words += ["--why-run"] if check else []
        words += ["--local-mode"] if params.local else []
        words += ["--config", str(programs.place(start, params.config))] if params.config else []
        words += ["--override-runlist", params.runlist] if params.runlist else []
        env = programs.variables(params.env, self.context.http.secret)
        with tempfile.TemporaryDirectory(prefix="chaosrunner-chef-") as own:
            if params.attributes:
                (Path(own) / "node.json").write_text(json.dumps(params.attributes), encoding="utf-8")
                words += ["--json-attributes", str(Path(own) / "node.json")]
            ended = await programs.run(programs.Program(words, folder, env, params.timeout), self.context.clock)
        return said(ended.output, ended.code, check=check)


# ---------------------------------------------------------------------------------------------- what it printed, pure


def said(output: str, code: int, *, check: bool) -> RunbookSays:
    """What a run did, or would do. Raises `RunbookFailed` where it did not come to its end, or says nothing certain."""
    lines = output.splitlines()
    changes = tuple(_changes(lines, check))
    done = () if check else tuple(each.line for each in changes)
    ended = next((found for line in reversed(lines) if (found := _FINISHED.match(line))), None)
    if code != 0 or ended is None or any(_FAILED.match(line) for line in lines):
        raise RunbookFailed(f"Chef ended with {code}: {_last_words(lines)}", output, done)
    for_real = ended["how"] == "updated"
    if for_real == check:
        mode = "for real, and was to be checked only" if check else "in why-run mode, and was to be applied"
        raise RunbookFailed(f"Chef ran {mode}: does its configuration say so?", output, done)
    if int(ended["total"]) == 0:
        raise RunbookFailed("Chef looked at no resource: the run list is empty", output)
    unread = int(ended["updated"]) - len(changes)
    if unread > 0 and not changes:
        changes = (RunbookChange(what=f"{unread} resources, which are not to be read from the output"),)
    return RunbookSays(changes=changes, unknown=tuple(dict.fromkeys(_unknown(lines))), output=output)


def _changes(lines: Sequence[str], check: bool) -> Iterator[RunbookChange]:
    """A resource with the lines that say what about it changes; what differs stands below them."""
    would = "- Would " if check else "- "
    name = ""
    said: list[str] = []
    diff: list[str] = []
    for line in [*lines, "* end[] action none"]:
        resource, text = _RESOURCE.match(line), line.strip()
        if resource or _FINISHED.match(line) or line.startswith(("Recipe:", "Running handlers")):
            if name and said:
                yield RunbookChange(what=f"{name}: {'; '.join(said)}"[:_SHOWN], diff="\n".join(diff))
            name, said, diff = resource["name"] if resource else "", [], []
        elif name and text.startswith(would) and not text.startswith("- Progress"):
            said.append(text.removeprefix("- "))
        elif name and said and text.startswith(("---", "+++", "@@", "+", "-", "\\")):
            diff.append(text)


def _unknown(lines: Sequence[str]) -> Iterator[str]:
    name = ""
    for line in lines:
        if resource := _RESOURCE.match(line):
            name = resource["name"]
        text = line.strip()
        if _NOT_SUPPORTED.search(text):
            yield f"{name}: cannot be asked in why-run mode" if resource else text.removeprefix("* ")[:_SHOWN]
        elif text.startswith("* ") and _ASSUMED.search(text):
            yield f"{name}: {text.removeprefix('* ')}"[:_SHOWN]


def _last_words(lines: Sequence[str]) -> str:
    said = [line.strip() for line in lines if line.strip() and set(line.strip()) != {"="}]
    wrong = [line for line in said if line.startswith(("FATAL", "ERROR", "Error executing")) or "] FATAL: " in line]
    return (wrong or said or ["it said nothing"])[-1][:_SHOWN]
