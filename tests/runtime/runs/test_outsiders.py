"""What a run made, read by those who know nothing of Lancemill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .given import SIDE, Place

BY_PYLANCE = """
import io, sys
import lance
from PIL import Image

dataset = lance.dataset(sys.argv[1])
table = dataset.to_table(columns=["key", "image"], filter="size > 0")
for row in table.to_pylist():
    assert Image.open(io.BytesIO(row["image"])).size == (8, 8)
assert dataset.take([2, 0], columns=["key"]).column("key").to_pylist() == ["p002.jpg", "p000.jpg"]
assert not [name for name in sys.modules if name.startswith("lancemill")]
print(dataset.count_rows(), table.column("key").to_pylist()[-1])
"""

BY_DUCKDB = """
import io, sys
import duckdb, lance
from PIL import Image

output = lance.dataset(sys.argv[1])
((many, first, last),) = duckdb.sql("select count(*), min(key), max(key) from output").fetchall()
print(many, first, last)
((one,),) = duckdb.sql("select image from output where key = 'p001.jpg'").fetchall()
assert Image.open(io.BytesIO(one)).size == (8, 8)
assert duckdb.sql("select count(*) from output where size < 0").fetchall() == [(0,)]
assert not [name for name in sys.modules if name.startswith("lancemill")]
"""


def alone(script: str, dataset: Path) -> str:
    """What `script` prints in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(dataset)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def made(place: Place) -> Path:
    place.pictures(5)
    assert place.run().status == 0
    return place.folder / "out.lance"


def test_pylance_alone_reads_rows_and_pictures(made: Path) -> None:
    assert alone(BY_PYLANCE, made) == "5 p004.jpg"


def test_duckdb_alone_counts_filters_and_reads_pictures(made: Path) -> None:
    assert alone(BY_DUCKDB, made) == "5 p000.jpg p004.jpg"


def test_blobs_are_read_by_pylance_alone(place: Place) -> None:
    import lance

    place.pictures(3)
    sink = {"lance": {"uri": "out.lance", "columns": ["key", "bytes"], "blobs": ["bytes"]}}
    stages = [{"name": "fetch", "fetch": {"column": "uri", "into": "bytes"}}]
    assert place.run(sink=sink, stages=stages).status == 0
    files = lance.dataset(str(place.folder / "out.lance")).take_blobs("bytes", indices=[0, 2])
    expected = [(place.folder / "pictures" / key).read_bytes() for key in ("p000.jpg", "p002.jpg")]
    assert [file.readall() for file in files] == expected


def test_pixels_are_arrows_own_tensors(place: Place) -> None:
    import numpy as np
    import pyarrow as pa

    from .given import spec

    place.pictures(4)
    assert place.run(stages=spec()["stages"][:3]).status == 0
    column = place.dataset().to_table(columns=["image"]).column("image").combine_chunks()
    assert isinstance(column.type, pa.FixedShapeTensorType)
    assert column.to_numpy_ndarray().shape == (4, SIDE, SIDE, 3)
    assert column.to_numpy_ndarray().dtype == np.uint8
