"""Logs of game days that tests make entry by entry."""

from __future__ import annotations

from typing import Any

from chaosrunner.model import gameday_log as log
from chaosrunner.model.frozen import Frozen
from chaosrunner.model.gameday import AgendaItem, GameDay, Role
from chaosrunner.stages.gameday import agenda_lines

START = 1_800_000_000.0
AGENDA: list[dict[str, Any]] = [
    {"experiment": "slow", "questions": ["Who noticed?", "What was seen?"]},
    {"pause": "10m"},
    {"experiment": "gone", "blind": True},
]


def game_day(agenda: list[dict[str, Any]] | None = None, **spec: Any) -> GameDay:
    good = {"title": "A bad day", "environment": "shop", "agenda": agenda or AGENDA, **spec}
    document = {"apiVersion": "chaosrunner.dev/v1", "kind": "GameDay", "metadata": {"name": "bad"}, "spec": good}
    return GameDay.model_validate(document)


class Book:
    """Entries with times of their own: `at` counts from the start."""

    def __init__(self, day: GameDay | None = None) -> None:
        self.day = day or game_day()
        self.entries: list[log.GameDayEntry] = []
        self.at = 0.0
        titles = [(item.experiment or "", f"the {item.experiment} one") for item in self.agenda]
        roles = {role: self.day.spec.roles.of(role) for role in Role if self.day.spec.roles.of(role)}
        self.add(
            log.Began(
                name="bad",
                title=self.day.spec.title,
                environment="shop",
                environment_class="demo",
                file="bad.yaml",
                agenda=agenda_lines(self.day, titles),
                roles=roles,
                lasts=self.day.spec.lasts,
            )
        )

    @property
    def agenda(self) -> tuple[AgendaItem, ...]:
        return self.day.spec.agenda

    def add(self, *events: Frozen, who: str = "ana", at: float | None = None) -> Book:
        """More entries, a second apart unless told otherwise."""
        for event in events:
            self.at = self.at + 1 if at is None else at
            entry = log.GameDayEntry(id=f"{len(self.entries)}", at=START + self.at, who=who, event=event.as_json())
            self.entries.append(entry)
        return self


def facts(word: str = "HELD", code: int = 0, **more: Any) -> log.Facts:
    answers = {"HELD": "held", "BROKEN": "broken"}
    good: dict[str, Any] = {
        "experiment": "slow",
        "title": "the slow one",
        "word": word,
        "answer": answers.get(word, "inconclusive"),
        "exit_code": code,
        "ending": "finished",
        "summary": f"It {word.lower()}.",
        "began": START + 10,
        "ended": START + 60,
    }
    return log.Facts(**{**good, **more})
