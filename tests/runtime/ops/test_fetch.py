"""fetch against real files, a real HTTP server on loopback and a store in memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import os
import socket
import ssl
import threading
import warnings
from asyncio.selector_events import _SelectorSocketTransport
from asyncio.sslproto import SSLProtocol
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import obstore
import pyarrow as pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lancemill.errors import PlanError
from lancemill.ops import fetch
from lancemill.ops.addresses import Gate, refusal
from lancemill.ops.http_client import HttpClient
from lancemill.ops.operation import Place, WorkerContext
from lancemill.ops.retriever import Surroundings
from lancemill_api.operations import Fetch as FetchSpec
from support.servers import refusing
from support.web_server import WebServer, answer

PLACE = Place("bytes", "spec.stages[0].fetch")
SCHEMA = pa.schema([("uri", pa.string())])


async def _no_sleep(_seconds):
    """Backoff without the waiting."""


def opened(context=None, surroundings=None, **options):
    options.setdefault("allow_private_addresses", True)
    spec = FetchSpec(**options)
    bound = fetch.bind(spec, SCHEMA, PLACE, None)
    return fetch.Fetch(
        spec,
        bound.schema,
        PLACE.stage,
        context or WorkerContext(),
        surroundings or Surroundings(sleep=_no_sleep),
    )


def run(uris, **options):
    """(bytes or None, fault or None) for each URI."""
    applied = opened(**options)
    try:
        outcome = applied(pa.record_batch({"uri": pa.array(uris, pa.string())}))
    finally:
        applied.close()
    faults = {fault.row: fault for fault in outcome.faults}
    return [(value, faults.get(row)) for row, value in enumerate(outcome.rows["bytes"].to_pylist())]


def reason_of(uri, **options):
    ((value, fault),) = run([uri], **options)
    assert value is None
    return fault.reason


@pytest.fixture
def server():
    with WebServer() as web:
        yield web


# -- files


def test_files_are_read_by_path_relative_path_and_uri(tmp_path):
    (tmp_path / "a b#.bin").write_bytes(b"x" * 10)
    uris = [str(tmp_path / "a b#.bin"), "a b#.bin", f"file://{tmp_path}/a%20b%23.bin"]
    results = run(uris, context=WorkerContext(base=tmp_path))
    assert results == [(b"x" * 10, None)] * 3


def test_a_null_uri_gives_null_without_a_fault(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    assert run([None, str(tmp_path / "a"), None]) == [(None, None), (b"a", None), (None, None)]


def test_an_empty_file_is_empty_bytes_and_not_null(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    assert run([str(tmp_path / "a")]) == [(b"", None)]


def test_what_is_wrong_with_a_file_is_a_fault_of_its_row_only(tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 101)
    (tmp_path / "fits").write_bytes(b"x" * 100)
    os.mkfifo(tmp_path / "pipe")
    names = ["missing", "big", "fits", "pipe", ".", "fits/below", "\0"]
    results = run([str(tmp_path / name) for name in names], max_bytes="100")
    assert [fault and fault.reason for _, fault in results] == [
        "NotFound",
        "TooLarge",
        None,
        "InvalidUri",
        "InvalidUri",
        "NotFound",
        "InvalidUri",
    ]
    assert results[2][0] == b"x" * 100


# -- http


def test_bytes_come_over_http_whatever_the_framing(server):
    body = os.urandom(300_000)
    chunked = b"".join(
        b"%x;ext=1\r\n%s\r\n" % (len(part), part)
        for part in (body[:10], body[10:70_000], body[70_000:])
    )
    server.routes = {
        "/length": answer(body),
        "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunked
        + b"0\r\nTrailer: x\r\n\r\n",
        "/close": b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n" + body,
        "/gzip": answer(gzip.compress(body), headers={"Content-Encoding": "gzip"}),
        "/continue": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer(body),
    }
    assert run([server.url(path) for path in server.routes]) == [(body, None)] * 5


def test_connections_are_used_again(server):
    server.routes = {"/a": answer(b"a"), "/b": answer(b"b" * 100)}
    context = WorkerContext(io_concurrency=2)
    results = run([server.url(path) for path in ("/a", "/b", "/missing") * 10], context=context)
    assert [value for value, _ in results] == [b"a", b"b" * 100, None] * 10
    assert server.connections <= 2


def test_a_kept_connection_that_the_server_closed_costs_no_attempt(server):
    def once_per_connection(request):
        first = sum(seen.connection == request.connection for seen in server.seen) == 1
        return answer(b"x") if first else None

    server.routes = {"/a": once_per_connection}
    context = WorkerContext(io_concurrency=1)
    assert run([server.url("/a")] * 3, context=context, attempts=1) == [(b"x", None)] * 3


def test_no_more_requests_are_in_flight_than_the_context_says_over_all_calls(server):
    full = asyncio.Event()

    async def held_till_all_are_there(_request):
        if server.in_flight == 4:
            full.set()
        await full.wait()
        await asyncio.sleep(0.01)
        return answer(b"x")

    server.routes = {"/a": held_till_all_are_there}
    applied = opened(context=WorkerContext(io_concurrency=4))
    batch = pa.record_batch({"uri": [server.url("/a")] * 8})
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(applied, [batch] * 3))
    applied.close()
    assert server.most_in_flight == 4
    assert all(outcome.rows["bytes"].to_pylist() == [b"x"] * 8 for outcome in outcomes)


@pytest.mark.parametrize(
    ("status", "reason", "asked"),
    [
        ("404 Not Found", "NotFound", 1),
        ("410 Gone", "NotFound", 1),
        ("401 Unauthorized", "Forbidden", 1),
        ("403 Forbidden", "Forbidden", 1),
        ("400 Bad Request", "HttpStatus", 1),
        ("501 Not Implemented", "HttpStatus", 1),
        ("408 Request Timeout", "HttpStatus", 3),
        ("429 Too Many Requests", "HttpStatus", 3),
        ("500 Oops", "HttpStatus", 3),
        ("503 Slow Down", "HttpStatus", 3),
    ],
)
def test_only_what_may_pass_is_asked_again(server, status, reason, asked):
    server.routes = {"/a": answer(b"no", status)}
    assert reason_of(server.url("/a"), attempts=3) == reason
    assert server.asked("/a") == asked


def test_a_server_that_recovers_loses_no_row(server):
    def third_time(request):
        return answer(b"x") if server.asked("/a") == 3 else answer(status="503 Slow Down")

    server.routes = {"/a": third_time}
    assert run([server.url("/a")], attempts=3) == [(b"x", None)]


def test_retry_after_is_waited_for_and_backoff_doubles(server):
    waits = []

    async def note(seconds):
        waits.append(seconds)

    def tells(_request):
        first = server.asked("/a") == 1
        return answer(status="429 Slow", headers={"Retry-After": "7"} if first else {})

    server.routes = {"/a": tells}
    world = Surroundings(sleep=note, chance=lambda: 1.0)
    assert reason_of(server.url("/a"), attempts=4, surroundings=world) == "HttpStatus"
    assert waits == [7.0, 0.5, 1.0]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(server):
    server.routes = {"/a": answer(status="503 Later", headers={"Retry-After": "3600"})}
    assert reason_of(server.url("/a"), attempts=4) == "HttpStatus"
    assert server.asked("/a") == 1


def test_a_connection_reset_while_the_body_comes_is_tried_again(server):
    def cut(_request):
        whole = answer(b"x" * 1000, headers={"Connection": "close"})
        return whole if server.asked("/a") == 2 else whole[:500]

    server.routes = {"/a": cut}
    assert run([server.url("/a")], attempts=2) == [(b"x" * 1000, None)]
    assert server.asked("/a") == 2


def test_a_refused_connection_is_a_fault_at_once():
    asked = []

    async def resolve(host, _port):
        asked.append(host)
        return [host]

    with refusing() as nobody:
        world = Surroundings(resolve=resolve, sleep=_no_sleep)
        assert reason_of(f"{nobody}/a", attempts=9, surroundings=world) == "Connection"
    assert asked == ["127.0.0.1"]


def test_a_body_longer_than_allowed_is_not_read(server):
    body = b"x" * 100_000
    server.routes = {
        "/length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n" + body,
        "/close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body,
        "/bomb": answer(gzip.compress(bytes(10_000_000)), headers={"Content-Encoding": "gzip"}),
    }
    results = run([server.url(path) for path in server.routes], max_bytes="50000")
    assert [fault.reason for _, fault in results] == ["TooLarge"] * 4


@pytest.mark.parametrize("stall", ["before the head", "within the head", "within the body"])
def test_a_server_that_stalls_or_drips_costs_the_timeout_and_no_more(server, stall):
    begun = {
        "before the head": b"",
        "within the head": b"HTTP/1.1 200 OK\r\nX: ",
        "within the body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
    }[stall]

    waits = []

    async def note(seconds):
        waits.append(seconds)

    server.routes = {"/a": begun}
    world = Surroundings(sleep=note)
    failed = reason_of(server.url("/a"), timeout="200ms", attempts=2, surroundings=world)
    assert failed == "Timeout"
    assert len(waits) == 1


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
    ],
)
def test_an_answer_that_is_not_http_is_a_fault_and_is_not_asked_for_again(server, wire):
    server.routes = {"/a": wire}
    assert reason_of(server.url("/a"), attempts=3) == "Connection"
    assert server.asked("/a") == 1


def test_odd_urls_reach_the_server_encoded(server):
    server.routes = {"/a%20b/%C3%A9%2F": answer(b"x")}
    assert run([server.url("/a b/é%2F?q=ü&r=[1]#fragment")]) == [(b"x", None)]
    assert server.seen[0].path == "/a%20b/%C3%A9%2F?q=%C3%BC&r=[1]"
    assert server.seen[0].headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://example.com/a",
        "data://x",
        "http://",
        "http:///a",
        "http://a:b:c/",
        "http://user:canary@example.com/",
        "http://exa mple.com/",
        "s3://bucket",
        "s3://bucket/",
        "://x",
        "file://host/x",
    ],
)
def test_what_is_no_uri_is_a_fault_that_tells_no_password(uri):
    ((_, fault),) = run([uri])
    assert fault.reason == "InvalidUri"
    assert "canary" not in fault.message


def test_messages_do_not_show_a_signed_query(server):
    ((_, fault),) = run([server.url("/a?X-Amz-Signature=canary")])
    assert fault.reason == "NotFound"
    assert "canary" not in fault.message
    assert "/a" in fault.message


# -- redirects and addresses


def test_redirects_are_followed_five_times_and_not_six(server):
    for n in range(6):
        server.routes[f"/{n}"] = answer(
            b"moved", "302 Found", {"Location": f"{n + 1}" if n % 2 else server.url(f"/{n + 1}")}
        )
    server.routes["/6"] = answer(b"x")
    assert run([server.url("/1")]) == [(b"x", None)]
    assert reason_of(server.url("/0")) == "HttpStatus"


@pytest.mark.parametrize("there", ["file:///etc/passwd", "gopher://x/", "s3://bucket/key"])
def test_a_redirect_out_of_http_is_refused(server, there):
    server.routes = {"/a": answer(b"", "302 Found", {"Location": there})}
    assert reason_of(server.url("/a")) == "InvalidUri"


def test_a_private_address_is_refused_and_nothing_is_sent(server):
    server.routes = {"/a": answer(b"x")}
    uris = [
        server.url("/a"),
        server.url("/a", "localhost"),
        server.url("/a", "127.1"),
        server.url("/a", "2130706433"),
        server.url("/a", "[::ffff:127.0.0.1]"),
        "http://169.254.169.254/latest/meta-data/",
    ]
    results = run(uris, allow_private_addresses=False)
    assert [fault.reason for _, fault in results] == ["ForbiddenAddress"] * len(uris)
    assert server.connections == 0


def the_internet_is(*addresses):
    """Surroundings in which these addresses count as public, all others as the rules say."""

    def judge(address):
        return None if address in addresses else refusal(address)

    return Surroundings(sleep=_no_sleep, judge=judge)


def named(world, **names):
    """`world` with a name server whose answers change from question to question."""
    asked = []

    async def resolve(host, _port):
        asked.append(host)
        answers = names.get(host.partition(".")[0], [host])
        return [answers[min(asked.count(host), len(answers)) - 1]]

    return replace(world, resolve=resolve), asked


@pytest.mark.parametrize("inside", ["http://10.0.0.7/secret", "http://db.test/secret"])
def test_a_redirect_to_a_private_address_is_refused(server, inside):
    server.routes = {"/a": answer(b"", "302 Found", {"Location": inside})}
    world, _ = named(the_internet_is("127.0.0.1"), db=["10.0.0.7"])
    ((_, fault),) = run([server.url("/a")], allow_private_addresses=False, surroundings=world)
    assert fault.reason == "ForbiddenAddress"
    assert "10.0.0.7" in fault.message
    assert server.asked("/a") == 1


def test_a_name_that_changes_its_address_after_the_check_is_not_followed(server):
    server.routes = {"/a": lambda _: answer(b"x", headers={"Connection": "close"})}
    world, asked = named(the_internet_is("127.0.0.1"), rebind=["127.0.0.1", "127.0.0.2"])
    uri = server.url("/a", "rebind.test")
    results = run([uri] * 3, allow_private_addresses=False, surroundings=world)
    assert results == [(b"x", None)] * 3
    assert set(asked) == {"rebind.test"}
    assert server.connections == 3


def test_a_name_that_is_not_known_is_a_fault():
    assert reason_of("http://no-such-host.invalid/a", attempts=1) == "Connection"


# -- https


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for pictures.test, trusted by nobody but whoever is given its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pictures.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("pictures.test")]), False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "pictures.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def test_https_checks_the_name_and_not_the_address_it_connects_to(authority):
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(authority)
    world, _ = named(
        Surroundings(tls=ssl.create_default_context(cafile=authority)),
        pictures=["127.0.0.1"],
        others=["127.0.0.1"],
    )
    with WebServer({"/a": answer(b"x")}, tls=own) as web:
        uris = [web.url("/a", host) for host in ("pictures.test", "others.test", "127.0.0.1")]
        results = run(uris, surroundings=world, attempts=2)
        assert results[0] == (b"x", None)
        assert [fault.reason for _, fault in results[1:]] == ["Connection"] * 2
        assert web.asked("/a") == 1
        (untrusted,) = run(uris[:1], surroundings=replace(world, tls=None))
        assert untrusted[1].reason == "Connection"


def test_connections_end_with_the_operation_though_the_server_does_not_answer_their_end(authority):
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(authority)
    done = threading.Event()

    def answer_once_and_read_no_more(listener):
        with own.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(answer(b"x"))
            done.wait(60)

    trusting = Surroundings(tls=ssl.create_default_context(cafile=authority))
    world, _ = named(trusting, pictures=["127.0.0.1"])
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(60)
        serving = pool.submit(answer_once_and_read_no_more, listener)
        url = f"https://pictures.test:{listener.getsockname()[1]}/a"
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                results = run([url], surroundings=world)
                gc.collect()
        finally:
            done.set()
        serving.result(60)
    assert results == [(b"x", None)]
    assert warned == []


@pytest.mark.parametrize("moment", ["__init__", "connection_made", "_on_handshake_complete"])
def test_a_connection_given_up_in_its_handshake_is_closed_at_once(authority, monkeypatch, moment):
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(authority)
    done = threading.Event()

    def shake_hands_and_say_no_more(listener):
        connection, _ = listener.accept()
        with contextlib.suppress(OSError), own.wrap_socket(connection, server_side=True):
            done.wait(60)

    sockets = []
    begin, act = _SelectorSocketTransport.__init__, getattr(SSLProtocol, moment)

    def noted(transport, loop, sock, *given, **named):
        sockets.append(sock)
        begin(transport, loop, sock, *given, **named)

    async def given_up(port):
        trusting = ssl.create_default_context(cafile=authority)
        trusting.check_hostname = False
        client = HttpClient(Gate(allow_private=True), tls=trusting)
        asking = asyncio.create_task(client.get(f"https://127.0.0.1:{port}/a", 100))

        def then_cancelled(*given, **named):
            act(*given, **named)
            asking.cancel()

        monkeypatch.setattr(SSLProtocol, moment, then_cancelled)
        with pytest.raises(asyncio.CancelledError):
            await asking
        for _ in range(2):  # a transport closes its socket in the loop's next turn
            await asyncio.sleep(0)
        return [sock.fileno() for sock in sockets]

    monkeypatch.setattr(_SelectorSocketTransport, "__init__", noted)
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(60)
        serving = pool.submit(shake_hands_and_say_no_more, listener)
        try:
            assert asyncio.run(given_up(listener.getsockname()[1])) == [-1]
        finally:
            done.set()
        serving.result(60)


# -- stores


def test_objects_come_from_a_store_with_literal_keys():
    from lancemill.storage import open_store

    store = open_store("memory://fetch-test").store
    obstore.put(store, "a b/é#?.bin", b"x" * 100)
    obstore.put(store, "big", b"x" * 101)
    results = run(
        ["memory://fetch-test/a b/é#?.bin", "memory://fetch-test/none", "memory://fetch-test/big"],
        max_bytes="100",
    )
    assert results[0] == (b"x" * 100, None)
    assert [fault.reason for _, fault in results[1:]] == ["NotFound", "TooLarge"]


# -- binding


def test_the_column_must_be_there_and_hold_text():
    with pytest.raises(PlanError, match=r"fetch\.column  column 'url' .* did you mean uri\?"):
        fetch.bind(FetchSpec(column="url"), SCHEMA, PLACE, None)
    with pytest.raises(PlanError, match=r"fetch\.column  column 'n' is int64, expected string"):
        fetch.bind(FetchSpec(column="n"), pa.schema([("n", pa.int64())]), PLACE, None)


def test_rows_that_could_pass_two_gibibytes_are_large_binary():
    usual = fetch.bind(FetchSpec(), SCHEMA, PLACE, None)
    large = fetch.bind(FetchSpec(max_bytes="2Gi"), SCHEMA, PLACE, None)
    films = fetch.bind(FetchSpec(max_bytes="512Mi"), SCHEMA, PLACE, None)
    assert usual.schema.field("bytes").type == pa.binary()
    assert large.schema.field("bytes").type == pa.large_binary()
    assert (usual.batch_rows, large.batch_rows, films.batch_rows) == (None, 1, 3)
