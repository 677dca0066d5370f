"""Globs as .gitignore has them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill.sources.globs import mask
from lancemill.sources.media_types import media_type

KEYS = ["a.jpg", "A.JPG", "x/b.jpg", "x/raw/c.jpg", "raw/d.png", "x/y[1].jpg", "cover.png"]


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("*.jpg", ["a.jpg", "x/b.jpg", "x/raw/c.jpg", "x/y[1].jpg"]),
        ("x/*.jpg", ["x/b.jpg", "x/y[1].jpg"]),
        ("x/**", ["x/b.jpg", "x/raw/c.jpg", "x/y[1].jpg"]),
        ("**/c.jpg", ["x/raw/c.jpg"]),
        ("**/a.jpg", ["a.jpg"]),
        ("x/**/c.jpg", ["x/raw/c.jpg"]),
        ("raw/", ["x/raw/c.jpg", "raw/d.png"]),
        ("/raw/", ["raw/d.png"]),
        ("/a.jpg", ["a.jpg"]),
        ("?.jpg", ["a.jpg", "x/b.jpg", "x/raw/c.jpg"]),
        ("[ab].jpg", ["a.jpg", "x/b.jpg"]),
        ("[!ab].jpg", ["x/raw/c.jpg"]),
        ("*.[jJ][pP][gG]", ["a.jpg", "A.JPG", "x/b.jpg", "x/raw/c.jpg", "x/y[1].jpg"]),
        (r"y\[1\].jpg", ["x/y[1].jpg"]),
        ("x[+-a]b.jpg", []),
        ("[b-a].jpg", []),
        ("[]a].jpg", ["a.jpg"]),
        ("raw", []),
        ("a+jpg", []),
    ],
)
def test_a_pattern_matches_as_gitignore_does(pattern: str, matched: list[str]) -> None:
    kept = mask(pa.array(KEYS), [pattern], []).to_pylist()
    assert [key for key, keep in zip(KEYS, kept, strict=True) if keep] == matched


def test_exclude_goes_before_include() -> None:
    kept = mask(pa.array(KEYS), ["*.jpg"], ["raw/", "a.*"]).to_pylist()
    assert [key for key, keep in zip(KEYS, kept, strict=True) if keep] == ["x/b.jpg", "x/y[1].jpg"]


@given(st.text(alphabet="ab*?[]!\\./^-", min_size=1, max_size=8))
def test_any_text_is_a_pattern(pattern: str) -> None:
    try:
        kept = mask(pa.array(KEYS), [pattern], [])
    except pa.ArrowInvalid:
        pytest.fail(f"{pattern!r} made no valid expression")
    assert len(kept) == len(KEYS)


@given(st.text(alphabet="ab./ +()", min_size=1, max_size=8))
def test_a_name_without_wildcards_matches_itself(name: str) -> None:
    if not name.strip("/") or name.startswith("/") or name.endswith("/"):
        return
    assert mask(pa.array([name]), [name], []).to_pylist() == [True]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a/B.JPG", "image/jpeg"),
        ("a.tar.gz", "application/gzip"),
        ("no-suffix", "application/octet-stream"),
        ("a.b/c", "application/octet-stream"),
        (".png", "image/png"),
    ],
)
def test_the_type_is_that_of_the_names_ending(name: str, kind: str) -> None:
    assert media_type(name) == kind
