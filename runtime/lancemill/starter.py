"""The manifest that `lancemill init` writes: short, commented, and checked before it is written."""

from __future__ import annotations

import re
from pathlib import Path

from lancemill.errors import ManifestError, Mistake
from lancemill.manifest import load_text

_TEXT = """\
apiVersion: lancemill.dev/v1alpha1
kind: MultimodalPipeline
metadata: {{name: {name}}}
spec:
  source:
    objects:
      uri: {source}
      include: ["*.jpg", "*.jpeg", "*.png", "*.webp", "*.gif", "*.tif", "*.tiff", "*.bmp"]
  stages:
    - {{name: fetch, fetch: {{column: uri, into: bytes}}}}
    - {{name: decode, decode: {{column: bytes, into: image}}}}
    - {{name: small, resize: {{column: image, width: {width}, height: {height}, fit: contain}}}}
{encode}  validate:
    - {{name: no-nulls, query: select count(*) from output where key is null, expect: {{max: 0}}}}
  summary:
    - {{name: by-type, query: "select type, count(*) n from output group by type order by n desc"}}
  sink:
    lance: {{uri: {to}, mode: append, columns: [key, type, image]}}
  errors: {{onRow: quarantine, maxRate: 0.05}}   # rows that fail are set aside, with their reason
"""
FORMATS = ("jpeg", "png", "webp", "bmp", "none")


def starter(*, source: str, to: str, size: str, encode: str, base: Path) -> str:
    """The manifest's text; ManifestError where an answer does not make one."""
    found = re.fullmatch(r"(\d{1,5})\s*[xX×]\s*(\d{1,5})", size.strip())  # noqa: RUF001
    if found is None:
        raise _wrong("--size", f"is '{size}', expected WIDTHxHEIGHT, such as 224x224")
    if encode not in FORMATS:
        raise _wrong("--encode", f"is '{encode}', expected one of {', '.join(FORMATS)}")
    stage = f"    - {{name: encode, encode: {{column: image, format: {encode}}}}}\n"
    text = _TEXT.format(
        name=_quoted(_name_of(to)),
        source=_quoted(source),
        to=_quoted(to),
        width=int(found[1]),
        height=int(found[2]),
        encode="" if encode == "none" else stage,
    )
    load_text(text, source="the new manifest", base=base)
    return text


def _name_of(uri: str) -> str:
    stem = uri.rstrip("/").rpartition("/")[2].removesuffix(".lance")
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    name = name if re.match("[a-z]", name) else f"pipeline-{name}"
    return name[:40].strip("-")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _wrong(path: str, message: str) -> ManifestError:
    return ManifestError([Mistake(path, message)], "lancemill init")
