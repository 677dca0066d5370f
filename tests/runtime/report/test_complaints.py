"""How mistakes and failures are told."""

from __future__ import annotations

import io
import json

from lancemill.cli.complaints import mistake_lines, print_error, print_mistakes
from lancemill.errors import Interrupted, ManifestError, PlanError, StorageError
from lancemill_api.mistakes import InvalidManifest, Mistake

MISTAKES = [
    Mistake("spec.stages[2].resize.widht", "unknown field; did you mean width?"),
    Mistake("spec.stages[3].infer.inputs", "column 'imgae' is made by no earlier stage"),
    Mistake("spec.sink", "exactly one of lance, parquet, jsonl; found none"),
]


def test_all_mistakes_are_told_at_once_aligned_under_the_files_name() -> None:
    out = io.StringIO()
    print_mistakes(ManifestError(MISTAKES, "pipeline.yaml"), out)
    assert out.getvalue().splitlines() == [
        "pipeline.yaml: 3 mistakes",
        "  spec.stages[2].resize.widht  unknown field; did you mean width?",
        "  spec.stages[3].infer.inputs  column 'imgae' is made by no earlier stage",
        "  spec.sink                    exactly one of lance, parquet, jsonl; found none",
    ]


def test_one_mistake_is_one() -> None:
    assert mistake_lines(MISTAKES[:1], "p.yaml")[0] == "p.yaml: 1 mistake"


def test_documents_are_named_only_where_there_are_several() -> None:
    one = Mistake("spec.a", "wrong", "MultimodalPipeline/cats", 12)
    other = Mistake("spec.b", "wrong too", "LanceDataset/cats-224", 40)
    assert mistake_lines([one], "p.yaml") == ["p.yaml: 1 mistake", "  line 12: spec.a  wrong"]
    assert mistake_lines([one, other], "p.yaml") == [
        "p.yaml: 2 mistakes",
        " MultimodalPipeline/cats",
        "  line 12: spec.a  wrong",
        " LanceDataset/cats-224",
        "  line 40: spec.b  wrong too",
    ]


def test_on_a_narrow_terminal_a_message_wraps_under_itself() -> None:
    lines = mistake_lines([Mistake("spec.sink", "one two three four five six seven " * 3)], "p", 60)
    assert len(lines) > 2
    assert all(len(line) <= 60 for line in lines)
    assert all(line.startswith(" " * 13) for line in lines[2:])


def test_a_very_long_path_does_not_push_the_others_to_the_right() -> None:
    lines = mistake_lines([Mistake("spec." + "x" * 80, "long"), Mistake("spec.sink", "short")])
    assert lines[1:] == ["  spec." + "x" * 80, " " * 13 + "long", "  spec.sink  short"]


def test_a_message_of_several_lines_becomes_one() -> None:
    assert mistake_lines([Mistake("spec", "first\n  second")])[1] == "  spec  first second"


def test_a_failure_says_what_is_kept_and_how_to_go_on() -> None:
    out = io.StringIO()
    print_error(StorageError("no bucket 'lake'", kept="nothing was written", remedy="make it"), out)
    assert out.getvalue() == "✗ no bucket 'lake'\n  nothing was written\n  go on:   make it\n"


def test_an_interruption_is_not_told_as_a_failure() -> None:
    out = io.StringIO()
    print_error(Interrupted("3 of 9 shards are kept"), out)
    assert out.getvalue() == "■ 3 of 9 shards are kept\n"


def test_the_models_own_error_is_told_the_same_way() -> None:
    out = io.StringIO()
    print_error(InvalidManifest(MISTAKES[:1], "p.yaml"), out)
    assert out.getvalue().startswith("p.yaml: 1 mistake\n  spec.stages[2]")


def test_json_of_mistakes_has_a_stable_schema() -> None:
    out = io.StringIO()
    print_error(PlanError.at("spec.sink", "wrong"), out, as_json=True)
    assert json.loads(out.getvalue()) == {
        "error": "PlanError",
        "exitStatus": 2,
        "message": "spec.sink  wrong",
        "source": None,
        "mistakes": [{"document": None, "path": "spec.sink", "line": None, "message": "wrong"}],
    }


def test_json_of_a_failure_has_a_stable_schema() -> None:
    out = io.StringIO()
    print_error(StorageError("no bucket", remedy="make it"), out, as_json=True)
    assert json.loads(out.getvalue()) == {
        "error": "StorageError",
        "exitStatus": 1,
        "message": "no bucket",
        "kept": None,
        "remedy": "make it",
    }
