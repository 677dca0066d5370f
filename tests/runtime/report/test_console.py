"""What a user sees of a run: the block, JSON lines, closing lines."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading

import pytest

from lancemill.engine.meter import Meter
from lancemill.engine.progress import Progress, StageTotals
from lancemill.report.block import block_lines, header
from lancemill.report.console import Console
from lancemill.report.summary import Estimate, RunSummary, SummaryTable, Validation
from lancemill.report.words import closing_lines, verdict

TITLE = "cats · run 7f3a"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class AsciiFile(io.StringIO):
    encoding = "ascii"


def running(**changes: object) -> Meter:
    now = [0.0]
    meter = Meter(["fetch", "image", "embed"], 12_408, lambda: now[0], max_fault_rate=0.01)
    meter.stage("fetch").workers = 64
    meter.stage("fetch").queue_capacity = meter.stage("fetch").queue_depth = 256
    meter.stage("fetch").add(rows_in=5_000, busy_seconds=108.8)
    meter.stage("image").add(rows_in=4_711, busy_seconds=9.9)
    meter.stage("embed").add(rows_in=4_000, busy_seconds=2.9)
    now[0] = 10.0
    meter.advance(4_711, bytes_in=1_330_000_000)
    for name, value in changes.items():
        setattr(meter, name, value)
    return meter


def progress() -> Progress:
    return running().sample()


def finished(**changes: object) -> RunSummary:
    facts: dict[str, object] = {
        "pipeline": "cats",
        "run": "7f3a",
        "result": "succeeded",
        "rows_in": 12_408,
        "rows_out": 12_391,
        "quarantined": {"TooManyPixels": 2, "Truncated": 11, "NotFound": 4},
        "dataset": "s3://lake/cats-224.lance",
        "dataset_name": "cats-224",
        "version": 8,
        "duration_seconds": 31.0,
        "bytes_in": 4_100_000_000,
        "bytes_out": 1_900_000_000,
        "cpu_seconds": 58.0,
    }
    return RunSummary(**(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_block_fits_its_width_and_keeps_percent_time_left_and_bottleneck(width: int) -> None:
    lines = [line.text for line in block_lines(TITLE, progress(), width)]
    assert all(len(line) <= width for line in lines)
    assert "37%" in lines[0]
    assert "left" in lines[0]
    assert [line for line in lines if "bottleneck" in line] == [lines[2]]
    assert " 99% busy" in lines[2]
    assert "queue 256/256" in lines[1]


def test_a_wide_block_tells_rows_rate_and_bytes_with_their_units() -> None:
    assert header(TITLE, progress(), 200) == (
        "cats · run 7f3a · 37% · 4,711 of 12,408 rows · 471 rows/s · 133 MB/s · 16 s left"
    )


def test_nothing_is_said_of_rows_set_aside_while_there_are_none() -> None:
    text = "\n".join(line.text for line in block_lines(TITLE, progress(), 80))
    assert "set aside" not in text
    assert "moved" not in text


def test_rows_set_aside_are_told_with_their_share_of_the_budget_and_reasons() -> None:
    meter = running()
    meter.set_aside("Truncated", 2)
    meter.set_aside("NotFound")
    last = block_lines(TITLE, meter.sample(), 80)[-1].text
    assert last == " 3 set aside (0.06% of at most 1%): 2 truncated, 1 not found"


def test_a_run_in_which_no_row_moves_says_for_how_long() -> None:
    now = [0.0]
    meter = Meter(["decode"], 10, lambda: now[0])
    now[0] = 42.0
    assert block_lines(TITLE, meter.sample(), 80)[-1].text == " no row has moved for 42 s"


def test_a_terminal_gets_the_block_then_the_closing_lines_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    console = Console(stream=out, width=80)
    console.start(TITLE, running())
    console.event("Preflight passed")
    console.stop(finished())
    written = out.getvalue()
    assert "← bottleneck" in written
    assert "Preflight passed" in written
    assert written.index("← bottleneck") < written.index("cats-224 version 8")
    assert "\x1b[2K" in written  # the block is erased
    assert "\x1b[1;32m" in written
    assert "{" not in written


def test_no_color_takes_every_colour_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    with Console("live", stream=out, width=80) as console:
        console.start(TITLE, running())
        console.stop(finished())
    codes = {
        part for code in re.findall(r"\x1b\[([\d;]+)m", out.getvalue()) for part in code.split(";")
    }
    assert codes.isdisjoint({str(code) for code in (*range(30, 50), *range(90, 108))})


def test_elsewhere_every_line_of_standard_output_is_json_and_people_read_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ticked = threading.Event()

    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            if '"progress"' in text:
                ticked.set()
            return super().write(text)

    out = Pipe()
    console = Console(stream=out, interval=0.01)
    console.start(TITLE, running())
    assert ticked.wait(10)
    console.event("1 shard taken again", kind="worker-lost", node="n1")
    console.stop(finished())
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines[0]["event"] == "started"
    assert lines[0]["rowsTotal"] == 12_408
    tick = next(line for line in lines if line["event"] == "progress")
    assert tick["percent"] == 37
    assert tick["bottleneck"]["stage"] == "image"
    assert {"event": "worker-lost", "text": "1 shard taken again", "node": "n1"}.items() <= next(
        line for line in lines if line["event"] == "worker-lost"
    ).items()
    assert lines[-1]["event"] == "finished"
    assert lines[-1]["datasetVersion"] == 8
    assert all(line["time"].endswith("+00:00") for line in lines)
    assert "\x1b" not in out.getvalue()
    assert capsys.readouterr().err.startswith(
        "✓ cats · run 7f3a · 12,391 rows → cats-224 version 8"
    )


def test_a_reader_that_went_away_ends_no_run() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    console = Console("json", stream=Closed(), interval=0.01)
    console.start(TITLE, running())
    console.event("something")
    console.stop(finished())


def test_asked_for_json_there_is_nothing_but_json(capsys: pytest.CaptureFixture[str]) -> None:
    Console("json").stop(finished())
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out)["result"] == "succeeded"


def test_the_json_of_a_finished_run_has_a_stable_schema() -> None:
    assert list(finished().to_json()) == [
        "pipeline",
        "run",
        "result",
        "end",
        "startedAt",
        "durationSeconds",
        "rowsIn",
        "rowsOut",
        "resumedRows",
        "quarantined",
        "bytesIn",
        "bytesOut",
        "cpuSeconds",
        "gpuSeconds",
        "gpuIdleShare",
        "cost",
        "dataset",
        "datasetName",
        "datasetVersion",
        "diagnosis",
        "stages",
        "validations",
        "summaries",
        "message",
        "kept",
        "remedy",
        "report",
        "estimate",
    ]


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    console = Console(stream=out)
    console.start(TITLE, running())
    console.stop(finished())
    assert "\x1b[" not in out.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert "12,391 rows → cats-224 version 8" in " ".join(out.getvalue().split())


def test_quiet_shows_the_closing_lines_only() -> None:
    out = io.StringIO()
    console = Console("quiet", stream=out)
    console.start(TITLE, running())
    console.event("something")
    console.stop(finished())
    assert out.getvalue().splitlines() == closing_lines(finished())


def test_a_file_that_is_not_utf_8_gets_ascii() -> None:
    out = AsciiFile()
    Console("plain", stream=out).stop(finished(message="", report="reports/größe.html"))
    assert out.getvalue().isascii()
    assert out.getvalue().startswith(
        "ok cats | run 7f3a | 12,391 rows -> cats-224 version 8 | 31 s"
    )


def test_a_finished_run_says_what_it_made_what_it_took_and_where_to_look() -> None:
    assert closing_lines(finished(gpu_seconds=9.2, gpu_idle_share=0.71, report="r.html")) == [
        "✓ cats · run 7f3a · 12,391 rows → cats-224 version 8 · 31 s"
        " · 17 set aside: 11 truncated, 4 not found, 2 too many pixels",
        "  4.1 GB in → 1.9 GB out · 400 rows/s · cpu 58 s · gpu 9.2 s, idle 71%",
        "  report:  r.html",
        "  why 17:  lancemill quarantine list s3://lake/cats-224.lance",
    ]


@pytest.mark.parametrize(("seconds", "told"), [(31.0, True), (3.0, False)])
def test_what_held_a_run_up_is_told_where_somebody_has_waited(seconds: float, told: bool) -> None:
    stages = (StageTotals("decode", busy_seconds=9.0, worker_seconds=10.0),)
    lines = closing_lines(finished(duration_seconds=seconds, stages=stages))
    said = "  decode is the bottleneck: busy 90% of the time"
    assert (said in lines) == told


def test_a_failed_run_says_what_happened_what_is_kept_and_how_to_go_on() -> None:
    failed = finished(
        result="failed",
        version=None,
        rows_out=0,
        bytes_out=0,
        message="132 of 9,800 rows failed (1.35%, at most 1%)",
        kept="nothing was committed; 61 of 62 shards are kept",
        remedy="lancemill run pipeline.yaml --resume 7f3a",
        validations=[Validation("no-empty", "select 1", "3", "at most 0", False)],
    )
    lines = closing_lines(failed)
    assert lines[0] == ("✗ cats · run 7f3a · stopped: 132 of 9,800 rows failed (1.35%, at most 1%)")
    assert "  validate no-empty: found 3, expected at most 0" in lines
    assert "  nothing was committed; 61 of 62 shards are kept" in lines
    assert "  go on:   lancemill run pipeline.yaml --resume 7f3a" in lines
    assert verdict(failed) == "132 of 9,800 rows failed (1.35%, at most 1%)."


def test_nothing_to_do_is_a_success_that_says_so() -> None:
    idle = finished(
        result="nothing-to-do", message="no object is new since run 7f39", quarantined={}
    )
    assert closing_lines(idle) == [
        "✓ cats · run 7f3a · nothing to do: no object is new since run 7f39",
        f"  {idle.target} stays as it was",
    ]
    assert verdict(idle) == "Nothing to do: no object is new since run 7f39."


def test_a_sample_tells_that_nothing_is_committed_and_what_the_whole_would_take() -> None:
    lines = closing_lines(
        finished(version=None, quarantined={}, estimate=Estimate(12_000_000, 30_000.0, 10**12))
    )
    assert "a sample, nothing committed" in lines[0]
    assert "  the whole, estimated: 12,000,000 rows · about 8 h 20 min · 1.0 TB out" in lines


def test_summary_tables_are_aligned_and_cut() -> None:
    rows = tuple((f"image/{number}", f"{number:,}") for number in range(1, 1201, 100))
    table = SummaryTable("by-type", "select 1", ("type", "n"), rows, more=5, numeric=(False, True))
    lines = closing_lines(finished(summaries=[table]))
    at = lines.index("  by-type:")
    assert lines[at + 1] == "    type         n"
    assert lines[at + 2] == "    image/1      1"
    assert lines[at + 10] == "    and 9 rows more"


def test_a_run_that_shows_json_does_not_import_rich() -> None:
    code = (
        "import sys, io\n"
        "from lancemill.report.console import Console\n"
        "from lancemill.engine.meter import Meter\n"
        "from lancemill.report.summary import RunSummary\n"
        "console = Console('json', stream=io.StringIO())\n"
        "console.start('t', Meter(['a'], 1))\n"
        "console.stop(RunSummary(pipeline='p', run='r', result='succeeded'))\n"
        "print({'rich', 'pyarrow', 'numpy', 'PIL', 'jinja2'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
