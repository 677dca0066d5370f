"""`lancemill init`: a working manifest, by flags or by asking."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    manifest: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("pipeline.yaml"),
    source: Annotated[
        str | None, typer.Option("--source", help="Folder or prefix with pictures.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="The Lance dataset to make.")] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="WIDTHxHEIGHT", help="Size of the pictures.")
    ] = None,
    encode: Annotated[
        str | None, typer.Option("--encode", help="jpeg, png, webp, bmp, or none for pixels.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; take what is not given as suggested.")
    ] = False,
) -> None:
    """Write a manifest that works, to start from."""
    from lancemill.cli.told import telling
    from lancemill.errors import ManifestError, Mistake
    from lancemill.starter import starter

    def answer(given: str | None, question: str, suggestion: str) -> str:
        if given is not None or yes:
            return given or suggestion
        return str(typer.prompt(question, default=suggestion))

    with telling():
        if manifest.exists() and not force:
            raise ManifestError(
                [Mistake("", "exists already; --force overwrites it")], str(manifest)
            )
        text = starter(
            source=answer(source, "Where are the pictures?", "photos/"),
            to=answer(to, "Which dataset should be made?", "photos.lance"),
            size=answer(size, "Which size (width x height)?", "224x224"),
            encode=answer(encode, "Keep them as jpeg, png, webp, bmp or none (pixels)?", "jpeg"),
            base=manifest.absolute().parent,
        )
        manifest.parent.mkdir(parents=True, exist_ok=True)
        manifest.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {manifest}\n  next:   lancemill plan {manifest}")
