"""The body of an apply is JSON that a reader of YAML understands."""

from __future__ import annotations

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from lancemill_operator.api import as_yaml

texts = st.text(st.characters(exclude_categories=("Cs",)))


@given(st.dictionaries(texts, texts | st.integers() | st.lists(texts, max_size=3), max_size=4))
def test_it_is_json_and_yaml_of_the_same_value(body: dict[str, object]) -> None:
    sent = as_yaml(body)
    assert json.loads(sent) == body
    assert yaml.safe_load(sent) == body


def test_what_is_no_text_at_all_is_replaced() -> None:
    assert json.loads(as_yaml({"message": "half a \ud83d pair \ude00"})) == {
        "message": "half a \ufffd pair \ufffd"
    }


def test_what_lies_beyond_the_basic_plane_is_sent_as_it_is() -> None:
    assert as_yaml({"a": "😀\x85\ufeff\n\\ud83d"}).decode() == (
        '{"a":"😀\\u0085\\ufeff\\n\\\\ud83d"}'
    )
