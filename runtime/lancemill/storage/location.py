"""A place in a store: opened once, then small objects are put, got, listed and deleted in it.

Made for ledgers and other small JSON; a bulk of bytes goes through `Location.store` itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lancemill.errors import StorageError
from lancemill.storage.broken_answers import listed, read
from lancemill.storage.explanations import explain
from lancemill.storage.interruptible import interruptibly
from lancemill.storage.options import RETRIES, SECRET_KEYS, Access, access
from lancemill.storage.uris import absolute, split

if TYPE_CHECKING:
    from obstore.store import ClientConfig, MemoryStore, ObjectStore, RetryConfig

CONNECT_TIMEOUT = timedelta(seconds=5)
READ_TIMEOUT = timedelta(seconds=30)
REQUEST_TIMEOUT = timedelta(minutes=10)
"""Of one request with its whole body: obstore's own 30 s would end the download of a film."""
RETRY_TIMEOUT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Location:
    """A folder, or an object, in a store."""

    store: ObjectStore
    path: str
    """Its path in the store (below the bucket; from the root of the file system), without a slash
    at its start or end."""
    uri: str
    """Absolute; a plain path where it is local."""

    def child(self, name: str) -> Location:
        """The location `name` below this one."""
        return Location(self.store, self._path(name), f"{self.uri.rstrip('/')}/{name.strip('/')}")

    def put(self, name: str, data: bytes) -> None:
        """Write the object `name`, whole or not at all, in place of what was there."""
        with self._explained(name):
            interruptibly(lambda: self.store.put(self._path(name), data))

    def put_new(self, name: str, data: bytes) -> bool:
        """Write the object `name` if there is none; False if there is. Of racers one gets True.

        A write whose answer was lost is tried again and then finds itself: whoever must know puts
        something of its own into `data`, and compares by `get` when the answer is False.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._explained(name):
            try:
                interruptibly(lambda: self.store.put(self._path(name), data, mode="create"))
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def get(self, name: str) -> bytes | None:
        """The object's bytes; None if there is no such object."""
        with self._explained(name):
            try:
                return read(self.store, self._path(name))
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def list(self, prefix: str = "") -> list[str]:
        """The names of all objects below the folder `prefix`, relative to this place, sorted."""
        start = len(self.path) + 1 if self.path else 0
        with self._explained(prefix):
            found = listed(self.store, self._path(prefix) or None)
            return sorted(one["path"][start:] for one in found)

    def delete(self, *names: str) -> None:
        """Remove objects; those that do not exist are no error."""
        for name in names:
            with self._explained(name), suppress(FileNotFoundError):
                interruptibly(partial(self.store.delete, self._path(name)))

    def _path(self, name: str) -> str:
        return f"{self.path}/{name}".strip("/")

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            raise explain(error, self.child(name).uri.rstrip("/")) from error


def open_store(
    uri: str,
    storage: object | None = None,
    *,
    base: Path | None = None,
    retries: int = RETRIES,
) -> Location:
    """The location that `uri` names, reached as `storage` (a manifest's block) says.

    Nothing is asked of the store yet. StorageError for a wrong uri, option or secret.
    """
    uri = absolute(uri, base)
    reach = access(storage, uri)
    parts = split(uri)
    with _readable_configuration(uri):
        return Location(_store(reach, parts.root, retries), parts.path, uri)


def probe_conditional_put(location: Location) -> bool:
    """Whether the store refuses to overwrite when asked to: without it no ledger is safe.

    Stores that ignore `If-None-Match` overwrite silently, so it is tried: one small object is
    written twice and removed.
    """
    name = f".probe-{uuid.uuid4().hex}"
    try:
        return location.put_new(name, b"first") and not location.put_new(name, b"second")
    except StorageError as error:
        if "does not support" in str(error):
            return False
        raise
    finally:
        with suppress(StorageError):
            location.delete(name)


_memories: dict[str, MemoryStore] = {}


def _store(reach: Access, root: str, retries: int) -> ObjectStore:
    from obstore import store

    client, retry = _client(reach), _retry(retries)
    if reach.scheme == "file":
        return store.LocalStore()
    if reach.scheme == "memory":
        return _memories.setdefault(root, store.MemoryStore())
    if reach.scheme in ("http", "https"):
        url = f"{reach.scheme}://{root}"
        return store.HTTPStore(url, client_options=client, retry_config=retry)
    names = SECRET_KEYS[reach.scheme]
    config: dict[str, Any] = {names[key]: value for key, value in reach.secrets.items()}
    if reach.anonymous:
        config["skip_signature"] = True
    if reach.endpoint:
        config["base_url" if reach.scheme == "gs" else "endpoint"] = reach.endpoint
    if reach.scheme == "gs":
        return store.GCSStore(root, client_options=client, retry_config=retry, **config)
    if reach.scheme == "az":
        return store.AzureStore(root, client_options=client, retry_config=retry, **config)
    config["virtual_hosted_style_request"] = reach.virtual_hosted_style
    config["region"] = reach.region
    return store.S3Store(root, client_options=client, retry_config=retry, **config)


def _client(reach: Access) -> ClientConfig:
    return {
        "allow_http": reach.allow_http or reach.scheme == "http",
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": READ_TIMEOUT,
        "timeout": REQUEST_TIMEOUT,
        "user_agent": "lancemill",
    }


def _retry(retries: int) -> RetryConfig:
    return {
        "max_retries": retries,
        "retry_timeout": RETRY_TIMEOUT,
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }


@contextmanager
def _readable_configuration(uri: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, ValueError) as error:
        raise explain(error, uri) from None
