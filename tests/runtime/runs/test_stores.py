"""Runs from S3 into S3: done, or one clear line and nothing committed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.sampled import sampled
from support.servers import S3Server, faulty_proxy, refusing, s3_server

from .given import Place, Told, lancemill, one_line, picture, spec

DATASET = "s3://test/lake/thumbnails.lance"


def fill(s3: S3Server, count: int = 4) -> list[str]:
    keys = [f"p{index}.jpg" for index in range(count)]
    for index, key in enumerate(keys):
        s3.put(f"photos/{key}", picture(index))
    return keys


def demo(
    place: Place,
    storage: dict[str, Any] | None,
    prefix: str = "s3://test/photos/",
    dataset: str = DATASET,
    **changes: Any,
) -> Path:
    """The demo's manifest with s3:// uris: source and LanceDataset, each with its storage."""
    given = {} if storage is None else {"storage": storage}
    body = spec(
        source={"objects": {"uri": prefix, "include": ["*.jpg"], "where": "size > 0", **given}},
        validate=[
            {
                "name": "no-nulls",
                "query": "select count(*) from output where image is null",
                "expect": {"max": 0},
            }
        ],
        summary=[{"name": "by-type", "query": "select type, count(*) k from output group by type"}],
        sink={"lance": {"dataset": "thumbnails", "columns": ["key", "type", "size", "image"]}},
        errors={"maxRate": 0.5},
    )
    target = {"metadata": {"name": "thumbnails"}, "spec": {"uri": dataset, **given}}
    return place.document(body | changes, datasets=[target])


def run(manifest: Path, *arguments: str) -> Told:
    return lancemill("run", manifest, "--quiet", *arguments)


def secret(place: Place, monkeypatch: pytest.MonkeyPatch, **keys: str) -> dict[str, str]:
    """A mounted secret; the reference to it."""
    folder = place.folder / "secrets" / "lake"
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in keys.items():
        (folder / name).write_text(value + "\n")
    monkeypatch.setenv("LANCEMILL_SECRETS_DIR", str(folder.parent))
    return {"name": "lake"}


