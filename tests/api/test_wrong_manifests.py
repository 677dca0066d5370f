"""What is said of wrong manifests, word by word.

Each file of wrong/ ends with what is expected of it, a line for each mistake:
`#> [document] line: path  message`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lancemill_api.manifest import load
from lancemill_api.mistakes import InvalidManifest, Mistake

FILES = sorted((Path(__file__).parent / "wrong").glob("*.yaml"))
MARK = "#> "


def told(mistake: Mistake) -> str:
    document = f"[{mistake.document}] " if mistake.document else ""
    return f"{document}{mistake.line or '-'}: {mistake}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_wrong_manifest_is_refused_with_exactly_the_lines_that_its_file_expects(
    file: Path,
) -> None:
    expected = [
        line.removeprefix(MARK) for line in file.read_text().splitlines() if line.startswith(MARK)
    ]
    assert expected, "the file says nothing of what is expected"
    with pytest.raises(InvalidManifest) as refused:
        load(file)
    assert [told(mistake) for mistake in refused.value.mistakes] == expected
    assert refused.value.source == str(file)


def test_there_are_wrong_manifests_of_many_kinds() -> None:
    assert len(FILES) >= 20


def test_no_message_speaks_of_python() -> None:
    for file in FILES:
        with pytest.raises(InvalidManifest) as refused:
            load(file)
        text = str(refused.value)
        for word in ("pydantic", "NoneType", "dict", "tuple", "Traceback", "Input should"):
            assert word not in text, f"{file.name}: {text}"


def test_a_file_that_does_not_exist_is_one_mistake(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifest, match="cannot be read: no such file or directory"):
        load(tmp_path / "nothing.yaml")


def test_a_file_that_is_no_text_is_one_mistake(tmp_path: Path) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InvalidManifest, match="is no text: byte 0 is not UTF-8"):
        load(picture)


def test_a_few_lines_that_stand_for_billions_of_values_are_refused_at_once() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    with pytest.raises(InvalidManifest, match="holds over 200000 values"):
        load("\n".join(lines))
