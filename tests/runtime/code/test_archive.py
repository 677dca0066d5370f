"""Zips: the same bytes for the same files; nothing hostile comes out of one."""

from __future__ import annotations

import contextlib
import io
import stat
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill.code import archive
from lancemill.code.archive import BadArchive, pack, unpack

NAMES = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "a",
        "a/b",
        "/etc/x",
        "../x",
        "a/../../x",
        "a//b",
        ".",
        "a/./b",
        "C:/x",
        "a\\..\\x",
        "x\0y",
        "b/",
    ]
)
KINDS = st.sampled_from([0, stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO])


def zipped(*entries: tuple[str, bytes, int]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content, kind in entries:
            entry = zipfile.ZipInfo("placeholder")
            entry.filename = name
            entry.create_system = 3
            entry.external_attr = (kind | 0o777) << 16 if kind else 0
            written.writestr(entry, content)
    return made.getvalue()


def files_below(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if not path.is_dir()]
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_same_files_give_the_same_bytes_in_whatever_order_they_come() -> None:
    files = {"udfs.py": b"x = 1\n", "more/__init__.py": b"", "more/a.py": b"y = 2\n"}
    assert pack(files) == pack(dict(reversed(files.items())))
    assert pack(files) != pack(files | {"udfs.py": b"x = 2\n"})


def test_what_was_packed_comes_out_again(tmp_path: Path) -> None:
    files = {"udfs.py": b"x = 1\n", "more/__init__.py": b"", "more/deep/a.bin": bytes(range(256))}
    unpack(pack(files), tmp_path)
    assert files_below(tmp_path) == files


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("/etc/cron.d/x", 0, "lies outside of its folder"),
        ("../x.py", 0, "lies outside of its folder"),
        ("a/../../x.py", 0, "lies outside of its folder"),
        ("a\\..\\x.py", 0, "lies outside of its folder"),
        ("C:x.py", 0, "lies outside of its folder"),
        ("", 0, "lies outside of its folder"),
        ("x.py", stat.S_IFLNK, "neither a file nor a folder"),
        ("x", stat.S_IFIFO, "neither a file nor a folder"),
    ],
)
def test_an_entry_that_is_no_file_below_the_folder_is_refused_before_any_is_written(
    tmp_path: Path, name: str, kind: int, why: str
) -> None:
    with pytest.raises(BadArchive, match=why):
        unpack(zipped(("good.py", b"", 0), (name, b"x", kind)), tmp_path)
    assert files_below(tmp_path) == {}


def test_a_name_that_is_both_a_file_and_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="holds a as a file and as a folder"):
        unpack(zipped(("a", b"", 0), ("a/b", b"", 0)), tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match=r"holds a\.py twice"):
        unpack(zipped(("a.py", b"1", 0), ("a.py", b"2", 0)), tmp_path)


def test_a_zip_that_would_fill_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1 << 20)
    with pytest.raises(BadArchive, match="its files are 2 MiB, expected at most 1 MiB"):
        unpack(zipped(("bomb", bytes(2 << 20), 0)), tmp_path)
    monkeypatch.setattr(archive, "MOST_FILES", 2)
    with pytest.raises(BadArchive, match="holds 3 files, expected at most 2"):
        unpack(pack({str(number): b"" for number in range(3)}), tmp_path)


def test_an_entry_that_holds_more_than_it_says_writes_no_more_than_that(tmp_path: Path) -> None:
    """The central directory lies: one byte, where two MiB follow."""
    data = bytearray(zipped(("bomb", bytes(2 << 20), 0)))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (1).to_bytes(4, "little")
    with pytest.raises(BadArchive):
        unpack(bytes(data), tmp_path)
    assert sum(map(len, files_below(tmp_path).values())) <= 1


@given(st.lists(st.tuples(NAMES, st.binary(max_size=8), KINDS), max_size=6))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_whatever_a_zip_holds_nothing_is_written_beyond_its_folder(
    entries: list[tuple[str, bytes, int]],
) -> None:
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above, "deep", "folder")
        folder.mkdir(parents=True)
        with contextlib.suppress(BadArchive):
            unpack(zipped(*entries), folder)
        assert [path.name for path in Path(above).iterdir()] == ["deep"]
        assert [path.name for path in folder.parent.iterdir()] == ["folder"]
        files_below(folder)


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_zip_is_told_as_one(noise: bytes, at: int, byte: int) -> None:
    damaged = bytearray(pack({"udfs.py": b"x = 1\n", "a/b.py": b"y"}))
    damaged[at % len(damaged)] = byte
    for data in (noise, bytes(damaged), bytes(damaged[:at])):
        with tempfile.TemporaryDirectory() as folder:
            try:
                unpack(data, Path(folder))
            except BadArchive as error:
                assert "\n" not in str(error)
