"""Opens Lance datasets: one place that knows how a missing one, or a refusing store, looks.

pylance raises ValueError for a dataset that does not exist, and OSError or ValueError with the
store's text for everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lancemill.errors import StorageError
from lancemill.storage import explain


@dataclass(frozen=True, slots=True)
class Table:
    """A dataset's address, and how its store is reached."""

    uri: str
    options: Mapping[str, str] = field(default_factory=dict)
    """pylance's `storage_options`; never to be printed."""

    def __repr__(self) -> str:
        return f"Table({self.uri!r})"

    @property
    def storage_options(self) -> dict[str, str] | None:
        """As pylance takes them: None where there are none."""
        return dict(self.options) or None

    def find(self, version: int | None = None) -> Any | None:
        """The `lance.LanceDataset` (its newest version by default), or None if there is none."""
        import lance

        try:
            return lance.dataset(self.uri, version=version, storage_options=self.storage_options)
        except (ValueError, OSError) as error:
            if _says_not_found(error):
                return None
            raise explain(error, self.uri) from error

    def open(self, version: int | None = None) -> Any:
        """The `lance.LanceDataset`; StorageError if there is none."""
        found = self.find(version)
        if found is None:
            which = "" if version is None else f" version {version} of"
            raise StorageError(
                f"{self.uri}: there is no{which} Lance dataset here", remedy="check the uri"
            )
        return found


def _says_not_found(error: Exception) -> bool:
    text = str(error)
    return "not found" in text.lower() and "NoSuchBucket" not in text
