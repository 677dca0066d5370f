"""`lancemill package`: the same zip for the same code, uploaded once, filled in beside comments."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lancemill.code.fill_in import filled
from lancemill.code.packaging import address, packed
from support.servers import S3Server

from .given import Place, lancemill

SHA = "ab" * 32


def code_of(manifest: Path) -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load(manifest.read_text())["spec"]["code"]
    return found


def test_the_same_code_gives_the_same_hash_on_another_day_and_in_another_folder(
    tmp_path: Path,
) -> None:
    one, other = (Place(tmp_path / name).code() for name in ("one", "other"))
    (one / "__pycache__").mkdir()
    (one / "__pycache__" / "my_udfs.pyc").write_bytes(b"compiled")
    (one / ".hidden.py").write_text("secret")
    (one / "venv").mkdir()
    (one / "venv" / "pyvenv.cfg").write_text("")
    (one / "venv" / "six.py").write_text("")
    (other / "my_udfs.py").touch()
    assert packed(one, ()).files == ("more/__init__.py", "more/factor.py", "my_udfs.py")
    assert packed(one, ()).sha256 == packed(other, ()).sha256
    Place(tmp_path / "other").code(factor=4)
    assert packed(one, ()).sha256 != packed(other, ()).sha256


def test_files_that_are_no_python_come_along_when_they_are_asked_for(tmp_path: Path) -> None:
    code = Place(tmp_path).code()
    (code / "labels.json").write_text("{}")
    (tmp_path / "secret.json").write_text("{}")
    (code / "link.json").symlink_to(tmp_path / "secret.json")
    assert "labels.json" in packed(code, ["*.json"]).files
    assert "link.json" not in packed(code, ["*.json"]).files


def test_a_name_holds_the_hash_of_what_it_names() -> None:
    assert address("s3://code/udfs.zip", "cats", SHA) == "s3://code/udfs.abababababab.zip"
    assert address("s3://code/udfs.0123456789ab.zip", "cats", SHA).endswith("udfs.abababababab.zip")
    assert address("s3://code/team/", "cats", SHA) == "s3://code/team/cats.abababababab.zip"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "code:  # mine\n    uri: old.zip   # where\n"
            "    sha256: '00'  # what\n    storage: {}\n",
            "code:  # mine\n    uri: s3://c/a.zip   # where\n"
            f"    sha256: {SHA}  # what\n    storage: {{}}\n",
        ),
        (
            "code: {uri: old.zip, sha256: '00', storage: {}}  # one line\n",
            f"code: {{uri: s3://c/a.zip, sha256: {SHA}, storage: {{}}}}  # one line\n",
        ),
        ("code:\n    uri: old.zip\n", f"code:\n    sha256: {SHA}\n    uri: s3://c/a.zip\n"),
        (
            "code: {storage: {region: x}}\n",
            f"code: {{uri: s3://c/a.zip, sha256: {SHA}, storage: {{region: x}}}}\n",
        ),
    ],
)
def test_two_values_are_filled_in_and_everything_else_stays_as_it_is(
    before: str, after: str
) -> None:
    frame = "# first\nkind: MultimodalPipeline\nspec:\n  # within\n  {}  sink: {{}}\n# last\n"
    text = frame.format(before)
    assert filled(text, None, "s3://c/a.zip", SHA) == frame.format(after)


def test_a_specification_without_code_gets_one_and_line_ends_are_kept() -> None:
    text = "kind: LanceDataset\r\n---\r\nkind: MultimodalPipeline\r\nspec:\r\n    sink: {}\r\n"
    made = filled(text, None, "my code.zip", "1" * 64)
    assert made.count("\r\n") == text.count("\r\n") + 1
    code = list(yaml.safe_load_all(made))[1]["spec"]["code"]
    assert code == {"uri": "my code.zip", "sha256": "1" * 64}


@pytest.mark.parametrize("digits", ["1" * 64, "1e5" + "0" * 61, "0x" + "0" * 62, "0" * 64])
def test_hashes_that_look_like_numbers_are_text(digits: str) -> None:
    made = filled("kind: MultimodalPipeline\nspec: {sink: {}}\n", None, "a: b#c.zip", digits)
    assert yaml.safe_load(made)["spec"]["code"] == {"uri": "a: b#c.zip", "sha256": digits}


@pytest.mark.thorough
def test_code_is_uploaded_once_and_the_manifest_filled_in(tmp_path: Path, s3: S3Server) -> None:
    place = Place(tmp_path)
    code = place.code()
    storage = f"storage: {{endpoint: '{s3.endpoint}', region: {s3.region}, allowHttp: true}}"
    manifest = place.manifest(f"code:  # ours\n  uri: {s3.uri('udfs.zip')}\n  {storage}\n")
    words = ("package", manifest, "--folder", code, "--write", "--json")
    first = lancemill(*words)
    assert first.status == 0, first.err
    assert (first.json["uploaded"], first.json["written"]) == (True, True)
    filled_in = code_of(manifest)
    assert filled_in["uri"] == first.json["uri"] == s3.uri(f"udfs.{first.json['sha256'][:12]}.zip")
    assert filled_in["sha256"] == first.json["sha256"]
    assert "# The user's own words." in manifest.read_text()
    assert "code:  # ours" in manifest.read_text()
    again = lancemill(*words)
    assert (again.json["uploaded"], again.json["written"]) == (False, False)
    place.code(factor=4)
    later = lancemill(*words)
    assert later.json["uploaded"]
    assert len(s3.list_keys()) == 2, "what an earlier run began with is still there"


def test_without_write_the_lines_are_printed_and_the_file_stays(tmp_path: Path) -> None:
    place = Place(tmp_path)
    manifest = place.manifest()
    before = manifest.read_text()
    told = lancemill("package", manifest, "--folder", place.code(), "--to", "zips/")
    assert told.status == 0, told.err
    assert manifest.read_text() == before
    uri = yaml.safe_load(told.out)["code"]["uri"]
    assert (tmp_path / uri).is_file()


def test_code_that_lacks_a_function_is_not_uploaded(tmp_path: Path) -> None:
    place = Place(tmp_path)
    manifest = place.manifest(udf={"entrypoint": "my_udfs:thrice"})
    told = lancemill("package", manifest, "--folder", place.code(), "--to", "zips/")
    assert told.status == 2
    assert "spec.stages[0].udf.entrypoint" in told.err
    assert "the zip/my_udfs.py has no 'thrice'; it has: FACTOR, pc, times" in told.err
    assert not (tmp_path / "zips").exists()


def test_what_is_missing_or_wrong_is_told_in_a_line(tmp_path: Path) -> None:
    place = Place(tmp_path)
    nowhere = lancemill("package", place.manifest())
    assert (nowhere.status, "give --to URI" in nowhere.err) == (2, True)
    (tmp_path / "empty").mkdir()
    empty = lancemill("package", place.manifest(), "--to", "z/", "--folder", tmp_path / "empty")
    assert (empty.status, "there is no Python file in" in empty.err) == (1, True)
    (tmp_path / "broken.yaml").write_text("spec: [")
    broken = lancemill("package", tmp_path / "broken.yaml", "--to", "z/")
    assert (broken.status, "Traceback" in broken.err) == (2, False)
