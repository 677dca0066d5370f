"""The loop that plays parts of a cluster leaves no socket behind."""

import asyncio
import gc
import socket

import pytest

from kube import loops


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_a_server_closed_just_as_it_took_a_connection_leaves_no_socket_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unraisable: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda one: unraisable.append(one.exc_value))

    async def play() -> bytes:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            await asyncio.sleep(0)  # the loop sees the connection
            await asyncio.sleep(0)  # and takes it; whoever serves it comes after us
            server.close()
            client.setblocking(False)
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 30)

    assert loops.run(play()) == b""
    gc.collect()
    assert unraisable == []
