"""`python -m benchmarks`: the peers, the limit and Lancemill side by side; see README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.goals import GOALS, Goal
from benchmarks.printout import tables
from benchmarks.runner import Failure, Run, as_json, prepare, run_group
from benchmarks.suite import GROUPS, Group

RESULTS = Path(__file__).parent / "out"
QUICK = 200
PACKAGES = ("lancemill", "pylance", "pyarrow", "daft", "ray", "pillow", "simplejpeg", "lmdb")


def arguments(groups: Sequence[Group], description: str | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, help="of every group; else as the suite says")
    parser.add_argument("--quick", action="store_true", help=f"one round of {QUICK} pictures")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="a group, a case, or group/case: " + ", ".join(group.name for group in groups),
    )
    return parser.parse_args()


def chosen(groups: Sequence[Group], only: list[str] | None) -> list[Group]:
    """The groups, reduced to the cases that were asked for."""
    from dataclasses import replace

    if not only:
        return list(groups)
    kept = [
        replace(
            group,
            cases=tuple(
                case
                for case in group.cases
                if {group.name, case.name, f"{group.name}/{case.name}"} & set(only)
            ),
        )
        for group in groups
    ]
    found = [group for group in kept if group.cases]
    if not found:
        raise SystemExit(f"no group or case is named {', '.join(only)}")
    return found


def save(runs: list[Run], failures: list[Failure]) -> Path:
    """Every figure of every round, with what it was measured on."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    document = {
        "time": now.isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: version(name) for name in PACKAGES},
        "runs": [as_json(run) for run in runs],
        "failures": [as_json(failure) for failure in failures],
    }
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(document, indent=1))
    return path


def main(
    groups: Sequence[Group] = GROUPS,
    goals: Sequence[Goal] = GOALS,
    description: str | None = __doc__,
) -> int:
    """Run what was asked for, tell it, keep it."""
    given = arguments(groups, description)
    prepare()
    runs: list[Run] = []
    failures: list[Failure] = []
    for group in chosen(groups, given.only):
        count = min(QUICK, group.count) if given.quick else group.count
        rounds = 1 if given.quick else given.rounds or group.rounds
        for outcome in run_group(group, count, rounds):
            if isinstance(outcome, Run):
                runs.append(outcome)
                told = f"{outcome.rows / outcome.seconds:.0f} images/s"
            else:
                failures.append(outcome)
                told = f"failed: {outcome.message}"
            print(f"{outcome.group}/{outcome.case} #{outcome.round + 1}: {told}", flush=True)
    print("\n".join(tables(runs, failures, groups, goals)))
    if given.quick:
        print(f"\nwith {QUICK} pictures start-up decides everything: no goal can be judged by this")
    print(f"\nevery figure: {save(runs, failures).relative_to(Path.cwd())}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
