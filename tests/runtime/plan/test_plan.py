"""Plans: types checked through the whole chain, columns narrowed, stages fused, filters moved."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from lancemill.errors import PlanError
from lancemill.manifest import load_text
from lancemill.ops.arrow_types import type_text
from lancemill.plan.build import build
from lancemill.plan.explain import Facts, to_json, to_text
from lancemill.plan.meaning import difference, hash_of, meaning_of
from lancemill.plan.segments import segments, target_shard_bytes
from lancemill.plan.step import Plan
from lancemill.sources.listing import SCHEMA as OBJECTS
from lancemill_api import MultimodalPipeline

HEAD = """\
apiVersion: lancemill.dev/v1alpha1
kind: MultimodalPipeline
metadata: {name: cats}
spec:
  source: {objects: {uri: photos/}}
"""
FETCH = "{name: fetch, fetch: {column: uri, into: bytes}}"
DECODE = "{name: decode, decode: {column: bytes, into: image}}"
SMALL = "{name: small, resize: {column: image, width: 224, height: 224}}"


def pipeline(
    *stages: str, sink: str = "lance: {uri: out.lance}", more: str = ""
) -> MultimodalPipeline:
    lines = "".join(f"    - {stage}\n" for stage in stages)
    text = f"{HEAD}  stages:\n{lines}  sink: {{{sink}}}\n{more}"
    return load_text(text, source="cats.yaml", base=Path()).job().pipeline


def planned(*stages: str, **options: str) -> Plan:
    return build(pipeline(*stages, **options), OBJECTS)


def mistakes(*stages: str, **options: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        planned(*stages, **options)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_decode_and_resize_become_one_step_and_fetch_stays_its_own() -> None:
    plan = planned(FETCH, DECODE, SMALL, sink="lance: {uri: o.lance, columns: [key, image]}")
    assert [step.name for step in plan.steps] == ["fetch", "decode+small"]
    assert type_text(plan.output.field("image").type) == "uint8[224,224,3]"
    assert "fused: decode+small" in plan.notes


def test_stages_are_not_fused_where_the_column_between_them_is_kept() -> None:
    into = "{name: small, resize: {column: image, into: thumb, width: 8, height: 8}}"
    kept = planned(FETCH, DECODE, into, sink="lance: {uri: o.lance, columns: [image, thumb]}")
    assert [step.name for step in kept.steps] == ["fetch", "decode", "small"]
    dropped = planned(FETCH, DECODE, into, sink="lance: {uri: o.lance, columns: [thumb]}")
    assert [step.name for step in dropped.steps] == ["fetch", "decode+small"]


def test_only_columns_that_something_needs_are_read_and_travel() -> None:
    plan = planned(FETCH, DECODE, SMALL, sink="lance: {uri: o.lance, columns: [key, image]}")
    assert plan.reads == ("key", "uri")
    assert plan.keeps[1] == ("key", "bytes")
    assert plan.output.names == ["key", "image"]


def test_the_sink_gets_its_columns_in_the_order_it_asks_for() -> None:
    plan = planned(FETCH, sink="lance: {uri: o.lance, columns: [bytes, size, key]}")
    assert plan.output.names == ["bytes", "size", "key"]


def test_a_filter_on_metadata_moves_before_the_bytes() -> None:
    keep = "{name: big, sql: {query: select * from input where size > 1000}}"
    plan = planned(FETCH, DECODE, SMALL, keep)
    assert [step.name for step in plan.steps] == ["big", "fetch", "decode+small"]
    assert any("filter 'big' moved before" in note for note in plan.notes)


def test_a_filter_stays_behind_the_stage_whose_column_it_reads() -> None:
    keep = "{name: some, sql: {query: select * from input where octet_length(bytes) > 9}}"
    plan = planned(FETCH, keep, DECODE)
    assert [step.name for step in plan.steps] == ["fetch", "some", "decode"]


def test_a_column_that_no_stage_makes_is_told_with_what_there_is() -> None:
    (told,) = mistakes(FETCH, "{name: decode, decode: {column: byte, into: image}}")
    assert told.startswith(
        "spec.stages[1].decode.column  column 'byte' is made by no earlier stage"
    )
    assert "did you mean bytes?" in told
    assert told.endswith("there are: key, uri, size, type, etag, last_modified, owner, bytes")


def test_each_mistake_is_told_once_and_all_of_them_are() -> None:
    told = mistakes(
        "{name: fetch, fetch: {column: url, into: bytes}}",
        DECODE,
        "{name: small, resize: {column: imgae, width: 2, height: 2}}",
        sink="lance: {uri: o.lance, columns: [key, embedding]}",
    )
    assert [one.split("  ")[0] for one in told] == [
        "spec.stages[0].fetch.column",
        "spec.stages[2].resize.column",
        "spec.sink.lance.columns[1]",
    ]


def test_a_type_that_does_not_fit_is_told_with_what_would() -> None:
    (told,) = mistakes("{name: decode, decode: {column: size, into: image}}")
    assert "spec.stages[0].decode.column" in told
    assert "'size' is int64, expected" in told


def test_segments_are_cut_where_the_placement_changes() -> None:
    tag = "udf: {entrypoint: 'm:f', schema: {s: string}}"
    gpu = f"{{name: tag, {tag}, placement: {{group: gpu, gpus: 1}}}}"
    cluster = (
        "  cluster:\n    rayVersion: 2.52.0\n    workerGroups:\n"
        "      - {name: gpu, resources: {cpu: 1, memory: 1Gi, gpu: 1}, maxReplicas: 1}\n"
    )
    plan = planned(FETCH, DECODE, SMALL, gpu, more=cluster)
    cut = segments(plan)
    assert [(one.group, [step.name for step in one.steps]) for one in cut] == [
        (None, ["fetch", "decode+small"]),
        ("gpu", ["tag"]),
    ]


def test_what_says_how_is_not_part_of_the_meaning_and_what_says_what_is() -> None:
    def meaning(fetch: str, size: int) -> str:
        small = f"{{name: small, resize: {{column: image, width: {size}, height: 224}}}}"
        manifest = pipeline(f"{{name: fetch, fetch: {{{fetch}}}}}", DECODE, small)
        return hash_of(meaning_of(manifest, build(manifest, OBJECTS), None))

    plain = meaning("column: uri", 224)
    assert meaning("column: uri, timeout: 99s, attempts: 9", 224) == plain
    assert meaning("column: uri", 225) != plain
    assert meaning("column: uri, maxBytes: 1Mi", 224) != plain


def test_arguments_of_a_function_are_part_of_the_meaning_whatever_they_are_called() -> None:
    def meaning(args: str) -> str:
        manifest = pipeline(
            f"{{name: tag, udf: {{entrypoint: 'm:f', schema: {{s: string}}, args: {{{args}}}}}}}"
        )
        return hash_of(meaning_of(manifest, build(manifest, OBJECTS), None))

    assert meaning("timeout: 1") != meaning("timeout: 2")


def test_the_difference_of_two_meanings_names_the_field() -> None:
    before = {"stages": [{"width": 224}], "sink": {"uri": "a"}}
    after = {"stages": [{"width": 225}], "sink": {"uri": "a", "mode": "upsert"}}
    assert list(difference(before, after)) == [
        'sink.mode: null before, "upsert" now',
        "stages[0].width: 224 before, 225 now",
    ]


def test_a_plan_prints_its_steps_types_and_rules() -> None:
    plan = planned(FETCH, DECODE, SMALL, sink="lance: {uri: o.lance, columns: [key, image]}")
    facts = Facts("objects photos/", "lance o.lance append", rows=10, bytes=10**6, shards=1)
    text = to_text(plan, facts)
    assert "cats · 10 rows, 1.0 MB · 1 shard" in text
    assert "decode+small" in text
    assert "image: uint8[224,224,3]" in text
    told = json.loads(to_json(plan, facts))
    assert told["sink"]["estimatedBytes"] == 10 * (32 + 224 * 224 * 3)
    assert told["segments"][0]["steps"][1]["stages"] == ["decode", "small"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (pa.list_(pa.float32(), 512), "float32[512]"),
        (pa.fixed_shape_tensor(pa.uint8(), [2, 3, 1]), "uint8[2,3,1]"),
        (pa.list_(pa.string()), "list<string>"),
        (pa.float64(), "float64"),
        (pa.binary(), "binary"),
    ],
)
def test_types_are_named_as_a_manifest_writes_them(kind: pa.DataType, name: str) -> None:
    assert type_text(kind) == name


def test_shards_grow_with_the_source_and_stay_within_their_bounds() -> None:
    mib = 1 << 20
    assert target_shard_bytes(0) == 64 * mib
    assert target_shard_bytes(64 << 30) == 64 * mib
    assert target_shard_bytes(256 << 30) == 256 * mib
    assert target_shard_bytes(1 << 60) == 1024 * mib
