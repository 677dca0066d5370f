"""Encoded pictures → pixels. What each format's pixels are, and which files are refused and why, is
told in lancemill.media; the work itself is done by lancemill.ops.image."""

from __future__ import annotations

import pyarrow as pa

from lancemill.ops.image import fuse
from lancemill.ops.operation import Bound, Place
from lancemill_api.operations import Decode


def bind(spec: Decode, schema: pa.Schema, place: Place, resolved: object = None) -> Bound:
    """The operation of a stage that stands alone."""
    return fuse([(spec, place)], schema)
