"""Archives of images: the same layers give the same bytes, and known layers are left out."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from e2e.image.archive import full_name, write
from e2e.image.build import Built


def image(folder: Path) -> Built:
    layer = folder / "fs"
    layer.mkdir(parents=True)
    (layer / "hello").write_text("world")
    return Built(key="k", layers=(layer,), env={"PATH": "/bin"}, user="7", command=("x", "y z"))


def members(path: Path) -> dict[str, Any]:
    with tarfile.open(path) as archive:
        contents = {}
        for one in archive:
            found = archive.extractfile(one)
            assert found is not None
            contents[one.name] = found.read()
        return contents


def test_an_archive_leads_from_its_index_to_the_settings(tmp_path: Path) -> None:
    write(image(tmp_path / "a"), "team/tool:1", tmp_path / "a.tar")
    found = members(tmp_path / "a.tar")
    entry = json.loads(found["index.json"])["manifests"][0]
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/team/tool:1"
    manifest = json.loads(found[f"blobs/sha256/{entry['digest'][7:]}"])
    config = json.loads(found[f"blobs/sha256/{manifest['config']['digest'][7:]}"])
    assert config["config"]["Cmd"] == ["x", "y z"]
    assert config["rootfs"]["diff_ids"] == [one["digest"] for one in manifest["layers"]]


def test_the_time_of_a_file_is_not_in_it(tmp_path: Path) -> None:
    for name, time in (("a", 1_000_000), ("b", 2_000_000)):
        made = image(tmp_path / name)
        os.utime(made.layers[0] / "hello", (time, time))
        write(made, "tool:1", tmp_path / f"{name}.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_layer_that_the_store_has_is_named_but_not_carried(tmp_path: Path) -> None:
    made = image(tmp_path / "a")
    write(made, "tool:1", tmp_path / "whole.tar")
    digest = json.loads((tmp_path / "a" / "packed.json").read_text())["digest"]
    write(made, "tool:1", tmp_path / "part.tar", {digest})
    whole, part = members(tmp_path / "whole.tar"), members(tmp_path / "part.tar")
    assert set(whole) - set(part) == {f"blobs/sha256/{digest[7:]}"}
    assert whole["index.json"] == part["index.json"]


@pytest.mark.parametrize(
    ("reference", "full"),
    [("a/b:1", "docker.io/a/b:1"), ("here.local/b:1", "here.local/b:1")],
)
def test_a_name_without_a_registry_gets_the_usual_one(reference: str, full: str) -> None:
    assert full_name(reference) == full
