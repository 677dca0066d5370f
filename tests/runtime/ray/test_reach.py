"""What a node finds wrong for its part of a run, each thing on its own; who is asked, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lancemill.engine.prepare import Prepared, prepare_job
from lancemill.engine.ray.brief import Brief, brief_of
from lancemill.engine.ray.cluster import Node, nodes
from lancemill.engine.ray.pools import Pool, pools_of
from lancemill.engine.ray.preflight import Preflight
from lancemill.engine.ray.reach import problems
from lancemill.engine.ray.streams import GROUP_LABEL
from lancemill.engine.ray.units import part_of, units_of
from lancemill.errors import PreflightFailed
from lancemill.manifest import load
from support.onnx_file import write_model

from .given import Place, function

ALL = {"stages": [], "first": None, "ledger": None}
EVERYWHERE = "use a store, or a volume that head and workers share"
SAME_CODE = "put it into the image of every group, or into spec.code"


def prepared(manifest: Path) -> Prepared:
    return prepare_job(load(manifest, ()).job(None))


def brief(of: Prepared, folder: Path) -> Brief:
    """As the driver makes it, with a ledger in `folder`."""
    snapshot = of.source.take_snapshot(str(folder / "source"))
    (folder / "run.json").write_text("{}")
    return brief_of(of, snapshot, None, pools_of(of.plan, grouped=True))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    folder = tmp_path / "ledger"
    folder.mkdir()
    return folder


def told(of: Brief, **part: Any) -> list[str]:
    return [message for message, _, _ in problems(of, {**ALL, **part})]


def test_where_all_is_there_nothing_is_wrong_and_nothing_is_left(
    place: Place, ledger: Path
) -> None:
    made = prepared(place.manifest(function("mean")))
    there = brief(made, ledger)
    stages = [part.place.stage for step in made.plan.steps for part in step.parts]
    before = sorted(ledger.rglob("*"))
    assert problems(there, {"stages": stages, "first": 3, "ledger": str(ledger)}) == []
    assert sorted(ledger.rglob("*")) == before
    assert not (place.folder / "out.lance").exists()


def test_a_ledger_that_only_the_driver_sees_is_told(place: Place, ledger: Path) -> None:
    there = brief(prepared(place.manifest()), ledger)
    elsewhere = ledger.parent / "elsewhere"
    assert problems(there, {**ALL, "ledger": str(elsewhere)}) == [
        (f"the run's ledger is not to be seen here: {elsewhere}", EVERYWHERE, True)
    ]


def test_a_source_s_folder_that_only_the_driver_sees_is_told(place: Place, ledger: Path) -> None:
    there = brief(prepared(place.manifest()), ledger)
    (place.folder / "pictures").unlink()
    (found,) = problems(there, {**ALL, "first": 0})
    assert found == (f"there is no folder {place.folder / 'pictures'} here", EVERYWHERE, True)


def test_a_listing_that_is_not_there_is_told(place: Place, ledger: Path) -> None:
    there = brief(prepared(place.manifest()), ledger)
    for path in (ledger / "source").rglob("*.parquet"):
        path.unlink()
    (words,) = told(there, first=0)
    assert str(ledger) in words


def test_a_file_that_is_gone_is_its_row_s_fault(place: Place, ledger: Path) -> None:
    own = place.folder / "own"
    own.mkdir()
    for path in sorted((place.folder / "pictures").iterdir())[:3]:
        (own / path.name).write_bytes(path.read_bytes())
    there = brief(prepared(place.manifest(source={"objects": {"uri": "own"}})), ledger)
    for path in sorted(own.iterdir())[:1]:
        path.unlink()
    assert told(there, first=0) == []


def test_functions_must_be_those_of_the_driver_and_be_importable(
    place: Place, ledger: Path
) -> None:
    there = brief(prepared(place.manifest(function("mean"))), ledger)
    functions = place.folder / "functions.py"
    good = functions.read_text()
    stage = "stage mean: functions.py:mean"
    functions.write_text(good + "\n# edited\n")
    assert problems(there, {**ALL, "stages": ["mean"]}) == [
        (f"{stage} is other code here than on the driver", SAME_CODE, True)
    ]
    functions.unlink()
    assert problems(there, {**ALL, "stages": ["mean"]}) == [
        (f"{stage}: there is no file {functions}", SAME_CODE, True)
    ]
    assert told(there, stages=["decode"]) == []


def infer(folder: Path, element: str = "int64") -> dict[str, Any]:
    """A stage whose model gives the size as it is."""
    shape = (element, ("n",))
    write_model(
        folder / "same.onnx",
        {"x": shape},
        [("Identity", ["x"], ["out"])],
        {"out": shape},
    )
    asked = {"model": {"uri": "same.onnx"}, "inputs": {"size": "x"}, "outputs": {"out": "same"}}
    return {"name": "same", "infer": asked}


def test_a_model_must_be_the_one_that_was_planned_with(place: Place, ledger: Path) -> None:
    sink = {"lance": {"uri": "out.lance", "columns": ["key", "same"]}}
    manifest = place.manifest(infer(place.folder), sink=sink)
    there = brief(prepared(manifest), ledger)
    assert told(there, stages=["same"]) == []
    model = place.folder / "same.onnx"
    right = there.resolved["same"].sha256
    infer(place.folder, "int32")
    (words,) = told(there, stages=["same"])
    assert words.startswith(f"stage same: {model} has SHA-256 ")
    assert words.endswith(f" here, {right} on the driver")
    model.unlink()
    assert told(there, stages=["same"]) == [f"stage same: there is no file {model}"]
    assert told(there, stages=["fetch", "decode", "small"]) == []


def test_all_that_is_wrong_is_told_together(place: Place, ledger: Path) -> None:
    made = prepared(place.manifest(function("mean")))
    there = brief(made, ledger)
    (place.folder / "functions.py").unlink()
    (place.folder / "pictures").unlink()
    found = problems(there, {"stages": ["mean"], "first": 0, "ledger": "/nowhere/at/all"})
    assert len(found) == 3


# --- who is asked when


class Asked:
    """A preflight on this machine's one node, which plays the nodes of groups."""

    def __init__(self, place: Place, ledger: Path, *, grouped: bool = True) -> None:
        import ray

        gpu = function("mean", {"group": "gpu", "gpus": 1})
        made = prepared(place.manifest(gpu))
        alone = brief(made, ledger)
        cpu, device = alone.pools
        self.pools = (replace(cpu, group="cpu"), device) if grouped else (cpu, no_group(device))
        units = units_of(self.pools)
        self.said: list[str] = []
        parts = {one: part_of(one, self.pools, made.plan, 0, str(ledger)) for one in units}
        brief_there = ray.put(replace(alone, pools=self.pools))
        self.flight = Preflight(units, parts, self.pools, brief_there, self.said.append)
        (self.node,) = nodes()
        has = {"CPU": 2.0}
        self.cpu = replace(self.node, resources=has, labels={GROUP_LABEL: "cpu"})
        self.gpu = replace(self.node, resources={**has, "GPU": 1.0}, labels={GROUP_LABEL: "gpu"})

    def until(self, holds: Any, there: list[Node]) -> None:
        deadline = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < deadline
            self.flight.passed(there)


