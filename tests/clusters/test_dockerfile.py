"""The part of the Dockerfile language that is followed without Docker."""

from __future__ import annotations

import pytest
from e2e.image.dockerfile import Unsupported, expanded, parse


def test_stages_have_their_names_and_their_steps_in_order() -> None:
    found = parse("FROM a AS one\nRUN x\nCOPY b c\nFROM one\nUSER 1\n")
    assert [(one.base, one.name) for one in found.stages] == [("a", "one"), ("one", None)]
    assert [step.word for step in found.stages[0].steps] == ["RUN", "COPY"]


def test_a_line_goes_on_after_a_backslash_and_comments_are_left_out() -> None:
    found = parse("# why\nFROM a\nRUN one && \\\n    # between\n    two\n")
    assert found.stages[0].steps[0].text == "one && two"


def test_flags_are_apart_from_what_they_belong_to() -> None:
    step = parse("FROM a\nRUN --mount=type=cache,target=/x make it\n").stages[0].steps[0]
    assert (step.flags, step.text) == ({"mount": "type=cache,target=/x"}, "make it")


def test_a_base_is_named_by_an_argument_which_the_build_may_give() -> None:
    text = "ARG BASE=a:1\nFROM ${BASE}\n"
    assert parse(text).stages[0].base == "a:1"
    assert parse(text, {"BASE": "b:2"}).stages[0].base == "b:2"


def test_variables_are_replaced_and_unknown_ones_are_empty() -> None:
    assert expanded("/opt:$PATH:${NONE}", {"PATH": "/bin"}) == "/opt:/bin:"


def test_a_command_is_read_in_both_of_its_forms() -> None:
    steps = parse('FROM a\nCMD ["x", "--y z"]\nENTRYPOINT x y\n').stages[0].steps
    assert [one.words({}) for one in steps] == [["x", "--y z"], ["x", "y"]]


@pytest.mark.parametrize("word", ["ADD", "ONBUILD", "VOLUME", "SHELL"])
def test_an_instruction_that_only_docker_knows_is_refused_with_its_line(word: str) -> None:
    with pytest.raises(Unsupported, match=f"line 2: {word}"):
        parse(f"FROM a\n{word} b c\n")


def test_a_step_before_any_stage_is_refused() -> None:
    with pytest.raises(Unsupported, match="RUN before FROM"):
        parse("RUN x\n")
