"""Before rows: what worker groups cannot do is told at once, with group, node and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from lancemill.engine.ray import preflight
from support.servers import S3Server, s3_server

from .given import Place, Told, function, run
from .stage import LABEL, Stage

SAME_IMAGE = "use one image for head and workers"
LACKS = (
    "stage first: lacks.py:mean cannot be imported: ModuleNotFoundError: No module named "
    "'nowhere': put it into the image, or into spec.requirements"
)
OTHER = {"group": "other"}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server("vault") as server:
        server.demand_credentials()
        yield server


@pytest.fixture(scope="module")
def mixed(groups: Stage, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The cluster with one group more, that has other packages and a wrong secret."""
    path = other_packages(tmp_path_factory.mktemp("other"))
    environment = {**s3.env(), "AWS_SECRET_ACCESS_KEY": "canary", "PYTHONPATH": str(path)}
    node = groups.cluster.add_node(
        num_cpus=1, labels={LABEL: "other"}, env_vars=environment, object_store_memory=80 << 20
    )
    yield groups
    groups.cluster.remove_node(node)


def other_packages(folder: Path) -> Path:
    """Found before the installed ones: another pyarrow, by what it says of itself, and a
    simplejpeg that cannot be imported."""
    told = folder / "pyarrow-17.0.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: pyarrow\nVersion: 17.0.0\n")
    (folder / "simplejpeg.py").write_text("raise ImportError('libjpeg.so.8: not found')\n")
    return folder


def lacking(place: Place) -> dict[str, Any]:
    """A stage of the CPU group whose module imports another one that is nowhere."""
    (place.folder / "lacks.py").write_text("import nowhere\n\n\ndef mean(batch): ...\n")
    return {**function("mean", {"group": "cpu"}, entrypoint="lacks.py:mean"), "name": "first"}


def run_on(stage: Stage, manifest: Path) -> Told:
    """`lancemill run` on the cluster, in a process of its own."""
    process = stage.start(manifest)
    out, _ = process.communicate(timeout=250)
    return Told(process.returncode, out)


def address() -> str:
    import ray

    return str(ray.util.get_node_ip_address())


@pytest.mark.thorough
def test_a_run_says_how_many_nodes_of_each_group_have_passed(groups: Stage, place: Place) -> None:
    gpu = function("mean", {"group": "gpu", "gpus": 1})
    told = run_on(groups, place.manifest(gpu, images={"group": "cpu"}))
    assert told.status == 0, told.out
    assert "preflight passed (cpu 1/1, gpu 1/1)" in told.notes
    runs = place.folder / "out.lance.runs"
    assert not [path for path in runs.rglob("*") if "probe" in path.name]


@pytest.mark.thorough
def test_other_packages_than_the_driver_s_are_told_before_rows(mixed: Stage, place: Place) -> None:
    told = run_on(mixed, place.manifest(images=OTHER))
    assert told.status == 2, told.out
    installed = ".".join(version("pyarrow").split(".")[:2])
    at = f"group other, node {address()}: "
    assert told.summary["message"].split("; ") == [
        f"{at}pyarrow 17.0 here, {installed} on the driver: {SAME_IMAGE}",
        f"{at}stage decode needs simplejpeg, which cannot be imported: libjpeg.so.8: not found: "
        f"{SAME_IMAGE}",
    ]
    assert told.summary["end"] == "failed", "the next attempt would have the same image"
    assert told.summary["rowsIn"] == 0


@pytest.mark.thorough
def test_every_group_s_failure_is_told_at_once(
    mixed: Stage, place: Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = {"lance": {"uri": s3.uri("out.lance"), "columns": ["key"], "storage": s3.storage()}}
    manifest = place.manifest(
        lacking(place), function("mean", OTHER), images={"group": "cpu"}, sink=sink
    )
    for name, value in s3.env().items():
        monkeypatch.setenv(name, value)
    told = run_on(mixed, manifest)
    assert told.status == 2, told.out
    assert "canary" not in told.out
    message = told.summary["message"]
    assert f"group cpu, node {address()}: {LACKS}" in message
    assert f"group other, node {address()}: pyarrow 17.0 here" in message
    assert "the secret key is wrong (SignatureDoesNotMatch)" in message
    assert not [key for key in s3.list_keys() if "probe" in key]


@pytest.mark.thorough
def test_a_run_does_not_wait_for_gpu_nodes_when_a_cpu_group_cannot_do_its_part(
    groups: Stage, place: Place
) -> None:
    gpu = function("mean", {"group": "dear", "gpus": 1})
    told = run_on(groups, place.manifest(lacking(place), gpu, images={"group": "cpu"}))
    assert told.status == 2, told.out
    assert told.summary["message"] == f"group cpu, node {address()}: {LACKS}"


# --- on one node, which is asked where it is a cluster that somebody else has started


@pytest.fixture
def asked(local_ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "joined already")


def test_a_ray_of_one_s_own_is_not_asked(local_ray: Any, place: Place) -> None:
    told = run(place.manifest())
    assert told.status == 0, told.out
    assert not [note for note in told.notes if "preflight" in note]


@pytest.mark.thorough
def test_without_groups_nodes_are_counted(asked: None, place: Place) -> None:
    told = run(place.manifest(function("mean", {"group": "gpu", "gpus": 1})))
    assert told.status == 0, told.out
    assert "preflight passed (nodes 1/1, GPU nodes 1/1)" in told.notes


@pytest.mark.thorough
def test_a_function_whose_import_hangs_is_not_waited_for_for_ever(
    asked: None, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "ANSWER_S", 3.0)
    (place.folder / "hangs.py").write_text("import time\ntime.sleep(900)\n\n\ndef mean(b): ...\n")
    told = run(place.manifest(function("mean", entrypoint="hangs.py:mean")))
    assert told.status == 2, told.out
    assert told.summary["message"] == (
        f"node {address()}: no answer for 3 s: its pod's log may tell why"
    )
    assert told.summary["end"] == "resumable"


@pytest.mark.thorough
def test_a_function_whose_import_ends_the_process_is_told(asked: None, place: Place) -> None:
    (place.folder / "ends.py").write_text("import os\nos._exit(9)\n\n\ndef mean(batch): ...\n")
    told = run(place.manifest(function("mean", entrypoint="ends.py:mean")))
    assert told.status == 2, told.out
    assert told.summary["message"] == (
        f"node {address()}: the process that looks what works here dies: WorkerCrashedError: "
        "its pod's log may tell why"
    )
