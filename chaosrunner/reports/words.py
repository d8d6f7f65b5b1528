"""The words and numbers that every report shares: times, values, room left, and the run's answer in one word."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from chaosrunner.model.quantities import show
from chaosrunner.model.tolerance import Value
from chaosrunner.model.verdict import FaultVerdict, HypothesisVerdict, Verdict
from chaosrunner.model.words import Answer, Ending
from chaosrunner.records.light import dataclass


class Tone(StrEnum):
    """How a report colours something. It never stands alone: there is always a word or a sign beside it."""

    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    INFO = "info"


SIGNS = {Tone.GOOD: "✓", Tone.BAD: "✗", Tone.WARN: "!", Tone.INFO: "·"}
ANSWER_TONES = {Answer.HELD: Tone.GOOD, Answer.INCONCLUSIVE: Tone.WARN, Answer.BROKEN: Tone.BAD}

MANY = 20
"""Targets of one step that are told of one by one; of more only what went wrong with each, and how many they are."""
_SPACES = "\n\u00a0\u202f"
_WORDS = {
    7: ("UNDO FAILED", Tone.BAD),
    70: ("DEFECT", Tone.BAD),
    6: ("HALTED", Tone.WARN),
    5: ("NOT STEADY", Tone.WARN),
    4: ("REFUSED", Tone.WARN),
    3: ("INCONCLUSIVE", Tone.WARN),
    0: ("HELD", Tone.GOOD),
}


def headline(verdict: Verdict) -> tuple[str, Tone]:
    """The run in one word, by the cause that decided its exit code, and its colour."""
    if verdict.exit_code == 1:
        return ("BROKEN" if verdict.answer is Answer.BROKEN or verdict.abort else "GAP FOUND", Tone.BAD)
    if verdict.exit_code == 3 and verdict.ending is None:
        return ("UNFINISHED", Tone.WARN)
    if verdict.exit_code == 3 and verdict.ending is Ending.NOT_READABLE:
        return ("NOT READABLE", Tone.WARN)
    return _WORDS.get(verdict.exit_code, (verdict.answer.value.upper(), ANSWER_TONES[verdict.answer]))


def clean(words: str) -> str:
    """Words from outside without control characters, which could move the cursor or change colours."""
    return words if words.isprintable() else "".join(c if c.isprintable() or c in _SPACES else "\ufffd" for c in words)


def lasting(seconds: float) -> str:
    """A length of time for people: `0.42 s`, `12.3 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 0.9995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def moment(t: float) -> str:
    """A moment of the run, counted from its start: `12.3s`, `2:05.0`, `1:02:03`."""
    tenths = round(t * 10)
    if tenths < 600:
        return f"{tenths / 10:.1f}s"
    if tenths < 36000:
        return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"
    whole = tenths // 10
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def wall(epoch: float) -> str:
    """Wall time in UTC, to the second: `2026-11-22 10:51:03 UTC`."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def value_text(value: Value | None, unit: str | None) -> str:
    """A reading for people. None is no answer."""
    if value is None:
        return "no answer"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else repr(value[:57] + "…")
    return show(value, unit)


def room(margin: float | None) -> str:
    """How much room was left: `34 % room left`, `over by 12 %`, `12 times the limit`. Empty where it cannot be said."""
    if margin is None:
        return ""
    if margin >= 0:
        return (
            f"{margin * 100:.0f} % room left" if margin >= 0.0995 or margin == 0 else f"{margin * 100:.1f} % room left"
        )
    if margin <= -1.995:
        return f"{1 - margin:.3g} times the limit"
    return f"outside by {-margin * 100:.0f} %" if margin <= -0.0995 else f"outside by {-margin * 100:.1f} %"


def few(lines: Sequence[str]) -> tuple[str, ...]:
    """The first of very many lines, and how many there are besides."""
    more = len(lines) - MANY
    return tuple(lines) if more <= 0 else (*lines[:MANY], f"and {more:,} more".replace(",", "\u202f"))


def count(amount: int, thing: str, things: str | None = None) -> str:
    """`1 reading`, `3 readings`, `1 204 readings`."""
    word = thing if amount == 1 else things or f"{thing}s"
    return f"{amount:,} {word}".replace(",", "\u202f")


def reasons(verdict: Verdict) -> tuple[str, ...]:
    """Why nothing can be said, without what the summary and the three statements say already."""
    if verdict.answer is not Answer.INCONCLUSIVE:
        return ()
    told = {f"{one.name}: {one.reason}" for one in verdict.hypotheses}
    told |= {f"{fault.fault}: {fault.trouble}" for fault in verdict.faults}
    told |= {f"recovery: {verdict.recovery.reason}"} if verdict.recovery is not None else set()
    summary = verdict.summary.lower()
    return tuple(one for one in verdict.inconclusive_because if one not in told and one.lower() not in summary)


def why_ended(verdict: Verdict) -> str:
    """Why the run ended early, where nothing else says it."""
    reason = verdict.ending_reason.removeprefix("baseline: ")
    return "" if verdict.abort or reason in verdict.summary else reason


@dataclass(frozen=True, slots=True)
class Statement:
    """One of the three things that a run says."""

    tone: Tone
    title: str
    says: str
    details: tuple[str, ...] = ()


def statements(verdict: Verdict) -> tuple[Statement, Statement, Statement]:
    """The fault was seen in force and met; the hypotheses' answers; the fault was seen gone and the system is back."""
    return (_in_force(verdict.faults), _answers(verdict), _gone(verdict))


def _target(fault: FaultVerdict) -> str:
    return f"{fault.kind} on {fault.target.name}" if fault.target.name else fault.kind


def fault_line(fault: FaultVerdict) -> str:
    """What became of one fault, as one line."""
    if fault.trouble:
        return f"{_target(fault)}: {fault.trouble}"
    if fault.in_force_at is None:
        return f"{_target(fault)}: never seen in force"
    parts = ["seen in force"]
    if fault.undone_at is not None:
        parts[0] += f" for {lasting(max(0.0, fault.undone_at - fault.in_force_at))}"
    if fault.touched is not None:
        parts.append(f"met {count(fault.touched, 'time')}")
    return f"{_target(fault)}: {', '.join(parts)}"


def _is_well(fault: FaultVerdict) -> bool:
    return not fault.trouble and fault.in_force_at is not None


def _in_force(faults: tuple[FaultVerdict, ...]) -> Statement:
    title = "Was it really broken?"
    injected = [fault for fault in faults if fault.injected_at is not None or fault.in_force_at is not None]
    if not injected:
        return Statement(Tone.INFO if not faults else Tone.WARN, title, "Nothing was injected.",
                         few([fault_line(fault) for fault in faults]))  # fmt: skip
    troubled = [fault for fault in faults if not _is_well(fault)]
    shown = sorted(faults, key=_is_well) if len(faults) > MANY else faults
    details = few([fault_line(fault) for fault in shown])
    if troubled:
        says = f"{len(faults) - len(troubled)} of {count(len(faults), 'fault')} did what was asked."
        return Statement(Tone.WARN, title, says, details)
    met = sum(fault.touched or 0 for fault in faults)
    all_of_them = {1: "The fault was", 2: "Both faults were"}.get(len(faults), f"All {len(faults)} faults were")
    says = f"{all_of_them} seen in force"
    return Statement(Tone.GOOD, title, says + (f" and met {count(met, 'time')}." if met else "."), details)


def hypothesis_line(hypothesis: HypothesisVerdict) -> str:
    """A hypothesis' answer with its closest margin, or what broke it, as one line."""
    left = room(hypothesis.margin)
    if hypothesis.answer is Answer.HELD and hypothesis.closest and left:
        return f"{hypothesis.name} held; closest: {hypothesis.closest.rpartition('/')[2]}, {left}"
    strength = (
        f" (with {hypothesis.strength} targets)" if hypothesis.strength and hypothesis.strength != "1 of 1" else ""
    )
    return f"{hypothesis.name} {hypothesis.answer.value}{strength}: {hypothesis.reason}"


def alert_lines(verdict: Verdict) -> list[tuple[Tone, str]]:
    """Each expected alert, and what broke with nobody told, as a line each."""
    words = {Answer.HELD: "fired", Answer.BROKEN: "DID NOT FIRE IN TIME", Answer.INCONCLUSIVE: "inconclusive"}
    lines = []
    for alert in verdict.alerts:
        silenced = "; silenced for people" if alert.silenced else ""
        told = f"alert {alert.alert} {words[alert.answer]}: {alert.reason}{silenced}"
        lines.append((ANSWER_TONES[alert.answer], told))
    silent = "broke and no alert began to fire: nobody would have been told"
    return lines + [(Tone.BAD, f"{name} {silent}") for name in verdict.unnoticed]


def _answers(verdict: Verdict) -> Statement:
    title = "Did the promises hold?"
    if not verdict.hypotheses:
        return Statement(Tone.INFO, title, "No hypothesis was judged.")
    details = (*map(hypothesis_line, verdict.hypotheses), *(line for _, line in alert_lines(verdict)))
    missed = sum(alert.answer is Answer.BROKEN for alert in verdict.alerts)
    silent = f"; {count(missed, 'alert')} did not fire in time" if missed else ""
    tally = {answer: sum(h.answer is answer for h in verdict.hypotheses) for answer in Answer}
    total = len(verdict.hypotheses)
    answers = [*(h.answer for h in verdict.hypotheses), *(alert.answer for alert in verdict.alerts)]
    tone = max((ANSWER_TONES[answer] for answer in answers), key=[Tone.GOOD, Tone.WARN, Tone.BAD].index)
    if total == 1:
        only = verdict.hypotheses[0]
        title_text = only.title or only.name
        words = {Answer.HELD: "held", Answer.BROKEN: "was broken", Answer.INCONCLUSIVE: "cannot be answered"}
        return Statement(tone, title, f"“{title_text}” {words[only.answer]}{silent}.", details)
    parts = [f"{number} {answer.value}" for answer, number in tally.items() if number]
    return Statement(tone, title, f"{count(total, 'hypothesis', 'hypotheses')}: {', '.join(parts)}{silent}.", details)


def _gone(verdict: Verdict) -> Statement:
    title = "Is everything back?"
    undone = [fault for fault in verdict.faults if fault.injected_at is not None]
    failed = [fault for fault in undone if fault.undo_failed]
    recovery = verdict.recovery
    details = [recovery.reason] if recovery and recovery.reason and recovery.answer is not Answer.HELD else []
    if verdict.abort and verdict.abort.undone_after is not None:
        details.append(f"everything was undone {lasting(verdict.abort.undone_after)} after the abort limit was reached")
    if failed:
        names = ", ".join(few([_target(fault) for fault in failed]))
        return Statement(Tone.BAD, title, f"The undo failed: {names} may still be in force.", tuple(details))
    if not undone:
        return Statement(Tone.INFO, title, "There was nothing to take back.", tuple(details))
    details += few([f"{_target(fault)}: undone, but not seen gone" for fault in undone if fault.seen_gone is False])
    still = [fault for fault in undone if fault.undone_at is None]
    if still:
        return Statement(Tone.BAD, title, "The journal does not say that every fault was undone.", tuple(details))
    seen = "seen gone" if all(fault.seen_gone for fault in undone) else "undone"
    fault_word = "The fault was" if len(undone) == 1 else "The faults were"
    if recovery is None:
        return Statement(Tone.WARN, title, f"{fault_word} {seen}; recovery was not watched.", tuple(details))
    tone = ANSWER_TONES[recovery.answer]
    if recovery.answer is Answer.HELD and recovery.seconds is not None:
        return Statement(tone, title, f"{fault_word} {seen}, and the system recovered in {lasting(recovery.seconds)}.",
                         tuple(details))  # fmt: skip
    words = "did not recover in time" if recovery.answer is Answer.BROKEN else "may or may not have recovered"
    return Statement(tone, title, f"{fault_word} {seen}, but the system {words}.", tuple(details))
