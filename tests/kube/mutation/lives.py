"""Lives of manifests: one made from the schema, and a few edits of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from kube.mutation.edits import edited
from kube.mutation.judges import manifest
from kube.mutation.life import FATES, Fate
from kube.mutation.values import Schema, specification, values
from kube.rest import Object

PLURALS = {"MultimodalPipeline": "multimodalpipelines", "LanceDataset": "lancedatasets"}
MOST_EDITS = 4
RIGHT = {
    "source": {"objects": {"uri": "s3://photos/cats/"}},
    "sink": {"lance": {"dataset": "cats"}},
}


@dataclass(frozen=True)
class Life:
    """What somebody applies one after the other, and how its attempts end."""

    kind: str
    states: tuple[Object, ...]
    fates: tuple[Fate, ...]


def _that_may_run(schema: Schema) -> st.SearchStrategy[Any]:
    """A source and a target that are right, and whatever the schema gives beside them."""
    right = RIGHT if "source" in schema["properties"] else {"uri": "s3://lake/cats.lance"}
    beside = {
        name: values(one)
        for name, one in schema["properties"].items()
        if name not in (*right, "stages", "source", "sink")
    }
    return st.fixed_dictionaries(
        {name: st.just(one) for name, one in right.items()}, optional=beside
    )


@st.composite
def lives(draw: st.DrawFn) -> Life:
    kind = draw(st.sampled_from(["MultimodalPipeline"] * 4 + ["LanceDataset"]))
    schema = specification(PLURALS[kind])
    specs: list[Any] = [draw(_that_may_run(schema) if draw(st.booleans()) else values(schema))]
    for _ in range(draw(st.integers(1, MOST_EDITS))):
        if not isinstance(specs[-1], dict):
            break
        specs.append(draw(edited(specs[-1], schema)))
    states = tuple(manifest(kind, spec) for spec in specs)
    return Life(kind, states, tuple(draw(st.lists(st.sampled_from(FATES), max_size=6))))


def made(count: int, number: int) -> list[Life]:
    """Lives with `count` manifests or a few more; in one program the same for the same `number`
    (hypothesis also tries what stands in the modules that are loaded)."""
    found: list[Life] = []

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(lives())
    def collect(life: Life) -> None:
        if sum(len(one.states) for one in found) < count:
            found.append(life)

    collect()
    return found
