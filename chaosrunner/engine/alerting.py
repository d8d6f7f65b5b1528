"""Watches alerts while a run lasts, and writes down what changes: judging comes later.

Each source is looked at by itself, so that one that hangs holds up no other. Only changes are written, and when a
source begins or ceases to answer: an alert that fires for hours is one line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from chaosrunner.clock import Clock
from chaosrunner.engine.leash import Leash
from chaosrunner.engine.recorder import Recorder
from chaosrunner.engine.stop import Stop
from chaosrunner.model.alerts import ActiveAlert, AlertsLook, RulesCount, RuleState
from chaosrunner.model.journal import AlertRuleSeen, AlertSeen, AlertsRead, Entry, FaultInForce, Noted
from chaosrunner.model.plan import Plan
from chaosrunner.records.light import dataclass

MOST = 300
"""Alerts of one source that are written of one by one; of others only those that are expected."""
TICK = 0.1
"""Seconds between two looks at whether there is still something to wait for."""


Seen = Literal["pending", "firing", "silenced", "gone"]


class AlertSource(Protocol):
    """Where alerts can be read."""

    @property
    def name(self) -> Literal["prometheus", "alertmanager"]:
        """Which of the two it is."""

    @property
    def patience(self) -> float:
        """Seconds that a look may take."""

    async def look(self, expected: Sequence[str]) -> AlertsLook:
        """All active alerts now, and the rules of the expected ones. Raises a `ChaosrunnerError` if it cannot say."""

    async def count(self) -> RulesCount | None:
        """Its alerting rules; None: it has none by nature."""


@dataclass(slots=True)
class _Expected:
    """An alert that a step should raise."""

    alert: str
    labels: Mapping[str, str]
    source: str
    within: float
    in_force: float | None = None
    fired: bool = False

    def is_meant(self, alert: ActiveAlert) -> bool:
        return alert.name == self.alert and all(alert.labels.get(key) == value for key, value in self.labels.items())


class AlertLooks:
    """One run's eyes on all sources."""

    def __init__(self, plan: Plan, sources: Sequence[AlertSource], recorder: Recorder, clock: Clock) -> None:
        self._every = plan.environment.spec.alerts.every
        self._recorder = recorder
        self._clock = clock
        self._leash = Leash()
        self._expected = {
            fault.id: _Expected(
                fault.expect_alert.name,
                fault.expect_alert.labels,
                fault.expect_alert.source or sources[0].name,
                fault.expect_alert.within,
            )
            for fault in plan.faults
            if fault.expect_alert is not None
        }
        self._watched = [_Watched(source, self._names, recorder) for source in sources]

    @property
    def _names(self) -> Sequence[str]:
        return sorted({each.alert for each in self._expected.values()})

    def on_entry(self, entry: Entry) -> None:
        """Take note of the first moment that a step is in force."""
        if isinstance(entry.event, FaultInForce):
            expected = self._expected.get(entry.event.fault.rpartition("/")[0])
            if expected is not None and expected.in_force is None:
                expected.in_force = entry.t

    async def run(self) -> None:
        """Look until cancelled."""
        await asyncio.gather(*(self._watch(watched) for watched in self._watched))

    async def _watch(self, watched: _Watched) -> None:
        while True:
            began = self._recorder.t
            source = watched.source
            if watched.rules is None:
                counted = await self._leash.ask(source.count(), source.patience)
                watched.rules = (counted.value,) if counted.error is None else None
            asked = await self._leash.ask(source.look(self._names), source.patience)
            if asked.value is None:
                watched.fails(asked.trouble, began)
            else:
                watched.sees(asked.value, began)
                self._take_note(source.name, asked.value.alerts)
            await self._clock.sleep(began + self._every - self._recorder.t)

    def _take_note(self, source: str, alerts: Sequence[ActiveAlert]) -> None:
        for each in self._expected.values():
            if each.in_force is not None and each.source == source:
                each.fired = each.fired or any(alert.firing and each.is_meant(alert) for alert in alerts)

    async def until_settled(self, stop: Stop) -> None:
        """Wait until each expected alert has fired, or is too late; a halt cuts it short."""
        while any(map(self._is_awaited, self._expected.values())) and not await stop.wait_for_halt(TICK):
            continue

    def _is_awaited(self, expected: _Expected) -> bool:
        if expected.in_force is None or expected.fired:
            return False
        looks = (watched for watched in self._watched if watched.source.name == expected.source)
        # A look that began after the limit says that it is too late; one that hangs is not waited for.
        over = expected.in_force + expected.within
        seen = any(watched.began is not None and watched.began > over for watched in looks)
        return not seen and self._recorder.t < over + 2 * self._every + TICK

    def close(self) -> None:
        """Write down until when each source was seen."""
        for watched in self._watched:
            watched.close()


