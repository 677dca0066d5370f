"""`python -m e2e`: the scenarios, in whichever cluster is possible here.

python -m e2e                    all of them
python -m e2e smoke              the one to run where time is short
python -m e2e -- -k suspend      what follows -- is pytest's
python -m e2e --provider host shell     a shell beside the node, with kubectl in KUBECONFIG
python -m e2e --provider host prepare   what is fetched and built, and nothing else
python -m e2e providers          what is possible here, and what is missing for the rest
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from e2e.cache import ROOT, Unavailable, say

sys.path.append(str(ROOT / "tests"))

from e2e.cluster import Provider
from e2e.host import enter
from e2e.providers import providers

PROVIDER = "E2E_PROVIDER"
PYTEST = ("-m", "pytest", "e2e/scenarios", "--import-mode=importlib", "-p", "no:cacheprovider")
PYTEST_OPTIONS = ("-v", "-ra", "--durations=0", "--timeout=1800", "-o", "addopts=--strict-markers")


def main() -> int:
    arguments = parser().parse_args()
    try:
        provider = chosen(arguments.provider)
    except Unavailable as problem:
        say(str(problem))
        # A machine that allows none of them is no mistake of a change: it is told, and no more.
        return 0 if arguments.action == "smoke" and arguments.provider is None else 1
    if arguments.action == "providers":
        return 0
    try:
        return ACTIONS[arguments.action](provider, arguments.pytest)
    except Unavailable as problem:
        say(str(problem))
        return 1


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="e2e", description=__doc__.splitlines()[0])
    made.add_argument("--provider", choices=sorted(providers()), default=os.environ.get(PROVIDER))
    made.add_argument("action", nargs="?", default="run", choices=[*sorted(ACTIONS), "providers"])
    made.add_argument("pytest", nargs="*", metavar="-- PYTEST'S OWN")
    return made


def chosen(name: str | None) -> Provider:
    """The one that was asked for, else the first that is possible; says which, and why."""
    known = providers()
    lacking = {one: provider.why_not() for one, provider in known.items()}
    possible = [one for one, reason in lacking.items() if reason is None]
    for one, reason in lacking.items():
        say(f"provider {one}: {reason or 'possible here'}")
    if name is not None and lacking[name] is not None:
        raise Unavailable(f"NOT RUN: provider {name} is not possible here: {lacking[name]}")
    if not possible:
        raise Unavailable("NOT RUN: no provider is possible here; the reasons are above")
    picked = known[name or possible[0]]
    say(f"picked: {picked.name}")
    return picked


def run(provider: Provider, given: list[str]) -> int:
    started = time.monotonic()
    command = [sys.executable, *PYTEST, *PYTEST_OPTIONS, *given]
    os.environ[PROVIDER] = provider.name
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    status = _started(provider, command)
    say(
        f"{provider.name}: {'passed' if status == 0 else 'FAILED'}, "
        f"{time.monotonic() - started:.0f} s in all"
    )
    return status


def smoke(provider: Provider, given: list[str]) -> int:
    return run(provider, ["-m", "smoke", *given])


def prepare(provider: Provider, given: list[str]) -> int:
    if provider.name == "host":
        enter.prepare()
    return 0


def shell(provider: Provider, given: list[str]) -> int:
    os.environ[PROVIDER] = provider.name
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return _started(provider, [sys.executable, "-m", "e2e.shell", *given])


ACTIONS = {"prepare": prepare, "run": run, "shell": shell, "smoke": smoke}


def _started(provider: Provider, command: list[str]) -> int:
    os.chdir(ROOT)
    if provider.name == "host":
        return enter.inside(command)
    return subprocess.run(command).returncode


if __name__ == "__main__":
    raise SystemExit(main())
