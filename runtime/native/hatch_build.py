"""Compiles resample.c into the package while a wheel (or an editable one) is built.

Any C compiler will do: `cc` (or what CC says), else the one that the package ziglang brings. Where
there is none the wheel is built without: Lancemill then has Pillow do the same, bit for bit and
slower, and `lancemill doctor` says so.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path(__file__).with_name("resample.c")
LIBRARY = SOURCE.parents[1] / "lancemill" / "media" / "_resample.so"
# No fused multiplication and addition: weights would differ in their last bit from processor to
# processor.
FLAGS = ["-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-shared"]


class CompiledResample(BuildHookInterface):  # type: ignore[type-arg]
    """Found by hatchling in this file, which pyproject.toml names."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version
        LIBRARY.unlink(missing_ok=True)
        if not _compiled():
            self.app.display_warning("no C compiler: pictures will be resized by Pillow, slower")
            return
        root = Path(self.root)
        build_data["artifacts"].append(f"/{LIBRARY.relative_to(root).as_posix()}")
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def _compiled() -> bool:
    compiler = _compiler()
    if not compiler:
        return False
    made = LIBRARY.with_suffix(f".{os.getpid()}")
    command = [*compiler, *FLAGS, "-o", str(made), str(SOURCE), "-lm"]
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        made.replace(LIBRARY)
    except (OSError, subprocess.CalledProcessError):
        made.unlink(missing_ok=True)
        return False
    return True


def _compiler() -> list[str]:
    asked = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(asked[0]):
        return asked
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    return []
