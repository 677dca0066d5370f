"""Lance reaches the same store by the same block, and its errors are told in the same words."""

from __future__ import annotations

import lance
import pyarrow as pa
import pytest

from lancemill.storage import explain, lance_options
from support.servers import S3Server, faulty_proxy, refusing


def write(uri: str, block: dict[str, object]) -> None:
    options = lance_options(block, uri)
    lance.write_dataset(pa.table({"n": [1, 2]}), uri, storage_options=options)


def test_a_dataset_is_written_and_read_by_a_manifests_block(s3: S3Server) -> None:
    write(s3.uri("a.lance"), s3.storage())
    options = lance_options(s3.storage(), s3.uri("a.lance"))
    assert lance.dataset(s3.uri("a.lance"), storage_options=options).count_rows() == 2


def test_the_retries_asked_for_are_lances_own(s3: S3Server) -> None:
    with faulty_proxy(s3.endpoint, statuses=[503] * 5) as front:
        write(s3.uri("b.lance"), s3.storage(endpoint=front.url))
    assert any(key.startswith("b.lance/data/") for key in s3.list_keys())


@pytest.mark.parametrize(
    ("bucket", "endpoint", "told"),
    [
        ("nowhere", None, "the bucket 'nowhere' does not exist"),
        ("test", "refused", "no connection: it is refused, or breaks each time"),
    ],
)
def test_what_lance_meets_is_explained(
    s3: S3Server, bucket: str, endpoint: str | None, told: str
) -> None:
    uri = f"s3://{bucket}/c.lance"
    with refusing() as nobody:
        block = s3.storage(endpoint=nobody if endpoint else s3.endpoint)
        options = {**lance_options(block, uri), "client_max_retries": "0"}
        with pytest.raises((OSError, ValueError)) as caught:
            lance.dataset(uri, storage_options=options)
    error = explain(caught.value, uri)
    assert str(error) == f"{uri}: {told}"
    assert error.remedy
