"""A name server that knows the head Services of played clusters, for the real KubeRay.

The stand-in needs none: it takes a head's address from its pod. The real operator asks for
`NAME-head-svc.NAMESPACE.svc.cluster.local`; whatever else it asks for does not exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address
from typing import cast

from kube.addresses import pod_addresses

PORT = 53
ZONE = ".svc.cluster.local"
_A, _INTERNET = 1, 1
_ANSWER, _AUTHORITATIVE, _RECURSION = 0x8000, 0x0400, 0x0180
_NO_SUCH_NAME = 3
_POINTER_TO_QUESTION = 0xC00C


def question(packet: bytes) -> tuple[str, int, int]:
    """Name and type asked for, and where the question ends."""
    labels, at = [], 12
    while length := packet[at]:
        labels.append(packet[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    kind, _ = struct.unpack_from("!HH", packet, at + 1)
    return ".".join(labels).lower(), kind, at + 5


def reply(packet: bytes, address_of: Callable[[str, str], str | None]) -> bytes:
    """`address_of(service, namespace)` is the address of a head, if there is one."""
    name, kind, end = question(packet)
    service, _, namespace = name.removesuffix(ZONE).partition(".")
    found = address_of(service, namespace) if name.endswith(ZONE) else None
    flags = _ANSWER | _AUTHORITATIVE | _RECURSION | (0 if found else _NO_SUCH_NAME)
    answers = b""
    if found and kind == _A:
        head = struct.pack("!HHHIH", _POINTER_TO_QUESTION, _A, _INTERNET, 0, 4)
        answers = head + IPv4Address(found).packed
    counts = struct.pack("!HHHH", 1, 1 if answers else 0, 0, 0)
    return packet[:2] + struct.pack("!H", flags) + counts + packet[12:end] + answers


class _Server(asyncio.DatagramProtocol):
    def __init__(self, address_of: Callable[[str, str], str | None]) -> None:
        self._address_of = address_of
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # In Python 3.11 the transport of a datagram endpoint is no DatagramTransport by class.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(reply(data, self._address_of), addr)


@contextlib.asynccontextmanager
async def resolver(
    address_of: Callable[[str, str], str | None], port: int = PORT
) -> AsyncIterator[str]:
    """Yields the address that it listens at; port 53 takes root."""
    with pod_addresses() as addresses:
        address = addresses.take()
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Server(address_of), local_addr=(address, port)
        )
        try:
            yield address
        finally:
            transport.close()
