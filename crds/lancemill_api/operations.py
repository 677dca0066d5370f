"""What a stage may do: a model for each operation.

A new operation is a model here, a field of `Stage` in stage.py, and its module in the runtime.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from lancemill_api.base import Expected, Model
from lancemill_api.colours import COLOUR, COLOUR_WORDS
from lancemill_api.quantities import ByteSize, Duration
from lancemill_api.rules import ExactlyOne, NeededWhen, NoRepeats, OnlyBeside, OnlyWhen
from lancemill_api.scalars import Column, ColumnNames, ColumnTypes, Query, Sha256, Uri
from lancemill_api.storage import Storage

Anchor = Literal[
    "center",
    "top",
    "bottom",
    "left",
    "right",
    "top-left",
    "top-right",
    "bottom-left",
    "bottom-right",
]


class Fetch(Model):
    """Reads the bytes that a column of URIs points to."""

    column: Column = "uri"
    """Column with the URIs. Default: uri."""
    into: Column = "bytes"
    """Column to put the bytes into. Default: bytes."""
    timeout: Duration = "30s"
    """Longest time for one attempt at one object. Default: 30s."""
    max_bytes: ByteSize = "64Mi"
    """Largest object, in bytes; a larger one is a failed row. Default: 64Mi."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 4
    """Attempts for each object, where trying again may help. Default: 4."""
    allow_private_addresses: bool = False
    """Let http and https reach private, loopback and link-local addresses. Default: false."""
    storage: Storage | None = None
    """How to reach the store. Default: the source's, else the environment's credentials."""


class Decode(Model):
    """Turns encoded pictures (JPEG, PNG, WebP, GIF, TIFF, BMP) into pixels."""

    column: Column
    """Column with the encoded pictures."""
    into: Column | None = None
    """Column to put the pixels into. Default: the same column."""
    mode: Literal["RGB", "RGBA", "L"] = "RGB"
    """Channels of the result: RGB, RGBA or L (grey). Default: RGB."""
    orientation: Literal["apply", "ignore"] = "apply"
    """Whether to turn the picture as its EXIF orientation says: apply or ignore. Default: apply."""
    max_pixels: Annotated[int, Field(ge=1, le=2**31 - 1)] = 100_000_000
    """Largest picture, in pixels; a larger one is a failed row. Default: 100000000."""

    @property
    def target(self) -> str:
        """The column that is made."""
        return self.into or self.column


class Resize(Model):
    """Brings pictures to a size."""

    column: Column
    """Column with the decoded pictures."""
    into: Column | None = None
    """Column to put the result into. Default: the same column."""
    width: Annotated[int, Field(ge=1, le=16384)]
    """Width in pixels, 1 to 16384."""
    height: Annotated[int, Field(ge=1, le=16384)]
    """Height in pixels, 1 to 16384."""
    fit: Literal["contain", "cover", "fill", "inside"] = "contain"
    """How the picture meets the size: contain (whole picture, the rest is background), cover
    (fills the size, the rest is cut off), fill (stretched), inside (whole picture, no background,
    so that sizes differ). Default: contain."""
    anchor: Anchor = "center"
    """Where the picture stands (contain), or which part is kept (cover): center, top, bottom, left,
    right, top-left, top-right, bottom-left or bottom-right. Default: center."""
    background: Annotated[
        str, StringConstraints(pattern=COLOUR, max_length=16), Expected(COLOUR_WORDS)
    ] = "black"
    """Colour around the picture (contain): a basic colour's name or #rrggbb. Default: black."""
    enlarge: bool = True
    """Whether smaller pictures are enlarged. Default: true."""
    quality: Literal["fast", "exact"] = "fast"
    """fast decodes JPEG at a reduced scale of at least twice the target, exact decodes every
    pixel. Default: fast."""

    @property
    def target(self) -> str:
        """The column that is made."""
        return self.into or self.column


class Encode(Model):
    """Turns pixels into encoded pictures."""

    column: Column
    """Column with the pixels."""
    into: Column | None = None
    """Column to put the encoded pictures into. Default: the same column."""
    format: Literal["jpeg", "png", "webp", "bmp"]
    """Format of the result: jpeg, png, webp or bmp."""
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    """Quality of jpeg and webp, 1 (small) to 100 (best). Default: 90."""

    @property
    def target(self) -> str:
        """The column that is made."""
        return self.into or self.column


class Sql(Model):
    """Projections, filters and expressions on each batch, in DuckDB's SQL."""

    query: Query
    """A select from the table input, such as select key, image from input where size > 1000.
    Row by row: no aggregates, joins, windows, order or limit."""


