"""Everything that can go wrong, as one tree. Each error says who has to act and carries the exit code it leads to.

ChaosrunnerError
├── UsageError              the command line or a file is wrong; nothing was started          exit 2
│   ├── FileProblems        one or many mistakes in files, each with its place
│   ├── ManyRuns            an experiment with a matrix was asked for as if it were one run
│   └── NotAccepted         a service was told something that it will never take
├── Refused                 a guard, or what is there, forbids it; nothing was injected        exit 4
│   └── CannotDoHonestly    a fault that this platform or target cannot do as asked
│       └── RedundancyMissing   … because there is nothing that could take over: an unsafe condition
├── NotPossibleNow          something outside did not answer; try again                        exit 3
│   ├── Busy                another run holds the target
│   ├── Patience            it asks to be left alone for a while
│   └── OutcomeUnknown      it was asked for a change and gave no answer: look before asking again
├── FaultFailed             a fault did not do what it should; an event of the run             exit 3
│   └── BarrierHeld         … because a protection of the system kept it from it               exit 3
├── RunbookFailed           a runbook's check or apply did not come to its end                 exit 3
│   └── RunbookHalted       … because a person or a signal stopped it                          exit 6
├── UndoFailed              a fault may still be in force                                      exit 7
├── NoReading               the instrument failed: there is no reading, and why                (a value, not an exit)
├── NoAnswer                the system under test did not answer: that is a reading            (a value, not an exit)
├── PluginDefect            a plugin breaks its contract                                       exit 70
└── JournalFailed           the journal cannot be written or read                              exit 3
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from chaosrunner.records.light import dataclass


class ChaosrunnerError(Exception):
    """Base of all expected failures. `str()` is a sentence for the user: what, where, what was expected."""

    exit_code = 70


class UsageError(ChaosrunnerError):
    """The command or a file is wrong and nothing was started: correct it and call again."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file, at a place that an editor can jump to. Lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    expected: str = ""
    nearest: str = ""
    path: str = field(default="", compare=False)
    rule: str = field(default="", compare=False)
    """The name of the rule that it breaks, of `chaosrunner/files/rules.py`; empty: none in particular."""

    def __str__(self) -> str:
        parts = [self.message]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.nearest:
            parts.append(f"did you mean {self.nearest!r}?")
        return f"{self.file}:{self.line}:{self.column}: " + ", ".join(parts)


class FileProblems(UsageError):
    """One or many mistakes in files; all of them are reported at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ManyRuns(UsageError):
    """An experiment stands for several runs, one for each combination of its matrix, and it was not said which."""


class NotAccepted(UsageError):
    """A service does not take what it was told, and never will: telling it again changes nothing."""


class Refused(ChaosrunnerError):
    """A guard, or what was found, forbids the run; nothing was injected."""

    exit_code = 4


class CannotDoHonestly(Refused):
    """This fault cannot be done here as the file asks; the text says why and what would work instead."""


class RedundancyMissing(CannotDoHonestly):
    """There is nothing that could take over (one replica, one zone): refused, and recorded as an unsafe condition.
    `subject` is what has no redundancy, without anything that changes from run to run (`shop/deployment/cart`)."""

    def __init__(self, message: str, subject: str = "") -> None:
        super().__init__(message)
        self.subject = subject


class NotPossibleNow(ChaosrunnerError):
    """Something outside did not answer or is not there; the same call may work later."""

    exit_code = 3


class Busy(NotPossibleNow):
    """Another run acts on the same target; wait for it, or halt it."""


class Patience(NotPossibleNow):
    """It did nothing, and asks to be left alone for so many seconds."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class OutcomeUnknown(NotPossibleNow):
    """Something outside was asked to change something, and no answer came: it may have been done. Whoever asks again
    looks first."""


class FaultFailed(ChaosrunnerError):
    """A fault did not do what it should. The run records it, undoes what it can, and is inconclusive."""

    exit_code = 3


class BarrierHeld(FaultFailed):
    """A protection of the system under test (a disruption budget) did not let the fault happen: it did its work. The
    run records it as such, and is inconclusive."""


class RunbookFailed(ChaosrunnerError):
    """A runbook's check could not be completed, or applying it failed. `output` is what its tool said; `changed` tells
    what had been changed by then, one line each, as far as that is known."""

    exit_code = 3

    def __init__(self, message: str, output: str = "", changed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.output = output
        self.changed = tuple(changed)


class RunbookHalted(RunbookFailed):
    """A person or a signal stopped a runbook before its end; what it had changed by then stays."""

    exit_code = 6


class UndoFailed(ChaosrunnerError):
    """A fault could not be taken back and may still be in force; `commands` are what a person can run by hand."""

    exit_code = 7

    def __init__(self, message: str, commands: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.commands = tuple(commands)


class NoReading(ChaosrunnerError):
    """The instrument failed (a metrics server that is down, NaN, an empty result): there is no reading, and why."""

    exit_code = 3


class NoAnswer(ChaosrunnerError):
    """The system under test refused, reset or did not answer in time: a reading that meets no tolerance."""

    exit_code = 3


class PluginDefect(ChaosrunnerError):
    """A plugin breaks its contract; the text names the plugin, the rule and what was found."""


class JournalFailed(ChaosrunnerError):
    """The journal cannot be written or read. A run that cannot write it undoes everything and stops."""

    exit_code = 3
