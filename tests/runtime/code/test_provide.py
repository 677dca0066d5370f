"""Code of a zip or a ConfigMap in a run on this machine."""

from __future__ import annotations

import errno
import hashlib
import threading
from pathlib import Path

import pytest

from lancemill.code.archive import pack
from lancemill.code.cache import made_once
from lancemill.code.provide import provide
from lancemill.errors import RunError
from lancemill.manifest import load
from support.servers import S3Server

from .given import UDFS, Place, expected, lancemill, run


def packaged(place: Place, manifest: Path, to: str = "zips/") -> Path:
    told = lancemill("package", manifest, "--folder", place.folder / "code", "--to", to, "--write")
    assert told.status == 0, told.err
    return manifest


def test_a_function_of_a_zip_gives_the_rows_that_it_gives_as_a_file(
    tmp_path: Path, s3: S3Server
) -> None:
    place = Place(tmp_path)
    place.code()
    storage = f"{{endpoint: '{s3.endpoint}', region: {s3.region}, allowHttp: true}}"
    manifest = place.manifest(f"code: {{storage: {storage}}}\n")
    packaged(place, manifest, s3.uri("udfs.zip"))
    told = run(manifest)
    assert told.status == 0, told.err
    assert place.rows() == expected()
    assert "fetched and unpacked s3://" in "".join(told.notes)
    again = run(manifest)
    assert (again.status, again.notes) == (0, []), "what a node has is not fetched again"


