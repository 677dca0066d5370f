"""The build's context: the files of the checkout that .dockerignore lets through."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True)
class Context:
    root: Path
    ignored: tuple[str, ...]
    """Lines of .dockerignore, in their order: the last one that matches decides."""

    @classmethod
    def of(cls, root: Path) -> Context:
        path = root / ".dockerignore"
        lines = path.read_text().splitlines() if path.is_file() else []
        return cls(root, tuple(one for one in lines if one and not one.startswith("#")))

    def lets_in(self, path: str) -> bool:
        """`path` is relative to the root; a rule for a folder counts for what is below it."""
        inside = True
        for line in self.ignored:
            rule = line.removeprefix("!")
            if _matches(rule, path):
                inside = line.startswith("!")
        return inside

    def files(self, source: str) -> list[Path]:
        """Relative paths of the files that COPY takes for `source`, sorted."""
        whole = self.root / source
        found = [whole] if whole.is_file() else [one for one in whole.rglob("*") if one.is_file()]
        paths = sorted(one.relative_to(self.root) for one in found)
        kept = [one for one in paths if self.lets_in(one.as_posix())]
        if not kept:
            raise FileNotFoundError(f"COPY {source}: there is nothing that .dockerignore lets in")
        return kept

    def digest(self, sources: list[str]) -> str:
        whole = hashlib.sha256()
        for source in sources:
            for path in self.files(source):
                content = hashlib.sha256((self.root / path).read_bytes()).hexdigest()
                whole.update(f"{path} {_mode(self.root / path):o} {content}\n".encode())
        return whole.hexdigest()

    def copy(self, sources: list[str], target: str, layer: Path) -> None:
        """As COPY does it: a folder's content, or a file under its own name into `target/`."""
        for source in sources:
            for path in self.files(source):
                into = layer / target.lstrip("/")
                if (self.root / source).is_dir():
                    into /= path.relative_to(source)
                elif target.endswith("/"):
                    into /= path.name
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.root / path, into)
                into.chmod(_mode(self.root / path))


def _mode(path: Path) -> int:
    return 0o755 if os.access(path, os.X_OK) else 0o644


def _matches(rule: str, path: str) -> bool:
    """`**/x` anywhere, `x` and what is below it; `*` alone is everything."""
    parts = path.split("/")
    if rule.startswith("**/"):
        return any(fnmatch(part, rule[3:]) for part in parts)
    depth = rule.count("/") + 1
    return fnmatch("/".join(parts[:depth]), rule)
