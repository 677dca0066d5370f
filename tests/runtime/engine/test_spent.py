"""What a run is said to have spent: its own processes, and every attempt, killed ones too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lancemill.engine.ledger import Ledger
from lancemill.engine.progress import StageTotals
from lancemill.engine.spent import Spent, spent_before
from lancemill.storage import open_store

EMBED = StageTotals(
    "embed",
    rows_in=8,
    rows_out=7,
    busy_seconds=6.0,
    workers=2,
    worker_seconds=20.0,
    pool="gpu",
    lane="gpu",
    gpus=1.0,
    gpu_seconds=10.0,
    gpu_busy_seconds=3.0,
)


def test_what_the_ledger_keeps_is_what_it_gives_back() -> None:
    spent = Spent.of(1.5, [EMBED], 40.0)
    assert Spent.from_json(json.loads(json.dumps(spent.to_json()))) == spent
    assert spent.times() == {"cpuSeconds": 1.5, "gpuSeconds": 10.0, "gpuIdleSeconds": 7.0}


def test_a_ledger_of_an_earlier_release_says_less_and_is_read() -> None:
    assert Spent.from_json({"cpuSeconds": 3.0}) == Spent(3.0)
    assert Spent.from_json({}).diagnosis == ""


def test_earlier_attempts_count_and_the_stages_are_those_of_the_last() -> None:
    whole = Spent.of(1.0, [EMBED]).after([Spent(2.0, 5.0, 5.0), Spent(0.5)])
    assert (whole.cpu, whole.gpu, whole.gpu_idle) == (3.5, 15.0, 12.0)
    assert whole.stages == (EMBED,)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger("r1", open_store(str(tmp_path / "out.lance.runs" / "r1")))


def test_an_attempt_says_what_it_spent_as_it_ends_and_with_each_beat(ledger: Ledger) -> None:
    ledger.spending = Spent(7.0).times
    ledger.claim(1)
    ledger.release()
    ledger.folder.put("attempts/0002.beat", b'{"beat": 3, "cpuSeconds": 4.0}')
    ledger.folder.put("attempts/0003.beat", b"17")
    assert [one.cpu for one in spent_before(ledger, 5)] == [7.0, 4.0, 0.0, 0.0]
