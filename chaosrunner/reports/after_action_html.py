"""The after-action report as one HTML file that needs nothing else: on a screen, on a phone, and printed to PDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from chaosrunner.model import gameday_log as log
from chaosrunner.model.words import Answer
from chaosrunner.reports import after_action as back
from chaosrunner.reports.after_action import AfterAction, Took, Trial
from chaosrunner.reports.after_action_picture import clock_time, day_picture, trial_picture
from chaosrunner.reports.gameday_words import WORD_TONES
from chaosrunner.reports.plot import text
from chaosrunner.reports.words import ANSWER_TONES, SIGNS, Tone, count, lasting

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_TIMES: tuple[tuple[str, str, Callable[[Trial], Took]], ...] = (
    ("Time to detect", "detect", lambda trial: trial.detect),
    ("Time to respond", "respond", lambda trial: trial.respond),
    ("Time to recover", "recover", lambda trial: trial.recover),
)


def zone_of(action: AfterAction) -> tzinfo:
    """The game day's time zone; UTC where this machine does not know it."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(action.began.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def after_action_html(action: AfterAction, today: str, version: str) -> str:
    """The whole page. `today`: ISO date, for what is overdue."""
    zone = zone_of(action)
    folder = Path(__file__).parent
    style = "".join((folder / name).read_text(encoding="utf-8") for name in ("page.css", "after_action.css"))
    title = f"After action: {action.began.title}"
    body = "".join(
        (
            _top(action, zone),
            "<main>",
            _tiles(action),
            _day(action, zone),
            _near_misses(action, today),
            "<h2>What was tried, and what was seen</h2>" if action.trials else "",
            *(_trial(trial, zone) for trial in action.trials),
            _left_out(action),
            _compared(action),
            _decision(action),
            _timeline(action, zone),
            "</main>",
            f"<footer>{text(action.id)} · chaosrunner {text(version)} · times in {text(action.began.time_zone)} · "
            "times to detect and respond count from the fault in force, the time to recover from the last undo"
            "</footer>",
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(title)}</title><style>{style}</style></head><body>{body}</body></html>\n"
    )


def _chip(words: str, tone: Tone) -> str:
    return f'<span class="chip {tone.value}">{text(words)}</span>'


def _word(trial: Trial) -> str:
    return _chip(trial.word, WORD_TONES.get(trial.word, Tone.WARN))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], look: str = "") -> str:
    """Cells are HTML already."""
    head = "".join(f"<th>{one}</th>" for one in heads)
    lines = [
        "<tr>" + "".join(f'<td data-th="{name}">{cell}</td>' for name, cell in zip(heads, row, strict=True)) + "</tr>"
        for row in rows
    ]
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<div class="scroll"><table class="stack {look}">{body}</table></div>'


# ---------------------------------------------------------------------------------------------------------------- top


def _top(action: AfterAction, zone: tzinfo) -> str:
    tone = Tone.BAD if action.count("broken") else Tone.GOOD if action.count("held") else Tone.WARN
    start = action.decided_at or action.began_at
    held_on = datetime.fromtimestamp(start, zone).strftime("%A, %-d %B %Y")
    facts = {
        "Held": f"{held_on}, {clock_time(start, zone)[:5]} to {clock_time(action.ended_at, zone)[:5]} {_city(action)}",
        "Environment": action.began.environment,
        "Lasted": f"{lasting(action.ended_at - start)}, meant to take {lasting(action.began.lasts)}",
        "Ended": _ending(action),
    }
    people = [f"{person}{f' ({role.of_one})' if role is not None else ''}" for person, role in action.people.items()]
    told = "".join(f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items())
    return (
        '<header class="top"><div class="brand"><b>chaosrunner</b><span>after-action report</span></div>'
        f'<div class="verdict {tone.value}"><span class="word">{text(back.headline(action)).capitalize()}</span>'
        f"<h1>{text(action.began.title)}</h1>"
        f'<p class="summary">{text(_summary(action))}</p><dl class="facts">{told}</dl>'
        f'<p class="people">There: {text(", ".join(people) or "nobody said so")}</p></div></header>'
    )


def _city(action: AfterAction) -> str:
    """Whose time it is: `Berlin time`."""
    name = action.began.time_zone.rpartition("/")[2].replace("_", " ")
    return name if name == "UTC" else f"{name} time"


def _ending(action: AfterAction) -> str:
    if action.ended is None:
        return "not over yet"
    words = {"finished": "the agenda is through", "broken-off": "broken off", "no-go": "no-go"}
    reason = f": {action.ended.reason}" if action.ended.reason else ""
    return f"{words.get(action.ended.ending, action.ended.ending)}{reason}"


def _summary(action: AfterAction) -> str:
    tried = [trial for trial in action.last_trials if trial.facts is not None]
    if not tried:
        return (
            action.decision.reason if action.decision is not None and action.decision.reason else "Nothing was tried."
        )
    unnoticed = sum(trial.detect.seconds is None for trial in tried)
    parts = [f"{count(len(tried), 'experiment')} on {action.began.environment}"]
    found = len(action.near_misses)
    parts.append(f"{count(found, 'near miss', 'near misses')} shown" if found else "no near miss shown")
    if unnoticed:
        parts.append(f"{unnoticed} went unnoticed")
    return ", ".join(parts) + "."


