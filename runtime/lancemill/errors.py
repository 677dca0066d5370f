"""What can go wrong, as one tree; each error knows how to tell itself in one line.

LancemillError
├── ManifestError          the manifest is wrong; nothing ran                  exit 2
│   └── PlanError          right by itself, wrong for this source or sink
├── RunError               the run failed; says what is kept                   exit 1
│   ├── BudgetExceeded     more rows failed than spec.errors allows
│   ├── PreflightFailed    a worker group cannot do its part; no row was done    exit 2
│   ├── ValidationFailed   a spec.validate query did not hold
│   ├── RunConflict        another process is on this run, or the id means other work
│   │   └── Overtaken      another attempt has taken the run over                exit 3
│   └── StorageError       a store refused, is missing or cannot be reached
└── Interrupted            stopped on request; can be resumed                  exit 130
    └── GaveUp             stopped by a limit: deadline, stall; can be resumed   exit 4
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lancemill_api.mistakes import Mistake as Mistake


class LancemillError(Exception):
    """Root of everything that Lancemill raises on purpose."""

    exit_status = 1
    kept = ""
    """What a resumed run will find."""
    remedy = ""
    """How to go on."""
    final = False
    """Whether the same run, gone on with, would end in the same way."""


class ManifestError(LancemillError):
    """The manifest is wrong; nothing ran. Holds every mistake found, not only the first."""

    exit_status = 2
    final = True

    def __init__(self, mistakes: Iterable[Mistake], source: str = "") -> None:
        self.mistakes: Sequence[Mistake] = tuple(mistakes)
        self.source = source
        super().__init__("; ".join(str(mistake) for mistake in self.mistakes))


class PlanError(ManifestError):
    """The manifest is right by itself, but its stages, source and sink do not fit together."""

    @classmethod
    def at(cls, path: str, message: str) -> PlanError:
        """The error for a single mistake at `path`."""
        return cls([Mistake(path, message)])


class RunError(LancemillError):
    """The run failed."""

    def __init__(
        self, message: str, *, kept: str = "", remedy: str = "", final: bool | None = None
    ) -> None:
        self.kept = kept
        self.remedy = remedy
        self.final = type(self).final if final is None else final
        super().__init__(message)


class BudgetExceeded(RunError):
    """More rows failed than `spec.errors` allows."""

    final = True


class PreflightFailed(RunError):
    """A worker group cannot do its part of the run; this attempt has done no row."""

    exit_status = 2

    def __init__(self, problems: Sequence[str], *, final: bool) -> None:
        """`problems`: a line each, with group, node and what would be right."""
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems), final=final)


class ValidationFailed(RunError):
    """A query of `spec.validate` did not hold on the output; nothing was committed."""

    final = True


class RunConflict(RunError):
    """Another process works on this run, or the run id belongs to other work."""


class Overtaken(RunConflict):
    """Another attempt has taken this run over: what this one does counts for nothing."""

    exit_status = 3


class StorageError(RunError):
    """A store refused access, does not exist, or cannot be reached."""

    problem = "Other"
    """Which of the problems that a program tells apart: AccessDenied, BucketMissing,
    StorageUnsupported (what it cannot do is needed) or Other."""


class Interrupted(LancemillError):
    """Stopped on request; what is finished is kept and the run can be resumed."""

    exit_status = 130


class GaveUp(Interrupted):
    """Stopped by a limit of its own: it was late, or stood still. As resumable."""

    exit_status = 4

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(message)
