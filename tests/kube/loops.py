"""An event loop whose connections end before it does.

What plays a part of a cluster here serves and asks over TLS. Whoever ends a TLS connection politely
waits for the other side; a loop that is closed meanwhile leaves a socket behind, of which Python
warns much later, in whatever test runs then. So these are cut, and let go, at the loop's end.

A server that is closed in the very moment between taking a connection and serving it leaves one
behind as well: asyncio's transport fails while it is made (`Server._attach` asserts) and nobody
closes its socket.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class CuttingLoop(asyncio.SelectorEventLoop):
    """Aborts what is still connected when it is closed."""

    def close(self) -> None:
        if not self.is_closed() and not self.is_running():
            self.run_until_complete(self._cut())
        super().close()

    async def _accept_connection2(
        self,
        factory: Any,
        connection: socket.socket,
        extra: Any,
        sslcontext: Any = None,
        server: asyncio.Server | None = None,
        *given: Any,
    ) -> None:
        if server is not None and not server.sockets:
            connection.close()  # as if it had never been taken
            return
        await super()._accept_connection2(  # type: ignore[misc]
            factory, connection, extra, sslcontext, server, *given
        )

    async def _cut(self) -> None:
        # asyncio keeps them by file descriptor, weakly, and tells nobody but by this.
        for transport in list(self._transports.values()):  # type: ignore[attr-defined]
            transport.abort()
        await asyncio.sleep(0)  # for what abort has put off to the next pass
        await asyncio.sleep(0)


def run(play: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run does."""
    with runner() as one:
        return one.run(play)


def runner() -> asyncio.Runner:
    """For several plays in one loop."""
    return asyncio.Runner(loop_factory=CuttingLoop)
