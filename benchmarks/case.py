"""What every case does: take its arguments, start its engine, run its job once, say what it took.

A case module has `prepare(arguments) -> job` and ends with `case.main(prepare)`. `prepare` imports
and starts what the job needs, so that the clock of `seconds` runs from the first row to the commit;
the runner measures the whole process from outside.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

Job = Callable[[], int]
"""Does the work and gives the number of rows that it made."""

SIDE = 224
"""Width and height of what every case makes."""
DEVICE_RATE = 500.0
"""Images per second of the simulated device."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments that all cases share; a case may add its own."""
    out = argparse.ArgumentParser(description=description)
    out.add_argument("--input", type=Path, required=True, help="folder with pictures")
    out.add_argument("--out", type=Path, required=True, help="an empty folder for the output")
    out.add_argument("--device", action="store_true", help="put the simulated device behind decode")
    return out


def dataset(out: Path) -> str:
    """Where in `--out` the Lance dataset of a case lies."""
    return str(out / "images.lance")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def start_ray(gpus: int = 0) -> None:
    """A Ray of this process's own, in a folder of its own: never one that happens to run here."""
    import ray

    folder = tempfile.mkdtemp(prefix="bench-", dir="/tmp")
    atexit.register(_stop_ray, folder)
    ray.init(
        address="local",
        num_cpus=cores(),
        num_gpus=gpus,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=folder,
    )


def _stop_ray(folder: str) -> None:
    import ray

    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def main(
    prepare: Callable[[argparse.Namespace], Job],
    arguments: argparse.ArgumentParser,
) -> None:
    """Run one case and print its one JSON line."""
    given = arguments.parse_args()
    job = prepare(given)
    started = time.time()
    rows = job()
    seconds = _committed(given.out) - started
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        json.dumps(
            {
                "rows": rows,
                "seconds": round(seconds, 3),
                "total_seconds": round(time.time() - _born(), 3),
                "cpu_seconds": round(sum((*own[:2], *children[:2])), 3),
                "peak_rss_mb": round((own.ru_maxrss + children.ru_maxrss) / 1024),
            }
        ),
        flush=True,
    )


def _committed(out: Path) -> float:
    """When the dataset was committed: its newest version's time, as the file system knows it.

    What a system does after that (a report, a count) is in its total time only. Now, where a case
    makes no dataset.
    """
    versions = (Path(dataset(out)) / "_versions").glob("*.manifest")
    return max((path.stat().st_mtime for path in versions), default=time.time())


def _born() -> float:
    """When this process was started, by the clock of `time.time`."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    now_up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - (now_up - ticks / os.sysconf("SC_CLK_TCK"))
