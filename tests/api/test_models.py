"""Every model, field by field: documented, strict, helpful."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from lancemill_api.anatomy import Fields, Many, Shape, Table, defaults_of, fields_of
from lancemill_api.base import Model
from lancemill_api.colours import NAMED, rgb
from lancemill_api.dataset import LanceDataset
from lancemill_api.examination import examine
from lancemill_api.operations import Fetch, Format
from lancemill_api.pipeline import API_VERSION, MultimodalPipeline
from lancemill_api.places import path_text, steps
from lancemill_api.rules import ExactlyOne
from lancemill_api.sink import LanceSink
from lancemill_api.stage import Stage

KINDS = (MultimodalPipeline, LanceDataset)
Way = tuple[str | int, ...]


def models_in(shape: Shape, way: Way) -> Iterator[tuple[type[Model], Way]]:
    """Every model that a specification may hold, and one way to it."""
    match shape:
        case Fields(model):
            yield model, way
            for name, inside in fields_of(model).items():
                if not (model in KINDS and name == "status"):
                    yield from models_in(inside, (*way, name))
        case Many(item):
            yield from models_in(item, (*way, 0))
        case Table(_, item):
            yield from models_in(item, (*way, "key"))


PLACES = [
    pytest.param(kind, model, way, id=f"{kind.__name__}:{path_text(way)}")
    for kind in KINDS
    for model, way in models_in(Fields(kind), ())
]
MODELS = sorted(
    {model for kind in KINDS for model, _ in models_in(Fields(kind), ())}, key=lambda m: m.__name__
)


def around(way: Way, value: Any) -> Any:
    """`value` put where `way` leads, and nothing else."""
    for step in reversed(way):
        value = [value] if isinstance(step, int) else {step: value}
    return value


@pytest.mark.parametrize(("kind", "model", "way"), PLACES)
def test_an_unknown_field_is_refused_with_the_nearest_right_name_at_every_level(
    kind: type[Model], model: type[Model], way: Way
) -> None:
    for name in fields_of(model):
        misspelt = name[:-1] + "qq"
        _, found = examine(kind, around(way, {misspelt: 1}))
        told = dict(found)
        assert told[path_text((*way, misspelt))].startswith("unknown field; "), told
        if len(name) > 6:
            assert told[path_text((*way, misspelt))] == f"unknown field; did you mean {name}?"


@pytest.mark.parametrize(("kind", "model", "way"), PLACES)
def test_a_list_in_place_of_a_mapping_is_told_in_plain_words_at_every_level(
    kind: type[Model], model: type[Model], way: Way
) -> None:
    if way:
        _, found = examine(kind, around(way, [1]))
        told = [message for path, message in found if path == path_text(way)]
        assert any(one.startswith("is a list, expected a mapping with ") for one in told), told


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_says_what_it_is_and_what_it_is_by_default(model: type[Model]) -> None:
    exclusive = {
        name for rule in model.must_hold if isinstance(rule, ExactlyOne) for name in rule.fields
    }
    assert model.__doc__
    for name, field in model.model_fields.items():
        if name == "status":
            continue  # written by the operator only
        told = " ".join((field.description or "").split())
        place = f"{model.__name__}.{name}"
        assert told.endswith("."), f"{place} is not described"
        default = defaults_of(model).get(field.alias or name)
        if default is not None:
            written = str(default).lower() if isinstance(default, bool) else str(default)
            assert f"Default: {written}" in told, f"{place}: {told}"
        elif not (
            field.is_required() or field.alias in exclusive or isinstance(field.default, Model)
        ):
            assert "Default: " in told or told.startswith("Set by"), f"{place}: {told}"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_yaml_has_camel_case_names_and_python_snake_case(model: type[Model]) -> None:
    for name, field in model.model_fields.items():
        assert name == name.lower()
        alias = field.alias or name
        assert "_" not in alias
        assert alias.lower() == name.replace("_", "")


def test_every_list_and_text_of_a_specification_has_a_bound() -> None:
    for model in MODELS:
        if model.__name__ == "Metadata":
            continue  # Kubernetes' own
        for name, shape in fields_of(model).items():
            facts = getattr(shape, "facts", ())
            if isinstance(shape, Many | Table):
                bounds = [getattr(fact, "max_length", None) for fact in facts]
                assert any(bounds), f"{model.__name__}.{name}"


def test_python_builds_by_either_name_and_takes_lists() -> None:
    by_name = Fetch.model_validate({"max_bytes": "1Mi"})
    assert by_name == Fetch.model_validate({"maxBytes": "1Mi"})
    assert LanceSink(uri="x", columns=["a", "b"]).columns == ("a", "b")


def test_python_is_held_to_the_rules_between_fields() -> None:
    with pytest.raises(ValidationError, match="key missing; mode upsert needs the columns"):
        LanceSink(uri="x", mode="upsert")
    with pytest.raises(ValidationError, match="has no operation"):
        Stage(name="a")
    assert Format(text="{a}", into="b").images == ()


def test_a_model_does_not_change_once_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Fetch().column = "other"  # type: ignore[misc]


def test_a_stage_gives_its_operation() -> None:
    assert Stage(name="a", fetch=Fetch()).given == ("fetch", Fetch())


def test_a_status_may_hold_what_this_version_does_not_know() -> None:
    document = {
        "apiVersion": API_VERSION,
        "kind": "LanceDataset",
        "metadata": {"name": "a"},
        "spec": {"uri": "a.lance"},
        "status": {"version": 3, "novelty": {"a": 1}, "rows": None},
    }
    status = LanceDataset.model_validate(document).status
    assert status is not None
    assert (status.version, status.rows, status.observed_generation) == (3, None, -1)


def test_colours_are_red_green_and_blue() -> None:
    assert rgb("#0a0B10") == (10, 11, 16)
    assert rgb("white") == NAMED["white"] == (255, 255, 255)


@pytest.mark.parametrize(
    ("path", "way"),
    [
        ("spec.stages[2].resize.width", ("spec", "stages", 2, "resize", "width")),
        ('metadata.labels["a.b/c"]', ("metadata", "labels", "a.b/c")),
        ("", ()),
    ],
)
def test_a_path_can_be_read_back_into_its_steps(path: str, way: Way) -> None:
    assert path_text(way) == path
    assert steps(path) == way


def test_mistakes_can_be_imported_without_paying_for_the_models() -> None:
    program = (
        "import sys, lancemill_api.mistakes, lancemill_api; "
        "assert 'pydantic' not in sys.modules and 'yaml' not in sys.modules; "
        "assert lancemill_api.MultimodalPipeline.__name__ == 'MultimodalPipeline'; "
        "assert set(lancemill_api.__all__) <= set(dir(lancemill_api))"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
