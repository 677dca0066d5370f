"""What can go wrong, as one tree; each error knows how to tell itself in one line.

LancemillError
├── ManifestError          the manifest is wrong; nothing ran                  exit 2
│   └── PlanError          right by itself, wrong for this source or sink
├── RunError               the run failed; says what is kept                   exit 1
│   ├── BudgetExceeded     more rows failed than spec.errors allows
│   ├── ValidationFailed   a spec.validate query did not hold
│   ├── RunConflict        another process is on this run, or the id means other work
│   └── StorageError       a store refused, is missing or cannot be reached
└── Interrupted            stopped on request; can be resumed                  exit 130
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


class ManifestError(LancemillError):
    """The manifest is wrong; nothing ran. Holds every mistake found, not only the first."""

    exit_status = 2

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

    def __init__(self, message: str, *, kept: str = "", remedy: str = "") -> None:
        self.kept = kept
        self.remedy = remedy
        super().__init__(message)


class BudgetExceeded(RunError):
    """More rows failed than `spec.errors` allows."""


class ValidationFailed(RunError):
    """A query of `spec.validate` did not hold on the output; nothing was committed."""


class RunConflict(RunError):
    """Another process works on this run, or the run id belongs to other work."""


class StorageError(RunError):
    """A store refused access, does not exist, or cannot be reached."""


class Interrupted(LancemillError):
    """Stopped on request; what is finished is kept and the run can be resumed."""

    exit_status = 130
