"""Decode, resize and encode as one operation, whether one of them is asked for or all three.

Apart, each stage would keep a whole batch of full-size pixels between it and the next. Together,
full-size pixels live for one picture, and the result goes straight into the batch's buffer. A stage
that stands alone is a chain of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from lancemill.media.decoding import Resizing, Wanted, decode, decode_to, resize
from lancemill.media.encoding import encode
from lancemill.media.faults import EncodingError, PictureError
from lancemill.media.geometry import Frame
from lancemill.media.pillow import CHANNELS, over_white
from lancemill.media.types import (
    IMAGE,
    ByteRows,
    PictureRows,
    Pixels,
    describe,
    image_array,
    is_picture,
    shape_of,
    tensor,
    tensor_array,
)
from lancemill.ops.operation import (
    UNKNOWN,
    Bound,
    Fault,
    Outcome,
    Place,
    WorkerContext,
    is_binary,
    put_columns,
    require_column,
    with_columns,
)
from lancemill_api.colours import rgb
from lancemill_api.operations import Decode, Encode, Resize

Stage = tuple[Any, Place]
"""A specification (Decode, Resize or Encode) and where it stands."""

ORDER = (Decode, Resize, Encode)
CHANNELS_KEY = b"lancemill.channels"
"""In the metadata of an IMAGE field: the channels that all its pictures have."""
ANY_SIZE_ROWS = 16
"""Rows of a call that makes pictures of any size: each may be hundreds of megabytes."""
CALL_BYTES = 128 * 2**20
"""Pixels that a call makes at most, where their size is known."""
USUAL_ROWS = 256
"""Below this the size of batches is asked for; above it they are taken as they come."""


def can_fuse(specs: Sequence[Any]) -> bool:
    """Whether adjacent stages make one chain: decode, resize, encode in order, one column through.

    Only the last stage's column comes out of the chain: fuse where the others are not needed.
    """
    kinds = [ORDER.index(type(spec)) if type(spec) in ORDER else -1 for spec in specs]
    in_order = -1 not in kinds and kinds == sorted(set(kinds))
    pairs = pairwise(specs)
    return in_order and all(before.target == after.column for before, after in pairs)


def fuse(stages: Sequence[Stage], schema: pa.Schema) -> Bound:
    """One operation out of `stages` (for which `can_fuse` holds), bound to `schema`."""
    chain = _Chain.of(stages)
    given, place = stages[0]
    found = require_column(
        schema,
        given.column,
        place.at("column"),
        is_binary if chain.decode else is_picture,
        "encoded pictures (binary)" if chain.decode else "decoded pictures (put a decode before)",
    )
    target = stages[-1][0].target
    made = _made(chain, target, schema.field(given.column), found)
    out = with_columns(schema, [made])
    return Bound(
        stage="+".join(place.stage for _, place in stages),
        operation="+".join(type(spec).__name__.lower() for spec, _ in stages),
        schema=out,
        reads=frozenset({given.column}),
        makes=frozenset({target}),
        open=lambda context: _open(chain, given.column, made, out, context),
        batch_rows=_batch_rows(made.type),
        summary=f"→ {target}: {_summary(chain, made.type)}",
    )


@dataclass(frozen=True, slots=True)
class _Chain:
    """What is done to each picture, and the stages' names for the faults."""

    decode: Wanted | None
    resize: Resizing | None
    encode: Encode | None
    first: str
    last: str

    @classmethod
    def of(cls, stages: Sequence[Stage]) -> _Chain:
        by_kind = {type(spec): spec for spec, _ in stages}
        given: Decode | None = by_kind.get(Decode)
        asked: Resize | None = by_kind.get(Resize)
        return cls(
            decode=_wanted(given) if given else None,
            resize=_resizing(asked) if asked else None,
            encode=by_kind.get(Encode),
            first=stages[0][1].stage,
            last=stages[-1][1].stage,
        )

    @property
    def fixed(self) -> bool:
        """Whether what comes out is pixels of one size."""
        return self.encode is None and self.resize is not None and self.resize.frame.fixed

    def stage_of(self, error: PictureError) -> str:
        """The stage in which `error` came up: only decoding and encoding look at values."""
        return self.last if isinstance(error, EncodingError) else self.first


def _wanted(given: Decode) -> Wanted:
    return Wanted(given.mode, given.orientation == "apply", given.max_pixels)


def _resizing(asked: Resize) -> Resizing:
    frame = Frame(asked.width, asked.height, asked.fit, asked.anchor, asked.enlarge)
    return Resizing(frame, rgb(asked.background), asked.quality)


def _made(chain: _Chain, name: str, given: pa.Field, found: pa.DataType) -> pa.Field:
    """The field that the chain makes."""
    if chain.encode:
        return pa.field(name, pa.binary())
    if found == UNKNOWN and not chain.decode:
        return pa.field(name, UNKNOWN)
    channels = _channels(chain, given, found)
    if chain.resize and chain.fixed:
        frame = chain.resize.frame
        return pa.field(name, tensor(frame.height, frame.width, channels))
    return pa.field(name, IMAGE, metadata={CHANNELS_KEY: str(channels)})


