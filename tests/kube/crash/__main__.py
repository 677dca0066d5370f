"""`make crash-matrix`: see `kube.crash`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter

from kube.control_plane import control_plane
from kube.crash import matrix
from kube.crash.lives import LIVES
from kube.crash.matrix import DEATHS, Case, Reference, Result
from kube.crash.theatre import theatre


def main() -> int:
    parser = argparse.ArgumentParser(prog="kube.crash", description="The crash matrix.")
    parser.add_argument("--lives", nargs="*", default=list(LIVES), choices=list(LIVES))
    parser.add_argument("--modes", nargs="*", default=list(DEATHS))
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--only", default="", help="cases whose text holds this")
    parser.add_argument("--show", action="store_true", help="the references, and no cases")
    given = parser.parse_args()
    with control_plane() as plane, asyncio.Runner() as runner:
        return runner.run(_matrix(plane, given))


async def _matrix(plane, given) -> int:  # type: ignore[no-untyped-def]
    began = time.monotonic()
    async with theatre(plane) as found:
        references = await matrix.references(found, [LIVES[name] for name in given.lives])
        for one in references.values():
            _show(one, given.show)
        if given.show:
            return 0
        cases = [
            case
            for one in references.values()
            for case in matrix.deaths(one, given.modes)
            if given.only in str(case)
        ]
        results = await matrix.all_led(found, cases, references, given.at_once, _told)
    _table(results, time.monotonic() - began)
    return 0 if all(result.passed for result in results) else 1


def _show(reference: Reference, everything: bool) -> None:
    print(f"{reference.life.name}: {len(reference.writes)} writes, {reference.seconds:.1f} s")
    if everything:
        for what, number in reference.writes:
            print(f"    {what}" + (f" #{number + 1}" if number else ""))
        for line in reference.end.lines:
            if ".spec" not in line:
                print(f"        {line}")


def _told(result: Result) -> None:
    if result.problems or not result.met:
        said = "not met" if result.passed else "FAILED"
        print(f"{said} {result.case} ({result.seconds:.1f} s)", flush=True)
        for problem in result.problems[:40]:
            print(f"    {problem}", flush=True)


def _table(results: list[Result], seconds: float) -> None:
    modes = list(dict.fromkeys(result.case.mode for result in results))
    counts = Counter((r.case.life.name, r.case.mode, r.passed) for r in results)
    print(f"{'':24}" + "".join(f"{mode:>16}" for mode in modes))
    for name in dict.fromkeys(result.case.life.name for result in results):
        cells = [
            f"{counts[name, mode, True]}/{counts[name, mode, True] + counts[name, mode, False]}"
            for mode in modes
        ]
        print(f"{name:24}" + "".join(f"{cell:>16}" for cell in cells))
    passed = sum(result.passed for result in results)
    unmet = sum(not result.met for result in results)
    print(
        f"{len(results)} cases, {passed} passed, {len(results) - passed} failed, {unmet} not met; "
        f"{sum(r.resyncs for r in results)} resyncs, {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
