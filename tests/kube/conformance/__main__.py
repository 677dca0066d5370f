"""`python -m kube.conformance`: a control plane, the scenarios, and what they differ in."""

from __future__ import annotations

import argparse
import sys

from kube import loops
from kube.binaries import kuberay_data
from kube.conformance.play import compare
from kube.conformance.scenario import scenarios
from kube.control_plane import control_plane


def main() -> int:
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="recordings that begin so")
    given = parser.parse_args()
    data = kuberay_data()
    if data is None:
        print("the recordings are not here: name their folder by KUBERAY_DATA", file=sys.stderr)
        return 2
    with control_plane() as plane:
        wanted = scenarios().only(tuple(given.only))
        report = loops.run(compare(str(plane.kubeconfig()), data / "traces", wanted))
    print("\n".join(report.lines))
    return 1 if any(report.differences.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