def no_group(pool: Pool) -> Pool:
    return replace(pool, group=None)


@pytest.fixture
def flight(local_ray: Any, place: Place, ledger: Path) -> Iterator[Asked]:
    made = Asked(place, ledger)
    yield made
    made.flight.close()


def test_workers_that_bring_gpu_nodes_wait_for_the_other_groups_and_rows_for_all(
    flight: Asked,
) -> None:
    there: list[Node] = [flight.cpu]
    assert not flight.flight.may_ask_for_workers(there)
    flight.until(lambda: flight.flight.may_ask_for_workers(there), there)
    assert not flight.flight.passed(there), "the GPU group has said nothing yet"
    assert flight.said == []
    there.append(flight.gpu)
    flight.until(lambda: flight.flight.passed(there), there)
    assert flight.said == ["preflight passed (cpu 1/1, gpu 1/1)"]


def test_gpu_nodes_that_are_there_already_are_not_left_idle(flight: Asked) -> None:
    assert flight.flight.may_ask_for_workers([flight.cpu, flight.gpu])


def test_a_group_that_comes_late_and_cannot_do_its_part_ends_the_run_all_the_same(
    flight: Asked, place: Place
) -> None:
    flight.until(lambda: flight.flight.may_ask_for_workers([flight.cpu]), [flight.cpu])
    (place.folder / "functions.py").unlink()
    with pytest.raises(PreflightFailed) as caught:
        flight.until(lambda: False, [flight.cpu, flight.gpu])
    (line,) = caught.value.problems
    assert line.startswith(f"group gpu, node {flight.node.address}: stage mean: functions.py:mean")
    assert line.endswith(SAME_CODE)


def test_a_node_that_is_gone_is_nobody_s_fault(flight: Asked) -> None:
    gone = replace(flight.cpu, id="a" * len(flight.cpu.id))
    deadline = time.monotonic() + 60
    while flight.flight._open or not flight.flight._seen:
        assert time.monotonic() < deadline
        assert not flight.flight.passed([gone])
    flight.until(lambda: flight.flight.may_ask_for_workers([flight.cpu]), [flight.cpu])


def test_nodes_that_nobody_else_brings_are_asked_for_by_their_check(
    local_ray: Any, place: Place, ledger: Path
) -> None:
    """As an autoscaler would, Ray has a place for it before the driver has seen a node."""
    made = Asked(place, ledger, grouped=False)
    try:
        made.until(lambda: made.flight.may_ask_for_workers([]), [])
        assert not made.flight.passed([]), "its GPU nodes come with the workers"
        made.until(lambda: made.flight.passed([made.gpu]), [made.gpu])
    finally:
        made.flight.close()
    assert made.said == ["preflight passed (nodes 1/1, GPU nodes 1/1)"]
