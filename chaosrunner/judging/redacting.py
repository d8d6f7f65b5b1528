"""Takes secrets out of lines of logs before they are kept or shown. Pure.

What looks like one is taken out, rather too much than too little: values of keys that are called like secrets, tokens
by their look, credentials in URLs. Secrets that this process has itself resolved: `chaosrunner.secrets`.
"""

from __future__ import annotations

import re

VEIL = "(secret)"
"""Stands where a secret was."""
_NAMES = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?|authorization|"
    r"cookie|session[-_]?id|signature|sig|auth"
)
_KEYED = re.compile(
    rf"""(?ix)(\b[\w.-]*(?:{_NAMES})["']?\s*[=:]\s*)(?:(?:bearer|basic|digest)\s+)?("[^"]*"|'[^']*'|[^\s,;&"'}})\]]+)"""
)
_LOOKS = (
    re.compile(r"\b(Bearer|Basic)\s+[\w.+/=~-]{6,}", re.IGNORECASE),
    re.compile(r"\b()eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"),
    re.compile(r"\b()(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    re.compile(r"\b()(?:gh[pousr]_|glpat-|glsa_|xox[abprs]-|sk-|NRAK-)[\w-]{8,}"),
    re.compile(r"()-----BEGIN [A-Z ]*PRIVATE KEY-----.*"),
)
_IN_URLS = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:]*:[^\s/@]*@")
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")


def redacted(line: str) -> str:
    """The line without what looks like a secret or a person's address."""
    line = _IN_URLS.sub(rf"\1{VEIL}@", line)
    line = _KEYED.sub(rf"\1{VEIL}", line)
    for look in _LOOKS:
        line = look.sub(lambda found: f"{found[1]} {VEIL}".strip(), line)
    return _MAIL.sub("(mail)", line)
