"""Three pools behind each other: rows pass through all of them, and are those of a laptop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .given import Place, function, run
from .stage import Stage

CPU, GPU = {"group": "cpu"}, {"group": "gpu", "gpus": 1}


PIXELS = """

def one(batch):
    return {"one": mean(batch)["mean"]}


def two(batch):
    note("two")
    return {"two": pa.array([2 * value for value in batch.column("one").to_pylist()])}


def three(batch):
    note("three")
    return {"three": pa.array([value + 1 for value in batch.column("two").to_pylist()])}


def two_dies_once(batch):
    dies_once(batch)
    return two(batch)


def note(what):
    import sys

    if "ray" in sys.modules:
        import ray

        if ray.is_initialized():
            (HERE / f"{what}-{ray.get_runtime_context().get_node_id()}").touch()
"""


def manifest(place: Place, name: str, second: str = "two") -> Path:
    """One stage on CPUs, one on a GPU, and one on CPUs again, each needing the one before."""
    placed = (
        ("one", "one", ["image"], CPU),
        ("two", second, ["key", "image", "one"], GPU),
        ("three", "three", ["two"], CPU),
    )
    more = [
        {**function(call, where, schema={gives: "float64"}, inputs=inputs), "name": gives}
        for gives, call, inputs, where in placed
    ]
    lance = {"uri": f"{name}.lance", "columns": ["key", "one", "two", "three"]}
    return place.manifest(*more, name=name, images=CPU, sink={"lance": lance}, functions=PIXELS)


@pytest.mark.thorough
def test_rows_pass_from_cpus_to_a_gpu_and_back(local_ray: Any, place: Place) -> None:
    here = run(manifest(place, "here"), engine="local")
    place.kills("p207.png")
    there = run(manifest(place, "there", "two_dies_once"))
    assert (here.status, there.status) == (0, 0), there.out
    assert (place.folder / "died").exists(), "nobody was killed"
    assert place.rows("there").equals(place.rows("here"))
    assert place.quarantined("there") == place.quarantined("here")
    made = {one["name"]: (one["rowsIn"], one["pool"]) for one in there.summary["stages"]}
    assert (made["one"], made["two"], made["three"]) == (
        (80, "pool0"),
        (80, "pool1"),
        (80, "pool2"),
    )


@pytest.mark.thorough
def test_the_pools_that_share_a_group_do_not_take_each_other_s_place(
    groups: Stage, place: Place
) -> None:
    here = run(manifest(place, "here"), engine="local")
    for note in place.folder.glob("t*-*"):
        note.unlink()
    process = groups.start(manifest(place, "there"))
    out, _ = process.communicate(timeout=250)
    assert (here.status, process.returncode) == (0, 0), out
    assert [path.name for path in place.folder.glob("two-*")] == [f"two-{groups.node_of('gpu')}"]
    assert [path.name for path in place.folder.glob("three-*")] == [
        f"three-{groups.node_of('cpu')}"
    ]
    assert place.rows("there").equals(place.rows("here"))
    assert place.quarantined("there") == place.quarantined("here")
