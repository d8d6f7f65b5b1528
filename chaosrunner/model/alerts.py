"""Alerts as the systems say them that evaluate and route them, and matchers that choose among them.

Matchers are Alertmanager's: `service="checkout"`, `severity!="none"`, `pod=~"checkout-.*"`, `team!~"a|b"`; the quotes
may be left out. A regular expression must match a label's whole value, and a label that is not there is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from chaosrunner.model.marks import AfterValidator
from chaosrunner.records.light import dataclass
from chaosrunner.records.patterns import pattern

AlertState = Literal["pending", "firing", "silenced"]
"""`silenced`: it fires, and Alertmanager keeps it from people (a silence, or an inhibition)."""
_MATCHER = pattern(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"\s]*))')
_LITERAL = pattern(r"(?:[\w:/@ -]|\\[^a-zA-Z0-9])(?![*?{])")
"""How a regular expression begins that does not match whatever comes."""


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert that fires, or is about to."""

    name: str
    labels: Mapping[str, str]
    state: AlertState
    since: float | None = None
    """Wall time since which its source calls it active: for Prometheus from pending on."""

    @property
    def firing(self) -> bool:
        """Whether it fires, silenced or not."""
        return self.state != "pending"

    @property
    def identity(self) -> str:
        """What makes it another one than the others of its name."""
        return ",".join(f"{key}={value}" for key, value in sorted(self.labels.items()))


@dataclass(frozen=True, slots=True)
class RuleState:
    """An alerting rule as Prometheus evaluates it now."""

    alert: str
    waits: float = 0.0
    """Its `for`, seconds."""
    every: float = 0.0
    """Seconds from one evaluation to the next; 0: not known."""
    trouble: str = ""
    """Why its silence means nothing: it is not there, fails, or was not evaluated lately."""


@dataclass(frozen=True, slots=True)
class AlertsLook:
    """What a source says of its alerts now."""

    alerts: Sequence[ActiveAlert]
    rules: Sequence[RuleState] = ()
    """Of those that were asked about."""


@dataclass(frozen=True, slots=True)
class RulesCount:
    """How many alerting rules a source has, and after how many seconds the quickest could fire: its `for` and two
    evaluations."""

    rules: int
    quickest: float | None


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label."""

    label: str
    operator: Literal["=", "!=", "=~", "!~"]
    value: str

    def __str__(self) -> str:
        quoted = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.label}{self.operator}"{quoted}"'

    @property
    def is_regex(self) -> bool:
        """Whether its value is a regular expression."""
        return self.operator in ("=~", "!~")

    @property
    def is_equal(self) -> bool:
        """Whether what matches is meant; otherwise what does not."""
        return self.operator in ("=", "=~")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is meant."""
        return self.takes(labels.get(self.label, "")) is self.is_equal

    def takes(self, value: str) -> bool:
        """Whether its value is this one, or its expression matches all of it."""
        return re.fullmatch(self.value, value) is not None if self.is_regex else value == self.value

    @property
    def names(self) -> bool:
        """Whether it says which alerts are meant, instead of which are not, or all that have the label: each
        alternative begins with a letter that must be there."""
        if not self.is_equal:
            return False
        if not self.is_regex:
            return bool(self.value)
        return not self.takes("") and all(_LITERAL.match(part) for part in _alternatives(self.value))


def _alternatives(expression: str) -> list[str]:
    """Of a regular expression, `a|b` and `(a|b)`; one with further groups is not taken apart, and names nothing."""
    bare = expression.removeprefix("^").removesuffix("$")
    if bare.startswith("(") and bare.endswith(")"):
        bare = bare[1:-1].removeprefix("?:")
    return [""] if "(" in bare or ("[" in bare and "|" in bare) else bare.split("|")


def parse_matcher(text: str) -> Matcher:
    """Raises ValueError in words for the author of the file."""
    found = _MATCHER.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'expected a matcher such as service="checkout" or severity=~"page|ticket", found {text!r}')
    label, operator, quoted, bare = found.groups()
    value = re.sub(r"\\(.)", lambda one: "\n" if one[1] == "n" else one[1], quoted) if quoted is not None else bare
    if operator in ("=~", "!~"):
        value = quoted.replace('\\"', '"').replace("\\\\", "\\") if quoted is not None else bare
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"the regular expression of {text!r} is wrong: {error}") from None
    return Matcher(label, operator, value)  # type: ignore[arg-type]  # the pattern has no other operators


def _written(text: str) -> str:
    return str(parse_matcher(text))


MatcherText = Annotated[str, AfterValidator(_written)]
"""A matcher as files write it."""


def narrow(texts: Sequence[str]) -> tuple[str, ...]:
    """The matchers of a silence. Raises ValueError where they would silence everything, or everything but something."""
    matchers = [parse_matcher(text) for text in texts]
    if not any(matcher.names for matcher in matchers):
        given = ", ".join(map(str, matchers)) or "nothing"
        raise ValueError(
            f"{given} would silence alerts that have nothing to do with this experiment: expected at least one matcher "
            'that says which are meant, such as service="checkout"'
        )
    return tuple(map(str, matchers))


def naming(texts: Iterable[str], names: Iterable[str]) -> bool:
    """Whether any of the matchers names one of these."""
    known = [name for name in names if name]
    return any(matcher.names and any(map(matcher.takes, known)) for matcher in map(parse_matcher, texts))


def comment_of(run: str, experiment: str, environment: str) -> str:
    """What a run's silences are found by: nothing else may stand in it that could change."""
    return f"chaosrunner run {run}: experiment {experiment} on {environment}"


_COMMENT = pattern(r"chaosrunner run (?P<run>\S+): experiment \S+ on (?P<environment>\S+)")


@dataclass(frozen=True, slots=True)
class SilenceFound:
    """A silence of ours that has not ended, whoever made it."""

    id: str
    comment: str
    ends_at: float
    """Wall time."""

    @property
    def run(self) -> str:
        """Whose it is; empty: not a run's, or one of an earlier version that does not say where."""
        said = _COMMENT.fullmatch(self.comment)
        return said["run"] if said else ""

    @property
    def environment(self) -> str:
        """Where its run was under way."""
        said = _COMMENT.fullmatch(self.comment)
        return said["environment"] if said else ""
