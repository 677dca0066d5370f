"""Names and files that are odd, hostile, or gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from support.servers import S3Server

from .given import Place, one_line, picture

NAMES = [
    "a b.jpg",
    "100%.jpg",
    "100%25.jpg",
    "it's.jpg",
    'say "x".jpg',
    "line\nbreak.jpg",
    "tab\t.jpg",
    "\x1b[31mred.jpg",
    "ünï çödé 猫.jpg",
    "e\u0301 or \u00e9.jpg",
    "..dots...jpg",
    "#hash?query&x=1;y.jpg",
    "back\\slash.jpg",
    "[glob]*{a,b}.jpg",
    "$HOME `ls` $(ls).jpg",
    "-rf.jpg",
    ".hidden.jpg",
    "'; drop table output; --.jpg",
    "deep/er/and deeper/x.jpg",
    "folder.jpg/x.jpg",
]


def put(place: Place, names: list[str]) -> None:
    for index, name in enumerate(names):
        path = place.folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(index))


def test_every_name_that_a_file_may_have_arrives_as_it_is(place: Place) -> None:
    put(place, NAMES)
    told = place.run()
    assert told.status == 0, told.all
    assert place.keys() == sorted(NAMES, key=str.encode)
    assert place.set_aside() == {}


def test_broken_files_of_any_name_are_set_aside_under_it(place: Place) -> None:
    from .given import lancemill

    put(place, NAMES)
    for name in NAMES:
        (place.folder / "pictures" / name).write_bytes(b"no picture")
    assert place.run(errors={"maxRate": 1.0}).status == 0
    assert set(place.set_aside()) == set(NAMES)
    told = lancemill("quarantine", "list", place.folder / "out.lance")
    assert told.status == 0
    assert "\x1b" not in told.out and "line\\nbreak.jpg" in told.out
    assert len(told.out.splitlines()) == 1 + len(NAMES)
    failed = place.run(errors={"onRow": "fail"})
    assert "\x1b" not in failed.all


def test_names_on_s3_arrive_as_they_are(
    place: Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.env().items():
        monkeypatch.setenv(name, value)
    names = [name for name in NAMES if name.isprintable() and "\\" not in name]
    for index, name in enumerate(names):
        s3.put(f"photos/{name}", picture(index))
    told = place.run(source={"objects": {"uri": "s3://test/photos/"}})
    assert told.status == 0, told.all
    assert place.keys() == sorted(names, key=str.encode)
    assert place.set_aside() == {}


def test_a_dataset_may_have_an_odd_name(place: Place) -> None:
    keys = place.pictures(2)
    name = "my data 100%'s ü.lance"
    told = place.run(sink={"lance": {"uri": name, "columns": ["key", "image"]}})
    assert told.status == 0, told.all
    assert place.keys(name) == keys


def test_an_empty_folder_is_nothing_to_do(place: Place) -> None:
    (place.folder / "pictures").mkdir()
    told = place.run()
    assert told.status == 0
    assert "nothing to do" in told.first and "0 objects" in told.first


def test_a_folder_that_is_not_there_is_told_in_one_line(place: Place) -> None:
    line = one_line(place.run(), 1)
    assert "pictures" in line and "does not exist" in line
    assert not (place.folder / "out.lance").exists()


def test_globs_that_match_nothing_are_told_with_what_there_is(place: Place) -> None:
    place.pictures(3)
    told = place.run(source={"objects": {"uri": "pictures", "include": ["*.gif"]}})
    assert told.status == 0
    assert "3 objects" in told.first and "*.gif" in told.first


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_set_aside(place: Place) -> None:
    keys = place.pictures(3)
    (place.folder / "pictures" / keys[1]).chmod(0)
    assert place.run(errors={"maxRate": 0.5}).status == 0
    assert place.set_aside() == {keys[1]: "Forbidden"}


def test_a_file_that_goes_away_after_the_listing_is_set_aside_as_not_found(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lancemill.engine.run import RunInProgress

    keys = place.pictures(4)
    run_shards = RunInProgress._run_shards

    def remove_first(self: RunInProgress, *given: Any) -> None:
        (place.folder / "pictures" / keys[2]).unlink()
        run_shards(self, *given)

    monkeypatch.setattr(RunInProgress, "_run_shards", remove_first)
    assert place.run(errors={"maxRate": 0.5}).status == 0
    assert place.set_aside() == {keys[2]: "NotFound"}
    assert place.keys() == [keys[0], keys[1], keys[3]]


def test_an_empty_file_is_set_aside(place: Place) -> None:
    keys = place.pictures(3)
    (place.folder / "pictures" / keys[0]).write_bytes(b"")
    assert place.run(errors={"maxRate": 0.5}).status == 0
    assert list(place.set_aside()) == [keys[0]]


def test_links_are_followed_dangling_ones_set_aside_and_loops_end(place: Place) -> None:
    keys = place.pictures(2)
    folder = place.folder / "pictures"
    (folder / "q-link.jpg").symlink_to(folder / keys[0])
    (folder / "r-gone.jpg").symlink_to(folder / "nosuch")
    (folder / "s-loop").symlink_to(folder, target_is_directory=True)
    (folder / "t-self.jpg").symlink_to(folder / "t-self.jpg")
    assert place.run(errors={"maxRate": 0.5}).status == 0
    assert place.keys() == [*keys, "q-link.jpg"]
    assert place.set_aside()["r-gone.jpg"] == "NotFound"
    assert set(place.set_aside()) == {"r-gone.jpg", "t-self.jpg"}


def test_a_pipe_or_a_socket_is_no_object(place: Place) -> None:
    keys = place.pictures(2)
    os.mkfifo(place.folder / "pictures" / "pipe.jpg")
    assert place.run().status == 0
    assert place.keys() == keys


def test_a_row_of_a_table_cannot_reach_into_the_inside(place: Place) -> None:
    place.pictures(1)
    table: Path = place.folder / "rows.jsonl"
    table.write_text('{"key": "a", "uri": "http://169.254.169.254/latest/meta-data/"}\n')
    told = place.run(
        source={"table": {"uri": "rows.jsonl", "format": "jsonl"}},
        stages=[{"name": "fetch", "fetch": {"column": "uri", "attempts": 1}}],
        sink={"lance": {"uri": "out.lance", "columns": ["key", "bytes"]}},
        errors={"maxRate": 1.0},
    )
    assert told.status == 0, told.all
    assert place.keys() == []
    assert len(place.set_aside()) == 1
