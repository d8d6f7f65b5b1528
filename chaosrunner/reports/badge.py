"""A badge: the last answer of a gate as a small picture (SVG), for a README or a dashboard."""

from __future__ import annotations

from xml.sax.saxutils import escape

from chaosrunner.model.gate import GateAnswer, Passed
from chaosrunner.model.near_miss import CLOSED
from chaosrunner.model.words import State

LABEL = "resilience"
_SAYS = {
    Passed.YES: ("may go out", "#2e7d32"),
    Passed.NO: ("stopped", "#b3261e"),
    Passed.UNKNOWN: ("unknown", "#5f6368"),
}
_NARROW, _WIDE = set("fijlrtI.,:;'|!()[] "), set("mwMW%@")
HEIGHT, EDGE = 20, 7


def badge(answer: GateAnswer) -> str:
    """The picture. It says the answer in a word, so that its colour is never alone."""
    said, colour = _SAYS[answer.passed]
    waiting = sum(each.state not in CLOSED | {State.WAIVED} for each in answer.near_misses)
    said += f" · {waiting} open" if waiting else ""
    left, right = _width(LABEL) + 2 * EDGE, _width(said) + 2 * EDGE
    whole, words = left + right, escape(f"{LABEL}: {said}")
    font = 'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" fill="#fff" lengthAdjust="spacingAndGlyphs"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{HEIGHT}" viewBox="0 0 {whole} {HEIGHT}"'
        f' role="img" aria-label="{words}">',
        f"  <title>{words}</title>",
        f'  <path fill="#3c4043" d="M4 0h{left - 4}v{HEIGHT}H4a4 4 0 0 1-4-4V4a4 4 0 0 1 4-4z"/>',
        f'  <path fill="{colour}" d="M{left} 0h{right - 4}a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4H{left}z"/>',
        f"  <g {font}>",
        f'    <text x="{EDGE}" y="14" textLength="{left - 2 * EDGE}">{LABEL}</text>',
        f'    <text x="{left + EDGE}" y="14" textLength="{right - 2 * EDGE}">{escape(said)}</text>',
        "  </g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _width(words: str) -> int:
    """Roughly, in pixels; `textLength` makes it exact whatever font is there."""
    return round(sum(4.0 if c in _NARROW else 10.0 if c in _WIDE else 6.8 for c in words))
