"""What a manifest alone tells of its columns: which there are before each stage, and of what kind.

Whoever applies a manifest should hear of a misspelt column before a pod is paid for. The runtime's
plan tells it for certain, with the source's own columns and the models' signatures; here nothing
but the manifest is read, so what it does not say is unknown, and the unknown fits everywhere. What
the plan accepts is never refused here (a property under test), in the plan's own words.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch

from lancemill_api import template
from lancemill_api.mistakes import Mistake
from lancemill_api.operations import (
    Decode,
    Encode,
    Fetch,
    Format,
    Infer,
    Operation,
    Resize,
    Sql,
    Udf,
)
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.sink import LanceSink, Sink
from lancemill_api.source import Source
from lancemill_api.types import NUMBERS, Scalar, Struct, Tensor, Timestamp, Type, parse


@dataclass(frozen=True, slots=True)
class Sized:
    """Decoded pictures that were all brought to one size; how many channels they have may depend
    on what they were decoded from."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"uint8[{self.height},{self.width},c]"


Known = Type | Sized
Kind = Known | None
"""What a column holds; None where the manifest does not tell."""

BINARY, STRING, IMAGE = Scalar("binary"), Scalar("string"), Scalar("image")
OBJECT_TABLE: Mapping[str, Kind] = {
    "key": STRING,
    "uri": STRING,
    "size": Scalar("int64"),
    "type": STRING,
    "etag": STRING,
    "last_modified": Timestamp("us", "UTC"),
    "owner": STRING,
}
"""The columns of an object table."""
PICTURES = "decoded pictures (put a decode before)"


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of the columns at one place of a pipeline."""

    kinds: Mapping[str, Kind]
    all_known: bool = True
    """Whether there are no others."""


@dataclass(slots=True)
class _Stage:
    """One stage under test: what stands before it, and what is found wrong."""

    path: str
    before: Columns
    mistakes: list[Mistake] = field(default_factory=list)

    def then(self, made: Mapping[str, Kind]) -> Columns:
        """What stands behind it; of any kind where it is wrong, so that a mistake is told once."""
        kinds = dict.fromkeys(made) if self.mistakes else made
        return Columns({**self.before.kinds, **kinds}, self.before.all_known)

    def wrong(self, place: str, message: str) -> None:
        self.mistakes.append(Mistake(f"{self.path}.{place}", message))

    def need(
        self,
        column: str,
        place: str,
        accepts: Callable[[Known], bool] = lambda _: True,
        expected: str = "",
    ) -> Kind:
        """The kind of a column that must be there and of the right kind."""
        kinds = self.before.kinds
        if column not in kinds:
            if self.before.all_known:
                hint = f"{_near(column, kinds)}{_there(kinds)}"
                self.wrong(place, f"column '{column}' is made by no earlier stage; {hint}")
            return None
        kind = kinds[column]
        if kind is not None and not accepts(kind):
            self.wrong(place, f"column '{column}' is {kind}, expected {expected}")
        return kind


def mistakes(pipeline: MultimodalPipeline) -> tuple[Mistake, ...]:
    """Columns that a stage or the sink names and that nothing makes, or of a kind that is wrong."""
    spec = pipeline.spec
    columns = source_columns(spec.source, spec.sink)
    found: list[Mistake] = []
    for index, stage in enumerate(spec.stages):
        name, operation = stage.given
        checked = _Stage(f"spec.stages[{index}].{name}", columns)
        columns = made_by(operation, checked)
        found += checked.mistakes
    return (*found, *_in_sink(spec.sink, columns))


def source_columns(source: Source, sink: Sink) -> Columns:
    """What a source gives; of a table, what the manifest asks it for."""
    if source.objects is not None:
        return Columns(OBJECT_TABLE)
    assert source.table is not None
    lance = sink.lance
    has_row_ids = lance is not None and lance.mode == "addColumns"
    if source.table.columns is None or has_row_ids:
        return Columns({}, all_known=False)
    return Columns(dict.fromkeys(source.table.columns))


@singledispatch
def made_by(operation: Operation, stage: _Stage) -> Columns:
    """The columns behind a stage; what does not fit is told in `stage`."""
    raise TypeError(f"{operation!r} is no operation")


@made_by.register
def _(operation: Fetch, stage: _Stage) -> Columns:
    stage.need(operation.column, "column", _is_text, "string")
    return stage.then({operation.into: BINARY})


@made_by.register
def _(operation: Decode, stage: _Stage) -> Columns:
    stage.need(operation.column, "column", _is_bytes, "encoded pictures (binary)")
    return stage.then({operation.target: IMAGE})


@made_by.register
def _(operation: Resize, stage: _Stage) -> Columns:
    stage.need(operation.column, "column", _is_picture, PICTURES)
    same_size = operation.fit != "inside"
    made: Kind = Sized(operation.height, operation.width) if same_size else IMAGE
    return stage.then({operation.target: made})


@made_by.register
def _(operation: Encode, stage: _Stage) -> Columns:
    stage.need(operation.column, "column", _is_picture, PICTURES)
    return stage.then({operation.target: BINARY})


@made_by.register
def _(_: Sql, stage: _Stage) -> Columns:
    """A query makes what DuckDB says, which is not asked here."""
    return Columns({}, all_known=False)


@made_by.register
def _(operation: Udf, stage: _Stage) -> Columns:
    for index, column in enumerate(operation.inputs or ()):
        stage.need(column, f"inputs[{index}]")
    return stage.then({name: _declared(t) for name, t in operation.schema_.items()})


@made_by.register
def _(operation: Infer, stage: _Stage) -> Columns:
    for column in operation.inputs:
        kind = stage.need(column, f"inputs.{column}")
        if kind == IMAGE:
            remedy = "add a resize stage before (contain, cover or fill)"
            stage.wrong(f"inputs.{column}", f"column '{column}' has pictures of any size; {remedy}")
        elif kind is not None and _is_bytes(kind):
            remedy = "add decode and resize stages before"
            stage.wrong(f"inputs.{column}", f"column '{column}' is {kind}; {remedy}")
    for name in _twice(operation.inputs.values()):
        stage.wrong("inputs", f"two columns feed the model's input {name}")
    for name in _twice(operation.outputs.values()):
        stage.wrong("outputs", f"two outputs become the column '{name}'")
    return stage.then(dict.fromkeys(operation.outputs.values()))


@made_by.register
def _(operation: Format, stage: _Stage) -> Columns:
    if operation.instruction is not None:
        stage.need(operation.instruction, "instruction", _is_text, "string")
        for index, column in enumerate(operation.images):
            stage.need(column, f"images[{index}]", _is_bytes, "encoded bytes")
    elif operation.text is not None:
        try:
            for column in dict.fromkeys(template.columns(operation.text)):
                stage.need(column, "text", _is_plain, "text, a number or true/false")
        except template.NoTemplate as error:
            stage.wrong("text", str(error))
    return stage.then({operation.into: STRING})


def _in_sink(sink: Sink, columns: Columns) -> Iterator[Mistake]:
    kind, given = sink.given
    path = f"spec.sink.{kind}"
    if columns.all_known:
        for index, name in enumerate(given.columns or ()):
            if name not in columns.kinds:
                message = f"'{name}' is made by no stage; {_there(columns.kinds)}"
                yield Mistake(f"{path}.columns[{index}]", message)
    if isinstance(given, LanceSink) and given.mode != "addColumns":
        written = given.columns if given.columns is not None else tuple(columns.kinds)
        if given.columns is not None or columns.all_known:
            yield from _not_written(f"{path}.key", given.key or (), written)
            yield from _not_written(f"{path}.blobs", given.blobs, written)


def _not_written(path: str, names: Sequence[str], written: Sequence[str]) -> Iterator[Mistake]:
    for index, name in enumerate(names):
        if name not in written:
            message = f"'{name}' is no column of the output; {_near(name, written)}it has: "
            yield Mistake(f"{path}[{index}]", message + ", ".join(written))


def _near(name: str, there: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, tuple(there), n=1)
    return f"did you mean {near[0]}? " if near else ""


def _there(names: Iterable[str]) -> str:
    return "there are: " + ", ".join(names)


def _twice(names: Iterable[str]) -> list[str]:
    listed = list(names)
    return sorted({name for name in listed if listed.count(name) > 1})


def _declared(text: str) -> Kind:
    kind = parse(text)
    # The structure of decoded pictures may be written out, and is then a picture.
    return None if isinstance(kind, Struct) else kind


def _is_text(kind: Known) -> bool:
    return kind in (STRING, Scalar("large_string"))


def _is_bytes(kind: Known) -> bool:
    return kind in (BINARY, Scalar("large_binary"))


def _is_picture(kind: Known) -> bool:
    pixels = isinstance(kind, Tensor) and kind.item == Scalar("uint8") and len(kind.shape) == 3
    return pixels or isinstance(kind, Sized) or kind == IMAGE


def _is_plain(kind: Known) -> bool:
    return _is_text(kind) or (isinstance(kind, Scalar) and kind.name in (*NUMBERS, "bool"))
