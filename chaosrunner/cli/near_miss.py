"""`chaosrunner near-miss`: what was found, how urgent it is, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaosrunner.cli import _learning, _pruning, _reporting, _waiving, terms

if TYPE_CHECKING:
    from datetime import date

    from chaosrunner.model.near_miss import NearMiss
    from chaosrunner.register.near_misses import Register, Wanted

_STATES = (
    "open",
    "triaged",
    "in-progress",
    "fix-ready",
    "verified",
    "needs-info",
    "waived",
    "rejected",
    "duplicate",
    "obsolete",
)
_ONLY_WITH = (
    ("--until", "until", ("waived",)),
    ("--by", "by", ("waived", "rejected")),
    ("--change", "change", ("fix-ready",)),
    ("--of", "original", ("duplicate",)),
    ("--as", "code", ("waived", "rejected")),
    ("--control", "controls", ("waived",)),
    ("--while", "conditions", ("waived",)),
    ("--restart-due", "restart", ("waived",)),
)
"""Options that would be passed over in silence with any other state."""
_PRIORITIES = ("P1", "P2", "P3", "P4")


@click.group()
def command() -> None:
    """Near misses: list and show them, and say what becomes of them.

    An id may be shortened: NM-2026-0007 is also 2026-7, or 7.
    """


for _more in (
    *(_reporting.report, _reporting.link, _reporting.uncovered, _reporting.describe, _reporting.split),
    *(_learning.stats, _learning.review, _learning.digest, _learning.fmea, _waiving.waive, _pruning.prune),
):
    command.add_command(_more)


@command.command("list", short_help="Those that somebody has to see to, most urgent first.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only in this state; repeatable.")
@click.option("--service", metavar="NAME", help="Only of this service.")
@click.option(
    "--priority",
    "priorities",
    multiple=True,
    type=click.Choice(_PRIORITIES, case_sensitive=False),
    metavar="P1…P4",
    help="Only of this priority; repeatable.",
)
@click.option("--owner", metavar="TEAM", help="Only of this team.")
@click.option("--kind", "kinds", multiple=True, metavar="GAP", help="Only of this kind of gap; repeatable.")
@click.option("--fault", metavar="CLASS", help="Only those that this class of faults showed.")
@click.option("--overdue", is_flag=True, help="Only those whose fix should be ready.")
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@click.option("--page", type=click.IntRange(min=1), default=1, metavar="N", help="Which page of --limit (default: 1).")
@click.option(
    "--all", "everything", is_flag=True, help="The closed ones too (verified, rejected, duplicate, obsolete)."
)
@terms.json_option
@click.pass_obj
def list_(settings: terms.Settings, /, everything: bool, as_json: bool, **asked: Any) -> None:
    """The near misses that somebody has to see to, the most urgent first."""
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.records.light import replace
    from chaosrunner.register import register_exists

    found: list[NearMiss] = []
    hidden = matching = 0
    if register_exists(settings.state):
        wanted = _wanted(asked, everything)
        with words.opened(settings.state) as register:
            found = register.list(wanted)
            matching = register.count(wanted) if asked["limit"] else len(found)
            if not asked["states"] and not everything and not asked["overdue"]:
                hidden = register.count(replace(wanted, closed=True)) - matching
    if as_json:
        terms.say_json([words.as_json(each) for each in found])
        return
    if found:
        for line in words.table(found):
            terms.say(line)
    else:
        terms.say("no near misses" + (" match" if hidden or _narrowed(asked) else " yet"))
    if matching > len(found) and found:
        terms.say(f"{len(found)} of {matching} are shown (--page {asked['page'] + 1} for more)")
    if hidden:
        terms.say(f"{hidden} closed {'one is' if hidden == 1 else 'ones are'} not shown (--all)")


def _narrowed(asked: dict[str, Any]) -> bool:
    return any(value for name, value in asked.items() if name != "page")


def _wanted(asked: dict[str, Any], everything: bool) -> Wanted:
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.errors import UsageError
    from chaosrunner.model.words import GapKind, Priority, State
    from chaosrunner.register.near_misses import Wanted

    if unknown := [kind for kind in asked["kinds"] if kind not in list(GapKind)]:
        raise UsageError(f"--kind is {unknown[0]!r}, expected one of {', '.join(GapKind)}")
    if asked["page"] > 1 and not asked["limit"]:
        raise UsageError("--page needs --limit: how many are a page?")
    return Wanted(
        states=frozenset(map(State, asked["states"])),
        service=asked["service"],
        priorities=frozenset(map(Priority, asked["priorities"])),
        closed=everything,
        owner=asked["owner"],
        kinds=frozenset(map(GapKind, asked["kinds"])),
        fault=asked["fault"],
        overdue=words.today() if asked["overdue"] else None,
        limit=asked["limit"],
        offset=(asked["page"] - 1) * (asked["limit"] or 0),
    )


@command.command(short_help="Everything about one: what happened, how urgent it is.")
@click.argument("near_miss", metavar="NM")
@terms.json_option
@click.pass_obj
def show(settings: terms.Settings, near_miss: str, as_json: bool) -> None:
    """Everything about one: what happened, how urgent and why, how to see it again, its item, its history."""
    from chaosrunner.cli import _near_misses as words

    with words.opened(settings.state) as register:
        record = register.show(near_miss)
    if as_json:
        terms.say_json(words.record_as_json(record))
        return
    for line in words.page(record):
        terms.say(line)


@command.command()
@click.argument("near_miss", metavar="NM")
@terms.json_option
@click.pass_obj
def history(settings: terms.Settings, near_miss: str, as_json: bool) -> None:
    """Every change of one: who, when, what and why."""
    from chaosrunner.cli import _near_misses as words

    with words.opened(settings.state) as register:
        record = register.show(near_miss)
    if as_json:
        terms.say_json([event.as_json() for event in record.history])
        return
    for line in words.history(record):
        terms.say(line.strip())


@command.command("set")
@click.argument("near_miss", metavar="NM")
@click.argument("state", type=click.Choice(_STATES), required=False, metavar="[STATE]")
@click.option("--reason", default="", metavar="TEXT", help="Why.")
@click.option("--by", metavar="NAME", help="Who accepts a waiver, or approves a rejection.")
@click.option("--until", metavar="DATE", help="End of a waiver: 2027-01-31.")
@click.option("--change", metavar="REF", help="What fixes it: a commit, a version, a link.")
@click.option("--of", "original", metavar="NM", help="Of which one it is a duplicate.")
@click.option("--as", "code", metavar="WHY", help="Of a rejection or waiver; see below.")
@click.option("--control", "controls", multiple=True, metavar="TEXT", help="What protects meanwhile; repeatable.")
@click.option(
    "--while", "conditions", multiple=True, metavar="HYPOTHESIS", help="A run that breaks it ends the waiver."
)
@click.option("--restart-due", "restart", is_flag=True, help="The time for the fix begins anew after the waiver.")
@click.option("--owner", metavar="TEAM", help="The team that sees to it.")
@click.option(
    "--priority",
    type=click.Choice((*_PRIORITIES, "computed"), case_sensitive=False),
    metavar="P1…P4",
    help="Set it by hand, with a reason; `computed` goes back.",
)
@terms.json_option
@click.pass_obj
def set_(settings: terms.Settings, /, near_miss: str, as_json: bool, **wishes: object) -> None:
    """Move one to another STATE, or set its owner or priority.

    \b
    triaged      somebody owns it (--owner)
    in-progress  somebody works on it
    fix-ready    the fix is in (--change); passing runs then verify it
    needs-info   something must be found out first (--reason)
    waived       accepted by somebody who neither owns it nor asks for it (--by, --until, --reason, --as
                 compensating-control|planned-replacement|accepted-design-limit|environment-only, --control)
    rejected     it is none (--reason, --as false-positive|experiment-defect|expected-behaviour|out-of-scope|
                 not-reproduced; for P1 and P2 also --by)
    duplicate    of another (--of, --reason)
    obsolete     what it is about is gone (--reason)
    open         begin again (--reason)

    Nobody but chaosrunner sets verified.
    """
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.errors import UsageError
    from chaosrunner.person import who

    if not any(wishes[name] for name in ("state", "owner", "priority")):
        raise UsageError("nothing to set: name a state, --owner or --priority")
    for option, name, states in _ONLY_WITH:
        if wishes[name] and wishes["state"] not in states:
            raise UsageError(f"{option} goes with {' or '.join(states)} only")
    with words.opened(settings.state) as register:
        after = _set(register, near_miss, who(), wishes)
    if as_json:
        terms.say_json(words.as_json(after))
        return
    state = words.state_in_words(after)
    article = "a " if after.duplicate_of else ""
    terms.say(f"{after.id} is {article}{state}, {after.priority}, owner {after.owner or 'nobody yet'}")


def _set(register: Register, id: str, actor: str, wishes: dict[str, object]) -> NearMiss:
    from chaosrunner.clock import SystemClock
    from chaosrunner.model.life_cycle import Change
    from chaosrunner.model.words import Priority, State

    until = _date(wishes["until"])
    reason, owner, priority = str(wishes["reason"]), wishes["owner"], wishes["priority"]
    after = register.get(id)
    if wishes["state"]:
        change = Change(
            to=State(str(wishes["state"])),
            actor=actor,
            at=SystemClock().now(),
            reason=reason,
            accepted_by=_text(wishes["by"]),
            until=until,
            **_codes(wishes),
            change=_text(wishes["change"]),
            duplicate_of=_text(wishes["original"]),
            owner=_text(owner),
        )
        after = register.change(after.id, change)
    elif owner:
        after = register.assign(after.id, str(owner), actor, reason)
    if priority:
        chosen = None if str(priority) == "computed" else Priority(str(priority))
        after = register.prioritise(after.id, chosen, actor, reason)
    return after


def _codes(wishes: dict[str, object]) -> dict[str, Any]:
    """What a waiver or a rejection says beside its reason."""
    from chaosrunner.errors import UsageError
    from chaosrunner.model.words import RejectedAs, WaivedAs

    kinds: dict[object, type[RejectedAs | WaivedAs]] = {"waived": WaivedAs, "rejected": RejectedAs}
    code, kind = wishes["code"], kinds.get(wishes["state"])
    try:
        chosen = None if code is None or kind is None else kind(str(code).lower())
    except ValueError:
        raise UsageError(f"--as is {str(code)!r}, expected one of {', '.join(kind or ())}") from None
    return {
        "waived_as": chosen if isinstance(chosen, WaivedAs) else None,
        "rejected_as": chosen if isinstance(chosen, RejectedAs) else None,
        "controls": wishes["controls"],
        "conditions": wishes["conditions"],
        "restart_due": wishes["restart"],
    }


def _date(value: object) -> date | None:
    from datetime import date

    from chaosrunner.errors import UsageError

    try:
        return None if value is None else date.fromisoformat(str(value))
    except ValueError:
        raise UsageError(f"--until is {str(value)!r}, expected a date such as 2027-01-31") from None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


@command.command()
@click.argument("near_miss", metavar="NM")
@click.argument("text")
@click.pass_obj
def note(settings: terms.Settings, near_miss: str, text: str) -> None:
    """Add a remark to its history."""
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.person import who

    with words.opened(settings.state) as register:
        after = register.add_note(near_miss, who(), text)
    terms.say(f"noted in the history of {after.id}")


@command.command(short_help="Write everything, to keep, to move or for other tools.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option(
    "--format",
    "form",
    type=click.Choice(("jsonl", "sarif", "openmetrics")),
    default="jsonl",
    show_default=True,
    help="SARIF has those that are not closed; OpenMetrics has figures.",
)
@click.option("--at", "where", default="", metavar="FILE", help="SARIF: a file of the repository to show results at.")
@click.pass_obj
def export(settings: terms.Settings, file: Path, form: str, where: str) -> None:
    """Write everything as JSON Lines, which `import` reads, to FILE or standard output; or as SARIF or OpenMetrics."""
    from chaosrunner.cli import _near_misses as words
    from chaosrunner.errors import UsageError

    with words.opened(settings.state) as register:
        parts = _exported(register, form, where)
        if str(file) == "-":
            for part in parts:
                terms.write(part)
            return
        try:
            with file.open("w", encoding="utf-8") as out:
                out.writelines(parts)
        except OSError as error:
            raise UsageError(f"cannot write {file}: {error.strerror}") from None


def _exported(register: Register, form: str, where: str) -> Iterator[str]:
    import json

    from chaosrunner.reports.openmetrics import openmetrics
    from chaosrunner.reports.sarif import sarif

    if form == "sarif":
        yield json.dumps(sarif(register.list(), where=where), indent=2, ensure_ascii=False) + "\n"
    elif form == "openmetrics":
        yield openmetrics(register.stats())
    else:
        yield from (f"{line}\n" for line in register.export())


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.pass_obj
def import_(settings: terms.Settings, file: Path) -> None:
    """Add everything of an export; what is there already is left."""
    import itertools

    from chaosrunner.clock import SystemClock
    from chaosrunner.errors import UsageError
    from chaosrunner.register import open_register

    try:
        with click.open_file(str(file), "r", encoding="utf-8") as lines:
            head = lines.readline()  # before a register is made for what is none
            with open_register(settings.state, SystemClock()) as register:
                added = register.load(itertools.chain([head], lines))
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no export of near misses: it is not UTF-8 text") from None
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    terms.say(f"{added} record{'' if added == 1 else 's'} added")
