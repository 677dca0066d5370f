"""The API server as the operator talks to it: dictionaries in, dictionaries out, one error tree.

`kubernetes_asyncio` knows how to reach it and who we are (kubeconfig, service account, tokens that
change); its typed objects would cost more memory than all that we keep. Every call has a time
limit, is counted by its verb, and is made once: whoever calls decides whether it is tried again.

    ApiError
    ├── NotFound         404
    ├── Forbidden        403, 401
    ├── Conflict         409: somebody else wrote in between
    ├── AlreadyExists    409 on create
    ├── Refused          400, 413, 422: what we sent is wrong, and would be wrong again
    ├── Busy             429, 503: come again later, `retry_after` says when
    └── Unreachable      no answer, or half of one: it may have been done or not
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.client.rest import RESTClientObject
from kubernetes_asyncio.config import load_incluster_config, load_kube_config

from lancemill_operator import names
from lancemill_operator.kinds import Body, Kind

Object = dict[str, Any]
Query = Mapping[str, str]

METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""What has the API server leave out all but the metadata: of a Secret, everything secret."""
APPLY = "application/apply-patch+yaml;charset=utf-8"
LONGEST_MESSAGE = 1000
PAGE = 100
"""Objects in an answer: a RayJob is large once KubeRay has described its cluster in it."""


_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def as_yaml(body: Body) -> bytes:
    """JSON that means the same when it is read as YAML, as the body of an apply is.

    JSON escapes what lies beyond U+FFFF as two surrogates, which YAML refuses: a single emoji in a
    message would keep a status from ever being written.
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return _NOT_IN_YAML.sub(_escaped, text).encode()


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{0xFFFD if 0xD800 <= code <= 0xDFFF else code:04x}"


class ApiError(Exception):
    """The API server did not do what it was asked."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(message[:LONGEST_MESSAGE])


class NotFound(ApiError):
    """There is no such object."""


class Forbidden(ApiError):
    """We may not."""


class Conflict(ApiError):
    """Somebody else wrote in between."""


class AlreadyExists(ApiError):
    """The name is taken."""


class Refused(ApiError):
    """What we sent is wrong, and would be wrong again."""


class Busy(ApiError):
    """The server has too much to do now."""


