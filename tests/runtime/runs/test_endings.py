"""Runs that end where no row is at fault: operations that cannot begin, or not end."""

from __future__ import annotations

import json
from typing import Any

from .given import Place, lancemill

FUNCTIONS = """\
class Closing:
    def __call__(self, batch):
        return {"one": [1] * len(batch)}
    def close(self):
        raise OSError("the device is gone")

class Telling(Closing):
    def __call__(self, batch):
        print("some", len(batch))
        return {"one": [1] * len(batch)}

class Leaving(Closing):
    def __call__(self, batch):
        raise SystemExit

class Starting(Closing):
    def __init__(self):
        raise OSError("no such device")
"""


def with_function(place: Place, name: str) -> dict[str, Any]:
    (place.folder / f"functions_{name.lower()}.py").write_text(FUNCTIONS)
    function = {
        "entrypoint": f"functions_{name.lower()}:{name}",
        "kind": "actor",
        "inputs": ["key"],
        "schema": {"one": "int64"},
    }
    return {
        "stages": [{"name": "own", "udf": function}],
        "sink": {"lance": {"uri": "out.lance", "columns": ["key", "one"]}},
    }


def test_an_operation_that_cannot_begin_ends_the_run_with_its_reason(place: Place) -> None:
    place.pictures(3)
    told = place.run(**with_function(place, "Starting"))
    assert told.status == 1
    assert "no such device" in told.all


def test_an_operation_that_cannot_end_keeps_no_row_from_being_committed(place: Place) -> None:
    keys = place.pictures(3)
    told = place.run(**with_function(place, "Closing"))
    assert told.status == 0
    assert place.keys() == keys


def test_a_function_that_leaves_the_program_ends_no_run_without_a_word(place: Place) -> None:
    place.pictures(3)
    told = place.run(**with_function(place, "Leaving"))
    assert told.status == 1
    assert "SystemExit" in told.all
    assert place.keys() == []


def test_what_a_function_prints_does_not_stand_between_the_lines_of_json(place: Place) -> None:
    place.pictures(3)
    told = lancemill("run", place.manifest(**with_function(place, "Telling")), "--json")
    assert told.status == 0
    assert [json.loads(line)["event"] for line in told.out.splitlines()][-1] == "finished"
    assert "some 3" in told.err