class Setup(Model):
    """How a function is made ready, once in each worker."""

    timeout: Duration = "5m"
    """Longest time for importing and constructing it. Default: 5m."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 1
    """Attempts at that. Default: 1."""


class RestartAfter(Model):
    """When a function's process is followed by a fresh one, for code that leaks."""

    rows: Annotated[int, Field(ge=1)]
    """Rows that a process is given before another takes its place, after the batch that reaches
    that number."""


class Udf(Model):
    """A function or class of your own, given batches of rows."""

    must_hold = (
        OnlyWhen("rowTimeout", "isolation", "process"),
        OnlyWhen("restartAfter", "isolation", "process"),
        NoRepeats("inputs"),
    )

    entrypoint: Annotated[
        str,
        StringConstraints(
            pattern=r"^[A-Za-z0-9_./-]+:[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*$",
            max_length=512,
        ),
        Expected("module:attribute or file.py:attribute, such as my.module:Captioner"),
    ]
    """The function or class: module:attribute, or file.py:attribute with the path relative to the
    manifest's folder."""
    kind: Literal["task", "actor"] = "task"
    """task: a function. actor: a class, constructed once in each worker and used for all its
    batches. Default: task."""
    schema_: Annotated[ColumnTypes, Field(alias="schema")]
    """Columns that it returns, and their types; they are checked exactly. They are added in the
    order of their names."""
    inputs: Annotated[tuple[Column, ...], Field(min_length=1, max_length=256)] | None = None
    """Columns that it is given. Default: all."""
    args: dict[str, Any] = Field(default_factory=dict, max_length=256)
    """Keyword arguments: of the constructor (actor), or of each call (task). Default: none."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 32
    """Most rows in a batch. Default: 32."""
    isolation: Literal["thread", "process"] = "thread"
    """thread: in the worker. process: in a process of its own, so that a crash or a stall costs
    rows, not the worker. Default: thread."""
    setup: Setup = Setup()
    """How it is made ready, once in each worker."""
    row_timeout: Duration | None = None
    """Longest time for a row (isolation process only); a batch gets that many times its rows.
    Default: none."""
    restart_after: RestartAfter | None = None
    """When its process is followed by a fresh one (isolation process only), for code that leaks
    memory or handles. Default: never."""


class ModelFile(Model):
    """A model in ONNX format."""

    uri: Uri
    """The file."""
    sha256: Sha256 | None = None
    """SHA-256 that the file must have, in hexadecimal. Default: not checked."""
    storage: Storage | None = None
    """How to reach the store. Default: the environment's usual credentials."""


class Infer(Model):
    """Runs an ONNX model on columns."""

    model: ModelFile
    """The model."""
    inputs: ColumnNames
    """Columns of the rows, each with the model's input that it feeds: {image: pixels}."""
    outputs: ColumnNames
    """Outputs of the model, each with the column that it becomes: {embedding: embedding}."""
    normalize: Literal["none", "unit", "imagenet", "clip", "half"] = "none"
    """What happens to pixels (uint8, 0..255) before the model. none: nothing but the cast to the
    input's type, 0..255. unit: x/255, 0..1. half: x/127.5 - 1, -1..1. imagenet: (x/255 - mean) /
    std with mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225 for red, green, blue. clip: the
    same with mean 0.48145466, 0.4578275, 0.40821073 and std 0.26862954, 0.26130258, 0.27577711.
    Other columns are given as they are. Default: none."""
    layout: Literal["auto", "NCHW", "NHWC"] = "auto"
    """Order of the axes of a picture input: NCHW (channels first), NHWC (channels last), auto (as
    the model's input shape says). Default: auto."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 64
    """Most rows in a batch; smaller ones are used where they are measured to be faster.
    Default: 64."""


class Format(Model):
    """Puts columns together into text: by a known template, or by a text with {column} in it."""

    must_hold = (
        ExactlyOne("form of text", ("template", "text")),
        NeededWhen("instruction", "template", "alpaca", "the column with the instruction"),
        OnlyBeside("instruction", "template"),
        OnlyBeside("images", "template"),
    )

    template: Literal["alpaca"] | None = None
    """A known template: alpaca makes JSON {instruction, input: [pictures as hexadecimal],
    output: ""}."""
    text: Annotated[str, StringConstraints(min_length=1, max_length=65536)] | None = None
    """Text with the names of columns in braces, such as Caption of {key}: {caption}; write a brace
    twice to have it once."""
    instruction: Column | None = None
    """Column with the instruction (alpaca). Default: none."""
    images: Annotated[tuple[Column, ...], Field(max_length=64)] = ()
    """Columns with encoded pictures (alpaca). Null ones are left out. Default: none."""
    into: Column
    """Column to put the text into."""


Operation = Fetch | Decode | Resize | Encode | Sql | Udf | Infer | Format
