"""Conditions on metadata: told wrong at plan time, and unable to reach anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from lancemill.errors import PlanError
from lancemill.sources.where import check_where

from .given import keys, objects


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("siz > 1", "there is no column 'siz'; did you mean size?"),
        ("size", "it is BIGINT, expected a condition"),
        ("", "it is empty"),
        ("size >", "syntax error"),
        ("size > '1k'", "Could not convert string '1k'"),
        ("count(*) > 1", "cannot contain aggregates"),
        ("row_number() over () < 3", "cannot contain window functions"),
        ("size > 1 order by key", "syntax error"),
        ("true; drop table objects", "syntax error"),
        ("true) from objects; copy (select 1) to 'x' --", "syntax error"),
        ("size > (select max(size) from objects)", "subqueries are not possible"),
        ("key in (select 'a')", "subqueries are not possible"),
    ],
)
def test_a_wrong_condition_is_told_in_one_line(sql: str, message: str) -> None:
    told = check_where(sql)
    assert told is not None
    assert message in told
    assert "\n" not in told


def test_a_condition_reaches_no_files(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for sql in (
        f"exists(select 1 from read_csv('{tmp_path}/secret.csv'))",
        f"exists(select 1 from read_text('{tmp_path}/*'))",
        f"exists(select 1 from '{tmp_path}/secret.csv')",
        "getenv('HOME') = 'x'",
    ):
        assert check_where(sql) is not None, sql


@pytest.mark.parametrize(
    "sql",
    [
        "size > 1000",
        "size > 1 -- big ones",
        "key like '%.jpg' and last_modified >= '2024-01-01'",
        "type in ('image/jpeg', 'image/png')",
        "regexp_matches(key, '^a/') or owner is null",
        "cast(split_part(key, '.', 1) as int) > 1",
    ],
)
def test_a_right_condition_passes(sql: str) -> None:
    assert check_where(sql) is None


def test_the_plan_is_told_where_the_wrong_condition_stands(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"spec\.source\.objects\.where"):
        objects(".", tmp_path, where="siz > 1").schema()


def test_rows_for_which_the_condition_is_unknown_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"12")
    (tmp_path / "in" / "b").write_bytes(b"1")
    (tmp_path / "in" / "dangling").symlink_to("nowhere")
    snapshot = objects("in", tmp_path, where="size >= 1").take_snapshot(str(tmp_path / "out"))
    assert keys(snapshot) == ["a", "b"]
    assert snapshot.document["dropped"] == {"include": 0, "where": 1, "unchanged": 0}
    assert snapshot.document["told"] == "3 objects, 2 where size >= 1"
