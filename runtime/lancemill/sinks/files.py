"""Removes Lance data files that nothing refers to, with the blobs beside them."""

from __future__ import annotations

from collections.abc import Iterable

from lancemill.storage import Location


def sidecars(folder: Location, data_file: str) -> dict[str, int]:
    """Files with the blobs of `data_file`, relative to the dataset, and their sizes.

    They lie in a folder that is named as the data file.
    """
    stem = f"data/{data_file.removesuffix('.lance')}"
    prefix = f"{folder.path}/{stem}".strip("/")
    found: dict[str, int] = {}
    for chunk in folder.store.list(prefix):
        for one in chunk:
            found[f"{stem}/{one['path'].removeprefix(prefix).strip('/')}"] = one["size"]
    return found


def remove(folder: Location, data_files: Iterable[str]) -> None:
    """Delete data files of the dataset at `folder`, by their names in it."""
    for name in data_files:
        folder.delete(*sidecars(folder, name), f"data/{name}")
