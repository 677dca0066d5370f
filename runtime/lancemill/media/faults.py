"""Why a picture cannot be had: the reason codes of the quarantine, and their exceptions."""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "Empty", "UnsupportedFormat", "TooManyPixels", "Truncated", "Corrupt", "TooLargeForFormat"
]


class PictureError(Exception):
    """These bytes are no picture that can be trusted.

    Empty               no bytes at all
    UnsupportedFormat   not one of the formats, or a variant of one without defined 8-bit pixels
    TooManyPixels       the header promises more pixels than allowed; none was decoded
    Truncated           the end is missing
    Corrupt             the bytes contradict the format
    """

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason: Reason = reason
        self.message = message
        super().__init__(message)


class EncodingError(PictureError):
    """The pixels are right, but the format to write cannot hold them (`TooLargeForFormat`)."""
