"""`python -m benchmarks.scale`: what a run of a billion objects asks of its driver.

Each line is a fresh process that does with the product's own code what a run does. A listing is
measured at growing sizes; everything else at the size that a billion objects of 100 KB come to.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "out"
BILLION = 10**9
SHARDS = 100_000
"""Of 10,000 objects, which is the most that one may have."""
GROUPS = 10_090
"""Row groups of the listing: 100 of 10,000 objects, then of 100,000."""
PLAN = (
    ("listing", (100_000, 1_000_000, 10_000_000)),
    ("incremental", (1_000_000, 5_000_000)),
    ("footer", (109, GROUPS)),
    ("ledger", (5_000,)),
    ("account", (10_000, SHARDS)),
    ("faults", (10_000, 1_000_000)),
    ("commit", (1_000, 10_000, SHARDS)),
)
QUICK = 1_000

Figures = dict[str, float]


def main() -> None:
    """Measure, tell and keep everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--only", action="append", metavar="PART")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run at all?")
    given = parser.parse_args()
    found: dict[tuple[str, int], Figures] = {}
    for part, size in _asked(given.only, given.quick):
        figures = found[part, size] = measured(part, size)
        told = "  ".join(f"{name} {value:,.3g}" for name, value in figures.items())
        print(f"{part:<9}{size:>12,}  {told}", flush=True)
    if not given.quick:
        print("\n".join(at_a_billion(found)))
    print(f"\nevery figure: {_save(found)}")


def _asked(only: list[str] | None, quick: bool) -> Iterator[tuple[str, int]]:
    for part, sizes in PLAN:
        if not only or part in only:
            yield from ((part, size) for size in ((QUICK,) if quick else sizes))


def measured(part: str, size: int) -> Figures:
    """One part at one size, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale.parts", part, "--size", str(size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def at_a_billion(found: dict[tuple[str, int], Figures]) -> Iterator[str]:
    """What the largest sizes come to for a billion objects, in lines."""
    largest = {part: figures for (part, _), figures in sorted(found.items())}
    yield f"\na billion objects in {SHARDS:,} shards"
    if listed := largest.get("listing"):
        yield f"  listing: {BILLION / listed['objects_per_s'] / 3600:.1f} h of the driver's CPU"
        yield f"  snapshot: {BILLION * listed['bytes_per_object'] / 1e9:.0f} GB"
        yield f"  cutting it into shards: {BILLION / listed['cut_objects_per_s']:.0f} s"
    if books := largest.get("ledger"):
        yield f"  ledger: at most {books['writes_per_s']:.0f} shards/s, 30 ms away"
        yield f"  reading it back: {SHARDS / books['read_back_per_s']:.0f} s"
        yield f"  ledger's bytes: {SHARDS * books['bytes_per_shard'] / 1e6:.0f} MB"
    if kept := largest.get("account"):
        each = kept["bytes_to_do"] + kept["bytes_done"]
        yield f"  the driver keeps {each:.0f} bytes a shard: {SHARDS * each / 1e6:.0f} MB"
    if failed := largest.get("faults"):
        one_percent = BILLION / 100 * failed["bytes_per_row"] / 1e6
        yield f"  if one row in a hundred fails: {one_percent:.0f} MB more"
    if made := largest.get("commit"):
        yield f"  commit: {made['stage_s'] + made['commit_s']:.0f} s, {made['peak_mb']:.0f} MB"


def _save(found: dict[tuple[str, int], Figures]) -> str:
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"scale-{now:%Y%m%dT%H%M%SZ}.json"
    runs = [{"part": part, "size": size, **figures} for (part, size), figures in found.items()]
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    document = {"time": now.isoformat(timespec="seconds"), "machine": machine, "runs": runs}
    path.write_text(json.dumps(document, indent=1))
    return str(path.relative_to(Path.cwd()))


if __name__ == "__main__":
    main()
