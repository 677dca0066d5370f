"""The JSON Lines sink: one file, an object on each line, in the order of the columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lancemill.errors import Mistake
from lancemill.ops.arrow_types import type_text
from lancemill.sinks import json_values
from lancemill.sinks.parts import Format, PartsSink
from lancemill.sinks.sink import RunRef
from lancemill.sinks.stream import Stream
from lancemill.storage import Location, absolute

COPY_BYTES = 8 << 20
READ_LINES = 1024


class JsonlFormat(Format):
    """Parts are pieces of the file; joining them copies bytes."""

    suffix = ".jsonl"

    def write(self, stream: Stream, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
        rows = 0
        for batch in batches:
            columns = [json_values.to_json(batch.column(name)) for name in schema.names]
            for values in zip(*columns, strict=True):
                line = dict(zip(schema.names, values, strict=True))
                stream.write(_line(line))
            rows += batch.num_rows
        return rows

    def read(
        self, part: Location, schema: pa.Schema, columns: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        fields = [schema.field(name) for name in columns]
        for lines in _lines(part):
            arrays = [
                json_values.from_json([line[one.name] for line in lines], one.type)
                for one in fields
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def join(
        self, stream: Stream, parts: Sequence[Location], schema: pa.Schema, run: RunRef
    ) -> None:
        for part in parts:
            for chunk in part.store.get(part.path).stream(min_chunk_size=COPY_BYTES):
                stream.write(chunk)


class JsonlSink(PartsSink):
    """Rows as one file of JSON lines."""

    __slots__ = ()

    @classmethod
    def of(cls, spec: Any, base: Path) -> JsonlSink:
        """The sink of a manifest's `sink.jsonl`."""
        return cls(absolute(spec.uri, base), spec.storage, JsonlFormat())

    def fit(self, schema: pa.Schema) -> list[Mistake]:
        """Columns whose values JSON has no way to write."""
        return [
            Mistake(
                "spec.sink.jsonl",
                f"'{one.name}' is {type_text(one.type)}, which JSON lines cannot hold; leave it "
                "out of columns, or make text of it by a sql stage",
            )
            for one in schema
            if not json_values.has_json(one.type)
        ]


def _line(values: dict[str, Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def _lines(part: Location) -> Iterator[list[dict[str, Any]]]:
    """The part's lines, some at a time."""
    rest, some = b"", []
    for chunk in part.store.get(part.path).stream(min_chunk_size=COPY_BYTES):
        *whole, rest = (rest + bytes(chunk)).split(b"\n")
        for line in whole:
            some.append(json.loads(line))
            if len(some) >= READ_LINES:
                yield some
                some = []
    if some:
        yield some
