"""The quarantine: each run's rows once, found by what they have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lancemill.tables.quarantine import read, set_aside
from support.pour import run_ref


def faults(number: int, reason: str = "Truncated") -> list[dict[str, Any]]:
    same = {"stage": "decode", "reason": reason, "message": "it ends early", "action": "quarantine"}
    return [{"shard": n // 2, "position": n, "key": f"k'{n}.jpg", **same} for n in range(number)]


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "cats.lance.quarantine")


def test_rows_are_found_by_run_reason_and_stage(uri: str) -> None:
    set_aside(uri, run_ref("a"), faults(3))
    set_aside(uri, run_ref("b"), faults(2, "It's odd"))
    assert read(uri).total == 5
    assert [row["position"] for row in read(uri, run="a").rows] == [0, 1, 2]
    (first, _) = read(uri, reason="It's odd").rows
    assert (first["run"], first["pipeline"], first["key"]) == ("b", "cats", "k'0.jpg")
    assert first["time"].tzinfo is not None
    assert read(uri, stage="fetch").total == 0
    limited = read(uri, limit=2)
    assert (len(limited.rows), limited.total) == (2, 5)


def test_rows_come_from_a_stream_and_keep_its_order(uri: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("lancemill.tables.quarantine.BATCH_ROWS", 3)
    assert set_aside(uri, run_ref(), iter(faults(10))).rows == 10
    assert [row["position"] for row in read(uri).rows] == list(range(10))


def test_a_quarantine_that_is_not_there_is_empty(uri: str) -> None:
    assert read(uri).rows == ()
    assert set_aside(uri, run_ref(), []).rows == 0
    assert not Path(uri).exists()


def test_setting_aside_again_changes_nothing(uri: str) -> None:
    first = set_aside(uri, run_ref(), faults(3))
    again = set_aside(uri, run_ref(), faults(3))
    assert (first.version, first.rows) == (again.version, again.rows)
    assert read(uri).total == 3


@pytest.mark.parametrize("point", ["proposed", "committed", "settled"])
def test_what_ends_anywhere_is_finished_by_the_next_attempt(uri: str, point: str) -> None:
    class Dead(BaseException):
        pass

    def die(here: str) -> None:
        if here == point:
            raise Dead

    with pytest.raises(Dead):
        set_aside(uri, run_ref(), faults(3), checkpoint=die)
    set_aside(uri, run_ref(), faults(3))
    assert [row["position"] for row in read(uri).rows] == [0, 1, 2]


def test_drivers_at_the_same_time_set_aside_once(uri: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: set_aside(uri, run_ref(), faults(4)), range(3)))
    assert read(uri).total == 4


def test_a_row_refused_at_the_commit_has_no_position(uri: str) -> None:
    refused = {"key": "k1", "reason": "DuplicateKey", "message": "again", "unknown": 1}
    set_aside(uri, run_ref(), [{"shard": -1, "position": -1, **refused}])
    (row,) = read(uri).rows
    assert (row["position"], row["stage"], row["reason"]) == (-1, None, "DuplicateKey")


def test_text_that_is_no_utf8_is_kept_readable(uri: str) -> None:
    odd = {"key": "caf\udce9.jpg", "reason": "Raised", "message": "no such file: caf\udce9.jpg"}
    set_aside(uri, run_ref(), [{"shard": 0, "position": 0, **odd}])
    (row,) = read(uri).rows
    assert row["key"] == "caf\\udce9.jpg"
    assert row["message"] == "no such file: caf\\udce9.jpg"
