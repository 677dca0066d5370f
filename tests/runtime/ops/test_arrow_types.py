"""The API's type texts in Arrow."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lancemill.media.types import IMAGE, tensor
from lancemill.ops.arrow_types import arrow_type
from lancemill_api.types import SCALARS, UnknownType


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("string", pa.string()),
        ("image", IMAGE),
        ("float32[512]", pa.list_(pa.float32(), 512)),
        ("uint8[224,224,3]", tensor(224, 224, 3)),
        ("list<string>", pa.list_(pa.string())),
        ("timestamp", pa.timestamp("us")),
        ("timestamp[ms, Europe/Berlin]", pa.timestamp("ms", "Europe/Berlin")),
        (
            "struct<a: int32, b: list<float64>>",
            pa.struct([("a", pa.int32()), ("b", pa.list_(pa.float64()))]),
        ),
    ],
)
def test_a_type_text_is_its_arrow_type(text, kind):
    assert arrow_type(text) == kind


@pytest.mark.parametrize("name", SCALARS)
def test_every_scalar_of_the_api_has_an_arrow_type(name):
    assert isinstance(arrow_type(name), pa.DataType)


def test_a_text_that_is_no_type_is_refused():
    with pytest.raises(UnknownType, match="did you mean string"):
        arrow_type("strin")
