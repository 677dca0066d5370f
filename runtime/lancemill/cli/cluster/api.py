"""Requests to an API server: JSON in, JSON out, errors in our words.

The official client gives address, certificates and credentials (`connection`); its generated
classes are not used, since they cost a second to import and change from version to version.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import urllib3

from lancemill.cli.cluster.errors import Refused, Unreachable, status_of

Object = dict[str, Any]
Query = Mapping[str, str]

MANAGER = "lancemill-cli"
"""Our field manager."""
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
TIMEOUT = 30.0
TRIES = 4
"""How often a request is sent that the API server has put off (HTTP 429, or Retry-After)."""
LONGEST_WAIT = 10.0


class Api:
    """One API server, as one user, and the namespace that is meant where none is said."""

    def __init__(
        self,
        host: str,
        pool: urllib3.PoolManager,
        headers: Callable[[], Mapping[str, str]],
        namespace: str = "default",
        timeout: float = TIMEOUT,
    ) -> None:
        self.host = host.rstrip("/")
        self.namespace = namespace
        self._pool = pool
        self._headers = headers
        self._timeout = timeout

    def get(self, path: str, *, about: str = "", query: Query | None = None) -> Object:
        """The object or the list at `path`; Refused where there is none."""
        return self._json("GET", path, about, query or {})

    def find(self, path: str, *, about: str = "", query: Query | None = None) -> Object | None:
        """The object at `path`, if there is one."""
        try:
            return self.get(path, about=about, query=query)
        except Refused as refused:
            if refused.is_absence:
                return None
            raise

    def apply(
        self,
        path: str,
        body: Object,
        *,
        about: str = "",
        force: bool = False,
        dry_run: bool = False,
    ) -> Object:
        """Server-side apply; what the object is then."""
        query = {"fieldManager": MANAGER, "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        return self._json("PATCH", path, about, query, body, APPLY)

    def merge(self, path: str, body: Object, *, about: str = "") -> Object:
        """A merge patch; what the object is then."""
        return self._json("PATCH", path, about, {"fieldManager": MANAGER}, body, MERGE)

    def text(
        self,
        path: str,
        *,
        about: str = "",
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """The text at `path`, such as a pod's log or what a service answers through the proxy."""
        return self._answer("GET", path, about, query or {}, None, dict(headers or {}))

    def watch(self, path: str, query: Query, seconds: int, *, about: str = "") -> Iterator[Object]:
        """Events until the API server ends the stream, at the latest after `seconds`.

        A stream that breaks or stands still just ends: whoever watches looks anew.
        """
        asked = {**query, "watch": "1", "timeoutSeconds": str(seconds)}
        with self._errors():
            response = self._open("GET", path, asked, None, {}, seconds + 15)
        try:
            if response.status != 200:
                text = response.read().decode(errors="replace")
                raise Refused(response.status, status_of(response.status, text), about)
            yield from _events(response)
        except urllib3.exceptions.HTTPError:
            return
        finally:
            response.close()

    def close(self) -> None:
        """No connection stays open."""
        self._pool.clear()

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _json(
        self,
        method: str,
        path: str,
        about: str,
        query: Query,
        body: Object | None = None,
        content: str = "application/json",
    ) -> Object:
        headers = {"Accept": "application/json", "Content-Type": content}
        text = self._answer(method, path, about, query, body, headers)
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Unreachable(f"{self.host} is no Kubernetes API server: it answers without JSON")
        return found

    def _answer(
        self,
        method: str,
        path: str,
        about: str,
        query: Query,
        body: Object | None,
        headers: Mapping[str, str],
    ) -> str:
        for tried in range(1, TRIES + 1):
            with self._errors():
                response = self._open(method, path, query, body, headers, self._timeout)
                text = response.data.decode(errors="replace")
            wait = _put_off(response)
            if wait is None or tried == TRIES:
                break
            time.sleep(wait)
        if not 200 <= response.status < 300:
            raise Refused(response.status, status_of(response.status, text), about)
        return text

    def _open(
        self,
        method: str,
        path: str,
        query: Query,
        body: Object | None,
        headers: Mapping[str, str],
        seconds: float,
    ) -> urllib3.BaseHTTPResponse:
        asked = f"?{urlencode(query)}" if query else ""
        return self._pool.request(
            method,
            f"{self.host}{path}{asked}",
            body=None if body is None else json.dumps(body).encode(),
            headers={**self._headers(), **headers},
            timeout=urllib3.Timeout(connect=min(10.0, self._timeout), read=seconds),
            retries=urllib3.Retry(connect=1, read=0, redirect=0, status=0, other=0),
            preload_content=False,
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(
                f"the API server {self.host} does not answer: {_why(error)}",
                remedy="check the context (`kubectl config get-contexts`), network and VPN",
            ) from None


def _events(response: urllib3.BaseHTTPResponse) -> Iterator[Object]:
    """Each line of a watch, whole; what is no event ends it, as a stream that broke off does."""
    left = b""
    for part in response.stream(64 * 1024):
        *lines, left = (left + part).split(b"\n")
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                return
            if isinstance(event, dict):
                yield event


def _put_off(response: urllib3.BaseHTTPResponse) -> float | None:
    """Seconds after which the API server wants to be asked again, if it said so."""
    after = response.headers.get("Retry-After", "")
    if response.status != 429 and not (response.status >= 500 and after):
        return None
    return min(LONGEST_WAIT, float(after)) if after.isdigit() else 1.0


def _why(error: urllib3.exceptions.HTTPError) -> str:
    """The innermost reason, without the names of Python's objects."""
    reason = getattr(error, "reason", None) or error
    text = " ".join(str(reason).split())
    return text.rpartition(">: ")[2] or type(error).__name__
