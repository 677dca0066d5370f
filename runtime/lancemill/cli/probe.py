"""`lancemill probe`: one question about a store, answered as JSON; the operator's Jobs run it.

The answer goes to standard output, and into `--answer`: by default a container's termination
message, where there is one, since that is how it gets out of a pod that nobody can reach. It
takes 4096 bytes at most.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from lancemill.cli.plan import Which
from lancemill.cli.validate import Manifest

if TYPE_CHECKING:
    from lancemill.errors import LancemillError

TERMINATION_LOG = Path("/dev/termination-log")
ROOM = 64
"""Bytes of an error's answer beside its message."""

app = typer.Typer(
    help="What came of a run, or what a dataset is like, as JSON: for operators.",
    no_args_is_help=True,
)

AnswerFile = Annotated[
    Path | None,
    typer.Option(
        "--answer",
        help="Write the answer here too. Default: /dev/termination-log, where there is one.",
    ),
]


@app.command()
def run(
    manifest: Manifest,
    run_id: Annotated[str, typer.Option("--run-id", help="Id of the run.")],
    epoch: Annotated[
        int,
        typer.Option("--epoch", min=2, help="Attempts below this number do nothing from now on."),
    ],
    pipeline: Which = None,
    answer: AnswerFile = None,
) -> None:
    """Say what came of a run for good, and keep its attempts from changing that."""
    with _answering(answer):
        from lancemill.engine.settle import settle_job
        from lancemill.manifest import load

        job = load(manifest).job(pipeline)
        _give(answer, settle_job(job, run_id, epoch).to_text())


@app.command()
def dataset(
    manifest: Manifest,
    name: Annotated[
        str | None,
        typer.Option("--dataset", help="Which LanceDataset, where the file has several."),
    ] = None,
    answer: AnswerFile = None,
) -> None:
    """Make a LanceDataset where its schema is given, set its tags, and say what it is like."""
    with _answering(answer):
        from lancemill.engine.probe import probe_dataset
        from lancemill.manifest import load

        loaded = load(manifest)
        found = probe_dataset(loaded.dataset(name), loaded.base)
        _give(answer, found.to_text())
    raise typer.Exit(0 if found.problem is None else 1)


@contextmanager
def _answering(answer: Path | None) -> Iterator[None]:
    """An error of ours is the answer, too; exit status as everywhere."""
    from lancemill.errors import LancemillError

    try:
        yield
    except LancemillError as error:
        _refuse(answer, error)
    except (OSError, ValueError) as error:  # pylance's own, of a store that fails half way
        from lancemill.storage import explain

        _refuse(answer, explain(error, "the store"))


def _refuse(answer: Path | None, error: LancemillError) -> NoReturn:
    from lancemill.engine.outcome import LONGEST, cut
    from lancemill.errors import StorageError

    message = f"{error}; {error.remedy}" if error.remedy else str(error)
    problem = error.problem if isinstance(error, StorageError) else "Other"
    said = {"error": cut(message, LONGEST - ROOM), "problem": problem}
    _give(answer, json.dumps(said, ensure_ascii=False))
    raise typer.Exit(error.exit_status) from None


def _give(answer: Path | None, text: str) -> None:
    typer.echo(text)
    place = answer or (TERMINATION_LOG if TERMINATION_LOG.exists() else None)
    if place is not None:
        place.write_text(text, encoding="utf-8")
