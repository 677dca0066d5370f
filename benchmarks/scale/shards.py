"""Finished shards by the hundred thousand: real fragment metadata, synthetic counts, no rows."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.case import SIDE
from benchmarks.scale.memory import peak_mb, resident_mb
from benchmarks.scale.stores import far
from lancemill.engine.books import close_books
from lancemill.engine.chunk import RowFault
from lancemill.engine.ledger import Ledger
from lancemill.engine.result import ShardResult
from lancemill.engine.results import Results
from lancemill.sinks.lance import LanceSink, Target
from lancemill.sinks.sink import Committed, RunRef, ShardOutput
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


def ledger(size: int, folder: Path) -> dict[str, float]:
    """`size` finished shards recorded one by one, and read back by who resumes, 30 ms away."""
    template = Template(folder)
    books = Ledger("scale", far(open_store(str(folder / "ledger"))))
    results = [template.result(index) for index in range(size)]
    began = time.perf_counter()
    for result in results:
        books.finish(result)
    written = time.perf_counter() - began
    began = time.perf_counter()
    assert len(books.finished()) == size
    return {
        "writes_per_s": size / written,
        "read_back_per_s": size / (time.perf_counter() - began),
        "bytes_per_shard": len(results[-1].to_json()),
    }


def account(size: int, folder: Path) -> dict[str, float]:
    """What a driver keeps of `size` shards: what is to do, and what is done."""
    template = Template(folder)
    results = Results()
    results[0] = template.result(0)
    before = resident_mb()
    todo = [Shard(n, n * ROWS, (n + 1) * ROWS, ROWS * 100_000 + n) for n in range(size)]
    listed = resident_mb()
    for shard in todo:
        results[shard.index] = template.result(shard.index)
    kept = resident_mb()
    began = time.perf_counter()
    assert sum(result.rows_in for result in results.values()) == size * ROWS
    return {
        "bytes_to_do": (listed - before) * 2**20 / size,
        "bytes_done": (kept - listed) * 2**20 / size,
        "reading_all_s": time.perf_counter() - began,
    }


def faults(size: int, folder: Path) -> dict[str, float]:
    """`size` rows that failed, a hundred in each shard: kept, then put into the quarantine."""
    template = Template(folder)
    results = Results()
    before = resident_mb()
    for index in range(size // 100):
        results[index] = template.result(index, faults=100)
    kept = resident_mb()
    books = Ledger("scale", open_store(str(folder / "ledger")))
    began = time.perf_counter()
    close_books(template.sink, books, REF, Committed(2, size), results)
    outcome = books.outcome()
    assert outcome is not None and outcome["quarantined"] == size
    return {
        "bytes_per_row": (kept - before) * 2**20 / size,
        "rows_per_s": size / (time.perf_counter() - began),
        "peak_mb": peak_mb() - kept,
    }


def commit(size: int, folder: Path) -> dict[str, float]:
    """`size` fragments staged, where nobody sees them, and committed; then the dataset opened."""
    template = Template(folder)
    outputs = [template.output() for _ in range(size)]
    before = resident_mb()
    began = time.perf_counter()
    staged = template.sink.stage(outputs, SCHEMA, template.base)
    assert staged.rows == size * ROWS
    staged_s = time.perf_counter() - began
    began = time.perf_counter()
    done = template.sink.commit(REF, outputs, SCHEMA, template.base)
    assert done.rows == size * ROWS
    committed_s = time.perf_counter() - began
    peak = peak_mb() - before
    began = time.perf_counter()
    assert template.sink.committed(REF, template.base) == done
    settled_s = time.perf_counter() - began
    return {
        "stage_s": staged_s,
        "commit_s": committed_s,
        "peak_mb": peak,
        "look_again_s": settled_s,
        **_opened(folder / "rows.lance", size),
    }


def _opened(uri: Path, size: int) -> dict[str, float]:
    manifests = uri.joinpath("_versions").glob("*.manifest")
    newest = max(manifests, key=lambda path: path.stat().st_mtime)
    began = time.perf_counter()
    assert Table(str(uri)).open().count_rows() == size * ROWS
    return {
        "manifest_mb": newest.stat().st_size / 2**20,
        "open_s": time.perf_counter() - began,
    }
