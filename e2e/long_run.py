"""A run that takes a while in several shards, of rows whose right values are known beforehand.

What happens to it in its middle must not be seen in the dataset: every row once, in the source's
order. A shard of a table holds ten thousand rows, so little data makes several; what takes time is
a hash over each row's word, many times over.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from e2e.tenant import Object, Tenant, small_cluster

NAME = "hashes"
ROWS_OF_A_SHARD = 10_000
SHARDS = 4
REPEATED = 6_000
"""A few milliseconds a row on a core of a laptop: about ten seconds a shard."""


def prepare(tenant: Tenant, shards: int = SHARDS) -> None:
    content = io.BytesIO()
    pq.write_table(table(shards), content, row_group_size=ROWS_OF_A_SHARD)
    tenant.put("words", {"words.parquet": content.getvalue()})


def table(shards: int = SHARDS) -> pa.Table:
    numbers = list(range(shards * ROWS_OF_A_SHARD))
    return pa.table({"id": numbers, "word": [word(one) for one in numbers]})


def word(number: int) -> str:
    return hashlib.md5(str(number).encode()).hexdigest()


def documents(tenant: Tenant, **run: Any) -> list[Object]:
    version = "lancemill.dev/v1alpha1"
    query = f"select id, word, sha256(repeat(word, {REPEATED})) as hash from input"
    source = {"format": "parquet", "uri": tenant.uri("words/words.parquet")}
    spec = {
        "source": {"table": {**source, "storage": tenant.storage}},
        "stages": [{"name": "hash", "sql": {"query": query}}],
        "sink": {"lance": {"dataset": NAME, "mode": "append", "columns": ["id", "word", "hash"]}},
        "cluster": small_cluster(),
        "run": {"retries": 5, "timeout": "30m", "ttlAfterFinished": "30s", **run},
    }
    dataset = {"uri": tenant.uri(f"{NAME}.lance"), "storage": tenant.storage}
    kinds = (("MultimodalPipeline", spec), ("LanceDataset", dataset))
    return [
        {"apiVersion": version, "kind": kind, "metadata": {"name": NAME}, "spec": one}
        for kind, one in kinds
    ]


def started(tenant: Tenant, shards: int = SHARDS, **run: Any) -> Object:
    """The pipeline in the middle of its run: some of its rows are done, and some are not."""
    prepare(tenant, shards)
    tenant.kubectl.apply(*documents(tenant, **run))
    return tenant.wait(is_halfway, "halfway", minutes=8, name=NAME)


def is_halfway(pipeline: Object) -> bool:
    progress = pipeline.get("status", {}).get("progress") or {}
    done = int(progress.get("rowsDone") or 0)
    return done >= ROWS_OF_A_SHARD


def must_be_right(tenant: Tenant, shards: int = SHARDS) -> None:
    """Every row once, in order, each with the right value."""
    found = tenant.rows(tenant.uri(f"{NAME}.lance"))
    source = table(shards)
    assert found.column("id").to_pylist() == source.column("id").to_pylist()
    assert found.column("word").to_pylist() == source.column("word").to_pylist()
    some = range(0, len(source), 997)
    expected = [hashlib.sha256(word(one).encode() * REPEATED).hexdigest() for one in some]
    assert [found.column("hash")[one].as_py() for one in some] == expected
