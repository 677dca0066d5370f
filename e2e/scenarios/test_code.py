"""`spec.code` and `spec.requirements` in real pods: the rows are those that a laptop makes of it.

The pods of `host` reach no package index, so the one package that no image has comes from a folder
of theirs: a ConfigMap with its wheel, which `PIP_FIND_LINKS` names. Where pods reach an index, pip
asks that one instead; nothing else differs.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import yaml
from e2e.cache import ROOT
from e2e.tenant import Object, Tenant, small_cluster

from support.wheels import wheel

NAME = "udf"
LANCEMILL = str(Path(sys.executable).parent / "lancemill")
COLOURS = (ROOT / "examples" / "colours.py").read_text()
NAMED = '''
"""Names the colours, by a module beside this one and a package that no image has."""

import huenames
from shades import shade


def named(batch):
    colours = batch.column("colour").to_pylist()
    return {"name": [f"{shade(one)} {huenames.name(one)}" for one in colours]}
'''
SHADES = 'def shade(colour):\n    return "dark" if int(colour[1:], 16) % 2 else "light"\n'
HUENAMES = (
    'def name(colour):\n    return "rgb"["".join(colour[1::2]).index(max(colour[1::2])) % 3]\n'
)
STAGE = {"entrypoint": "named.py:named", "inputs": ["colour"], "schema": {"name": "string"}}
WHEELS = "/wheels"


def pipeline(where: str, storage: Object, **more: Any) -> Object:
    """examples/udf.yaml with its pictures and its rows at `where`, the rows as a Lance dataset."""
    made: Object = yaml.safe_load((ROOT / "examples" / "udf.yaml").read_text())
    spec = made["spec"]
    spec["source"]["objects"] |= {"uri": f"{where}pictures/", **storage}
    spec["stages"][0]["fetch"] |= storage
    columns = list(spec["sink"]["parquet"]["columns"])
    spec["sink"] = {"lance": {"uri": f"{where}rows.lance", "columns": columns, **storage}}
    if "requirements" in more:
        spec["stages"].append({"name": "named", "udf": STAGE})
        columns.append("name")
        spec["sink"]["lance"]["columns"] = columns
    spec |= more
    return made


def in_the_cluster(tenant: Tenant, **more: Any) -> Object:
    made = pipeline(tenant.uri(""), {"storage": tenant.storage}, **more)
    cluster = small_cluster()
    if "requirements" in more:
        mount = {"name": "wheels", "mountPath": WHEELS, "readOnly": True}
        volumes = [{"name": "wheels", "configMap": {"name": "wheels"}}]
        cluster["workerGroups"][0] |= {"volumes": volumes, "volumeMounts": [mount]}
        env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS}
        made["spec"]["runtime"] = {"env": [{"name": k, "value": v} for k, v in env.items()]}
    made["spec"]["cluster"] = cluster
    made["spec"]["run"] = {"timeout": "15m", "ttlAfterFinished": "30s"}
    return made


def on_the_laptop(
    folder: Path, pictures: Mapping[str, bytes], env: Mapping[str, str], **more: Any
) -> pa.Table:
    """What the same stages make here, of the same pictures and the same code."""
    (folder / "pictures").mkdir()
    for name, content in pictures.items():
        (folder / "pictures" / name).write_bytes(content)
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(pipeline("", {}, **more)))
    lancemill("run", "pipeline.yaml", "--quiet", at=folder, env=env)
    return lance.dataset(str(folder / "rows.lance")).to_table()


def lancemill(*arguments: str, at: Path, env: Mapping[str, str]) -> str:
    whole = {**os.environ, "LANCEMILL_CACHE_DIR": str(at / "cache"), **env}
    command = [LANCEMILL, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=at, env=whole)
    assert done.returncode == 0, done.stderr
    return done.stdout


def config_map(name: str, kind: str, files: Mapping[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, kind: files}


def must_equal(tenant: Tenant, expected: pa.Table) -> None:
    found = tenant.rows(tenant.uri("rows.lance"))
    assert len(found) > 0
    assert found.schema == expected.schema
    assert found.to_pylist() == expected.to_pylist()


def test_packaged_code_with_a_package_that_no_image_has_makes_the_laptops_rows(
    tenant: Tenant, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    tenant.put("pictures", pictures)
    wheel(tmp_path / "wheels", "huenames", "1.0", HUENAMES)
    (made,) = (tmp_path / "wheels").iterdir()
    content = {made.name: base64.b64encode(made.read_bytes()).decode()}
    tenant.kubectl.apply(config_map("wheels", "binaryData", content))
    code, env = packaged(tenant, tmp_path / "code", {"requirements": ["huenames==1.0"]})
    tenant.kubectl.apply(
        in_the_cluster(
            tenant, code={**code, "storage": tenant.storage}, requirements=["huenames==1.0"]
        )
    )
    (tmp_path / "laptop").mkdir()
    env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(made.parent)}
    more = {"code": {**code, "storage": outside(tenant)}, "requirements": ["huenames==1.0"]}
    expected = on_the_laptop(tmp_path / "laptop", pictures, env, **more)
    tenant.succeeded(NAME)
    must_equal(tenant, expected)


def packaged(tenant: Tenant, folder: Path, more: Object) -> tuple[Object, dict[str, str]]:
    """`code.uri` and `code.sha256` as `lancemill package` has filled them in; its credentials."""
    folder.mkdir()
    for name, text in {"colours.py": COLOURS, "named.py": NAMED, "shades.py": SHADES}.items():
        (folder / name).write_text(text)
    code = {"uri": tenant.uri("code/named.zip"), "storage": outside(tenant)}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(pipeline("", {}, code=code, **more)))
    keys = {
        "AWS_ACCESS_KEY_ID": tenant.s3.access_key,
        "AWS_SECRET_ACCESS_KEY": tenant.s3.secret_key,
    }
    told = json.loads(lancemill("package", "pipeline.yaml", "--json", at=folder, env=keys))
    return {"uri": told["uri"], "sha256": told["sha256"]}, keys


def outside(tenant: Tenant) -> Object:
    """The team's store as this machine reaches it."""
    return {"endpoint": tenant.s3.endpoint, "region": tenant.s3.region, "allowHttp": True}


def test_code_of_a_configmap_makes_the_laptops_rows(
    tenant: Tenant, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    tenant.put("pictures", pictures)
    tenant.kubectl.apply(config_map("colours", "data", {"colours.py": COLOURS}))
    tenant.kubectl.apply(in_the_cluster(tenant, code={"configMap": "colours"}))
    (tmp_path / "colours.py").write_text(COLOURS)
    expected = on_the_laptop(tmp_path, pictures, {}, code={"configMap": "colours"})
    tenant.succeeded(NAME)
    must_equal(tenant, expected)
