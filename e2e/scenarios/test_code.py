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

import lance
import pyarrow as pa
import yaml
from e2e.cache import ROOT
from e2e.tenant import Object, Tenant, small_cluster

from support.wheels import wheel

NAME = "udf"
LANCEMILL = str(Path(sys.executable).parent / "lancemill")
COLOURS = (ROOT / "examples" / "colours.py").read_text()
NAMED = """
import shades
from huenames import nearest


def named(batch):
    colours = batch.column("colour").to_pylist()
    return {"name": [f"{shades.of(one)} {nearest(one)}" for one in colours]}
"""
SHADES = """
def of(colour):
    return "light" if int(colour[1:3], 16) > 127 else "dark"
"""
HUENAMES = """
def nearest(colour):
    parts = {"red": colour[1:3], "green": colour[3:5], "blue": colour[5:]}
    return max(parts, key=parts.get)
"""
FILES = {"colours.py": COLOURS, "named.py": NAMED, "shades.py": SHADES}
REQUIRED = ["huenames==1.0"]
STAGE = {"entrypoint": "named.py:named", "inputs": ["colour"], "schema": {"name": "string"}}
WHEELS = "/wheels"
ONLY = {"PIP_NO_INDEX": "1"}


def pipeline(where: str, storage: Object, code: Object) -> Object:
    """examples/udf.yaml with its pictures and its rows at `where`, the rows as a Lance dataset."""
    made: Object = yaml.safe_load((ROOT / "examples" / "udf.yaml").read_text())
    spec = made["spec"]
    spec["source"]["objects"] |= {"uri": f"{where}pictures/", **storage}
    spec["stages"][0]["fetch"] |= storage
    columns = spec["sink"]["parquet"]["columns"]
    spec["sink"] = {"lance": {"uri": f"{where}rows.lance", "columns": columns, **storage}}
    spec["code"] = code
    return made


def with_names(pipeline: Object) -> Object:
    """With a stage whose function needs a module beside it, and a package that no image has."""
    spec = pipeline["spec"]
    spec["stages"].append({"name": "named", "udf": STAGE})
    spec["sink"]["lance"]["columns"].append("name")
    spec["requirements"] = REQUIRED
    return pipeline


def in_the_cluster(pipeline: Object) -> Object:
    run = {"timeout": "15m", "ttlAfterFinished": "30s"}
    pipeline["spec"] |= {"cluster": small_cluster(), "run": run}
    return pipeline


def with_wheels(pipeline: Object) -> Object:
    """Workers find the ConfigMap's wheels, and no others."""
    mount = {"name": "wheels", "mountPath": WHEELS, "readOnly": True}
    volumes = [{"name": "wheels", "configMap": {"name": "wheels"}}]
    (workers,) = pipeline["spec"]["cluster"]["workerGroups"]
    workers |= {"volumes": volumes, "volumeMounts": [mount]}
    env = {**ONLY, "PIP_FIND_LINKS": WHEELS}
    given = [{"name": name, "value": value} for name, value in env.items()]
    pipeline["spec"]["runtime"] = {"env": given}
    return pipeline


def on_the_laptop(
    folder: Path, pictures: Mapping[str, bytes], pipeline: Object, env: Mapping[str, str]
) -> pa.Table:
    """What the same stages make here, of the same pictures and the same code."""
    (folder / "pictures").mkdir(parents=True)
    for name, content in pictures.items():
        (folder / "pictures" / name).write_bytes(content)
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(pipeline))
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


def packaged(tenant: Tenant, folder: Path, keys: Mapping[str, str]) -> Object:
    """`code` as `lancemill package` fills it in, with the store as this machine reaches it."""
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    storage = {"endpoint": tenant.s3.endpoint, "region": tenant.s3.region, "allowHttp": True}
    code = {"uri": tenant.uri("code/named.zip"), "storage": storage}
    written = yaml.safe_dump(with_names(pipeline("", {}, code)))
    (folder / "pipeline.yaml").write_text(written)
    told = json.loads(lancemill("package", "pipeline.yaml", "--json", at=folder, env=keys))
    return {"uri": told["uri"], "sha256": told["sha256"], "storage": storage}


def give_wheels(tenant: Tenant, folder: Path) -> None:
    """The package's wheel into this folder, and into a ConfigMap."""
    wheel(folder, "huenames", "1.0", HUENAMES)
    made = {one.name: base64.b64encode(one.read_bytes()).decode() for one in folder.iterdir()}
    tenant.kubectl.apply(config_map("wheels", "binaryData", made))


def test_packaged_code_with_a_package_that_no_image_has_makes_the_laptops_rows(
    tenant: Tenant, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    tenant.put("pictures", pictures)
    give_wheels(tenant, tmp_path / "wheels")
    s3 = tenant.s3
    keys = {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key}
    code = packaged(tenant, tmp_path / "code", keys)
    theirs = {"storage": tenant.storage}
    there = pipeline(tenant.uri(""), theirs, code | theirs)
    tenant.kubectl.apply(with_wheels(in_the_cluster(with_names(there))))
    env = {**keys, **ONLY, "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    here = with_names(pipeline("", {}, code))
    expected = on_the_laptop(tmp_path / "laptop", pictures, here, env)
    tenant.succeeded(NAME)
    must_equal(tenant, expected)


def test_code_of_a_configmap_makes_the_laptops_rows(
    tenant: Tenant, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    tenant.put("pictures", pictures)
    tenant.kubectl.apply(config_map("colours", "data", {"colours.py": COLOURS}))
    code = {"configMap": "colours"}
    there = pipeline(tenant.uri(""), {"storage": tenant.storage}, code)
    tenant.kubectl.apply(in_the_cluster(there))
    (tmp_path / "colours.py").write_text(COLOURS)
    expected = on_the_laptop(tmp_path, pictures, pipeline("", {}, code), {})
    tenant.succeeded(NAME)
    must_equal(tenant, expected)
