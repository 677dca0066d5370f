"""format: text from columns."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from lancemill.errors import PlanError
from lancemill.ops import format as format_op
from lancemill.ops.operation import Place, WorkerContext
from lancemill_api.operations import Format
from support.material import pictures

PLACE = Place("prompt", "spec.stages[1].format")
ROWS = pa.record_batch(
    {
        "key": ["a", "é{}", None],
        "n": pa.array([1, None, 3], pa.int64()),
        "score": [0.5, 1.0, 2.0],
        "good": [True, False, True],
        "data": pa.array([b"1", b"2", b"3"]),
    }
)


def run(spec, rows=ROWS):
    bound = format_op.bind(spec, rows.schema, PLACE, None)
    applied = bound.open(WorkerContext())
    outcome = applied(rows)
    applied.close()
    assert outcome.rows.schema == bound.schema
    assert outcome.faults == ()
    return outcome.rows[spec.into].to_pylist()


def text_of(template, rows=ROWS):
    return run(Format(text=template, into="text"), rows)


def mistakes_of(spec, schema=ROWS.schema):
    with pytest.raises(PlanError) as caught:
        format_op.bind(spec, schema, PLACE, None)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_columns_are_put_where_they_are_named():
    assert text_of("{key} is {score}, {good}: {key}")[:2] == [
        "a is 0.5, true: a",
        "é{} is 1, false: é{}",
    ]


def test_a_null_in_any_named_column_makes_the_text_null():
    assert text_of("{key}-{n}") == ["a-1", None, None]


def test_braces_written_twice_stand_for_themselves():
    assert text_of('{{"key": "{key}", "empty": {{}}}}')[0] == '{"key": "a", "empty": {}}'
    assert text_of("{{key}}")[0] == "{key}"


def test_a_text_without_columns_is_the_same_in_every_row():
    assert text_of("hello") == ["hello"] * 3


def test_the_text_may_replace_a_column_that_it_reads():
    assert run(Format(text="<{key}>", into="key")) == ["<a>", "<é{}>", None]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a { b", "has a single { at 2; write it twice"),
        ("a } b", "has a single } at 2; write it twice"),
        ("{}", "names no column between the braces at 0"),
        ("{keys}", "column 'keys' is made by no earlier stage; did you mean key?"),
        ("{data}", "column 'data' is binary, expected text, a number or true/false"),
    ],
)
def test_a_template_that_cannot_work_is_told_before_anything_runs(template, said):
    (mistake,) = mistakes_of(Format(text=template, into="text"))
    assert mistake.startswith("spec.stages[1].format.text  " + said)


def test_all_wrong_columns_are_told_at_once():
    assert len(mistakes_of(Format(text="{x} {y} {key}", into="text"))) == 2


def test_alpaca_holds_the_real_pictures_without_the_missing_ones():
    first, second = (path.read_bytes() for path in pictures()[:2])
    rows = pa.record_batch(
        {
            "text": ["what is it?", "and “this”?", None],
            "image1": pa.array([first, None, first], pa.binary()),
            "image2": pa.array([second, None, first], pa.large_binary()),
            "image3": pa.array([b"", second, first], pa.binary()),
        }
    )
    spec = Format(
        template="alpaca",
        instruction="text",
        images=("image1", "image2", "image3"),
        into="formatted_prompt",
    )
    records = run(spec, rows)
    assert json.loads(records[0]) == {
        "instruction": "what is it?",
        "input": [first.hex(), second.hex()],
        "output": "",
    }
    assert json.loads(records[1])["input"] == [second.hex()]
    assert json.loads(records[1])["instruction"] == "and “this”?"
    assert records[2] is None


def test_alpaca_needs_text_and_bytes():
    spec = Format(template="alpaca", instruction="n", images=("data",), into="p")
    assert mistakes_of(spec) == [
        "spec.stages[1].format.instruction  column 'n' is int64, expected string"
    ]
    spec = Format(template="alpaca", instruction="key", images=("data", "key"), into="p")
    assert mistakes_of(spec) == [
        "spec.stages[1].format.images[1]  column 'key' is string, expected encoded bytes"
    ]
