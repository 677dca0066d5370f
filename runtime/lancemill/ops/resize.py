"""Pixels → pixels of a wanted size. Geometry and filter are told in lancemill.media.geometry and
lancemill.media.resample; the work itself is done by lancemill.ops.image."""

from __future__ import annotations

import pyarrow as pa

from lancemill.ops.image import fuse
from lancemill.ops.operation import Bound, Place
from lancemill_api.operations import Resize


def bind(spec: Resize, schema: pa.Schema, place: Place, resolved: object = None) -> Bound:
    """The operation of a stage that stands alone."""
    return fuse([(spec, place)], schema)
