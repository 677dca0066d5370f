"""Arrow columns of pictures: their rows come back as they went in, without copies."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lancemill.media.types import (
    IMAGE,
    ByteRows,
    PictureRows,
    describe,
    image_array,
    is_picture,
    shape_of,
    tensor,
    tensor_array,
)


def test_a_tensor_array_shares_the_memory_of_its_pixels() -> None:
    pixels = np.arange(4 * 5 * 6 * 3, dtype=np.uint8).reshape(4, 5, 6, 3)
    array = tensor_array(pixels, np.array([True, False, True, True]))
    array.validate(full=True)
    assert array.type == tensor(5, 6, 3)
    assert array.null_count == 1
    rows = PictureRows(array.slice(1))
    assert rows[0] is None
    third = rows[1]
    assert third is not None
    assert np.array_equal(third, pixels[2])
    assert np.shares_memory(third, pixels)


def test_pictures_of_any_size_come_back_from_a_slice() -> None:
    first = np.full((2, 3, 1), 7, np.uint8)
    last = np.arange(4 * 3 * 4, dtype=np.uint8).reshape(4, 3, 4)
    array = image_array([first, None, last])
    array.validate(full=True)
    assert array.type == IMAGE
    rows = PictureRows(array.slice(1))
    assert rows[0] is None
    got = rows[1]
    assert got is not None
    assert np.array_equal(got, last)


def test_pictures_are_let_go_as_they_are_copied() -> None:
    pictures: list[np.ndarray | None] = [np.zeros((2, 2, 3), np.uint8) for _ in range(3)]
    image_array(pictures)
    assert pictures == [None, None, None]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3)])
def test_bytes_of_every_kind_come_back_as_unsigned_views(kind: pa.DataType) -> None:
    rows = ByteRows(pa.array([b"abc", None, b"\xff\xfe\xfd"], kind).slice(1))
    assert len(rows) == 2
    assert rows[0] is None
    got = rows[1]
    assert got is not None
    assert list(got) == [255, 254, 253]


@pytest.mark.parametrize("kind", [pa.binary(), IMAGE, tensor(2, 2, 3)])
def test_columns_of_nulls_and_of_nothing_can_be_read(kind: pa.DataType) -> None:
    reader = ByteRows if kind == pa.binary() else PictureRows
    assert len(reader(pa.nulls(0, kind))) == 0
    rows = reader(pa.nulls(2, kind))
    assert [rows[0], rows[1]] == [None, None]


def test_only_pictures_count_as_pictures() -> None:
    assert shape_of(tensor(4, 5, 3)) == (4, 5, 3)
    assert describe(tensor(4, 5, 3)) == "uint8[4,5,3]"
    assert is_picture(IMAGE)
    assert not is_picture(pa.binary())
    assert not is_picture(pa.fixed_shape_tensor(pa.float32(), [4, 5, 3]))
    assert not is_picture(pa.fixed_shape_tensor(pa.uint8(), [4, 5]))
    assert not is_picture(pa.fixed_shape_tensor(pa.uint8(), [4, 5, 3], permutation=[2, 0, 1]))