def _tiles(action: AfterAction) -> str:
    tiles = []
    for name, _, what in _TIMES:
        now = action.usual(what)
        then = action.before.usual(what) if action.before is not None else None
        missing = sum(what(trial).seconds is None for trial in action.last_trials if trial.facts is not None)
        sub = "median of the experiments" if now is not None else "never"
        sub += f", {missing} without one" if missing and now is not None else ""
        tiles.append(_tile(name, "–" if now is None else lasting(now), sub, _change(now, then)))
    fresh, _, gone = back.near_misses_then(action)
    words = [f"{len(fresh)} not shown last time" if fresh else "", f"{len(gone)} not shown any more" if gone else ""]
    change = (", ".join(word for word in words if word) or "as last time") if action.before is not None else ""
    tiles.append(_tile("Near misses", str(len(action.near_misses)), "shown on this day", change))
    return f'<dl class="tiles">{"".join(tiles)}</dl>'


def _tile(name: str, value: str, sub: str, change: str) -> str:
    more = f'<dd class="sub">{change}</dd>' if change else ""
    return f'<div class="tile"><dt>{name}</dt><dd class="big">{text(value)}</dd><dd class="sub">{sub}</dd>{more}</div>'


def _change(now: float | None, then: float | None) -> str:
    if then is None:
        return ""
    if now is None:
        return f"last time {lasting(then)}"
    if abs(now - then) < 0.1 * max(now, then):
        return f"as last time ({lasting(then)})"
    quicker = now < then
    look, word = ("up", "quicker") if quicker else ("down", "slower")
    return f'<span class="{look}">{word}</span> than last time ({lasting(then)})'


_KEY = (
    '<div class="key"><span><i class="k-fault"></i>fault in force</span><span><i class="k-alert"></i>alert fires</span>'
    '<span><i class="k-note"></i>note</span>{more}</div>'
)


def _day(action: AfterAction, zone: tzinfo) -> str:
    if not action.trials:
        return ""
    return f'<h2>The day</h2><section class="card">{day_picture(action, zone)}{_KEY.format(more="")}</section>'


# -------------------------------------------------------------------------------------------------------- near misses


def _near_misses(action: AfterAction, today: str) -> str:
    if not action.near_misses:
        return ""
    rows = []
    for one in action.near_misses:
        late = one.due and one.due < today and one.state not in ("verified", "rejected", "fix-ready", "waived")
        due = f'<span class="late">{text(one.due)}, overdue</span>' if late else text(one.due or "–")
        priority = _chip(one.priority or "?", Tone.BAD if one.priority in ("P1", "P2") else Tone.WARN)
        title = f"<b>{text(one.title)}</b>" + (f'<br><span class="soft">{text(one.story)}</span>' if one.story else "")
        owner = text(one.owner) if one.owner else '<span class="late">nobody</span>'
        work = f'<br><span class="soft">{_link(one.work)}</span>' if one.work else ""
        rows.append((f"{priority}<br><code>{text(one.id)}</code>", title + work, owner, due, text(one.state)))
    heads = ("Near miss", "What could have been an outage", "Owner", "Fix due", "State")
    return f'<h2>Near misses, and who sees to them</h2><section class="card">{_table(heads, rows, "ids")}</section>'


def _link(place: str) -> str:
    if place.startswith(("https://", "http://")):
        return f'<a href="{text(place)}">{text(place)}</a>'
    return f"<code>{text(place)}</code>"


# ------------------------------------------------------------------------------------------------------------- trials


def _trial(trial: Trial, zone: tzinfo) -> str:
    tone = WORD_TONES.get(trial.word, Tone.WARN)
    again = f", attempt {trial.attempt}" if trial.attempt > 1 else ""
    surprise = _chip("surprise", Tone.INFO) if trial.blind else ""
    head = (
        f"<header>{_word(trial)}<h3>{trial.item}. {text(trial.title)}{again}</h3>{surprise}"
        f'<span class="soft">{clock_time(trial.began, zone)}, {lasting(max(0.0, trial.ended - trial.began))}</span>'
        "</header>"
    )
    facts = trial.facts
    if facts is None:
        return (
            f'<section class="card trial {tone.value}">{head}<p>{text(trial.reason)}</p>{_notes(trial, zone)}</section>'
        )
    faults = "; ".join(dict.fromkeys(fault.what for fault in facts.faults))
    cut = f"<p><b>Cut:</b> {text(trial.reason)}. Everything was taken back.</p>" if trial.cut else ""
    said = (
        f'<p>{text(facts.summary)}</p>{cut}<p class="soft">{text(faults)} · <code>{text(facts.experiment)}</code></p>'
    )
    limit = '<span><i class="k-limit"></i>limit</span>' if facts.measures else ""
    picture = f'<div class="track">{trial_picture(trial)}{_KEY.format(more=limit)}</div>' if facts.measures else ""
    return (
        f'<section class="card trial {tone.value}">{head}{said}{picture}{_times(trial)}{_promises(facts)}'
        f"{_answers(trial)}{_notes(trial, zone)}</section>"
    )


