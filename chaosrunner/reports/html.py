"""The HTML report of one run: one file that needs nothing else, readable without scripts, on a phone and on paper."""

from __future__ import annotations

import binascii
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from chaosrunner.model.quantities import UNITS, convert
from chaosrunner.model.verdict import HypothesisVerdict, MeasureVerdict, Verdict
from chaosrunner.reports import sections
from chaosrunner.reports.account import Account
from chaosrunner.reports.plot import Plot, Span, spans, text
from chaosrunner.reports.scales import time_ticks
from chaosrunner.reports.shown_gap import ShownGap
from chaosrunner.reports.words import headline

POINTS = 16_000
"""About how many points all plots together have, so that the file stays under 1 MB."""
_DIMENSIONS = {"s": "time", "B": "size", "B/s": "bandwidth", "/s": "rate", "ratio": "share"}


def html_report(account: Account, verdict: Verdict, found: Sequence[ShownGap] = ()) -> str:
    """The whole page."""
    style, script = _asset("page.css"), _asset("page.js")
    plots = _plots(account, verdict)
    word, _ = headline(verdict)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{_sha256(script)}'"
    body = "".join(
        (
            sections.top(account, verdict),
            "<main>",
            sections.three(verdict),
            sections.gaps(found),
            _overview(account),
            _hypotheses(verdict, plots),
            sections.faults(account),
            sections.timeline(account),
            sections.guards(account),
            sections.plan(account),
            "</main>",
            sections.bottom(account),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(word)}: {text(account.plan.title)}</title><style>{style}</style></head>"
        f'<body>{body}<script type="application/json" id="data">{_data(account, plots)}</script>'
        f"<script>{script}</script></body></html>\n"
    )


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _sha256(script: str) -> str:
    return binascii.b2a_base64(hashlib.sha256(script.encode()).digest(), newline=False).decode()


def _plots(account: Account, verdict: Verdict) -> dict[str, Plot]:
    verdicts = {measure.key: measure for hypothesis in verdict.hypotheses for measure in hypothesis.measures}
    columns = max(15, min(240, POINTS // (4 * max(1, len(account.series)))))
    return {key: Plot(account, series, verdicts.get(key), columns) for key, series in account.series.items()}


def _data(account: Account, plots: dict[str, Plot]) -> str:
    found = {
        "seconds": account.seconds or 1.0,
        "factors": _factors({plot.unit for plot in plots.values() if plot.unit}),
        "plots": {key: plot.data() for key, plot in plots.items()},
    }
    written = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _factors(units: set[str]) -> dict[str, tuple[str, float]]:
    """Of each unit: its dimension, and what one of it is in the dimension's first unit."""
    found = {}
    for unit in units & set(UNITS):
        for base, dimension in _DIMENSIONS.items():
            try:
                found[unit] = (dimension, convert(1.0, unit, base))
            except ValueError:
                continue
    return found


def _overview(account: Account) -> str:
    """The run at a glance: phases and faults on one scale, the same as the plots'."""
    seconds = account.seconds or 1.0
    steps = list(dict.fromkeys(fault.step for fault in account.faults.values()))
    names = ["phases", *steps, *(["abort"] if account.abort_at is not None else [])]
    rows = "".join(
        f'<span style="--row:{row}" title="{text(name)}">{text(name)}</span>' for row, name in enumerate(names)
    )
    bars = "".join(_bar(span, seconds, steps) for span in spans(account))
    ticks = "".join(f'<span style="left:{t / seconds * 100:.2f}%">{word}</span>' for t, word in time_ticks(seconds))
    return (
        '<h2>The run</h2><section class="card"><div class="plot-head">'
        f'<div class="lanes" style="--rows:{len(names)}">{rows}{bars}</div>'
        f'<div class="plot-scale"><div class="xs">{ticks}</div></div></div>{_LEGEND}</section>'
    )


def _bar(span: Span, seconds: float, steps: list[str]) -> str:
    row = {"phase": 0, "abort": len(steps) + 1}.get(span.look)
    if row is None:
        row = steps.index(span.label) + 1
    place = f"left:{span.start / seconds * 100:.2f}%;width:{(span.end - span.start) / seconds * 100:.2f}%;--row:{row}"
    label = "" if span.look == "settle" else f"<b>{text(span.title or span.label)}</b>"
    look = f"{span.look} late" if span.look == "abort" and span.start > seconds / 2 else span.look
    return f'<i class="{look}" style="{place}" title="{text(span.title or span.label)}">{label}</i>'


_LEGEND = (
    '<div class="legend"><span><i class="curve"></i>readings</span><span><i class="level"></i>tolerance</span>'
    '<span><i class="abort level"></i>abort limit</span><span><i class="force"></i>fault in force</span>'
    '<span><i class="settle"></i>settling: not judged</span><span><i class="noanswer"></i>no answer</span>'
    '<span><i class="missing"></i>no reading</span></div>'
)


def _hypotheses(verdict: Verdict, plots: dict[str, Plot]) -> str:
    shown = {measure.key for hypothesis in verdict.hypotheses for measure in hypothesis.measures}
    parts = [_hypothesis(hypothesis, plots) for hypothesis in verdict.hypotheses]
    rest = [plot for key, plot in plots.items() if key not in shown]
    if rest:
        figures = "".join(_figure(plot, None) for plot in rest)
        parts.append(
            f'<section class="card hyp"><header><h3>Readings that were not judged</h3></header>{figures}</section>'
        )
    return f"<h2>What was promised, and what was seen</h2>{''.join(parts)}"


def _hypothesis(hypothesis: HypothesisVerdict, plots: dict[str, Plot]) -> str:
    figures = "".join(_figure(plots[m.key], m) for m in hypothesis.measures if m.key in plots)
    strength = f", with {hypothesis.strength} targets in force" if hypothesis.strength not in ("", "1 of 1") else ""
    title = text(hypothesis.title or hypothesis.name)
    return (
        f'<section class="card hyp"><header>{sections.chip(hypothesis.answer)}<h3>{title}</h3>'
        f'<code class="soft">{text(hypothesis.name)}</code></header><p>{text(hypothesis.reason)}{text(strength)}</p>'
        f"{figures}</section>"
    )


def _figure(plot: Plot, verdict: MeasureVerdict | None) -> str:
    measure = plot.series.measure
    chip = sections.chip(verdict.answer) if verdict and verdict.judged else '<span class="chip info">observed</span>'
    reason = f'<span class="reason">{text(verdict.reason)}</span>' if verdict else ""
    lag = f" · tells about the last {measure.lag:g} s" if measure.lag else ""
    caption = (
        f"<figcaption>{chip}<h3>{text(measure.name)}</h3>"
        f'<span class="soft">{text(measure.probe)}, every {measure.every:g} s{lag}</span>'
        f'<output aria-live="polite"></output>{reason}</figcaption>'
    )
    numbers = sections.numbers(verdict) if verdict else ""
    return f"<figure>{caption}{plot.html()}{numbers}</figure>"
