"""A proxy before the API server that does what networks and API servers do at their worst.

It forwards everything and keeps a record of it. Rules decide which requests meet a fault: see
`kube.faults` for those there are. A fault is an async function of an `Exchange`, so a test may
write its own, such as "kill the operator before this request is forwarded":

    with fault_proxy(plane) as proxy:
        kubeconfig = plane.kubeconfig(server=proxy.url)
        proxy.inject(lambda call: call.writes, lost_answer(), skip=2)   # the third write only
        ...
        assert [str(call) for call in proxy.writes()] == ["apply multimodalpipelines/status a", …]

It speaks TLS with the API server's own certificate, because client-go sends no token without. It
runs in a thread and a loop of its own: tests, synchronous or not, and the operator do not share
either with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from kube.calls import Call, parsed_call
from kube.control_plane import ControlPlane
from kube.exchange import Exchange, Fault, end_to_end
from kube.loops import CuttingLoop

When = Callable[[Call], bool]

_LARGEST = 64 << 20


@dataclass
class Rule:
    """The fault befalls the calls that match, after the first `skip` of them, `times` times."""

    when: When
    fault: Fault
    skip: int = 0
    times: int | None = 1
    seen: int = 0
    done: int = 0

    def takes(self, call: Call) -> bool:
        if not self.when(call) or (self.times is not None and self.done >= self.times):
            return False
        self.seen += 1
        if self.seen <= self.skip:
            return False
        self.done += 1
        return True


@dataclass
class FaultProxy:
    """What a test holds. All methods may be called from any thread."""

    url: str
    calls: list[Call] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    under_way: int = 0
    is_shut: bool = False
    _open: threading.Event = field(default_factory=threading.Event)

    def inject(self, when: When, fault: Fault, *, skip: int = 0, times: int | None = 1) -> Rule:
        """The newest rule is asked first. Returned, so that a test can see whether it was met."""
        rule = Rule(when, fault, skip, times)
        self.rules.insert(0, rule)
        return rule

    def clear(self) -> None:
        """No more faults; what is frozen goes on."""
        self.rules.clear()
        self.thaw()

    def freeze(self) -> None:
        """No request that arrives from now on is forwarded: nothing happens behind our back."""
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    def shut(self) -> None:
        """Nothing passes ever again, not even what waits: whoever uses it is as good as dead."""
        self.is_shut = True
        self.freeze()

    @property
    def frozen(self) -> bool:
        return not self._open.is_set()

    def writes(self, *resources: str) -> list[Call]:
        """In the order they arrived; of these resources, or of all but events and leases."""
        calls = [call for call in self.calls if call.writes]
        if resources:
            return [call for call in calls if call.resource in resources]
        return [call for call in calls if call.resource not in ("events", "leases")]

    def wait_for(self, when: When, timeout: float = 60) -> Call:
        """The first call that matches, as soon as it is there; statuses may still be open."""
        deadline = time.monotonic() + timeout
        while True:
            for call in list(self.calls):
                if when(call):
                    return call
            if time.monotonic() > deadline:
                seen = "\n".join(f"  {call} {call.status}" for call in self.calls[-30:])
                raise TimeoutError(f"no such request in {timeout} s; the last ones:\n{seen}")
            time.sleep(0.02)


@dataclass
class Relay:
    """The proxy's asynchronous half: it lives in one loop with its server and its session."""

    plane: ControlPlane
    proxy: FaultProxy
    session: aiohttp.ClientSession
    unfinished: set[asyncio.Task[Any]] = field(default_factory=set)

    def runner(self) -> web.AppRunner:
        """A server of it, still without an address."""
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_route("*", "/{path:.*}", self.handle)
        # A client that hangs up ends its handler, and with that the watch behind it.
        return web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        await self._until_thawed(request)
        call = parsed_call(
            len(self.proxy.calls),
            request.method,
            request.path,
            request.query,
            request.headers,
            body,
        )
        self.proxy.calls.append(call)
        upstream = functools.partial(self._request, request, body)
        exchange = Exchange(call, self.proxy.freeze, request, upstream, self.unfinished)
        self.proxy.under_way += 1
        try:
            await self._fault_for(call)(exchange)
        except (aiohttp.ClientError, ConnectionError):
            exchange.reset()  # either side is gone: so is the other, as with a plain relay
        finally:
            self.proxy.under_way -= 1
        return exchange.response or web.Response()

    async def _until_thawed(self, request: web.Request) -> None:
        """What a client sent before it was killed must not come to life with its successor."""
        if not self.proxy.frozen:
            return
        while self.proxy.frozen:
            await asyncio.sleep(0.01)
            if self.proxy.is_shut:
                raise asyncio.CancelledError
        await asyncio.sleep(0.05)  # for the loop to see which connections are closed: cancels us
        if request.transport is None or request.transport.is_closing():
            raise asyncio.CancelledError

    def _fault_for(self, call: Call) -> Fault:
        for rule in list(self.proxy.rules):
            if rule.takes(call):
                call.fault = getattr(rule.fault, "__name__", "fault")
                return rule.fault
        return Exchange.pass_on

    def _request(
        self, request: web.Request, body: bytes
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self.session.request(
            request.method,
            f"{self.plane.server}{request.raw_path}",
            data=body or None,
            headers=end_to_end(request.headers),
            allow_redirects=False,
        )


@contextlib.asynccontextmanager
async def _serving(plane: ControlPlane) -> AsyncIterator[FaultProxy]:
    upstream = ssl.create_default_context(cafile=plane.authority)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(plane.authority, plane.authority.with_suffix(".key"))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=upstream, limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
    ) as session:
        proxy = FaultProxy("")
        proxy.thaw()
        relay = Relay(plane, proxy, session)
        runner = relay.runner()
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving)
            await site.start()
            proxy.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
            yield proxy
        finally:
            proxy.thaw()
            await runner.cleanup()
            await asyncio.gather(*relay.unfinished, return_exceptions=True)


@contextlib.contextmanager
def fault_proxy(plane: ControlPlane) -> Iterator[FaultProxy]:
    """A proxy before this control plane, with no rules yet."""
    with asyncio.Runner(loop_factory=CuttingLoop) as runner:
        loop = runner.get_loop()
        serving = _serving(plane)
        proxy = loop.run_until_complete(serving.__aenter__())
        thread = threading.Thread(target=loop.run_forever, name="fault-proxy", daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(serving.__aexit__(None, None, None))
