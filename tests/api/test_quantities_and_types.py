"""Durations, sizes, quantities and column types: text in a manifest, values where they are used."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from api.manifests import column_types
from lancemill_api import types
from lancemill_api.quantities import byte_size, quantity, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("1.5h", 5400), ("2d", 172800)],
)
def test_a_duration_is_read_in_seconds(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "30", "s", "1 h", "-1s", "1h 30m", "1s\n", "1w"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("64Mi", 64 * 2**20), ("1.5Gi", 3 * 2**29), ("100000", 100_000), (7, 7), ("2k", 2000)],
)
def test_a_size_is_read_in_bytes(text: str | int, value: int) -> None:
    assert byte_size(text) == value


@pytest.mark.parametrize("text", ["", "64MB", "64 Mi", "-1", "1e3", "0x10", "5m", "1\n"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as"):
        byte_size(text)


@pytest.mark.parametrize(("text", "value"), [("500m", 0.5), (4, 4), ("0.5", 0.5), ("8Gi", 2**33)])
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str | int, value: float) -> None:
    assert quantity(text) == pytest.approx(value)


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a quantity such as"):
        quantity("4 cores")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("string", types.Scalar("string")),
        ("float32[512]", types.Tensor(types.Scalar("float32"), (512,))),
        ("uint8[224, 224,3]", types.Tensor(types.Scalar("uint8"), (224, 224, 3))),
        ("list<list<int8>>", types.ListOf(types.ListOf(types.Scalar("int8")))),
        ("timestamp", types.Timestamp("us")),
        ("timestamp[ms, Europe/Berlin]", types.Timestamp("ms", "Europe/Berlin")),
        (
            "struct<a: int32, b: list<uint8[2,2]>>",
            types.Struct(
                (
                    ("a", types.Scalar("int32")),
                    ("b", types.ListOf(types.Tensor(types.Scalar("uint8"), (2, 2)))),
                )
            ),
        ),
    ],
)
def test_a_type_is_read_from_its_text(text: str, value: types.Type) -> None:
    assert types.parse(text) == value


@given(column_types)
def test_a_type_that_is_written_and_read_again_is_the_same(text: str) -> None:
    kind = types.parse(text)
    assert types.parse(str(kind)) == kind
    assert re.search(types.OUTLINE, text), "an API server would refuse it"
    assert re.search(types.OUTLINE, str(kind)), "an API server would refuse it"


@pytest.mark.parametrize("text", ["timestamp[ms, a b]", "timestamp[ h ]", "\tint8", "int8[ \t2]"])
def test_what_is_no_type_is_none_for_an_api_server_either(text: str) -> None:
    assert not re.search(types.OUTLINE, text)
    with pytest.raises(types.UnknownType):
        types.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strng", "is 'strng', which is no type; did you mean string?"),
        ("double", "is 'double', which is no type; did you mean float64?"),
        ("list<varchar>", "is 'varchar', which is no type; did you mean string?"),
        ("float32[]", "expected sizes of 1 or more, as in float32"),
        ("string[3]", "expected a number before the"),
        ("timestamp[h]", "with a unit of s, ms, us, ns"),
        ("struct<a>", "has 'a' in a struct, expected a name, a colon and a type"),
        ("qqqq", "expected one of bool, int8"),
        ("list<" * 20 + "int8" + ">" * 20, "is nested deeper than 8 levels"),
    ],
)
def test_what_is_no_type_is_refused_with_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(types.UnknownType, match=re.escape(message)):
        types.parse(text)
