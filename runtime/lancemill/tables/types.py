"""Types that only Lance has."""

from __future__ import annotations

import pyarrow as pa


def is_blob(kind: pa.DataType) -> bool:
    """True for Lance's blob columns (told by name, so that pylance need not be imported)."""
    return getattr(kind, "extension_name", "") == "lance.blob.v2"
