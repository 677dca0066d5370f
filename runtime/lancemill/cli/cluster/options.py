"""Options that the cluster's commands share. Imports typer and nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="Name of the MultimodalPipeline.", show_default=False)]
Context = Annotated[
    str | None,
    typer.Option("--context", help="Context of the kubeconfig. Default: the current one."),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Namespace. Default: the context's."),
]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Show how the run goes until it has ended.")
]
