"""Worker groups: each stage runs where the manifest places it, and never on the head."""

from __future__ import annotations

from pathlib import Path

import pytest

from .given import Place, function, run
from .stage import Stage

NOTES = """

def notes_where(batch):
    import ray

    (HERE / f"first-{ray.get_runtime_context().get_node_id()}").touch()
    return {"one": pa.array([1.0] * len(batch))}


def notes_where_too(batch):
    import ray

    (HERE / f"second-{ray.get_runtime_context().get_node_id()}").touch()
    return mean(batch)
"""


def nodes_of(folder: Path, which: str) -> set[str]:
    return {path.name.removeprefix(f"{which}-") for path in folder.glob(f"{which}-*")}


@pytest.mark.thorough
def test_each_stage_runs_in_its_group_and_the_head_drives_only(groups: Stage, place: Place) -> None:
    first = {
        "name": "one",
        "udf": {
            "entrypoint": "functions.py:notes_where",
            "schema": {"one": "float64"},
            "inputs": ["key"],
        },
        "placement": {"group": "cpu"},
    }
    second = function("notes_where_too", {"group": "gpu", "gpus": 1})
    here = run(place.manifest(function("mean"), name="here"), engine="local")
    cpu = {"group": "cpu"}
    manifest = place.manifest(first, second, name="there", images=cpu, functions=NOTES)
    process = groups.start(manifest)
    out, _ = process.communicate(timeout=250)
    assert (here.status, process.returncode) == (0, 0), out
    assert nodes_of(place.folder, "first") == {groups.node_of("cpu")}
    assert nodes_of(place.folder, "second") == {groups.node_of("gpu")}
    assert place.rows("there").equals(place.rows("here"))
