"""Makes, checks and describes a LanceDataset: what the operator asks of a store, in one answer.

Whatever is wrong is told as an answer, with one word for what a program tells apart. Safe to do
again, at any time, beside runs that write.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lancemill.engine.outcome import LONGEST, cut
from lancemill.errors import StorageError
from lancemill.sinks.lance_open import declared_schema
from lancemill.storage import absolute, explain, lance_options, open_store, probe_conditional_put
from lancemill.tables import commit
from lancemill.tables.create import create
from lancemill.tables.drift import drift
from lancemill.tables.probe import look
from lancemill.tables.quarantine import SUFFIX
from lancemill.tables.table import Table
from lancemill.tables.tags import set_tags
from lancemill_api import LanceDataset

_NOTHING: dict[str, Any] = {
    "version": None,
    "rows": None,
    "fragments": None,
    "liveBytes": None,
    "physicalBytes": None,
    "formatVersion": None,
    "schema": [],
    "tags": {},
    "lastCommit": None,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a dataset is like, or what is wrong with it or its store."""

    facts: dict[str, Any] | None = None
    """As `tables.probe.look` tells them; None where there is no dataset, or none could be read."""
    problem: str | None = None
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """camelCase, as the API's status."""
        return {
            "ok": self.problem is None,
            "problem": self.problem,
            "message": self.message,
            "exists": self.facts is not None,
            **(self.facts or _NOTHING),
        }

    def to_text(self, longest: int = LONGEST) -> str:
        """One line of JSON of at most `longest` bytes: a long message is cut, then columns are
        left out from the end on, then tags."""
        told = self.to_json()
        told["message"] = cut(self.message, longest // 4)
        told["schema"], told["tags"] = list(told["schema"]), dict(told["tags"])
        while (over := _size(told) - longest) > 0 and (told["schema"] or told["tags"]):
            # The longest name with its type takes less than 600 bytes.
            for _ in range(max(1, over // 600)):
                told["schema"].pop() if told["schema"] else told["tags"].popitem()
        return _line(told)


def probe_dataset(dataset: LanceDataset, base: Path) -> Answer:
    """Create the dataset if its schema is given and it is not there; set tags; say what it is."""
    spec = dataset.spec
    uri = absolute(spec.uri, base)
    try:
        folder = open_store(f"{uri}.runs", spec.storage)
        if not probe_conditional_put(folder):
            return Answer(problem="StorageUnsupported", message=_unconditional(uri))
        table = Table(uri, lance_options(spec.storage, uri))
        declared = None if spec.schema_ is None else declared_schema(spec.schema_)
        if declared is None and table.find() is None:
            return Answer()
        return _told(table, declared, dict(spec.tags), folder)
    except StorageError as error:
        return Answer(problem=error.problem, message=told(error))
    except (OSError, ValueError) as error:  # pylance's own, of tags and transactions
        explained = explain(error, uri)
        return Answer(problem=explained.problem, message=told(explained))


def _told(table: Table, declared: pa.Schema | None, tags: dict[str, int], folder: Any) -> Answer:
    if declared is not None:
        create(table, declared)
    commit.repair(table)
    commit.repair(Table(table.uri + SUFFIX, table.options))
    dataset = table.open()
    untagged = set_tags(dataset, tags, folder)
    facts = look(dataset)
    drifted = [] if declared is None else drift(declared, dataset.schema)
    if drifted:
        return Answer(facts, "SchemaDrift", "; ".join(drifted))
    # No problem of the dataset: the run that makes that version must not wait for it.
    return Answer(facts, message="; ".join(untagged))


def told(error: StorageError) -> str:
    """What happened and what to do about it, as one text."""
    return f"{error}; {error.remedy}" if error.remedy else str(error)


def _unconditional(uri: str) -> str:
    return (
        f"{uri}: the store overwrites where it is asked not to (If-None-Match is ignored), so "
        "neither ledgers nor commits are safe in it; use one that has conditional writes"
    )


def _size(told: dict[str, Any]) -> int:
    return len(_line(told).encode())


def _line(told: dict[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))
