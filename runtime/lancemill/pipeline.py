"""A pipeline made in Python: the same manifest, for notebooks and programs.

    Pipeline("cats").objects("photos/", include=["*.jpg"]).fetch().decode("bytes", into="image") \\
        .resize("image", 224, 224).to_lance("cats.lance", columns=["key", "image"]).run()

Each method gives a new pipeline and changes none. What is wrong is told as for a YAML file: at
`manifest()`, with the field's path.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lancemill.engine.preview import Preview
    from lancemill.manifest import Job
    from lancemill.report.summary import RunSummary
    from lancemill_api import MultimodalPipeline

Storage = Mapping[str, Any]


@dataclass(frozen=True)
class Pipeline:
    """From a source by stages into a sink."""

    name: str
    base: Path = field(default_factory=Path.cwd)
    """Where relative paths start."""
    _spec: Mapping[str, Any] = field(default_factory=dict)

    # -- sources

    def objects(
        self,
        uri: str,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        where: str | None = None,
        incremental: bool = False,
        storage: Storage | None = None,
    ) -> Pipeline:
        """A row for each object: key, uri, size (bytes), type, etag, last_modified, owner."""
        given = {"include": include, "exclude": exclude, "where": where, "storage": storage}
        return self._with(source={"objects": {"uri": uri, "incremental": incremental} | given})

    def table(
        self,
        uri: str,
        format: Literal["parquet", "lance", "csv", "json", "jsonl"],  # noqa: A002 - the API's name
        *,
        columns: Sequence[str] | None = None,
        version: int | None = None,
        storage: Storage | None = None,
    ) -> Pipeline:
        """Rows of existing files."""
        given = {"columns": columns, "version": version, "storage": storage}
        return self._with(source={"table": {"uri": uri, "format": format} | given})

    # -- stages

    def fetch(self, column: str = "uri", into: str = "bytes", **options: Any) -> Pipeline:
        """Bytes of what a column of URIs points to (timeout, maxBytes, attempts, …)."""
        return self._stage("fetch", {"column": column, "into": into}, options)

    def decode(self, column: str = "bytes", into: str = "image", **options: Any) -> Pipeline:
        """Pixels of encoded pictures (mode, orientation, maxPixels)."""
        return self._stage("decode", {"column": column, "into": into}, options)

    def resize(self, column: str, width: int, height: int, **options: Any) -> Pipeline:
        """Pictures of `width` x `height` pixels (fit, anchor, background, enlarge, quality)."""
        return self._stage("resize", {"column": column, "width": width, "height": height}, options)

    def encode(
        self,
        column: str,
        format: Literal["jpeg", "png", "webp", "bmp"],  # noqa: A002 - the API's name
        **options: Any,
    ) -> Pipeline:
        """Encoded pictures (quality 1 to 100)."""
        return self._stage("encode", {"column": column, "format": format}, options)

    def sql(self, query: str, **options: Any) -> Pipeline:
        """Projections, filters and expressions over the table `input`, row by row."""
        return self._stage("sql", {"query": query}, options)

    def udf(
        self, entrypoint: str | Callable[..., Any], schema: Mapping[str, str], **options: Any
    ) -> Pipeline:
        """A function or class of your own; `schema` says which columns it makes, of which types."""
        if not isinstance(entrypoint, str):
            entrypoint = _entrypoint_of(entrypoint)
        return self._stage("udf", {"entrypoint": entrypoint, "schema": dict(schema)}, options)

    def infer(
        self,
        model: str | Mapping[str, Any],
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        **options: Any,
    ) -> Pipeline:
        """An ONNX model: `inputs` {column: model input}, `outputs` {model output: column}."""
        given = {"uri": model} if isinstance(model, str) else dict(model)
        fields = {"model": given, "inputs": dict(inputs), "outputs": dict(outputs)}
        return self._stage("infer", fields, options)

    def format(self, text: str, into: str, **options: Any) -> Pipeline:
        """Text from columns: `"{key}: {caption}"`."""
        return self._stage("format", {"text": text, "into": into}, options)

    # -- checks

    def validate(
        self,
        name: str,
        query: str,
        *,
        min: float | None = None,  # noqa: A002 - the API's names
        max: float | None = None,  # noqa: A002
        equals: float | None = None,
    ) -> Pipeline:
        """A number that must hold over the table `output`, else nothing is committed."""
        expect = {"min": min, "max": max, "equals": equals}
        return self._append("validate", {"name": name, "query": query, "expect": expect})

    def summary(self, name: str, query: str) -> Pipeline:
        """A query over the table `output`, shown with the run."""
        return self._append("summary", {"name": name, "query": query})

    def errors(
        self,
        *,
        on_row: Literal["quarantine", "null", "fail"] = "quarantine",
        max_rate: float = 0.01,
        max_rows: int | None = None,
        rules: Sequence[Mapping[str, Any]] = (),
    ) -> Pipeline:
        """What happens to rows that fail, and how many may."""
        given = {"onRow": on_row, "maxRate": max_rate, "maxRows": max_rows, "rules": rules}
        return self._with(errors=given)

    # -- sinks

    def to_lance(
        self,
        uri: str,
        *,
        mode: Literal["append", "overwrite", "upsert", "addColumns"] = "append",
        columns: Sequence[str] | None = None,
        key: Sequence[str] | None = None,
        blobs: Sequence[str] = (),
        storage: Storage | None = None,
    ) -> Pipeline:
        """Rows of a Lance dataset, committed once, in source order."""
        given = {"columns": columns, "key": key, "blobs": blobs, "storage": storage}
        return self._with(sink={"lance": {"uri": uri, "mode": mode} | given})

    def to_parquet(
        self, uri: str, *, columns: Sequence[str] | None = None, storage: Storage | None = None
    ) -> Pipeline:
        """A Parquet file that appears whole."""
        return self._with(sink={"parquet": {"uri": uri, "columns": columns, "storage": storage}})

    def to_jsonl(
        self, uri: str, *, columns: Sequence[str] | None = None, storage: Storage | None = None
    ) -> Pipeline:
        """A file with a JSON object on each line, that appears whole."""
        return self._with(sink={"jsonl": {"uri": uri, "columns": columns, "storage": storage}})

    # -- what can be done with it

    def manifest(self) -> MultimodalPipeline:
        """The checked manifest; ManifestError with everything that is wrong."""
        return self._job().pipeline

    def to_yaml(self) -> str:
        """The manifest as `lancemill run` and `kubectl apply` take it."""
        return self._job().text

    def plan(self, *, listing: bool = True) -> Preview:
        """What would be done, with every type checked; PlanError with everything that is wrong."""
        from lancemill.engine.preview import preview

        return preview(self._job(), listing=listing)

    def run(
        self,
        *,
        limit: int | None = None,
        sample: int | None = None,
        resume: str | None = None,
        engine: str = "local",
        quiet: bool = False,
    ) -> RunSummary:
        """Run on this machine, or by `engine="ray"` on the Ray that RAY_ADDRESS names.

        Raises nothing for a failed run: look at `summary.result`.
        """
        from lancemill.engine.request import RunOptions
        from lancemill.engine.session import run_job
        from lancemill.report.console import Console

        options = RunOptions(
            run=resume, resume=resume is not None, limit=limit, sample=sample, engine=engine
        )
        with Console("quiet" if quiet else "plain") as console:
            return run_job(self._job(), options, console)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.to_yaml())}</pre>"

    # -- making

    def _job(self) -> Job:
        from lancemill.manifest import load_text
        from lancemill_api import yaml_text

        document = {
            "apiVersion": "lancemill.dev/v1alpha1",
            "kind": "MultimodalPipeline",
            "metadata": {"name": self.name},
            "spec": self._spec,
        }
        text = yaml_text.write(document)
        return load_text(text, source=f"Pipeline({self.name!r})", base=self.base).job()

    def _with(self, **fields: Any) -> Pipeline:
        return replace(self, _spec={**self._spec, **_clean(fields)})

    def _append(self, where: str, entry: Mapping[str, Any]) -> Pipeline:
        return self._with(**{where: [*self._spec.get(where, []), entry]})

    def _stage(
        self, operation: str, fields: Mapping[str, Any], options: dict[str, Any]
    ) -> Pipeline:
        taken = {stage["name"] for stage in self._spec.get("stages", [])}
        name = options.pop("name", None) or operation
        wished, number = name, 2
        while name in taken:
            name = f"{wished}-{number}"
            number += 1
        placement = options.pop("placement", None)
        stage = {"name": name, operation: {**fields, **options}, "placement": placement}
        return self._append("stages", stage)


def _clean(value: Any) -> Any:
    """`value` as YAML has it: without None and empty lists, tuples as lists."""
    if isinstance(value, Mapping):
        cleaned = {key: _clean(one) for key, one in value.items()}
        return {key: one for key, one in cleaned.items() if one is not None and one != []}
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    return value


def _entrypoint_of(function: Callable[..., Any]) -> str:
    """Where a worker finds the function: `module:name`, or its file."""
    name = getattr(function, "__qualname__", "")
    module = getattr(function, "__module__", "__main__")
    if not name or "<" in name or "." in name:
        raise ValueError("a udf must be a function or class at the top of a module")
    if module == "__main__":
        try:
            return f"{Path(inspect.getfile(function)).absolute()}:{name}"
        except (TypeError, OSError):
            raise ValueError(
                "a udf made in a notebook's cell has no file that a worker could load: "
                "put it into a module"
            ) from None
    return f"{module}:{name}"
