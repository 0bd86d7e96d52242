"""Batches as objects: the same batch always makes the same key and the same bytes."""

import gzip
import hashlib
import re
from typing import Any, Final
from urllib.parse import quote

import msgspec
import zstandard

from hub import SEVERITIES, Batch, Chunk, rfc3339, rfc3339_column
from plugins.s3.config import S3Config

_encode: Final = msgspec.json.Encoder().encode
_ENDINGS: Final = {
    "gzip": ("jsonl.gz", "application/gzip"),
    "zstd": ("jsonl.zst", "application/zstd"),
}


class Stored(msgspec.Struct, frozen=True):
    """An object.

    Args:
        path: its key, percent-encoded.
    """

    path: str
    content_type: str
    body: bytes


def stored(batch: Batch, config: S3Config) -> Stored:
    """Make a batch's object; about 2 µs a line."""
    ending, content_type = _ENDINGS[config.compression]
    rows: list[bytes] = []
    for chunk in batch.chunks:
        rows += map(_encode, _documents(chunk))
    text = b"\n".join([*rows, b""])
    if config.compression == "gzip":
        body = gzip.compress(text, 6, mtime=0)
    else:
        body = zstandard.ZstdCompressor(level=3).compress(text)
    digest = hashlib.sha256(text).hexdigest()[:16]  # of every line's id, and what it says
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", batch.id)[:200]
    parts = [config.prefix.strip("/"), _hour(batch), f"{name}-{digest}.{ending}"]
    return Stored(quote("/".join(filter(None, parts)), safe="/~"), content_type, body)


def _hour(batch: Batch) -> str:
    """Give `YYYY/MM/DD/HH` of when the hub took the first lines: that stays, unlike now."""
    moment = rfc3339(min((chunk.received for chunk in batch.chunks), default=0))
    return moment[:13].replace("-", "/").replace("T", "/")


def _documents(chunk: Chunk) -> list[dict[str, Any]]:
    lines = chunk.lines
    shared = {
        "device": chunk.device,
        "host": chunk.host,
        "stream": chunk.stream,
        **({"labels": dict(chunk.labels)} if chunk.labels else {}),
    }
    return [
        {
            "id": identifier,
            "time": time,
            **shared,
            "severity": SEVERITIES[priority & 7],
            "facility": priority >> 3,
            "program": program,
            "message": message,
        }
        for identifier, time, priority, program, message in zip(
            chunk.ids(),
            rfc3339_column(lines.times),
            lines.priority_column(),
            lines.program_column(),
            lines.messages,
            strict=True,
        )
    ]
