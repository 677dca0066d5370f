"""`lancemill run`: the manifest done, on this machine."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lancemill.cli.plan import Which
from lancemill.cli.validate import Json, Manifest, Set
from lancemill_api.handed import DEADLINE_SECONDS, PROGRESS_PORT

if TYPE_CHECKING:
    from lancemill.engine.serve import Door


class Engine(StrEnum):
    """Who does the rows."""

    LOCAL = "local"
    RAY = "ray"


def run(
    manifest: Manifest,
    set_: Set = None,
    pipeline: Which = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with an earlier run.")
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", help="Id of the run; one that exists is gone on with."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the source's first rows.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            min=1,
            help="So many rows from all over the source, without changing the dataset; "
            "tells rate and estimate.",
        ),
    ] = None,
    shard_bytes: Annotated[
        str | None,
        typer.Option(
            "--shard-bytes",
            metavar="SIZE",
            help="Source bytes in a shard, as 64Mi: what a run that dies has to do again.",
        ),
    ] = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch",
            min=1,
            help="For operators, with --run-id: number of the attempt that was ordered. A higher "
            "one takes the run over at once; a lower one does nothing and exits with 3.",
        ),
    ] = None,
    serve: Annotated[
        str | None,
        typer.Option(
            "--serve",
            metavar="[HOST:]PORT",
            help="Answer GET /progress, /metrics and /healthz while the run goes on. "
            "Default: LANCEMILL_PROGRESS_PORT, on every address.",
        ),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            "--deadline",
            metavar="SECONDS",
            min=0.001,
            envvar=DEADLINE_SECONDS,
            help="Stop after so long, resumable, with exit status 4.",
        ),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option("--engine", help="Where the rows are done: in this process, or on Ray."),
    ] = Engine.LOCAL,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the run's page here too.")
    ] = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The closing lines only.")] = False,
) -> None:
    """Run a pipeline on this machine."""
    from lancemill.cli.told import telling
    from lancemill.engine.request import RunOptions
    from lancemill.engine.serve import linger, serving
    from lancemill.engine.session import run_job
    from lancemill.engine.telling import Telling
    from lancemill.errors import Interrupted, LancemillError
    from lancemill.manifest import load
    from lancemill.report.console import Console

    if epoch is not None and run_id is None:
        raise typer.BadParameter("needs --run-id", param_hint="--epoch")
    options = RunOptions(
        run=resume or run_id,
        resume=resume is not None,
        limit=limit,
        sample=sample,
        shard_bytes=_size(shard_bytes),
        deadline_seconds=deadline,
        engine=engine.value,
        epoch=epoch or 0,
    )
    told = Telling(options.run or "", options.epoch)
    console = Console("json" if json else "quiet" if quiet else "auto")
    with telling(json), console, serving(_door(serve), told, console.event) as served:
        try:
            job = load(manifest, set_ or ()).job(pipeline)
            summary = run_job(job, options, console, page=report, begun=told.follow)
        except LancemillError as error:
            console.refused(error)
            raise
        console.stop(summary)
        told.ended(summary)
        if served and summary.exit_status != Interrupted.exit_status:
            linger(told)
    raise typer.Exit(summary.exit_status)


def _door(given: str | None) -> Door | None:
    """Where to listen; by the environment on every address, since a Service is to reach it."""
    from lancemill.engine.serve import Door

    text, host, name = given, "127.0.0.1", "--serve"
    if given is None:
        text, host, name = os.environ.get(PROGRESS_PORT), "", PROGRESS_PORT
    if not text:
        return None
    try:
        return Door.of(text, host)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=name) from None


def _size(text: str | None) -> int | None:
    from lancemill_api.quantities import byte_size

    if text is None:
        return None
    try:
        return byte_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shard-bytes") from None
