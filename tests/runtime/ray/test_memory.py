"""A row that needs more memory than there is: set aside, whoever ends the process over it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lancemill.engine.ray.memory import killed_for_memory, used_and_there

from .given import Place, command, function, run

LIMIT = 64 << 20
FUNCTIONS = """

def needs_memory(batch):
    if (HERE / "kills").read_text() in batch.column("key").to_pylist():
        Path((HERE / "cgroup").read_text()).write_text(str(os.getpid()))
        held = []
        while True:
            held.append(np.ones(1 << 20))
    return mean(batch)


def needs_ever_more(batch):
    import time

    if (HERE / "kills").read_text() in batch.column("key").to_pylist():
        held = []
        while len(held) < 200:  # then the machine has more than this test may take
            held.append(np.ones(8 << 20))
            time.sleep(0.05)
    return mean(batch)
"""


MEMINFO = "MemTotal:       8388608 kB\nMemFree:  1 kB\nMemAvailable:    2097152 kB\n"
GIB = 1 << 30
UNLIMITED = str((1 << 63) - 4096)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (6 * GIB, 8 * GIB)),
        ({"memory.max": "max", "memory.current": "1"}, (6 * GIB, 8 * GIB)),
        (
            {
                "memory.max": str(2 * GIB),
                "memory.current": str(GIB),
                "memory.stat": f"anon 5\ninactive_file {GIB // 2}\n",
            },
            (GIB // 2, 2 * GIB),
        ),
        (
            {
                "memory/memory.limit_in_bytes": str(4 * GIB),
                "memory/memory.usage_in_bytes": str(3 * GIB),
                "memory/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB}\n",
            },
            (2 * GIB, 4 * GIB),
        ),
        (
            {"memory/memory.limit_in_bytes": UNLIMITED, "memory/memory.usage_in_bytes": "9"},
            (6 * GIB, 8 * GIB),
        ),
    ],
    ids=["no groups", "v2 without a limit", "v2", "v1", "v1 without a limit"],
)
def test_memory_is_that_of_the_container_where_it_has_less_than_the_machine(
    tmp_path: Path, files: dict[str, str], expected: tuple[int, int]
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    (tmp_path / "meminfo").write_text(MEMINFO)
    assert used_and_there(tmp_path, tmp_path / "meminfo") == expected


@pytest.fixture
def small() -> Iterator[Path]:
    """What a process writes its number to so that it has little memory from then on."""
    for folder, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        mine = folder / f"lancemill-test-{os.getpid()}"
        with suppress(OSError):
            mine.mkdir()
            try:
                (mine / limit).write_text(str(LIMIT))
                yield mine / "cgroup.procs"
            finally:
                remove(mine)
            return
    pytest.skip("no group of processes with a memory limit can be made here: that takes root")


def remove(group: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            group.rmdir()
        except OSError:  # whoever was in it is still ending
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def eater(place: Place) -> Path:
    """A manifest whose function needs memory over a row."""
    return manifest(place, "needs_memory")


def manifest(place: Place, name: str, *more: dict[str, Any]) -> Path:
    place.kills("p105.png")
    return place.manifest(function(name), *more, name="there", functions=FUNCTIONS)


def is_set_aside(place: Place) -> None:
    here = run(place.manifest(function("mean"), name="here"), engine="local")
    assert here.status == 0, here.out
    good = [row for row in place.rows("here").to_pylist() if row["key"] != "p105.png"]
    assert place.rows("there").to_pylist() == good
    row = {"p105.png": ("mean", "WorkerOutOfMemory")}
    assert place.quarantined("there") == place.quarantined("here") | row


@pytest.mark.thorough
def test_a_row_over_which_the_kernel_ends_every_process_for_memory_is_set_aside(
    local_ray: Any, place: Place, eater: Path, small: Path
) -> None:
    (place.folder / "cgroup").write_text(str(small))
    before = killed_for_memory()
    told = run(eater)
    assert told.status == 0, told.out
    assert killed_for_memory() >= before + 4, "two workers, and two children over the row alone"
    assert told.summary["quarantined"] == {"Truncated": 2, "WorkerOutOfMemory": 1}
    is_set_aside(place)


AGAIN = {**function("mean", {"gpus": 1}), "name": "again"}


@pytest.mark.thorough
@pytest.mark.parametrize("more", [(), (AGAIN,)], ids=["a shard's owner", "a stream of its rows"])
def test_a_row_over_which_ray_ends_workers_for_memory_is_set_aside(
    place: Place, more: tuple[dict[str, Any], ...]
) -> None:
    used, there = used_and_there()
    if there - used < 8 << 30:
        pytest.skip("takes some GiB of memory, that this machine has not to spare")
    done = subprocess.run(
        command(manifest(place, "needs_ever_more", *more)),
        env={**os.environ, "RAY_memory_usage_threshold": f"{(used + (4 << 30)) / there:.4f}"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["quarantined"] == {"Truncated": 2, "WorkerOutOfMemory": 1}
    is_set_aside(place)
