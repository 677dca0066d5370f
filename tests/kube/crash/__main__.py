"""`make crash-matrix`: see `kube.crash`."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from kube import loops
from kube.binaries import Missing, find_binaries
from kube.control_plane import ControlPlane, control_plane
from kube.crash.api_faults import api_faults
from kube.crash.lives import LIVES
from kube.crash.matrix import Case, Reference, Result, WrongReference, all_led, deaths, references
from kube.crash.pictures import pictures
from kube.crash.theatre import theatre

FAULTY = ("fails-once", "follows-a-dataset")
"""Lives that make every kind of call between them."""
AT_ONCE = 16
PARTS = ("deaths", "pictures", "faults")


def main() -> int:
    given = _parser().parse_args()
    try:
        with control_plane(find_binaries()) as plane, loops.runner() as runner:
            if not plane.serves("ray.io/v1"):
                raise Missing("KubeRay's CRDs are not here: name their folder by KUBERAY_DATA")
            return runner.run(_led(plane, given))
    except (Missing, BaseExceptionGroup) as wrong:
        for one in _leaves(wrong):
            if not isinstance(one, Missing | WrongReference):
                raise
            print(f"crash-matrix: {one}", file=sys.stderr)
    return 2


def _leaves(group: BaseException) -> Iterator[BaseException]:
    if not isinstance(group, BaseExceptionGroup):
        yield group
        return
    for one in group.exceptions:
        yield from _leaves(one)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kube.crash", description="The crash matrix.")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--lives", nargs="*", default=list(LIVES), choices=list(LIVES))
    parser.add_argument("--only", default="", help="cases whose text holds this")
    parser.add_argument("--at-once", type=int, default=AT_ONCE)
    parser.add_argument("--show", action="store_true", help="the references, and no cases")
    return parser


async def _led(plane: ControlPlane, given: argparse.Namespace) -> int:
    began = time.monotonic()
    async with theatre(plane) as found:
        known = await references(found, [LIVES[name] for name in given.lives])
        for one in known.values():
            _show(one, given.show)
        cases = [] if given.show else _cases(known.values(), given)
        told = Told(len(cases))
        results = await all_led(found, cases, known, given.at_once, told.of)
    _table(results)
    _sum(results, time.monotonic() - began)
    return 0 if all(result.passed for result in results) else 1


def _cases(known: Iterable[Reference], given: argparse.Namespace) -> list[Case]:
    makers: dict[str, Callable[[Reference], list[Case]]] = {
        "deaths": deaths,
        "pictures": pictures,
        "faults": lambda one: api_faults(one) if one.life.name in FAULTY else [],
    }
    found = [case for part in given.parts for one in known for case in makers[part](one)]
    return [case for case in found if given.only in str(case)]


def _show(reference: Reference, everything: bool) -> None:
    print(f"{reference.life.name}: {len(reference.writes)} writes, {reference.seconds:.1f} s")
    if everything:
        for what, number in reference.writes:
            print(f"    {what}" + (f" #{number + 1}" if number else ""))
        for line in reference.end.lines:
            if ".spec" not in line:
                print(f"        {line}")


@dataclass
class Told:
    """What is said while it goes on: what went wrong at once, the rest in numbers."""

    cases: int
    began: float = field(default_factory=time.monotonic)
    done: int = 0

    def of(self, result: Result) -> None:
        self.done += 1
        if result.problems or not result.met:
            said = "not met" if result.passed else "FAILED"
            print(f"{said} {result.case} ({result.seconds:.1f} s)", flush=True)
            for problem in result.problems[:40]:
                print(f"    {problem}", flush=True)
        if not self.done % 50:
            spent = time.monotonic() - self.began
            print(f"{self.done} of {self.cases} cases, {spent:.0f} s", flush=True)


def _table(results: list[Result]) -> None:
    """Scenario by mode: passed of all."""
    modes = list(dict.fromkeys(result.case.mode for result in results))
    lives = list(dict.fromkeys(result.case.life.name for result in results))
    all_of = Counter((one.case.life.name, one.case.mode) for one in results)
    passed = Counter((one.case.life.name, one.case.mode) for one in results if one.passed)
    for mode in modes:
        print(f"{mode}:")
        for life in lives:
            if of := all_of[life, mode]:
                print(f"    {life:24}{passed[life, mode]:>5} of {of}")


def _sum(results: list[Result], seconds: float) -> None:
    passed = sum(result.passed for result in results)
    print(
        f"{len(results)} cases, {passed} passed, {len(results) - passed} failed, "
        f"{sum(not result.met for result in results)} not met; "
        f"{sum(result.resyncs for result in results)} resyncs, {seconds:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
