"""A user-defined function, for udf.yaml and add-columns.yaml: the mean colour of each picture."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def mean_colour(batch: pa.RecordBatch, column: str = "image", digits: int = 2) -> dict[str, object]:
    """One row out for each row in: exactly the columns that the manifest's schema declares."""
    pixels = batch.column(column).to_numpy_ndarray()  # uint8[rows, height, width, 3]
    means = pixels.reshape(len(pixels), -1, 3).mean(axis=1)
    brightness = (means @ np.array([0.299, 0.587, 0.114])).round(digits)
    return {
        "colour": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in means.astype(int)],
        "brightness": brightness.astype(np.float32),
    }
