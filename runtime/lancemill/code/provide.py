"""What a manifest asks for as code, as folders of this machine: the same call in every process.

Each process asks for itself: the driver, each of Ray's workers, a child that does a shard with
care. What one of a node has fetched, checked and unpacked, the others find.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lancemill.code.archive import BadArchive, unpack
from lancemill.code.cache import made_once
from lancemill.errors import PlanError, RunError, StorageError
from lancemill.ops.entrypoint import only_code_of
from lancemill.storage import display, is_local, local_path, open_store
from lancemill_api.code import Code
from lancemill_api.handed import CODE_FOLDER
from lancemill_api.pipeline import PipelineSpec

CODE_DIR = "LANCEMILL_CODE_DIR"
KIND = "code"
CHANGED = "`lancemill rerun NAME` starts a new run, with the code as it is now"


@dataclass(frozen=True, slots=True)
class Provided:
    """What there is now for this process."""

    folder: Path | None = None
    """Where entrypoints are looked for. None: beside the manifest."""
    sha256: str | None = None
    """What the code in it is."""
    notes: tuple[str, ...] = ()
    """What took time, in words."""


def provide(spec: PipelineSpec, base: Path, expected: str | None = None) -> Provided:
    """All that a process needs that calls the manifest's functions: `code` and `packages`."""
    provided = code(spec, base, expected)
    return replace(provided, notes=(*provided.notes, *packages(spec)))


def code(spec: PipelineSpec, base: Path, expected: str | None = None) -> Provided:
    """The manifest's code, for this process.

    `expected`: what the run's driver found it to be. PlanError where it is not what the manifest
    says, StorageError where it cannot be had, RunError where it has changed since.
    """
    provided = _code(spec.code, base, expected) if spec.code is not None else Provided()
    only_code_of(provided.folder)
    return provided


def packages(spec: PipelineSpec) -> tuple[str, ...]:
    """The manifest's packages, to be imported by this process; what took time, in words.

    RunError where they cannot be installed.
    """
    if not spec.requirements:
        return ()
    from lancemill.code.requirements import install, put_on_path

    installed = install(spec.requirements)
    if installed is None:
        return ()
    put_on_path(installed.folder)
    if installed.seconds is None:
        return ()
    return (f"installed {', '.join(installed.what)} in {installed.seconds:.1f} s",)


def _code(asked: Code, base: Path, expected: str | None) -> Provided:
    if asked.uri is not None and asked.sha256 is not None:
        provided = _unpacked(asked, asked.uri, asked.sha256, base)
    else:
        mounted = _mounted()
        provided = Provided() if mounted is None else _copied(mounted)
    if expected is not None and provided.folder is None:
        raise RunError(
            f"spec.code.configMap: '{asked.config_map}' is not mounted here, as it is where the "
            f"run was planned: there is no folder {_mount()}"
        )
    if expected is not None and provided.sha256 != expected:
        # An attempt that came after this one would mean other work, and be refused.
        raise RunError(
            f"spec.code.configMap: '{asked.config_map}' has changed since the run began, and its "
            "workers would not have the code that it was planned with",
            remedy=CHANGED,
            final=True,
        )
    return provided


def _unpacked(asked: Code, uri: str, sha256: str, base: Path) -> Provided:
    def make(folder: Path) -> None:
        try:
            unpack(_fetched(asked, uri, sha256, base), folder)
        except BadArchive as error:
            raise PlanError.at("spec.code.uri", f"{display(uri)}: {error}") from error

    return _made(sha256, make, f"fetched and unpacked {display(uri)}")


def _fetched(asked: Code, uri: str, sha256: str, base: Path) -> bytes:
    content = _read(asked, uri, base)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise PlanError.at(
            "spec.code.sha256",
            f"is {sha256}, but {display(uri)} has {found}; `lancemill package` uploads local code "
            "and fills it in",
        )
    return content


def _read(asked: Code, uri: str, base: Path) -> bytes:
    if is_local(uri):
        path = local_path(uri, base)
        try:
            return path.read_bytes()
        except OSError as error:
            raise PlanError.at("spec.code.uri", f"{path}: {error.strerror}") from None
    folder, _, name = uri.rpartition("/")
    content = open_store(folder, asked.storage).get(name)
    if content is None:
        raise StorageError(
            f"{display(uri)} does not exist (spec.code.uri)",
            remedy="`lancemill package` uploads local code and fills it in",
        )
    return content


def _mount() -> Path:
    return Path(os.environ.get(CODE_DIR) or CODE_FOLDER)


def _mounted() -> Path | None:
    """The ConfigMap's files; None on a machine where none are mounted."""
    return _mount() if _mount().is_dir() else None


def _copied(mounted: Path) -> Provided:
    """A copy, since Kubernetes changes mounted files while a run goes on."""
    # All files of one moment lie behind this link; it is turned to those of the next at once.
    moment = mounted / "..data"
    files = {
        path.name: path.read_bytes()
        for path in sorted((moment if moment.is_dir() else mounted).resolve().iterdir())
        if path.is_file()
    }
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{len(name)} {len(content)} {name}".encode() + content)

    def make(folder: Path) -> None:
        for name, content in files.items():
            (folder / name).write_bytes(content)

    return _made(digest.hexdigest(), make, "")


def _made(sha256: str, make: Callable[[Path], None], words: str) -> Provided:
    began = time.monotonic()
    folder, new = made_once(KIND, sha256, make)
    took = f"{words} in {time.monotonic() - began:.1f} s"
    return Provided(folder, sha256, (took,) if new and words else ())