def _times(trial: Trial) -> str:
    told = "".join(
        f"<div><dt>{name}</dt><dd>{text(what(trial).shown)}</dd><dd>{text(what(trial).how)}</dd></div>"
        for name, _, what in _TIMES
    )
    return f'<dl class="times">{told}</dl>'


def _promises(facts: log.Facts) -> str:
    lines = []
    for one in sorted(facts.hypotheses, key=lambda each: -Answer(each.answer).badness):
        tone = ANSWER_TONES[Answer(one.answer)]
        word = {"held": "held", "broken": "did not hold", "inconclusive": "cannot be said"}[one.answer]
        lines.append(
            f'<li class="{tone.value}"><span class="sign">{SIGNS[tone]}</span>{text(one.title)} <b>{word}</b>'
            f"<small>{text(one.reason)}</small></li>"
        )
    return f'<ul class="promise">{"".join(lines)}</ul>' if lines else ""


def _answers(trial: Trial) -> str:
    told = "".join(
        f"<dt>{text(asked)}</dt>"
        + (f"<dd>{text(answer)}</dd>" if answer else '<dd class="none">nobody had an answer</dd>')
        for asked, answer in trial.answers
    )
    return f'<dl class="qa">{told}</dl>' if told else ""


def _notes(trial: Trial, zone: tzinfo) -> str:
    told = "".join(
        f"<li><time>{clock_time(note.at, zone)}</time><b>{text(note.who)}</b>"
        f"{' (responds)' if note.respond else ''}: {text(note.text)}</li>"
        for note in trial.notes
    )
    return f'<ul class="notes">{told}</ul>' if told else ""


def _left_out(action: AfterAction) -> str:
    if not action.skipped and not action.stops:
        return ""
    rows = [f"<li>{text(title)} was left out{text(f': {why}') if why else ''}</li>" for title, why in action.skipped]
    rows += [f"<li>a condition to stop was met: {text(words)}</li>" for words in action.stops]
    return f'<section class="card" style="margin-top:14px"><ul class="why">{"".join(rows)}</ul></section>'


# ----------------------------------------------------------------------------------------------------------- last time


def _compared(action: AfterAction) -> str:
    if action.before is None:
        return ""
    held_on = datetime.fromtimestamp(action.before.began_at, zone_of(action)).strftime("%-d %B %Y")
    rows = []
    for one in back.compared(action):
        cells = [text(one.title), _then_now(one, lambda trial: _word(trial))]
        cells += [_then_now(one, lambda trial, what=what: text(what(trial).shown)) for _, _, what in _TIMES]  # type: ignore[misc]
        rows.append(cells)
    fresh, both, gone = back.near_misses_then(action)
    told = [("shown both times", both), ("not shown any more", gone), ("not shown last time", fresh)]
    said = "; ".join(f"{words}: {', '.join(ids)}" for words, ids in told if ids)
    heads = ("Experiment", "Answer", "Detect", "Respond", "Recover")
    return (
        f'<h2>Compared with {held_on}</h2><section class="card">{_table(heads, rows, "then")}'
        f'<p class="soft">Near misses {text(said or "were shown neither time")}.</p></section>'
    )


def _then_now(one: back.Compared, cell: Callable[[Trial], str]) -> str:
    then = cell(one.then) if one.then is not None else '<span class="soft">not tried</span>'
    now = cell(one.now) if one.now is not None else '<span class="soft">not tried</span>'
    return f"{then} → {now}"


# ------------------------------------------------------------------------------------------------ decision and timeline


def _decision(action: AfterAction) -> str:
    if not action.checks:
        return ""
    rows = []
    for one in action.checks:
        tone = Tone.GOOD if one.go else Tone.BAD
        rows.append((f'<span class="sign {tone.value}">{SIGNS[tone]}</span>', text(one.check), text(one.reason)))
    decided = action.decision
    word = "nobody decided" if decided is None else "GO" if decided.go else "NO-GO"
    why = f": {decided.reason}" if decided is not None and decided.reason else ""
    return (
        f'<h2>Go or no-go</h2><section class="card"><p><b>{word}</b>{text(why)}</p>'
        f"{_table(('', 'Asked', 'Answer'), rows)}</section>"
    )


def _timeline(action: AfterAction, zone: tzinfo) -> str:
    rows = []
    for line in action.lines:
        cells = f'<td class="t">{clock_time(line.at, zone)}</td><td>{text(line.topic)}</td>'
        cells += f'<td class="sg">{SIGNS[line.tone]}</td><td>{text(line.said)}</td>'
        rows.append(f'<tr class="{line.tone.value}{" loud" if line.loud else ""}">{cells}</tr>')
    return (
        '<h2 class="newpage">Everything, in order</h2><section class="card"><div class="scroll"><table class="all">'
        f"<thead><tr><th>Time</th><th>About</th><th></th><th>What happened</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
        "</div></section>"
    )
