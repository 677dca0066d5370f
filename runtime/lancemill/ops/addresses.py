"""Which network addresses a row may send a worker to.

A uri column is data, often a stranger's, and the worker that fetches it stands inside a cluster:
without these rules a row could read a cloud's metadata service or a neighbour's database. Names
are resolved here, each address is judged, and the connection goes to the very address that was
judged, so that a name that changes its answer between check and use gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host name, as text, in order of preference; raises OSError."""

Judge = Callable[[str], str | None]
"""Why an address may not be reached, None where it may."""

REMEMBER_S = 60.0
"""How long an answer of the resolver is used: far below what a redeployed server needs to move."""

_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"),
    )
)
"""Clouds' metadata services; Azure's is a public address, so no general rule covers it."""

_IPV4_IN_IPV6 = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (
        ("::ffff:0:0/96", 0),  # IPv4-mapped
        ("::ffff:0:0:0/96", 0),  # IPv4-translated (SIIT)
        ("::/96", 0),  # IPv4-compatible
        ("64:ff9b::/96", 0),  # NAT64
        ("2002::/16", 80),  # 6to4
    )
)
_LOCAL_IPV6 = tuple(map(ipaddress.IPv6Network, ("64:ff9b:1::/48", "fec0::/10", "2001::/32")))
"""Local NAT64, site-local, and Teredo (which hides an IPv4 address of its own)."""


class ForbiddenAddressError(Exception):
    """A host stands for no address that a row may reach."""


def refusal(text: str) -> str | None:
    """Why the address `text` may not be reached, or None where it may."""
    address = ipaddress.ip_address(text.partition("%")[0])
    inner = _embedded(address)
    return _refusal(address) if inner is None else _refusal(inner)


def _embedded(address: IpAddress) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv6Address):
        for network, shift in _IPV4_IN_IPV6:
            if address in network:
                return ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
    return None


def _refusal(address: IpAddress) -> str | None:
    if address in _METADATA:
        return "a metadata service"
    for kind in ("loopback", "link_local", "multicast", "unspecified", "private", "reserved"):
        if getattr(address, f"is_{kind}"):
            return kind.replace("_", "-")
    if isinstance(address, ipaddress.IPv6Address) and any(address in net for net in _LOCAL_IPV6):
        return "not globally reachable"
    return None if address.is_global else "not globally reachable"


async def system_resolver(host: str, port: int) -> list[str]:
    """The operating system's resolver, asked on a thread."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Gate:
    """Resolves hosts and lets only permitted addresses through; remembers for a minute."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        resolve: Resolver = system_resolver,
        judge: Judge = refusal,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._judge = judge
        self._clock = clock
        self._known: dict[tuple[str, int], tuple[float, tuple[str, ...]]] = {}
        self._asking: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Addresses of `host` that may be connected to: one or more, or ForbiddenAddressError."""
        known = self._known.get((host, port))
        if known is None or known[0] <= self._clock():
            known = await self._ask(host, port)
        return known[1]

    async def _ask(self, host: str, port: int) -> tuple[float, tuple[str, ...]]:
        """Ask the resolver, once for all that wait for the same answer."""
        async with self._asking[host, port]:
            known = self._known.get((host, port))
            if known is None or known[0] <= self._clock():
                allowed = self._allowed(host, await self._resolve(host, port))
                known = self._known[host, port] = (self._clock() + REMEMBER_S, allowed)
            return known

    def _allowed(self, host: str, found: Sequence[str]) -> tuple[str, ...]:
        if not found:
            raise OSError(f"{host} has no address")
        if self._allow_private:
            return tuple(found)
        refused = {address: self._judge(address) for address in found}
        allowed = tuple(address for address, why in refused.items() if why is None)
        if not allowed:
            address, why = next(iter(refused.items()))
            raise ForbiddenAddressError(f"{host} is {address} ({why})")
        return allowed
