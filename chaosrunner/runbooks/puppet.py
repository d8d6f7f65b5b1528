"""A runbook that is a Puppet manifest, or the catalogue that a Puppet server has for this machine.

Puppet's exit codes do not tell a check from drift: `--noop` ends with 0 whatever is pending, and without
`--detailed-exitcodes` a failed run ends with 0 too. What counts is the summary that each run writes
(`last_run_summary.yaml`), and the report with every resource. Both are asked for in places of their own: a run that
fails early writes none, and the last one's would be taken for it. Observed with Puppet 7.23.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chaosrunner import programs
from chaosrunner.errors import RunbookFailed, UsageError
from chaosrunner.model.marks import Field, model_validator
from chaosrunner.model.quantities import Duration
from chaosrunner.model.runbook import RunbookChange, RunbookSays
from chaosrunner.model.secret import SecretRef
from chaosrunner.ports import Parameters, Runbook

INSTALL = "install Puppet's agent (on Debian and Ubuntu the package puppet-agent)"
_SHOWN = 300
_CHECKSUM = re.compile(r"(\{\w+\}[0-9a-f]{8})[0-9a-f]{24,}")


class Params(Parameters):
    """What is applied; either a manifest, or what the Puppet server says."""

    manifest: str | None = None
    """A file of manifests, or a folder of them, for `puppet apply` on this machine."""
    agent: bool = False
    """Whether the catalogue of the Puppet server is applied to this machine instead, as `puppet agent` does."""
    modulepath: tuple[str, ...] = ()
    """Folders of modules; default: as Puppet's configuration says."""
    tags: tuple[str, ...] = ()
    """Only resources with these tags; default: all."""
    settings: dict[str, str] = {}
    """Puppet's own settings (`vardir: /var/tmp/puppet`), by their name; no secrets."""
    diff: bool = True
    """Whether what differs is shown line by line. Turn it off where files hold secrets that are not `Sensitive`."""
    env: dict[str, str | SecretRef] = {}
    """Variables of the environment added to chaosrunner's own; a value is text, or where a secret is: `{env: NAME}`."""
    timeout: Duration = Field(default=600.0, gt=0)
    """For the check and for applying, each; then it is stopped with everything that it started. Default 10m."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Params:
        if (self.manifest is None) != self.agent:
            raise ValueError("expected either `manifest`, or `agent: true`")
        return self


class Puppet(Runbook[Params]):
    """Applies a Puppet manifest, or a server's catalogue: first with `--noop`, then with `--no-noop`.

    What would change is read from the summary and the report that Puppet writes, resource by resource. A run without a
    summary, or with a failed resource, fails the check. While only checking `onlyif` and `unless` of an `exec` run all
    the same. Resources with `noop => true` of their own are left alone by an apply too, and are told.
    """

    example = "runbook: {puppet: {manifest: runbooks/limits.pp}}"

    @classmethod
    def does(cls, params: Params) -> str:
        return f"Applies {params.manifest or 'what the Puppet server says'} with Puppet."

    @classmethod
    def files(cls, params: Params) -> Sequence[str]:
        return (params.manifest,) if params.manifest else ()

    async def check(self) -> RunbookSays:
        return await self._run(check=True)

    async def apply(self) -> RunbookSays:
        return await self._run(check=False)

    async def _run(self, *, check: bool) -> RunbookSays:
        folder = programs.place(self.context.folder, None)
        manifest = programs.place(folder, self.params.manifest) if self.params.manifest else None
        if manifest is not None and not manifest.exists():
            raise UsageError(f"there is no manifest {manifest}")
        tool = programs.found(["puppet"], INSTALL)
        with tempfile.TemporaryDirectory(prefix="chaosrunner-puppet-") as own:
            summary, report = Path(own) / "summary.yaml", Path(own) / "report.yaml"
            words = [tool, *self._words(manifest, check), "--lastrunfile", str(summary), "--lastrunreport", str(report)]
            env = programs.variables(self.params.env, self.context.http.secret)
            program = programs.Program(
                [*words, *([str(manifest)] if manifest else [])], folder, env, self.params.timeout
            )
            ended = await programs.run(program, self.context.clock)
            written = [_read(path) for path in (summary, report)]
        return said(written[0], written[1], ended.code, ended.output, check=check)

    def _words(self, manifest: Path | None, check: bool) -> list[str]:
        params, folder = self.params, self.context.folder
        words = ["apply"] if manifest else ["agent", "--onetime", "--no-daemonize", "--no-splay"]
        # A catalogue of yesterday, where the server does not answer, is not what is asked about.
        words += [] if manifest else ["--no-usecacheonfailure", "--verbose"]
        words += ["--noop" if check else "--no-noop", "--detailed-exitcodes", "--color=false", "--logdest", "console"]
        words += ["--show_diff" if params.diff else "--no-show_diff"]
        if params.modulepath:
            places = (str(programs.place(folder, each)) for each in params.modulepath)
            words += ["--modulepath", ":".join(places)]
        if params.tags:
            words += ["--tags", ",".join(params.tags)]
        return words + [f"--{name}={value}" for name, value in params.settings.items()]


# ------------------------------------------------------------------------------------------------- what it wrote, pure


def said(
    summary: Mapping[str, Any] | None, report: Mapping[str, Any] | None, code: int, output: str, *, check: bool
) -> RunbookSays:
    """What a run did, or would do. Raises `RunbookFailed` where it did not come to its end, or a resource failed."""
    changes = tuple(_changes(report or {}, check))
    lines = () if check else tuple(each.line for each in changes)
    if summary is None:
        raise RunbookFailed(f"Puppet wrote no summary (exit code {code}): {_last_words(output)}", output, lines)
    resources, events = _counts(summary, "resources"), _counts(summary, "events")
    failed = sum(resources.get(name, 0) for name in ("failed", "failed_to_restart")) + events.get("failure", 0)
    if failed or code not in (0, 2):
        why = "; ".join(_failures(report or {})) or f"Puppet ended with {code}: {_last_words(output)}"
        raise RunbookFailed(why, output, lines)
    if check and (events.get("success") or resources.get("changed")):
        raise RunbookFailed("Puppet changed something although it was told to check only (--noop)", output)
    if "resources" not in summary:
        raise RunbookFailed(f"Puppet's summary counts no resources: {_last_words(output)}", output, lines)
    pending = resources.get("out_of_sync", 0) if check else 0
    if pending and not changes:
        changes = (RunbookChange(what=f"{pending} resources are not as they should be; the report does not name them"),)
    return RunbookSays(changes=changes, unknown=tuple(_left(report or {}, resources, check)), output=output)


def _counts(summary: Mapping[str, Any], name: str) -> Mapping[str, int]:
    counts = summary.get(name)
    return {key: value for key, value in counts.items() if isinstance(value, int)} if isinstance(counts, dict) else {}


def _events(report: Mapping[str, Any], status: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(resource, event) with this status."""
    statuses = report.get("resource_statuses")
    for name, resource in statuses.items() if isinstance(statuses, dict) else ():
        for event in resource.get("events") or ():
            if event.get("status") == status:
                yield str(name), event


