"""Freed memory is kept for the next batch, unless the user has told the allocator otherwise."""

from __future__ import annotations

import ctypes

import pytest

from lancemill.engine import heap


class _Library:
    """A C library that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def mallopt(self, option: int, value: int) -> int:
        self.told.append((option, value))
        return 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> _Library:
    for name in ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    library = _Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    return library


def test_blocks_of_a_batch_s_size_are_kept_when_freed(library: _Library) -> None:
    heap.keep_freed_memory()
    assert library.told == [(-3, 32 << 20), (-1, 64 << 20)]


def test_what_the_user_told_the_allocator_stands(
    library: _Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    heap.keep_freed_memory()
    assert library.told == []


def test_a_c_library_without_such_limits_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    heap.keep_freed_memory()