def use(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores are tried twice only, so that what never works is told soon."""
    from lancemill.storage import location, options

    retry = location._retry
    monkeypatch.setattr(location, "_retry", lambda _: retry(1))
    monkeypatch.setattr(options, "RETRIES", 1)


@pytest.fixture
def key(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 with its credentials in the environment, and no endpoint."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return s3


@contextmanager
def sealed() -> Iterator[S3Server]:
    """An S3 that refuses whoever does not sign."""
    with s3_server() as server:
        server.demand_credentials()
        yield server


def nothing_committed(s3: S3Server) -> bool:
    return not [name for name in s3.list_keys("lake/") if name.endswith(".lance")]


def keys_of(s3: S3Server, dataset: str = DATASET) -> list[str]:
    import lance

    options = {
        "aws_access_key_id": s3.access_key,
        "aws_secret_access_key": s3.secret_key,
        "aws_endpoint": s3.endpoint,
        "aws_region": s3.region,
        "allow_http": "true",
    }
    table = lance.dataset(dataset, storage_options=options).to_table(columns=["key"])
    found: list[str] = table.column("key").to_pylist()
    return found


def test_the_demo_runs_on_s3_with_a_mounted_secret(
    place: Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = fill(s3)
    s3.put("photos/broken.jpg", picture(9)[:200])
    reference = secret(
        place,
        monkeypatch,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
    )
    manifest = demo(place, s3.storage(secretRef=reference))
    told = run(manifest, "--run-id", "one")
    assert told.status == 0, told.all
    assert keys_of(s3) == keys
    assert keys_of(s3, f"{DATASET}.quarantine") == ["broken.jpg"]
    outcome = json.loads(s3.get("lake/thumbnails.lance.runs/one/committed.json"))
    assert outcome["rows"] == 4 and outcome["quarantined"] == 1
    assert s3.get("lake/thumbnails.lance.runs/one/report.html").startswith(b"<!")
    assert s3.secret_key not in s3.get("lake/thumbnails.lance.runs/one/run.json").decode()


@pytest.mark.thorough
def test_the_demo_runs_on_s3_with_credentials_of_the_environment(
    place: Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = fill(s3)
    use(monkeypatch, s3.env())
    told = run(demo(place, None))
    assert told.status == 0, told.all
    assert keys_of(s3) == keys
    assert lancemill("runs", DATASET, "--json").json[0]["state"] == "committed"
    assert "4" in lancemill("show", DATASET).out
    assert lancemill("plan", demo(place, None)).status == 0


@pytest.mark.thorough
def test_incremental_runs_work_on_s3(place: Place, key: S3Server) -> None:
    keys = fill(key, 3)
    source = {
        "objects": {"uri": "s3://test/photos/", "incremental": True, "storage": key.storage()}
    }
    manifest = demo(place, key.storage(), source=source)
    assert run(manifest, "--limit", "2").status == 0
    assert run(manifest).status == 0
    assert "nothing to do" in run(manifest).first
    key.put("photos/p9.jpg", picture(10))
    key.put("photos/p0.jpg", picture(11))
    assert run(manifest).status == 0
    assert keys_of(key) == [*keys, "p0.jpg", "p9.jpg"]


def test_wrong_credentials_are_told_in_one_line(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sealed() as s3:
        fill(s3)
        use(monkeypatch, {**s3.env(), "AWS_SECRET_ACCESS_KEY": "wrong"})
        line = one_line(run(demo(place, None)), 1)
        assert "secret key is wrong" in line or "SignatureDoesNotMatch" in line
        assert "wrong" not in line.replace("is wrong", "")
        assert nothing_committed(s3)


def test_an_unknown_access_key_is_told_in_one_line(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sealed() as s3:
        fill(s3)
        use(monkeypatch, {**s3.env(), "AWS_ACCESS_KEY_ID": "AKIANOBODYNOBODYNOBO"})
        assert "access key" in one_line(run(demo(place, None)), 1)


def test_without_any_credentials_the_remedy_says_where_to_put_them(
    place: Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(s3)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    told = run(demo(place, s3.storage()))
    assert told.status in (0, 1)
    if told.status:
        assert "credentials" in one_line(told, 1)


@pytest.mark.parametrize("place_of", ["source", "dataset"])
def test_a_missing_bucket_is_named(place: Place, key: S3Server, place_of: str) -> None:
    fill(key)
    wrong = {
        "source": {"prefix": "s3://nosuch/photos/"},
        "dataset": {"dataset": "s3://nosuch/x.lance"},
    }
    line = one_line(run(demo(place, key.storage(), **wrong[place_of])), 1)
    assert "nosuch" in line and "does not exist" in line
    assert nothing_committed(key)


def test_a_prefix_without_objects_is_told(place: Place, key: S3Server) -> None:
    fill(key)
    told = run(demo(place, key.storage(), prefix="s3://test/nothing-here/"))
    assert told.status in (0, 1), told.all
    assert "nothing-here" in told.first or "0 objects" in told.first


def test_http_without_leave_is_refused_with_the_field_to_set(place: Place, key: S3Server) -> None:
    fill(key)
    told = run(demo(place, key.storage(allowHttp=False)))
    assert "plain http" in one_line(told, 1)
    assert "storage.allowHttp: true" in told.all
    assert nothing_committed(key)


def test_a_secret_that_is_not_mounted_is_named(
    place: Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANCEMILL_SECRETS_DIR", str(place.folder))
    line = one_line(run(demo(place, s3.storage(secretRef={"name": "nosuch"}))), 1)
    assert "nosuch" in line and "storage.secretRef" in line


def test_a_key_of_a_secret_that_is_misspelt_is_named(
    place: Place, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = secret(place, monkeypatch, aws_access_key="x", aws_secret_access_key="y")
    told = run(demo(place, s3.storage(secretRef=reference)))
    assert "aws_access_key" in one_line(told, 1)
    assert "did you mean aws_access_key_id?" in told.all


def test_a_server_that_is_not_there_is_one_line(
    place: Place, key: S3Server, impatient: None
) -> None:
    with refusing() as nobody:
        assert "refused" in one_line(run(demo(place, key.storage(endpoint=nobody))), 1)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "faults",
    sampled(
        [
            {"fail_every": 9, "fail_status": 503},
            {"drip": (256, 0.01), "only": "GET .*photos/p"},
            {"reset_every": 3, "only": "GET .*(list-type|photos/p|runs)"},
            {"truncate_every": 3, "only": "GET .*(list-type|photos/p|runs)"},
            {"fail_every": 9, "fail_status": 500},
            {"latency": 0.02},
        ],
        first=2,
    ),
    ids=["throttles", "drips", "resets", "truncates", "fails", "is slow"],
)
def test_a_run_is_done_through_a_server_that(
    faults: dict[str, Any], place: Place, key: S3Server
) -> None:
    keys = fill(key, 6)
    with faulty_proxy(key.endpoint, **faults) as front:
        told = run(demo(place, key.storage(endpoint=front.url)))
    assert told.status == 0, told.all
    assert keys_of(key) == keys


@pytest.mark.thorough
@pytest.mark.parametrize("faults", [{"reset_every": 6}, {"truncate_every": 6}], ids=str)
def test_a_run_over_a_network_that_breaks_everywhere_is_done_by_resuming(
    faults: dict[str, int], place: Place, key: S3Server
) -> None:
    keys = fill(key, 6)
    with faulty_proxy(key.endpoint, **faults) as front:
        manifest = demo(place, key.storage(endpoint=front.url))
        for _ in range(12):
            told = run(manifest, "--run-id", "r1")
            if told.status == 0:
                break
            one_line(told, 1)
    assert told.status == 0, told.all
    assert keys_of(key) == keys


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"fail_every": 1, "fail_status": 503}, "throttles or is overloaded"),
        ({"fail_every": 1, "fail_status": 403}, "access denied"),
    ],
    ids=["throttles", "denies"],
)
def test_one_line_tells_of_a_server_that_always(
    faults: dict[str, Any],
    words: str,
    place: Place,
    key: S3Server,
    impatient: None,
) -> None:
    fill(key)
    with faulty_proxy(key.endpoint, **faults) as front:
        told = run(demo(place, key.storage(endpoint=front.url)))
    assert words in one_line(told, 1)
    assert nothing_committed(key)


def test_a_store_that_refuses_writes_ends_the_run_in_one_line(place: Place, key: S3Server) -> None:
    fill(key)
    with faulty_proxy(
        key.endpoint, fail_every=1, fail_status=403, only="^(PUT|POST) /test/lake/.*/data/"
    ) as front:
        told = run(demo(place, key.storage(endpoint=front.url)))
    assert "access denied" in one_line(told, 1)
    assert not key.list_keys("lake/thumbnails.lance.quarantine")


@pytest.mark.thorough
def test_a_run_that_a_store_broke_is_resumed_when_it_is_well_again(
    place: Place, key: S3Server
) -> None:
    keys = fill(key, 6)
    manifest = demo(place, key.storage(endpoint="http://127.0.0.1:1"))
    with faulty_proxy(
        key.endpoint,
        fail_every=1,
        fail_status=403,
        only="^PUT /test/lake/.*(_versions|_transactions)/.*[1-9]",
    ) as front:
        manifest = demo(place, key.storage(endpoint=front.url))
        assert run(manifest, "--run-id", "r1").status == 1
    told = run(demo(place, key.storage()), "--run-id", "r1")
    assert told.status == 0, told.all
    assert keys_of(key) == keys
