"""Object tables of an S3 and of ordinary web servers."""

from __future__ import annotations

import http.server
import os
import threading
from pathlib import Path

import pytest

from lancemill.errors import StorageError
from lancemill.sources import snapshot_file
from lancemill.sources.http_index import list_index
from support.servers import S3Server, faulty_http, faulty_proxy

from .given import keys, objects, rows


def test_a_prefix_of_a_bucket_is_listed_with_etags_and_uris(s3: S3Server, tmp_path: Path) -> None:
    for key in ("cats/a b%.jpg", "cats/b/ü.png", "cats/0.txt", "catsup/no.jpg", "dogs/no.jpg"):
        s3.put(key, key.encode())
    source = objects(s3.uri("cats/"), tmp_path, storage=s3.storage(), exclude=["*.txt"])
    found = rows(source.take_snapshot(str(tmp_path / "out")))
    assert [row["key"] for row in found] == ["a b%.jpg", "b/ü.png"]
    assert [row["uri"] for row in found] == [s3.uri("cats/a b%.jpg"), s3.uri("cats/b/ü.png")]
    head = s3.client.head_object(Bucket=s3.bucket, Key="cats/b/ü.png")
    assert found[1]["etag"] == head["ETag"].strip('"')
    assert found[1]["last_modified"] == head["LastModified"]
    assert found[1]["size"] == head["ContentLength"]


