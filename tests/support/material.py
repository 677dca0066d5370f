"""Real pictures and models, unpacked by `make setup` from ordinary packages."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".cache" / "material"


def pictures() -> list[Path]:
    """Every real picture there is, sorted by path."""
    if not FOLDER.is_dir():
        raise RuntimeError(f"no material in {FOLDER}: run `make setup`")
    kinds = {".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".webp", ".bmp"}
    found = [
        path
        for folder in ("skimage/data", "sklearn/datasets/images", "matplotlib/mpl-data/sample_data")
        for path in (FOLDER / folder).rglob("*")
        if path.suffix.lower() in kinds
    ]
    return sorted(found)


def model(name: str) -> Path:
    """The trained ONNX model whose file name contains `name` (`det`, `rec` or `cls`)."""
    (path,) = (FOLDER / "rapidocr_onnxruntime" / "models").glob(f"*{name}*.onnx")
    return path
