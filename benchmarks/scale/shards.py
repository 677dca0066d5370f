"""Finished shards by the hundred thousand: real fragment metadata, synthetic counts, no rows."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.case import SIDE
from benchmarks.scale.memory import peak_mb, resident_mb
from lancemill.engine.chunk import RowFault
from lancemill.engine.ledger import Ledger
from lancemill.engine.result import ShardResult
from lancemill.sinks.lance import LanceSink, Target
from lancemill.sinks.sink import RunRef, ShardOutput
from lancemill.sources.source import Shard
from lancemill.storage import open_store
from lancemill.tables.table import Table

ROWS = 10_000
SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("image", pa.list_(pa.uint8(), SIDE * SIDE * 3)),
        pa.field("score", pa.float32()),
    ]
)
REF = RunRef("scale", "scale", "0" * 16)


class Template:
    """One fragment that was really written, and any number of results in its likeness."""

    def __init__(self, folder: Path) -> None:
        self.sink = LanceSink(Target(Table(str(folder / "rows.lance"))))
        self.base = self.sink.prepare(SCHEMA, REF)
        output = self.sink.writer(SCHEMA, self.base).write(Shard(0, 0, 1, 1), iter([_row()]))
        self._fragment = dict(output.fragments[0])

    def output(self) -> ShardOutput:
        """As a worker gives it: nothing shared with another one's."""
        name = f"{uuid.uuid4().hex}{uuid.uuid4().hex[:16]}.lance"
        files = [{**file, "path": name} for file in self._fragment["files"]]
        told = {**self._fragment, "files": files, "physical_rows": ROWS}
        return ShardOutput((told,), (f"data/{name}",), ROWS, ROWS * SIDE * SIDE * 3)

    def result(self, index: int, faults: int = 0) -> ShardResult:
        start = index * ROWS
        shard = Shard(index, start, start + ROWS, ROWS * 100_000 + index)
        failed = tuple(_fault(start + row) for row in range(faults))
        head = tuple(range(start, start + 16))
        result = ShardResult(shard, ROWS, self.output(), failed, head, 1)
        return ShardResult.from_json(result.to_json())  # as it comes out of another process


def _row() -> pa.RecordBatch:
    pixels = pa.FixedSizeListArray.from_arrays(
        pa.array(np.zeros(SIDE * SIDE * 3, np.uint8)), SIDE * SIDE * 3
    )
    columns = [pa.array(["a"]), pixels, pa.array([1.0], pa.float32())]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _fault(position: int) -> RowFault:
    key = f"{position // 10_000:06d}/{position:010d}.jpg"
    message = f"the file is broken: JPEG data ends after {position % 100_000} bytes"
    return RowFault(position, key, "decode", "CorruptImage", message, "quarantine")


def recorded(count: int, folder: Path) -> dict[str, float]:
    """Writes to the ledger, what a driver keeps, and the reading of a resumed run."""
    template = Template(folder)
    ledger = Ledger("scale", open_store(str(folder / "ledger")))
    results = [template.result(index) for index in range(count)]
    began = time.perf_counter()
    for result in results:
        ledger.finish(result)
    written = time.perf_counter() - began
    size = len(results[-1].to_json())
    del results
    before = resident_mb()
    began = time.perf_counter()
    found = ledger.finished()
    read = time.perf_counter() - began
    kept = resident_mb() - before
    assert len(found) == count
    return {
        "writes_per_s": count / written,
        "bytes_in_ledger": float(size),
        "read_back_per_s": count / read,
        "kept_bytes_per_shard": kept * 2**20 / count,
    }


def kept(count: int, faults: int) -> dict[str, float]:
    """Memory of a driver's account of finished shards."""
    raise NotImplementedError


def committed(count: int, folder: Path) -> dict[str, float]:
    """The two commits of a run, of which the first is seen by nobody."""
    template = Template(folder)
    outputs = list(_fresh(template, count))
    before = resident_mb()
    began = time.perf_counter()
    staged = template.sink.stage(outputs, SCHEMA, template.base)
    staged_s = time.perf_counter() - began
    assert staged.rows == count * ROWS
    began = time.perf_counter()
    done = template.sink.commit(REF, outputs, SCHEMA, template.base)
    committed_s = time.perf_counter() - began
    assert done.rows == count * ROWS
    peak = peak_mb() - before
    began = time.perf_counter()
    again = template.sink.committed(replace(REF), template.base)
    assert again is not None and again.version == done.version
    return {
        "stage_s": staged_s,
        "commit_s": committed_s,
        "peak_mb": peak,
        "settle_again_s": time.perf_counter() - began,
        **_opened(folder),
    }


def _fresh(template: Template, count: int) -> Iterator[ShardOutput]:
    for _ in range(count):
        yield template.output()


def _opened(folder: Path) -> dict[str, float]:
    versions = folder / "rows.lance" / "_versions"
    newest = max(versions.glob("*.manifest"), key=lambda path: path.stat().st_mtime)
    before = resident_mb()
    began = time.perf_counter()
    dataset: Any = Table(str(folder / "rows.lance")).open()
    rows = dataset.count_rows()
    return {
        "rows": float(rows),
        "manifest_mb": newest.stat().st_size / 2**20,
        "open_s": time.perf_counter() - began,
        "open_mb": resident_mb() - before,
    }
