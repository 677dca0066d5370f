"""`spec.requirements`: packages installed beside the environment, never into it.

What the environment has already is not installed again. The rest goes, with what it needs, into a
folder of the cache that is named by all that decides what comes out, and is put before the
environment's own on Python's path. What the environment has is held to its version (a constraint),
so that a package's dependency cannot put another NumPy below a process that has loaded one. Wheels
only: installing runs none of their code, and asks no compiler.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, distributions
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from lancemill.code.cache import made_once
from lancemill.errors import RunError

INSTALL_TIMEOUT_S = 900.0
CONFLICT = "The conflict is caused by:"
HELD = "The user requested (constraint)"
"""How pip begins to tell what does not fit together, and what it calls a constraint."""
KIND = "packages"
OURS = ("lancemill",)
"""Whose dependencies are held to the versions that are there, also where the manifest asks for
others: they are loaded already."""
_FOR_UV = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_NO_INDEX": "UV_NO_INDEX",
    "PIP_CERT": "SSL_CERT_FILE",
}
"""What pip is told by the environment, in uv's words."""


@dataclass(frozen=True, slots=True)
class Installed:
    """Where the packages are; `seconds` is None where they were there before."""

    folder: Path
    what: tuple[str, ...]
    seconds: float | None


def install(requirements: Sequence[str]) -> Installed | None:
    """What of `requirements` the environment lacks, installed; None where it lacks nothing.

    RunError where they cannot be installed.
    """
    missing = tuple(sorted(one for one in requirements if not _is_there(Requirement(one))))
    if not missing:
        return None
    constraints = _constraints(missing)
    began = time.monotonic()
    folder, new = made_once(
        KIND, _key(missing, constraints), lambda folder: _install(missing, constraints, folder)
    )
    return Installed(folder, missing, time.monotonic() - began if new else None)


def put_on_path(folder: Path) -> None:
    """Let this process import from `folder` first; RunError where it has loaded packages that were
    installed for other requirements."""
    others = _on_path - {folder}
    for name, module in list(sys.modules.items()) if others else ():
        file = getattr(module, "__file__", None)
        if file and any(Path(file).is_relative_to(other) for other in others):
            raise RunError(
                f"this process has loaded {name} for a manifest with other requirements",
                remedy="run this one in a process of its own",
            )
    _on_path.add(folder)
    known = {str(one) for one in _on_path}
    sys.path[:] = [str(folder), *(one for one in sys.path if one not in known)]
    importlib.invalidate_caches()


_on_path: set[Path] = set()
"""Folders that this process was given."""


def _is_there(wanted: Requirement) -> bool:
    if wanted.extras:
        return False
    try:
        version = distribution(wanted.name).version
    except PackageNotFoundError:
        return False
    return wanted.specifier.contains(version, prereleases=True)


def _constraints(missing: Sequence[str]) -> tuple[str, ...]:
    """The environment's packages at their versions, but for those that are asked for by name."""
    there: dict[str, str] = {}
    for one in distributions():
        name = canonicalize_name(one.metadata["Name"] or "")
        try:
            there.setdefault(name, Version(one.version).public)
        except InvalidVersion:
            continue
    asked = {canonicalize_name(Requirement(one).name) for one in missing} - _loaded_ones()
    return tuple(f"{name}=={there[name]}" for name in sorted(there) if name not in asked)


def _loaded_ones() -> set[str]:
    """What Lancemill itself is made of."""
    found: set[str] = set()
    waiting = [canonicalize_name(name) for name in OURS]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        asked = [Requirement(one) for one in needs]
        waiting += [
            canonicalize_name(one.name)
            for one in asked
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    return found


def _key(missing: Sequence[str], constraints: Sequence[str]) -> str:
    decides = [missing, constraints, sys.version, sysconfig.get_platform()]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]


def _install(missing: Sequence[str], constraints: Sequence[str], folder: Path) -> None:
    held = folder / ".constraints.txt"
    held.write_text("\n".join(constraints), encoding="utf-8")
    command, env = _installer(os.environ)
    options = ["--target", str(folder), "--only-binary", ":all:", "--constraint", str(held)]
    try:
        done = subprocess.run(
            [*command, *options, "--", *missing],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INSTALL_TIMEOUT_S,
            env=env,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _cannot(missing, f"it took longer than {INSTALL_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise _cannot(missing, f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise _cannot(missing, _reason(f"{done.stdout}\n{done.stderr}"))


def _installer(environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """This Python's own pip, else uv, else a pip that lies elsewhere; and its environment.

    pip first: files that tell where an organisation's index is are pip's.
    """
    env = dict(environ)
    quietly = ["install", "--no-input", "--disable-pip-version-check", "--no-compile"]
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", *quietly], env
    if (uv := shutil.which("uv")) is not None:
        env |= {theirs: env[pips] for pips, theirs in _FOR_UV.items() if pips in env}
        return [uv, "pip", "install", "--quiet", "--python", sys.executable], env
    elsewhere = os.pathsep.join((f"{sys.base_prefix}/bin", env.get("PATH", os.defpath)))
    if (pip := shutil.which("pip", path=elsewhere)) is not None:
        return [pip, "--python", sys.executable, *quietly], env
    raise RunError(
        "spec.requirements needs pip or uv, and there is neither",
        remedy="take an image that has one, or that has the packages",
    )


def _cannot(missing: Sequence[str], why: str) -> RunError:
    return RunError(
        f"spec.requirements ({', '.join(missing)}) cannot be installed: {why}",
        remedy="only wheels are installed; PIP_INDEX_URL tells where from; or put the packages "
        "into the image",
    )


def _reason(output: str) -> str:
    """The line that says most, without a login in an address."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR:", "error:", "Because "))]
    said = (errors or lines or ["it does not say why"])[-1].removeprefix("ERROR: ")
    if CONFLICT in lines:
        facts = lines[lines.index(CONFLICT) + 1 :][:2]
        said = "; ".join(one.replace(HELD, "Lancemill runs with") for one in facts)
    return re.sub(r"://[^/\s@]*@", "://", said)[:500]
