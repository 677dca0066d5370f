"""kubernetes_asyncio's client, closed when its block ends."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, Configuration


@contextlib.asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[ApiClient]:
    settings = Configuration()
    await config.load_kube_config(str(kubeconfig), client_configuration=settings)
    async with ApiClient(settings) as client:
        yield client
