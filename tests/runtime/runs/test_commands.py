"""The commands around a run: what they tell, and that looking changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lancemill import Pipeline
from support import killing

from .given import SIDE, Place, lance, lancemill, small_shards, spec


def everything_below(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")}


def data_files(place: Place) -> set[str]:
    return {path.name for path in (place.folder / "out.lance" / "data").rglob("*")}


def test_a_limit_takes_the_first_rows(place: Place) -> None:
    keys = place.pictures(9)
    place.arguments = small_shards(place.folder / "pictures", 4)
    assert place.run("--limit", "4").status == 0
    assert place.keys() == keys[:4]


def test_a_sample_changes_nothing_and_tells_an_estimate(place: Place) -> None:
    keys = place.pictures(20)
    place.run()
    version, files = place.dataset().version, data_files(place)
    status, told = place.run_json("--sample", "5")
    assert status == 0
    assert told["estimate"]["rows"] == 20
    assert told["estimate"]["seconds"] > 0 and told["estimate"]["bytesOut"] > 0
    assert told["rowsIn"] == 5
    assert place.dataset().version == version and place.keys() == keys
    assert data_files(place) == files
    assert place.runs()[-1]["state"] == "sample"
    assert "the whole, estimated: 20 rows" in place.run("--sample", "5").out


def test_a_sample_of_a_failing_source_says_how_much_fails(place: Place) -> None:
    keys = place.pictures(10)
    for key in keys[:5]:
        (place.folder / "pictures" / key).write_bytes(b"no picture")
    status, told = place.run_json("--sample", "10", errors={"maxRate": 0.0})
    assert status == 0 and sum(told["quarantined"].values()) == 5
    assert place.set_aside() == {}


def test_the_id_of_a_sample_can_be_given_again(place: Place) -> None:
    place.pictures(6)
    assert place.run("--sample", "3", "--run-id", "s").status == 0
    assert place.run("--sample", "3", "--run-id", "s").status == 0
    told = place.run("--run-id", "s")
    assert told.status == 1 and "sample" in told.first
    assert place.keys() == []


def test_fields_are_set_from_the_command_line(place: Place) -> None:
    place.pictures(2)
    told = place.run("--set", "spec.sink.lance.uri=other.lance", "--set", "spec.errors.maxRate=0.5")
    assert told.status == 0, told.all
    assert place.dataset("other.lance").count_rows() == 2
    assert not (place.folder / "out.lance").exists()


def test_a_field_that_there_is_not_cannot_be_set(place: Place) -> None:
    told = place.run("--set", "spec.sink.lance.urri=x")
    assert told.status == 2
    assert "urri" in told.all and "did you mean uri?" in told.all


def test_json_ends_with_the_whole_outcome(place: Place) -> None:
    place.pictures(3)
    lines = lancemill("run", place.manifest(), "--json").out.splitlines()
    events = [json.loads(line) for line in lines]
    assert [events[0]["event"], events[-1]["event"]] == ["started", "finished"]
    last = events[-1]
    assert last["result"] == "succeeded"
    assert (last["rowsIn"], last["rowsOut"], last["datasetVersion"]) == (3, 3, 2)
    assert {"run", "dataset", "durationSeconds", "stages", "quarantined", "bytesOut"} <= set(last)


def test_an_error_by_json_is_an_object_too(place: Place) -> None:
    told = lancemill("run", place.manifest(stages=[{"name": "x"}]), "--json")
    assert told.status == 2
    found = json.loads(told.all.splitlines()[-1])
    assert found["exitStatus"] == 2 and found["mistakes"]


def test_plan_counts_and_changes_nothing(place: Place) -> None:
    place.pictures(5)
    manifest = place.manifest()
    before = everything_below(place.folder)
    told = lancemill("plan", manifest)
    assert told.status == 0, told.all
    assert "5 rows" in told.out or "5 objects" in told.out
    found = lancemill("plan", manifest, "--json")
    assert json.loads(found.out)
    assert everything_below(place.folder) == before


def test_plan_tells_what_only_a_cluster_heeds(place: Place) -> None:
    place.pictures(1)
    of_a_cluster = {"runtime": {"image": "a/b:1"}, "cluster": {"workerGroups": [{"name": "cpu"}]}}
    told = lancemill("plan", place.manifest(**of_a_cluster))
    assert told.status == 0, told.all
    assert "not heeded by a local run: spec.runtime, spec.cluster" in told.out


def test_plan_tells_every_mistake_at_once(place: Place) -> None:
    place.pictures(1)
    stages = spec()["stages"]
    stages[1]["decode"]["column"] = "bites"
    told = lancemill("plan", place.manifest(stages=stages, sink=lance(columns=["key", "nosuch"])))
    assert told.status == 2
    assert "2 mistakes" in told.all and "bites" in told.all and "nosuch" in told.all


def test_validate_reads_the_file_alone(place: Place) -> None:
    assert lancemill("validate", place.manifest()).status == 0
    told = lancemill("validate", place.folder / "nosuch.yaml")
    assert told.status == 2 and "nosuch.yaml" in told.all


def test_what_init_writes_is_planned_and_runs(place: Place) -> None:
    keys = place.pictures(3)
    target = place.folder / "new.yaml"
    told = lancemill(
        "init", target, "--source", "pictures", "--to", "made.lance", "--size", "16x16", "--yes"
    )
    assert told.status == 0, told.all
    assert lancemill("plan", target).status == 0
    assert lancemill("run", target, "--quiet").status == 0
    assert place.keys("made.lance") == keys
    assert lancemill("init", target, "--yes").status == 2


def test_init_asks_for_what_it_is_not_given(place: Place) -> None:
    target = place.folder / "asked.yaml"
    told = lancemill("init", target, answers="pics/\nmine.lance\n32x32\npng\n")
    assert told.status == 0, told.all
    text = target.read_text()
    assert "pics/" in text and "mine.lance" in text and "width: 32" in text and "png" in text


@pytest.mark.parametrize("name", ["y", "2024", "null", "1e3"])
def test_init_takes_a_dataset_called_like_a_word_of_yaml(place: Place, name: str) -> None:
    target = place.folder / "new.yaml"
    told = lancemill("init", target, "--source", "in", "--to", f"{name}.lance", "--yes")
    assert told.status == 0, told.all
    assert lancemill("validate", target).status == 0


def test_doctor_finds_this_installation_well(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(place.folder / "none"))  # not the developer's cluster
    told = lancemill("doctor", place.folder / "try.lance", "--json")
    assert told.status == 0, told.all
    assert not [one for one in told.json if one["ok"] is False]


def test_runs_lists_what_was_run_and_how_it_ended(place: Place) -> None:
    place.pictures(2)
    never = [{"name": "no", "query": "select count(*) from output", "expect": {"max": 0}}]
    place.run("--run-id", "good")
    place.run("--run-id", "bad", validate=never)
    states = {one["run"]: one["state"] for one in place.runs()}
    assert states == {"good": "committed", "bad": "unfinished"}
    told = lancemill("runs", place.folder / "out.lance")
    assert "good" in told.out and "bad" in told.out
    assert "no runs" in lancemill("runs", place.folder / "nosuch.lance").out


def test_quarantine_list_tells_what_was_set_aside(place: Place) -> None:
    keys = place.pictures(3)
    (place.folder / "pictures" / keys[1]).write_bytes(b"no picture")
    place.run(errors={"maxRate": 0.5})
    told = lancemill("quarantine", "list", place.folder / "out.lance")
    assert told.status == 0 and keys[1] in told.out
    assert lancemill("quarantine", "list", place.folder / "other.lance").status == 0


def test_python_makes_the_same_run(place: Place) -> None:
    keys = place.pictures(4)
    pipeline = (
        Pipeline("cats", base=place.folder)
        .objects("pictures")
        .fetch()
        .decode("bytes", into="image")
        .resize("image", SIDE, SIDE)
        .encode("image", "jpeg")
        .validate("n", "select count(*) from output", min=1)
        .to_lance("out.lance", columns=["key", "size", "image"])
    )
    assert "fetch" in pipeline.plan().to_text()
    summary = pipeline.run(quiet=True)
    assert (summary.result, summary.rows_out) == ("succeeded", 4)
    assert place.keys() == keys
    place.run(sink=lance(uri="by-yaml.lance"))
    assert place.dataset("by-yaml.lance").to_table().equals(place.dataset().to_table())


@pytest.mark.parametrize("cores", [1, 4])
def test_the_same_input_gives_the_same_content_with_any_number_of_cores(
    cores: int, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lancemill.engine import context

    place.pictures(70)
    place.run(sink=lance(uri="reference.lance"))
    monkeypatch.setattr(context, "usable_cores", lambda: cores)
    place.arguments = small_shards(place.folder / "pictures", 5)
    place.run()
    assert place.dataset().to_table().equals(place.dataset("reference.lance").to_table())


def test_a_contact_sheet_that_was_asked_for_is_written_also_without_pictures(place: Place) -> None:
    place.pictures(2)
    assert (
        place.run(stages=[], sink={"lance": {"uri": "out.lance", "columns": ["key"]}}).status == 0
    )
    sheet = place.folder / "sheet.html"
    told = lancemill("view", place.folder / "out.lance", "-o", sheet)
    assert told.status == 0
    assert "p001.jpg" in sheet.read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_told_in_one_line_and_is_no_bug(place: Place) -> None:
    place.pictures(2)
    assert place.run().status == 0
    told = killing.command("view", str(place.folder / "out.lance"), "-o", "/dev/full")
    assert told.returncode == 1
    assert told.stderr == "✗ no space left on device\n"
    told = killing.command("view", str(place.folder / "out.lance"), "-o", "nowhere/sheet.html")
    assert told.returncode == 1
    assert told.stderr == "✗ nowhere/sheet.html: no such file or directory\n"


def test_an_empty_source_leaves_what_an_overwriting_sink_has_and_says_so(place: Place) -> None:
    keys = place.pictures(2)
    into = {"lance": {"uri": "out.lance", "mode": "overwrite", "columns": ["key"]}}
    assert place.run(stages=[], sink=into).status == 0
    for key in keys:
        (place.folder / "pictures" / key).unlink()
    told = place.run(stages=[], sink=into)
    assert told.status == 0
    assert "nothing to do" in told.first
    assert "out.lance stays as it was" in told.all
    assert place.keys() == keys
