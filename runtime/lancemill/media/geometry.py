"""Where the pixels of a resized picture come from and where they go: arithmetic without pixels.

A picture is scaled, a part of the scaled picture is kept, and that part stands on a canvas:

    contain   all of it, as large as fits; the rest of the canvas is background
    cover     as large as covers the canvas; what stands over is cut off
    fill      stretched to the canvas
    inside    as contain, and the canvas is just as large as the picture

With `enlarge` off nothing is scaled up, and what is then left of the canvas is background. No side
becomes 0, however thin the picture is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lancemill.media.orientation import Box

Fit = Literal["contain", "cover", "fill", "inside"]


@dataclass(frozen=True, slots=True)
class Layout:
    """How one picture is laid out. All lengths in pixels."""

    source: tuple[int, int]
    """Width and height of the picture, upright."""
    scaled: tuple[int, int]
    """Width and height of the whole picture after scaling (what is cut off included)."""
    crop: tuple[int, int]
    """Left and top, in the scaled picture, of the part that is kept."""
    size: tuple[int, int]
    """Width and height of the part that is kept."""
    paste: tuple[int, int]
    """Left and top, on the canvas, of that part."""
    canvas: tuple[int, int]
    """Width and height of what is made."""

    @property
    def box(self) -> Box:
        """The part that is kept, in the source's pixels."""
        across = self.source[0] / self.scaled[0]
        down = self.source[1] / self.scaled[1]
        left, top = self.crop[0] * across, self.crop[1] * down
        right = min(left + self.size[0] * across, self.source[0])
        bottom = min(top + self.size[1] * down, self.source[1])
        return left, top, right, bottom

    @property
    def fills_canvas(self) -> bool:
        """Whether no background is seen."""
        return self.size == self.canvas


@dataclass(frozen=True, slots=True)
class Frame:
    """What a resize asks for."""

    width: int
    height: int
    fit: Fit = "contain"
    anchor: str = "center"
    enlarge: bool = True

    @property
    def fixed(self) -> bool:
        """Whether every picture gets the same size."""
        return self.fit != "inside"

    def layout(self, width: int, height: int) -> Layout:
        """The layout of an upright picture of this size."""
        scaled = self._scaled(width, height)
        size = min(scaled[0], self.width), min(scaled[1], self.height)
        canvas = (self.width, self.height) if self.fixed else size
        across, down = _shares(self.anchor)
        return Layout(
            source=(width, height),
            scaled=scaled,
            crop=(int((scaled[0] - size[0]) * across), int((scaled[1] - size[1]) * down)),
            size=size,
            paste=(int((canvas[0] - size[0]) * across), int((canvas[1] - size[1]) * down)),
            canvas=canvas,
        )

    def _scaled(self, width: int, height: int) -> tuple[int, int]:
        across, down = self.width / width, self.height / height
        if self.fit == "fill":
            pass
        elif self.fit == "cover":
            across = down = max(across, down)
        else:
            across = down = min(across, down)
        if not self.enlarge:
            across, down = min(across, 1.0), min(down, 1.0)
        return max(1, round(width * across)), max(1, round(height * down))


def _shares(anchor: str) -> tuple[float, float]:
    """How much of the room left over lies left of and above the picture."""
    across = 0.0 if "left" in anchor else 1.0 if "right" in anchor else 0.5
    down = 0.0 if "top" in anchor else 1.0 if "bottom" in anchor else 0.5
    return across, down
