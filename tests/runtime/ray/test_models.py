"""Models on Ray: one from a store is fetched once a node, whoever asks first, and no other one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lancemill.engine.ray.models import on_this_node
from lancemill.errors import RunError
from lancemill.ops.onnx_model import Model
from support.onnx_file import write_model
from support.servers import HttpServer, S3Server, faulty_proxy, s3_server

from .given import Place, function, run

HALF = {"group": "gpu", "gpus": 0.5}
WAITS = """

def waits_for_another(batch):
    import time

    (HERE / f"worker-{os.getpid()}").touch()
    deadline = time.monotonic() + 120
    while len(list(HERE.glob("worker-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    return mean(batch)
"""
SIZES: dict[str, Any] = {"x": ("int64", ("n",))}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server("models") as server:
        yield server


@pytest.fixture
def front(s3: S3Server) -> Iterator[HttpServer]:
    """The S3, by a way on which requests are counted."""
    with faulty_proxy(s3.endpoint) as proxy:
        yield proxy


def made(folder: Path, name: str, operator: str) -> bytes:
    """A model that gives sizes as they are, or with their signs changed."""
    path = write_model(
        folder / name, SIZES, [(operator, ["x"], ["out"])], {"out": ("int64", ("n",))}
    )
    return path.read_bytes()


def uploaded(s3: S3Server, folder: Path, name: str, operator: str) -> str:
    """The model's SHA-256; for everybody, since Ray's processes have no credentials of this S3."""
    content = made(folder, name, operator)
    s3.client.put_object(Bucket=s3.bucket, Key=name, Body=content, ACL="public-read")
    return hashlib.sha256(content).hexdigest()


def infer(name: str, uri: str, storage: dict[str, Any], placement: dict[str, Any]) -> Any:
    model = {"uri": uri, "storage": storage}
    asked = {"model": model, "inputs": {"size": "x"}, "outputs": {"out": name}}
    return {"name": name, "infer": asked, "placement": placement}


def fetched(front: HttpServer, name: str) -> int:
    return sum(one.method == "GET" and one.path.endswith(name) for one in front.requests)


@pytest.mark.thorough
def test_two_models_of_a_store_share_a_gpu_and_are_fetched_once_by_all_workers_of_a_node(
    local_ray: Any, ray_cache: Path, place: Place, s3: S3Server, front: HttpServer
) -> None:
    hashes = [
        uploaded(s3, place.folder, "same.onnx", "Identity"),
        uploaded(s3, place.folder, "less.onnx", "Neg"),
    ]
    storage = s3.storage(anonymous=True, endpoint=front.url)
    columns = ["key", "image", "same", "less", "mean"]

    def manifest(name: str, mean: str) -> Path:
        stages = [
            infer("same", s3.uri("same.onnx"), storage, HALF),
            infer("less", s3.uri("less.onnx"), storage, HALF),
            function(mean, HALF),
        ]
        lance = {"uri": f"{name}.lance", "columns": columns}
        return place.manifest(*stages, name=name, sink={"lance": lance}, functions=WAITS)

    here = run(manifest("here", "mean"), engine="local")
    front.requests.clear()
    there = run(manifest("there", "waits_for_another"))
    assert (here.status, there.status) == (0, 0), there.out
    assert place.rows("there").equals(place.rows("here"))
    assert place.rows("there")["less"].to_pylist() == [
        -size for size in place.rows("there")["same"].to_pylist()
    ]
    assert len(list(place.folder.glob("worker-*"))) == 2, "two halves of the one GPU"
    for name, sha256 in zip(("same.onnx", "less.onnx"), hashes, strict=True):
        assert (ray_cache / "models" / sha256 / "model.onnx").is_file()
        assert fetched(front, name) == 2, "by the driver for its plan, and by one worker"


def test_workers_that_start_together_fetch_a_model_once(
    s3: S3Server, front: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANCEMILL_CACHE_DIR", str(tmp_path / "cache"))
    model = of(s3, front, uploaded(s3, tmp_path, "one.onnx", "Identity"), "one.onnx")
    with ThreadPoolExecutor(8) as pool:
        places = {found.place for found in pool.map(on_this_node, [model] * 8)}
    (path,) = places
    assert Path(path).read_bytes() == (tmp_path / "one.onnx").read_bytes()
    assert fetched(front, "one.onnx") == 1


def test_a_model_that_is_another_one_by_now_ends_the_run_and_leaves_nothing(
    s3: S3Server, front: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANCEMILL_CACHE_DIR", str(tmp_path / "cache"))
    planned = uploaded(s3, tmp_path, "two.onnx", "Identity")
    now = uploaded(s3, tmp_path, "two.onnx", "Neg")
    with pytest.raises(RunError, match=f"has SHA-256 {now}, but .* with {planned}") as raised:
        on_this_node(of(s3, front, planned, "two.onnx"))
    assert raised.value.final
    assert [one.suffix for one in (tmp_path / "cache" / "models").iterdir()] == [".lock"]


def test_a_model_that_lies_on_this_machine_is_taken_where_it_is(tmp_path: Path) -> None:
    model = Model(str(tmp_path / "a.onnx"), "", (), ())
    assert on_this_node(model) is model


def of(s3: S3Server, front: HttpServer, sha256: str, name: str) -> Model:
    from lancemill_api.storage import Storage

    storage = Storage.model_validate(s3.storage(anonymous=True, endpoint=front.url))
    return replace(Model(s3.uri(name), sha256, (), ()), storage=storage)
