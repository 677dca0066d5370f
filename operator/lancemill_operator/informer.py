"""kopf as our informer: it lists and watches, and hands each event on; it never writes.

Only `index` and `on.event` handlers are registered: with any other, kopf would patch objects with
its finalizer and its own annotations. kopf cancels every task of its event loop when it ends, so it
has a loop of its own in a thread of its own; what it sees crosses to ours in the order of events.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import kopf
from kubernetes_asyncio.client import Configuration

from lancemill_operator import names
from lancemill_operator.kinds import WATCHED, Body, Kind
from lancemill_operator.picture import SELECTORS
from lancemill_operator.watches import Ages, response_class

Connect = Callable[[], Any]
"""Gives a coroutine with the Configuration to reach the API server by."""
News = Callable[[Kind, Body], None]
WATCHER = "watcher for "
"""How the names of kopf's watching tasks begin."""
RETRIES = (1, 1, 2, 3, 5, 8, 13, 21, 30, 30, 30, 30, 30)
"""Seconds between kopf's tries of a call; after the last its watcher ends, and we with it."""


def settings() -> kopf.OperatorSettings:
    """kopf's settings, for one that only looks."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.scanning.disabled = True
    made.peering.standalone = True
    made.process.ultimate_exiting_timeout = None
    made.watching.server_timeout = 300
    made.watching.client_timeout = 310
    made.watching.connect_timeout = 10
    made.watching.inactivity_timeout = 70
    made.watching.reconnect_backoff = 0.1
    made.networking.request_timeout = 60
    made.networking.connect_timeout = 10
    made.networking.error_backoffs = RETRIES
    made.queueing.worker_limit = None
    made.queueing.idle_timeout = 1.0
    made.queueing.exit_timeout = 1.0
    for kind, selector in SELECTORS.items():
        group, version = kind.api_version.split("/")
        made.watching.label_selectors[group, version, kind.plural] = selector
    return made


class Informer:
    """Watches our kinds from a thread of its own, until it is stopped or ends by itself."""

    def __init__(
        self,
        connect: Connect,
        namespaces: Sequence[str],
        ages: Ages,
        saw: News,
        lost: News,
        relisted: News,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._namespaces = tuple(namespaces)
        self._ages = ages
        self._saw = saw
        self._lost = lost
        self._relisted = relisted
        self._clock = clock
        self._ours = asyncio.get_running_loop()
        self._theirs: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._beat = clock()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self.ended: asyncio.Future[str] = self._ours.create_future()
        """Why it has ended."""

    def start(self) -> None:
        self._thread.start()

    def silence(self) -> float:
        """Seconds since kopf's event loop last turned."""
        return self._clock() - self._beat

    async def stop(self, seconds: float) -> None:
        """End it, and wait so long for that."""
        if self._thread.ident is None:
            return
        self._have_them(self._stop.set if self._stop is not None else _cancel_all)
        await asyncio.to_thread(self._thread.join, seconds)
        if self._thread.is_alive():  # kopf waits for ever for a session that it has closed
            self._have_them(_cancel_all)
            await asyncio.to_thread(self._thread.join, seconds)

    def _run(self) -> None:
        why = "kopf ended without being told to"
        try:
            with asyncio.Runner() as runner:
                self._theirs = runner.get_loop()
                self._theirs.set_task_factory(self._task)
                runner.run(self._operate())
        except BaseException as error:
            why = f"kopf ended: {type(error).__name__}: {error}"
        self._hand_over(self._end, why)

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)

    async def _operate(self) -> None:
        self._stop = asyncio.Event()
        heart = asyncio.create_task(self._heart())
        try:
            await kopf.operator(
                registry=self._registry(),
                settings=settings(),
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                standalone=True,
                # Else kopf asks for the name of the user, whom an image need not know.
                identity=names.MANAGER,  # type: ignore[arg-type]  # a type of kopf's own
                stop_flag=self._stop,
            )
        finally:
            heart.cancel()

    async def _heart(self) -> None:
        while True:
            self._beat = self._clock()
            await asyncio.sleep(1)

    def _task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any
    ) -> asyncio.Task[Any]:
        """Makes kopf's tasks, to hear of it when one that watches ends.

        kopf does not always notice that itself, and where it does may hang on its way out.
        """
        task = asyncio.Task(coroutine, loop=loop, **more)
        loop.call_soon(self._note, task)  # before Python 3.13 a task gets its name afterwards
        return task

    def _note(self, task: asyncio.Task[Any]) -> None:
        if task.get_name().startswith(WATCHER):
            task.add_done_callback(self._watcher_ended)

    def _watcher_ended(self, task: asyncio.Task[Any]) -> None:
        if self._stop is not None and not self._stop.is_set():
            self._hand_over(self._end, f"kopf's {task.get_name()} has ended")

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for kind in WATCHED:
            self._register(registry, kind)
        return registry

    def _register(self, registry: kopf.OperatorRegistry, kind: Kind) -> None:
        group, version = kind.api_version.split("/")

        async def saw(body: kopf.Body, **_: Any) -> None:
            self._hand_over(self._saw, kind, dict(body))

        async def happened(event: kopf.RawEvent, **_: Any) -> None:
            if event["type"] == "DELETED":
                self._hand_over(self._lost, kind, event["object"])
            elif event["type"] is None:
                self._hand_over(self._relisted, kind, event["object"])

        name = f"saw_{kind.plural}"
        kopf.index(group, version, kind.plural, id=name, registry=registry)(saw)
        kopf.on.event(group, version, kind.plural, id=kind.plural, registry=registry)(happened)

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        configuration: Configuration = await self._connect()
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls(configuration)),
            middlewares=(_authorization(configuration),),
            response_class=response_class(self._ages),
            trust_env=True,
            proxy=configuration.proxy,
        )
        return kopf.AiohttpSession(server=configuration.host or "", aiohttp_session=session)

    def _have_them(self, do: Callable[[], None]) -> None:
        """Have kopf's loop do it; nothing where that has ended."""
        if self._theirs is not None:
            with contextlib.suppress(RuntimeError):
                self._theirs.call_soon_threadsafe(do)

    def _hand_over(self, to: Callable[..., None], *what: Any) -> None:
        """Have our own loop do it; nothing where that has ended."""
        with contextlib.suppress(RuntimeError):
            self._ours.call_soon_threadsafe(to, *what)


def _cancel_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()


def _authorization(configuration: Configuration) -> aiohttp.ClientMiddlewareType:
    """Who we are, for each request anew: tokens of pods change every hour."""

    async def authorize(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        key = await configuration.get_api_key_with_prefix("BearerToken")
        if key is not None:
            request.headers["Authorization"] = key
        elif configuration.username:
            request.headers["Authorization"] = configuration.get_basic_auth_token()
        return await handler(request)

    return authorize


def tls(configuration: Configuration) -> ssl.SSLContext:
    """How the API server proves who it is, and we who we are."""
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.disable_strict_ssl_verification:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
