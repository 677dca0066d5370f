"""A team in the cluster: a namespace, a bucket, a Secret for it, and what it applies."""

from __future__ import annotations

import copy
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import yaml

from e2e import install
from e2e.cache import ROOT
from e2e.cluster import Cluster
from e2e.kubectl import Failed, Kubectl
from support.servers import S3Server

Object = dict[str, Any]
SECRET = "lake"
PIPELINE = "thumbnails"
MINUTES = 60.0
POLL = 1.5
"""Seconds; each look is a kubectl, which costs a tenth of a second of a core."""
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


class TookTooLong(Exception):
    """Something did not come about in time; the message says how things stood."""


@dataclass
class Tenant:
    cluster: Cluster
    s3: S3Server
    namespace: str
    bucket: str
    storage: Object = field(init=False)
    """As pods reach the bucket."""

    def __post_init__(self) -> None:
        self.storage = {
            "endpoint": install.inside(),
            "region": self.s3.region,
            "allowHttp": True,
            "secretRef": {"name": SECRET},
        }

    @property
    def kubectl(self) -> Kubectl:
        return self.cluster.kubectl.at(self.namespace)

    def move_in(self) -> None:
        """The namespace, with Pod Security's level restricted, the bucket and the Secret."""
        if self.namespace not in self.cluster.namespaces:
            metadata = {"name": self.namespace, "labels": RESTRICTED}
            self.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self.s3.client.create_bucket(Bucket=self.bucket)
        self.set_secret(self.s3.access_key, self.s3.secret_key)

    def move_out(self) -> None:
        """Its deletion begins; nothing waits for it. A namespace that was given is only emptied."""
        self.kubectl("delete", "mmp,lds", "--all", "--wait=false", check=False)
        if self.namespace not in self.cluster.namespaces:
            self.kubectl("delete", "namespace", self.namespace, "--wait=false", check=False)

    def set_secret(self, access_key: str, secret_key: str) -> None:
        content = {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
        metadata = {"name": SECRET}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        self.kubectl.apply({**secret, "stringData": content})

    def put(self, folder: str, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            self.s3.client.put_object(Bucket=self.bucket, Key=f"{folder}/{name}", Body=content)

    def documents(self, example: str = "thumbnails") -> list[Object]:
        """An example as it is, but for where things lie: source, sink, credentials, sizes."""
        text = (ROOT / "examples" / f"{example}.yaml").read_text()
        pipeline, dataset = (copy.deepcopy(one) for one in yaml.safe_load_all(text))
        spec = pipeline["spec"]
        spec["source"]["objects"] |= {"uri": self.uri("pictures/"), "storage": self.storage}
        spec["stages"][0]["fetch"]["storage"] = self.storage
        spec["cluster"] = small_cluster()
        spec["run"] = {"retries": 3, "timeout": "15m", "ttlAfterFinished": "30s"}
        dataset["spec"] |= {"uri": self.uri("thumbnails.lance"), "storage": self.storage}
        return [pipeline, dataset]

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def pipeline(self, name: str = PIPELINE) -> Object:
        found: Object = self.kubectl.json("get", "mmp", name)
        return found

    def wait(
        self, until: Callable[[Object], Any], what: str, minutes: float = 6, name: str = PIPELINE
    ) -> Object:
        """The pipeline as soon as `until(it)` holds."""
        deadline = time.monotonic() + minutes * MINUTES
        while not until(found := self.pipeline(name)):
            if time.monotonic() > deadline:
                status = json.dumps(found.get("status"), indent=1)
                raise TookTooLong(f"{name}: not {what} after {minutes} minutes: {status[:4000]}")
            time.sleep(POLL)
        return found

    def succeeded(self, name: str = PIPELINE, minutes: float = 6) -> Object:
        """The pipeline when its run has ended; raises where it ended badly."""
        found = self.ended(name, minutes)
        if result(found) != "Succeeded":
            raise Failed(f"{name} ended as {result(found)}: {json.dumps(found['status'])[:4000]}")
        return found

    def ended(self, name: str = PIPELINE, minutes: float = 6) -> Object:
        """The pipeline when its run has ended, well or badly, or will never begin."""
        return self.wait(
            lambda one: result(one) != "" or _is_refused(one), "at its end", minutes, name
        )

    def pods(self, *labels: str) -> list[Object]:
        selector = ["--selector", ",".join(labels)] if labels else []
        found: list[Object] = self.kubectl.json("get", "pods", *selector)["items"]
        return found

    def rows(self, uri: str | None = None) -> pa.Table:
        """All rows of the dataset, as this machine reads them."""
        options = {
            "aws_access_key_id": self.s3.access_key,
            "aws_secret_access_key": self.s3.secret_key,
            "aws_endpoint": self.s3.endpoint,
            "aws_region": self.s3.region,
            "allow_http": "true",
        }
        where = uri or self.uri("thumbnails.lance")
        return lance.dataset(where, storage_options=options).to_table()


def result(pipeline: Object) -> str:
    """How its run has ended; empty as long as it goes on."""
    status = pipeline.get("status", {})
    seen = status.get("observedGeneration") == pipeline["metadata"]["generation"]
    over = seen and not status.get("currentRun") and status.get("lastRun")
    return str(status["lastRun"]["result"]) if over else ""


def _is_refused(pipeline: Object) -> bool:
    return bool(pipeline.get("status", {}).get("phase") == "Invalid")


def condition(pipeline: Object, kind: str) -> str:
    """True, False or Unknown; empty where there is no such condition."""
    return _of_condition(pipeline, kind, "status")


def message(pipeline: Object, kind: str) -> str:
    return _of_condition(pipeline, kind, "message")


def _of_condition(pipeline: Object, kind: str, part: str) -> str:
    found = pipeline.get("status", {}).get("conditions", [])
    return next((str(one[part]) for one in found if one["type"] == kind), "")


def small_cluster() -> Object:
    """Pods that fit a laptop beside everything else."""
    head = {"resources": {"cpu": "200m", "memory": "2560Mi"}}
    workers = {"resources": {"cpu": "200m", "memory": "1536Mi"}, "minReplicas": 1, "maxReplicas": 1}
    return {"head": head, "workerGroups": [{"name": "workers", **workers}]}


def on_the_laptop(folder: Path, pictures: dict[str, bytes], python: str) -> pa.Table:
    """What the example makes here, of the same pictures."""
    for name, content in pictures.items():
        path = folder / "demo" / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "examples").mkdir()
    manifest = folder / "examples" / "thumbnails.yaml"
    manifest.write_text((ROOT / "examples" / "thumbnails.yaml").read_text())
    command = [str(Path(python).parent / "lancemill"), "run", str(manifest), "--quiet"]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return lance.dataset(str(folder / "demo" / "thumbnails.lance")).to_table()
