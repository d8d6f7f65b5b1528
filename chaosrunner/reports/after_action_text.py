"""The after-action report as Markdown, for a wiki or a merge request, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo

from chaosrunner.clock import iso
from chaosrunner.model.frozen import JsonObject
from chaosrunner.reports import after_action as back
from chaosrunner.reports.after_action import AfterAction, Took, Trial
from chaosrunner.reports.after_action_html import zone_of
from chaosrunner.reports.after_action_picture import clock_time
from chaosrunner.reports.words import lasting

SCHEMA = "chaosrunner.after-action/1"
_WORDS = {"held": "held", "broken": "did not hold", "inconclusive": "cannot be said"}


def _safe(words: str) -> str:
    """Text in which nothing is Markdown or HTML, on one line."""
    flat = " ".join(words.split())
    for sign in "\\`*_[]<>|#":
        flat = flat.replace(sign, f"\\{sign}")
    return flat


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def after_action_markdown(action: AfterAction) -> str:
    """The whole report."""
    return "\n".join(_lines(action)).rstrip() + "\n"


def _lines(action: AfterAction) -> Iterator[str]:
    zone = zone_of(action)
    start = action.decided_at or action.began_at
    yield f"# After action: {_safe(action.began.title)}"
    yield ""
    held_on = datetime.fromtimestamp(start, zone).strftime("%Y-%m-%d %H:%M")
    yield (
        f"**{back.headline(action).capitalize()}** on {_safe(action.began.environment)}, {held_on} "
        f"{action.began.time_zone}, {lasting(action.ended_at - start)}."
    )
    people = [f"{_safe(person)}{f' ({role.of_one})' if role else ''}" for person, role in action.people.items()]
    yield ""
    yield f"There: {', '.join(people) or 'nobody said so'}."
    yield from _table(action)
    yield from _near_misses(action)
    for trial in action.trials:
        yield from _trial(trial, zone)
    if action.skipped or action.stops:
        yield ""
        yield from (f"- {_safe(title)} was left out: {_safe(why)}" for title, why in action.skipped)
        yield from (f"- a condition to stop was met: {_safe(words)}" for words in action.stops)
    yield from _compared(action)
    yield from _decision(action)
    yield from _timeline(action, zone)


def _table(action: AfterAction) -> Iterator[str]:
    yield ""
    yield _row("Experiment", "Answer", "Time to detect", "Time to respond", "Time to recover")
    yield _row(*["---"] * 5)
    for trial in action.trials:
        title = f"{trial.item}. {_safe(trial.title)}{' (surprise)' if trial.blind else ''}"
        yield _row(title, trial.word, trial.detect.shown, trial.respond.shown, trial.recover.shown)


def _near_misses(action: AfterAction) -> Iterator[str]:
    yield ""
    yield "## Near misses, and who sees to them"
    yield ""
    if not action.near_misses:
        yield "None was shown."
        return
    yield _row("Near miss", "Priority", "What could have been an outage", "Owner", "Fix due", "State")
    yield _row(*["---"] * 6)
    for one in action.near_misses:
        owner = _safe(one.owner) or "**nobody**"
        yield _row(one.id, one.priority, _safe(one.title), owner, one.due or "–", one.state)


def _trial(trial: Trial, zone: tzinfo) -> Iterator[str]:
    yield ""
    again = f", attempt {trial.attempt}" if trial.attempt > 1 else ""
    yield f"## {trial.item}. {_safe(trial.title)}{again}: {trial.word}"
    yield ""
    facts = trial.facts
    if facts is None:
        yield _safe(trial.reason)
    else:
        yield _safe(facts.summary)
        if trial.cut:
            yield ""
            yield f"Cut: {_safe(trial.reason)}."
        yield ""
        times = (("detect", trial.detect), ("respond", trial.respond), ("recover", trial.recover))
        yield from (f"- Time to {name}: **{took.shown}**, {_safe(took.how)}" for name, took in times)
        for one in facts.hypotheses:
            yield f"- {_safe(one.title)} **{_WORDS[one.answer]}**: {_safe(one.reason)}"
    for asked, answer in trial.answers:
        yield ""
        yield f"**{_safe(asked)}** {_safe(answer) or '*nobody had an answer*'}"
    if trial.notes:
        yield ""
    yield from (f"- {clock_time(note.at, zone)} {_safe(note.who)}: {_safe(note.text)}" for note in trial.notes)


def _compared(action: AfterAction) -> Iterator[str]:
    if action.before is None:
        return
    held_on = datetime.fromtimestamp(action.before.began_at, zone_of(action)).strftime("%Y-%m-%d")
    yield ""
    yield f"## Compared with {held_on}"
    yield ""
    yield _row("Experiment", "Answer", "Detect", "Respond", "Recover")
    yield _row(*["---"] * 5)
    for one in back.compared(action):
        pairs = [(_cells(one.then), _cells(one.now))]
        for then, now in pairs:
            yield _row(_safe(one.title), *(f"{a} → {b}" for a, b in zip(then, now, strict=True)))


def _cells(trial: Trial | None) -> tuple[str, ...]:
    if trial is None:
        return ("not tried",) * 4
    return (trial.word, trial.detect.shown, trial.respond.shown, trial.recover.shown)


def _decision(action: AfterAction) -> Iterator[str]:
    if not action.checks:
        return
    decided = action.decision
    word = "nobody decided" if decided is None else "GO" if decided.go else "NO-GO"
    yield ""
    yield f"## Go or no-go: {word}"
    yield ""
    if decided is not None and decided.reason:
        yield _safe(decided.reason)
        yield ""
    for one in action.checks:
        reason = "" if one.reason in ("yes", "no") else f": {_safe(one.reason)}"
        yield f"- {'go' if one.go else '**no-go**'}: {_safe(one.check)}{reason}"


def _timeline(action: AfterAction, zone: tzinfo) -> Iterator[str]:
    yield ""
    yield "## Everything, in order"
    yield ""
    yield _row("Time", "About", "What happened")
    yield _row(*["---"] * 3)
    for line in action.lines:
        yield _row(clock_time(line.at, zone), line.topic, _safe(line.said))


# ---------------------------------------------------------------------------------------------------------------- JSON


def after_action_json(action: AfterAction) -> JsonObject:
    """The report for tools, `chaosrunner.after-action/1`."""
    fresh, both, gone = back.near_misses_then(action)
    return {
        "schema": SCHEMA,
        "id": action.id,
        "name": action.began.name,
        "title": action.began.title,
        "environment": action.began.environment,
        "beganAt": iso(action.began_at),
        "decidedAt": iso(action.decided_at) if action.decided_at is not None else None,
        "endedAt": iso(action.ended_at),
        "ending": action.ended.ending if action.ended is not None else None,
        "headline": back.headline(action),
        "people": {person: role.value if role is not None else None for person, role in action.people.items()},
        "checks": [one.as_json() for one in action.checks],
        "trials": [_trial_json(trial) for trial in action.trials],
        "skipped": [{"title": title, "reason": why} for title, why in action.skipped],
        "stops": list(action.stops),
        "nearMisses": [one.as_json() for one in action.near_misses],
        "notes": [{"at": iso(one.at), "who": one.who, "text": one.text} for one in action.notes],
        "before": None if action.before is None else {"id": action.before.id, "headline": back.headline(action.before)},
        "nearMissesThen": {"onlyNow": list(fresh), "both": list(both), "onlyThen": list(gone)},
        "timeline": [
            {"at": iso(line.at), "who": line.who, "about": line.topic, "text": line.text} for line in action.lines
        ],
    }


def _trial_json(trial: Trial) -> JsonObject:
    return {
        "item": trial.item,
        "attempt": trial.attempt,
        "title": trial.title,
        "blind": trial.blind,
        "word": trial.word,
        "beganAt": iso(trial.began),
        "endedAt": iso(trial.ended),
        "cut": trial.cut,
        "reason": trial.reason,
        "detect": _took_json(trial.detect),
        "respond": _took_json(trial.respond),
        "recover": _took_json(trial.recover),
        "answers": [{"asked": asked, "answer": answer} for asked, answer in trial.answers],
        "facts": trial.facts.as_json() if trial.facts is not None else None,
    }


def _took_json(took: Took) -> JsonObject:
    return {"seconds": took.seconds, "how": took.how}
