"""`chaosrunner init`: a first environment, hypotheses and experiments, out of what is there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chaosrunner.cli import terms

if TYPE_CHECKING:
    from chaosrunner.beginning.credentials import Credentials
    from chaosrunner.beginning.look import Wanted
    from chaosrunner.beginning.writing import Written


@click.command("init", short_help="Write first files, out of what is there.")
@click.option("--kubeconfig", metavar="FILE", default="", help="Default: $KUBECONFIG, ~/.kube/config.")
@click.option("--context", metavar="NAME", default="", help="A context of the kubeconfig; default: its current one.")
@click.option("--namespace", "namespaces", metavar="NAME", multiple=True, help="Look at this namespace of the cluster.")
@click.option("--prometheus", metavar="URL", default="", help="Look at the metrics and rules of this Prometheus.")
@click.option("--prometheus-token", metavar="REF", default="", help="Its bearer token: env:NAME or file:PATH.")
@click.option("--prometheus-user", metavar="NAME", default="", help="Its user, for basic authentication.")
@click.option("--prometheus-password", metavar="REF", default="", help="That user's password: env:NAME or file:PATH.")
@click.option("--prometheus-ca", metavar="FILE", default="", help="Its private CA, PEM.")
@click.option("--prometheus-cert", metavar="FILE", default="", help="A client certificate for it, PEM.")
@click.option("--prometheus-key", metavar="FILE", default="", help="That certificate's key, PEM.")
@click.option(
    "--prometheus-header",
    "prometheus_headers",
    metavar="NAME=VALUE",
    multiple=True,
    help="A header, such as a tenant's.",
)
@click.option("--compose", metavar="FILE", default="", help="Look at the services of this Compose file.")
@click.option("--openslo", metavar="FILE", multiple=True, help="Take over the objectives of this OpenSLO file.")
@click.option("--name", metavar="NAME", default="", help="What to call the environment; default: after what was found.")
@click.option("--opt-in", metavar="LABEL=VALUE", default="", help="Only pods that carry this label are ever acted on.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@terms.json_option
def command(**given: object) -> None:
    """Look at what is there and write an environment, hypotheses and a first set of experiments, each with a comment on
    why. They pass `check`, and `plan` shows what each would do. Nothing is touched, and no file is written over.

    A cluster or a Prometheus is asked only if you name it, or agree when you are asked. Compose and OpenSLO files of
    this folder are read by themselves.

    A secret is only ever named: `env:NAME` is an environment variable, `file:PATH` a file. It is used while Prometheus
    is asked, and the environment that is written names the same place. Where none is named, PROM_TOKEN, or PROM_USER
    and PROM_PASSWORD, count if they are set; and PROM_CA_FILE.
    """
    from chaosrunner.beginning.first_files import proposal
    from chaosrunner.beginning.look import is_free, look
    from chaosrunner.beginning.writing import write
    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import UsageError
    from chaosrunner.model.surroundings import file_name

    as_json, dry_run = bool(given.pop("as_json")), bool(given.pop("dry_run"))
    name, opt_in = str(given.pop("name")), str(given.pop("opt_in"))
    if opt_in and "=" not in opt_in:
        raise UsageError(f"--opt-in {opt_in}: expected LABEL=VALUE")
    credentials = _credentials(given)
    wanted = _wanted(given, credentials, ask=sys.stdin.isatty() and not as_json)
    found = terms.wait_for(look(wanted, Path(), SystemClock()))
    called = file_name(name) or file_name(wanted.context or "") or ("staging" if wanted.cluster else "laptop")
    if name and called != name:
        raise UsageError(
            f"--name {name}: expected lower case letters, digits and dashes, such as {called or 'staging'}"
        )
    written = write(proposal(found, called, opt_in, is_free), Path(), wanted.openslo, dry_run=dry_run)
    if as_json:
        terms.say_json(
            {
                "dryRun": dry_run,
                "files": [{"path": file.path, "why": file.why, "text": file.text} for file in written.new],
                "existing": list(written.existing),
                "leftOut": list(written.left_out),
            }
        )
    else:
        _tell(written, called, dry_run)


def _credentials(given: dict[str, object]) -> Credentials:
    """Takes out of what was given as whom to ask a Prometheus."""
    from chaosrunner.beginning.credentials import Credentials

    texts = {name: given.pop(f"prometheus_{name}") for name in Credentials._fields}
    return Credentials(**texts)  # type: ignore[arg-type]  # click has checked them


def _wanted(given: dict[str, object], credentials: Credentials, *, ask: bool) -> Wanted:
    """What was said, what lies here, and what a person agrees to."""
    from chaosrunner.beginning.credentials import Credentials
    from chaosrunner.beginning.look import Wanted, chosen_context, compose_here, openslo_here
    from chaosrunner.errors import UsageError

    cluster = any(given[name] for name in ("kubeconfig", "context", "namespaces"))
    wanted = Wanted(cluster=cluster, **given)  # type: ignore[arg-type]  # click has checked them
    if not wanted.cluster and not wanted.compose:
        wanted = wanted._replace(compose=compose_here(Path()))
    if not wanted.openslo:
        wanted = wanted._replace(openslo=tuple(openslo_here(Path())))
    if ask:
        wanted = asked(wanted)
    elif wanted.cluster and not wanted.namespaces:
        wanted = _its_own_namespace(wanted)
    if wanted.cluster:
        wanted = wanted._replace(context=chosen_context(wanted))
    if wanted == Wanted():
        raise UsageError(
            "there is nothing to look at: name a cluster (--namespace), a Prometheus (--prometheus), a Compose file"
            f" (--compose) or OpenSLO files (--openslo){_known_contexts()}"
        )
    if credentials != Credentials() and not wanted.prometheus:
        raise UsageError("what belongs to a Prometheus goes with --prometheus URL")
    return wanted._replace(credentials=credentials)


def _known_contexts() -> str:
    """What a kubeconfig would offer, for people."""
    from chaosrunner.beginning.look import contexts

    _, known = contexts("")
    names = ", ".join(one.name for one in known[:10])
    return f"; contexts of the kubeconfig: {names}" if names else ""


def _its_own_namespace(wanted: Wanted) -> Wanted:
    from chaosrunner.beginning.look import contexts

    current, known = contexts(wanted.kubeconfig)
    own = next((one.namespace for one in known if one.name == (wanted.context or current)), "")
    return wanted._replace(namespaces=(own,) if own else ())


def asked(wanted: Wanted) -> Wanted:
    """Ask for what was not said; nobody is asked anything over the network before a yes."""
    from chaosrunner.beginning.look import contexts

    _, known = contexts(wanted.kubeconfig)
    if not wanted.cluster and not wanted.compose and known:
        wanted = _asked_context(wanted)
    if wanted.cluster and not wanted.namespaces:
        own = _its_own_namespace(wanted).namespaces
        told = click.prompt("Which namespaces of it (nothing outside is ever touched)", default=" ".join(own) or None)
        wanted = wanted._replace(namespaces=tuple(str(told).replace(",", " ").split()))
    if not wanted.prometheus:
        url = click.prompt("URL of a Prometheus to look at (empty: none)", default="", show_default=False)
        wanted = wanted._replace(prometheus=str(url).strip())
    return wanted


def _asked_context(wanted: Wanted) -> Wanted:
    from chaosrunner.beginning.look import contexts

    current, known = contexts(wanted.kubeconfig)
    if len(known) == 1:
        agreed = click.confirm(
            f"Look at the cluster of the context {known[0].name} ({known[0].server})?", default=False
        )
        return wanted._replace(cluster=True, context=known[0].name) if agreed else wanted
    terms.say("Contexts of the kubeconfig:")
    for one in known:
        terms.say(f"  {one.name} ({one.server}){', the current one' if one.name == current else ''}")
    names = click.Choice(["", *(one.name for one in known)])
    told = click.prompt("Look at the cluster of which context (empty: none)", "", type=names, show_choices=False)
    return wanted._replace(cluster=bool(told), context=str(told))


def _tell(written: Written, environment: str, dry_run: bool) -> None:
    for file in written.new:
        terms.say(f"{'would write' if dry_run else 'wrote'} {file.path}: {file.why}")
        if dry_run:
            terms.say("\n".join(f"    {line}" for line in file.text.splitlines()))
    for path in written.existing:
        terms.say(f"left alone {path}: it is there already")
    if written.left_out:
        if written.new or written.existing:
            terms.say()
        terms.say("Nothing was written for")
        terms.say("\n".join(f"  {line}" for line in written.left_out))
    first = next((file.path for file in written.new if file.path.startswith("experiments/")), "")
    links = any(file.path.startswith("environments/") and "\n      links:\n" in file.text for file in written.new)
    if first and not dry_run:
        terms.say("\nNext")
        lines = (
            (f"chaosrunner doctor {environment}", "what is missing before anything is tried"),
            ("chaosrunner check", "whether all files are right"),
            *([(f"chaosrunner local up {environment}", "start the links that network faults act on")] if links else []),
            (f"chaosrunner plan {first}", "what a run would do; it touches nothing"),
        )
        width = max(len(line) for line, _ in lines)
        terms.say("\n".join(f"  {line:{width}}   {what}" for line, what in lines))
