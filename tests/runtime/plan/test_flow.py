"""What lancemill_api tells of columns by the manifest alone, against the plan, which knows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lancemill.errors import PlanError
from lancemill.ops.onnx_model import Model, Value
from lancemill.plan.build import build
from lancemill.sources.listing import SCHEMA as OBJECTS
from lancemill.tables.fit import fits_new
from lancemill_api import MultimodalPipeline, flow
from lancemill_api.pipeline import API_VERSION
from lancemill_api.types import SCALARS

SETTINGS = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
ROWS = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("bytes", pa.large_binary()),
        pa.field("image", pa.fixed_shape_tensor(pa.uint8(), [4, 4, 3])),
        pa.field("nothing", pa.null()),
    ]
)
NUMBERS = Model("m", "0" * 64, (Value("x", "tensor(float)", (None,)),), ())
PICTURES = Model("m", "0" * 64, (Value("x", "tensor(float)", (None, None, None, 3)),), ())
TEXTS = Model("m", "0" * 64, (Value("x", "tensor(string)", (None,)),), ())
OUTPUT = (Value("y", "tensor(float)", (None, 8)),)
MODELS = [Model("m", one.sha256, one.inputs, OUTPUT) for one in (NUMBERS, PICTURES, TEXTS)]

columns = st.sampled_from(["key", "uri", "size", "type", "bytes", "image", "text", "new"])
sides = st.integers(1, 8)
types = st.sampled_from([*SCALARS, "timestamp", "uint8[2,2,3]", "float32[4]", "list<string>"])
into = st.fixed_dictionaries({"column": columns}, optional={"into": columns})
plain = st.one_of(
    st.builds(lambda a, b: {"fetch": {"column": a, "into": b}}, columns, columns),
    into.map(lambda one: {"decode": one}),
    st.builds(
        lambda one, width, fit: {"resize": {**one, "width": width, "height": 3, "fit": fit}},
        into,
        sides,
        st.sampled_from(["contain", "cover", "fill", "inside"]),
    ),
    into.map(lambda one: {"encode": {**one, "format": "png"}}),
    st.builds(
        lambda inputs, made: {"udf": {"entrypoint": "m:f", "inputs": inputs, "schema": made}},
        st.lists(columns, min_size=1, max_size=2, unique=True),
        st.dictionaries(columns, types, min_size=1, max_size=2),
    ),
    st.builds(
        lambda a, b, c: {"format": {"text": f"{{{a}}} {{{b}}}", "into": c}},
        columns,
        columns,
        columns,
    ),
    st.builds(
        lambda a, b, c: {
            "format": {"template": "alpaca", "instruction": a, "images": [b], "into": c}
        },
        columns,
        columns,
        columns,
    ),
)
queries = st.sampled_from(
    [
        "select * from input where size > 9",
        "select key, size as bytes from input",
        "select *, upper(key) as text from input",
    ]
).map(lambda query: {"sql": {"query": query}})
models = st.builds(
    lambda a, b: {"infer": {"model": {"uri": "m"}, "inputs": {a: "x"}, "outputs": {"y": b}}},
    columns,
    columns,
)
sinks = st.fixed_dictionaries(
    {"uri": st.just("s3://lake/x.lance")},
    optional={
        "columns": st.lists(columns, min_size=1, max_size=3, unique=True),
        "blobs": st.lists(columns, max_size=1),
    },
)


def pipeline(source: dict[str, Any], stages: list[Any], sink: dict[str, Any]) -> MultimodalPipeline:
    return MultimodalPipeline.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "MultimodalPipeline",
            "metadata": {"name": "cats"},
            "spec": {
                "source": source,
                "stages": [{"name": f"s{at}", **one} for at, one in enumerate(stages)],
                "sink": {"lance": sink},
            },
        }
    )


def planned(made: MultimodalPipeline, source: pa.Schema, model: Model | None = None) -> list[str]:
    """Paths of what the plan, and the sink of a new dataset, find wrong."""
    resolved = {stage.name: model for stage in made.spec.stages if stage.infer is not None}
    try:
        output = build(made, source, resolved).output
    except PlanError as error:
        return [one.path for one in error.mistakes]
    lance = made.spec.sink.lance
    assert lance is not None
    return [f"spec.sink.lance.{one.path}" for one in fits_new(output, lance.blobs, "blobs")]


def told(made: MultimodalPipeline) -> list[str]:
    return [one.path for one in flow.mistakes(made)]


@SETTINGS
@given(st.lists(plain, max_size=5), sinks)
def test_of_an_object_table_and_typed_stages_the_manifest_tells_all_that_the_plan_does(
    stages: list[Any], sink: dict[str, Any]
) -> None:
    made = pipeline({"objects": {"uri": "s3://photos/"}}, stages, sink)
    found, expected = told(made), planned(made, OBJECTS)
    assert set(expected) <= set(found)
    assert before_the_sink(found) == before_the_sink(expected)
    assert bool(found) == bool(expected)


def before_the_sink(paths: list[str]) -> set[str]:
    """The stages that something is wrong with."""
    return {".".join(path.split(".")[:3]) for path in paths if path.startswith("spec.stages")}


@SETTINGS
@given(st.lists(plain | queries | models, max_size=5), sinks, st.sampled_from(MODELS))
def test_what_the_plan_accepts_of_an_object_table_is_never_refused(
    stages: list[Any], sink: dict[str, Any], model: Model
) -> None:
    made = pipeline({"objects": {"uri": "s3://photos/"}}, stages, sink)
    assert planned(made, OBJECTS, model) or not told(made)


@SETTINGS
@given(
    st.lists(plain | queries | models, max_size=5),
    sinks,
    st.sampled_from(MODELS),
    st.none() | st.lists(st.sampled_from(ROWS.names), min_size=1, unique=True),
)
def test_what_the_plan_accepts_of_a_table_is_never_refused(
    stages: list[Any], sink: dict[str, Any], model: Model, asked: list[str] | None
) -> None:
    table: dict[str, Any] = {"format": "parquet", "uri": "s3://rows/"}
    made = pipeline({"table": table | ({"columns": asked} if asked else {})}, stages, sink)
    source = ROWS if asked is None else pa.schema([ROWS.field(name) for name in asked])
    assert planned(made, source, model) or not told(made)
