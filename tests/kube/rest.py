"""The smallest client of an API server: a request, its status code and its JSON.

The control plane is started, seeded and asked for readiness with it, so that neither an event loop
nor a generated client has to exist for that. Tests that only want to look at an object may use it
too.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

Object = dict[str, Any]
Query = Mapping[str, str] | None


class Refused(Exception):
    """The API server's answer was an error; its text is the API server's message."""

    def __init__(self, code: int, body: Object) -> None:
        super().__init__(f"{code}: {body.get('message') or body}")
        self.code = code
        self.body = body


@dataclass(frozen=True)
class Rest:
    """Each request has a connection of its own: nothing stays open, any thread may call."""

    server: str
    token: str
    authority: Path | None = None  # the certificate that the API server must show

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        address = urlsplit(self.server)
        assert address.hostname is not None
        if address.scheme == "http":
            return http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)
        return http.client.HTTPSConnection(
            address.hostname, address.port, timeout=timeout, context=self._context
        )

    def answer(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        content_type: str = JSON,
        timeout: float = 60,
        query: Query = None,
    ) -> tuple[int, Any]:
        """The status code, and the body: parsed when it is JSON, else as text."""
        connection = self._connection(timeout)
        try:
            connection.request(
                method,
                f"{path}?{urlencode(query)}" if query else path,
                None if body is None else json.dumps(body),
                {
                    "Authorization": f"Bearer {self.token}",
                    "Accept": JSON,
                    "Content-Type": content_type,
                },
            )
            response = connection.getresponse()
            text = response.read().decode()
            kind = response.headers.get_content_type()
            return response.status, json.loads(text) if kind == JSON else text
        finally:
            connection.close()

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        content_type: str = JSON,
        timeout: float = 60,
        query: Query = None,
    ) -> Object:
        code, found = self.answer(
            method, path, body, content_type=content_type, timeout=timeout, query=query
        )
        if code >= 400:
            raise Refused(code, found if isinstance(found, dict) else {"message": found})
        assert isinstance(found, dict)
        return found

    def get(self, path: str, **query: str) -> Object:
        return self.request("GET", path, query=query)

    def find(self, path: str, **query: str) -> Object | None:
        """The object, or None where there is none."""
        try:
            return self.get(path, **query)
        except Refused as refusal:
            if refusal.code == 404:
                return None
            raise

    def create(self, path: str, body: Object, **query: str) -> Object:
        return self.request("POST", path, body, query=query)

    def delete(self, path: str, **query: str) -> Object:
        return self.request("DELETE", path, query=query)

    def merge(self, path: str, body: Object, **query: str) -> Object:
        return self.request("PATCH", path, body, content_type=MERGE, query=query)

    def apply(self, path: str, body: Object, *, manager: str = "test", **query: str) -> Object:
        """Server-side apply, taking fields from other managers."""
        return self.request(
            "PATCH",
            path,
            body,
            content_type=APPLY,
            query={"fieldManager": manager, "force": "true", **query},
        )

    def waited(self, path: str, until: Callable[[Any], Any], timeout: float = 30) -> Object | None:
        """The object, or None, as soon as `until(it)` holds."""
        deadline = time.monotonic() + timeout
        while True:
            found = self.find(path)
            if until(found):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} after {timeout} s is {json.dumps(found)[:2000]}")
            time.sleep(0.05)


def resource(
    api: str, plural: str, namespace: str | None = None, name: str | None = None, sub: str = ""
) -> str:
    """The path of a resource: `resource("lancemill.dev/v1alpha1", "lancedatasets", "ns", "a")`."""
    root = f"/api/{api}" if "/" not in api else f"/apis/{api}"
    place = f"/namespaces/{quote(namespace)}" if namespace is not None else ""
    rest = "".join(f"/{quote(part)}" for part in (name, sub) if part)
    return f"{root}{place}/{plural}{rest}"
