"""YAML is read as Kubernetes reads it, so that a file means the same here and there."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lancemill_api.yaml_text import read, value_of, write


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("yes", True), ("on", True), ("y", True), ("Off", False), ("n", False)),
        *(("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("2.52.0", "2.52.0")),
        *(("010", 8), ("0o10", 8), ("-0x1F", -31), ("1_000", 1000), ("0b11", 3), ("0", 0)),
        *(("1e3", 1000), ("3.0", 3), ("-.5", -0.5), ("1e-3", 0.001)),
        *(("~", None), ("", None), ("null", None), ("'null'", "null"), ("=", "=")),
    ],
)
def test_a_scalar_means_what_it_means_to_kubernetes(text: str, value: Any) -> None:
    (document,) = read(f"a: {text}")[0]
    assert document.value == {"a": value}
    assert type(document.value["a"]) is type(value)


@pytest.mark.parametrize("text", ["a: .inf", "a: .nan", "a: 1e999", "a: !!binary eA==", "a: !x 1"])
def test_what_json_cannot_hold_is_a_mistake(text: str) -> None:
    (document,) = read(text)[0]
    (mistake,) = document.mistakes
    assert mistake.path == "a"
    assert mistake.line == 1


@pytest.mark.parametrize("depth", [101, 330, 700])
def test_what_is_nested_too_deep_is_a_mistake(depth: int) -> None:
    (document,) = read("a: 1\nb: " + "[" * depth + "]" * depth)[0]
    (mistake,) = document.mistakes
    assert mistake.message == "is nested more than 100 deep"


def test_a_number_of_thousands_of_digits_is_a_mistake_that_shows_its_first() -> None:
    (document,) = read("a: " + "7" * 5000)[0]
    (mistake,) = document.mistakes
    assert mistake.path == "a"
    assert mistake.message == f"is {'7' * 40}…, which JSON cannot hold"


def test_every_field_has_its_line() -> None:
    (document,) = read("a:\n  b: 1\n  c:\n  - x\n  - {d: 2}\n")[0]
    assert document.lines == {
        "": 1,
        "a": 1,
        "a.b": 2,
        "a.c": 3,
        "a.c[0]": 4,
        "a.c[1]": 5,
        "a.c[1].d": 5,
    }


def test_documents_before_a_syntax_error_are_kept() -> None:
    documents, mistakes = read("a: 1\n---\nb: [\n")
    assert [one.value for one in documents] == [{"a": 1}]
    assert len(mistakes) == 1


def test_a_value_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(ValueError, match="is not YAML"):
        value_of("{")


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)


@given(st.dictionaries(texts, texts, max_size=3))
def test_every_text_that_is_written_is_read_as_that_text(value: dict[str, str]) -> None:
    assert value_of(write(value)) == value
    assert yaml.safe_load(write(value)) == value
