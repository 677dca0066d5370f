"""sql: what a stage's query may say, and what becomes of the rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancemill.errors import PlanError, RunError
from lancemill.media.types import IMAGE, tensor
from lancemill.ops import sql
from lancemill.ops.operation import UNKNOWN, Place, WorkerContext
from lancemill_api.operations import Sql

PLACE = Place("keep", "spec.stages[3].sql")


def picture_rows(count):
    pixels = pa.array(np.arange(count * 12, dtype=np.uint8))
    storage = pa.FixedSizeListArray.from_arrays(pixels, 12)
    return pa.record_batch(
        {
            "key": [f"k{n}" for n in range(count)],
            "score": pa.array([None if n == 2 else n / 10 for n in range(count)], pa.float64()),
            "text": ["1", "x", "3", "4", "y", *map(str, range(5, count))][:count],
            "tags": [["a", "b"], [], None, ["c"], ["d", "e", "f"], *([["g"]] * count)][:count],
            "image": pa.ExtensionArray.from_storage(tensor(2, 2, 3), storage),
            "bytes": pa.array([bytes([n]) * 10 for n in range(count)], pa.large_binary()),
        }
    )


ROWS = picture_rows(8)


def run(query, rows=ROWS):
    bound = sql.bind(Sql(query=query), rows.schema, PLACE, None)
    applied = bound.open(WorkerContext())
    try:
        outcome = applied(rows)
    finally:
        applied.close()
    assert outcome.rows.schema.equals(bound.schema)
    outcome.rows.validate(full=True)
    if bound.shape == "map":
        assert outcome.origin is None
        assert len(outcome.rows) == len(rows)
    else:
        assert len(outcome.origin) == len(outcome.rows)
        assert (np.diff(outcome.origin) >= 0).all()
    return bound, outcome


def mistakes_of(query, schema=ROWS.schema):
    with pytest.raises(PlanError) as caught:
        sql.bind(Sql(query=query), schema, PLACE, None)
    return [str(mistake) for mistake in caught.value.mistakes]


# -- what comes out


def test_an_expression_is_added_and_everything_else_stays_as_it_is():
    bound, outcome = run("select *, score * 2 as double from input")
    assert bound.shape == "map"
    assert bound.schema.names == [*ROWS.schema.names, "double"]
    assert outcome.rows["double"].to_pylist()[:3] == [0.0, 0.2, None]
    assert outcome.rows["image"].equals(ROWS["image"])


def test_a_filter_says_which_rows_remain_in_order():
    bound, outcome = run("select key, image from input where score > 0.25 or key = 'k0'")
    assert bound.shape == "filter"
    assert outcome.origin.tolist() == [0, 3, 4, 5, 6, 7]
    assert outcome.rows["key"].to_pylist() == ["k0", "k3", "k4", "k5", "k6", "k7"]
    assert outcome.rows["image"].equals(ROWS["image"].take(pa.array([0, 3, 4, 5, 6, 7])))


def test_a_filter_that_no_row_passes_gives_no_rows():
    _, outcome = run("select *, upper(key) as big from input where score > 99")
    assert len(outcome.rows) == 0
    assert outcome.origin.tolist() == []


def test_unnest_makes_rows_that_know_where_they_come_from():
    bound, outcome = run("select key, unnest(tags) as tag from input where score < 0.45")
    assert bound.shape == "expand"
    assert outcome.rows.to_pydict() == {
        "key": ["k0", "k0", "k3", "k4", "k4", "k4"],
        "tag": ["a", "b", "c", "d", "e", "f"],
    }
    assert outcome.origin.tolist() == [0, 0, 3, 4, 4, 4]


def test_columns_are_chosen_renamed_excluded_and_replaced():
    bound, outcome = run(
        "select * exclude (tags, bytes) replace (upper(key) as key) rename (text as words), "
        "i.bytes as raw from input i"
    )
    assert bound.schema.names == ["key", "score", "words", "image", "raw"]
    assert outcome.rows["key"].to_pylist()[0] == "K0"
    assert outcome.rows["raw"].equals(ROWS["bytes"])


def test_names_are_found_whatever_their_case_and_keep_the_column_s_own():
    bound, _ = run('select KEY, "Score", input.Text as T from INPUT')
    assert bound.schema.names == ["key", "score", "T"]


def test_an_alias_can_be_used_by_another_expression_and_by_where():
    _, outcome = run(
        "select key as name, name || '!' as loud, length(loud) n from input where loud <> 'k1!'"
    )
    assert outcome.rows["loud"].to_pylist()[:2] == ["k0!", "k2!"]
    assert outcome.rows["n"].to_pylist()[:2] == [3, 3]
    assert outcome.rows["name"].to_pylist()[:2] == ["k0", "k2"]


def test_a_field_of_a_struct_is_computed_and_the_struct_is_carried():
    image = pa.array([{"data": b"abc", "height": 1, "width": 1, "channels": 3}, None], IMAGE)
    rows = pa.record_batch({"image": image})
    bound, outcome = run("select image, image.width * image.height as pixels from input", rows)
    assert bound.schema.field("image").type == IMAGE
    assert outcome.rows["pixels"].to_pylist() == [1, None]


def test_types_and_metadata_of_columns_that_are_only_named_stay():
    field = pa.field("d", pa.dictionary(pa.int8(), pa.string()), metadata={"a": "b"})
    rows = pa.record_batch(
        [pa.array(["x"]).dictionary_encode().cast(field.type)], pa.schema([field])
    )
    bound, outcome = run("select d, d as e, 1 as one from input where d = 'x'", rows)
    assert bound.schema.field("d").equals(field, check_metadata=True)
    assert bound.schema.field("e").equals(field.with_name("e"), check_metadata=True)
    assert outcome.rows["e"].to_pylist() == ["x"]


def test_columns_that_are_only_named_are_not_copied():
    def buffers(batch):
        return [buffer.address for buffer in batch["bytes"].buffers() if buffer]

    _, mapped = run("select *, 1 as one from input")
    _, cut = run("select * from input where score between 0.3 and 0.6")
    assert buffers(mapped.rows) == buffers(ROWS)
    assert buffers(cut.rows) == buffers(ROWS)
    assert cut.rows["bytes"].to_pylist() == ROWS["bytes"].to_pylist()[3:7]


def test_lists_have_the_usual_names_inside():
    bound, outcome = run("select list_transform(tags, lambda t: upper(t)) as loud from input")
    assert bound.schema.field("loud").type == pa.list_(pa.string())
    assert outcome.rows["loud"].to_pylist()[0] == ["A", "B"]


def test_many_values_behind_in_keep_the_order():
    keys = ", ".join(f"'k{n}'" for n in range(50, -1, -1))
    _, outcome = run(f"select key from input where key in ({keys})")
    assert outcome.origin.tolist() == list(range(8))


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5)), max_size=40))
@settings(max_examples=20, deadline=None)
def test_a_filter_keeps_exactly_the_rows_that_hold(values):
    rows = pa.record_batch({"n": pa.array(values, pa.int64())})
    _, outcome = run("select n, n * n as square from input where n % 2 = 0", rows)
    kept = [at for at, n in enumerate(values) if n is not None and n % 2 == 0]
    assert outcome.origin.tolist() == kept
    assert outcome.rows["square"].to_pylist() == [values[at] ** 2 for at in kept]


# -- rows that cannot be done


def test_only_rows_that_cannot_be_cast_are_faults():
    bound, outcome = run("select key, text::int as n from input")
    assert bound.shape == "map"
    assert outcome.rows["n"].to_pylist() == [1, None, 3, 4, None, 5, 6, 7]
    assert outcome.rows["key"].to_pylist() == ROWS["key"].to_pylist()
    assert [(fault.row, fault.reason) for fault in outcome.faults] == [
        (1, "SqlError"),
        (4, "SqlError"),
    ]
    assert "Could not convert string 'x'" in outcome.faults[0].message
    assert "\n" not in outcome.faults[0].message


def test_a_filter_leaves_faulty_rows_out():
    _, outcome = run("select key from input where text::int > 3")
    assert outcome.rows["key"].to_pylist() == ["k3", "k5", "k6", "k7"]
    assert outcome.origin.tolist() == [3, 5, 6, 7]
    assert [fault.row for fault in outcome.faults] == [1, 4]


def test_a_batch_in_which_every_row_is_faulty_has_only_nulls():
    rows = pa.record_batch({"text": ["a", "b", "c"]})
    _, outcome = run("select text, text::int as n from input", rows)
    assert outcome.rows["n"].to_pylist() == [None] * 3
    assert len(outcome.faults) == 3


def test_faults_are_counted_from_the_start_of_a_batch_that_is_a_slice():
    _, outcome = run("select text::int as n from input", ROWS.slice(1, 4))
    assert [fault.row for fault in outcome.faults] == [0, 3]


def test_structs_within_structs_are_computed_with_in_a_slice_and_only_bad_rows_are_faults():
    values = [{"text": str(n) if n % 9 else "x", "in": {"tags": [n]}} for n in range(40)]
    inner = pa.struct({"tags": pa.list_(pa.int8())})
    column = pa.array(values, pa.struct({"text": pa.string(), "in": inner}))
    within = pa.StructArray.from_arrays([column.slice(10, 20)], ["st"])  # no offset of its own
    listed = pa.ListArray.from_arrays(pa.array(range(21), pa.int32()), column.slice(10, 20))
    for rows, path in [
        (pa.record_batch({"st": column}).slice(10, 20), "st"),
        (pa.record_batch({"o": within}), "o.st"),
        (pa.record_batch({"l": listed}), "l[1]"),
    ]:
        _, outcome = run(f"select {path}.text::int as n, {path}.in.tags[1] as t from input", rows)
        assert outcome.rows["n"].to_pylist() == [n if n % 9 else None for n in range(10, 30)]
        assert outcome.rows["t"].to_pylist() == [n if n % 9 else None for n in range(10, 30)]
        assert [fault.row for fault in outcome.faults] == [8, 17]


def test_an_empty_batch_gives_an_empty_batch():
    _, outcome = run("select text::int as n from input where n > 1", ROWS.slice(0, 0))
    assert len(outcome.rows) == 0


def test_several_threads_get_their_own_rows():
    bound = sql.bind(Sql(query="select n + 1 as m from input"), pa.schema({"n": pa.int64()}), PLACE)
    applied = bound.open(WorkerContext())
    batches = [pa.record_batch({"n": [start, start + 1]}) for start in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = [outcome.rows["m"].to_pylist() for outcome in pool.map(applied, batches)]
    applied.close()
    assert found == [[start + 1, start + 2] for start in range(40)]


# -- what it needs


def test_columns_behind_a_star_are_needed_only_by_whoever_wants_them():
    bound, _ = run("select *, score + 1 as more from input where key <> ''")
    assert bound.reads == {"score", "key"}
    assert bound.makes == {"more"}


def test_columns_that_are_named_are_needed():
    bound, _ = run("select key, image as picture from input")
    assert bound.reads == {"key", "image"}
    assert bound.makes == {"picture"}


# -- what is refused


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select count(*) from input", "has the aggregate count(*), and a stage works on one row"),
        ("select sum(score) from input", "has the aggregate sum()"),
        ("select sum(score) over () from input", "has a window function"),
        ("select row_number() over () from input", "has a window function"),
        ("select key from input order by key", "has order by"),
        ("select key from input limit 3", "has limit"),
        ("select distinct key from input", "has distinct"),
        ("select key from input group by key", "has group by"),
        ("select key from input group by all", "has group by"),
        ("select key from input qualify key > 'a'", "has qualify"),
        ("select key from input using sample 10%", "has a sample"),
        ("select key from input union all select key from input", "has union"),
        ("select i.key from input i join input j on i.key = j.key", "has a join"),
        ("select key from input, unnest(tags)", "has a join"),
        ("select (select 1) as n from input", "has a subquery"),
        ("select key from input where exists (select 1)", "has a subquery"),
        ("select * from (select key from input)", "has a subquery"),
        ("with i as (select 1) select * from i", "has with"),
        ("select 1", "has no from"),
        ("select * from range(3)", "has a table function"),
        ("select * from read_csv('/etc/passwd')", "has a table function"),
        ("select * from '/etc/passwd'", "reads from '/etc/passwd'"),
        ("select * from other", "reads from 'other'; a stage's only table is input"),
        ("select * from main.input", "reads from 'input'; a stage's only table is input"),
        ("select columns('k.*') from input", "has columns(…)"),
        ("select key from input; select 1", "has 2 statements"),
        ("drop table input", "is no select"),
        ("copy input to '/tmp/x'", "is no select"),
        ("set threads = 4", "is no select"),
        ("select key frm input", "syntax error"),
        ("select random() from input", "has random(), whose result is another each time"),
        ("select now() from input", "has now(), whose result is another each time"),
        ("select Current_Date as d from input", "has current_date, whose result is another"),
        ("select uuid() from input", "has uuid()"),
        ("select nextval('s') from input", "has nextval()"),
        ("select ago(interval 1 day) from input", "has ago()"),
        ("select getvariable('x') from input", "has getvariable()"),
        ("select $1 from input", "has a parameter"),
        ("select #1 from input", "has a column by position"),
        ("select __lancemill_row from input", "has the name __lancemill_row"),
        ("select input.__Lancemill_Row + 1 as n from input", "has the name __lancemill_row"),
        ("select score + 1 as __lancemill_row from input", "has the name __lancemill_row"),
        ("select key from input where __lancemill_row > 1", "has the name __lancemill_row"),
        ("select key, KEY from input", "gives two columns the name 'key'"),
        ("select * exclude (nope) from input", "names 'nope' beside *"),
        ("select nope(key) from input", "Scalar Function with name nope does not exist"),
        ("select key + 1 from input where tags", ""),
    ],
)
def test_what_does_not_work_row_by_row_is_refused_with_its_place(query, said):
    mistakes = mistakes_of(query)
    assert mistakes[0].startswith("spec.stages[3].sql.query  ")
    assert said in mistakes[0]
    assert "\n" not in mistakes[0]


def test_everything_that_is_refused_is_told_at_once():
    mistakes = mistakes_of("select sum(score), random() from input order by 1 limit 3")
    assert len(mistakes) == 4


def test_a_missing_column_is_told_with_the_nearest_right_one():
    (mistake,) = mistakes_of("select key from input where scroe > 1")
    assert "column 'scroe' is made by no earlier stage; did you mean score?" in mistake
    (mistake,) = mistakes_of("select kex, image from input")
    assert "did you mean key?" in mistake


def test_columns_whose_names_differ_only_in_case_are_not_computed_with_together():
    rows = pa.record_batch({"A": [1, 2], "a": [10, 20]})
    (mistake,) = mistakes_of("select A + 0 as upper, a + 0 as lower from input", rows.schema)
    assert mistake.startswith("spec.stages[3].sql.query  computes with the columns 'A' and 'a'")
    (mistake,) = mistakes_of("select A as x from input where A > a", rows.schema)
    _, advice = mistake.split("before: ")
    _, outcome = run(advice, rows)
    _, outcome = run("select A + 0 as upper, a_2 + 0 as lower from input", outcome.rows)
    assert outcome.rows.to_pydict() == {"upper": [1, 2], "lower": [10, 20]}
    _, outcome = run("select A, a, a + 1 as more from input", rows)
    assert outcome.rows.to_pydict() == {"A": [1, 2], "a": [10, 20], "more": [11, 21]}


def test_a_column_that_duckdb_cannot_hold_can_be_named_but_not_computed_with():
    rows = pa.record_batch({"n": [1], "half": pa.array([np.float16(1)], pa.float16())})
    _, outcome = run("select half, n + 1 as m from input", rows)
    assert outcome.rows["half"].to_pylist() == [1.0]
    (mistake,) = mistakes_of("select half + 1 as m from input", rows.schema)
    assert mistake.startswith("spec.stages[3].sql.query")


def test_a_column_whose_maker_is_wrong_is_accepted():
    schema = pa.schema([("key", pa.string()), ("later", UNKNOWN)])
    bound = sql.bind(Sql(query="select key, upper(later).a as up from input"), schema, PLACE, None)
    assert bound.schema.field("up").type == UNKNOWN


def test_a_function_that_there_is_not_is_told_beside_a_column_whose_type_is_unknown():
    schema = pa.schema([("key", pa.string()), ("later", UNKNOWN)])
    for expression in ("nope(key)", "nope(later)"):
        (mistake,) = mistakes_of(f"select later::int as n, {expression} as z from input", schema)
        assert "Scalar Function with name nope does not exist" in mistake


def test_a_column_that_there_is_not_is_told_beside_a_column_whose_type_is_unknown():
    schema = pa.schema([("key", pa.string()), ("later", UNKNOWN)])
    (mistake,) = mistakes_of("select later::int as n, upper(kye) as z from input", schema)
    assert "column 'kye' is made by no earlier stage; did you mean key?" in mistake


def test_a_query_that_does_not_fit_a_column_of_nulls_ends_the_run_and_no_row_is_blamed():
    rows = pa.record_batch({"n": pa.nulls(3)})
    with pytest.raises(RunError, match=r"keep: the query does not fit its columns: .*field 'a'"):
        run("select upper(n).a as z from input", rows)


@pytest.mark.parametrize(
    "expression", ["getenv('HOME')", "read_text('/etc/passwd')", "parquet_metadata('x')"]
)
def test_nothing_outside_can_be_read(expression):
    assert mistakes_of(f"select {expression} as x from input")
