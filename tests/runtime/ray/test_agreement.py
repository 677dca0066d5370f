"""What nodes say of themselves, compared with the driver: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill.engine.ray.agreement import (
    NAMED,
    RULES,
    SAME_IMAGE,
    Where,
    differences,
    lines,
)
from lancemill.engine.ray.pools import Pool
from lancemill.engine.ray.units import units_of

parts = st.lists(st.integers(0, 40), min_size=1, max_size=4).map(lambda n: ".".join(map(str, n)))
environments = st.fixed_dictionaries({rule.name: st.none() | parts for rule in RULES})
DRIVER = {rule.name: "3.2.1" for rule in RULES}


@given(environments)
def test_a_node_like_the_driver_has_no_differences(versions: dict[str, str | None]) -> None:
    found = differences(versions, versions)
    assert (found.problems, found.notes) == ((), ())


@given(environments, environments)
def test_every_difference_is_told_once_and_only_where_the_driver_has_it(
    driver: dict[str, str | None], node: dict[str, str | None]
) -> None:
    found = differences(driver, node)
    told = [problem.message for problem in found.problems] + list(found.notes)
    names = [words.split()[0] for words in told]
    assert len(set(names)) == len(names)
    for rule in RULES:
        here, there = driver[rule.name], node[rule.name]
        assert (rule.name in names) <= (here is not None and here != there)
        if here is not None and there is None:
            assert rule.name in names
    assert all(problem.final for problem in found.problems), "the next attempt has that image too"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_only_the_parts_of_a_version_that_matter_are_compared(rule: object) -> None:
    name, cut = rule.name, rule.parts  # type: ignore[attr-defined]
    numbers = [3, 2, 1, 9]
    later = {**DRIVER, name: ".".join(map(str, [*numbers[:cut], 7]))}
    assert differences(DRIVER, later).problems == differences(DRIVER, later).notes == ()
    numbers[cut - 1] += 1
    other = {**DRIVER, name: ".".join(map(str, numbers[:3]))}
    found = differences(DRIVER, other)
    assert bool(found.problems) is rule.fatal  # type: ignore[attr-defined]
    assert bool(found.notes) is not rule.fatal  # type: ignore[attr-defined]


def test_a_version_is_told_with_what_would_be_right() -> None:
    node = {**DRIVER, "pyarrow": "22.0.0", "pylance": None, "onnxruntime": "3.4"}
    found = differences(DRIVER, node)
    assert [str(one) for one in found.problems] == [
        f"pyarrow 22.0 here, 3.2 on the driver: {SAME_IMAGE}",
        f"pylance is not installed here, 3.2.1 on the driver: {SAME_IMAGE}",
    ]
    assert found.notes == (
        "onnxruntime 3.4 here, 3.2 on the driver: results of a model may differ",
    )


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.sampled_from("xyz"))))
def test_what_nodes_of_a_group_say_together_is_one_line(found: list[tuple[str, int, str]]) -> None:
    told = lines((Where(group, f"n{node}"), words) for group, node, words in found)
    assert len(told) == len({(group, words) for group, _, words in found})
    for group, node, words in found:
        nodes = {other for one, other, said in found if (one, said) == (group, words)}
        (line,) = [one for one in told if one.startswith(f"group {group}") and one.endswith(words)]
        assert f"n{node}" in line or len(nodes) > NAMED


def test_lines_name_the_nodes() -> None:
    where = [Where("gpu", f"10.0.0.{number}") for number in range(1, 6)]
    assert lines((one, "no") for one in where[:1]) == ["group gpu, node 10.0.0.1: no"]
    assert lines((one, "no") for one in where[:2]) == ["group gpu, nodes 10.0.0.1, 10.0.0.2: no"]
    assert lines((one, "no") for one in where) == [
        "group gpu, nodes 10.0.0.1, 10.0.0.2, 10.0.0.3 and 2 more: no"
    ]
    assert lines([(Where("", "10.0.0.1"), "no")]) == ["node 10.0.0.1: no"]


def test_groups_without_gpus_are_asked_first_and_each_group_once() -> None:
    pools = (
        Pool("a", 0, 1, "gpu", 1.0),
        Pool("b", 1, 2, "cpu"),
        Pool("c", 2, 3, "gpu", 0.0),
    )
    assert [(unit.name, unit.device, unit.pools) for unit in units_of(pools)] == [
        ("cpu", False, (1,)),
        ("gpu", True, (0, 2)),
    ]


def test_without_groups_nodes_with_gpus_are_others_than_those_without() -> None:
    pools = (Pool("a", 0, 1), Pool("b", 1, 2, gpus=0.5), Pool("c", 2, 3))
    assert [(unit.name, unit.pools) for unit in units_of(pools)] == [
        ("nodes", (0, 2)),
        ("GPU nodes", (1,)),
    ]
