"""lancemill-operator: runs the operator. Its settings are read from the environment too."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. 0: it was told to stop; 1: something died; 2: it was called wrongly."""
    given = _parser().parse_args(arguments)
    if given.command != "run":
        _parser().print_help()
        return 2
    from lancemill_operator import logs  # kept off --help and --version: kopf takes a second
    from lancemill_operator.settings import Settings

    try:
        settings = Settings(**_settings(given))
    except ValidationError as wrong:
        for line in _told(wrong):
            print(f"lancemill-operator: {line}", file=sys.stderr)
        return 2
    logs.configure(settings.log_format, settings.log_level)
    return _run(settings)


def _run(settings: Any) -> int:
    from kubernetes_asyncio.config import ConfigException  # takes a second, as kopf does

    from lancemill_operator.logs import logger
    from lancemill_operator.main import operate

    async def until_told() -> str:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, stop.set)
        return await operate(settings, stop)

    try:
        why = asyncio.run(until_told())
    except (ConfigException, OSError) as wrong:
        logger().error("cannot start", error=f"{type(wrong).__name__}: {wrong}")
        return 1
    if why:
        logger().error("ends itself", why=why)
    return 1 if why else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lancemill-operator",
        description="Runs MultimodalPipelines on KubeRay, and looks after LanceDatasets.",
        epilog="Every setting can be given as LANCEMILL_OPERATOR_NAME; see the chart's README.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('lancemill')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser("run", help="run the operator")
    run.add_argument(
        "-n",
        "--namespace",
        dest="namespaces",
        action="append",
        metavar="NAMESPACE",
        help="serve this namespace only (may be repeated); default: all",
    )
    run.add_argument(
        "--kubeconfig", metavar="FILE", help="default: the pod's own, else $KUBECONFIG"
    )
    run.add_argument("--context", help="context of the kubeconfig; default: its current one")
    run.add_argument("--http-host", metavar="ADDRESS", help="default: 0.0.0.0")
    run.add_argument("--http-port", metavar="PORT", type=int, help="default: 8080; 0: any free")
    run.add_argument("--log-format", choices=("json", "pretty"), help="default: json")
    run.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    run.add_argument("--workers", metavar="NUMBER", type=int, help="default: 16")
    return parser


def _settings(given: argparse.Namespace) -> dict[str, Any]:
    """What was given on the command line; it goes before the environment."""
    said = {
        name: value
        for name, value in vars(given).items()
        if name != "command" and value is not None
    }
    if "kubeconfig" not in said and "LANCEMILL_OPERATOR_KUBECONFIG" not in os.environ:
        found = _kubeconfig()
        said |= {"kubeconfig": found} if found else {}
    return said


def _kubeconfig() -> str | None:
    """The kubeconfig of whoever runs this outside a cluster."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return None
    usual = Path.home() / ".kube" / "config"
    return os.environ.get("KUBECONFIG") or (str(usual) if usual.exists() else None)


def _told(wrong: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(step) for step in one['loc'])}: {one['msg']}"
        for one in wrong.errors(include_url=False, include_input=False, include_context=False)
    ]


if __name__ == "__main__":
    sys.exit(main())
