"""The user's code on Ray: every process has that of the zip, as the local engine has it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lancemill.code.archive import pack
from support.sampled import sampled
from support.servers import S3Server, s3_server
from support.wheels import wheel

from .given import Place, function, run

GPU = {"group": "gpu", "gpus": 1}
UDFS = """
import os

from more.parts import mean_of


def mean(batch):
    return {"mean": mean_of(batch)}


def dies_always(batch):
    if "p105.png" in batch.column("key").to_pylist():
        os.abort()
    return mean(batch)
"""
PARTS = """
import pyarrow as pa


def mean_of(batch):
    values = batch.column("image").to_numpy_ndarray()
    return pa.array([float(one.mean()) for one in values])
"""
WITH_PACKAGE = """
from lmtestonray import half
from more.parts import mean_of


def mean(batch):
    return {"mean": half(mean_of(batch))}
"""


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server("code") as server:
        yield server


def uploaded(s3: S3Server, udfs: str) -> dict[str, Any]:
    """`spec.code` of these functions, which no earlier test has left in a cache."""
    files = {"my_udfs.py": udfs, "more/__init__.py": "", "more/parts.py": PARTS}
    files["unique.py"] = f"# {uuid.uuid4()}"
    content = pack({name: text.encode() for name, text in files.items()})
    # For everybody: Ray's processes were started before there was this S3, without credentials.
    s3.client.put_object(Bucket=s3.bucket, Key="udfs.zip", Body=content, ACL="public-read")
    sha256 = hashlib.sha256(content).hexdigest()
    return {
        "uri": s3.uri("udfs.zip"),
        "sha256": sha256,
        "storage": s3.storage(anonymous=True),
    }


@pytest.mark.parametrize(
    "placement", sampled([GPU, None], first=1), ids=["two segments", "one segment"]
)
def test_a_function_of_a_zip_gives_the_rows_of_the_local_engine(
    local_ray: Any, ray_cache: Path, place: Place, s3: S3Server, placement: dict[str, Any] | None
) -> None:
    code = uploaded(s3, UDFS)
    stage = function("", placement, entrypoint="my_udfs:mean")
    here = run(place.manifest(stage, name="here", code=code), engine="local")
    there = run(place.manifest(stage, name="there", code=code))
    assert (here.status, there.status) == (0, 0), there.out
    assert place.rows("there").equals(place.rows("here"))
    assert place.quarantined("there") == place.quarantined("here")
    assert (ray_cache / "code" / code["sha256"] / "my_udfs.py").is_file()
    assert "fetched and unpacked s3://code/udfs.zip" in " ".join(there.notes), there.notes


@pytest.mark.thorough
def test_a_shard_that_is_done_with_care_has_the_code_too(
    local_ray: Any, place: Place, s3: S3Server
) -> None:
    stage = function("", entrypoint="my_udfs:dies_always")
    told = run(place.manifest(stage, code=uploaded(s3, UDFS)))
    assert told.status == 0, told.out
    assert place.quarantined()["p105.png"] == ("mean", "WorkerCrashed")
    assert len(place.rows()) == 79


@pytest.mark.thorough
def test_workers_have_the_packages_that_the_manifest_asks_for(
    local_ray: Any, ray_cache: Path, place: Place, s3: S3Server
) -> None:
    half = "import pyarrow.compute as pc\ndef half(values): return pc.divide(values, 2)\n"
    wheel(ray_cache / "wheels", "lmtestonray", "1.0", half)
    stage = function("", entrypoint="my_udfs:mean")
    plain = uploaded(s3, UDFS)
    assert run(place.manifest(stage, name="plain", code=plain)).status == 0
    code = uploaded(s3, WITH_PACKAGE)
    asked = ["lmtestonray==1.0"]
    told = run(place.manifest(stage, name="halved", code=code, requirements=asked))
    assert told.status == 0, told.out
    assert "installed lmtestonray==1.0 in " in " ".join(told.notes), told.notes
    assert [round(2 * mean, 6) for mean in place.rows("halved")["mean"].to_pylist()] == [
        round(mean, 6) for mean in place.rows("plain")["mean"].to_pylist()
    ]


def test_code_that_is_not_what_the_manifest_says_ends_a_run_before_its_first_row(
    local_ray: Any, place: Place, s3: S3Server
) -> None:
    code = uploaded(s3, UDFS) | {"sha256": "a" * 64}
    told = run(place.manifest(function("", entrypoint="my_udfs:mean"), code=code))
    assert told.status == 2
    (line,) = [one for one in told.err.splitlines() if "mistakes" in one]
    assert "spec.code.sha256" in line
    assert not (place.folder / "out.lance").exists()