class Unreachable(ApiError):
    """No answer: what was asked may have been done or not."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Refused,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Refused,
    422: Refused,
    429: Busy,
    503: Busy,
}


class Counts(Protocol):
    """Where calls are counted."""

    def called(self, verb: str, kind: str, code: str) -> None: ...


class Api:
    """Calls to one API server. Close it."""

    def __init__(
        self, configuration: Configuration, counts: Counts | None = None, timeout: float = 30.0
    ) -> None:
        self.configuration = configuration
        self._rest = RESTClientObject(configuration, maxsize=64)
        self._counts = counts
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(10.0, timeout))

    async def close(self) -> None:
        await self._rest.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        return await self._json("get", kind, "GET", kind.path(namespace, name))

    async def exists(self, kind: Kind, namespace: str | None, name: str) -> bool:
        """Whether the object is there; of it only metadata is read."""
        try:
            await self._json("get", kind, "GET", kind.path(namespace, name), accept=METADATA_ONLY)
        except NotFound:
            return False
        return True

    async def list(
        self, kind: Kind, namespace: str | None, labels: str = "", page: int = PAGE
    ) -> list[Object]:
        """All objects of the kind, in the namespace or everywhere, with these labels."""
        return [one async for one in self.pages(kind, namespace, labels, page)]

    async def pages(
        self, kind: Kind, namespace: str | None, labels: str = "", page: int = PAGE
    ) -> AsyncGenerator[Object, None]:
        """The same one by one, so that the caller need not hold them all."""
        query = {"limit": str(page)} | ({"labelSelector": labels} if labels else {})
        while True:
            found = await self._json("list", kind, "GET", kind.path(namespace), query)
            for one in found.get("items") or ():
                one.setdefault("apiVersion", kind.api_version)
                one.setdefault("kind", kind.name)
                yield one
            query["continue"] = (found.get("metadata") or {}).get("continue") or ""
            if not query["continue"]:
                return

    async def create(self, kind: Kind, namespace: str | None, body: Body) -> Object:
        """Make the object. Raises AlreadyExists where its name is taken."""
        try:
            return await self._json(
                "create",
                kind,
                "POST",
                kind.path(namespace),
                {"fieldManager": names.MANAGER},
                body,
            )
        except Conflict as taken:
            if taken.reason == "AlreadyExists":
                raise AlreadyExists(409, taken.reason, str(taken)) from None
            raise

    async def apply(self, kind: Kind, namespace: str | None, body: Body, sub: str = "") -> Object:
        """Bring the object, or a part of it, to this form by server-side apply."""
        return await self._json(
            "apply",
            kind,
            "PATCH",
            kind.path(namespace, body["metadata"]["name"], sub),
            {"fieldManager": names.MANAGER, "force": "true"},
            body,
            content=APPLY,
        )

    async def replace(self, kind: Kind, namespace: str | None, body: Body) -> Object:
        """Put the object in the place of the one whose resourceVersion it carries."""
        name = body["metadata"]["name"]
        return await self._json(
            "update", kind, "PUT", kind.path(namespace, name), {"fieldManager": names.MANAGER}, body
        )

    async def delete(self, kind: Kind, namespace: str | None, name: str, uid: str = "") -> Object:
        """Delete the object, of that uid only where one is given. Raises NotFound.

        The object is given back where it takes time to go, else a Status.
        """
        options: Object = {"propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        return await self._json("delete", kind, "DELETE", kind.path(namespace, name), {}, options)

    async def read(self, path: str, verb: str, kind: str, limit: int, seconds: float) -> bytes:
        """The first `limit` bytes of whatever lies at `path` of the server."""
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._answer(verb, kind, "GET", path, {}, None, {}, timeout) as response:
            return await read_at_most(response.content, limit)

    async def _json(
        self,
        verb: str,
        kind: Kind,
        method: str,
        path: str,
        query: Query | None = None,
        body: Body | None = None,
        accept: str = "application/json",
        content: str = "application/json",
    ) -> Object:
        headers = {"Accept": accept, "Content-Type": content}
        asked = self._answer(
            verb, kind.name, method, path, query or {}, body, headers, self._timeout
        )
        async with asked as response:
            found: Object = json.loads(await response.read())
            return found

    @asynccontextmanager
    async def _answer(
        self,
        verb: str,
        kind: str,
        method: str,
        path: str,
        query: Query,
        body: Body | None,
        headers: dict[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        address = f"{(self.configuration.host or '').rstrip('/')}{path}"
        code = "none"
        try:
            response = await self._rest.request(
                method,
                f"{address}?{urlencode(query)}" if query else address,
                headers={**headers, **await self._credentials()},
                body=as_yaml(body) if body and headers["Content-Type"] == APPLY else body,
                _preload_content=False,
                _request_timeout=timeout,
            )
            async with response:
                code = str(response.status)
                if response.status >= 300:
                    raise _error(response.status, await response.read(), response.headers)
                yield response
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as gone:
            what = f"{verb} {kind}: {type(gone).__name__}"
            raise Unreachable(0, "Unreachable", f"{what} {gone}".strip()) from gone
        finally:
            if self._counts is not None:
                self._counts.called(verb, kind, code)

    async def _credentials(self) -> dict[str, str]:
        key = await self.configuration.get_api_key_with_prefix("BearerToken")
        if key is not None:
            return {"Authorization": key}
        if self.configuration.username:
            return {"Authorization": self.configuration.get_basic_auth_token()}
        return {}


async def read_at_most(stream: aiohttp.StreamReader, limit: int) -> bytes:
    """All that comes, but no more than so many bytes."""
    read = bytearray()
    while len(read) < limit and (piece := await stream.read(limit - len(read))):
        read += piece
    return bytes(read)


def _error(status: int, answer: bytes, headers: Mapping[str, str]) -> ApiError:
    """The error that an answer tells; not every answer comes from the API server itself."""
    try:
        told = json.loads(answer)
    except ValueError:
        told = None
    told = told if isinstance(told, dict) else {"message": answer[:200].decode(errors="replace")}
    details = told.get("details") or {}
    made = _BY_STATUS.get(status, ApiError)
    return made(
        status,
        str(told.get("reason") or status),
        str(told.get("message") or f"HTTP {status}"),
        _seconds(headers.get("Retry-After"), details.get("retryAfterSeconds")),
    )


def _seconds(*texts: Any) -> float:
    for text in texts:
        try:
            return max(0.0, float(text))
        except (TypeError, ValueError):
            continue
    return 0.0


async def configure(
    kubeconfig: str | None,
    context: str | None = None,
    in_cluster: Callable[[Configuration], None] | None = None,
) -> Configuration:
    """How to reach the API server: as the kubeconfig says, else as a pod of its cluster does."""
    configuration = Configuration()
    if kubeconfig is None:
        (in_cluster or load_incluster_config)(configuration)
    else:
        await load_kube_config(
            config_file=kubeconfig, context=context, client_configuration=configuration
        )
    return configuration
