"""What looks like a credential is not said again; what does not is left as it is."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill_operator.parse import outcomes, pods, probes, rayjobs
from lancemill_operator.parse.redaction import HIDDEN, LONGEST, redacted, redacted_json

CANARY = "cAnAry0123456789abcdef"
AWS = "AKIA" + "CANARY0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f"403 for https://b.s3.amazonaws.com/a.jpg?X-Amz-Credential={CANARY}&X-Amz-Signature={CANARY}",
        f"https://storage.googleapis.com/b/a?X-Goog-Signature={CANARY}",
        f"https://x.blob.core.windows.net/c/a?sv=2024&sig={CANARY}&se=2026",
        f"https://cdn.example/a?access_token={CANARY}",
        f"could not connect to postgres://me:{CANARY}@db.example:5432/x",
        f"s3://{CANARY}@bucket/key",
        f"aws_secret_access_key={CANARY}",
        f"AWS_ACCESS_KEY_ID = '{CANARY}'",
        f'{{"password": "{CANARY}"}}',
        f"AccountName=x;AccountKey={CANARY};EndpointSuffix=core.windows.net",
        f"Authorization: Bearer {CANARY}",
        f"authorization: Basic {CANARY}==",
        f"sent 'Bearer {CANARY}'",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
        f"the token hf_{CANARY} was refused",
        f"ghp_{CANARY}{CANARY}",
        f"eyJ{CANARY}.{CANARY}.{CANARY}",
        f"https://b.example/a?key={CANARY}",
    ],
)
def test_a_credential_is_taken_out(text: str) -> None:
    found = redacted(text)
    assert CANARY not in found
    assert HIDDEN in found
    assert redacted(found) == found


def test_the_id_of_a_key_is_taken_out() -> None:
    assert redacted(f"InvalidAccessKeyId: {AWS}") == f"InvalidAccessKeyId: {HIDDEN}"


@pytest.mark.parametrize(
    "text",
    [
        "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        'ImagePullBackOff: Back-off pulling image "registry.example:5000/vision/cats:1.4"',
        "132 of 9800 rows failed (1.35%); the budget is 1%",
        "403 from s3://lake/cats.lance/_versions/1.manifest",
        "https://photos.example/a/b.jpg?width=200&v=3: HttpStatus 404",
        "exceeded quota: gpus, requested: requests.nvidia.com/gpu=4, used: 2, limited: 4",
        "column 'token' is struct<token: float32[512], secret: string>, cats has string",
        "'api_key' is made by no stage; there are: key, uri, size, password",
        "spec.sink.lance.key[0]  'id' is no column of the output; it has: key, uri",
        'pods "cats-7f3a-1-head" is forbidden: violates PodSecurity "restricted:latest"',
        "the mail to a@b.example; see docs: https://b.example/x#y",
        "storage.secretRef.name  there is no Secret 'lake' in this namespace; create it",
        'Error: secret "registry-credentials-1" not found',
        "",
    ],
)
def test_what_is_no_credential_is_left(text: str) -> None:
    assert redacted(text) == text


@given(st.text(max_size=300))
def test_any_text_comes_through_and_a_second_time_unchanged(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize(
    "piece", ["a", "password=", "https://", "x-amz-", "eyJ", "-----BEGIN PRIVATE KEY-----", "key:1"]
)
def test_a_text_made_to_be_slow_is_not(piece: str) -> None:
    began = time.monotonic()
    redacted(piece * LONGEST)
    assert time.monotonic() - began < 20


def test_a_json_value_is_redacted_throughout() -> None:
    said = {"message": f"sig {AWS}", "summary": [{"rows": [{AWS: 1, "n": 3, "ok": True}]}]}
    assert redacted_json(said) == {
        "message": f"sig {HIDDEN}",
        "summary": [{"rows": [{HIDDEN: 1, "n": 3, "ok": True}]}],
    }


def test_a_value_that_is_nested_without_end_is_cut() -> None:
    value: object = AWS
    for _ in range(900):
        value = [value]
    assert AWS not in json.dumps(redacted_json(value))
    assert outcomes.spoken(f'{{"run": "r", "x": {"[" * 900}{"]" * 900}}}'.encode()) is not None


# -- where others' words come in


def test_a_driver_is_heard_without_its_credentials() -> None:
    outcome = {"verdict": "Failed", "message": f"x?sig={CANARY}", "summary": [{"name": AWS}]}
    answer = {"run": "r", "attempt": 1, "progress": {"text": AWS}, "outcome": outcome}
    said = outcomes.spoken(json.dumps(answer).encode())
    assert said is not None and said.outcome is not None and said.progress is not None
    assert said.outcome.message == f"x?sig={HIDDEN}"
    assert said.progress.text == HIDDEN
    assert said.outcome.summary[0]["name"] == HIDDEN


def job(message: str) -> probes.ProbeView:
    pod = {
        "status": {
            "containerStatuses": [
                {"name": "probe", "state": {"terminated": {"exitCode": 1, "message": message}}}
            ]
        }
    }
    done = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": AWS}
    return probes.view({"metadata": {"name": "j"}, "status": {"conditions": [done]}}, [pod])


def test_a_probe_is_heard_without_its_credentials() -> None:
    assert job(json.dumps({"message": f"for {AWS}"})).answer == {"message": f"for {HIDDEN}"}
    assert job(f"Traceback\nValueError: password={CANARY}").problem == (
        f"ValueError: password={HIDDEN}"
    )


def test_what_a_rayjob_or_a_pod_says_is_told_without_its_credentials() -> None:
    logs = f"failed with exit code 1, last available logs:\naws_session_token={CANARY}"
    body = {"metadata": {"name": "x"}, "status": {"message": logs, "jobStatus": "FAILED"}}
    assert CANARY not in rayjobs.view(body).message
    waiting = {"reason": "ErrImagePull", "message": f"https://me:{CANARY}@registry.example/v2"}
    status = {"containerStatuses": [{"name": "a", "state": {"waiting": waiting}}]}
    assert pods.problem(status) == f"ErrImagePull: https://{HIDDEN}@registry.example/v2"
