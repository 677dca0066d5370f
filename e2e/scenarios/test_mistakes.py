"""What people get wrong, and whether they are told in words that help."""

from __future__ import annotations

import json

from e2e.tenant import Tenant, condition, message


def test_a_broken_picture_is_set_aside_and_named(
    tenant: Tenant, pictures: dict[str, bytes]
) -> None:
    tenant.put("pictures", {"cut-short.jpg": pictures["cut-short.jpg"]})
    tenant.put("pictures", {name: pictures[name] for name in sorted(pictures)[:12]})
    tenant.kubectl.apply(*tenant.documents())
    run = tenant.succeeded()["status"]["lastRun"]
    assert run["quarantined"] == 1
    rows = tenant.rows(tenant.uri("thumbnails.lance.quarantine")).to_pylist()
    assert [(one["key"], one["reason"]) for one in rows] == [("cut-short.jpg", "Truncated")]


def test_too_many_broken_pictures_end_the_run_with_a_reason(
    tenant: Tenant, pictures: dict[str, bytes]
) -> None:
    broken = {f"broken-{number}.jpg": pictures["cut-short.jpg"] for number in range(6)}
    tenant.put("pictures", broken)
    tenant.kubectl.apply(*tenant.documents())
    ended = tenant.ended()
    last = ended["status"]["lastRun"]
    assert last["result"] == "Failed"
    assert "6 of 6 rows failed" in last["message"]
    assert condition(ended, "Stalled") == "True"


def test_a_wrong_secret_is_told_before_a_cluster_is_started_and_can_be_put_right(
    tenant: Tenant, pictures: dict[str, bytes]
) -> None:
    tenant.set_secret(tenant.s3.access_key, "canary-of-a-wrong-key")
    tenant.put("pictures", pictures)
    tenant.kubectl.apply(*tenant.documents())
    found = tenant.wait(
        lambda one: condition(one, "Preflight") == "False", "refused by its preflight"
    )
    assert "secret key is wrong" in message(found, "Preflight")
    assert "canary" not in json.dumps(found["status"])
    assert not tenant.pods("ray.io/is-ray-node=yes")
    tenant.set_secret(tenant.s3.access_key, tenant.s3.secret_key)
    tenant.succeeded(minutes=10)
