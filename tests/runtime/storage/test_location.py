"""Small objects in places: the same behaviour on a disk, in memory and in an S3."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lancemill.errors import StorageError
from lancemill.storage import Location, open_store, probe_conditional_put
from lancemill.storage.uris import absolute, file_uri, local_path, split
from support.servers import S3Server, faulty_proxy, refusing


@pytest.fixture(params=["file", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "file":
        return open_store(str(tmp_path / "a b%" / "runs"))
    if request.param == "memory":
        return open_store(f"memory://{uuid.uuid4().hex}/runs")
    s3: S3Server = request.getfixturevalue("s3")
    return open_store(s3.uri("runs"), s3.storage())


def test_what_was_put_is_got_and_listed_in_order(place: Location) -> None:
    place.put("b/2.json", b"two")
    place.put("a.json", b"one")
    place.put("b/10.json", b"ten")
    place.put("a.json", b"one again")
    assert place.get("a.json") == b"one again"
    assert place.get("none.json") is None
    assert place.list() == ["a.json", "b/10.json", "b/2.json"]
    assert place.list("b") == ["b/10.json", "b/2.json"]
    assert place.list("nothing") == []
    assert place.child("b").list() == ["10.json", "2.json"]


def test_deleting_twice_is_no_error(place: Location) -> None:
    place.put("a", b"1")
    place.delete("a", "never-there")
    place.delete("a")
    assert place.list() == []


def test_of_many_that_create_the_same_object_one_wins(place: Location) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: place.put_new("claim", str(n).encode()), range(8)))
    assert won.count(True) == 1
    assert place.get("claim") == str(won.index(True)).encode()


def test_a_store_with_conditional_writes_is_recognised_and_left_clean(place: Location) -> None:
    assert probe_conditional_put(place)
    assert place.list() == []


def test_a_store_that_ignores_conditions_is_detected() -> None:
    from obstore.store import MemoryStore

    class Careless(MemoryStore):
        def put(self, path: str, data: bytes, **_: object) -> object:  # type: ignore[override]
            return super().put(path, data)

    assert not probe_conditional_put(Location(Careless(), "runs", "memory://careless/runs"))


def test_endpoint_and_keys_of_the_environment_are_used_as_boto_does(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto.env().items():
        monkeypatch.setenv(name, value)
    open_store(moto.uri("env")).put("a", b"1")
    assert moto.get("env/a") == b"1"


def test_a_store_that_throttles_now_and_then_is_written_all_the_same(s3: S3Server) -> None:
    with faulty_proxy(s3.endpoint, fail_every=2, reset_every=5) as front:
        place = open_store(s3.uri("runs"), s3.storage(endpoint=front.url))
        for n in range(10):
            place.put(f"{n}.json", b"x" * n)
        assert [place.get(f"{n}.json") for n in range(10)] == [b"x" * n for n in range(10)]


class TestErrors:
    """One line that says where, what and how to go on."""

    def told(self, place: Location, name: str = "x") -> tuple[str, str]:
        with pytest.raises(StorageError) as caught:
            place.put(name, b"1")
        message = str(caught.value)
        assert "\n" not in message + caught.value.remedy
        assert place.uri in message
        with pytest.raises(StorageError) as listed:
            place.list()
        assert str(listed.value).split(": ", 1)[1] == message.split(": ", 1)[1]
        return message, caught.value.remedy

    def test_a_missing_bucket(self, s3: S3Server) -> None:
        message, remedy = self.told(open_store("s3://nowhere/p", s3.storage()))
        assert "the bucket 'nowhere' does not exist" in message
        assert "storage.endpoint" in remedy
        with pytest.raises(StorageError, match="bucket 'nowhere' does not exist"):
            open_store("s3://nowhere/p", s3.storage()).get("x")

    def test_a_refused_connection(self, s3: S3Server) -> None:
        with refusing() as nobody:
            block = s3.storage(endpoint=nobody)
            message, _ = self.told(open_store(s3.uri(), block, retries=0), "SSL-404")
        assert "the connection is refused" in message

    def test_a_store_that_always_throttles(self, s3: S3Server) -> None:
        with faulty_proxy(s3.endpoint, fail_every=1) as front:
            message, remedy = self.told(
                open_store(s3.uri(), s3.storage(endpoint=front.url), retries=1)
            )
        assert "throttles" in message
        assert "run again" in remedy

    def test_a_connection_that_breaks_each_time(self, s3: S3Server) -> None:
        s3.put("x", b"1" * 1000)
        with faulty_proxy(s3.endpoint, truncate_every=1) as front:
            place = open_store(s3.uri(), s3.storage(endpoint=front.url), retries=1)
            with pytest.raises(StorageError, match="the connection broke"):
                place.get("x")

    def test_a_server_that_speaks_no_tls(self, s3: S3Server) -> None:
        block = s3.storage(endpoint=s3.endpoint.replace("http:", "https:"))
        message, _ = self.told(open_store(s3.uri(), block, retries=0))
        assert "no secure connection" in message

    def test_an_unknown_host(self, s3: S3Server) -> None:
        block = s3.storage(endpoint="http://no-such-host.invalid")
        place = open_store(s3.uri(), block, retries=0)
        with pytest.raises(StorageError, match=r"not known|refused|broke|denied"):
            place.get("x")

    def test_a_folder_without_permission(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match=r"no folder|does not exist|exists already"):
            open_store(str(tmp_path / "file")).put("x", b"1")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("ftp://h/p", "there is no store for ftp://"),
        ("s3:///p", "names no bucket"),
        ("https:///p", "names no host"),
        ("file://host/p", "a file uri holds no host"),
    ],
)
def test_a_uri_without_a_store_is_refused(uri: str, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        open_store(uri)


def test_paths_are_literal_and_file_uris_are_encoded(tmp_path: Path) -> None:
    odd = tmp_path / "100% #1?.jpg"
    assert local_path(str(odd)) == odd
    assert local_path("100% #1?.jpg", tmp_path) == odd
    assert local_path(file_uri(str(odd))) == odd
    assert absolute("file:///a/./b%20c") == "/a/b c"
    assert split("s3a://b/k%20y/").path == "k%20y"
    assert absolute("sub/../x", tmp_path) == str(tmp_path / "x")
