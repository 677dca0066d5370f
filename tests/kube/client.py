"""An asynchronous client of the API server that knows objects as plain dictionaries.

The stand-in for KubeRay and the fake nodes hold a thousand of each kind: typed models would cost
them more than their own work does. `kubernetes_asyncio` reads the kubeconfig; what is asked and
answered is JSON as the API server sends it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes_asyncio import config
from kubernetes_asyncio.client import Configuration

Object = dict[str, Any]
Tasks = set[asyncio.Task[Object]]

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
JSON = "application/json"
WATCH_SECONDS = 300
LAST_SECONDS = 10  # for what was sent before the end


class ApiError(Exception):
    """The API server refused; its text is the API server's own message."""

    def __init__(self, code: int, body: Object) -> None:
        super().__init__(str(body.get("message") or body))
        self.code = code
        self.reason = str(body.get("reason", ""))


@dataclass(frozen=True)
class Kind:
    """Where the objects of a kind are served."""

    api: str
    plural: str
    name: str

    def path(self, namespace: str | None = None, name: str | None = None, sub: str = "") -> str:
        root = f"/apis/{self.api}" if "/" in self.api else f"/api/{self.api}"
        parts = [root]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, sub) if part]
        return "/".join(parts)


RAY_JOB = Kind("ray.io/v1", "rayjobs", "RayJob")
RAY_CLUSTER = Kind("ray.io/v1", "rayclusters", "RayCluster")
POD = Kind("v1", "pods", "Pod")
NODE = Kind("v1", "nodes", "Node")
SERVICE = Kind("v1", "services", "Service")
SECRET = Kind("v1", "secrets", "Secret")
NAMESPACE = Kind("v1", "namespaces", "Namespace")
SERVICE_ACCOUNT = Kind("v1", "serviceaccounts", "ServiceAccount")
ROLE = Kind("rbac.authorization.k8s.io/v1", "roles", "Role")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding")
NEW_EVENT = Kind("events.k8s.io/v1", "events", "Event")
CORE_EVENT = Kind("v1", "events", "Event")
RESOURCE_QUOTA = Kind("v1", "resourcequotas", "ResourceQuota")
JOB = Kind("batch/v1", "jobs", "Job")
KINDS = {
    (kind.api, kind.name): kind
    for kind in (RAY_JOB, RAY_CLUSTER, POD, NODE, SERVICE, SECRET, NAMESPACE, RESOURCE_QUOTA, JOB)
}


def _tls(settings: Configuration) -> ssl.SSLContext | bool:
    if not str(settings.host).startswith("https"):
        return False
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    if not settings.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Client:
    """`async with Client.of(kubeconfig) as kube`: one pool of connections, one field manager."""

    def __init__(self, settings: Configuration, manager: str) -> None:
        self._host = str(settings.host).rstrip("/")
        self._tls = _tls(settings)
        key = settings.api_key.get("BearerToken") or settings.api_key.get("authorization") or ""
        self._headers = {"Authorization": key} if key else {}
        self._manager = manager
        self._session: aiohttp.ClientSession | None = None
        self._flying: Tasks = set()

    @classmethod
    async def of(cls, kubeconfig: str | None, manager: str) -> Client:
        settings = Configuration()
        await config.load_kube_config(kubeconfig, client_configuration=settings)
        return cls(settings, manager)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=64, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._flying:
            await asyncio.wait(self._flying, timeout=LAST_SECONDS)
            for late in self._flying:
                late.cancel()
        if self._session is not None:
            await self._session.close()

    async def request(
        self, method: str, path: str, body: object = None, content_type: str = JSON, **query: str
    ) -> Object:
        """Once it was sent it goes to its end, as with a process that dies: only the answer is
        lost. (A connection that is cut within a request would outlive its event loop.)
        """
        task = asyncio.create_task(self._request(method, path, body, content_type, query))
        self._flying.add(task)
        task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    def _landed(self, task: asyncio.Task[Object]) -> None:
        self._flying.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever waits, if anybody still does

    async def _request(
        self, method: str, path: str, body: object, content_type: str, query: dict[str, str]
    ) -> Object:
        if method in ("POST", "PUT", "PATCH"):
            query.setdefault("fieldManager", self._manager)
        assert self._session is not None, "the client was not entered"
        async with self._session.request(
            method,
            f"{self._host}{path}?{urlencode(query)}",
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type},
            timeout=aiohttp.ClientTimeout(total=60),
        ) as response:
            text = await response.text()
        found: Object = json.loads(text) if text.startswith("{") else {"message": text}
        if response.status >= 400:
            raise ApiError(response.status, found)
        return found

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        return await self.request("GET", kind.path(namespace, name))

    async def list(self, kind: Kind, namespace: str | None = None, **query: str) -> Object:
        return await self.request("GET", kind.path(namespace), **query)

    async def create(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        return await self.request("POST", kind.path(namespace), body)

    async def replace(self, kind: Kind, body: Object, sub: str = "") -> Object:
        meta = body["metadata"]
        return await self.request("PUT", kind.path(meta.get("namespace"), meta["name"], sub), body)

    async def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: object,
        sub: str = "",
        content_type: str = MERGE,
    ) -> Object:
        return await self.request("PATCH", kind.path(namespace, name, sub), body, content_type)

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, **options: object
    ) -> Object:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", **options}
        return await self.request("DELETE", kind.path(namespace, name), body)

    async def events(
        self, kind: Kind, namespace: str | None, version: str, **query: str
    ) -> AsyncGenerator[Object, None]:
        """One watch, until the server ends it. An ERROR within it is raised as ApiError."""
        query |= {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        query["timeoutSeconds"] = str(WATCH_SECONDS)
        assert self._session is not None, "the client was not entered"
        async with self._session.get(
            f"{self._host}{kind.path(namespace)}?{urlencode(query)}",
            timeout=aiohttp.ClientTimeout(total=None, sock_read=WATCH_SECONDS + 30),
        ) as response:
            try:
                if response.status >= 400:
                    raise ApiError(response.status, json.loads(await response.text()))
                async for line in _lines(response.content):
                    event: Object = json.loads(line)
                    if event["type"] == "ERROR":
                        raise ApiError(event["object"].get("code", 0), event["object"])
                    yield event
            finally:
                # Else TLS says goodbye in the background, perhaps after the loop has ended.
                connection = response.connection
                if connection is not None and connection.transport is not None:
                    connection.transport.abort()


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: an object of a watch may be longer than the reader's own limit."""
    rest = b""
    async for chunk in stream.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line


async def quietly(call: Awaitable[Object], *codes: int) -> Object | None:
    """The answer; None where the API server refuses with one of these codes."""
    try:
        return await call
    except ApiError as refusal:
        if refusal.code in (codes or (404, 409)):
            return None
        raise
