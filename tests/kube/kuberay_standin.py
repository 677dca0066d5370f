"""`python -m kube.kuberay_standin --kubeconfig K`: a stand-in for KubeRay, until it is killed.

Says "working" when it is. See `kube.kuberay` for what it does and what it leaves out.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal

from kube import loops
from kube.kuberay.controller import Options, running
from kube.kuberay.steps import Settings

USUAL = Settings()


def options_of(arguments: argparse.Namespace) -> Options:
    settings = Settings(
        poll=arguments.poll,
        status_check_timeout=arguments.status_check_timeout,
        after_ttl=arguments.after_ttl,
    )
    return Options(settings, tuple(arguments.namespace), not arguments.no_events)


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="kuberay_standin", description=__doc__)
    add = found.add_argument
    add("--kubeconfig", default=None, help="KUBECONFIG or the usual place where not given")
    add("--poll", type=float, default=USUAL.poll, help="seconds between looks at a dashboard")
    add(
        "--status-check-timeout",
        type=float,
        default=USUAL.status_check_timeout,
        help="seconds after which a RayJob whose dashboard does not answer has failed",
    )
    add(
        "--after-ttl",
        type=float,
        default=USUAL.after_ttl,
        help="seconds from the end of the TTL to the cluster's deletion, at most",
    )
    add("--namespace", action="append", default=[], help="only this one; may be repeated")
    add("--no-events", action="store_true", help="write no Events")
    add("--verbose", action="store_true")
    return found


async def main(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with running(arguments.kubeconfig, options_of(arguments)):
        print("working", flush=True)
        await stopped.wait()


if __name__ == "__main__":
    given = parser().parse_args()
    logging.basicConfig(level=logging.DEBUG if given.verbose else logging.INFO)
    loops.run(main(given))