def test_a_snapshot_may_lie_in_a_bucket(s3: S3Server, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for n in range(30):
        (tmp_path / "in" / f"{n:02d}").write_bytes(b"x" * n)
    source = objects("in", tmp_path, ledger_storage=s3.storage())
    snapshot = source.take_snapshot(s3.uri("cats.lance.runs/r1/source"))
    assert s3.list_keys() == ["cats.lance.runs/r1/source/listing.parquet"]
    again = source.open_snapshot(snapshot.document)
    found = rows(again, ["key", "size"], target_bytes=40, max_rows=3)
    assert found == [{"key": f"{n:02d}", "size": n} for n in range(30)]


def test_a_large_snapshot_goes_up_in_no_more_parts_than_a_store_takes(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_file, "MOST_PARTS", 2)
    monkeypatch.setattr(snapshot_file, "PART_BYTES", 5 << 20)
    path, copy, data = tmp_path / "made", tmp_path / "copy", os.urandom(11 << 20)
    path.write_bytes(data)
    uri = snapshot_file.publish(path, s3.uri("runs/1"), "listing.parquet", s3.storage())
    told = s3.client.head_object(Bucket=s3.bucket, Key="runs/1/listing.parquet")
    assert told["ETag"].strip('"').endswith("-2")
    snapshot_file.fetch(uri, copy, s3.storage())
    assert copy.read_bytes() == data


def test_folder_markers_of_consoles_are_no_objects(s3: S3Server, tmp_path: Path) -> None:
    for key in ("cats/", "cats/b/", "cats/b/1.jpg"):
        s3.put(key, b"" if key.endswith("/") else b"1")
    source = objects(s3.uri("cats/"), tmp_path, storage=s3.storage())
    assert keys(source.take_snapshot(str(tmp_path / "out"))) == ["b/1.jpg"]


def test_a_key_is_its_own_only_object(s3: S3Server, tmp_path: Path) -> None:
    s3.put("cats/1.jpg", b"123")
    source = objects(s3.uri("cats/1.jpg"), tmp_path, storage=s3.storage())
    (row,) = rows(source.take_snapshot(str(tmp_path / "out")))
    assert (row["key"], row["uri"], row["size"]) == ("1.jpg", s3.uri("cats/1.jpg"), 3)


def test_an_empty_prefix_is_an_empty_table_and_a_missing_bucket_an_error(
    s3: S3Server, tmp_path: Path
) -> None:
    source = objects(s3.uri("none/"), tmp_path, storage=s3.storage())
    assert source.take_snapshot(str(tmp_path / "out")).document["told"] == "0 objects"
    with pytest.raises(StorageError, match="the bucket 'nowhere' does not exist"):
        objects("s3://nowhere/p/", tmp_path, storage=s3.storage()).take_snapshot(str(tmp_path))


def test_a_listing_survives_a_store_that_throttles_and_resets(s3: S3Server, tmp_path: Path) -> None:
    for n in range(20):
        s3.put(f"p/{n:02d}", b"x")
    with faulty_proxy(s3.endpoint, statuses=[503, 500, 200, 503]) as front:
        source = objects(s3.uri("p/"), tmp_path, storage=s3.storage(endpoint=front.url))
        assert len(keys(source.take_snapshot(str(tmp_path / "out")))) == 20
    assert len(front.requests) == 3


def test_a_key_that_cannot_be_addressed_is_told(s3: S3Server, tmp_path: Path) -> None:
    s3.put("p/a//b.jpg", b"x")
    with pytest.raises(StorageError, match="whose name cannot be addressed") as caught:
        objects(s3.uri("p/"), tmp_path, storage=s3.storage()).take_snapshot(str(tmp_path))
    assert "a//b.jpg" in str(caught.value)
    s3.client.delete_object(Bucket=s3.bucket, Key="p/a//b.jpg")


FILES = {"in/b.jpg": b"bb", "in/a b%.jpg": b"a", "in/sub/c.png": b"ccc", "other/no.jpg": b"n"}


def test_index_pages_are_followed_below_the_prefix_in_key_order(tmp_path: Path) -> None:
    with faulty_http(FILES) as server:
        found = rows(objects(server.uri("in/"), tmp_path).take_snapshot(str(tmp_path / "out")))
    assert [row["key"] for row in found] == ["a b%.jpg", "b.jpg", "sub/c.png"]
    assert [row["size"] for row in found] == [1, 2, 3]
    assert found[0]["uri"] == server.uri("in/a b%.jpg")
    assert found[0]["etag"] is not None
    assert found[0]["last_modified"].timestamp() == 1_700_000_000
    assert not any("other" in asked.path for asked in server.requests)


def test_only_objects_that_the_globs_keep_are_asked_for_their_size(tmp_path: Path) -> None:
    with faulty_http(FILES) as server:
        source = objects(server.uri("in/"), tmp_path, include=["*.png"])
        assert source.take_snapshot(str(tmp_path / "out")).document["told"] == (
            '3 objects, 1 matched include ["*.png"]'
        )
    heads = [asked.path for asked in server.requests if asked.method == "HEAD"]
    assert heads == ["/in/sub/c.png"]


APACHE = b"""<html><body><h1>Index of /in</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td><a href="/">Parent Directory</a></td></tr>
<tr><td><a href="b.jpg">b.jpg</a></td><td>1.2M</td></tr>
<tr><td><a href="sub/">sub/</a></td></tr>
<tr><td><a href="#top">top</a> <a href="mailto:x@example.com">mail</a>
<a href="https://elsewhere.invalid/in/x.jpg">x</a> <a href="//elsewhere.invalid/in/y.jpg">y</a>
<a href="../other/no.jpg">no</a> <a href="javascript:void(0)">js</a></td></tr>
</table></body></html>"""
NGINX = b"""<html><body><h1>Index of /in/</h1><hr><pre><a href="../">../</a>
<a href="a%20b%25.jpg">a b%.jpg</a>      21-Nov-2026 10:00     1
<a href="/in/sub/">sub/</a>              21-Nov-2026 10:00     -
</pre></body></html>"""


@pytest.mark.parametrize(
    ("page", "expected"),
    [(APACHE, ["b.jpg", "sub/c.png"]), (NGINX, ["a b%.jpg", "sub/c.png"])],
    ids=["apache", "nginx"],
)
def test_pages_of_apache_and_nginx_give_their_children_only(
    page: bytes, expected: list[str]
) -> None:
    with faulty_http({**FILES, "in/": page}) as server:
        assert [one.key for one in list_index(server.uri("in/"))] == expected


def test_pages_of_pythons_own_server_are_read(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "ü #1.jpg").write_bytes(b"123")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            (found,) = list_index(f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
            thread.join()
    assert (found.key, found.size) == ("sub/ü #1.jpg", 3)


def test_an_index_on_a_server_that_fails_now_and_then_is_read_all_the_same() -> None:
    with faulty_http(FILES, fail_every=3, reset_every=4) as server:
        found = [one.key for one in list_index(server.uri("in/"), pause_s=0.001)]
    assert found == ["a b%.jpg", "b.jpg", "sub/c.png"]


@pytest.mark.parametrize(
    ("faults", "path", "message"),
    [
        ({}, "nowhere/", "it does not exist"),
        ({"fail_every": 1}, "in/", "throttles"),
        ({"fail_every": 1, "fail_status": 403}, "in/", "access denied"),
        ({"truncate_every": 1}, "in/", "the connection broke"),
    ],
)
def test_a_server_that_refuses_is_told_in_one_line(
    faults: dict[str, int], path: str, message: str
) -> None:
    with (
        faulty_http(FILES, **faults) as server,
        pytest.raises(StorageError, match=message) as caught,
    ):
        list(list_index(server.uri(path), pause_s=0.001))
    assert str(caught.value).startswith(server.uri(path))


def test_one_object_of_a_web_server_is_its_own_only_object() -> None:
    with faulty_http(FILES) as server:
        (found,) = list_index(server.uri("in/b.jpg"))
    assert (found.key, found.size, found.uri) == ("b.jpg", 2, server.uri("in/b.jpg"))
