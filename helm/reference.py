"""Brings the chart up to date with what it is derived from: `python helm/reference.py`.

| part of the chart                        | made from                                    |
|------------------------------------------|----------------------------------------------|
| files/crds                               | crds/, as `make crds` writes them            |
| values.schema.json, the part `settings`  | the operator's settings                      |
| README.md, the table of values           | values.schema.json and values.yaml           |

The CRDs are real files here, not links: Flux leaves links out of what it fetches from Git. A test
fails when any of this is not what its source gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic.alias_generators import to_camel

from lancemill_operator.settings import Settings

CHART = Path(__file__).parent / "lancemill"
CRDS = CHART.parents[1] / "crds"
BEGIN, END = "<!-- values: made by helm/reference.py -->\n", "<!-- end of values -->\n"

OF_THE_CHART = (
    *("namespaces", "kubeconfig", "context", "http_host", "http_port"),
    *("lease", "lease_name", "lease_namespace"),
    *("defaults.network.operator_namespace", "defaults.network.operator_labels"),
    "defaults.prices",
)
"""Settings that have a value of their own, are known to the chart, or have none in a pod."""

Schema = dict[str, Any]


def files() -> dict[Path, str]:
    """Every file that is made, wholly or in part, and its text."""
    schema = _schema()
    made = {CHART / "files" / "crds" / path.name: _read(path) for path in CRDS.glob("*.yaml")}
    made[CHART / "values.schema.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    made[CHART / "README.md"] = _readme(schema)
    return made


def _schema() -> Schema:
    schema: Schema = json.loads(_read(CHART / "values.schema.json"))
    schema["properties"]["settings"]["properties"] = settings()
    return schema


def settings() -> Schema:
    """The schema of each setting that is given by its name."""
    given = Settings.model_json_schema()
    defaults = Settings.model_construct().model_dump(mode="json", by_alias=True)
    return _properties(given, given.get("$defs", {}), defaults, "")


def _properties(schema: Schema, definitions: Schema, defaults: Any, path: str) -> Schema:
    return {
        to_camel(name): _plain(one, definitions, (defaults or {}).get(name), f"{path}{name}")
        for name, one in schema["properties"].items()
        if f"{path}{name}" not in OF_THE_CHART
    }


def _plain(schema: Schema, definitions: Schema, default: Any, path: str) -> Schema:
    """Without references, titles, and null beside other types: a value not given is left out."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]] | schema
    others = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(others) == 1:
        schema = others[0] | {key: one for key, one in schema.items() if key != "anyOf"}
    made = {"description": " ".join(str(schema.get("description", "")).split())}
    made |= {
        key: one
        for key, one in schema.items()
        if key not in ("$ref", "title", "description", "default", "properties", "required")
    }
    if "properties" in schema:
        nested = _properties(schema, definitions, default, f"{path}.")
        return made | {"properties": nested, "additionalProperties": False}
    return made if default is None else made | {"default": default}


def _readme(schema: Schema) -> str:
    before, _, rest = _read(CHART / "README.md").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{_table(schema)}\n{END}{after}"


def _table(schema: Schema) -> str:
    defaults = yaml.safe_load(_read(CHART / "values.yaml"))
    lines = [
        f"| `{path}` | {_default(default)} | {_text(one)} |"
        for path, one, default in leaves(schema, defaults)
    ]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *lines])


def leaves(schema: Schema, defaults: Any, path: str = "") -> Iterator[tuple[str, Schema, Any]]:
    """Each value that holds no others with a name: path, schema, default (None: none)."""
    for name, one in schema["properties"].items():
        place = f"{path}.{name}" if path else name
        default = defaults.get(name) if isinstance(defaults, dict) else None
        if "properties" in one:
            yield from leaves(one, default, place)
        else:
            yield place, one, one.get("default") if default is None else default


def _default(value: Any) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


def _text(schema: Schema) -> str:
    text = str(schema["description"])
    words = schema.get("enum") or schema.get("items", {}).get("enum")
    return f"{text} One of {', '.join(map(str, words))}." if words else text


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def main() -> None:
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
