"""The parts of the HTML report that are words and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chaosrunner.model.quantities import show
from chaosrunner.model.verdict import MeasureVerdict, PhaseVerdict, Verdict
from chaosrunner.model.words import Answer, FindingClass, Phase
from chaosrunner.reports.account import Account, FaultSpan
from chaosrunner.reports.plot import text
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.reports.words import (
    ANSWER_TONES,
    MANY,
    SIGNS,
    Tone,
    count,
    headline,
    lasting,
    moment,
    reasons,
    room,
    statements,
    value_text,
    wall,
    why_ended,
)

if TYPE_CHECKING:
    from chaosrunner.model.evidence import Clue

GAP_TONES = {
    FindingClass.INCIDENT: Tone.BAD,
    FindingClass.NEAR_MISS: Tone.BAD,
    FindingClass.UNSAFE_CONDITION: Tone.WARN,
}


def chip(answer: Answer) -> str:
    """An answer as a coloured word."""
    return f'<span class="chip {ANSWER_TONES[answer]}">{answer.value}</span>'


def _sign(tone: Tone) -> str:
    return f'<span class="sign {tone}" aria-hidden="true">{SIGNS[tone]}</span>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], look: str = "") -> str:
    """Cells are HTML already; each says its column's name where a phone stacks them."""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td data-th="{name}">{cell}</td>' for name, cell in zip(heads, row, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table class="{look}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def top(account: Account, verdict: Verdict) -> str:
    """The verdict in words, and what a reader asks first: what, where, when, by whom."""
    word, tone = headline(verdict)
    plan, started = account.plan, account.started
    facts = (
        ("experiment", plan.experiment),
        ("environment", plan.environment.name),
        ("service", plan.service),
        ("started", wall(account.began_at)),
        ("took", lasting(verdict.seconds or account.seconds)),
        ("by", f"{started.who} on {started.host}"),
        ("exit code", verdict.exit_code),
    )
    listed = "".join(f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>" for name, value in facts)
    because = "".join(f"<li>{text(reason)}</li>" for reason in reasons(verdict))
    ended = why_ended(verdict)
    ending = f'<p class="soft">{text(ended)}</p>' if ended else ""
    return (
        f'<header class="top"><div class="brand"><b>chaosrunner</b><span>run {text(account.started.run)}</span></div>'
        f'<div class="verdict {tone}"><p class="word" id="verdict">{text(word)}</p><h1>{text(plan.title)}</h1>'
        f'<p class="summary">{text(verdict.summary)}</p>{ending}{f"<ul class=why>{because}</ul>" if because else ""}'
        f'<dl class="facts">{listed}</dl></div></header>'
    )


def three(verdict: Verdict) -> str:
    """The three statements."""
    cards = []
    for said in statements(verdict):
        details = "".join(f"<li>{text(detail)}</li>" for detail in said.details)
        cards.append(
            f'<section class="card statement {said.tone}"><h3>{_sign(said.tone)}{text(said.title)}</h3>'
            f"<p>{text(said.says)}</p>{f'<ul>{details}</ul>' if details else ''}</section>"
        )
    return f'<div class="three">{"".join(cards)}</div>'


def gaps(found: Sequence[ShownGap]) -> str:
    """What should not be so, with the near misses that were recorded."""
    if not found:
        return ""
    recorded = sum(bool(one.id) for one in found)
    title = count(len(found), "near miss", "near misses") if recorded == len(found) else count(len(found), "gap")
    return f'<h2 id="gaps">{title} found</h2>{"".join(_gap(one) for one in found)}'


def _gap(one: ShownGap) -> str:
    gap = one.gap
    tone = GAP_TONES[gap.finding]
    kinds = ", ".join(kind.value.replace("-", " ") for kind in (gap.kind, *gap.also))
    head = [f"<code>{text(one.id)}</code>"] if one.id else []
    head += [f'<span class="chip {tone}">{text(word)}</span>' for word in (one.priority, kinds) if word]
    head += [f'<span class="chip info">{text(word)}</span>' for word in (one.state, one.news) if word]
    strength = f" Broke with {text(gap.strength)} targets." if gap.strength not in ("", "1 of 1") else ""
    fix = f"<p>Remediation: {_link(one.remediation)}</p>" if one.remediation else ""
    return (
        f'<section class="card gap {tone}"><div class="head">{"".join(head)}</div><h3>{text(gap.title)}</h3>'
        f"<p>{text(gap.story)}{strength}</p>{fix}{_clues(one)}</section>"
    )


def _clues(one: ShownGap) -> str:
    """What else changed: hints with numbers, and what is not known."""
    clues = one.clues
    if clues is None:
        return ""
    rows = "".join(
        f'<li><span class="chip info">{text(clue.how)}</span> {text(clue.says)}{_further(clue)}</li>'
        for clue in clues.found
    )
    listed = f"<ol>{rows}</ol>" if rows else '<p class="soft">Nothing that was looked at.</p>'
    more = f'<p class="soft">And {count(clues.left_out, "weaker change")}, left out.</p>' if clues.left_out else ""
    looked = "".join(f"<li>{text(said)}</li>" for said in clues.looked)
    unknown = "".join(f"<li>{text(said)}</li>" for said in clues.unknown)
    not_known = f"<h5>Not known</h5><ul>{unknown}</ul>" if unknown else ""
    times = [wall(at)[11:19] for at in (clues.began, clues.ended, clues.usual_from)]
    span = f"From {times[0]} to {times[1]} UTC, compared with the time since {times[2]}"
    return (
        f'<div class="clues"><h4>What else changed while the fault was in force</h4><p class="soft">Hints, the '
        f"strongest first: they go together with the fault in time, and nothing here says why. {span}.</p>"
        f"{listed}{more}"
        f"<details><summary>What was looked at{', and what is not known' if unknown else ''}</summary>"
        f"<ul>{looked}</ul>{not_known}</details></div>"
    )


def _further(clue: Clue) -> str:
    """A line of the log, and where to look on."""
    sample = f"<pre>{text(clue.sample)}</pre>" if clue.sample else ""
    links = " ".join(
        f'<a href="{text(link.url)}" rel="noreferrer noopener">{text(link.name)}</a>'
        for link in clue.links
        if link.url.startswith(("https://", "http://"))
    )
    return f' <span class="links">{links}</span>{sample}' if links else sample


def _link(place: str) -> str:
    if place.startswith(("https://", "http://")):
        return f'<a href="{text(place)}" rel="noreferrer noopener">{text(place)}</a>'
    return f"<code>{text(place)}</code>"


def numbers(verdict: MeasureVerdict) -> str:
    """A measure's phases as a table: what a plot shows, for those who want or need it in numbers."""
    if not verdict.phases:
        return ""
    heads = ("phase", "answer", "rule", "readings", "median", "lowest", "highest", "room", "outside for")
    rows = [_phase_row(phase, verdict.unit) for phase in verdict.phases]
    return f"<details><summary>Numbers</summary>{_table(heads, rows, 'stack')}</details>"


def _phase_row(phase: PhaseVerdict, unit: str | None) -> tuple[str, ...]:
    def shown(value: float | None) -> str:
        return "–" if value is None else text(show(value, unit))

    readings = count(phase.readings, "reading")
    readings += f", {phase.no_answers} without an answer" if phase.no_answers else ""
    readings += f"; {phase.missing} missing" if phase.missing else ""
    worst = (
        f' <span class="soft">(worst {text(value_text(phase.worst, unit))})</span>'
        if isinstance(phase.worst, str)
        else ""
    )
    return (
        phase.phase.value,
        chip(phase.answer) if phase.judged else '<span class="chip info">observed</span>',
        text(phase.rule or "–"),
        readings,
        shown(phase.median),
        shown(phase.least),
        shown(phase.most) + worst,
        text(room(phase.margin) or "–") if phase.phase is not Phase.RECOVERY else "–",
        lasting(phase.violated_for) if phase.violated_for else "–",
    )


def faults(account: Account) -> str:
    """Each fault on each target: injected, seen, met, taken back, seen gone."""
    if not account.faults:
        return '<h2>What was injected</h2><section class="card"><p>Nothing.</p></section>'
    heads = ("fault", "target", "injected", "seen in force", "met", "undone", "seen gone")
    spans = list(account.faults.values())
    if more := max(0, len(spans) - MANY):
        spans.sort(key=lambda span: not span.troubles and span.seen_gone is True)
    rows = [_fault_row(span, account) for span in spans[:MANY]]
    rest = (
        f"<p>And {count(more, 'more target')}; those with trouble come first, the journal has all.</p>" if more else ""
    )
    return f'<h2>What was injected</h2><section class="card">{_table(heads, rows, "stack targets")}{rest}</section>'


def _fault_row(span: FaultSpan, account: Account) -> tuple[str, ...]:
    planned = next((fault for fault in account.plan.faults if fault.id == span.step), None)
    does = f'<div class="soft">{text(planned.does)}</div>' if planned else ""
    troubles = "".join(
        f'<div class="bad"><span class="chip bad">trouble</span> {text(trouble)}</div>' for trouble in span.troubles
    )
    commands = f"<pre>{text(chr(10).join(span.commands))}</pre>" if span.commands else ""
    seen = (
        "never"
        if span.in_force_at is None
        else f"at {moment(span.in_force_at)}, {span.seen} of {count(span.looks, 'look')}"
    )
    gone = {True: "yes", False: "NO", None: "not looked" if span.undone_at is None else "cannot be seen"}[
        span.seen_gone
    ]
    return (
        f"<b>{text(span.kind)}</b> <code>{text(span.fault)}</code>{does}{troubles}{commands}",
        f"{text(span.target.name)}<div><code class='soft'>{text(span.target.id)}</code></div>",
        "never" if span.injected_at is None else f"at {moment(span.injected_at)}",
        f"{seen}<div class='soft'>{text(span.seen_how)}</div>",
        "cannot be said" if span.touched is None else text(count(span.touched, "time")),
        "NOT UNDONE" if span.undone_at is None else f"at {moment(span.undone_at)}, {text(span.because)}",
        f"{gone}<div class='soft'>{text(span.gone_how)}</div>",
    )


def timeline(account: Account) -> str:
    """Everything that happened, in order."""
    rows = []
    for one in account.happenings:
        told = one.told
        rows.append(
            f'<tr><td class="t">{moment(one.t)}</td><td class="t" title="{wall(one.at)}">{wall(one.at)[11:19]}</td>'
            f"<td>{_sign(told.tone)}</td><td>{text(told.topic)}</td><td>{text(told.text)}</td></tr>"
        )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("t", "UTC", "", "what", ""))
    return (
        '<h2>Timeline</h2><section class="card scroll"><table class="timeline">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></section>"
    )


def guards(account: Account) -> str:
    """What each guard said."""
    if not account.guards:
        return ""
    rows = [
        (
            text(answer.guard),
            f'<span class="chip {Tone.GOOD if answer.go else Tone.BAD}">{"go" if answer.go else "refused"}</span>',
            text(answer.reason)
            + (' <span class="chip warn">unsafe condition</span>' if answer.unsafe_condition else ""),
        )
        for answer in account.guards
    ]
    return f'<h2>Guards</h2><section class="card">{_table(("guard", "answer", "why"), rows, "stack")}</section>'


def plan(account: Account) -> str:
    """What is needed to do it again."""
    the_plan, started = account.plan, account.started
    versions = ", ".join(f"{name} {version}" for name, version in started.versions.items())
    files = "".join(
        f"<div>{text(s.path)} <code class='soft'>sha256 {text(s.sha256[:16])}…</code></div>" for s in the_plan.sources
    )
    warnings = "".join(f"<div>{text(warning)}</div>" for warning in the_plan.warnings)
    labels = ", ".join(f"{key}={value}" for key, value in the_plan.labels.items())
    rows = (
        ("again", f"<pre>{text(the_plan.command)}</pre>" if the_plan.command else ""),
        ("seed", text(the_plan.seed)),
        ("files", files),
        ("owner", text(the_plan.owner or "")),
        ("labels", text(labels)),
        ("versions", text(versions)),
        ("run in", text(started.folder)),
        ("warnings", warnings),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows if value)
    return f'<h2>The plan</h2><section class="card"><dl class="plan">{listed}</dl></section>'


def bottom(account: Account) -> str:
    """Where all of it comes from."""
    version = account.started.versions.get("chaosrunner", "")
    return (
        f"<footer>Made by chaosrunner {text(version)} from this run's journal, which is the truth: "
        f"<code>chaosrunner judge {text(account.started.run)}</code> judges it again.</footer>"
    )
