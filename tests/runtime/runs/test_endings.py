"""Runs that end where no row is at fault: operations that cannot begin, or not end."""

from __future__ import annotations

from typing import Any

from .given import Place

FUNCTIONS = """\
class Closing:
    def __call__(self, batch):
        return {"one": [1] * len(batch)}
    def close(self):
        raise OSError("the device is gone")

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
