"""Who leads through a game day: at most one terminal, of all machines that share its log.

On one machine the kernel says so: a lock that goes with its process. Between machines the shared register does: a lease
that is renewed every few seconds by a thread, and counts for a while longer. Whoever cannot renew it stops leading well
before it ends, so that nobody else begins while something of theirs may still be in force.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from chaosrunner.app.desk import Tell
from chaosrunner.app.gamedays import DayBook, Elsewhere, shared_days
from chaosrunner.clock import Clock
from chaosrunner.errors import NotPossibleNow
from chaosrunner.person import who
from chaosrunner.records.light import dataclass
from chaosrunner.store.machine import Lock


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of a lease."""

    counts: float = 60.0
    """After its last renewal others may take over."""
    doubtful: float = 40.0
    """After its last renewal its holder leads no more; the rest is for taking back what is in force."""
    beat: float = 5.0
    """Between two renewals."""


PACE = Pace()


class Lead:
    """The lead of one game day, of one facilitator's process."""

    def __init__(self, book: DayBook, folder: Path, clock: Clock, tell: Tell, pace: Pace = PACE) -> None:
        """`folder`: of the game day, on this machine."""
        assert book.local is not None
        self._id = book.id
        self._book = book
        self._lock: Lock = book.local.lead
        self._shared: Elsewhere | None = shared_days()
        self._folder = folder
        self._clock = clock
        self._tell = tell
        self._pace = pace
        self._who = who()
        self._has_it = False
        self._token = ""
        self._unheard_of_since = float("inf")
        self._fresh = float("-inf")
        """When the last renewal that counts was asked for."""
        self._shared_once = False
        """Whether the shared register ever said that we lead."""
        self.lost_to = ""
        """Who leads now, where somebody has taken over; empty: nobody has."""
        self.before = ""
        """Who led last, where it was somebody else, or on another machine; empty: nobody did."""
        self._over = threading.Event()
        self._beating: threading.Thread | None = None
        book.held_back = self._shared is not None and book.is_new

    def take(self) -> str:
        """Take the lead; who else has it, empty: we have. Raises `NotPossibleNow` where a game day goes on and nothing
        can say whether somebody leads it elsewhere."""
        if self._has_it:
            return ""
        self._folder.mkdir(parents=True, exist_ok=True)  # by us: a lock would make it its owner's alone
        last = _last_holder(self._lock)
        if not self._lock.take({"who": self._who}):
            return str((self._lock.holder or {}).get("who", "somebody"))
        try:
            other = self._take_shared()
        except BaseException:
            self._lock.drop()
            raise
        if other:
            self._lock.drop()
            return other
        self._has_it = True
        if not self.before and last != self._who:
            self.before = last
        if self._shared is not None:
            self._beating = threading.Thread(target=self._beat, name="keeps the lead", daemon=True)
            self._beating.start()
        return ""

    def _take_shared(self) -> str:
        if self._shared is None:
            return ""
        asked = self._clock.monotonic()
        try:
            led = self._shared.led(self._id)
            if led is None and self._may_be_unheard_of(asked):
                return "the one who began it"
            self._token = self._own_token()
            taken = self._shared.take(self._id, self._token, self._who, self._pace.counts)
        except NotPossibleNow as error:
            if not self._book.is_new:
                raise NotPossibleNow(
                    f"whether somebody leads through {self._id} on another machine cannot be told: {error}"
                ) from error
            self._token = self._own_token()
            self._tell(f"whoever follows from another machine waits: {error}")
            return ""
        if taken.token != self._token:
            return taken.who
        self.before = led.who if led is not None and (led.token != self._token or led.who != self._who) else ""
        self._has(asked)
        return ""

    def _may_be_unheard_of(self, now: float) -> bool:
        """Whether whoever began it on another machine may lead although the register does not know who does: it was out
        of reach then, and others have brought the log there. The next beat tells."""
        if self._book.is_new or self._token_file.exists():
            return False
        self._unheard_of_since = min(self._unheard_of_since, now)
        return now - self._unheard_of_since < 2 * self._pace.beat

    @property
    def _token_file(self) -> Path:
        return self._folder / "lead.token"

    def _own_token(self) -> str:
        """What this state folder is known by: whoever goes on in it after a death is the same, as its lock says."""
        if self._token:
            return self._token
        path = self._token_file
        with suppress(OSError):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w") as stream:
                stream.write(secrets.token_hex(16))
        try:
            return path.read_text().strip() or secrets.token_hex(16)
        except OSError:
            return secrets.token_hex(16)

    def _has(self, asked: float) -> None:
        self._fresh = asked
        self._shared_once = True
        self._book.held_back = False

    # -- keeping it

    def _beat(self) -> None:
        while not self._over.wait(self._pace.beat) and not self.lost_to:
            with suppress(NotPossibleNow):
                self._renew()

    def _renew(self) -> None:
        shared = self._shared
        assert shared is not None
        asked = self._clock.monotonic()
        if self._shared_once:
            led = shared.renew(self._id, self._token, self._pace.counts)
        else:
            led = shared.take(self._id, self._token, self._who, self._pace.counts)
        if led is None or led.token != self._token:
            self.lost_to = led.who if led is not None else "somebody else"
        elif not self._over.is_set():
            self._has(asked)

    @property
    def trouble(self) -> str:
        """Why we may not lead now, in words; empty: we may."""
        if self.lost_to:
            return f"{self.lost_to} has taken over"
        silent = self._clock.monotonic() - self._fresh
        if self._shared_once and silent > self._pace.doubtful:
            return f"the register has been out of reach for {silent:.0f} s, so somebody else may take over"
        return ""

    def confirm(self) -> None:
        """Before anything is broken: ask once more. Raises `NotPossibleNow` where we may not lead."""
        if self._shared is not None:
            with suppress(NotPossibleNow):
                self._renew()
        if self.trouble:
            raise NotPossibleNow(self.trouble)

    def drop(self) -> None:
        """Lead no more; idempotent. What was written is brought to the shared register before."""
        self._over.set()
        if self._beating is not None:
            self._beating.join(timeout=2 * self._pace.beat)
            self._beating = None
        if self._shared is not None and self._shared_once and not self.lost_to:
            with suppress(NotPossibleNow):  # then it ends by itself
                self._shared.let_go(self._id, self._token)
            self._shared_once = False
        self._lock.drop()
        self._has_it = False
        if self._shared is not None:
            self._shared.close()


def _last_holder(lock: Lock) -> str:
    """Who took a lock last, as they wrote into it; empty: nobody, or it cannot be read."""
    try:
        found = json.loads(lock.path.read_text())
    except (OSError, ValueError):
        return ""
    return str(found.get("who", "")) if isinstance(found, dict) else ""
