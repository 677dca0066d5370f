"""Heads asked through the API server, as by an operator that runs outside the cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kube import loops
from kube.addresses import PodAddresses
from kube.control_plane import ControlPlane
from kube.rest import resource
from lancemill_operator.api import Api, configure
from lancemill_operator.progress import ByProxy, HeadUnreachable

Object = dict[str, Any]


async def answering(address: str, answer: bytes) -> asyncio.Server:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + answer)
        await writer.drain()
        writer.close()

    return await asyncio.start_server(one, address, 0)


def a_head(plane: ControlPlane, namespace: str, address: str, port: int) -> None:
    """A head's pod at that address, and the headless Service that KubeRay makes for it.

    The API server's proxy connects to addresses of pods only, as the endpoints controller found
    them.
    """
    rest, labels = plane.rest(), {"ray.io/cluster": "cats-x"}
    ports = [{"name": "lancemill", "port": port, "protocol": "TCP"}]
    rest.create(
        resource("v1", "services", namespace),
        {
            "metadata": {"name": "cats-x-head-svc"},
            "spec": {
                "clusterIP": "None",
                "ports": ports,
                "selector": labels,
                "publishNotReadyAddresses": True,
            },
        },
    )
    rest.create(
        resource("v1", "pods", namespace),
        {
            "metadata": {"name": "head", "labels": labels},
            "spec": {"nodeName": "played", "containers": [{"name": "ray-head", "image": "x"}]},
        },
    )
    rest.merge(
        resource("v1", "pods", namespace, "head", "status"),
        {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}},
    )


@pytest.mark.usefixtures("controllers")
def test_a_head_is_reached_through_the_api_server(
    control_plane: ControlPlane, namespace: str, addresses: PodAddresses
) -> None:
    address = addresses.take()

    async def play() -> None:
        server = await answering(address, b'{"run": "r"}' + b" " * 100_000)
        port = server.sockets[0].getsockname()[1]
        a_head(control_plane, namespace, address, port)
        api = Api(await configure(str(control_plane.kubeconfig())))
        try:
            heads = ByProxy(api, port, 20)
            async with asyncio.timeout(60):
                while True:  # until the API server has heard of it
                    try:
                        answer = await heads.ask(namespace, "cats-x")
                    except HeadUnreachable:
                        await asyncio.sleep(0.1)
                    else:
                        break
            assert answer.startswith(b'{"run": "r"}')
            assert len(answer) == 100_012
        finally:
            await api.close()
            server.close()
            await server.wait_closed()

    try:
        loops.run(play())
    finally:
        addresses.give_back(address)


def test_a_head_that_is_not_there_is_unreachable(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        api = Api(await configure(str(control_plane.kubeconfig())))
        try:
            with pytest.raises(HeadUnreachable, match="not found"):
                await ByProxy(api, 8787, 20).ask(namespace, "nobody")
        finally:
            await api.close()

    loops.run(play())