def _channels(chain: _Chain, given: pa.Field, found: pa.DataType) -> int:
    """The channels of the pixels; of an IMAGE column that does not say, those of RGB."""
    if chain.decode:
        return chain.decode.channels
    shape = shape_of(found)
    if shape:
        return shape[2]
    return int((given.metadata or {}).get(CHANNELS_KEY, CHANNELS["RGB"]))


def _batch_rows(made: pa.DataType) -> int | None:
    shape = shape_of(made)
    if shape is None:
        return ANY_SIZE_ROWS if made == IMAGE else None
    rows = CALL_BYTES // (shape[0] * shape[1] * shape[2])
    return max(1, rows) if rows < USUAL_ROWS else None


def _summary(chain: _Chain, made: pa.DataType) -> str:
    if chain.encode:
        return chain.encode.format
    return "pictures" if made == UNKNOWN else describe(made)


def _open(
    chain: _Chain, column: str, made: pa.Field, schema: pa.Schema, _: WorkerContext
) -> _Pictures:
    return _Pictures(chain, column, made, schema)


class _Pictures:
    """The opened operation. Holds nothing that a call changes, so calls may run at once."""

    def __init__(self, chain: _Chain, column: str, made: pa.Field, schema: pa.Schema) -> None:
        self._chain = chain
        self._column = column
        self._made = made
        self._schema = schema

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        given = batch.column(self._column)
        field = batch.schema.field(self._column)
        rows = ByteRows(given) if self._chain.decode else PictureRows(given)
        faults: list[Fault] = []
        draw = _drawing(self._chain, _channels(self._chain, field, given.type))
        if self._chain.encode:
            array = self._encoded(rows, draw, faults)
        elif self._chain.fixed:
            array = self._of_fixed_size(rows, draw, faults)
        else:
            array = self._of_any_size(rows, draw, faults)
        columns = {self._made.name: array}
        return Outcome(put_columns(batch, self._schema, columns), tuple(faults))

    def close(self) -> None:
        """Nothing is held."""

    def _of_fixed_size(self, rows: Rows, draw: Draw, faults: list[Fault]) -> pa.Array:
        pixels = np.empty((len(rows), *self._made.type.shape), np.uint8)
        valid = np.zeros(len(rows), np.bool_)

        def into_buffer(row: int, value: Any) -> None:
            draw(value, pixels[row])
            valid[row] = True

        self._each(rows, into_buffer, faults)
        pixels[~valid] = 0
        return tensor_array(pixels, valid)

    def _of_any_size(self, rows: Rows, draw: Draw, faults: list[Fault]) -> pa.Array:
        pictures: list[Pixels | None] = [None] * len(rows)

        def into_list(row: int, value: Any) -> None:
            pictures[row] = draw(value, None)

        self._each(rows, into_list, faults)
        return image_array(pictures)

    def _encoded(self, rows: Rows, draw: Draw, faults: list[Fault]) -> pa.Array:
        asked = self._chain.encode
        assert asked is not None
        files: list[bytes | None] = [None] * len(rows)

        def into_bytes(row: int, value: Any) -> None:
            files[row] = encode(draw(value, None), asked.format, asked.quality)

        self._each(rows, into_bytes, faults)
        return pa.array(files, pa.binary())

    def _each(self, rows: Rows, make: Callable[[int, Any], None], faults: list[Fault]) -> None:
        """Calls `make` for each row that has a value; what cannot be done becomes a fault."""
        for row in range(len(rows)):
            value = rows[row]
            if value is None:
                continue
            try:
                make(row, value)
            except PictureError as error:
                stage = self._chain.stage_of(error)
                faults.append(Fault(row, stage, error.reason, error.message))
            except MemoryError:
                raise
            except Exception as error:  # one row never ends a run, whatever a decoder comes to
                text = f"{type(error).__name__}: {error}"
                faults.append(Fault(row, self._chain.first, "Unexpected", text))


Rows = ByteRows | PictureRows
Draw = Callable[[Any, Pixels | None], Pixels]
"""Makes a row's pixels, in the buffer it is given or in a new one."""


def _drawing(chain: _Chain, channels: int) -> Draw:
    given, asked = chain.decode, chain.resize
    if asked is None:
        if given is None:
            return lambda pixels, _: pixels
        return lambda data, _: decode(data, given)
    canvas = _canvas(asked, channels)
    if given is None:
        return lambda pixels, out: resize(_with(channels, pixels), asked, canvas, out)
    return lambda data, out: decode_to(data, given, asked, canvas, out)


@lru_cache(maxsize=8)
def _canvas(asked: Resizing, channels: int) -> Pixels:
    """The background of every picture of a stage, made once and only ever read."""
    canvas = asked.canvas(channels)
    canvas.flags.writeable = False
    return canvas


def _with(channels: int, pixels: Pixels) -> Pixels:
    """`pixels` with that many channels, where a column of any size mixes grey, colour and alpha."""
    if pixels.shape[2] == channels:
        return pixels
    from PIL import Image

    mode = next(mode for mode, count in CHANNELS.items() if count == channels)
    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    image = over_white(pixels) if pixels.shape[2] == 4 else Image.fromarray(flat)
    return np.array(image.convert(mode)).reshape(*pixels.shape[:2], channels)
