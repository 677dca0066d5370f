"""Layouts hold for every size, however thin or large."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lancemill.media.geometry import Frame, Layout
from lancemill.media.orientation import turned_back

sides = st.integers(1, 16_384)
sources = st.integers(1, 70_000)
anchors = st.sampled_from(
    ["center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left"]
)
frames = st.builds(
    Frame,
    sides,
    sides,
    st.sampled_from(["contain", "cover", "fill", "inside"]),
    anchors,
    st.booleans(),
)


@given(frames, sources, sources)
def test_the_part_stands_inside_the_canvas_and_no_side_is_0(
    frame: Frame, width: int, height: int
) -> None:
    layout = frame.layout(width, height)
    for side in range(2):
        assert layout.size[side] >= 1
        assert layout.scaled[side] >= layout.crop[side] + layout.size[side]
        assert layout.paste[side] >= 0
        assert layout.paste[side] + layout.size[side] <= layout.canvas[side]


@given(frames, sources, sources)
def test_the_box_lies_inside_the_source(frame: Frame, width: int, height: int) -> None:
    left, top, right, bottom = frame.layout(width, height).box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


@given(frames, sources, sources)
def test_only_inside_makes_pictures_of_another_size(frame: Frame, width: int, height: int) -> None:
    layout = frame.layout(width, height)
    if frame.fixed:
        assert layout.canvas == (frame.width, frame.height)
    else:
        assert layout.canvas == layout.size == layout.scaled


@given(frames, sources, sources)
def test_nothing_is_enlarged_unless_asked(frame: Frame, width: int, height: int) -> None:
    layout = frame.layout(width, height)
    if not frame.enlarge:
        assert layout.scaled[0] <= width
        assert layout.scaled[1] <= height


@given(sides, sides, sources, sources)
def test_contain_keeps_everything_and_touches_two_edges(
    width: int, height: int, across: int, down: int
) -> None:
    layout = Frame(width, height, "contain").layout(across, down)
    assert layout.size == layout.scaled
    assert layout.size[0] == width or layout.size[1] == height


@given(sides, sides, sources, sources)
def test_cover_leaves_no_background(width: int, height: int, across: int, down: int) -> None:
    layout = Frame(width, height, "cover").layout(across, down)
    assert layout.fills_canvas


def test_a_thin_picture_keeps_a_side_of_1() -> None:
    assert Frame(224, 224, "contain").layout(1000, 3).size == (224, 1)
    assert Frame(224, 224, "inside").layout(3, 1000).canvas == (1, 224)


def test_anchors_say_which_part_is_kept_and_where_it_stands() -> None:
    def kept(anchor: str) -> tuple[int, int]:
        return Frame(100, 100, "cover", anchor).layout(300, 100).crop

    def stands(anchor: str) -> tuple[int, int]:
        return Frame(100, 100, "contain", anchor).layout(300, 100).paste

    assert [kept(one) for one in ("left", "center", "right")] == [(0, 0), (100, 0), (200, 0)]
    assert [stands(one) for one in ("top-left", "center", "bottom")] == [(0, 0), (0, 33), (0, 67)]


def test_cover_without_enlarging_stands_on_background() -> None:
    assert Frame(100, 100, "cover", enlarge=False).layout(300, 60) == Layout(
        source=(300, 60),
        scaled=(300, 60),
        crop=(100, 0),
        size=(100, 60),
        paste=(0, 20),
        canvas=(100, 100),
    )


@given(st.integers(1, 8), st.integers(1, 900), st.integers(1, 900))
def test_turning_a_box_back_keeps_it_inside_the_stored_picture(
    turn: int, width: int, height: int
) -> None:
    box = width / 4, height / 3, width / 2, float(height)
    left, top, right, bottom = turned_back(box, turn, width, height)  # type: ignore[arg-type]
    stored = (height, width) if turn >= 5 else (width, height)
    assert 0 <= left < right <= stored[0]
    assert 0 <= top < bottom <= stored[1]