class _Watched:
    """One source, and how it was at the last look."""

    def __init__(self, source: AlertSource, expected: Sequence[str], recorder: Recorder) -> None:
        self.source = source
        self.rules: tuple[RulesCount | None] | None = None
        """As it said when it was asked; None: it has not said yet."""
        self.began: float | None = None
        """Of the last look that it answered."""
        self._ended = 0.0
        self._expected = set(expected)
        self._recorder = recorder
        self._trouble: str | None = None
        """Of the last look; None: there was none."""
        self._told: AlertsRead | None = None
        self._alerts: dict[str, ActiveAlert] = {}
        self._rule_states: dict[str, RuleState] = {}
        self._many = False

    def fails(self, trouble: str, began: float) -> None:
        """It did not say."""
        if self._trouble == "":
            self.close()  # until when it did
        if not self._trouble:
            self._tell(began, self._recorder.t, trouble)
        self._trouble = trouble

    def sees(self, look: AlertsLook, began: float) -> None:
        """It said which alerts are active."""
        ended, first = self._recorder.t, self._trouble != ""
        self._note_rules(look.rules)
        if first:
            self._tell(began, ended, "")
        self._note_changes({f"{alert.name}|{alert.identity}": alert for alert in look.alerts}, ended)
        self.began, self._ended, self._trouble = began, ended, ""

    def close(self) -> None:
        """Write down the last look that was answered."""
        if self.began is not None and self._trouble == "" and self._told is not None and self._told.began != self.began:
            self._tell(self.began, self._ended, "")

    def _tell(self, began: float, ended: float, trouble: str) -> None:
        counted = self.rules[0] if self.rules is not None else None
        self._told = AlertsRead(
            source=self.source.name,
            began=began,
            ended=ended,
            trouble=trouble,
            rules=counted.rules if counted is not None else None,
            quickest=counted.quickest if counted is not None else None,
        )
        self._recorder.record(self._told)

    def _note_rules(self, rules: Sequence[RuleState]) -> None:
        for rule in rules:
            before = self._rule_states.get(rule.alert)
            # What is said of a trouble may change with each look (how long ago); that there is one is what counts.
            if before is None or (before.waits, before.every, bool(before.trouble)) != (
                rule.waits,
                rule.every,
                bool(rule.trouble),
            ):
                self._recorder.record(
                    AlertRuleSeen(alert=rule.alert, waits=rule.waits, every=rule.every, trouble=rule.trouble)
                )
            self._rule_states[rule.alert] = rule

    def _note_changes(self, now: dict[str, ActiveAlert], ended: float) -> None:
        before = {key: alert.state for key, alert in self._alerts.items()}
        changed = [key for key, alert in now.items() if before.get(key) != alert.state]
        gone = [key for key in self._alerts if key not in now]
        if len(changed) + len(gone) > MOST and not self._many:
            self._many = True
            words = f"{self.source.name} has very many alerts: only those that are expected are written down"
            self._recorder.record(Noted(who="chaosrunner", text=words))
        for key in changed:
            self._change(now[key], now[key].state, ended)
        for key in gone:
            self._change(self._alerts[key], "gone", ended)
        self._alerts = now

    def _change(self, alert: ActiveAlert, state: Seen, ended: float) -> None:
        if self._many and alert.name not in self._expected:
            return
        self._recorder.record(
            AlertSeen(
                source=self.source.name,
                alert=alert.name,
                labels={key: value for key, value in alert.labels.items() if key != "alertname"},
                state=state,
                since=alert.since,
                after=self.began,
                ended=ended,
            )
        )