def test_a_function_in_a_process_of_its_own_has_the_code_too(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.code()
    manifest = packaged(place, place.manifest(udf={"isolation": "process"}))
    told = run(manifest)
    assert (told.status, place.rows()) == (0, expected()), told.err


def test_code_beside_the_manifest_does_not_hide_that_of_the_zip(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.code()
    manifest = packaged(place, place.manifest())
    (tmp_path / "my_udfs.py").write_text("def times(batch):\n    raise SystemError\n")
    told = run(manifest)
    assert (told.status, place.rows()) == (0, expected()), told.err


def test_edited_code_is_run_by_the_same_process_once_it_is_packaged(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for factor in (3, 4, 3):
        place.code(factor)
        manifest = packaged(place, place.manifest(name=f"times{factor}"))
        told = run(manifest)
        assert told.status == 0, told.err
        assert place.rows(f"times{factor}")[:10] == expected(factor)[:10]


def test_a_run_is_not_gone_on_with_when_only_an_imported_file_has_changed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.code()
    manifest = packaged(place, place.manifest(udf={"entrypoint": "my_udfs:times"}))
    assert run(manifest, "--run-id", "one").status == 0
    place.code(factor=4)
    packaged(place, manifest)
    told = run(manifest, "--run-id", "one")
    assert told.status != 0
    assert "facts.code" in told.out + told.err


def test_another_zip_than_the_one_that_was_meant_is_told_before_any_row(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.code()
    manifest = packaged(place, place.manifest())
    (zip_,) = (tmp_path / "zips").iterdir()
    meant = hashlib.sha256(zip_.read_bytes()).hexdigest()
    zip_.write_bytes(pack({"my_udfs.py": b"evil = 1\n"}))
    told = run(manifest)
    (line,) = [one for one in told.err.splitlines() if "sha256" in one]
    assert told.status == 2
    assert "spec.code.sha256" in line
    assert f"is {meant}, but zips/" in line
    assert not (tmp_path / "out.lance").exists()
    assert list((tmp_path / "cache" / "code").glob("[!.]*")) == [
        tmp_path / "cache" / "code" / f"{meant}.lock"
    ]


def test_a_zip_that_must_not_be_unpacked_and_one_that_is_not_there_are_told(tmp_path: Path) -> None:
    place = Place(tmp_path)
    content = b"no zip"
    (tmp_path / "a.zip").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    told = run(place.manifest(f"code: {{uri: a.zip, sha256: {sha256}}}\n"))
    assert (told.status, "a.zip: it is no zip that can be unpacked" in told.err) == (2, True)
    told = run(place.manifest(f"code: {{uri: b.zip, sha256: {sha256}}}\n"))
    assert (told.status, "b.zip: No such file" in told.err) == (2, True)


def test_a_missing_object_is_told(tmp_path: Path, s3: S3Server) -> None:
    place = Place(tmp_path)
    storage = f"{{endpoint: '{s3.endpoint}', region: {s3.region}, allowHttp: true}}"
    code = f"code: {{uri: {s3.uri('none.zip')}, sha256: {'a' * 64}, storage: {storage}}}\n"
    told = run(place.manifest(code))
    assert told.status == 1
    assert "none.zip does not exist (spec.code.uri)" in told.err


def test_a_config_map_is_run_from_where_it_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kubelet mounts it: links to a folder of the moment."""
    place = Place(tmp_path)
    moment = tmp_path / "mounted" / "..2026_11_21"
    moment.mkdir(parents=True)
    (moment / "my_udfs.py").write_text(
        UDFS.replace("from more.factor import", "from factor import")
    )
    (moment / "factor.py").write_text("FACTOR = 5\n")
    (tmp_path / "mounted" / "..data").symlink_to(moment.name)
    for name in ("my_udfs.py", "factor.py"):
        (tmp_path / "mounted" / name).symlink_to(f"..data/{name}")
    monkeypatch.setenv("LANCEMILL_CODE_DIR", str(tmp_path / "mounted"))
    told = run(place.manifest("code: {configMap: my-udfs}\n"))
    assert (told.status, place.rows()) == (0, expected(5)), told.err


def test_a_config_map_means_the_files_beside_the_manifest_where_none_is_mounted(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    (tmp_path / "my_udfs.py").write_text(UDFS.replace("more.factor", "the_factor"))
    (tmp_path / "the_factor.py").write_text("FACTOR = 3\n")
    told = run(place.manifest("code: {configMap: my-udfs}\n"))
    assert (told.status, place.rows()) == (0, expected()), told.err


def test_many_who_ask_at_once_get_one_folder_that_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []
    got: list[tuple[Path, bool]] = []
    together = threading.Barrier(8)

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("whole")

    def ask() -> None:
        together.wait(60)
        got.append(made_once("code", "a", make))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 1
    assert sorted(new for _, new in got) == [False] * 7 + [True]
    assert {(folder / "file").read_text() for folder, _ in got} == {"whole"}


def test_what_failed_to_be_made_is_made_by_the_next_who_asks() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match=r"cannot be used: .*No space left on device"):
        made_once("code", "a", fail)
    folder, new = made_once("code", "a", lambda folder: None)
    assert (list(folder.iterdir()), new) == ([], True)


def test_a_cache_that_others_can_write_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    monkeypatch.setenv("LANCEMILL_CACHE_DIR", str(tmp_path / "shared"))
    with pytest.raises(RunError, match="is not this user's own, and code is run from there"):
        made_once("code", "a", lambda folder: None)


def test_code_beside_the_manifest_is_run_after_code_of_a_zip_with_the_same_name(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    place.code()
    assert run(packaged(place, place.manifest())).status == 0
    (tmp_path / "my_udfs.py").write_text(UDFS.replace("more.factor", "a_factor"))
    (tmp_path / "a_factor.py").write_text("FACTOR = 7\n")
    told = run(place.manifest(name="later"))
    assert (told.status, place.rows("later")) == (0, expected(7)), told.err


def test_a_config_map_that_changes_while_a_run_goes_on_is_not_mixed_with_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted" / "my_udfs.py").write_text("x = 1\n")
    monkeypatch.setenv("LANCEMILL_CODE_DIR", str(tmp_path / "mounted"))
    place = Place(tmp_path)
    spec = load(place.manifest("code: {configMap: my-udfs}\n")).job().pipeline.spec
    first = provide(spec, tmp_path)
    assert first.folder is not None
    (tmp_path / "mounted" / "my_udfs.py").write_text("x = 2\n")
    assert (first.folder / "my_udfs.py").read_text() == "x = 1\n"
    with pytest.raises(RunError, match=r"spec\.code\.configMap: 'my-udfs' has changed") as raised:
        provide(spec, tmp_path, first.sha256)
    assert raised.value.final, "the next attempt would be refused as other work"
    assert "lancemill rerun" in raised.value.remedy
    monkeypatch.setenv("LANCEMILL_CODE_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(RunError, match="'my-udfs' is not mounted here") as raised:
        provide(spec, tmp_path, first.sha256)
    assert not raised.value.final
