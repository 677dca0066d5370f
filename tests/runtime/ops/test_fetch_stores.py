"""fetch from an object store: a real S3 server on loopback, and a front of it that misbehaves."""

from __future__ import annotations

import asyncio
import os

import pyarrow as pa
import pytest

from lancemill.ops import fetch
from lancemill.ops.operation import Place, WorkerContext
from lancemill.ops.retriever import Surroundings
from lancemill_api.operations import Fetch as FetchSpec
from support.servers import faulty_proxy, s3_server

COUNT = 24
BODIES = {f"a b/{n}.bin": bytes([n]) * 20_000 for n in range(COUNT)}


@pytest.fixture(scope="module")
def server():
    with s3_server() as s3:
        for key, body in BODIES.items():
            s3.put(key, body)
        yield s3


@pytest.fixture
def s3(server, monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    return server


def run(uris, storage, **options):
    """The bytes and the faults' reasons by row."""

    async def at_once(_seconds):
        await asyncio.sleep(0)

    spec = FetchSpec(**options)
    schema = pa.schema([("uri", pa.string())])
    bound = fetch.bind(spec, schema, Place("bytes", "spec.stages[0].fetch"), None)
    context = WorkerContext(storage=storage, io_concurrency=8)
    applied = fetch.Fetch(spec, bound.schema, "bytes", context, Surroundings(sleep=at_once))
    try:
        outcome = applied(pa.record_batch({"uri": uris}))
    finally:
        applied.close()
    return outcome.rows["bytes"].to_pylist(), {f.row: f.reason for f in outcome.faults}


def test_objects_come_with_the_source_s_own_storage_block(s3):
    bodies, faults = run([s3.uri(key) for key in BODIES], s3.storage())
    assert bodies == list(BODIES.values())
    assert faults == {}


def test_what_is_wrong_is_told_by_row(s3):
    uris = [s3.uri("none"), "s3://no-such-bucket/x", s3.uri("a b/1.bin"), s3.uri("a b/2.bin")]
    _, faults = run(uris, s3.storage(), max_bytes="19999")
    assert faults == {0: "NotFound", 1: "NotFound", 2: "TooLarge", 3: "TooLarge"}


@pytest.mark.parametrize(
    "faults",
    [
        {"fail_every": 3, "fail_status": 503},
        {"fail_every": 3, "fail_status": 429},
        {"reset_every": 4},
        {"truncate_every": 4},
    ],
)
def test_a_store_that_throttles_or_breaks_off_loses_no_row(s3, faults):
    with faulty_proxy(s3.endpoint, only="GET", **faults) as front:
        uris = [s3.uri(key) for key in BODIES]
        bodies, found = run(uris, s3.storage(endpoint=front.url), attempts=20)
    assert found == {}
    assert bodies == list(BODIES.values())


def test_a_store_that_goes_on_failing_gives_its_status_after_the_last_attempt(s3):
    with faulty_proxy(s3.endpoint, fail_every=1, fail_status=503) as front:
        _, found = run([s3.uri("a b/1.bin")], s3.storage(endpoint=front.url), attempts=3)
        assert len(front.requests) == 3
    assert found == {0: "HttpStatus"}


def test_a_store_that_drips_costs_the_time_limit(s3):
    with faulty_proxy(s3.endpoint, drip=(10, 0.05)) as front:
        storage = s3.storage(endpoint=front.url)
        _, found = run([s3.uri("a b/1.bin")], storage, attempts=2, timeout="300ms")
    assert found == {0: "Timeout"}
