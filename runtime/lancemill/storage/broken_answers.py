"""Reading on where an answer breaks off.

obstore (0.12) tries a request again whose answer does not begin, and a download that breaks off. A
page of a listing that breaks off it gives up, and so it does with the text of an error: a "not
found" cut short is none. Over a thousand pages either is a matter of time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from lancemill.storage.interruptible import each, interruptibly

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

ATTEMPTS = 5
"""In a row; of a listing, without a single object between them."""
FIRST_PAUSE_S = 0.1
PAGE = 1000

_BROKE_OFF = re.compile(r"ListResponseBody|kind: Interrupted|response body error")


def listed(store: ObjectStore, prefix: str | None) -> Iterator[ObjectMeta]:
    """Every object below `prefix`, in the store's order; goes on behind the last one it got."""
    from obstore.exceptions import BaseError

    last, ordered, failures = "", True, 0
    while True:
        try:
            pages = partial(store.list, prefix, offset=last or None, chunk_size=PAGE)
            for chunk in each(pages):
                for meta in chunk:
                    ordered = ordered and meta["path"].encode() > last.encode()
                    last, failures = meta["path"], 0
                    yield meta
            return
        except BaseError as error:
            failures += 1
            # Without an order there is no place to go on from.
            if not ordered or not _worth_it(error, failures):
                raise


def read(store: ObjectStore, path: str) -> bytes:
    """The bytes of a small object; FileNotFoundError where there is none."""
    from obstore.exceptions import BaseError

    failures = 0
    while True:
        try:
            return bytes(interruptibly(lambda: store.get(path).bytes()))
        except BaseError as error:
            failures += 1
            if not _worth_it(error, failures):
                raise


def _worth_it(error: Exception, failures: int) -> bool:
    """Whether to try again; waits before it says so."""
    if failures >= ATTEMPTS or not _BROKE_OFF.search(str(error)):
        return False
    time.sleep(FIRST_PAUSE_S * 2 ** (failures - 1))
    return True