def _changes(report: Mapping[str, Any], check: bool) -> Iterator[RunbookChange]:
    """One for each property of a resource. Where values are hashes, the diff says it better."""
    diffs = _diffs(report)
    for resource, event in _events(report, "noop" if check else "success"):
        about = str(event.get("property") or event.get("name") or "")
        message = " ".join(str(event.get("message") or "").split()).removesuffix(" (noop)")
        message = _CHECKSUM.sub(r"\1…", message)
        what = f"{resource} {about}: {message}" if about else f"{resource}: {message}"
        diff = next((diff for source, diff in diffs if source.endswith(f"/{resource}/{about}")), "")
        yield RunbookChange(what=what[:_SHOWN], diff=diff)


def _diffs(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(where, diff): Puppet logs a diff as a message of the property's, `/Stage[main]/Main/File[/etc/x]/content`."""
    logs = [(str(log.get("source") or ""), str(log.get("message") or "")) for log in report.get("logs") or ()]
    return [(source, message.strip("\n")) for source, message in logs if message.startswith("\n--- ")]


def _failures(report: Mapping[str, Any]) -> list[str]:
    return [
        f"{resource}: {' '.join(str(event.get('message') or 'failed').split())}"[:_SHOWN]
        for resource, event in _events(report, "failure")
    ]


def _left(report: Mapping[str, Any], resources: Mapping[str, int], check: bool) -> Iterator[str]:
    """What was not looked at, or left alone."""
    if skipped := resources.get("skipped", 0):
        yield f"{skipped} resources were skipped"
    if not check:
        for resource, _ in _events(report, "noop"):
            yield f"{resource} is left as it is: it says `noop` itself"


def _last_words(output: str) -> str:
    """The last error. Facter's are none: it complains of what it may not read, and goes on."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and "Facter:" not in line]
    wrong = [line.removeprefix("Error: ") for line in lines if line.startswith("Error:")]
    return (wrong or lines or ["it said nothing"])[-1][:_SHOWN]


def _read(path: Path) -> Mapping[str, Any] | None:
    """What a file of Puppet's says; None: there is none, or it says nothing."""
    try:
        return parsed(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return None


def parsed(text: str) -> Mapping[str, Any] | None:
    """YAML whose objects are Ruby's, as plain values. Nothing of it is executed or made an object."""
    import yaml

    class Plain(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml's where there is one
        """Takes objects of Ruby for what they hold."""

    def plain(loader: Any, suffix: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    Plain.add_multi_constructor("!ruby/", plain)
    try:
        found = yaml.load(text, Plain)
    except (yaml.YAMLError, ValueError):
        return None
    return found if isinstance(found, dict) else None
