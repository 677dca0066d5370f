"""The MIME type that a name's ending stands for.

A table of our own: Python's `mimetypes` reads the host's files, so that one listing would have
different types on different machines.
"""

from __future__ import annotations

UNKNOWN = "application/octet-stream"

_BY_SUFFIX = {
    # pictures
    "avif": "image/avif",
    "bmp": "image/bmp",
    "dng": "image/x-adobe-dng",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "ico": "image/vnd.microsoft.icon",
    "jfif": "image/jpeg",
    "jp2": "image/jp2",
    "jpe": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jxl": "image/jxl",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
    # moving pictures
    "avi": "video/x-msvideo",
    "m4v": "video/x-m4v",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "ts": "video/mp2t",
    "webm": "video/webm",
    # sound
    "aac": "audio/aac",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "wav": "audio/wav",
    # text and documents
    "csv": "text/csv",
    "htm": "text/html",
    "html": "text/html",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "md": "text/markdown",
    "ndjson": "application/x-ndjson",
    "pdf": "application/pdf",
    "srt": "application/x-subrip",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "vtt": "text/vtt",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    # tables, arrays, archives
    "arrow": "application/vnd.apache.arrow.file",
    "bz2": "application/x-bzip2",
    "gz": "application/gzip",
    "h5": "application/x-hdf5",
    "npy": "application/x-npy",
    "npz": "application/x-npz",
    "onnx": "application/x-onnx",
    "parquet": "application/vnd.apache.parquet",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "xz": "application/x-xz",
    "zip": "application/zip",
    "zst": "application/zstd",
}


def media_type(name: str) -> str:
    """The MIME type for `name` by its ending, in any case; `UNKNOWN` where it says nothing."""
    _, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return _BY_SUFFIX.get(suffix.lower(), UNKNOWN) if dot else UNKNOWN
