"""What a driver tells of its summary queries fits a status, whatever it tells."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lancemill_api.status import FinishedRun
from lancemill_operator.api import as_yaml
from lancemill_operator.parse.outcomes import json_of, outcome
from lancemill_operator.parse.summaries import MOST_BYTES, summaries

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "columns", "rows", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
results = st.lists(
    st.fixed_dictionaries(
        {"name": st.text(min_size=1, max_size=5) | anything},
        optional={"columns": anything | st.lists(st.text(max_size=5)), "rows": anything},
    ),
    max_size=4,
)


def result(*rows: Any, name: Any = "types", **more: Any) -> dict[str, Any]:
    return {"name": name, "columns": ["type", "n"], "rows": list(rows), **more}


def test_a_result_is_kept_as_it_is() -> None:
    told = result({"type": "image/png", "n": 3}, {"type": None, "n": 0})
    assert summaries([told]) == (told,)


def test_what_makes_no_sense_is_left_out() -> None:
    assert summaries("x") == summaries(None) == ()
    assert summaries([1, {"nme": "x"}, result(name=3), result({"n": 1}, 2)]) == (result({"n": 1}),)


def test_rows_beyond_what_a_status_holds_are_left_out() -> None:
    many = summaries([result(*({"n": at} for at in range(1000)))] * 100)
    assert len(many) == 64 and len(many[0]["rows"]) == 100
    large = summaries([result(*({"type": "x" * 900} for _ in range(90)))] * 3)
    assert len(json.dumps(large)) < 1.2 * MOST_BYTES
    (long,) = summaries([result({"type": "x" * 5000, "y" * 300: 1})])
    assert long["rows"] == [{"type": "x" * 1023 + "…"}]


@given(results | anything)
def test_whatever_is_told_a_finished_run_can_hold_it(said: Any) -> None:
    text = json.dumps({"verdict": "Committed", "rows": 10**30, "summary": said})
    heard = json_of(text)
    found = outcome(heard)
    assert found is not None and found.rows == 0
    run = FinishedRun.model_validate(
        {"id": "r", "result": "Succeeded", "summary": list(found.summary)}
    )
    written = run.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert json.loads(as_yaml(written), parse_constant=lambda word: 1 / 0) == written


def test_numbers_that_no_other_reader_knows_are_null() -> None:
    assert json_of("[NaN, Infinity, 1e999, 9223372036854775808, 9223372036854775807, 1.5]") == [
        *(None, None, None, None),
        9223372036854775807,
        1.5,
    ]
