"""What becomes of a row that fails: the rules of `spec.errors`, and the budget that ends a run."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lancemill.errors import BudgetExceeded, RunError
from lancemill.ops.operation import Fault


@dataclass(frozen=True, slots=True)
class Rule:
    """One of `spec.errors.rules`: which faults it takes, and what is done with them."""

    action: str
    stage: str | None = None
    reason: str | None = None
    pattern: re.Pattern[str] | None = None
    attempts: int = 1
    backoff: float = 0.0
    """Seconds before the first further attempt; doubled for each one after it."""

    def takes(self, fault: Fault) -> bool:
        """Whether this rule is for `fault`."""
        return (
            self.stage in (None, fault.stage)
            and self.reason in (None, fault.reason)
            and (self.pattern is None or self.pattern.search(fault.message) is not None)
        )


@dataclass(frozen=True, slots=True)
class FaultPolicy:
    """`spec.errors`, ready to be asked about each fault."""

    on_row: str = "quarantine"
    rules: tuple[Rule, ...] = ()

    def rule_for(self, fault: Fault) -> Rule:
        """The first rule that takes the fault, else the one for all."""
        return next((rule for rule in self.rules if rule.takes(fault)), Rule(self.on_row))

    def final_action(self, rule: Rule) -> str:
        """What is done once a rule has no further attempts."""
        return self.on_row if rule.action == "retry" else rule.action


def policy_of(errors: Any) -> FaultPolicy:
    """The policy that a manifest's `spec.errors` asks for."""
    from lancemill_api.quantities import seconds

    rules = [
        Rule(
            action=rule.action,
            stage=rule.stage,
            reason=rule.match.reason if rule.match else None,
            pattern=re.compile(rule.match.regex) if rule.match and rule.match.regex else None,
            attempts=rule.attempts,
            backoff=seconds(rule.backoff),
        )
        for rule in errors.rules
    ]
    return FaultPolicy(errors.on_row, tuple(rules))


class Budget:
    """Counts failed rows over all attempts of a run, and ends it when too many have failed.

    The run ends as soon as the allowed rate is out of reach: when more rows have failed than
    `max_rate` of all rows of the source, finished or not.
    """

    def __init__(self, rows_total: int, max_rate: float, max_rows: int | None) -> None:
        self.rows_total = rows_total
        self.max_rate = max_rate
        by_rate = int(rows_total * max_rate)
        self.allowed = by_rate if max_rows is None else min(by_rate, max_rows)
        self._max_rows = max_rows
        self._failed = 0
        self._may_pass = 0
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def charge(self, faults: Sequence[tuple[str, str]], may_pass: int = 0) -> None:
        """Count faults given as (reason, message); BudgetExceeded when they are too many.

        So many of them as `may_pass` may not be met by a later attempt: where the others alone are
        within the budget, another attempt may be, too.
        """
        with self._lock:
            self._failed += len(faults)
            self._may_pass += may_pass
            self._reasons.update(faults)
            if self._failed > self.allowed:
                raise BudgetExceeded(
                    self._words(),
                    remedy="mend the rows, exclude them at the "
                    "source, or raise spec.errors.maxRate or maxRows",
                    final=self._failed - self._may_pass > self.allowed,
                )

    def _words(self) -> str:
        (reason, message), count = self._reasons.most_common(1)[0]
        rate = self._failed / max(1, self.rows_total)
        by_rows = self.allowed == self._max_rows
        limit = f"{self._max_rows:,} rows" if by_rows else f"{self.max_rate:.2%}"
        return (
            f"{self._failed:,} of {self.rows_total:,} rows failed ({rate:.2%}, at most {limit}): "
            f"{count:,} x {reason}: {message}"
        )


def failed_run(fault: Fault, key: str) -> RunError:
    """The error that ends a run at a row, where `spec.errors` says so; the next attempt would meet
    the same row."""
    return RunError(
        f"stage {fault.stage} failed on row {key}: {fault.reason}: {fault.message}",
        remedy="spec.errors says fail for it; quarantine sets such rows aside instead",
        final=not fault.may_pass,
    )
