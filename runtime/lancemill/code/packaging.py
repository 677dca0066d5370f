"""Local files into a zip, and the zip to its place: what `lancemill package` does.

The zip's hash is part of its name, and no object is ever written twice: a run that is gone on with
next week still finds the code that it began with.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lancemill.code.archive import MOST_BYTES, MOST_FILES, pack, unpack
from lancemill.errors import ManifestError, Mistake, RunError
from lancemill.ops.entrypoint import EntrypointError, locate
from lancemill.storage import display, is_local, local_path, open_store
from lancemill_api.pipeline import MultimodalPipeline

DIGITS = 12
"""Of the hash, in the zip's name."""
LEFT_OUT = ("__pycache__", "node_modules")


@dataclass(frozen=True, slots=True)
class Packed:
    """A zip that is not yet anywhere."""

    content: bytes
    files: tuple[str, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def packed(folder: Path, include: Sequence[str]) -> Packed:
    """All Python files below `folder`, and files that match a pattern of `include`.

    Left out: hidden files and folders, virtual environments, links that lead elsewhere.
    """
    found = sorted({*_python_files(folder), *_included(folder, include)})
    total = sum(path.stat().st_size for path in found)
    if not found:
        raise RunError(f"there is no Python file in {folder}", remedy="--folder names another one")
    if len(found) > MOST_FILES or total > MOST_BYTES:
        raise RunError(
            f"{folder} has {len(found):,} files of {total >> 20:,} MiB, expected at most "
            f"{MOST_FILES:,} files and {MOST_BYTES >> 20:,} MiB",
            remedy="--folder names the folder that has the code only",
        )
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
    return Packed(pack(files), tuple(files))


def _python_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in LEFT_OUT or not _is_below(path, folder):
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").exists() and not path.is_symlink():
                yield from _python_files(path)
        elif path.suffix == ".py" and path.is_file():
            yield path


def _included(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        matching = [path for path in folder.glob(pattern) if path.is_file()]
        if not matching:
            raise RunError(f"--include {pattern} matches no file in {folder}")
        yield from (path for path in matching if _is_below(path, folder))


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def check_entrypoints(pipeline: MultimodalPipeline, made: Packed) -> None:
    """ManifestError where the zip lacks a function that a stage names; packages of an image have
    theirs elsewhere, so what this Python finds counts as well."""
    wrong: list[Mistake] = []
    with tempfile.TemporaryDirectory() as folder:
        unpack(made.content, Path(folder))
        for index, stage in enumerate(pipeline.spec.stages):
            if stage.udf is None:
                continue
            try:
                locate(stage.udf.entrypoint, Path(folder))
            except EntrypointError as error:
                said = str(error).replace(str(Path(folder).resolve()), "the zip")
                said = said.replace(folder, "the zip")
                wrong.append(Mistake(f"spec.stages[{index}].udf.entrypoint", said))
    if wrong:
        raise ManifestError(wrong)


def address(place: str, name: str, sha256: str) -> str:
    """Where the zip goes: `place` with the hash in its name, or, where that is no zip, below it."""
    digits = sha256[:DIGITS]
    if not place.endswith(".zip"):
        return f"{place.rstrip('/')}/{name}.{digits}.zip"
    stem = re.sub(rf"\.[0-9a-f]{{{DIGITS}}}$", "", place.removesuffix(".zip"))
    return f"{stem}.{digits}.zip"


def upload(made: Packed, uri: str, storage: object, base: Path) -> bool:
    """Write it where nothing is; whether it was written now. RunError where something else is."""
    place = str(local_path(uri, base)) if is_local(uri) else uri
    folder, _, name = place.rpartition("/")
    location = open_store(folder, storage)
    if location.put_new(name, made.content):
        return True
    if location.get(name) != made.content:
        raise RunError(f"{display(uri)} exists and is another file", remedy="remove it")
    return False
