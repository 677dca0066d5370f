"""Where a function is found, and which one it is."""

from __future__ import annotations

from pathlib import Path

from lancemill.ops.entrypoint import load


def test_the_same_file_in_another_folder_reads_what_lies_beside_it(tmp_path: Path) -> None:
    text = "from pathlib import Path\n\ndef beside():\n    return Path(__file__).parent.name\n"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "functions.py").write_text(text)
    found = [load("functions.py:beside", tmp_path / name)() for name in ("one", "two", "one")]
    assert found == ["one", "two", "one"]


def test_an_edited_file_is_another_module(tmp_path: Path) -> None:
    file = tmp_path / "functions.py"
    file.write_text("def answer():\n    return 1\n")
    before = load("functions.py:answer", tmp_path)
    file.write_text("def answer():\n    return 2\n")
    assert (before(), load("functions.py:answer", tmp_path)()) == (1, 2)
