"""Tables of plain text: the list of runs, and two runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from chaosrunner.model.quantities import show
from chaosrunner.model.words import Answer
from chaosrunner.reports.brief import AnswerPair, Comparison, NumberPair, RunBrief
from chaosrunner.reports.words import clean, count, lasting


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, two spaces apart."""
    cells = [[*heads], *([" ".join(clean(cell).split(" ")) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def runs_table(lines: Sequence[RunBrief]) -> str:
    """The list of runs, and below it what must be said about some of them."""
    rows = [
        (
            line.run,
            line.started_at[:19].replace("T", " "),
            line.experiment,
            line.environment,
            line.word,
            "" if line.exit_code is None else str(line.exit_code),
            lasting(line.seconds) if line.started_at else "",
            str(line.gaps) if line.gaps else "",
        )
        for line in lines
    ]
    heads = ("RUN", "STARTED (UTC)", "EXPERIMENT", "ENVIRONMENT", "ANSWER", "EXIT", "TOOK", "GAPS")
    notes = [f"{line.run}: {clean(line.note)}" for line in lines if line.note]
    notes += [
        f"{line.run}: {count(line.faults_in_force, 'fault')} may be in force: chaosrunner heal {line.run}"
        for line in lines
        if line.faults_in_force and line.word != "RUNNING"
    ]
    return "\n".join([table(heads, rows), *notes])


def comparison_text(comparison: Comparison) -> str:
    """Two runs side by side."""
    a, b = comparison.a, comparison.b
    parts = [
        table(
            ("", "A", "B"),
            [
                ("run", a.run, b.run),
                ("experiment", a.experiment, b.experiment),
                ("started", a.started_at[:19], b.started_at[:19]),
                ("answer", a.word, b.word),
                ("recovered in", *(_seconds(value) for value in comparison.recovery_seconds)),
            ],
        ),
        "same plan" if comparison.same_plan else f"the plans differ in: {', '.join(comparison.plan_differs)}",
    ]
    pairs = [*comparison.hypotheses, *comparison.measures]
    if pairs:
        rows = [(pair.name, _answer(pair.a), _answer(pair.b), _change(pair)) for pair in pairs]
        parts.append(table(("ANSWERS", "A", "B", ""), rows))
    if comparison.numbers:
        numbers = [
            (f"{n.measure} {n.phase} {n.what}", _number(n, n.a), _number(n, n.b), _moved(n)) for n in comparison.numbers
        ]
        parts.append(table(("NUMBERS", "A", "B", ""), numbers))
    gaps = [f"gone: {clean(title)}" for title in comparison.gaps_gone]
    gaps += [f"new:  {clean(title)}" for title in comparison.gaps_new]
    if gaps:
        parts.append("\n".join(gaps))
    return "\n\n".join(parts)


def _seconds(value: float | None) -> str:
    return "–" if value is None else lasting(value)


def _answer(answer: Answer | None) -> str:
    return "–" if answer is None else answer.value


def _change(pair: AnswerPair) -> str:
    return {"better": "+ better", "worse": "- WORSE"}.get(pair.change, "")


def _number(number: NumberPair, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 100:.0f} %" if number.what == "room" else show(value, number.unit)


def _moved(number: NumberPair) -> str:
    """How far a median moved, where that says something; of room, the difference in points."""
    if number.a is None or number.b is None or number.a == number.b:
        return ""
    if number.what == "room":
        return f"{(number.b - number.a) * 100:+.0f} points"
    return f"{(number.b - number.a) / abs(number.a) * 100:+.0f} %" if number.a else ""
