"""The user's own code, and the packages that it needs: how they reach every process of a run.

A zip is named by its address and its hash, so that all workers run the same bytes, and so that a
run's meaning tells whether a later attempt still would.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from lancemill_api.base import Expected, Model
from lancemill_api.rules import ExactlyOne, OnlyBeside
from lancemill_api.scalars import ObjectName, Sha256, Uri
from lancemill_api.storage import Storage

_VERSION = r"(?:===?|!=|<=?|>=?|~=) ?[A-Za-z0-9](?:[A-Za-z0-9.*+!_-]*[A-Za-z0-9*])?"

Requirement = Annotated[
    str,
    StringConstraints(
        pattern=(
            r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
            r"(?:\[[A-Za-z0-9._-]+(?:, ?[A-Za-z0-9._-]+)*\])?"
            rf"(?: ?{_VERSION}(?: ?, ?{_VERSION})*)?$"
        ),
        max_length=256,
    ),
    Expected(
        "a package and its versions, such as rapidfuzz==3.9 or torch>=2.6,<3 (no address, no "
        "option, no condition)"
    ),
]


class Code(Model):
    """Where entrypoints are looked for: exactly one of uri and configMap."""

    must_hold = (
        ExactlyOne("place of the code", ("uri", "configMap")),
        OnlyBeside("uri", "sha256", "`lancemill package` makes the zip and fills it in"),
        OnlyBeside("sha256", "uri"),
        OnlyBeside("storage", "uri"),
    )

    uri: Uri | None = None
    """A zip of Python files, whose root is where imports begin. `lancemill package` makes and
    uploads it."""
    sha256: Sha256 | None = None
    """SHA-256 of the zip, 64 hexadecimal digits: nothing else is unpacked. Default: none; a uri
    needs one."""
    storage: Storage | None = None
    """How to reach it. Default: the environment's usual credentials."""
    config_map: ObjectName | None = None
    """Name of a ConfigMap of the same namespace, whose keys are file names such as my_udfs.py. A
    local run takes the files beside the manifest."""
