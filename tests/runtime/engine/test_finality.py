"""Which failures end a run for good, and which leave it to another attempt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lancemill.engine.context import local_context
from lancemill.engine.faults import Budget
from lancemill.engine.prepare import prepare
from lancemill.engine.run import RunInProgress, RunOptions
from lancemill.engine.settle import settle_job
from lancemill.errors import BudgetExceeded, RunError
from lancemill.manifest import load
from support.sampled import sampled
from support.servers import faulty_http, refusing

FOR_GOOD, OPEN = "Failed", "NotCommitted"
FAIL = {"onRow": "fail"}
KEYS = ["k0", "k1"]

both = pytest.mark.parametrize("isolation", ["thread", "process"])


class Silent:
    def start(self, title: str, meter: Any) -> None: ...

    def event(self, text: str) -> None: ...


def failed(folder: Path, stages: list[dict[str, Any]], **spec: Any) -> tuple[str, str]:
    """Verdict and message of a run over two files that are no pictures, once it has failed."""
    (folder / "files").mkdir()
    for key in KEYS:
        (folder / "files" / key).write_bytes(b"no picture")
    spec = {
        "source": {"objects": {"uri": "files"}},
        "stages": stages,
        "sink": {"lance": {"uri": "out.lance"}},
        **spec,
    }
    head = {"apiVersion": "lancemill.dev/v1alpha1", "kind": "MultimodalPipeline"}
    manifest = folder / "pipeline.yaml"
    manifest.write_text(yaml.safe_dump({**head, "metadata": {"name": "cats"}, "spec": spec}))
    job = load(manifest).job()
    prepared = prepare(job.pipeline, job.datasets, job.base, local_context(job))
    run = RunInProgress(prepared, RunOptions(run="r1", epoch=1), Silent())
    with pytest.raises(RunError) as caught:
        run.execute()
    outcome = settle_job(job, "r1", 2)
    ends = {FOR_GOOD: "failed", OPEN: "resumable"}
    assert run.failed(caught.value).end == ends[outcome.verdict]
    return outcome.verdict, outcome.message


def fetched(url: str) -> list[dict[str, Any]]:
    fetch = {"column": "url", "into": "bytes", "attempts": 1, "allowPrivateAddresses": True}
    return [
        {"name": "url", "format": {"text": f"{url}/{{key}}", "into": "url"}},
        {"name": "fetch", "fetch": fetch},
    ]


def function(folder: Path, code: str, isolation: str) -> list[dict[str, Any]]:
    (folder / "mine.py").write_text(code)
    udf = {"entrypoint": "mine.py:f", "schema": {"o": "int64"}, "inputs": ["key"]}
    return [{"name": "mine", "udf": {**udf, "isolation": isolation}}]


def test_a_row_that_cannot_be_decoded_fails_the_run_for_good(tmp_path: Path) -> None:
    stages = [
        {"name": "fetch", "fetch": {"column": "uri", "into": "bytes"}},
        {"name": "decode", "decode": {"column": "bytes", "into": "image"}},
        {"name": "small", "resize": {"column": "image", "width": 8, "height": 8}},
    ]
    verdict, message = failed(tmp_path, stages, errors=FAIL)
    assert (verdict, "UnsupportedFormat" in message) == (FOR_GOOD, True)


def test_a_row_that_meets_no_connection_leaves_the_run_open(tmp_path: Path) -> None:
    with refusing() as url:
        verdict, message = failed(tmp_path, fetched(url), errors=FAIL)
    assert (verdict, "Connection" in message) == (OPEN, True)


def test_a_row_that_the_server_takes_too_long_for_leaves_the_run_open(tmp_path: Path) -> None:
    with faulty_http(dict.fromkeys(KEYS, b"x"), latency=60) as server:
        stages = fetched(server.url)
        stages[1]["fetch"]["timeout"] = "200ms"
        verdict, message = failed(tmp_path, stages, errors=FAIL)
    assert (verdict, "Timeout" in message) == (OPEN, True)


@pytest.mark.parametrize(("status", "expected"), [(503, OPEN), (429, OPEN), (404, FOR_GOOD)])
def test_a_row_that_a_server_refuses_fails_the_run_for_good_unless_the_server_may_change_its_mind(
    tmp_path: Path, status: int, expected: str
) -> None:
    with faulty_http({}, fail_every=1, fail_status=status) as server:
        verdict, message = failed(tmp_path, fetched(server.url), errors=FAIL)
    assert (verdict, str(status) in message) == (expected, True)


def test_too_many_rows_without_a_connection_leave_the_run_open(tmp_path: Path) -> None:
    with refusing() as url:
        verdict, message = failed(tmp_path, fetched(url))
    assert (verdict, "2 of 2 rows failed" in message) == (OPEN, True)


def test_too_many_rows_that_are_not_there_fail_the_run_for_good(tmp_path: Path) -> None:
    with faulty_http({}) as server:
        verdict, message = failed(tmp_path, fetched(server.url))
    assert (verdict, "2 of 2 rows failed" in message) == (FOR_GOOD, True)


def test_the_budget_is_exceeded_for_good_when_faults_that_stay_exceed_it_alone() -> None:
    budget = Budget(100, 0.02, None)
    budget.charge([("Timeout", "")] * 2, may_pass=2)
    with pytest.raises(BudgetExceeded) as caught:
        budget.charge([("Corrupt", "")] * 2)
    assert not caught.value.final
    with pytest.raises(BudgetExceeded) as caught:
        budget.charge([("Corrupt", "")])
    assert caught.value.final


@both
@pytest.mark.parametrize(
    ("code", "expected", "message"),
    sampled(
        [
            ("def f(batch): raise ValueError('odd')", FOR_GOOD, "UdfError: ValueError: odd"),
            (
                "def f(batch): raise ConnectionError('gone')",
                OPEN,
                "UdfError: ConnectionError: gone",
            ),
            ("def f(batch): raise MemoryError", OPEN, "UdfError: MemoryError"),
            ("def f(batch): return {'other': [1, 2]}", FOR_GOOD, "returned the columns other"),
            (
                "import nowhere_at_all\ndef f(batch): ...",
                FOR_GOOD,
                "failed to set up: ModuleNotFound",
            ),
            ("raise OSError('no model')\ndef f(batch): ...", OPEN, "failed to set up: OSError"),
        ],
        first=2,
    ),
)
def test_what_a_function_raises_fails_the_run_for_good_where_python_blames_program_or_values(
    tmp_path: Path, isolation: str, code: str, expected: str, message: str
) -> None:
    verdict, said = failed(tmp_path, function(tmp_path, code, isolation), errors=FAIL)
    assert (verdict, message in said) == (expected, True), said


@pytest.mark.parametrize("code", ["import os; os._exit(3)\ndef f(batch): ...",
                                  "import os\ndef f(batch): os._exit(3)"])  # fmt: skip
def test_a_function_whose_process_ends_leaves_the_run_open(tmp_path: Path, code: str) -> None:
    verdict, said = failed(tmp_path, function(tmp_path, code, "process"), errors=FAIL)
    assert (verdict, "ended with status 3" in said) == (OPEN, True), said
