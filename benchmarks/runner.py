"""Runs cases in rounds, each in a fresh process, verifies what they made, and keeps every figure.

The cases of a group are interleaved and their order turns from round to round, so that what the
machine does meanwhile meets all of them alike.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import verify, watch
from benchmarks.corpus import CACHE, ROOT, make, paths
from benchmarks.suite import Case, Group

TIMEOUT = 400.0
WORK = CACHE / "work"
BYTECODE = CACHE / "bytecode"
PACKAGES = Path(sysconfig.get_path("purelib"))
OURS = ("crds", "runtime", "benchmarks")


@dataclass(frozen=True, slots=True)
class Run:
    """One case, once."""

    group: str
    case: str
    round: int
    rows: int
    seconds: float
    """From the first row to the commit."""
    total_seconds: float
    """The process from its start to its end."""
    cpu_seconds: float
    peak_rss_mb: float
    """Resident memory of all its processes together."""
    load: float
    """Load average of the machine before it."""
    others: float
    """Cores that other work on the machine used meanwhile."""
    psnr: float | None
    """The worst picture of the sample, in dB."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that did not end well, or did not do its work."""

    group: str
    case: str
    round: int
    message: str


def prepare() -> None:
    """Compile every module once, so that no case pays for it: where Python may not keep bytecode
    (PYTHONDONTWRITEBYTECODE), each process would compile all that it imports."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
    folders = [str(folder) for folder in (PACKAGES, *(ROOT / name for name in OURS))]
    command = [sys.executable, "-m", "compileall", "-q", "-j", "0", *folders]
    subprocess.run(command, check=False, capture_output=True)  # some packages ship broken files
    WORK.mkdir(parents=True, exist_ok=True)


def run_group(group: Group, count: int, rounds: int) -> Iterator[Run | Failure]:
    """All rounds of a group, on `count` pictures."""
    for number in range(rounds):
        turn = number % len(group.cases)
        for case in (*group.cases[turn:], *group.cases[:turn]):
            try:
                yield run_case(group, case, count, number)
            except (watch.CaseFailedError, verify.WrongOutputError) as error:
                yield Failure(group.name, case.name, number, str(error))


def run_case(group: Group, case: Case, count: int, number: int) -> Run:
    """One case, once, in a fresh process and an empty folder."""
    source = make(group.corpus, count, case.times)
    out = WORK / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    log = WORK / f"{group.name}-{case.name}.log"
    command = [sys.executable, "-m", f"benchmarks.cases.{case.module}"]
    command += ["--input", str(source), "--out", str(out), *case.arguments]
    device = group.device and case.scored
    command += ["--device"] if device else []
    _read_into_page_cache(source, PACKAGES, BYTECODE)
    with _served(source) if group.http else _from_disk() as extra:
        seen = watch.run([*command, *extra], log, TIMEOUT)
    told = json.loads(seen.output.strip().splitlines()[-1])
    if told["rows"] != count * case.times:
        raise verify.WrongOutputError(f"{told['rows']} rows, expected {count * case.times}")
    psnr = verify.check(out, source, device) if case.writes else None
    shutil.rmtree(out)
    return Run(
        group=group.name,
        case=case.name,
        round=number,
        rows=told["rows"],
        seconds=told["seconds"],
        total_seconds=round(seen.wall_seconds, 3),
        cpu_seconds=round(max(told["cpu_seconds"], seen.cpu_seconds), 2),
        peak_rss_mb=round(max(told["peak_rss_mb"], seen.peak_rss_mb)),
        load=round(seen.load, 2),
        others=round(seen.others, 2),
        psnr=psnr and round(psnr, 1),
    )


def _read_into_page_cache(*folders: Path) -> None:
    """So that each case finds its pictures and its programs in memory.

    A virtual machine's host may take cached files from it within a minute of their last use, and
    who comes next reads a disk.
    """
    room = memoryview(bytearray(1 << 20))
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                with path.open("rb", buffering=0) as file:
                    while file.readinto(room):
                        pass


@contextmanager
def _from_disk() -> Iterator[Sequence[str]]:
    yield ()


@contextmanager
def _served(source: Path) -> Iterator[Sequence[str]]:
    """The pictures of a folder by HTTP, and the arguments that tell a case where."""
    command = [sys.executable, "-m", "benchmarks.server", "--input", str(source)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        port = int(server.stdout.readline())
        urls = WORK / "urls.txt"
        names = (path.name for path in paths(source))
        urls.write_text("".join(f"http://127.0.0.1:{port}/{name}\n" for name in names))
        try:
            yield ("--urls", str(urls))
        finally:
            server.stdin.close()


def as_json(outcome: Run | Failure) -> dict[str, object]:
    """For the file of results."""
    return asdict(outcome)
