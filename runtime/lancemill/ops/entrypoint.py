"""Where a user's function is, what its code is, and how it gets into this process.

`module:attribute` is looked for beside the manifest first, then where Python looks;
`folder/file.py:attribute` is a file relative to the manifest. Finding and hashing do not run any
of it: planning must not execute a stranger's code.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any


class EntrypointError(Exception):
    """There is no such module, file or attribute; the message says where was looked."""


@dataclass(frozen=True, slots=True)
class Code:
    """A module's source, found and not imported."""

    module: str
    """Its dotted name, or the path of a file."""
    attribute: str
    origin: str
    sha256: str
    """Of the source file; of the compiled file where there is no source."""


def locate(entrypoint: str, base: Path) -> Code:
    """Find the code of `entrypoint`; EntrypointError where there is none."""
    module, _, attribute = entrypoint.rpartition(":")
    path = _file(module, base) if module.endswith(".py") else _module(module, base)
    source = path.read_bytes()
    if path.suffix == ".py":
        _check_attribute(source, attribute.partition(".")[0], path)
    return Code(module, attribute, str(path), hashlib.sha256(source).hexdigest())


def _file(name: str, base: Path) -> Path:
    path = (base / name).resolve()
    if not path.is_file():
        raise EntrypointError(f"there is no file {path}")
    return path


def _module(name: str, base: Path) -> Path:
    found: ModuleSpec | None = None
    places: Sequence[str] | None = [str(base.resolve()), *sys.path]
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        found = PathFinder.find_spec(".".join(parts[:end]), places) if places else None
        if found is None:
            raise EntrypointError(
                f"there is no module {'.'.join(parts[:end])} in {base} or in Python's path"
            )
        places = found.submodule_search_locations
    if found is None or found.origin is None or not Path(found.origin).is_file():
        raise EntrypointError(f"{name} is no module with code of its own")
    return Path(found.origin)


def _check_attribute(source: bytes, name: str, path: Path) -> None:
    """Refuse a name that the module's top level plainly does not have."""
    try:
        tree = ast.parse(source, str(path))
    except SyntaxError as error:
        raise EntrypointError(f"{path}:{error.lineno}: {error.msg}") from None
    names = {each for statement in tree.body for each in _bound_names(statement)}
    if name not in names and not names & {"*", "__getattr__"}:
        public = ", ".join(sorted(each for each in names if not each.startswith("_")))
        raise EntrypointError(f"{path} has no '{name}'; it has: {public or 'nothing'}")


def _bound_names(statement: ast.stmt) -> set[str]:
    """Names that a statement may bind at the level on which it stands."""
    names: set[str] = set()
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        waiting += ast.iter_child_nodes(node)
    return names


def load(entrypoint: str, base: Path) -> Any:
    """Import the module and give the attribute; EntrypointError, or what its code raises."""
    code = locate(entrypoint, base)
    _BesideManifest.install(base)
    if code.module.endswith(".py"):
        found: Any = _imported_file(code)
    else:
        found = _imported_module(code)
    for name in code.attribute.split("."):
        if not hasattr(found, name):
            raise EntrypointError(f"{code.origin} has no '{code.attribute}'")
        found = getattr(found, name)
    return found


_code_folders: set[Path] = set()
"""Folders of code that travelled here, for runs of this process."""


def only_code_of(folder: Path | None) -> None:
    """Let go of modules of other folders that this was called with: code of earlier runs, whose
    modules may have the names of those that come now. None: the code comes from elsewhere."""
    others = _code_folders - {folder}
    if folder is not None:
        _code_folders.add(folder)
    for name, module in list(sys.modules.items()) if others else ():
        places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
        if any(_is_below(Path(place), others) for place in places if place):
            del sys.modules[name]
    sys.meta_path[:] = [
        one
        for one in sys.meta_path
        if not isinstance(one, _BesideManifest) or not _is_below(Path(one.folder), others)
    ]


def _is_below(place: Path, folders: Collection[Path]) -> bool:
    return any(place.is_relative_to(folder) for folder in folders)


def _imported_file(code: Code) -> ModuleType:
    """A file as a module of its own name: an edited file is another module, and so is the same file
    in another folder, which may read what lies beside it."""
    key = hashlib.sha256(f"{code.origin}\0{code.sha256}".encode()).hexdigest()
    name = f"lancemill_code_{Path(code.origin).stem}_{key[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    loader = _AsWritten(name, code.origin)
    spec = importlib.util.spec_from_file_location(name, code.origin, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


_imported: dict[str, str] = {}
"""SHA-256 of the modules that were imported here, as they were then."""


def _imported_module(code: Code) -> ModuleType:
    if _imported.get(code.origin, code.sha256) != code.sha256:
        sys.modules.pop(code.module, None)
    importlib.invalidate_caches()
    module = importlib.import_module(code.module)
    origin = getattr(module, "__file__", None)
    if origin is None or Path(origin).resolve() != Path(code.origin).resolve():
        raise EntrypointError(
            f"{code.origin} is hidden by another module of the same name, {origin}; rename it"
        )
    _imported[code.origin] = code.sha256
    return module


class _AsWritten(SourceFileLoader):
    """By the source alone: kept bytecode is told from an edited file by size and second only."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


class _BesideManifest:
    """Finds modules beside a manifest, after everything else: it hides no installed module."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @classmethod
    def install(cls, base: Path) -> None:
        folder = str(base.resolve())
        others = [each for each in sys.meta_path if isinstance(each, cls)]
        if all(each.folder != folder for each in others):
            sys.meta_path.append(cls(folder))

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None:
            return None
        found = PathFinder.find_spec(name, [self.folder], target)
        if found is not None and isinstance(found.loader, SourceFileLoader):
            found.loader = _AsWritten(found.loader.name, found.loader.path)
        return found
